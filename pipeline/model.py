"""The nouns of the trade, and the one promise every recognizer keeps.

Times are seconds from the start of a file unless the name says otherwise; PCM is 8 kHz, mono, int16.
"""

from __future__ import annotations

import hashlib
import os
import threading
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

RATE_HZ = 8000
"""The one sample rate of probes, catalogue and service (the AudioTag document's native format)."""

MIN_SEGMENT_S = 5.0
"""Below this the service refuses audio, and so do we, before anything is spent."""

MAX_SEGMENT_S = 30.0
"""The document's optimum is 15 to 30 s; more costs more and says no more."""

Pcm = npt.NDArray[np.int16]


class Status(StrEnum):
    """What a recognizer says of one probe."""

    PENDING = "pending"
    FOUND = "found"
    NOT_FOUND = "not_found"


class FileStatus(StrEnum):
    """What a run says of one source file: the `status` column of the report."""

    FOUND = "found"
    NOT_FOUND = "not_found"
    TOO_SHORT = "too_short"
    SILENT = "silent"
    NO_AUDIO = "no_audio"
    UNREADABLE = "unreadable"
    FAILED = "failed"
    PENDING = "pending"


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file the walk met, as it was at that moment; `size_bytes` and `mtime_ns` tell later whether it changed."""

    path: bytes
    """Absolute, as the file system spells it: a name need not be UTF-8."""
    shown_path: str
    """Relative to the folder the user gave, with `/`; bytes that are not UTF-8 appear as surrogates."""
    size_bytes: int
    mtime_ns: int

    @property
    def fs_path(self) -> str:
        """The path as Python's own file functions take it."""
        return os.fsdecode(self.path)


@dataclass(frozen=True, slots=True)
class Tags:
    """What a file says of itself; never believed, only reported. An empty string means the tag is absent."""

    title: str = ""
    artist: str = ""
    album: str = ""
    year: int | None = None


@dataclass(frozen=True, slots=True)
class Segment:
    """A span of a source file."""

    start_s: float
    length_s: float

    @property
    def end_s(self) -> float:
        return self.start_s + self.length_s


@dataclass(frozen=True)
class Probe:
    """The audio of one segment, as it is handed to a recognizer."""

    pcm: Pcm

    @property
    def length_s(self) -> float:
        return len(self.pcm) / RATE_HZ

    @cached_property
    def sha256(self) -> str:
        """The name of this audio in the ledger: equal samples are never paid for twice."""
        return hashlib.sha256(self.pcm.astype("<i2", copy=False).tobytes()).hexdigest()


@dataclass(frozen=True, slots=True)
class Track:
    """A recording, as far as a recognizer can name it. Empty strings and None mean unknown."""

    title: str
    artist: str = ""
    album: str = ""
    year: int | None = None
    track_id: str = ""
    """The recognizer's own name for the recording (the catalogue's id, AudioTag's `aid`), when it has one."""


@dataclass(frozen=True, slots=True)
class Match:
    """One candidate for one probe."""

    track: Track
    confidence: float
    """The probability, 0 to 1, that this recording is what the probe holds."""
    raw_score: float | None = None
    """The service's own number, on its own scale. Not a percentage, whatever the document says."""
    start_s: float | None = None
    end_s: float | None = None
    """Where in the probe the track is heard; None where the recognizer does not say."""
    track_start_s: float | None = None
    """The position in the track that is heard at the start of the probe; negative when the track starts later."""
    also: tuple[Track, ...] = ()
    """Other names of the same recording: reissues, samplers, duplicates in the catalogue."""
    raw: Any = None
    """The row exactly as the service sent it (JSON), for `explain` and for better normalisers to come."""


@dataclass(frozen=True, slots=True)
class Recognition:
    """A recognizer's answer for one probe. Finding nothing is an answer, not an error."""

    status: Status
    token: str = ""
    """With PENDING: what `result` takes."""
    matches: tuple[Match, ...] = ()
    """Best first; empty unless FOUND."""
    charged_s: float = 0.0
    """Seconds the service said it would analyse, and so charge."""
    raw: Any = field(default=None, compare=False)
    """The reply as it came, for the ledger."""


@dataclass(frozen=True, slots=True)
class Play:
    """One uninterrupted hearing of a track in a file or stream."""

    start_s: float
    end_s: float
    track: Track
    confidence: float
    recognizer: str
    raw_score: float | None = None


class Recognizer(Protocol):
    """Whoever can name a probe. Batch, monitor and server are handed one; they never open one."""

    @property
    def name(self) -> str:
        """What ledger and report call it: `catalogue`, `audiotag`, or the URL of another service."""

    @property
    def paid(self) -> bool:
        """Whether every probe sent costs its seconds."""

    @property
    def edition(self) -> str:
        """A word that changes whenever the same probe could get another answer (the catalogue has grown)."""

    def identify(self, probe: Probe) -> Recognition:
        """Ask about a probe. May answer PENDING with a token; a paid recognizer sends at most one upload per call."""

    def result(self, token: str) -> Recognition:
        """The answer behind a token: PENDING until it settles. Costs nothing."""

    def still_names(self, track_id: str) -> bool:
        """Whether an earlier answer that named this track can stand (the catalogue still holds it)."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a service has counted for our key so far, all runs and programs together."""

    uploaded_s: float
    queries: int


@runtime_checkable
class Metered(Protocol):
    """A paid recognizer that keeps count, takes turns, and can be told to send no more."""

    def usage(self) -> Usage:
        """The counters at this moment. Costs nothing."""

    def heed(self, stop: threading.Event) -> None:
        """Send no more uploads once `stop` is set, not even those that already wait for their turn."""

    def wait_for_turn(self) -> bool:
        """Wait until the next `identify` of this thread may go at once; False when a stop was asked for.

        Whoever writes down what is about to be sent does so after this: a wait is no time to be killed in doubt.
        """


@dataclass(frozen=True, slots=True)
class PlayRow:
    """One uninterrupted hearing of a track in a file: a row of the report's second table, columns in this order."""

    path: str
    start_s: float
    end_s: float
    title: str
    artist: str
    album: str
    year: int | None
    confidence: float
    recognizer: str
    raw_score: float | None


@dataclass(frozen=True, slots=True)
class FileRow:
    """One source file in the report, columns in this order. None and "" are empty cells."""

    path: str
    status: str
    title: str = ""
    artist: str = ""
    album: str = ""
    year: int | None = None
    confidence: float | None = None
    verdict: str = ""
    tag_title: str = ""
    tag_artist: str = ""
    tag_album: str = ""
    duration_s: float | None = None
    matched_s: float | None = None
    duplicate_group: str = ""
    segments_sent: int = 0
    segments_agreeing: int = 0
    recognizer: str = ""
    raw_score: float | None = None
    credits: float = 0.0
    tracks: int = 0
    error: str = ""
    identified_at: str = ""
    """UTC, ISO 8601 with seconds, e.g. 2026-11-21T03:00:00Z; empty until the file is answered."""
    content_id: str = ""
