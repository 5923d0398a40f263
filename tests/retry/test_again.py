"""When a busy service is asked again, how often and how soon; no test waits."""

from __future__ import annotations

import threading
import time

import pytest

from pipeline.errors import (
    BadReply,
    CreditsExhausted,
    KeyRefused,
    ServiceBusy,
    ServiceError,
    ServiceUnreachable,
    UploadInDoubt,
)
from pipeline.retry import SystemClock, retrying
from pipeline.retry.retry_after import RETRY_AFTER_MAX_S
from tests.retry.answers import FOUND, saying
from tests.services.clock import FakeClock


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
