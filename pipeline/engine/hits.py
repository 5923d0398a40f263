"""Candidates to answers: what is certain enough to be said, where it is heard, and which names mean one recording."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from pipeline.engine.bent import search_bent
from pipeline.engine.query import MIN_HEARD_FRAMES, Query, make_query
from pipeline.engine.search import SAME_PEAKS_SHARE, Candidate, Part, search_plain
from pipeline.engine.spectrum import BINS_PER_OCTAVE, FRAME_S, WINDOW
from pipeline.engine.tracks import KnownTrack
from pipeline.engine.verify import HeardPeaks, peaks_shared
from pipeline.model import RATE_HZ, Pcm

ACCEPT_LOG_ODDS: Final = 0.5
"""Below these odds (62 %) nothing is said. In some 3 200 searches for music that was not there the worst wrong track
came to 0.3, remixes apart; nearly all right ones lie above 5."""

SURE_LOG_ODDS: Final = 5.0
"""Below these odds the other tempi and pitches are tried as well: one of them may fit much better."""

SPAN_FRAMES: Final = 47
SPAN_Z: Final = 2.0
"""A track is heard where the z score of 1.5 s around stays above this, more or less: the run with the largest sum."""

SAME_Z_SHARE: Final = 0.6
SAME_SPAN_SHARE: Final = 0.5
"""Two tracks are one recording if the second fits nearly as well, in the same span, by the same peaks."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A track heard in a probe."""

    track: KnownTrack
    confidence: float
    """The probability that this recording is heard; log_odds is its logit."""
    log_odds: float
    track_start_s: float
    """The position in the track at the start of the probe; negative when the track starts later."""
    start_s: float
    end_s: float
    """Where in the probe the track is heard."""
    tempo: float
    pitch: float
    """How many times as fast, and as high, the probe is: both 1.04 for a recording played 4 % too fast."""
    also: tuple[KnownTrack, ...] = ()
    """Other tracks of the catalogue that are the same recording."""
    z: float = 0.0
    votes: int = 0

    @property
    def track_id(self) -> str:
        return self.track.track_id


@dataclass(frozen=True, slots=True)
class Heard:
    """A candidate with its peaks in the probe, and the frames where they fit."""

    candidate: Candidate
    peaks: HeardPeaks
    span: tuple[int, int]
    frames: int
    """How many audible frames of the probe the track could explain."""


def find_hits(pcm: Pcm, parts: Sequence[Part]) -> list[Hit]:
    """The tracks certain to be heard in 8 kHz samples, likeliest first, one hit for each recording."""
    query = make_query(pcm)
    if query is None:
        return []
    found = _search(query, parts)
    groups: list[list[Heard]] = []
    for heard in (hear(query, candidate) for candidate in found):
        group = next((group for group in groups if _same_recording(group[0], heard)), None)
        if group is not None:
            group.append(heard)
        elif _certain(heard):
            groups.append([heard])
    return [_hit(query, len(pcm), group) for group in groups]


def find_candidates(pcm: Pcm, parts: Sequence[Part]) -> list[Hit]:
    """The likeliest tracks, certain or not, each on its own."""
    query = make_query(pcm)
    if query is None:
        return []
    return [_hit(query, len(pcm), [hear(query, candidate)]) for candidate in _search(query, parts)]


def _search(query: Query, parts: Sequence[Part]) -> list[Candidate]:
    """The candidates of all passes that were needed, each track as it fits best, likeliest first."""
    found = search_plain(query, parts)
    if not found or found[0].log_odds < SURE_LOG_ODDS:
        found = sorted([*found, *search_bent(query, parts)], key=lambda candidate: -candidate.log_odds)
    seen: dict[tuple[str, int], Candidate] = {}
    for candidate in found:
        seen.setdefault((candidate.part.shard.name, candidate.number), candidate)
    return list(seen.values())


def _certain(heard: Heard) -> bool:
    return heard.candidate.log_odds >= ACCEPT_LOG_ODDS and heard.frames >= MIN_HEARD_FRAMES


def hear(query: Query, candidate: Candidate) -> Heard:
    """The candidate with where it is heard."""
    peaks = candidate.heard_peaks(query)
    frames = int(query.audible[peaks.at.min() : peaks.at.max() + 1].sum()) if len(peaks.at) else 0
    return Heard(candidate, peaks, heard_span(query, peaks), frames)


def heard_span(query: Query, peaks: HeardPeaks) -> tuple[int, int]:
    """First and last frame of the probe where the peaks fit its map."""
    fit = peaks.weight * query.z_map[peaks.at, peaks.bin]
    total = np.bincount(peaks.at, weights=fit, minlength=query.frames)
    square = np.bincount(peaks.at, weights=peaks.weight**2, minlength=query.frames)
    around = np.ones(SPAN_FRAMES)
    near, squares = (
        np.convolve(each, around)[SPAN_FRAMES // 2 :][: query.frames] for each in (total, square)
    )
    sums = np.cumsum(np.append(0.0, near / np.sqrt(np.maximum(squares, 1)) - SPAN_Z))
    lowest = np.minimum.accumulate(sums[:-1])
    last = int(np.argmax(sums[1:] - lowest))
    return int(np.argmin(sums[: last + 1])), last


def _same_recording(best: Heard, other: Heard) -> bool:
    if other.candidate.z < SAME_Z_SHARE * best.candidate.z:
        return False
    overlap = min(best.span[1], other.span[1]) - max(best.span[0], other.span[0])
    if overlap < SAME_SPAN_SHARE * (best.span[1] - best.span[0]):
        return False
    return peaks_shared(best.peaks, other.peaks) >= SAME_PEAKS_SHARE


def _hit(query: Query, samples: int, group: list[Heard]) -> Hit:
    """The hit of the group's best fit, which is not always its likeliest; the others are its other names."""
    best = max(group, key=lambda heard: heard.candidate.z)
    candidate = best.candidate
    log_odds = max(heard.candidate.log_odds for heard in group)
    first, last = best.span
    middle_s = WINDOW / 2 / RATE_HZ
    return Hit(
        track=candidate.track,
        confidence=float(1 / (1 + np.exp(-log_odds))),
        log_odds=log_odds,
        track_start_s=candidate.track_frame * FRAME_S,
        start_s=0.0 if first == 0 else first * FRAME_S + middle_s,
        end_s=samples / RATE_HZ if last == query.frames - 1 else last * FRAME_S + middle_s,
        tempo=candidate.tempo,
        pitch=2.0 ** (-candidate.shift / BINS_PER_OCTAVE),
        also=tuple(heard.candidate.track for heard in group if heard is not best),
        z=candidate.z,
        votes=candidate.votes,
    )
