"""The rows as typed pandas frames, a chunk at a time: a million rows need no more memory than a chunk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import pandas as pd

from pipeline.report.columns import Cell, Column, Kind, Row, cells

ROWS_PER_CHUNK = 10_000

DTYPES = {
    Kind.TEXT: "object",
    Kind.PROBABILITY: "float64",
    Kind.NUMBER: "float64",
    Kind.WHOLE: "Int32",
    Kind.MOMENT: "datetime64[s, UTC]",
}


def frames(rows: Iterable[Row], columns: tuple[Column, ...]) -> Iterator[pd.DataFrame]:
    """The rows in frames of at most `ROWS_PER_CHUNK`; the first comes even when there are no rows."""
    left = iter(rows)
    chunk = list(islice(left, ROWS_PER_CHUNK))
    yield _frame([cells(row, columns) for row in chunk], columns)
    while chunk := list(islice(left, ROWS_PER_CHUNK)):
        yield _frame([cells(row, columns) for row in chunk], columns)


def _frame(rows: Sequence[tuple[Cell, ...]], columns: tuple[Column, ...]) -> pd.DataFrame:
    values = zip(*rows, strict=True) if rows else ((),) * len(columns)
    return pd.DataFrame(
        {
            column.name: pd.Series(list(column_values), dtype=DTYPES[column.kind])
            for column, column_values in zip(columns, values, strict=True)
        }
    )
