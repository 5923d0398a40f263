"""When a service is asked again, how often and how soon; no test waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import (
    BadReply,
    CreditsExhausted,
    KeyRefused,
    ServiceBusy,
    ServiceError,
    ServiceUnreachable,
    TokenLost,
    UploadInDoubt,
)
from pipeline.model import Recognition, Status
from pipeline.retry import (
    LONGEST_PAUSE_S,
    RETRY_AFTER_MAX_S,
    SHORTEST_PAUSE_S,
    Pace,
    RateLimit,
    SystemClock,
    poll,
    retry_after_s,
    retrying,
)
from tests.services.clock import FakeClock

PENDING = Recognition(Status.PENDING, token="t")
FOUND = Recognition(Status.FOUND, token="t")


def saying(*answers: Recognition | str | Exception) -> Callable[..., Recognition]:
    """A service that gives these answers, one a call."""
    rest: Iterator[Recognition | str | Exception] = iter(answers)

    def call(*_: object) -> Recognition:
        answer = next(rest)
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, Recognition)
        return answer

    return call


def ready_after(seconds: float, clock: FakeClock) -> tuple[Callable[[str], Recognition], list[float]]:
    """A service that needs `seconds` for a recognition, and the moments at which it was asked."""
    born = clock.now()
    asked: list[float] = []

    def result(_: str) -> Recognition:
        asked.append(clock.now() - born)
        return FOUND if clock.now() - born >= seconds else PENDING

    return result, asked


# --- retrying -------------------------------------------------------------------------------------------


def test_a_busy_service_is_asked_again_until_it_answers() -> None:
    clock = FakeClock()

    answer = retrying(saying(ServiceBusy("busy"), ServiceUnreachable("gone"), FOUND), clock=clock)

    assert answer is FOUND
    assert len(clock.waits) == 2


def test_after_the_last_try_the_services_own_error_is_raised() -> None:
    clock = FakeClock()

    with pytest.raises(ServiceBusy, match="third"):
        retrying(saying(*(ServiceBusy(word) for word in ("first", "second", "third"))), tries=3, clock=clock)
    assert len(clock.waits) == 2


@pytest.mark.parametrize(
    "error", [UploadInDoubt("?"), KeyRefused("no"), CreditsExhausted("0"), BadReply("#")]
)
def test_nothing_else_is_ever_repeated(error: ServiceError) -> None:
    clock = FakeClock()

    with pytest.raises(type(error)):
        retrying(saying(error), clock=clock)
    assert clock.waits == []


def test_pauses_grow_with_jitter_up_to_the_longest() -> None:
    clock = FakeClock()

    with pytest.raises(ServiceBusy):
        retrying(saying(*[ServiceBusy("busy")] * 9), tries=9, longest_pause_s=20, clock=clock)

    for pause, ceiling in zip(clock.waits, [1, 2, 4, 8, 16, 20, 20, 20], strict=True):
        assert ceiling / 2 <= pause <= ceiling
    assert len(set(clock.waits)) == len(clock.waits)


def test_a_pause_is_at_least_what_the_service_ordered_and_never_hours() -> None:
    clock = FakeClock()

    retrying(
        saying(ServiceBusy("", retry_after_s=77), ServiceBusy("", retry_after_s=86_400), FOUND), clock=clock
    )

    assert clock.waits == [77, RETRY_AFTER_MAX_S]


def test_a_stop_ends_the_waiting_with_the_last_error() -> None:
    clock = FakeClock(stop_after_s=0)

    with pytest.raises(ServiceBusy, match="first"):
        retrying(saying(ServiceBusy("first"), FOUND), clock=clock)


def test_the_system_clock_stops_waiting_at_once() -> None:
    stop = threading.Event()
    stop.set()
    began = time.monotonic()

    with pytest.raises(ServiceBusy):
        retrying(saying(ServiceBusy("", retry_after_s=60), FOUND), clock=SystemClock(stop))
    assert time.monotonic() - began < 5


def test_the_log_says_why_nothing_moves(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")

    retrying(saying(ServiceBusy("the oven is full"), FOUND), clock=FakeClock())

    assert "The service is asked again after a pause: tries=1" in caplog.text
    assert "the oven is full" in caplog.text


# --- poll -----------------------------------------------------------------------------------------------


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


def test_a_token_without_an_answer_is_given_up_before_its_five_minutes_are_over() -> None:
    clock = FakeClock()
    result, asked = ready_after(10_000, clock)

    with pytest.raises(TokenLost, match="no answer for the token t in 295 s"):
        poll(result, "t", clock=clock)
    assert 290 < asked[-1] <= 300


def test_an_old_token_is_asked_for_once_and_at_once() -> None:
    clock = FakeClock()

    assert poll(saying(FOUND), "t", age_s=9_000, clock=clock) is FOUND
    with pytest.raises(TokenLost):
        poll(saying(PENDING), "t", age_s=9_000, clock=clock)
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


# --- Retry-After ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "date", "seconds"),
    [
        ("7", None, 7),
        ("0.5", None, 0.5),
        ("-3", None, 0),
        ("86400", None, RETRY_AFTER_MAX_S),
        ("1e999", None, RETRY_AFTER_MAX_S),
        ("Sat, 21 Nov 2026 10:00:20 GMT", "Sat, 21 Nov 2026 10:00:00 GMT", 20),
        ("Sat, 21 Nov 2026 10:00:20 GMT", "Sat, 21 Nov 2026 11:00:00 GMT", 0),
        ("Fri, 31 Dec 2199 23:59:59 GMT", None, RETRY_AFTER_MAX_S),
        ("Sat, 01 Jan 2000 00:00:00 GMT", "nonsense", 0),
        ("Sat, 21 Nov 2026 10:00:20", "Sat, 21 Nov 2026 10:00:00 GMT", 20),
        (None, None, None),
        ("", None, None),
        ("nan", None, None),
        ("soon", None, None),
    ],
)  # fmt: skip
def test_retry_after_is_read(header: str | None, date: str | None, seconds: float | None) -> None:
    assert retry_after_s(header, date=date) == seconds


@given(st.text(), st.none() | st.text())
def test_no_retry_after_halts_a_run_for_hours(header: str, date: str | None) -> None:
    seconds = retry_after_s(header, date=date)

    assert seconds is None or 0 <= seconds <= RETRY_AFTER_MAX_S


# --- RateLimit ------------------------------------------------------------------------------------------


def test_turns_are_evenly_spaced_after_a_pause_too() -> None:
    clock = FakeClock()
    limit = RateLimit(4, clock=clock)
    turns = []
    for idle_s in (0, 0, 0, 10, 0):
        clock.time_s += idle_s
        assert limit.turn()
        turns.append(clock.now() - 1000)

    assert turns == [0, 0.25, 0.5, 10.5, 10.75]


def test_no_limit_means_no_waiting() -> None:
    clock = FakeClock()
    limit = RateLimit(None, clock=clock)

    assert all(limit.turn() for _ in range(100))
    assert clock.waits == []


def test_a_stop_sends_nobody() -> None:
    clock = FakeClock(stop_after_s=0.1)
    limit = RateLimit(1, clock=clock)

    assert [limit.turn(), limit.turn(), limit.turn()] == [True, False, False]


class GatedClock(FakeClock):
    """Time stands still until the gate is opened."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()

    def wait(self, seconds: float) -> bool:
        assert self.gate.wait(10)
        return super().wait(seconds)


def test_among_waiting_threads_the_oldest_token_goes_first() -> None:
    clock = GatedClock()
    limit = RateLimit(2, clock=clock)
    served: list[float] = []
    limit.turn()

    def ask(born: float) -> None:
        assert limit.turn(born)
        served.append(born)

    threads = []
    for born in (5.0, 1.0, 4.0, 2.0, 3.0):
        threads.append(threading.Thread(target=ask, args=(born,)))
        threads[-1].start()
        while limit.waiting() < len(threads):
            assert threads[-1].is_alive()
    clock.gate.set()
    for thread in threads:
        thread.join(10)

    assert served == [1.0, 2.0, 3.0, 4.0, 5.0]


def test_many_threads_share_one_limit_and_none_is_forgotten() -> None:
    clock = FakeClock()
    limit = RateLimit(100, clock=clock)
    turns: list[bool] = []
    threads = [
        threading.Thread(target=lambda n=n: turns.extend(limit.turn(n % 3) for _ in range(20)))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert turns == [True] * 160
    assert limit.waiting() == 0
    assert clock.now() - 1000 > 1.589


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
