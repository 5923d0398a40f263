"""Look for a probe in shards: vote, verify, score; and if that fails, at other tempi and pitches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
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
from pipeline.engine.vote import Ballot, Places, ballot_for, vote

PLACES: Final = 100
"""Places of each shard that voting hands to verification ..."""
SHARDS_PLACES: Final = 3
"""... and so many times as many of all shards together, of which the best supported are taken."""
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


MOST_VOTES: Final = 4_000_000
"""What 500 hours give a probe of 5 s; beyond that the commonest landmarks are not looked up. Without half of the votes,
left out in this way, the right place was handed on for as many of 40 probes under noise as before."""


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
    return scored(query, places(query, parts, ballots(parts), keys, frames, Bend(), PLACES), "plain")


def best_of_each_track(candidates: Iterable[Candidate]) -> list[Candidate]:
    """One candidate a track, by falling z."""
    best: dict[tuple[str, int], Candidate] = {}
    for candidate in candidates:
        key = (candidate.part.shard.name, candidate.number)
        if key not in best or candidate.z > best[key].z:
            best[key] = candidate
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


def ballots(parts: Sequence[Part]) -> list[Ballot]:
    """Room for the votes over these shards."""
    return [ballot_for(part.shard.frames) for part in parts]


def places(
    query: Query,
    parts: Sequence[Part],
    ballots: Sequence[Ballot],
    keys: npt.NDArray[np.uint32],
    frames: npt.NDArray[np.int32],
    bend: Bend,
    most: int,
) -> list[Candidate]:
    """The verified places of these shards, one a track, by falling z: of each shard `most` at most."""
    keys, frames = _affordable(parts, keys, frames)
    voted = [
        vote(part.shard.first_posting, part.shard.postings, keys, frames, ballot, most=most)
        for part, ballot in zip(parts, ballots, strict=True)
    ]
    votes = np.sort(np.concatenate([np.empty(0, np.int32), *(found.votes for found in voted)]))
    spare = len(votes) - SHARDS_PLACES * most
    bar = int(votes[spare]) if spare > 0 else 0
    unseen_votes = max([bar, *(int(found.votes[-1]) for found in voted if len(found.votes) == most)])
    return best_of_each_track(
        candidate
        for part, found in zip(parts, voted, strict=True)
        for candidate in _verified(query, part, found, bar, unseen_votes, bend)
    )


def _affordable(
    parts: Sequence[Part], keys: npt.NDArray[np.uint32], frames: npt.NDArray[np.int32]
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int32]]:
    """The landmarks, without the commonest if all together would have more than MOST_VOTES."""
    if sum(len(part.shard.postings) for part in parts) < MOST_VOTES:
        return keys, frames
    votes = np.zeros(len(keys), np.int64)
    for part in parts:
        votes += part.shard.first_posting[keys + 1] - part.shard.first_posting[keys]
    if votes.sum() <= MOST_VOTES:
        return keys, frames
    rising = np.sort(votes)
    bar = rising[int(np.searchsorted(np.cumsum(rising), MOST_VOTES))]
    return keys[votes < bar], frames[votes < bar]


def _verified(
    query: Query, part: Part, found: Places, bar: int, unseen_votes: int, bend: Bend
) -> Iterator[Candidate]:
    """What verification makes of the places with so many votes, one a track."""
    number = part.shard.owners(found.frame)
    taken = ~part.removed[number] & (found.votes >= bar)
    frame, number, votes = found.frame[taken], number[taken], found.votes[taken]
    # The cell that voted holds offsets 0 to 3, its neighbour 4 to 7: look around their middle.
    tempo, shift = np.full(len(frame), bend.tempo, np.float32), np.full(len(frame), bend.shift, np.int32)
    fit = align(query.z_map, part.shard.peaks, frame + 4, tempo, shift)
    by_fit = np.argsort(-fit.z, kind="stable")
    for i in by_fit[np.sort(np.unique(number[by_fit], return_index=True)[1])]:
        yield Candidate(
            part=part,
            number=int(number[i]),
            frame=int(fit.frame[i]),
            tempo=bend.tempo,
            shift=bend.shift,
            votes=int(votes[i]),
            unseen_votes=unseen_votes,
            z=float(fit.z[i]),
        )
