"""What Ctrl-C means: once, finish what is in flight and report; twice, stop now."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from pipeline.cli import INTERRUPTED

FINISHING = "finishing what is in flight; press again to stop now"
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_TERMINALS = tuple(stream for stream in (0, 1, 2) if os.isatty(stream))
"""Looked up beforehand: once a terminal is closed, nothing tells that it was one."""


def interrupt_on_signals() -> None:
    """Let SIGTERM and SIGHUP end a command as Ctrl-C does: wound up, with a word where there is a terminal for it."""
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)


@contextmanager
def stopping(announce: Callable[[str], None]) -> Iterator[threading.Event]:
    """An event that the first Ctrl-C, SIGTERM or SIGHUP sets and announces; the second ends the process."""
    stop = threading.Event()

    def received(number: int, _: FrameType | None) -> None:
        if stop.is_set():
            _leave_now()
        stop.set()
        if number == signal.SIGHUP:
            _let_the_terminal_go()
        else:
            announce(FINISHING)

    # What is ignored stays ignored: `nohup` and background jobs of a shell mean it.
    heard = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, received) for number in heard}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(number: int, _: FrameType | None) -> None:
    if number == signal.SIGHUP:
        _let_the_terminal_go()
    raise KeyboardInterrupt


def _let_the_terminal_go() -> None:
    """Write to nowhere what would be written to a terminal that is closed: there every write fails."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in _TERMINALS:
        os.dup2(nowhere, stream)
    os.close(nowhere)


def _leave_now() -> None:
    # The ledger is safe at any moment: nothing is wound up, only the cursor that progress hid comes back.
    if sys.stderr.isatty():
        os.write(sys.stderr.fileno(), b"\x1b[?25h\n")
    os._exit(INTERRUPTED)
