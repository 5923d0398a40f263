"""What a run may spend, and what it has set aside."""

from __future__ import annotations

import math
import threading

from pipeline.errors import CapReached


class Budget:
    """The seconds a run may still send; threads take from it before they spend."""

    def __init__(self, limit_s: float | None) -> None:
        self._limit_s = limit_s
        self._taken_s = 0.0
        self._lock = threading.Lock()

    def take(self, seconds: float) -> None:
        """Set these seconds aside. Raises CapReached when the limit does not allow them."""
        with self._lock:
            if self._limit_s is not None and self._taken_s + seconds > self._limit_s:
                raise CapReached(
                    f"the limit of {self._limit_s:g} credits is used up ({self._taken_s:g} spent)",
                    hint="run the same command again with a higher --max-credits: it goes on where this one stopped",
                )
            self._taken_s += seconds

    def charged_more(self, seconds: float) -> None:
        """The service took so much more than was set aside; the next `take` will feel it."""
        with self._lock:
            self._taken_s += seconds

    def give_back(self, seconds: float) -> None:
        """These seconds were not spent after all."""
        with self._lock:
            self._taken_s -= seconds


def charged_seconds(length_s: float) -> float:
    """What a service charges for a segment of this length: every second begun."""
    return float(math.ceil(round(length_s, 3)))
