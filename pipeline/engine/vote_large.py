"""The vote in shards too large for the processor's cache: sorted by ranges of the shard first, then counted.

Counted as they come, millions of votes would each wait for main memory; range by range they do not.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from pipeline.engine.jit import compiled
from pipeline.engine.landmarks import Frames, Keys

FROM_CELLS: Final = 1 << 18
"""Shards of so many cells (nine hours) are counted this way."""

RANGE_BITS: Final = 16
"""A range has 65 536 cells of two bytes (2.3 h): its votes fit the second-level cache, its cells two bytes."""

_ROOM: Final = 16
"""Places are kept until there are so many times too many; then all but the best are forgotten."""

Cells = npt.NDArray[np.int32]
Votes = npt.NDArray[np.int32]


def count_large(
    first_posting: npt.NDArray[np.uint32],
    postings: npt.NDArray[np.uint8],
    keys: Keys,
    frames: Frames,
    cells: int,
    cell_bits: int,
    most: int,
) -> tuple[Cells, Votes]:
    """The `most` cells with most votes, each with the next one's, that outdo their neighbours; most votes first."""
    begins = np.zeros((cells >> RANGE_BITS) + 2, np.int64)
    voted = np.empty(int((first_posting[keys + 1] - first_posting[keys]).sum(dtype=np.int64)), np.int32)
    count = _read(first_posting, postings, keys, frames, cell_bits, RANGE_BITS, voted, begins)
    np.cumsum(begins, out=begins)
    low = np.empty(count, np.uint16)
    _sort(voted[:count], RANGE_BITS, begins[:-1].copy(), low)
    found, votes = np.empty(most * _ROOM, np.int32), np.empty(most * _ROOM, np.int32)
    kept = _best_of_ranges(low, begins, RANGE_BITS, most, found, votes)
    order = np.argsort(-votes[:kept], kind="stable")[:most]
    return found[order], votes[order]


@compiled
def _read(
    first_posting: npt.NDArray[np.uint32],
    postings: npt.NDArray[np.uint8],
    keys: Keys,
    frames: Frames,
    cell_bits: int,
    range_bits: int,
    voted: Cells,
    sizes: npt.NDArray[np.int64],
) -> int:
    """Write the cell of every vote, in order of keys, and how many of them lie in range r to sizes[r + 1]."""
    count = 0
    for i in range(keys.size):
        for p in range(first_posting[keys[i]], first_posting[keys[i] + 1]):
            frame = np.int32(postings[p, 0]) | np.int32(postings[p, 1]) << 8 | np.int32(postings[p, 2]) << 16
            offset = frame - frames[i]
            if offset >= 0:
                cell = offset >> cell_bits
                voted[count] = cell
                count += 1
                sizes[(cell >> range_bits) + 1] += 1
    return count


@compiled
def _sort(voted: Cells, range_bits: int, free: npt.NDArray[np.int64], low: npt.NDArray[np.uint16]) -> None:
    """Gather the votes of every range, from `free[r]` on, as cells counted from the range's first."""
    for v in range(voted.size):
        cell = voted[v]
        of = cell >> range_bits
        low[free[of]] = cell
        free[of] += 1


@compiled
def _best_of_ranges(
    low: npt.NDArray[np.uint16],
    begins: npt.NDArray[np.int64],
    range_bits: int,
    most: int,
    cells: Cells,
    scores: Votes,
) -> int:
    """Count range by range and keep the best places; a place needs at least half of the bar in one of its two cells."""
    size, carried = 1 << range_bits, 4
    votes = np.zeros(carried + size, np.uint16)
    hopeful = np.empty(size, np.int32)
    found, bar = 0, 2
    # One range more than there are, to judge the last cells of the last one.
    for r in range(begins.size):
        half, hopes = (bar + 1) >> 1, 0
        if r < begins.size - 1:
            for v in range(begins[r], begins[r + 1]):
                at = carried + int(low[v])
                had = votes[at]
                if had < 65535:
                    votes[at] = had + 1
                if had + 1 == half:
                    hopeful[hopes] = at
                    hopes += 1
        # Cells 1 to 4 could not be judged before their followers were counted; nor can the last three yet.
        for h in range(carried + 2 * hopes):
            if h < carried:
                at = h + 1
            else:
                at = int(hopeful[(h - carried) >> 1])
                if h & 1:
                    at -= 1
                    if votes[at] >= half:
                        continue
                if at <= carried or at > size:
                    continue
            score = np.int32(votes[at]) + np.int32(votes[at + 1])
            if score < bar or votes[at] == 0:
                continue
            before = np.int32(votes[at - 1]) + np.int32(votes[at])
            after = np.int32(votes[at + 1]) + np.int32(votes[at + 2])
            if score <= after or score < before:
                continue
            cells[found], scores[found] = r * size + at - carried, score
            found += 1
            if found == cells.size:
                last = int(np.sort(scores)[found - most])
                bar, ties, found = last + 1, most - int((scores > last).sum()), 0
                for k in range(cells.size):
                    if scores[k] > last or (scores[k] == last and ties > 0):
                        ties -= int(scores[k] == last)
                        cells[found], scores[found] = cells[k], scores[k]
                        found += 1
        votes[:carried] = votes[size:]
        votes[carried:] = 0
    return found
