"""What goes into the ledger and comes out of it, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from pipeline.model import FileStatus, Match, Play, Recognition, Segment, Status, Tags, Track, Usage


class UploadState(StrEnum):
    """Where one upload to a paid service stands. Money may have moved in every state but NOT_SENT and CLEARED."""

    INTENDED = "intended"
    """About to be sent. Found at the start of a run, it means: killed in mid-upload, in doubt."""
    NOT_SENT = "not_sent"
    """The service was not reached or refused before taking it: nothing was charged."""
    IN_DOUBT = "in_doubt"
    """The connection broke after the upload began: it may have been charged."""
    CLEARED = "cleared"
    """It broke off, and the service's own counters show that it was not charged."""
    CHARGED = "charged"
    """It broke off, and the service's own counters show that it was charged: paid for, without an answer."""
    SENT = "sent"
    """Taken and charged; the token is known, the answer is not."""
    ANSWERED = "answered"
    """Charged, and the answer is here."""
    REFUSED = "refused"
    """The service will not analyse this audio; sending it again would get the same."""
    LOST = "lost"
    """Charged, and the service no longer knows the token."""


@dataclass(frozen=True, slots=True)
class Upload:
    """One upload as the ledger knows it."""

    upload_id: int
    run_id: int
    sha256: str
    recognizer: str
    state: UploadState
    token: str
    charged_s: float
    recognition: Recognition | None
    error: str
    length_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Baseline:
    """A service's counters, at a moment when nothing was on its way to it."""

    usage: Usage
    upload_id: int
    """The last upload that is in these counters."""


@dataclass(frozen=True, slots=True)
class AskedSegment:
    """One segment of a file, one recognizer, what it said: a line of evidence."""

    segment: Segment
    sha256: str
    recognizer: str
    status: Status | None
    """None: no answer, `error` says why."""
    matches: tuple[Match, ...] = ()
    error: str = ""
    """With an answer: what it cost beyond itself, such as an earlier upload that was charged in vain."""
    paid_with: str = ""
    """The file whose upload this answer was paid with, where it is another one's; filled when evidence is read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """All that is known of one source file."""

    status: FileStatus
    track: Track | None = None
    confidence: float | None = None
    tags: Tags = field(default_factory=Tags)
    duration_s: float | None = None
    matched_s: float | None = None
    segments_agreeing: int = 0
    recognizer: str = ""
    raw_score: float | None = None
    tracks: int = 0
    """How many different tracks were heard."""
    unnamed: int = 0
    """Of a file heard piece by piece: pieces that nobody could name."""
    unanswered: int = 0
    """Of a file heard piece by piece: pieces that got no answer."""
    error: str = ""
    content_id: str = ""
    segments: tuple[AskedSegment, ...] = ()
    plays: tuple[Play, ...] = ()
    asked: Mapping[str, str] = field(default_factory=dict)
    """Which recognizers were there to be asked, in which edition; the later ones only about what the first left."""


@dataclass(frozen=True, slots=True)
class KnownAnswer:
    """An earlier answer to a file, as far as it takes to decide whether it still stands."""

    answer_id: int
    size_bytes: int
    mtime_ns: int
    manner: str
    asked: Mapping[str, str]
    status: FileStatus
    named: frozenset[tuple[str, str]]
    """Every recording it names, as recognizer and track id."""
    unnamed: int
    unanswered: int


@dataclass(frozen=True, slots=True)
class RunInfo:
    """One run of the past, or the one that is going on."""

    run_id: int
    started_at: str
    finished_at: str | None
    ended: str
    """How it ended, in words; empty while it runs, and after a kill."""
