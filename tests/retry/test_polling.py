"""How an answer is waited for."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import (
    BadReply,
    KeyRefused,
    ServiceBusy,
    ServiceUnreachable,
    TokenLost,
)
from pipeline.model import Recognition, Status
from pipeline.retry import poll
from pipeline.retry.pace import LONGEST_PAUSE_S, SHORTEST_PAUSE_S
from tests.retry.answers import FOUND, PENDING, ready_after, saying
from tests.services.clock import FakeClock


def test_a_token_is_first_asked_for_after_half_a_second() -> None:
    clock = FakeClock()
    result, asked = ready_after(0, clock)

    assert poll(result, "t", clock=clock) is FOUND
    assert asked == [0.5]


def test_a_three_second_recognition_is_collected_soon_after_and_with_few_questions() -> None:
    for _ in range(50):
        clock = FakeClock()
        result, asked = ready_after(3.0, clock)

        poll(result, "t", clock=clock)

        assert asked[-1] - 3.0 < 0.6
        assert len(asked) <= 10


@given(st.floats(0, 290))
def test_no_answer_waits_longer_than_its_share(ready_s: float) -> None:
    clock = FakeClock()
    result, asked = ready_after(ready_s, clock)

    assert poll(result, "t", clock=clock) is FOUND

    late_s = asked[-1] - ready_s
    assert late_s <= max(0.5, SHORTEST_PAUSE_S, min(LONGEST_PAUSE_S, 0.15 * 1.1 * ready_s)) + 1e-6
    pauses = [later - earlier for earlier, later in pairwise(asked)]
    assert all(SHORTEST_PAUSE_S - 1e-6 <= pause <= LONGEST_PAUSE_S + 1e-6 for pause in pauses)
    assert len(asked) < 110


def test_a_token_that_is_pending_for_ever_is_handed_back_before_its_five_minutes_are_over() -> None:
    clock = FakeClock()
    result, asked = ready_after(10_000, clock)

    assert poll(result, "t", clock=clock) == PENDING
    assert 290 < asked[-1] <= 300


def test_an_old_token_is_asked_for_once_and_at_once_for_only_the_service_knows_that_it_is_dead() -> None:
    clock = FakeClock()

    assert poll(saying(FOUND), "t", age_s=9_000, clock=clock) is FOUND
    assert poll(saying(PENDING), "t", age_s=9_000, clock=clock) == PENDING
    with pytest.raises(TokenLost, match="invalid token"):
        poll(saying(TokenLost("invalid token")), "t", age_s=9_000, clock=clock)
    assert sum(clock.waits) == 0


def test_an_answer_that_was_paid_for_survives_a_service_that_is_away_for_minutes() -> None:
    clock = FakeClock()
    away = [ServiceUnreachable("gone"), ServiceBusy("busy")] * 20

    assert poll(saying(*away, PENDING, FOUND), "t", clock=clock) is FOUND


def test_a_service_that_stays_away_is_named_when_the_token_is_given_up() -> None:
    clock = FakeClock()

    with pytest.raises(ServiceUnreachable, match="gone"):
        poll(saying(*[ServiceUnreachable("gone")] * 1000), "t", clock=clock)
    assert sum(clock.waits) <= 300


def test_polling_waits_as_long_as_the_service_ordered() -> None:
    clock = FakeClock()

    poll(saying(ServiceBusy("", retry_after_s=42), FOUND), "t", clock=clock)

    assert clock.waits == [0.5, 42]


def test_a_garbled_answer_is_asked_for_again_but_believed_in_the_end() -> None:
    bad = BadReply("<html>")

    assert poll(saying(bad, bad, PENDING, bad, bad, FOUND), "t", clock=FakeClock()) is FOUND
    with pytest.raises(BadReply, match="<html>"):
        poll(saying(bad, bad, bad, FOUND), "t", clock=FakeClock())


@pytest.mark.parametrize("error", [TokenLost("gone"), KeyRefused("no"), ZeroDivisionError("a bug")])
def test_every_other_error_ends_the_polling(error: Exception) -> None:
    with pytest.raises(type(error), match=str(error)):
        poll(saying(PENDING, error, FOUND), "t", clock=FakeClock())


@pytest.mark.parametrize("stop_after_s", [0, 0.1, 2, 100])
def test_a_stop_leaves_the_token_pending(stop_after_s: float) -> None:
    clock = FakeClock(stop_after_s=stop_after_s)

    answer = poll(saying(*[PENDING, ServiceBusy("busy")] * 100), "t", clock=clock)

    assert answer == Recognition(Status.PENDING, token="t")
