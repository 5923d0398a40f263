"""A service that fails for everybody is left alone, and found again by one request at a time."""

from __future__ import annotations

import threading
from contextlib import suppress
from itertools import pairwise

import pytest

from pipeline.errors import (
    BadReply,
    KeyRefused,
    ServiceBusy,
    ServiceDown,
    ServiceError,
    ServiceUnreachable,
    UploadInDoubt,
)
from pipeline.retry import CircuitBreaker, StoppedWaiting
from pipeline.retry.breaker import DOUBTS, FAILURES, LONGEST_PAUSE_S, PATIENCE_S
from tests.services.clock import FakeClock


class Far:
    """A service that fails until a moment, and notes when it was asked."""

    def __init__(self, clock: FakeClock, error: ServiceError, *, until_s: float = float("inf")) -> None:
        self.clock = clock
        self.error = error
        self.until_s = clock.now() + until_s
        self.asked_at: list[float] = []

    def __call__(self) -> str:
        self.asked_at.append(self.clock.now())
        if self.clock.now() < self.until_s:
            raise self.error
        return "answer"


def ask(breaker: CircuitBreaker, far: Far, times: int) -> None:
    for _ in range(times):
        with suppress(ServiceBusy, ServiceUnreachable, UploadInDoubt, BadReply, ServiceDown):
            breaker.through(far, clock=far.clock)


@pytest.mark.parametrize(
    "error", [ServiceBusy("HTTP 503"), ServiceUnreachable("refused"), BadReply("<html>")]
)
def test_after_some_failures_in_a_row_the_service_is_left_alone_for_growing_pauses(
    error: ServiceError,
) -> None:
    clock = FakeClock()
    breaker, far = CircuitBreaker("audiotag", clock=clock), Far(clock, error)
    ask(breaker, far, FAILURES + 6)
    pauses = [later - earlier for earlier, later in pairwise(far.asked_at)]
    assert pauses[: FAILURES - 1] == [0.0] * (FAILURES - 1)
    for pause, ceiling in zip(pauses[FAILURES - 1 :], [5, 10, 20, 40, 60, 60], strict=True):
        assert 0.8 * ceiling <= pause <= ceiling + 0.01


def test_the_service_is_given_up_for_everybody_after_its_patience() -> None:
    clock, told = FakeClock(), []
    breaker = CircuitBreaker("audiotag", clock=clock, tell=told.append)
    far = Far(clock, ServiceBusy("HTTP 503"))
    ask(breaker, far, 100)
    with pytest.raises(
        ServiceDown, match="audiotag was given up after 10 min without an answer: HTTP 503"
    ) as down:
        breaker.through(far, clock=clock)
    assert down.value.exit_code == 5
    assert PATIENCE_S <= clock.now() - 1000 <= PATIENCE_S + LONGEST_PAUSE_S
    assert len(far.asked_at) < 30
    assert told[-1] == down.value.message


def test_what_is_waited_for_and_until_when_is_told_and_that_it_is_over() -> None:
    clock, told = FakeClock(), []
    breaker = CircuitBreaker("audiotag", clock=clock, tell=told.append)
    ask(breaker, Far(clock, ServiceBusy("HTTP 503"), until_s=12), FAILURES + 3)
    assert len(told) >= 2
    assert told[0].startswith("audiotag is left alone until ")
    assert "(HTTP 503), and given up in 10 min if it stays so" in told[0]
    assert told[-1] == ""


def test_one_answer_of_any_kind_closes_it_again() -> None:
    clock = FakeClock()
    breaker = CircuitBreaker("audiotag", clock=clock)
    ask(breaker, Far(clock, ServiceBusy("busy")), FAILURES)
    with pytest.raises(KeyRefused):
        breaker.through(Far(clock, KeyRefused("api key expired")), clock=clock)
    waited = sum(clock.waits)
    ask(breaker, Far(clock, ServiceBusy("busy")), FAILURES - 1)
    assert sum(clock.waits) == waited


def test_a_bug_in_a_trial_lets_the_next_one_try() -> None:
    clock = FakeClock()
    breaker = CircuitBreaker("audiotag", clock=clock)
    ask(breaker, Far(clock, ServiceBusy("busy")), FAILURES)
    with pytest.raises(ZeroDivisionError):
        breaker.through(lambda: 1 // 0, clock=clock)
    assert breaker.through(lambda: "answer", clock=clock) == "answer"


def test_a_pause_that_one_thread_was_told_to_make_is_made_by_all() -> None:
    clock, told = FakeClock(), []
    breaker = CircuitBreaker("audiotag", clock=clock, tell=told.append)
    ask(breaker, Far(clock, ServiceBusy("HTTP 429", retry_after_s=42)), 1)
    far = Far(clock, ServiceBusy(""), until_s=0)
    ask(breaker, far, 1)
    assert far.asked_at == [1042]
    assert "left alone until" in told[0]
    assert told[-1] == ""


def test_uploads_that_break_off_together_do_not_end_a_run_but_trials_that_do_are_few() -> None:
    clock = FakeClock()
    breaker, far = CircuitBreaker("audiotag", clock=clock), Far(clock, UploadInDoubt("reset"))
    ask(breaker, far, 100)
    assert len(far.asked_at) == 2 * DOUBTS
    with pytest.raises(ServiceDown):
        breaker.through(far, clock=clock)


def test_a_free_question_tries_before_an_upload_that_costs() -> None:
    clock = FakeClock()
    breaker, far = CircuitBreaker("audiotag", clock=clock), Far(clock, ServiceBusy("busy"))
    ask(breaker, far, FAILURES)
    opened = clock.now()
    far.until_s = 0
    breaker.through(far, clock=clock, costs=True)
    assert far.asked_at[-1] - opened >= 5


def test_a_stop_ends_the_waiting() -> None:
    clock = FakeClock(stop_after_s=2)
    breaker = CircuitBreaker("audiotag", clock=clock)
    ask(breaker, Far(clock, ServiceBusy("busy")), FAILURES)
    with pytest.raises(StoppedWaiting):
        breaker.through(lambda: "never", clock=clock)


def test_of_many_threads_one_tries_and_the_others_wait_for_what_it_finds() -> None:
    clock = FakeClock()
    breaker, far = CircuitBreaker("audiotag", clock=clock), Far(clock, ServiceBusy("busy"))
    ask(breaker, far, FAILURES)
    entered, release = threading.Semaphore(0), threading.Event()
    answers: list[str] = []

    def call() -> str:
        entered.release()
        assert release.wait(10)
        return "answer"

    threads = [
        threading.Thread(target=lambda: answers.append(breaker.through(call, clock=clock))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    assert entered.acquire(timeout=10)
    # Whoever else wants in has by now looked several times, and found the trial running.
    assert not entered.acquire(timeout=0.5)
    release.set()
    for thread in threads:
        thread.join(10)
    assert answers == ["answer"] * 8
