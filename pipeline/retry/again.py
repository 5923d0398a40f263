"""Ask a service again while it is busy or out of reach: a few times, after growing pauses."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt

from pipeline.errors import ServiceBusy, ServiceUnreachable
from pipeline.retry.clock import Clock, SystemClock
from pipeline.retry.retry_after import RETRY_AFTER_MAX_S

NOTHING_TAKEN = (ServiceBusy, ServiceUnreachable)
"""The errors that say that nothing was taken, and so nothing charged."""

_T = TypeVar("_T")
_log = logging.getLogger(__name__)


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
        return max(pause_s * random.uniform(0.5, 1.0), ordered_pause_s(error_of(state)))

    waits = Waits(clock or SystemClock())
    policy = Retrying(
        retry=retry_if_exception_type(NOTHING_TAKEN),
        stop=stop_after_attempt(tries),
        wait=growing,
        before_sleep=waits.announce,
        sleep=waits.sleep,
        reraise=True,
    )
    try:
        return policy(call)
    except Stopped as stopped:
        last = stopped.error
    raise last


class Stopped(Exception):
    """A stop was asked for while waiting, after this error (or none)."""

    def __init__(self, error: BaseException | None) -> None:
        super().__init__()
        self.error = error or self


class Waits:
    """The pauses of one call: announced in the log, and ended by a stop."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last: BaseException | None = None

    def announce(self, state: RetryCallState) -> None:
        self._last = error_of(state)
        if self._last is not None:
            _log.info(
                "The service is asked again after a pause: tries=%d pause_s=%.1f error=%s",
                state.attempt_number,
                state.upcoming_sleep,
                self._last,
            )

    def sleep(self, seconds: float) -> None:
        if self._clock.wait(seconds):
            raise Stopped(self._last)


def error_of(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


def ordered_pause_s(error: BaseException | None) -> float:
    ordered_s = error.retry_after_s if isinstance(error, ServiceBusy) else None
    return max(0.0, min(ordered_s or 0.0, RETRY_AFTER_MAX_S))
