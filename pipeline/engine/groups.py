"""Tracks heard to recordings: which of those heard in a probe are one recording, kin, or strangers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt

from pipeline.engine.heard import Heard, speaks_for
from pipeline.engine.query import Query
from pipeline.engine.score import Pass
from pipeline.engine.search import SAME_PEAKS_SHARE
from pipeline.engine.verify import HeardPeaks, near_peaks, peaks_shared

LONGEST_FADE: Final = 125
"""Frames (4 s)."""

SAME_Z_SHARE: Final = 0.6
SAME_SPAN_SHARE: Final = 0.5
"""Two tracks are one recording if the second fits nearly as well, in the same span, by the same peaks."""

OWN_Z_SHARE: Final = 0.8
"""Without the peaks of another track in the probe, one that is also heard keeps so much of its z, mostly (612 of 619 in
mixes of two at 0 dB); one that is another version of the first, made of the same sounds, does not."""
FAINT_Z_SHARE: Final = 0.7
OWN_PEAKS_SHARE: Final = 0.9
"""A faint one owes more of its z to what is loud where its peaks happen to be; but then those are few: six of those
seven keep so much, and so many of their peaks. Of 30 other versions none keeps more than 69 % of z, 85 % of peaks."""


Group = tuple[Heard, ...]
"""The tracks that are one recording, heard in a probe; the one that explains most first."""


def accepted(
    query: Query, found: Sequence[Heard], bar_log_odds: float, groups: Sequence[Group] = ()
) -> list[Group]:
    """Those groups, and one for each further recording that is certain; what is no stranger to it joins or is dropped.

    What explains most speaks first: where two versions of a piece are certain, it is the one that is heard. An edit may
    fit better for the half that it has.
    """
    certain = [heard for heard in found if heard.certain(bar_log_odds)]
    keys = {heard.candidate.key for heard in certain}
    rest = [heard for heard in found if heard.candidate.key not in keys]
    grown = list(groups)
    for heard in (*_most_explained_first(certain), *sorted(rest, key=lambda heard: -heard.candidate.z)):
        own = next((n for n, group in enumerate(grown) if same_recording(group[0], heard)), None)
        if own is not None:
            grown[own] = (*grown[own], heard)
        elif heard.candidate.key in keys and not any(
            fits_by_the_same(query, group[0], heard) for group in grown
        ):
            grown.append((heard,))
    return [tuple(_most_explained_first(group)) for group in grown]


def _most_explained_first(those: Iterable[Heard]) -> list[Heard]:
    return sorted(those, key=lambda heard: -heard.explained)


def parted(query: Query, groups: Sequence[Group]) -> list[Group]:
    """The groups, in none of which the end of one that fades out overlaps the beginning of the next that fades in.

    Each then ends, or begins, where both fit alike. What is heard together for longer than a fade stays together.
    """
    spans = [group[0].span for group in groups]
    for one, (first, last) in enumerate(spans):
        for other, (begins, ends) in enumerate(spans):
            if first < begins < last < ends and last - begins < LONGEST_FADE:
                going, coming = (
                    speaks_for(query, groups[n][0].peaks, groups[n][0].span)[begins : last + 1]
                    for n in (one, other)
                )
                meeting = begins + int(np.argmax(np.cumsum(np.append(0.0, going - coming))))
                spans[one] = (spans[one][0], max(meeting - 1, first))
                spans[other] = (meeting, spans[other][1])
    return [
        tuple(replace(heard, known_span=span) if heard is group[0] else heard for heard in group)
        for group, span in zip(groups, spans, strict=True)
    ]


def same_recording(best: Heard, other: Heard) -> bool:
    """Whether the other track is the same recording as the first, under another name."""
    by_votes = best.candidate.by is other.candidate.by is Pass.OUTVOTING
    if other.candidate.z < SAME_Z_SHARE * best.candidate.z and not by_votes:
        return False
    overlap = min(best.span[1], other.span[1]) - max(best.span[0], other.span[0])
    if overlap < SAME_SPAN_SHARE * (best.span[1] - best.span[0]):
        return False
    return peaks_shared(best.peaks, other.peaks) >= SAME_PEAKS_SHARE


def fits_by_the_same(query: Query, best: Heard, other: Heard) -> bool:
    """Whether the other track is only heard because it shares sounds with the first: a remix, or another version."""
    peaks = other.peaks
    inside = peaks.inside(other.span)
    own = inside & ~near_peaks(best.peaks, query.z_map.shape)[peaks.at, peaks.bin]
    own_z, all_z = _z(query, peaks, own), _z(query, peaks, inside)
    of_its_own = own_z >= FAINT_Z_SHARE * all_z and own.sum() >= OWN_PEAKS_SHARE * inside.sum()
    return own_z < OWN_Z_SHARE * all_z and not of_its_own


def _z(query: Query, peaks: HeardPeaks, chosen: npt.NDArray[np.bool_]) -> float:
    at, bins, weight = peaks.at[chosen], peaks.bin[chosen], peaks.weight[chosen]
    square = float(np.sum(weight**2))
    return float(np.sum(weight * query.z_map[at, bins])) / np.sqrt(square) if square else 0.0
