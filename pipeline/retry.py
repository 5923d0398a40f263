"""The one policy for asking a service again: when, how often, how soon, and when to let it be.

Three rules keep it safe with money. Only errors that say nothing was taken are tried again (ServiceBusy,
ServiceUnreachable); an upload in doubt is not among them. Nobody below this file repeats a request. And a
stop ends every wait at once.
"""

from __future__ import annotations

import heapq
import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import count
from typing import Protocol, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt

from pipeline.errors import BadReply, ServiceBusy, ServiceUnreachable, TokenLost
from pipeline.model import Recognition, Status

TOKEN_LIFE_S = 295.0
"""A token lives five minutes from the creation of its job, which is a moment before we hold it."""

FIRST_ASK_S = 0.5
ASK_EVERY = 0.15
SHORTEST_PAUSE_S = 0.35
LONGEST_PAUSE_S = 4.0
"""The pause between two questions for a token is a share of the time it has taken so far: an answer is never
collected much later than it was ready, and a slow one is not asked for hundreds of times.
"""

RETRY_AFTER_MAX_S = 300.0
"""The longest pause a service may order: a wrong clock on either side must not halt a run for hours."""

SHORTEST_KNOWN_PAUSE_S = 0.15
"""Once it is known how long a service takes, the few questions that are left can follow closely."""

_SHORTEST_OF_ALL_S = 0.01
_PACE_MEMORY = 16
_PACE_ENOUGH = 4

_BAD_REPLIES = 3
"""A garbled answer to a free question is asked for again, this often in a row, before it is believed."""

_NOTHING_TAKEN = (ServiceBusy, ServiceUnreachable)

_T = TypeVar("_T")
_log = logging.getLogger(__name__)


class Clock(Protocol):
    """Time, and the way to let it pass."""

    def now(self) -> float:
        """Seconds on a clock that never goes back."""

    def wait(self, seconds: float) -> bool:
        """Let the time pass; True, and at once, when a stop was asked for."""


class SystemClock:
    """The machine's clock; its waits end as soon as `stop` is set."""

    def __init__(self, stop: threading.Event | None = None) -> None:
        self._stop = stop or threading.Event()

    def now(self) -> float:
        return time.monotonic()

    def wait(self, seconds: float) -> bool:
        return self._stop.wait(max(0.0, seconds))


def retrying(
    call: Callable[[], _T],
    *,
    tries: int = 5,
    first_pause_s: float = 1.0,
    longest_pause_s: float = 30.0,
    clock: Clock | None = None,
) -> _T:
    """What `call` returns, asked up to `tries` times while the service is busy or out of reach.

    For calls that cost nothing when repeated. Pauses double, with jitter, and are never shorter than the
    service asked for. The last error is raised when the tries are used up, or at once when a stop is asked
    for.
    """

    def growing(state: RetryCallState) -> float:
        pause_s = min(longest_pause_s, first_pause_s * 2.0 ** (state.attempt_number - 1))
        return max(pause_s * random.uniform(0.5, 1.0), _ordered_pause_s(_error(state)))

    waits = _Waits(clock or SystemClock())
    policy = Retrying(
        retry=retry_if_exception_type(_NOTHING_TAKEN),
        stop=stop_after_attempt(tries),
        wait=growing,
        before_sleep=waits.announce,
        sleep=waits.sleep,
        reraise=True,
    )
    try:
        return policy(call)
    except _Stopped as stopped:
        last = stopped.error
    raise last


def poll(
    result: Callable[[str], Recognition],
    token: str,
    *,
    age_s: float = 0.0,
    life_s: float = TOKEN_LIFE_S,
    pace: Pace | None = None,
    clock: Clock | None = None,
) -> Recognition:
    """The settled answer behind a token that is `age_s` old; a PENDING one only if a stop was asked for.

    `pace`, shared by all tokens of a service, spares the questions that would come too early.

    An answer that was paid for is worth patience: a service that is busy or out of reach is asked again as
    long as the token lives. An old token is asked for once, at least. TokenLost when nothing settled within
    its life, the service's own error when it could not be asked.
    """
    clock = clock or SystemClock()
    waits = _Waits(clock)
    pace = pace or Pace()
    born = clock.now() - age_s
    garbled = 0
    pending_s = 0.0

    def unsettled(state: RetryCallState) -> bool:
        nonlocal garbled, pending_s
        error = _error(state)
        garbled = garbled + 1 if isinstance(error, BadReply) else 0
        if error is None:
            settled = not state.outcome or state.outcome.result().status is not Status.PENDING
            if settled:
                pace.settled(pending_s)
            else:
                pending_s = clock.now() - born
            return not settled
        return isinstance(error, _NOTHING_TAKEN) or 0 < garbled < _BAD_REPLIES

    def schedule(state: RetryCallState) -> float:
        elapsed_s = clock.now() - born
        pause_s = pace.pause_s(elapsed_s)
        return min(max(pause_s, _ordered_pause_s(_error(state))), max(0.0, life_s - elapsed_s))

    def give_up(state: RetryCallState) -> Recognition:
        error = _error(state)
        if error is not None:
            raise error
        raise TokenLost(
            f"the service gave no answer for the token {token} in {life_s:.0f} s",
            hint="what was charged for it stays charged; the segment counts as failed",
        )

    if clock.wait(FIRST_ASK_S - age_s):
        return Recognition(Status.PENDING, token=token)
    policy = Retrying(
        retry=unsettled,
        stop=lambda _: clock.now() - born >= life_s,
        wait=schedule,
        before_sleep=waits.announce,
        sleep=waits.sleep,
        retry_error_callback=give_up,
    )
    try:
        return policy(result, token)
    except _Stopped:
        return Recognition(Status.PENDING, token=token)


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


def retry_after_s(header: str | None, *, date: str | None = None) -> float | None:
    """The pause a `Retry-After` header orders, `RETRY_AFTER_MAX_S` at most; None when it cannot be read.

    A date in it is measured against the service's own `Date` header where there is one: its clock may be
    wrong.
    """
    if not header:
        return None
    try:
        seconds = float(header)
    except ValueError:
        until = _http_date(header)
        if until is None:
            return None
        seconds = (until - (_http_date(date) or datetime.now(UTC))).total_seconds()
    # A NaN fails every comparison, so it must not reach min and max.
    return _between(0.0, seconds, RETRY_AFTER_MAX_S) if seconds == seconds else None


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

    def turn(self, priority: float = 0.0) -> bool:
        """Wait for a turn. False when a stop was asked for: the caller must not send.

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
                    now = self._clock.now()
                    if now >= self._next_turn:
                        self._next_turn = now + self._pause_s
                        return True
                    pause_s = self._next_turn - now
                if self._clock.wait(pause_s):
                    return False
        finally:
            with self._changed:
                self._queue.remove(ticket)
                heapq.heapify(self._queue)
                self._changed.notify_all()


class _Stopped(Exception):
    """A stop was asked for while waiting, after this error (or none)."""

    def __init__(self, error: BaseException | None) -> None:
        super().__init__()
        self.error = error or self


class _Waits:
    """The pauses of one call: announced in the log, and ended by a stop."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last: BaseException | None = None

    def announce(self, state: RetryCallState) -> None:
        self._last = _error(state)
        if self._last is not None:
            _log.info(
                "The service is asked again after a pause: tries=%d pause_s=%.1f error=%s",
                state.attempt_number,
                state.upcoming_sleep,
                self._last,
            )

    def sleep(self, seconds: float) -> None:
        if self._clock.wait(seconds):
            raise _Stopped(self._last)


def _error(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


def _ordered_pause_s(error: BaseException | None) -> float:
    ordered_s = error.retry_after_s if isinstance(error, ServiceBusy) else None
    return _between(0.0, ordered_s or 0.0, RETRY_AFTER_MAX_S)


def _between(least: float, value: float, most: float) -> float:
    return max(least, min(value, most))


def _http_date(text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
