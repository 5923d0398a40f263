"""How many uploads may be on their way at once, so that every answer is collected while its token lives."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.retry.polling import TOKEN_LIFE_S

FIRST_WIDTH = 8
"""Until it is known how fast answers can be collected, no more than this: half a minute for each is time enough."""

SOON_S = TOKEN_LIFE_S / 4
LATE_S = TOKEN_LIFE_S / 2


class Window:
    """Lets `most` threads pass at once, and fewer where answers are collected late in their tokens' lives.

    When a whole window's worth of answers in a row was collected in the first quarter of their tokens' lives, twice as
    many will still be in the first half. One that was collected in the second half (or never) halves the window:
    uploads slow down long before tokens expire.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._width = min(most, FIRST_WIDTH)
        self._inside = 0
        self._soon = 0
        self._changed = threading.Condition()

    @property
    def width(self) -> int:
        """How many may be inside at this moment."""
        return self._width

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place for one upload, from before it is sent until its answer is collected; waited for if need be."""
        with self._changed:
            self._changed.wait_for(lambda: self._inside < self._width)
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    def collected(self, age_s: float) -> None:
        """An answer was collected, or given up, when its token was so old."""
        with self._changed:
            self._soon = self._soon + 1 if age_s <= SOON_S else 0
            if age_s >= LATE_S:
                self._width = max(1, self._width // 2)
            elif self._soon >= self._width:
                self._width, self._soon = min(self._most, 2 * self._width), 0
            self._changed.notify_all()
