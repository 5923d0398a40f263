"""Candidates to what is heard: where in a probe each fits, and how certain it is that it is this recording."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pipeline.engine.bent import at_any_tempo, refined, search_bent
from pipeline.engine.covers import Bearing, recording_log_odds
from pipeline.engine.levels import level_features
from pipeline.engine.outvoting import search_outvoting
from pipeline.engine.query import MIN_HEARD_FRAMES, Query
from pipeline.engine.score import Pass, evenness, fits_evenly
from pipeline.engine.search import Candidate, Part, search_plain, search_scanned
from pipeline.engine.spectrum import FRAME_S, HOP, WINDOW
from pipeline.engine.verify import HeardPeaks
from pipeline.model import RATE_HZ

SPAN_FRAMES: Final = 47
SPAN_Z: Final = 2.0
"""At first sight a track is heard where the z score of 1.5 s around stays above this, more or less."""
SPAN_SHARE: Final = 0.45
"""Looked at closer it is heard where its peaks fit more than this part as well as they do at first sight: the run with
the largest sum. With half the edges of a fade would be its middle, but what is heard under talk would have gaps."""
SPAN_LOOKS: Final = 2

SHORTEST_SPAN: Final = 31
"""Frames: what is heard for less than a second is not named, for a chord may fit by accident, levels and all. Of what
was named rightly under noise the shortest was heard for 34, of what was not there one for 7."""

HARMED_FOR: Final = 105
HARMED_SHARE: Final = 2 / 3
"""Frames (3.4 s), or this share of what it could be heard for if that is less, between silences or at its own end:
covers that fit by halves, at another tempo, are heard for less."""

THROUGHOUT: Final = 0.8
"""What is heard for this share of what it could be heard for is heard from end to end, but for what a codec drops."""

AT_THE_EDGE: Final = 12
"""Frames (0.4 s): a track heard so near the beginning or the end of a probe is heard from there, to there."""

PEAK_REACH: Final = WINDOW // HOP // 2
"""Frames (0.1 s) around that of a peak which hear the same sound."""

NAMED_LOG_ODDS: Final = 5.0
"""From these odds on (99.1 %) a recording is named. See docs/engine.md."""
NO_DOUBT: Final = 25.0
"""Log-odds of its music from which a track is taken to be heard as it is: of 635 excerpts that were (5 s, in 13 ways)
nine in ten have more, of 200 found so though at another tempo or pitch half. In large catalogues fewer have."""
WORTH_A_LOOK: Final = -6.0
"""Log-odds of its music below which a track is not named, whatever its levels are."""
WORTH_REFINING: Final = 0.0
"""The same for one whose levels are not what they should be, but might be at a slightly other tempo."""
RAISED_BY_LEVELS: Final = 3.5
"""What was looked for at other tempi and pitches may be so much likelier than its music at most, in log-odds: struck
by whomever, drums have the same levels, and at forty tempi and pitches some fit by accident. Of unknown music one piece
under noise came to 6.1 by its levels, from 0.4. Of 439 excerpts named so all music had 4.2 and more; of 2,498 that were
named with odds below 12, seven are lost."""
HARDLY_NAMED: Final = 8.0
"""What is named with odds below these, or such doubt, may be half right: where others play the same a little faster or
slower, their notes are now and then where the recording has its own, and then their levels seem harmed by a codec."""
SURELY_NAMED: Final = 10.0
"""What is named at its own tempo with odds below these may only share the drums of music that is played faster or
slower: of 24 such excerpts nine were named so, eight of them with less. Of 6,471 excerpts in 22 ways one in seven has
less, of clean or coded ones hardly any."""
FAR_MORE: Final = 1.1
"""A track that fits so many times as well at another tempo, and explains so many times as much, is judged there. Tunes
that others play did at theirs, 1.1 to 1.9 and 1.1 to 2.2 times; of some 300 excerpts of recordings that were heard as
they are, two did."""


@dataclass(frozen=True, eq=False)
class Heard:
    """A candidate with its peaks in the probe, and the frames where they fit."""

    query: Query = field(repr=False)
    candidate: Candidate
    log_odds: float
    """That it is this recording; those of the candidate say that its music is heard."""
    peaks: HeardPeaks
    frames: int
    """How many audible frames of the probe the track could explain."""
    known_span: tuple[int, int] | None = None
    """Its span, if that was looked for."""

    @cached_property
    def span(self) -> tuple[int, int]:
        """First and last frame where it is heard. Nobody asks it of most, and looking for it takes long."""
        return self.known_span or heard_span(self.query, self.peaks)

    @property
    def explained(self) -> float:
        """How well it fits, and for how long: z grows with the root of the length."""
        first, last = self.span
        return self.candidate.z * float(np.sqrt(last - first + 1))

    @property
    def played_by_others(self) -> bool:
        """Whether its music is heard, but with other levels than this recording's."""
        return self.log_odds < NAMED_LOG_ODDS <= self.candidate.log_odds

    def certain(self, bar_log_odds: float) -> bool:
        """Whether the track can be said to be heard."""
        if self.log_odds < bar_log_odds or self.frames < MIN_HEARD_FRAMES:
            return False
        first, last = self.span
        return last - first >= SHORTEST_SPAN


def heard_every_way(query: Query, parts: Sequence[Part]) -> list[Heard]:
    """What all passes that were needed hear, each track as it is heard best, likeliest first.

    What is beyond doubt at its own tempo needs no look at others. What is named, but not so surely, may only share the
    beat with music that is played faster or slower; and where a track was moved to another tempo, so may others be.
    """
    found = [hear(query, candidate) for candidate in search_plain(query, parts)]
    # Of music that is heard votes find no more than a place a frame off, where its levels may seem to be right.
    if not any(heard.certain(NAMED_LOG_ODDS) or heard.played_by_others for heard in found):
        found += [hear(query, candidate) for candidate in search_outvoting(query, parts)]
    if not any(heard.certain(NAMED_LOG_ODDS) for heard in found):
        found += [hear(query, candidate) for candidate in search_scanned(query, parts)]
    if not any(heard.certain(SURELY_NAMED) and heard.candidate.nearly_as_it_is for heard in found):
        found += [hear(query, candidate) for candidate in search_bent(query, parts)]
    return sorted(heard_best(found), key=lambda heard: -heard.log_odds)


def heard_best(found: Iterable[Heard]) -> list[Heard]:
    """Each track as it is heard best."""
    best: dict[tuple[str, int], Heard] = {}
    for heard in sorted(found, key=_strength, reverse=True):
        best.setdefault(heard.candidate.key, heard)
    return list(best.values())


def _strength(heard: Heard) -> tuple[bool, float]:
    """What is certain, by how much it explains, then what is not: levels may agree for a moment too short to tell."""
    certain = heard.certain(NAMED_LOG_ODDS)
    return certain, heard.explained if certain else heard.log_odds


def hear(query: Query, candidate: Candidate) -> Heard:
    """The candidate at the tempo and pitch at which it is heard best, near those it was found at."""
    heard = hear_there(query, candidate)
    if candidate.by is Pass.OUTVOTING:
        return heard  # z would move it elsewhere
    refused = heard.log_odds < NAMED_LOG_ODDS
    if refused and candidate.as_it_is and candidate.log_odds >= WORTH_REFINING:
        # The plain pass also finds what is 1 % too fast, of which no level is what it should be.
        closer = hear_there(query, refined(query, candidate))
        heard = max(heard, closer, key=lambda each: each.log_odds)
    doubted = heard.log_odds < HARDLY_NAMED or candidate.log_odds < NO_DOUBT
    if heard.log_odds >= NAMED_LOG_ODDS and doubted and candidate.at_its_pitch:
        elsewhere = hear_there(query, at_any_tempo(query, heard.candidate, heard.span))
        better = elsewhere.candidate.z > FAR_MORE * heard.candidate.z
        if better and elsewhere.explained > FAR_MORE * heard.explained:
            return elsewhere
    return heard


def hear_there(query: Query, candidate: Candidate) -> Heard:
    """The candidate with where it is heard, and how certain it is that it is this recording, not only this music."""
    peaks = candidate.heard_peaks(query)
    frames = _audible_under(query, peaks)
    log_odds = candidate.log_odds
    if log_odds < WORTH_A_LOOK:
        return Heard(query, candidate, log_odds, peaks, frames)
    # Of what nothing stands out, no moment fits better than another.
    span = (0, query.frames - 1) if candidate.by is Pass.OUTVOTING else heard_span(query, peaks)
    if (here := peaks.inside(span)).any():
        by = candidate.by if candidate.as_it_is else Pass.BENT
        measured = level_features(query.level, query.noise, peaks.only(here), bent=by is Pass.BENT)
        log_odds = recording_log_odds(log_odds, measured, by, bearing_on(query, candidate, peaks, span))
    if candidate.beat_alone:
        # Struck by whomever, drums have the same levels.
        log_odds = min(log_odds, candidate.log_odds)
    elif candidate.by is Pass.BENT:
        log_odds = min(log_odds, candidate.log_odds + RAISED_BY_LEVELS)
    return Heard(query, candidate, log_odds, peaks, frames, span)


def _audible_under(query: Query, peaks: HeardPeaks) -> int:
    """How many audible frames of the probe these peaks could explain."""
    if not len(peaks.at):
        return 0
    first, last = int(peaks.at.min()), int(peaks.at.max())
    return int(query.audible[max(first - PEAK_REACH, 0) : last + PEAK_REACH + 1].sum())


def bearing_on(query: Query, candidate: Candidate, peaks: HeardPeaks, span: tuple[int, int]) -> Bearing:
    """What beside its levels bears on whether the candidate with those peaks, heard in that span, is the recording."""
    frames, audible = span[1] - span[0] + 1, _audible_under(query, peaks)
    return Bearing(
        harmed=query.driven or _may_be_harmed(query, peaks, span, audible),
        throughout=frames >= THROUGHOUT * audible,
        as_it_is=candidate.as_it_is,
        tempo_alone=candidate.tempo_alone,
        far_fetched=candidate.by is Pass.BENT and candidate.log_odds < NO_DOUBT,
        heard_s=((frames - 1) * HOP + WINDOW) / RATE_HZ,
    )


def _may_be_harmed(query: Query, peaks: HeardPeaks, span: tuple[int, int], audible: int) -> bool:
    """Whether it is heard for long, but now better, now worse, as through a codec or a compressor.

    What others play fits alike all the time; what fits by halves, at another tempo, is not heard for long.
    """
    long = min(HARMED_FOR, HARMED_SHARE * audible)
    return span[1] - span[0] >= long and not fits_evenly(evenness(query.z_map, peaks), query.frames * FRAME_S)


def heard_span(query: Query, peaks: HeardPeaks) -> tuple[int, int]:
    """First and last frame of the probe where the peaks fit its map."""
    z = query.z_map[peaks.at, peaks.bin]
    total = np.bincount(peaks.at, weights=peaks.weight * z, minlength=query.frames)
    square = np.bincount(peaks.at, weights=peaks.weight**2, minlength=query.frames)
    around = np.ones(SPAN_FRAMES)
    near, squares = (
        np.convolve(each, around)[SPAN_FRAMES // 2 :][: query.frames] for each in (total, square)
    )
    first, last = _largest_run(near / np.sqrt(np.maximum(squares, 1)) - SPAN_Z)
    for _ in range(SPAN_LOOKS):
        first, last = _largest_run(speaks_for(query, peaks, (first, last)))
    if first <= AT_THE_EDGE:
        first = 0
    if last >= query.frames - 1 - AT_THE_EDGE:
        last = query.frames - 1
    return first, last


def _largest_run(values: npt.NDArray[Any]) -> tuple[int, int]:
    """First and last index of the stretch with the largest sum; of such the shortest: a track may begin silently."""
    sums = np.cumsum(np.append(0.0, values))
    last = int(np.argmax(sums[1:] - np.minimum.accumulate(sums[:-1])))
    return last - int(np.argmin(sums[last::-1])), last


def speaks_for(query: Query, peaks: HeardPeaks, span: tuple[int, int]) -> npt.NDArray[np.float64]:
    """How much each frame of the probe speaks for the track, if it fits as well there as in that span: [frames]."""
    z = query.z_map[peaks.at, peaks.bin]
    weight = peaks.weight * peaks.inside(span)
    usual = np.sum(weight * z) / np.sum(weight) if weight.any() else 1.0
    over = peaks.weight * (z - SPAN_SHARE * usual) * usual
    return np.bincount(peaks.at, weights=over, minlength=query.frames).astype(np.float64)
