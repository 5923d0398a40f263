"""Wait for the answer behind a token."""

from __future__ import annotations

from collections.abc import Callable

from tenacity import RetryCallState, Retrying

from pipeline.errors import BadReply
from pipeline.model import Recognition, Status
from pipeline.retry.again import NOTHING_TAKEN, Stopped, Waits, error_of, ordered_pause_s
from pipeline.retry.clock import Clock, SystemClock
from pipeline.retry.pace import FIRST_ASK_S, Pace

TOKEN_LIFE_S = 295.0
"""A token lives five minutes from the creation of its job, which is a moment before we hold it. This plans how long
to ask; it never says that a token is dead.
"""

_BAD_REPLIES = 3
"""A garbled answer to a free question is asked for again, this often in a row, before it is believed."""


def poll(
    result: Callable[[str], Recognition],
    token: str,
    *,
    age_s: float = 0.0,
    life_s: float = TOKEN_LIFE_S,
    pace: Pace | None = None,
    clock: Clock | None = None,
) -> Recognition:
    """The settled answer behind a token that is `age_s` old; a PENDING one when it is not settled by `life_s`, or a
    stop was asked for.

    `pace`, shared by all tokens of a service, spares the questions that would come too early.

    An answer that was paid for is worth patience: a service that is busy or out of reach is asked again until
    `life_s`, and its own error is raised if it could not be asked at all. A token of any age is asked for once, at
    least: whether it still lives is the service's to say, never a clock's.
    """
    clock = clock or SystemClock()
    waits = Waits(clock)
    pace = pace or Pace()
    born = clock.now() - age_s
    garbled = 0
    pending_s = 0.0

    def unsettled(state: RetryCallState) -> bool:
        nonlocal garbled, pending_s
        error = error_of(state)
        garbled = garbled + 1 if isinstance(error, BadReply) else 0
        if error is None:
            settled = not state.outcome or state.outcome.result().status is not Status.PENDING
            if settled:
                pace.settled(pending_s)
            else:
                pending_s = clock.now() - born
            return not settled
        return isinstance(error, NOTHING_TAKEN) or 0 < garbled < _BAD_REPLIES

    def schedule(state: RetryCallState) -> float:
        elapsed_s = clock.now() - born
        pause_s = pace.pause_s(elapsed_s)
        return min(max(pause_s, ordered_pause_s(error_of(state))), max(0.0, life_s - elapsed_s))

    def give_up(state: RetryCallState) -> Recognition:
        error = error_of(state)
        if error is not None:
            raise error
        return Recognition(Status.PENDING, token=token)

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
    except Stopped:
        return Recognition(Status.PENDING, token=token)
