"""A clock for tests: waiting takes no time and is written down."""

from __future__ import annotations


class FakeClock:
    """Time passes only by waiting; after `stop_after_s` a stop is asked for."""

    def __init__(self, *, stop_after_s: float = float("inf")) -> None:
        self.time_s = 1000.0
        self.waits: list[float] = []
        self._stop_at_s = self.time_s + stop_after_s

    def now(self) -> float:
        return self.time_s

    def wait(self, seconds: float) -> bool:
        seconds = max(0.0, seconds)
        self.waits.append(seconds)
        stopped = self.time_s + seconds >= self._stop_at_s
        self.time_s = self._stop_at_s if stopped else self.time_s + seconds
        return stopped
