"""Turns for requests, evenly spaced."""

from __future__ import annotations

import heapq
import threading
from itertools import count

from pipeline.retry.clock import Clock, SystemClock

_LOOK_EVERY_S = 0.2


class RateLimit:
    """Turns for requests, evenly spaced, handed out among threads to the lowest `priority` first."""

    def __init__(self, per_second: float | None, *, clock: Clock | None = None) -> None:
        """`per_second` None: no limit."""
        self._pause_s = 1.0 / per_second if per_second else 0.0
        self._clock = clock or SystemClock()
        self._changed = threading.Condition()
        self._queue: list[tuple[float, int]] = []
        self._numbers = count()
        self._next_turn = self._clock.now()

    def waiting(self) -> int:
        """How many threads wait for a turn."""
        with self._changed:
            return len(self._queue)

    def turn(self, priority: float = 0.0, *, stop: threading.Event | None = None) -> bool:
        """Wait for a turn. False when a stop was asked for, of the clock or by `stop`: the caller must not send.

        Pass the moment a token was born, and answers that were paid for earliest are collected before newer
        ones and before new uploads.
        """
        with self._changed:
            ticket = (priority, next(self._numbers))
            heapq.heappush(self._queue, ticket)
        try:
            while True:
                with self._changed:
                    # Only the first in the queue watches the clock; it wakes the others when it leaves.
                    self._changed.wait_for(lambda: self._queue[0] == ticket)
                    if stop is not None and stop.is_set():
                        return False
                    now = self._clock.now()
                    if now >= self._next_turn:
                        self._next_turn = now + self._pause_s
                        return True
                    pause_s = self._next_turn - now
                # In slices where a stop may come: turns can lie minutes apart.
                if self._clock.wait(pause_s if stop is None else min(pause_s, _LOOK_EVERY_S)):
                    return False
        finally:
            with self._changed:
                self._queue.remove(ticket)
                heapq.heapify(self._queue)
                self._changed.notify_all()
