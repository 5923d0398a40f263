"""One trip to the disk for what several threads bring at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Together(Generic[T, R]):
    """Hands `work` everything that waits, one batch after the other: whoever comes while a batch is under way is in
    the next one. A commit takes as long for one upload as for twenty.
    """

    def __init__(self, work: Callable[[Sequence[T]], Sequence[R | Exception]]) -> None:
        """`work` returns what came of each item, in their order; what it raises came of all of them."""
        self._work = work
        self._turn = threading.Lock()
        self._gathering = threading.Lock()
        self._waiting: list[_Errand[T, R]] = []

    def do(self, item: T) -> R:
        """What came of this item, or the exception that did."""
        mine: _Errand[T, R] = _Errand(item)
        with self._gathering:
            self._waiting.append(mine)
        with self._turn:
            # The one who had the turn before may have done this one along with its own.
            if not mine.outcome.done():
                self._do_all()
        return mine.outcome.result()

    def _do_all(self) -> None:
        with self._gathering:
            batch, self._waiting = self._waiting, []
        try:
            outcomes = self._work([errand.item for errand in batch])
        except BaseException as error:
            for errand in batch:
                errand.outcome.set_exception(error)
            return
        for errand, outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, Exception):
                errand.outcome.set_exception(outcome)
            else:
                errand.outcome.set_result(outcome)


@dataclass(eq=False, slots=True)
class _Errand(Generic[T, R]):
    item: T
    outcome: Future[R] = field(default_factory=Future)
