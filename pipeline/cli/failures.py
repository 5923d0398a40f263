"""How a failure looks: one clear line, a hint, an exit code; a bug also leaves its traceback in a file."""

from __future__ import annotations

import errno
import tempfile
import traceback
from pathlib import Path

import typer
from rich.text import Text

from pipeline.cli import log
from pipeline.cli.terminal import Terminal, printable
from pipeline.errors import EarmarkError, StorageError

BUG = 70

_OF_THE_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}


def tell(terminal: Terminal, error: EarmarkError) -> None:
    """Print `error: …` and one `hint: …` for each line of its hint."""
    _line(terminal, "error", "bold red", error.message)
    for hint in error.hint.splitlines():
        _line(terminal, "hint", "cyan", hint)


def tell_usage(terminal: Terminal, error: typer.TyperException) -> None:
    """Print what is wrong with a command line."""
    if not error.format_message():  # no command at all: the help was the answer
        return
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "earmark"
    _line(terminal, "error", "bold red", error.format_message())
    _line(terminal, "hint", "cyan", f"{command} --help shows what it takes")


def tell_unforeseen(terminal: Terminal, error: Exception) -> int:
    """Tell a disk that is full or broken, also behind stdout, from a bug; return the exit code."""
    if isinstance(error, OSError) and error.errno in _OF_THE_DISK:
        what = printable(str(error.filename)) if error.filename else "the output"
        failure = StorageError(
            f"{what} cannot be written: {(error.strerror or str(error)).lower()}",
            hint="free some space; the same command goes on where this one stopped",
        )
        tell(terminal, failure)
        return failure.exit_code
    tell_bug(terminal, error)
    return BUG


def tell_bug(terminal: Terminal, error: BaseException) -> None:
    """Print one line about a bug, and where its traceback was written."""
    try:
        where = f"the traceback is in {_written(error)}"
    except OSError:
        where = "".join(traceback.format_exception(error))  # no file will have it, so the screen must
    _line(terminal, "error", "bold red", f"a bug in earmark: {type(error).__name__}: {error}")
    _line(terminal, "hint", "cyan", f"please report it; {where}")


def _written(error: BaseException) -> Path:
    text = "".join(traceback.format_exception(error))
    path = log.file()
    if path is not None:
        with path.open("a", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(text)
        return path
    with tempfile.NamedTemporaryFile(
        "w", prefix="earmark-", suffix=".log", encoding="utf-8", errors="backslashreplace", delete=False
    ) as temporary:
        temporary.write(text)
    return Path(temporary.name)


def _line(terminal: Terminal, label: str, style: str, text: str) -> None:
    lines = text.splitlines() or [""]
    line = Text(f"{label}: ", style=style).append(printable(lines[0]), style="default")
    for more in lines[1:]:
        line.append("\n" + printable(more), style="default")
    terminal.err.print(line, soft_wrap=True)
