"""How a service's pace is learnt."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.retry import Pace, poll
from pipeline.retry.pace import LONGEST_PAUSE_S
from tests.retry.answers import FOUND, ready_after
from tests.services.clock import FakeClock


@pytest.mark.parametrize("takes_s", [0.2, 3.0, 20.0])
def test_a_service_whose_pace_is_known_is_asked_less_and_its_answers_are_collected_sooner(
    takes_s: float,
) -> None:
    pace, clock = Pace(), FakeClock()
    late_s, questions = [], []
    for _ in range(30):
        born = clock.now()
        result, asked = ready_after(takes_s, clock)
        assert poll(result, "t", pace=pace, clock=clock) is FOUND
        late_s.append(clock.now() - born - max(takes_s, 0.5))
        questions.append(len(asked))
    assert sum(late_s[-10:]) / 10 <= 0.16
    assert max(questions[-10:]) <= max(questions[0], 5)


def test_a_service_that_grows_faster_is_noticed() -> None:
    pace, clock = Pace(), FakeClock()
    for _ in range(20):
        poll(ready_after(30.0, clock)[0], "t", pace=pace, clock=clock)
    assert pace.floor_s > 25
    for _ in range(4):
        poll(ready_after(0.1, clock)[0], "t", pace=pace, clock=clock)
    assert pace.floor_s < 1


@given(st.lists(st.floats(0, 300), min_size=4, max_size=20), st.floats(0, 300))
def test_a_pause_always_moves_the_clock_and_is_never_long(settled_s: list[float], elapsed_s: float) -> None:
    pace = Pace()
    for seconds in settled_s:
        pace.settled(seconds)
    assert 0.01 <= pace.pause_s(elapsed_s) <= LONGEST_PAUSE_S
