"""How fast a client may ask."""

from __future__ import annotations

from pipeline.server import gate
from pipeline.server.gate import Pace, is_here


class Hand:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_a_burst_passes_and_a_stream_is_slowed_to_the_rate() -> None:
    clock = Hand()
    pace = Pace(per_s=10, burst=5, clock=clock)
    delays = [pace.delay_s("a") for _ in range(8)]

    assert delays[:5] == [0.0] * 5
    assert [round(delay, 3) for delay in delays[5:]] == [0.1, 0.2, 0.3]
    clock.now_s += 10
    assert pace.delay_s("a") == 0.0


def test_one_clients_haste_slows_no_other() -> None:
    pace = Pace(per_s=1, burst=1, clock=Hand())
    for _ in range(10):
        pace.delay_s("a")

    assert pace.delay_s("b") == 0.0


def test_a_million_names_take_no_memory() -> None:
    pace = Pace(per_s=1, burst=1, clock=Hand())
    for number in range(gate.MOST_REMEMBERED + 500):
        pace.delay_s(str(number))

    assert len(pace._full_at) == gate.MOST_REMEMBERED


def test_this_machine_is_known_by_its_addresses() -> None:
    assert all(map(is_here, ("127.0.0.1", "127.8.8.8", "::1")))
    assert not any(map(is_here, ("192.0.2.1", "::ffff:192.0.2.1", "localhost", "", None)))
