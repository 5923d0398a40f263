"""Where log records go: warnings to a file in the state folder, and with -v to the terminal too."""

from __future__ import annotations

import logging
import sys
from logging.handlers import RotatingFileHandler
from pathlib import Path

from pipeline.cli.terminal import Terminal, printable

FILE_NAME = "earmark.log"
MAX_BYTES = 1_000_000


class _TerminalHandler(logging.Handler):
    """Prints through the console, so that a record does not tear the progress bar."""

    def __init__(self, terminal: Terminal) -> None:
        super().__init__()
        self._terminal = terminal

    def emit(self, record: logging.LogRecord) -> None:
        self._terminal.note(f"{record.levelname.lower()}: {printable(self.format(record))}", style="dim")


class _FileHandler(RotatingFileHandler):
    """A log file that does without what the disk refuses: a run must not be torn, nor a screen filled, for its log."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 -- logging's own name
        if not isinstance(sys.exception(), OSError):
            super().handleError(record)


def start(terminal: Terminal, *, verbosity: int, folder: Path | None = None) -> None:
    """Send log records to the terminal (-v: info, -vv: debug) and, given a folder, to a file there."""
    logger = logging.getLogger("pipeline")
    logger.setLevel(logging.DEBUG if verbosity > 1 else logging.INFO)
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    if verbosity:
        on_terminal = _TerminalHandler(terminal)
        on_terminal.setLevel(logging.DEBUG if verbosity > 1 else logging.INFO)
        logger.addHandler(on_terminal)
    if folder is not None:
        in_file = _FileHandler(
            folder / FILE_NAME,
            maxBytes=MAX_BYTES,
            backupCount=1,
            encoding="utf-8",
            errors="backslashreplace",
            delay=True,
        )
        in_file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        logger.addHandler(in_file)
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())  # else Python prints warnings to stderr by itself


def file() -> Path | None:
    """The log file in use, if there is one."""
    for handler in logging.getLogger("pipeline").handlers:
        if isinstance(handler, RotatingFileHandler):
            return Path(handler.baseFilename)
    return None
