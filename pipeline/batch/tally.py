"""What a run has done so far: written by its threads, read by whoever shows progress."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field, replace

from pipeline.model import FileStatus


@dataclass(frozen=True, slots=True)
class Counts:
    """One moment of a run."""

    total: int | None = None
    """Files below the paths given, once the walk has counted them."""
    done: int = 0
    """Files with an answer, of this run or an earlier one."""
    unchanged: int = 0
    """Of these: answered by an earlier run and untouched since, so not even decoded."""
    by_status: Counter[FileStatus] = field(default_factory=Counter)
    segments_sent: int = 0
    """Uploads to paid services in this run."""
    segments_reused: int = 0
    """Segments whose answer was already paid for."""
    segments_alike: int = 0
    """Of these: known by their sound, as the same recording in another encoding."""
    credits: float = 0.0
    """Seconds charged in this run."""
    in_flight: int = 0
    """Uploads whose answer is awaited."""
    waiting_for: str = ""
    """Why nothing moves, in words for a person; empty while things move."""


class Tally:
    """Counts that threads may add to."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = Counts()

    def now(self) -> Counts:
        """The counts at this moment; the caller's to keep."""
        with self._lock:
            return replace(self._counts, by_status=Counter(self._counts.by_status))

    def counted(self, total: int) -> None:
        with self._lock:
            self._counts = replace(self._counts, total=total)

    def file_done(self, status: FileStatus, *, unchanged: bool = False) -> None:
        with self._lock:
            by_status = Counter(self._counts.by_status)
            by_status[status] += 1
            self._counts = replace(
                self._counts,
                done=self._counts.done + 1,
                unchanged=self._counts.unchanged + unchanged,
                by_status=by_status,
            )

    def sent(self, charged_s: float) -> None:
        with self._lock:
            self._counts = replace(
                self._counts,
                segments_sent=self._counts.segments_sent + 1,
                credits=self._counts.credits + charged_s,
            )

    def reused(self, *, alike: bool = False) -> None:
        with self._lock:
            self._counts = replace(
                self._counts,
                segments_reused=self._counts.segments_reused + 1,
                segments_alike=self._counts.segments_alike + alike,
            )

    def in_flight(self, change: int) -> None:
        with self._lock:
            self._counts = replace(self._counts, in_flight=self._counts.in_flight + change)

    def waiting_for(self, what: str) -> None:
        with self._lock:
            self._counts = replace(self._counts, waiting_for=what)
