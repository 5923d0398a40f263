"""Turns for requests."""

from __future__ import annotations

import threading

from pipeline.retry import RateLimit
from tests.services.clock import FakeClock


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
