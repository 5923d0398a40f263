"""What all threads of a run share about each paid service: its pace, whether it is down, how many uploads it gets."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from pipeline.model import Recognizer
from pipeline.retry import PATIENCE_S, CircuitBreaker, Clock, Pace, Window


@dataclass(frozen=True, slots=True)
class _Service:
    pace: Pace
    breaker: CircuitBreaker
    window: Window


class Services:
    """The services of one run, each met when it is first asked."""

    def __init__(
        self,
        *,
        clock: Clock,
        jobs: int = 8,
        patience_s: float = PATIENCE_S,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`jobs`: uploads on their way at once, at most. `patience_s`: how long a service that fails is borne with.
        `tell` hears what is waited for, in words, and "" when nothing is.
        """
        self._clock = clock
        self._jobs = jobs
        self._patience_s = patience_s
        self._tell = tell
        self._met: dict[str, _Service] = {}
        self._lock = threading.Lock()

    def pace(self, recognizer: Recognizer) -> Pace:
        return self._service(recognizer).pace

    def breaker(self, recognizer: Recognizer) -> CircuitBreaker:
        return self._service(recognizer).breaker

    def window(self, recognizer: Recognizer) -> Window:
        return self._service(recognizer).window

    def _service(self, recognizer: Recognizer) -> _Service:
        with self._lock:
            if recognizer.name not in self._met:
                self._met[recognizer.name] = _Service(
                    Pace(),
                    CircuitBreaker(
                        recognizer.name, clock=self._clock, patience_s=self._patience_s, tell=self._tell
                    ),
                    Window(self._jobs),
                )
            return self._met[recognizer.name]
