"""Look for a probe in shards: vote, verify, score; and if that fails, at other tempi and pitches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from pipeline.engine.query import Query
from pipeline.engine.score import Others, Vector, features, model
from pipeline.engine.shard import Shard
from pipeline.engine.spectrum import BINS, FRAME_S
from pipeline.engine.tracks import KnownTrack
from pipeline.engine.verify import HeardPeaks, align, peaks_under, shares
from pipeline.engine.vote import Ballot, ballot_for, vote

PLACES: Final = 100
"""Places that voting hands to verification."""
SCORED: Final = 8
"""Tracks that verification hands to scoring."""

CROWD_RANK: Final = 2
"""The third best of the other tracks shows what accident alone achieves: two more may also be heard."""
USUAL: Final = {"plain": Others(3.5, 15, 4.3, 18), "bent": Others(4.9, 11, 5.7, 13)}
"""What others reach with 5 s of music in a catalogue of thirteen hours (the medians); z grows with the probe's length
to the power of 0.2, votes to that of 0.5. A small catalogue has no crowd to show what accident achieves; it must not
be believed more easily for that."""

LEAD_FROM: Final = 2.25
LEAD_WEIGHT: Final = 4.0
LEAD_MOST: Final = 8.0
LEAD_VOTES: Final = 20
LEAD_Z: Final = 3.0
LEAD_CROWD: Final = 10
"""A track with well over twice the votes of every other is the right one also where noise hides its peaks from the
score. In 3 200 searches for music that was not there no wrong one had 2.2 times the votes of the third best, but for a
remix (2.3). In a catalogue of less than a dozen tracks it says nothing."""

SAME_PEAKS_SHARE: Final = 0.4
"""Two tracks that put this share of their peaks in the same places of a probe are one recording there, not rivals."""


@dataclass(frozen=True, eq=False)
class Part:
    """A shard with what no longer counts in it."""

    shard: Shard
    removed: npt.NDArray[np.bool_]
    """By number of the track in the shard."""


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
    """Places that voting did not hand on, of whatever track, have no more votes than this."""
    features: Vector = field(default_factory=lambda: np.empty(0), compare=False)
    """What the odds are made of: [FEATURES]."""
    log_odds: float = float("-inf")

    @property
    def key(self) -> tuple[str, int]:
        """What tells its track from every other: shard and number."""
        return self.part.shard.name, self.number

    @property
    def track(self) -> KnownTrack:
        return self.part.shard.tracks[self.number].track

    @property
    def track_frame(self) -> int:
        """The track's own frame at which the probe begins; negative if the probe begins first."""
        return self.frame - self.part.shard.tracks[self.number].first_frame

    def heard_peaks(self, query: Query) -> HeardPeaks:
        """The track's peaks in the frames and bins of the probe."""
        return peaks_under(self.part.shard.peaks, self.frame, query.frames, self.tempo, self.shift, BINS)


@dataclass(frozen=True, slots=True)
class Bend:
    """A way a recording may have been changed: played `tempo` times as fast, sounding `shift` bins lower."""

    tempo: float = 1.0
    shift: int = 0


def search_plain(query: Query, parts: Sequence[Part]) -> list[Candidate]:
    """The tracks that fit the probe as it is, most likely first: SCORED of them at most."""
    keys, frames = query.landmarks()
    found = [
        candidate
        for part in parts
        for candidate in places(query, part, keys, frames, ballot_for(part.shard.frames), Bend(), PLACES)
    ]
    return scored(query, best_of_each_track(found), "plain")


def best_of_each_track(candidates: Iterable[Candidate]) -> list[Candidate]:
    """One candidate a track, by falling z."""
    best: dict[tuple[str, int], Candidate] = {}
    for candidate in candidates:
        if candidate.key not in best or candidate.z > best[candidate.key].z:
            best[candidate.key] = candidate
    return sorted(best.values(), key=lambda candidate: -candidate.z)


def scored(query: Query, candidates: Sequence[Candidate], name: str) -> list[Candidate]:
    """The best SCORED of these, one a track, with their log-odds under that model; likeliest first."""
    ranked = sorted(candidates, key=lambda candidate: -candidate.z)
    heard = [candidate.heard_peaks(query) for candidate in ranked[:SCORED]]
    rated = []
    for candidate, own, shared in zip(ranked, heard, shares(heard), strict=False):
        same = shared >= SAME_PEAKS_SHARE
        near = [other for other, is_same in zip(ranked, same, strict=False) if not is_same]
        apart = [other for other in (*near, *ranked[SCORED:]) if other is not candidate]
        others = _others(apart, query.frames * FRAME_S, name)
        evidence = features(query.z_map, own, votes=candidate.votes, others=others)
        log_odds = model(name).log_odds(evidence)
        if name == "plain":
            log_odds = max(log_odds, _lead_log_odds(candidate, apart))
        rated.append(replace(candidate, features=evidence, log_odds=log_odds))
    return sorted(rated, key=lambda candidate: -candidate.log_odds)


def _lead_log_odds(candidate: Candidate, others: Sequence[Candidate]) -> float:
    """What the votes alone say for a candidate."""
    tracks = len(candidate.part.removed) - candidate.part.removed.sum()
    if tracks <= LEAD_CROWD or candidate.votes < LEAD_VOTES or candidate.z < LEAD_Z:
        return float("-inf")
    lead = candidate.votes / max([1, candidate.unseen_votes, *(other.votes for other in others)])
    return min(LEAD_WEIGHT * (lead - LEAD_FROM), LEAD_MOST)


def _others(candidates: Sequence[Candidate], length_s: float, name: str) -> Others:
    """How well these do, or usually would."""
    usual, longer = USUAL[name], length_s / 5
    z = sorted((candidate.z for candidate in candidates), reverse=True)
    votes = sorted((candidate.votes for candidate in candidates), reverse=True)
    return Others(
        max([usual.crowd_z * longer**0.2, *z[CROWD_RANK : CROWD_RANK + 1]]),
        max([round(usual.crowd_votes * longer**0.5), *votes[CROWD_RANK : CROWD_RANK + 1]]),
        max([usual.rival_z * longer**0.2, *z[:1]]),
        max([round(usual.rival_votes * longer**0.5), *votes[:1]]),
    )


def places(
    query: Query,
    part: Part,
    keys: npt.NDArray[np.uint32],
    frames: npt.NDArray[np.int32],
    ballot: Ballot,
    bend: Bend,
    most: int,
) -> list[Candidate]:
    """The verified places of one shard, one a track, by falling z."""
    shard = part.shard
    voted = vote(shard.first_posting, shard.postings, keys, frames, ballot, most=most)
    # Fewer than `most` may be handed on though more have votes: all of one loop, say, which then has no rival.
    unseen_votes = int(voted.votes[-1]) if len(voted.votes) else 0
    number = shard.owners(voted.frame)
    alive = ~part.removed[number]
    frame, number, votes = voted.frame[alive], number[alive], voted.votes[alive]
    # The cell that voted holds offsets 0 to 3, its neighbour 4 to 7: look around their middle.
    tempo, shift = np.full(len(frame), bend.tempo, np.float32), np.full(len(frame), bend.shift, np.int32)
    fit = align(query.z_map, shard.peaks, frame + 4, tempo, shift)
    by_fit = np.argsort(-fit.z, kind="stable")
    best_of_each = by_fit[np.sort(np.unique(number[by_fit], return_index=True)[1])]
    return [
        Candidate(
            part=part,
            number=int(number[i]),
            frame=int(fit.frame[i]),
            tempo=bend.tempo,
            shift=bend.shift,
            votes=int(votes[i]),
            unseen_votes=unseen_votes,
            z=float(fit.z[i]),
        )
        for i in best_of_each
    ]
