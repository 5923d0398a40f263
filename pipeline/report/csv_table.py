"""A table as CSV that spreadsheets open right and run nothing in: UTF-8 with a byte-order mark, CRLF."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pipeline.report.columns import Column, Kind, Row
from pipeline.report.frames import frames
from pipeline.report.text import harmless


def write_csv(path: Path, rows: Iterable[Row], columns: tuple[Column, ...]) -> None:
    """Write the rows; moments as `2026-11-21T03:00:00Z`, empty cells as nothing between two commas."""
    text_columns = [column.name for column in columns if column.kind is Kind.TEXT]
    with path.open("w", encoding="utf-8-sig", newline="") as handle:
        for number, frame in enumerate(frames(rows, columns)):
            for name in text_columns:
                frame[name] = frame[name].map(harmless)
            frame.to_csv(
                handle,
                header=number == 0,
                index=False,
                lineterminator="\r\n",
                date_format="%Y-%m-%dT%H:%M:%SZ",
            )
