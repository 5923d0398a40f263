"""The queue serves its owners in turn."""

from __future__ import annotations

from itertools import zip_longest

from hypothesis import given
from hypothesis import strategies as st

from pipeline.server.fair import FairQueue


def queue(**bounds: int) -> FairQueue[str]:
    return FairQueue(**{"most": 100, "most_per_owner": 100, **bounds})


def test_who_brings_much_waits_for_himself() -> None:
    row = queue()
    for number in range(5):
        row.put(1, f"a{number}")
    row.put(2, "b0")
    row.put(3, "c0")

    assert [row.take(0) for _ in range(8)] == ["a0", "b0", "c0", "a1", "a2", "a3", "a4", None]


def test_room_is_bounded_for_each_owner_and_for_all() -> None:
    row = queue(most=3, most_per_owner=2)
    row.put(1, "a")
    assert row.has_room(1)
    row.put(1, "b")
    assert (row.has_room(1), row.has_room(2)) == (False, True)
    row.put(2, "c")
    assert (row.has_room(2), row.has_room(3)) == (False, False)
    row.take(0)
    assert row.has_room(1)


@given(st.lists(st.integers(1, 5), max_size=60))
def test_owners_are_served_in_rounds_and_nothing_is_lost(owners: list[int]) -> None:
    row = queue()
    brought: dict[int, list[str]] = {}
    for number, owner in enumerate(owners):
        row.put(owner, f"{owner}:{number}")
        brought.setdefault(owner, []).append(f"{owner}:{number}")
    rounds = zip_longest(*brought.values())

    assert [row.take(0) for _ in owners] == [item for turn in rounds for item in turn if item is not None]
    assert (len(row), row.take(0)) == (0, None)
