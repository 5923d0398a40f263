"""What several threads bring at the same time is done in one go, each with its own outcome."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.server.together import Together


def test_whoever_comes_while_a_batch_is_under_way_is_in_the_next_one() -> None:
    batches: list[list[int]] = []
    begun, told = threading.Event(), threading.Event()

    def work(items: Sequence[int]) -> list[int | Exception]:
        batches.append(list(items))
        begun.set()
        assert told.wait(20)
        return [item * 10 for item in items]

    together = Together(work)
    with ThreadPoolExecutor(9) as threads:
        first = threads.submit(together.do, 0)
        assert begun.wait(20)
        others = [threads.submit(together.do, number) for number in range(1, 9)]
        while len(together._waiting) < 8:
            threading.Event().wait(0.001)
        told.set()
        outcomes = [future.result(20) for future in (first, *others)]

    assert outcomes == [number * 10 for number in range(9)]
    assert [sorted(batch) for batch in batches] == [[0], list(range(1, 9))]


@given(st.lists(st.booleans(), min_size=1, max_size=12))
def test_each_is_told_its_own_outcome(welcome: list[bool]) -> None:
    def work(items: Sequence[int]) -> list[int | Exception]:
        return [item if welcome[item] else ValueError(item) for item in items]

    together = Together(work)
    with ThreadPoolExecutor(4) as threads:
        futures = [threads.submit(together.do, number) for number in range(len(welcome))]

    for number, future in enumerate(futures):
        if welcome[number]:
            assert future.result() == number
        else:
            with pytest.raises(ValueError, match=f"^{number}$"):
                future.result()


def test_what_the_work_raises_came_of_all_and_the_next_batch_is_done() -> None:
    full = [True]

    def work(items: Sequence[int]) -> list[int | Exception]:
        if full.pop():
            raise OSError("the disk is full")
        return list(items)

    together = Together(work)
    with pytest.raises(OSError, match="the disk is full"):
        together.do(1)
    full[:] = [False]

    assert together.do(2) == 2
