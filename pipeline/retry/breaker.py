"""When a service fails for everybody, leave it alone; one request at a time finds out whether it is back.

       failures in a row                       the pause is over
closed ─────────────────► open, for a pause ───────────────────► one trial
  ▲                          ▲                                     │    │
  │                          └───────── it failed: longer ─────────┘    │
  └──────────────────────────── the service answered ──────────────────┘
open for longer than `patience_s`, or too many trials that may have cost money ──► ServiceDown, for everybody
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar

from pipeline.errors import (
    BadReply,
    ServiceBusy,
    ServiceDown,
    ServiceError,
    ServiceUnreachable,
    UploadInDoubt,
)
from pipeline.retry.again import ordered_pause_s
from pipeline.retry.clock import Clock

PATIENCE_S = 600.0
"""A restart or a router's bad moment is over in ten minutes; what is not, a person should look at."""

FAILURES = 5
"""So many requests in a row, of all threads, fail without a charge before the service is left alone."""

DOUBTS = 8
"""So many uploads in a row may break off (a network that changes breaks all that are in flight), and so many
trials after that, since each of them may have cost its seconds.
"""

FIRST_PAUSE_S = 5.0
LONGEST_PAUSE_S = 60.0
"""Tokens live five minutes: a longer pause would lose answers that are paid for."""

LATER_S = 1.0
"""How much longer than a free question an upload leaves the service alone."""

_LOOK_EVERY_S = 0.2
_SHORTEST_S = 0.001
"""A shorter pause could leave a clock where it was, for ever."""

_FAILURES = (ServiceBusy, ServiceUnreachable, UploadInDoubt, BadReply)

_T = TypeVar("_T")
_log = logging.getLogger(__name__)


class StoppedWaiting(Exception):
    """A stop was asked for before the service could be asked."""


class CircuitBreaker:
    """Guards one service for all threads that ask it."""

    def __init__(
        self,
        name: str,
        *,
        clock: Clock,
        patience_s: float = PATIENCE_S,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`clock` measures; each call brings the clock it waits by. `tell` hears what is waited for and until when,
        and "" when the service answers again.
        """
        self._name = name
        self._clock = clock
        self._patience_s = patience_s
        self._tell = tell
        self._changed = threading.Condition()
        self._failures = 0
        self._doubts = 0
        self._failing_since_s = 0.0
        self._pauses = 0
        self._until_s = 0.0
        self._open = False
        self._trial: int | None = None
        self._down: ServiceDown | None = None
        self._said_something = False

    def through(self, call: Callable[[], _T], *, clock: Clock, costs: bool = False) -> _T:
        """What `call` returns, once the service may be asked.

        A call that `costs` lets the free ones try first. Raises what `call` raises, StoppedWaiting when `clock` says
        so, ServiceDown when the service was given up.
        """
        self._enter(clock, LATER_S if costs else 0.0)
        try:
            returned = call()
        except _FAILURES as error:
            self._failed(error)
            raise
        except ServiceError:
            self._answered()  # a refusal in plain words is an answer
            raise
        except BaseException:
            self._left()
            raise
        self._answered()
        return returned

    def _enter(self, clock: Clock, later_s: float) -> None:
        me = threading.get_ident()
        while True:
            with self._changed:
                if self._down is not None:
                    raise self._down
                may_at_s = self._until_s + (later_s if self._open else 0.0)
                pause_s = may_at_s - self._clock.now()
                if pause_s < _SHORTEST_S and self._trial is None:
                    self._trial = me if self._open else None
                    return
                if pause_s < _SHORTEST_S:
                    self._changed.wait(_LOOK_EVERY_S)
                    pause_s = 0.0
            if clock.wait(pause_s):
                raise StoppedWaiting

    def _left(self) -> None:
        """A trial ended without saying anything of the service: the next one tries."""
        with self._changed:
            if self._trial == threading.get_ident():
                self._trial = None
                self._changed.notify_all()

    def _answered(self) -> None:
        with self._changed:
            said, self._said_something = self._said_something, False
            self._failures = self._doubts = self._pauses = 0
            self._open, self._trial = False, None
            self._changed.notify_all()
        if said:
            _log.info("The service answers again: service=%s", self._name)
            self._tell("")

    def _failed(self, error: ServiceError) -> None:
        with self._changed:
            now = self._clock.now()
            if not self._failures and not self._doubts:
                self._failing_since_s = now
            was_trial = self._open and self._trial == threading.get_ident()
            if not isinstance(error, UploadInDoubt):
                self._failures += 1
            elif was_trial or not self._open:
                # What broke off together with others, after they had opened it, was the same bad moment.
                self._doubts += 1
            if was_trial:
                self._trial = None
            ordered_s = ordered_pause_s(error)
            self._until_s = max(self._until_s, now + ordered_s)
            opens = not self._open and (self._failures >= FAILURES or self._doubts >= DOUBTS)
            if was_trial or opens:
                self._leave_alone(now, error)
            said = self._said(now, error) if self._open or ordered_s else ""
            self._said_something = self._said_something or bool(said)
            self._changed.notify_all()
        if said:
            _log.info("The service is left alone: service=%s %s", self._name, said)
            self._tell(said)

    def _leave_alone(self, now: float, error: ServiceError) -> None:
        self._open = True
        failing_s = now - self._failing_since_s
        if failing_s >= self._patience_s or self._doubts >= 2 * DOUBTS:
            self._down = ServiceDown(
                f"{self._name} was given up after {_span(failing_s)} without an answer: {error.message}",
                hint="nothing more is sent; when the service answers again, the same command goes on",
                raw=error.raw,
            )
            return
        pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0**self._pauses) * random.uniform(0.8, 1.0)
        pause_s = min(pause_s, max(0.1, self._failing_since_s + self._patience_s - now))
        self._pauses += 1
        self._until_s = max(self._until_s, now + pause_s)

    def _said(self, now: float, error: ServiceError) -> str:
        if self._down is not None:
            return self._down.message
        pause_s = max(0.0, self._until_s - now)
        until = datetime.now().astimezone() + timedelta(seconds=pause_s)
        said = f"{self._name} is left alone until {until:%H:%M:%S} ({error.message})"
        if self._open:
            left_s = self._failing_since_s + self._patience_s - now
            said += f", and given up in {_span(left_s)} if it stays so"
        return said


def _span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
