"""A queue that serves its owners in turn: whoever brings much waits for his own work, not for everybody's."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class FairQueue(Generic[T]):
    """Items of several owners, taken one of each owner in turn. Safe to use from several threads."""

    def __init__(self, *, most: int, most_per_owner: int) -> None:
        self._most = most
        self._most_per_owner = most_per_owner
        self._ready = threading.Condition()
        # The owners in the order of their next turn.
        self._waiting: OrderedDict[int, deque[T]] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        with self._ready:
            return self._size

    def has_room(self, owner: int, *, coming: Sequence[int] = ()) -> bool:
        """Whether one more item of this owner may be put; `coming` are the owners of items about to be."""
        with self._ready:
            own = len(self._waiting.get(owner, ())) + coming.count(owner)
            return self._size + len(coming) < self._most and own < self._most_per_owner

    def put(self, owner: int, item: T) -> None:
        """Add an item at the end of its owner's row. The bounds are `has_room`'s: what was accepted is never lost."""
        with self._ready:
            self._waiting.setdefault(owner, deque()).append(item)
            self._size += 1
            self._ready.notify()

    def take(self, timeout_s: float) -> T | None:
        """The next item, or None when none came in time."""
        with self._ready:
            if not self._size and not self._ready.wait_for(lambda: self._size, timeout_s):
                return None
            owner, row = next(iter(self._waiting.items()))
            item = row.popleft()
            self._size -= 1
            if row:
                self._waiting.move_to_end(owner)
            else:
                del self._waiting[owner]
            return item
