"""Landmarks to candidate places: postings that agree on one offset vote for it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from pipeline.engine.jit import compiled
from pipeline.engine.landmarks import Frames, Keys

CELL_BITS: Final = 2
"""A cell gathers offsets of 4 frames (128 ms); a place is scored by two neighbouring cells."""

MIN_TRACKS: Final = 4
"""Voting is to show so many: what is heard, and three that may be there by accident."""

_RUN: Final = 128
"""Cells whose best score is found first: few runs hold a place worth a closer look."""
_MOST_VOTES: Final = 4096
"""Where the histogram of scores ends: beyond it no order among places is needed."""

_AT_ONCE: Final = 512
"""Keys whose postings are asked for together: what comes from memory then is still in the cache when it is counted."""

Ballot = npt.NDArray[np.uint8]
"""Room for the votes of one search over one shard, empty between its passes; not to be shared by threads.

[2, cells]: the low bytes of all counts, then the high ones. Hardly a cell is voted for 256 times, so that what is
counted in takes half the room in the cache.
"""


def ballot_for(frames: int) -> Ballot:
    """Room for a shard of that many frames: whole runs of cells, and two more that are looked at from the last."""
    return np.zeros((2, -(-((frames >> CELL_BITS) + 1) // _RUN) * _RUN + 2), np.uint8)


@dataclass(frozen=True, eq=False)
class Roll:
    """Who may be voted for in a shard."""

    start: npt.NDArray[np.int64]
    """The first frame at which a probe of each track may begin: [tracks]."""
    removed: npt.NDArray[np.bool_]
    """Votes for these are void: [tracks]."""

    def owners(self, frames: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The track that a probe belongs to which begins at each of these frames."""
        return np.maximum(np.searchsorted(self.start, frames, side="right") - 1, 0)

    def cells(self, number: int) -> slice:
        """The cells of a ballot that hold a track's votes."""
        ends = self.start[number + 1 : number + 2] >> CELL_BITS
        return slice(int(self.start[number]) >> CELL_BITS if number else 0, *(ends.tolist() or [None]))

    @cached_property
    def void(self) -> list[slice]:
        """The cells of all removed tracks; there may be thousands, and a search passes over them thirty times."""
        return [self.cells(number) for number in np.flatnonzero(self.removed).tolist()]


@dataclass(frozen=True, slots=True)
class Places:
    """Where in a shard a probe may begin: frame and votes, both [places]."""

    frame: npt.NDArray[np.int64]
    votes: npt.NDArray[np.int32]
    unseen_votes: int
    """No track that has no place here has more votes."""


def vote(
    first_posting: npt.NDArray[np.uint32],
    postings: npt.NDArray[np.uint32],
    keys: Keys,
    frames: Frames,
    ballot: Ballot,
    roll: Roll,
    *,
    most: int,
) -> Places:
    """The `most` best supported frames of a shard at which the probe's frame 0 may lie (within 4 frames).

    Where these are all in a few tracks (a loop fits at each of its turns) as many of the others follow, so that it is
    known what they reach. `frames` must stay below the gap before every track, so that no offset is negative.
    """
    starts, ends = np.empty(len(keys), np.uint32), np.empty(len(keys), np.uint32)
    _, carried = _count(first_posting, postings, keys, frames, CELL_BITS, _AT_ONCE, starts, ends, ballot)
    for cells in roll.void:
        ballot[:, cells] = 0
    found = _most_voted(ballot, carried, most)
    seen = np.unique(roll.owners(found.frame)).tolist()
    if len(seen) < MIN_TRACKS:
        for number in seen:
            ballot[:, roll.cells(number)] = 0
        others = _most_voted(ballot, carried, most)
        found = Places(
            np.concatenate([found.frame, others.frame]),
            np.concatenate([found.votes, others.votes]),
            others.unseen_votes,
        )
    ballot[: 1 + carried] = 0
    return found


def _most_voted(ballot: Ballot, carried: bool, most: int) -> Places:
    room = most * 2
    cells, votes = np.empty(room, np.int32), np.empty(room, np.int32)
    tops, histogram = np.empty(ballot.shape[1] // _RUN, np.int32), np.zeros(_MOST_VOTES + 1, np.int32)
    found = _best(ballot, carried, room, np.empty(_RUN, np.int32), tops, histogram, cells, votes)
    order = np.argsort(-votes[:found], kind="stable")[:most]
    # Though fewer than `most` be found, more may have votes: cells beside the best are none, but count as such.
    unseen_votes = int(votes[order[-1]]) if found else 0
    return Places(cells[order].astype(np.int64) << CELL_BITS, votes[order], unseen_votes)


@compiled
def _count(
    first_posting: npt.NDArray[np.uint32],
    postings: npt.NDArray[np.uint32],
    keys: Keys,
    frames: Frames,
    cell_bits: int,
    at_once: int,
    starts: npt.NDArray[np.uint32],
    ends: npt.NDArray[np.uint32],
    ballot: Ballot,
) -> tuple[int, bool]:
    # Two thirds of the time would go by waiting for postings to come from memory, one key after the other. Here every
    # line of many is asked for at once; their sum is returned lest the compiler see that nobody wants it.
    asked_for, carried = 0, False
    low, high = ballot[0], ballot[1]
    for i in range(keys.size):
        starts[i], ends[i] = first_posting[keys[i]], first_posting[keys[i] + np.uint32(1)]
    for first in range(0, keys.size, at_once):
        end = min(first + at_once, keys.size)
        for i in range(first, end):
            for p in range(starts[i], ends[i], 16):
                asked_for += postings[p]
        for i in range(first, end):
            for p in range(starts[i], ends[i]):
                offset = np.int64(postings[p] >> np.uint32(8)) - frames[i]
                if offset >= 0:
                    cell = np.uint64(offset >> cell_bits)
                    count = np.uint8(low[cell] + np.uint8(1))
                    low[cell] = count
                    if count == 0:
                        # What is full stays nearly full.
                        high[cell] += np.uint8(high[cell] < 255)
                        carried = True
    return asked_for, carried


@compiled
def _votes(ballot: Ballot, cell: int) -> int:
    return int(np.int64(ballot[0, cell]) + 256 * np.int64(ballot[1, cell]))


@compiled
def _score(ballot: Ballot, carried: bool, first: int, score: npt.NDArray[np.int32]) -> None:
    """The score of each cell of a run: its votes and those of the next. Without branches, many at once."""
    low, next_low = ballot[0, first:], ballot[0, first + 1 :]
    for c in range(score.size):
        score[c] = np.int32(low[c]) + np.int32(next_low[c])
    if carried:
        high, next_high = ballot[1, first:], ballot[1, first + 1 :]
        for c in range(score.size):
            score[c] += np.int32(256) * (np.int32(high[c]) + np.int32(next_high[c]))


@compiled
def _best(
    ballot: Ballot,
    carried: bool,
    enough: int,
    score: npt.NDArray[np.int32],
    tops: npt.NDArray[np.int32],
    histogram: npt.NDArray[np.int32],
    cells: npt.NDArray[np.int32],
    scores: npt.NDArray[np.int32],
) -> int:
    """Collect the cells that outdo their neighbours and reach the score of the one that is `enough`-th."""
    run, most_votes = score.size, histogram.size - 1
    for r in range(tops.size):
        here, beside = ballot[0, r * run : (r + 1) * run], ballot[0, r * run + 1 :]
        top = np.uint16(0)
        for c in range(here.size):
            top = max(top, np.uint16(np.uint16(here[c]) + np.uint16(beside[c])))
        tops[r] = top
        if carried:
            _score(ballot, carried, r * run, score)
            for c in range(run):
                tops[r] = max(tops[r], score[c])
        histogram[min(tops[r], most_votes)] += 1
    # The best of a run may be the empty cell before the next. So among twice as many runs there are `enough` cells.
    floor, above = most_votes, histogram[most_votes]
    while floor > 1 and above < 2 * enough:
        floor -= 1
        above += histogram[floor]
    for votes in range(histogram.size):
        histogram[votes] = 0
    for r in range(tops.size):
        if tops[r] >= floor:
            _score(ballot, carried, r * run, score)
            for c in range(run):
                # Few come so far. Asked for first, the machine guesses right nearly always.
                if score[c] >= floor and _votes(ballot, r * run + c):
                    histogram[min(score[c], most_votes)] += 1
    above, bar = 0, most_votes
    while bar > 1 and above + histogram[bar] < enough:
        above += histogram[bar]
        bar -= 1
    found = 0
    # First what lies above the bar, for at the bar itself there may be thousands.
    for beyond in (True, False):
        for r in range(tops.size):
            if tops[r] < bar + beyond:
                continue
            _score(ballot, carried, r * run, score)
            for c in range(run):
                if score[c] < bar or (score[c] > bar) != beyond or found == cells.size:
                    continue
                cell = r * run + c
                own = _votes(ballot, cell)
                # What two neighbours score shares a cell, so that the other two tell which of them scores more.
                over_next = own > _votes(ballot, cell + 2)
                over_last = cell == 0 or _votes(ballot, cell + 1) >= _votes(ballot, cell - 1)
                # Of equals the later one, so that a place has one cell at most.
                if own and over_next and over_last:
                    cells[found], scores[found] = cell, score[c]
                    found += 1
    return found
