"""Second looks at a probe: who else is heard in the stretches that no track found so far accounts for?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

import numpy as np

from pipeline.engine.groups import Group, accepted
from pipeline.engine.heard import Heard, hear, heard_every_way
from pipeline.engine.query import MIN_HEARD_FRAMES, Query, query_of
from pipeline.engine.search import Part, search_plain
from pipeline.engine.verify import align

FURTHER_LOG_ODDS: Final = 5.5
"""What is found at a second look must be surer than at the first: with every look accident has another chance."""

SHORTEST_LOOK: Final = 110
"""Frames (3.5 s): a shorter stretch is left over at the edges of what was found."""
LOOK: Final = 156
"""Frames (5 s): a stretch of twice this in which nothing is found is looked at piece by piece."""
MOST_LOOKS: Final = 8
"""Each costs as much as a search for a probe of its length."""

Stretch = tuple[int, int]
"""Its first frame and the one after its last."""


def heard_further(query: Query, parts: Sequence[Part], groups: list[Group]) -> list[Group]:
    """The recordings found at the first look and those found at further ones, in the stretches left over."""
    if query.frames < 2 * SHORTEST_LOOK:
        return groups
    waiting = list(_open_stretches(query, groups))
    looked_at: set[Stretch] = {(0, query.frames)}
    looks = 0
    while waiting and looks < MOST_LOOKS:
        stretch = waiting.pop(0)
        if stretch not in looked_at:
            looked_at.add(stretch)
            looks += 1
            more = accepted(query, _look(query, parts, stretch, groups), FURTHER_LOG_ODDS, groups)
            if len(more) > len(groups):
                groups = more
                waiting = list(_open_stretches(query, groups))
                continue
        waiting += _pieces(stretch)
    return groups


def _open_stretches(query: Query, groups: Sequence[Group]) -> Iterator[Stretch]:
    """Where something is to be heard and nothing was found."""
    unclaimed = np.ones(query.frames, np.bool_)
    for group in groups:
        first, last = group[0].span
        unclaimed[first : last + 1] = False
    turns = np.flatnonzero(np.diff(np.concatenate([[0], unclaimed.astype(np.int8), [0]])))
    for first, end in zip(turns[::2].tolist(), turns[1::2].tolist(), strict=True):
        if end - first >= SHORTEST_LOOK and query.audible[first:end].sum() >= MIN_HEARD_FRAMES:
            yield first, end


def _pieces(stretch: Stretch) -> list[Stretch]:
    """The stretch in parts of about LOOK; none if it is no longer than that."""
    first, end = stretch
    parts = (end - first + LOOK // 2) // LOOK
    if parts < 2:
        return []
    bounds = [first + (end - first) * part // parts for part in range(parts + 1)]
    return list(pairwise(bounds))


def _look(query: Query, parts: Sequence[Part], stretch: Stretch, groups: Sequence[Group]) -> list[Heard]:
    """Who is heard in that stretch, placed in the whole probe; no one who was found already."""
    first, end = stretch
    short = query_of(query.level[first:end])
    if short is None:
        return []
    known = {heard.candidate.key for group in groups for heard in group}
    # At other tempi and pitches only beside what was found: it would cost as much again for all that is not known.
    likely = (
        [each.candidate for each in heard_every_way(short, parts)] if groups else search_plain(short, parts)
    )
    found = []
    for candidate in likely:
        if candidate.key in known:
            continue
        start = candidate.frame - round(first * candidate.tempo)
        fit = align(
            query.z_map,
            candidate.part.shard.peaks,
            np.array([start]),
            np.array([candidate.tempo], np.float32),
            np.array([candidate.shift], np.int32),
        )
        place = candidate.moved(int(fit.frame[0]), float(fit.z[0]), candidate.tempo, candidate.shift)
        found.append(hear(query, place))
    return found
