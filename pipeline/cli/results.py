"""A run's answers out of the ledger: for the screen, for a program, for report files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import chain, islice
from pathlib import Path

from pipeline.cli.terminal import QUIET_BOX, Terminal
from pipeline.ledger import Ledger
from pipeline.report import file_table, write_reports

SHOWN_FILES = 40
"""Rows of the table on the screen: more scroll away unread, and the report holds them."""


def show(terminal: Terminal, ledger: Ledger, run_id: int) -> None:
    """Print the run's rows on stdout: a table for a person, or with --json one object a file."""
    rows = ledger.file_rows(run_id)
    if terminal.as_json:
        for row in rows:
            terminal.data(asdict(row))
        return
    first = list(islice(rows, 1))
    if first:
        table = file_table(chain(first, rows), limit=SHOWN_FILES)
        table.box = QUIET_BOX
        terminal.out.print(table)


def write(targets: Sequence[Path], ledger: Ledger, run_id: int, *, finished_at: str) -> list[Path]:
    """Write the run's reports; return every file that now stands."""
    return write_reports(
        targets, lambda: ledger.file_rows(run_id), lambda: ledger.play_rows(run_id), finished_at=finished_at
    )
