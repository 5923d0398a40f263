"""A table as JSON lines: one object a row, for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from pipeline.report.columns import Cell, Column, Row, cells


def write_jsonl(path: Path, rows: Iterable[Row], columns: tuple[Column, ...]) -> None:
    """Write the rows in UTF-8 with LF; every object has every column, an empty number is null."""
    names = [column.name for column in columns]
    with path.open("w", encoding="utf-8", newline="\n") as handle:
        for row in rows:
            values = dict(zip(names, map(_plain, cells(row, columns)), strict=True))
            handle.write(json.dumps(values, ensure_ascii=False, allow_nan=False) + "\n")


def _plain(cell: Cell) -> str | int | float | None:
    return f"{cell:%Y-%m-%dT%H:%M:%SZ}" if isinstance(cell, datetime) else cell
