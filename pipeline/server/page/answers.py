"""A job's record in the words that people read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pipeline.scale import probability
from pipeline.server.rows import Record, State


@dataclass(frozen=True, slots=True)
class Name:
    """One name of a recording; empty and None mean unknown."""

    title: str
    artist: str
    album: str
    year: int | None


@dataclass(frozen=True, slots=True)
class Found:
    """One recording that was heard."""

    name: Name
    also: tuple[Name, ...]
    track_id: str
    confidence: float
    start_s: float
    end_s: float
    track_start_s: float | None

    @property
    def sure(self) -> str:
        """The confidence in words."""
        words = ((0.99, "Certain"), (0.95, "Almost certain"), (0.85, "Very likely"), (0.7, "Likely"))
        return next((word for least, word in words if self.confidence >= least), "Possible")

    @property
    def percent(self) -> str:
        """The confidence as a number. Never 100: nothing is."""
        return f"{min(self.confidence * 100, 99.9):.1f} %"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a job."""

    state: State
    made_at: datetime
    start_s: float
    length_s: float
    found: tuple[Found, ...]
    """Likeliest first; empty also while the job waits."""

    @property
    def end_s(self) -> float:
        return self.start_s + self.length_s

    @property
    def waits(self) -> bool:
        return self.state is State.WAITING

    @property
    def failed(self) -> bool:
        return self.state is State.FAILED


def answer_of(record: Record) -> Answer:
    """A job's record as people read it."""
    said = json.loads(record.reply) if record.reply else {}
    candidates = said.get("data", [])
    # Places are written with every answer; only one that an earlier earmark gave has none.
    places = json.loads(record.places) if record.places else map(_place_told, candidates)
    found = []
    for candidate, place in zip(candidates, places, strict=True):
        name, *also = (
            Name(title, artist, album, year or None) for title, artist, album, year in candidate["tracks"]
        )
        found.append(Found(name, tuple(also), **place))
    made_at = datetime.fromtimestamp(record.created_at, UTC)
    return Answer(record.state, made_at, record.start_s, record.length_s, tuple(found))


def _place_told(candidate: dict[str, Any]) -> dict[str, Any]:
    """As much of a place as the API's own words tell."""
    start_s, end_s = (float(word) for word in candidate["time"].split(" - "))
    sure = probability(candidate["confidence"])
    return {"track_id": "", "confidence": sure, "start_s": start_s, "end_s": end_s, "track_start_s": None}


def clock(seconds: float) -> str:
    """A time within a recording: `0:07`, `12:30`, `1:02:03`."""
    whole = max(round(seconds), 0)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"
