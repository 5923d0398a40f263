"""No more uploads are on their way than can be collected while their tokens live."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from pipeline.retry import TOKEN_LIFE_S, Window
from pipeline.retry.window import FIRST_WIDTH, LATE_S


def test_it_begins_narrow_and_widens_when_answers_come_soon() -> None:
    window = Window(64)
    assert window.width == FIRST_WIDTH
    for _ in range(100):
        window.collected(3.0)
    assert window.width == 64


def test_answers_collected_late_halve_it_and_one_always_remains() -> None:
    window = Window(8)
    widths = []
    for _ in range(5):
        window.collected(LATE_S + 1)
        widths.append(window.width)
    assert widths == [4, 2, 1, 1, 1]


@given(st.lists(st.floats(0, 400)), st.integers(1, 64))
def test_its_width_stays_between_one_and_the_jobs(ages_s: list[float], jobs: int) -> None:
    window = Window(jobs)
    for age_s in ages_s:
        window.collected(age_s)
        assert 1 <= window.width <= jobs


def test_no_more_threads_are_inside_than_it_is_wide() -> None:
    window, inside, most, lock = Window(3), 0, 0, threading.Lock()
    full = threading.Barrier(3, timeout=10)

    def work() -> None:
        nonlocal inside, most
        with window.place():
            with lock:
                inside += 1
                most = max(most, inside)
            full.wait()
            with lock:
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert most == 3


@given(st.floats(0.2, 30.0), st.integers(1, 64))
def test_a_service_that_answers_one_question_at_a_time_loses_no_token(question_s: float, jobs: int) -> None:
    """A model of the worst service: questions are answered one after the other, each after `question_s`."""
    window, clock_s, born = Window(jobs), 0.0, []
    oldest_s = 0.0
    for _ in range(300):
        while len(born) < window.width:
            born.append(clock_s)
            clock_s += 0.1
        clock_s += question_s
        age_s = clock_s - born.pop(0)
        oldest_s = max(oldest_s, age_s)
        window.collected(age_s)
    assert oldest_s < TOKEN_LIFE_S
