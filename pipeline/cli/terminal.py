"""The two streams: data goes to stdout, everything else to stderr; no file name can drive the terminal."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

QUIET_BOX = box.SIMPLE_HEAD
"""A line below the header and none between the cells: the words are what matters."""

PIPE_WIDTH = 160
"""Columns of a table that goes into a pipe: nobody's window limits it, a person may still read it."""


class _PatientConsole(Console):
    """A console whose reader may leave early (`| head`) without ending the program."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        _let_stdout_go()


class Terminal:
    """Where a command speaks. `quiet` silences progress and summaries, never data and errors."""

    def __init__(self, *, quiet: bool = False, as_json: bool = False) -> None:
        self.quiet = quiet
        self.as_json = as_json
        self.out = _console(stderr=False)
        self.err = _console(stderr=True)

    def data(self, row: Mapping[str, Any]) -> None:
        """One object, one line, on stdout. Bytes that are not UTF-8 come as lone `\\udcXX` escapes."""
        try:
            sys.stdout.write(json.dumps(row, separators=(", ", ": "), default=str) + "\n")
        except BrokenPipeError:
            _let_stdout_go()

    def note(self, text: str = "", *, style: str = "") -> None:
        """A line for the person watching, on stderr; not with -q."""
        if not self.quiet:
            self.err.print(text, style=style, markup=False, soft_wrap=True)

    def complain(self, text: str) -> None:
        """A line about something that went wrong, on stderr; also with -q."""
        self.err.print(text, style="yellow", markup=False, soft_wrap=True)

    def close(self) -> None:
        """Hand over what is buffered, here and not at exit, where a closed pipe would print a traceback.

        Raises OSError when there is no room for it.
        """
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            _let_stdout_go()
        except OSError:
            _let_stdout_go()
            raise


def quiet_table(**options: Any) -> Table:
    """An empty table without lines between its cells."""
    return Table(box=QUIET_BOX, show_edge=False, pad_edge=False, header_style="bold", **options)


def counted(number: int, noun: str) -> str:
    """`1 file`, `2,000 files`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def printable(text: str) -> str:
    """`text` in one line, control characters spelt out: a file name may hold escape sequences."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _console(*, stderr: bool) -> Console:
    console = _PatientConsole(stderr=stderr, highlight=False, emoji=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = PIPE_WIDTH
    return console


def _let_stdout_go() -> None:
    # What is still in the buffer must go somewhere, or Python complains when it exits.
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())
    os.close(devnull)
