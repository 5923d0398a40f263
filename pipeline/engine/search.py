"""Look for a probe in shards, as it is: vote or scan for places, verify them, score them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from pipeline.engine.landmarks import Frames, Keys
from pipeline.engine.query import MIN_HEARD_FRAMES, Query
from pipeline.engine.scan import best_places
from pipeline.engine.score import FEATURES, Others, Pass, Vector, features, fit_of, model
from pipeline.engine.shard import GAP, Shard
from pipeline.engine.spectrum import BINS, BINS_PER_OCTAVE, FRAME_S
from pipeline.engine.tracks import KnownTrack
from pipeline.engine.verify import HeardPeaks, align, peaks_under, shares
from pipeline.engine.vote import Ballot, Places, Roll, ballot_for, vote

PLACES: Final = 100
"""Places that voting hands to verification."""
CELL_MIDDLE: Final = 4
"""Frames: the cell that voted holds offsets 0 to 3, its neighbour 4 to 7."""
SCORED: Final = 8
"""Tracks that verification hands to scoring."""

CROWD_RANK: Final = 2
"""The third best of the other tracks shows what accident alone achieves: two more may also be heard. Of several hundred
it is the third best a hundred: else the best of thousands would make all music seem such as fits by accident."""
TOLD: Final = SCORED + CROWD_RANK + 1
"""Tracks of a shard whose fit bears on the odds of those that are scored. (Where one shard of many has more than these
among the best of all, what accident achieves is told a little lower.)"""
MIN_CROWD: Final = 50
NO_CROWD_LOG_ODDS: Final = -0.5
"""Added in a catalogue of fewer tracks, where it also says little that nobody else has votes: among 3 to 40 tracks, 2
of 3,167 searches for what was not there came to 3.6 and 4.7 without it."""
USUAL: Final = {
    Pass.PLAIN: Others(3.5, 4.3, 18, 18),
    Pass.SCANNED: Others(4.8, 5.3, 18, 18),
    Pass.BENT: Others(4.9, 5.7, 15, 15),
}
"""What others reach with 5 s of music in a catalogue of thirteen hours (the medians, more or less); z grows with the
probe's length to the power of 0.2, votes to that of 0.5. A small catalogue has no crowd to show what accident
achieves; it must not be believed more easily for that."""

HEARD_LOG_ODDS: Final = 5.5
"""From these odds on (99.6 %) a track's music is said to be heard, and the others are judged beside the rest."""
JUDGED_AGAIN: Final = 3
"""So many others, the likeliest: each costs as much as the first time."""

SAME_PITCH: Final = 1
"""Bins: pitch is known to no less."""
SAME_TEMPO: Final = 0.011
"""The pass for music as it is finds what is 1 % off as well."""

BEAT: Final = {"fit_over_shifts": 1.0, "fit_over_bins": 0.3}
"""What leads itself elsewhere by less is met only in its beat. Of unknown music under noise two pieces of 60,000 sounds
were named, both so, by the levels of their drums; of 397 excerpts of recordings that had few odds and were named none
is so."""

SAME_PEAKS_SHARE: Final = 0.4
"""Two tracks that put this share of their peaks in the same places of a probe are one recording there, not rivals."""


@dataclass(frozen=True, eq=False)
class Part:
    """A shard with what no longer counts in it."""

    shard: Shard
    removed: npt.NDArray[np.bool_]
    """By number of the track in the shard."""

    @cached_property
    def roll(self) -> Roll:
        """The tracks for which landmarks may vote."""
        return Roll(self.shard.starts, self.removed)

    @cached_property
    def _bounds(self) -> npt.NDArray[np.int64]:
        """The first frame of each track, and the one after its last: [2, tracks]."""
        first = self.shard.starts + GAP
        return np.stack([first, first + np.array([track.frames for track in self.shard.tracks], np.int64)])

    def ballot(self) -> Ballot:
        """Room for the votes of one search."""
        return ballot_for(self.shard.frames)

    def voted(self, keys: Keys, frames: Frames, ballot: Ballot, most: int) -> Places:
        """The places that these landmarks of a probe, at those of its frames, vote for."""
        shard = self.shard
        return vote(shard.first_posting, shard.postings, keys, frames, ballot, self.roll, most=most)

    def whereabouts(self, frames: int) -> npt.NDArray[np.int64]:
        """The tracks that count, and the first and the last place of a probe of so many frames in each: [3, tracks].

        Where it could be heard for less than MIN_HEARD_FRAMES, a track would never be named.
        """
        number = np.flatnonzero(~self.removed)
        first, end = self._bounds[:, number]
        return np.stack([number, first + MIN_HEARD_FRAMES - frames, end - MIN_HEARD_FRAMES])

    def frames_heard(
        self,
        number: npt.NDArray[np.int64],
        frame: npt.NDArray[np.int64],
        frames: int,
        tempo: float | npt.NDArray[np.float64],
    ) -> npt.NDArray[np.float64]:
        """For how many of its frames a probe that begins at those could hear the tracks of those numbers: [places]."""
        first, end = (self._bounds[:, number] - frame) / tempo
        heard: npt.NDArray[np.float64] = np.minimum(end, frames) - np.maximum(first, 0)
        return heard

    @property
    def tracks(self) -> int:
        """How many count."""
        return int(np.count_nonzero(~self.removed))


@dataclass(frozen=True)
class Candidate:
    """A track at the place where it fits the probe best."""

    part: Part
    number: int
    """Of the track in its shard."""
    frame: int
    """Of the shard, at which the probe begins."""
    tempo: float
    shift: int
    votes: int
    z: float
    unseen_votes: int = 0
    """Tracks that voting did not hand on have no more votes than this."""
    features: Vector = field(default_factory=lambda: np.empty(0), compare=False)
    """What the odds are made of: [FEATURES]."""
    log_odds: float = float("-inf")
    by: Pass = Pass.PLAIN
    """Which pass found it."""
    peaks: HeardPeaks | None = field(default=None, compare=False, repr=False)
    """Those of the track in the probe, once they were looked at."""

    @property
    def key(self) -> tuple[str, int]:
        """What tells its track from every other: shard and number."""
        return self.part.shard.name, self.number

    @property
    def as_it_is(self) -> bool:
        """Whether it fits at the track's own tempo and pitch."""
        return self.tempo == 1 and self.shift == 0

    @property
    def at_its_pitch(self) -> bool:
        """Whether it fits at the track's own pitch, more or less."""
        return abs(self.shift) <= SAME_PITCH

    @property
    def nearly_as_it_is(self) -> bool:
        """Whether it fits at the track's own tempo and pitch, more or less."""
        return abs(self.tempo - 1) <= SAME_TEMPO and self.at_its_pitch

    @property
    def tempo_alone(self) -> bool:
        """Whether it fits at the track's own pitch, more or less, but at another tempo."""
        return self.tempo != 1 and self.at_its_pitch and not self._at_another_speed

    @property
    def beat_alone(self) -> bool:
        """Whether it fits nearly as well at other moments, and at other pitches: no more is met than its beat."""
        told = dict(zip(FEATURES, self.features.tolist(), strict=False))
        return bool(told) and all(told[name] < least for name, least in BEAT.items())

    @property
    def _at_another_speed(self) -> bool:
        """Whether its pitch is another by what its tempo says, as on a turntable that runs too fast or too slow."""
        bins_lower = -BINS_PER_OCTAVE * math.log2(self.tempo)
        return self.shift != 0 and abs(self.shift - bins_lower) <= SAME_PITCH / 2

    @property
    def track(self) -> KnownTrack:
        return self.part.shard.tracks[self.number].track

    @property
    def track_frame(self) -> int:
        """The track's own frame at which the probe begins; negative if the probe begins first."""
        return self.frame - self.part.shard.tracks[self.number].first_frame

    def heard_peaks(self, query: Query) -> HeardPeaks:
        """The track's peaks in the frames and bins of the probe."""
        return self.peaks or peaks_under(
            self.part.shard.peaks, self.frame, query.frames, self.tempo, self.shift, BINS
        )

    def moved(self, frame: int, z: float, tempo: float, shift: int) -> Candidate:
        """The same track where it fits so well; its odds stay those of the first place."""
        return replace(self, frame=frame, z=z, tempo=tempo, shift=shift, peaks=None)


def search_plain(query: Query, parts: Sequence[Part]) -> list[Candidate]:
    """The tracks that fit the probe as it is, most likely first: SCORED of them at most."""
    keys, frames = query.landmarks()
    found = []
    for part in parts:
        voted = part.voted(keys, frames, part.ballot(), PLACES)
        number = part.roll.owners(voted.frame)
        found += verified(query, part, number, voted.frame + CELL_MIDDLE, voted.votes, voted.unseen_votes)
    return scored(query, best_of_each_track(found), Pass.PLAIN, parts)


def search_scanned(query: Query, parts: Sequence[Part]) -> list[Candidate]:
    """The tracks that fit the probe as it is, whether or not one of their landmarks is met; SCORED of them at most."""
    found = []
    for part in parts:
        number, first, last = part.whereabouts(query.frames)
        frame, which = best_places(query.z_map, part.shard.peaks, first, last)
        found += verified(query, part, number[which], frame, np.zeros(len(frame), np.int32))
    return scored(query, best_of_each_track(found), Pass.SCANNED, parts)


def best_of_each_track(candidates: Iterable[Candidate]) -> list[Candidate]:
    """One candidate a track, by falling z."""
    best: dict[tuple[str, int], Candidate] = {}
    for candidate in candidates:
        key = candidate.key
        if key not in best or candidate.z > best[key].z:
            best[key] = candidate
    return sorted(best.values(), key=lambda candidate: -candidate.z)


def scored(query: Query, candidates: Sequence[Candidate], by: Pass, parts: Sequence[Part]) -> list[Candidate]:
    """The best SCORED of these, one a track, with their log-odds by that pass's model; likeliest first."""
    crowded = sum(part.tracks for part in parts) >= MIN_CROWD
    ranked = sorted(candidates, key=lambda candidate: -candidate.z)
    rank = _crowd_rank(by, parts)
    z, votes = np.array([[candidate.z, candidate.votes] for candidate in ranked]).reshape(-1, 2).T
    heard = [candidate.heard_peaks(query) for candidate in ranked[:SCORED]]
    fits = [fit_of(query.z_map, peaks) for peaks in heard]
    same = np.zeros((len(heard), len(ranked)), np.bool_)
    same[:, : len(heard)] = (shares(heard) >= SAME_PEAKS_SHARE) | np.eye(len(heard), dtype=bool)

    def rated(number: int, beside: npt.NDArray[np.bool_]) -> Candidate:
        apart = beside & ~same[number]
        others = _others(ranked[number], z[apart], votes[apart], query.frames * FRAME_S, by, crowded, rank)
        evidence = features(fits[number], votes=ranked[number].votes, others=others)
        log_odds = model(by.music).log_odds(evidence) + (0 if crowded else NO_CROWD_LOG_ODDS)
        return replace(ranked[number], features=evidence, log_odds=log_odds, by=by, peaks=heard[number])

    beside = np.ones(len(ranked), np.bool_)
    judged = [rated(number, beside) for number in range(len(heard))]
    best = max(range(len(judged)), key=lambda number: judged[number].log_odds, default=None)
    if best is not None and (most := judged[best].log_odds) >= HEARD_LOG_ODDS:
        # Who is certainly heard is nobody's rival: another may be heard as well, though never more certainly.
        beside &= ~same[best]
        rest = sorted(np.flatnonzero(beside[: len(judged)]).tolist(), key=lambda n: -judged[n].log_odds)
        for number in rest[:JUDGED_AGAIN]:
            again = rated(number, beside)
            judged[number] = replace(again, log_odds=min(again.log_odds, most))
    return sorted(judged, key=lambda candidate: -candidate.log_odds)


def _crowd_rank(by: Pass, parts: Sequence[Part]) -> int:
    """Which of the other tracks, by falling z from 0, shows what accident achieves in that pass."""
    if by is not Pass.PLAIN:
        return CROWD_RANK  # the others hand on the best of all, however many there are
    return CROWD_RANK * max(sum(min(part.tracks, PLACES) for part in parts) // PLACES, 1)


def _others(
    candidate: Candidate, z: Vector, votes: Vector, length_s: float, by: Pass, crowded: bool, rank: int
) -> Others:
    """What others, of these z scores (falling) and votes [others], do beside the candidate, or usually would."""
    usual, longer = USUAL[by], length_s / 5
    most_votes = int(votes.max(initial=0))
    rival_votes = max(round(usual.rival_votes * longer**0.5), most_votes)
    return Others(
        max([usual.crowd_z * longer**0.2, *z[rank : rank + 1].tolist()]),
        max([usual.rival_z * longer**0.2, *z[:1].tolist()]),
        rival_votes,
        max(candidate.unseen_votes, most_votes) if crowded else rival_votes,
    )


def verified(
    query: Query,
    part: Part,
    number: npt.NDArray[np.int64],
    frame: npt.NDArray[np.int64],
    votes: npt.NDArray[np.int32],
    unseen_votes: int = 0,
) -> list[Candidate]:
    """The tracks of those numbers at those frames of a shard [places], each where it fits best, by falling z.

    Only the TOLD best of them and, of the others, the one with most votes: no more is asked of the others.
    """
    as_it_is = np.ones(len(frame), np.float32), np.zeros(len(frame), np.int32)
    fit = align(query.z_map, part.shard.peaks, frame, *as_it_is)
    # A loop fits best where it begins, if what comes before is hidden; there, too little of it may be heard to name it.
    long = np.flatnonzero(part.frames_heard(number, fit.frame, query.frames, 1.0) >= MIN_HEARD_FRAMES)
    by_fit = long[np.argsort(-fit.z[long], kind="stable")]
    best_of_each = by_fit[np.sort(np.unique(number[by_fit], return_index=True)[1])]
    rest = best_of_each[TOLD:]
    told = np.append(best_of_each[:TOLD], rest[np.argsort(-votes[rest], kind="stable")[:1]])
    columns = (each[told].tolist() for each in (number, fit.frame, votes, fit.z))
    return [
        Candidate(part, number, frame, 1.0, 0, votes, z, unseen_votes)
        for number, frame, votes, z in zip(*columns, strict=True)
    ]
