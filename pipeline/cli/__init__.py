"""The commands: the only place that prints and that opens a recognizer."""

from __future__ import annotations

import gc
import os
import signal
import sys

__all__ = ["main"]

INTERRUPTED = 130


def main() -> None:
    """Run the command line of this process and exit with its code."""
    _open_closed_streams()
    # Loading takes a second, and there is nothing to wind up yet: Ctrl-C just ends it, without a traceback.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    from pipeline.cli.app import run  # noqa: PLC0415
    from pipeline.cli.signals import interrupt_on_signals  # noqa: PLC0415

    interrupt_on_signals()
    code = run(sys.argv[1:])
    # The end of a process collects garbage once more, among all that the engine loaded: half a second for nothing.
    gc.freeze()
    sys.exit(code)


def _open_closed_streams() -> None:
    """Let what would go to a closed stream (`>&-`) go nowhere: else the next file opened would receive it."""
    for descriptor, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)
            if null != descriptor:
                os.dup2(null, descriptor)
                os.close(null)
            setattr(sys, name, os.fdopen(descriptor, mode, encoding="utf-8", closefd=False))
