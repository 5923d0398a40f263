"""What the catalogue says of its tracks, and how that is written down."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from pipeline.model import Pcm


@dataclass(frozen=True, slots=True)
class KnownTrack:
    """A recording the catalogue can name."""

    track_id: str
    """Empty when adding: the catalogue then takes the first 16 digits of the PCM's sha256."""
    title: str = ""
    artist: str = ""
    album: str = ""
    year: int | None = None
    path: str = ""
    """Where it came from, as Python's file functions spell it (`os.fsdecode`): need not be valid Unicode."""
    duration_s: float = 0.0
    """Measured while fingerprinting."""
    pcm_sha256: str = ""
    """Measured while fingerprinting: equal audio is stored once."""
    size_bytes: int = 0
    mtime_ns: int = 0
    """Of the source file when it was added, for callers who want to skip unchanged files."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A track to add, and its sound: 8 kHz mono int16 in blocks of any size, read once."""

    track: KnownTrack
    pcm: Iterable[Pcm] = field(repr=False)


def to_row(track: KnownTrack) -> list[Any]:
    """The track as JSON takes it; a path that is not Unicode keeps its surrogates as \\udcXX escapes."""
    return [
        track.track_id, track.title, track.artist, track.album, track.year, track.path,
        track.duration_s, track.pcm_sha256, track.size_bytes, track.mtime_ns,
    ]  # fmt: skip


def from_row(row: list[Any]) -> KnownTrack:
    """The inverse of `to_row`."""
    return KnownTrack(*row)
