"""Second looks at a probe: who else is heard in the stretches that no track found so far accounts for?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Final

import numpy as np

from pipeline.engine.groups import Group, accepted
from pipeline.engine.heard import Heard, hear, hear_there, heard_every_way
from pipeline.engine.query import MIN_HEARD_FRAMES, Query, query_of
from pipeline.engine.search import Candidate, Part, search_plain
from pipeline.engine.verify import align

FURTHER_LOG_ODDS: Final = 5.5
"""What is found at a second look must be surer than at the first: with every look accident has another chance."""

SHORTEST_LOOK: Final = 110
"""Frames (3.5 s): a shorter stretch is left over at the edges of what was found."""
LOOK: Final = 156
"""Frames (5 s): a stretch of twice this in which nothing is found is looked at piece by piece."""
MOST_LOOKS: Final = 8
"""Each costs as much as a search for a probe of its length."""

SAME_PLACE: Final = 12
"""Frames (0.4 s): a track that would have begun so near where it did goes on."""

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
            more = _look(query, parts, stretch, groups)
            if _spans(more) != _spans(groups):
                groups = more
                waiting = list(_open_stretches(query, groups))
                continue
        waiting += _pieces(stretch)
    return groups


def _spans(groups: Sequence[Group]) -> list[tuple[int, int]]:
    return [group[0].span for group in groups]


def _open_stretches(query: Query, groups: Sequence[Group]) -> Iterator[Stretch]:
    """Where something is to be heard and nothing was found."""
    unclaimed = np.ones(query.frames, np.bool_)
    for first, last in _spans(groups):
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


def _look(query: Query, parts: Sequence[Part], stretch: Stretch, groups: list[Group]) -> list[Group]:
    """The groups with who is heard in that stretch: one of them for longer than it seemed, or others."""
    first, end = stretch
    short = query_of(query.level[first:end], driven=query.driven)
    if short is None:
        return groups
    # At other tempi and pitches only beside what was found: it would cost as much again for all that is not known.
    likely = (
        heard_every_way(short, parts)
        if groups
        else [hear(short, candidate) for candidate in search_plain(short, parts)]
    )
    certain = [heard for heard in likely if heard.certain(FURTHER_LOG_ODDS)]
    most = max(certain, key=lambda heard: heard.explained, default=None)
    known = {heard.candidate.key for group in groups for heard in group}
    if most is not None and most.candidate.key in known:
        # What fits less there is kin of it: an edit, or another version.
        return [_prolonged(group, most, first) for group in groups]
    found = [_placed(query, heard, first) for heard in likely if heard.candidate.key not in known]
    return accepted(query, found, FURTHER_LOG_ODDS, groups)


def _prolonged(group: Group, again: Heard, first: int) -> Group:
    """The group, heard for longer if it goes on in a stretch that begins at that frame of the probe, or began there."""
    best, (begins, ends) = group[0], _in_probe(again.span, first)
    goes_on = max(begins - best.span[1], best.span[0] - ends) < SHORTEST_LOOK and any(
        heard.candidate.key == again.candidate.key
        and abs(heard.candidate.frame - _frame_in_probe(again.candidate, first)) <= SAME_PLACE
        for heard in group
    )
    longer = (min(best.span[0], begins), max(best.span[1], ends))
    return (replace(best, known_span=longer), *group[1:]) if goes_on else group


def _placed(query: Query, heard: Heard, first: int) -> Heard:
    """What is heard in a stretch that begins at that frame of the probe, as it is heard in the whole of it.

    It may go on beyond the stretch, while something else fades. But other music there may also fit it half, all the
    time, and then its levels seem wrong: what is certain in the stretch alone is heard there, and no longer.
    """
    candidate = heard.candidate
    here = candidate.moved(_frame_in_probe(candidate, first), candidate.z, candidate.tempo, candidate.shift)
    fit = align(
        query.z_map,
        here.part.shard.peaks,
        np.array([here.frame]),
        np.array([here.tempo], np.float32),
        np.array([here.shift], np.int32),
    )
    whole = hear_there(query, here.moved(int(fit.frame[0]), float(fit.z[0]), here.tempo, here.shift))
    if whole.certain(FURTHER_LOG_ODDS) or not heard.certain(FURTHER_LOG_ODDS):
        return whole
    return Heard(
        query, here, heard.log_odds, here.heard_peaks(query), heard.frames, _in_probe(heard.span, first)
    )


def _in_probe(span: tuple[int, int], first: int) -> tuple[int, int]:
    return first + span[0], first + span[1]


def _frame_in_probe(candidate: Candidate, first: int) -> int:
    """The frame of the shard at which the probe begins, if a stretch from that frame on does at the candidate's."""
    return candidate.frame - round(first * candidate.tempo)
