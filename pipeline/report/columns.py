"""The columns of the report's two tables, and the one form of their values that every format starts from."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto
from operator import attrgetter
from typing import Any

from pipeline.model import FileRow, PlayRow
from pipeline.report.text import shown

Cell = str | int | float | datetime | None
Row = FileRow | PlayRow


class Kind(Enum):
    """What a column holds; each format knows how to write each kind."""

    TEXT = auto()
    PROBABILITY = auto()
    """0 to 1, four digits."""
    NUMBER = auto()
    """A quantity (seconds, credits, a score), three digits."""
    WHOLE = auto()
    """A count or a year, 32 bits."""
    MOMENT = auto()
    """A moment in UTC, to the second."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column; `width` is in characters, for formats that have one."""

    name: str
    kind: Kind
    width: int


FILE_COLUMNS = (
    Column("path", Kind.TEXT, 48),
    Column("status", Kind.TEXT, 11),
    Column("title", Kind.TEXT, 32),
    Column("artist", Kind.TEXT, 28),
    Column("album", Kind.TEXT, 28),
    Column("year", Kind.WHOLE, 7),
    Column("confidence", Kind.PROBABILITY, 12),
    Column("verdict", Kind.TEXT, 14),
    Column("tag_title", Kind.TEXT, 24),
    Column("tag_artist", Kind.TEXT, 22),
    Column("tag_album", Kind.TEXT, 22),
    Column("duration_s", Kind.NUMBER, 12),
    Column("matched_s", Kind.NUMBER, 12),
    Column("duplicate_group", Kind.TEXT, 17),
    Column("segments_sent", Kind.WHOLE, 15),
    Column("segments_agreeing", Kind.WHOLE, 19),
    Column("recognizer", Kind.TEXT, 13),
    Column("raw_score", Kind.NUMBER, 11),
    Column("credits", Kind.NUMBER, 9),
    Column("tracks", Kind.WHOLE, 9),
    Column("error", Kind.TEXT, 40),
    Column("identified_at", Kind.MOMENT, 20),
    Column("content_id", Kind.TEXT, 24),
)

PLAY_COLUMNS = (
    Column("path", Kind.TEXT, 48),
    Column("start_s", Kind.NUMBER, 10),
    Column("end_s", Kind.NUMBER, 10),
    Column("title", Kind.TEXT, 32),
    Column("artist", Kind.TEXT, 28),
    Column("album", Kind.TEXT, 28),
    Column("year", Kind.WHOLE, 7),
    Column("confidence", Kind.PROBABILITY, 12),
    Column("recognizer", Kind.TEXT, 13),
    Column("raw_score", Kind.NUMBER, 11),
)


def cells(row: Row, columns: tuple[Column, ...]) -> tuple[Cell, ...]:
    """The values of a row as every format writes them: rounded, finite, and text that is valid Unicode.

    None stands for an empty cell: no number, or one no table holds (not finite; for a count, beyond 32 bits).
    """
    values = attrgetter(*(column.name for column in columns))(row)
    return tuple(_CLEAN[column.kind](value) for column, value in zip(columns, values, strict=True))


def moment(text: str) -> datetime | None:
    """The moment an ISO 8601 text names, in UTC and to the second; None for an empty one."""
    return datetime.fromisoformat(text).astimezone(UTC).replace(microsecond=0) if text else None


def _rounded(digits: int) -> Callable[[float | None], float | None]:
    def clean(value: float | None) -> float | None:
        if value is None or not math.isfinite(value):
            return None
        # Adding zero turns -0.0 into 0.0: equal rows must give equal bytes.
        return round(float(value), digits) + 0.0

    return clean


def _probability(value: float | None) -> float | None:
    # Rounding must not turn what is nearly certain into certainty.
    rounded = _rounded(4)(value)
    return 0.9999 if rounded == 1 and value != 1 else rounded


def _whole(value: int | None) -> int | None:
    return value if value is not None and -(2**31) <= value < 2**31 else None


_CLEAN: dict[Kind, Callable[[Any], Cell]] = {
    Kind.TEXT: shown,
    Kind.PROBABILITY: _probability,
    Kind.NUMBER: _rounded(3),
    Kind.WHOLE: _whole,
    Kind.MOMENT: moment,
}
