"""Landmarks to candidate places: postings that agree on one offset vote for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from pipeline.engine.jit import compiled
from pipeline.engine.landmarks import Frames, Keys
from pipeline.engine.vote_large import FROM_CELLS, count_large

CELL_BITS: Final = 2
"""A cell gathers offsets of 4 frames (128 ms); a place is scored by two neighbouring cells."""

_MOST_VOTES: Final = 4096
"""Where the histogram of scores ends: beyond it no order among places is needed."""


@dataclass(slots=True)
class Ballot:
    """Room for the votes of one search over one shard, reused by its passes; not to be shared by threads."""

    votes: npt.NDArray[np.uint16]
    touched: npt.NDArray[np.int32]

    @classmethod
    def for_frames(cls, frames: int) -> Ballot:
        """Room for a shard of that many frames. Untouched pages of it cost no memory."""
        cells = (frames >> CELL_BITS) + 3
        return cls(np.zeros(cells, np.uint16), np.empty(cells, np.int32))


@dataclass(frozen=True, slots=True)
class Places:
    """Where in a shard a probe may begin, most votes first: frame and votes, both [places]."""

    frame: npt.NDArray[np.int64]
    votes: npt.NDArray[np.int32]


def vote(
    first_posting: npt.NDArray[np.uint32],
    postings: npt.NDArray[np.uint8],
    keys: Keys,
    frames: Frames,
    ballot: Ballot,
    *,
    most: int,
) -> Places:
    """The `most` best supported frames of a shard at which the probe's frame 0 may lie (within 4 frames).

    `frames` must stay below the gap before every track, so that no offset is negative.
    """
    if ballot.votes.size > FROM_CELLS:
        cells, votes = count_large(first_posting, postings, keys, frames, ballot.votes.size, CELL_BITS, most)
        return Places(cells.astype(np.int64) << CELL_BITS, votes)
    touched = _count(first_posting, postings, keys, frames, CELL_BITS, ballot.votes, ballot.touched)
    room = most * 2
    cells, votes = np.empty(room, np.int32), np.empty(room, np.int32)
    found = _best(ballot.votes, ballot.touched[:touched], most, _MOST_VOTES, cells, votes)
    order = np.argsort(-votes[:found], kind="stable")[:most]
    return Places(cells[order].astype(np.int64) << CELL_BITS, votes[order])


@compiled
def _count(
    first_posting: npt.NDArray[np.uint32],
    postings: npt.NDArray[np.uint8],
    keys: Keys,
    frames: Frames,
    cell_bits: int,
    votes: npt.NDArray[np.uint16],
    touched: npt.NDArray[np.int32],
) -> int:
    count = 0
    for i in range(keys.size):
        for p in range(first_posting[keys[i]], first_posting[keys[i] + 1]):
            frame = np.int64(postings[p, 0]) | np.int64(postings[p, 1]) << 8 | np.int64(postings[p, 2]) << 16
            offset = frame - frames[i]
            if offset < 0:
                continue
            cell = offset >> cell_bits
            had = votes[cell]
            if had == 0:
                touched[count] = cell
                count += 1
            if had < 65535:
                votes[cell] = had + 1
    return count


@compiled
def _best(
    votes: npt.NDArray[np.uint16],
    touched: npt.NDArray[np.int32],
    most: int,
    most_votes: int,
    cells: npt.NDArray[np.int32],
    scores: npt.NDArray[np.int32],
) -> int:
    """Collect the cells that outdo their neighbours and reach the score of the `most`-th; clear the ballot."""
    histogram = np.zeros(most_votes + 1, np.int32)
    for cell in touched:
        score = np.int32(votes[cell]) + np.int32(votes[cell + 1])
        histogram[score if score < most_votes else most_votes] += 1
    enough, bar = 0, most_votes
    while bar > 1 and enough + histogram[bar] < most * 2:
        enough += histogram[bar]
        bar -= 1
    found = 0
    # First what lies above the bar, for at the bar itself there may be thousands.
    for above in (True, False):
        for cell in touched:
            score = np.int32(votes[cell]) + np.int32(votes[cell + 1])
            if (score <= bar) == above or score < bar or found == cells.size:
                continue
            before = np.int32(votes[cell]) + (np.int32(votes[cell - 1]) if cell > 0 else 0)
            after = np.int32(votes[cell + 1]) + np.int32(votes[cell + 2])
            # Of equals the later one: the earlier may have no vote of its own and so never be looked at.
            if score > after and score >= before:
                cells[found], scores[found] = cell, score
                found += 1
    for cell in touched:
        votes[cell] = 0
    return found
