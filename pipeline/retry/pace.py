"""How long one service takes to answer, learnt from the answers it gave."""

from __future__ import annotations

import random
from collections import deque

FIRST_ASK_S = 0.5
ASK_EVERY = 0.15
SHORTEST_PAUSE_S = 0.35
LONGEST_PAUSE_S = 4.0
"""The pause between two questions for a token is a share of the time it has taken so far: an answer is never
collected much later than it was ready, and a slow one is not asked for hundreds of times.
"""

SHORTEST_KNOWN_PAUSE_S = 0.05
"""Once it is known how long a service takes, the few questions that are left can follow closely."""

_SHORTEST_OF_ALL_S = 0.01
_PACE_MEMORY = 16
_PACE_ENOUGH = 4


class Pace:
    """How long the answers of one service take, learnt from those it gave; shared by the threads that ask it.

    No recent token was settled before `floor_s`: until then a question is wasted, and right after it an answer may
    come any moment. A service that grows faster is noticed by the first question, at half a second.
    """

    def __init__(self) -> None:
        self._pending_s: deque[float] = deque(maxlen=_PACE_MEMORY)

    @property
    def floor_s(self) -> float:
        """The shortest time a recent token was still pending; 0 until enough are known."""
        return min(self._pending_s) if len(self._pending_s) >= _PACE_ENOUGH else 0.0

    def settled(self, pending_s: float) -> None:
        """A token was settled; `pending_s` was its age when it was last found pending."""
        self._pending_s.append(pending_s)

    def pause_s(self, elapsed_s: float) -> float:
        """How long to wait before a token of this age is asked for again."""
        floor_s = self.floor_s
        if elapsed_s < floor_s:
            # Never a pause so short that it leaves the clock where it was.
            return _between(_SHORTEST_OF_ALL_S, floor_s - elapsed_s, LONGEST_PAUSE_S)
        shortest_s = SHORTEST_PAUSE_S if floor_s == 0 else SHORTEST_KNOWN_PAUSE_S
        growing_s = ASK_EVERY * (elapsed_s - floor_s) * random.uniform(0.9, 1.1)
        return _between(shortest_s, growing_s, LONGEST_PAUSE_S)


def _between(least: float, value: float, most: float) -> float:
    return max(least, min(value, most))
