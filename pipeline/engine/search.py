"""Look for a probe in shards: vote, verify, score; and if that fails, at other tempi and pitches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from pipeline.engine.query import Query
from pipeline.engine.score import Vector, features, model
from pipeline.engine.shard import Shard
from pipeline.engine.spectrum import BINS, FRAME_S
from pipeline.engine.tracks import KnownTrack
from pipeline.engine.verify import align, peaks_under
from pipeline.engine.vote import Ballot, vote

PLACES: Final = 100
"""Places that voting hands to verification."""
SCORED: Final = 8
"""Tracks that verification hands to scoring."""

ELSEWHERE_FRAMES: Final = 32
"""A second: places in one track nearer than this are one place."""

CROWD_RANK: Final = 3
"""The fourth best track shows what accident alone achieves: up to three may be the same recording, or also heard."""
USUAL_CROWD: Final = {"plain": (3.1, 14), "bent": (4.4, 9)}
"""The z score and votes of that fourth track for 5 s of music and a catalogue of six hours (the medians). They grow
with the probe's length to the power of 0.2 and 0.5. A small catalogue has no crowd to show what accident achieves; it
must not be believed more easily for that."""

LEAD_FROM: Final = 2.25
LEAD_WEIGHT: Final = 4.0
LEAD_MOST: Final = 8.0
LEAD_VOTES: Final = 20
LEAD_Z: Final = 3.0
LEAD_CROWD: Final = 10
"""A track with well over twice the votes of every other is the right one also where noise hides its peaks from the
score. In 704 searches for music that was not there (374 of them in music no constant here was chosen by) the lead was
1.9 at most; 2.2 where another speed hid the right track. In a catalogue of less than a dozen tracks it says nothing."""


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
    repeat_votes: int = 0
    """The votes of the best other place in the same track: many in music that repeats itself."""
    crowd: float = 0.0
    crowd_votes: int = 0
    """The z score and the votes that other tracks reach with this probe by accident."""
    log_odds: float = float("-inf")

    @property
    def track(self) -> KnownTrack:
        return self.part.shard.tracks[self.number].track

    @property
    def track_frame(self) -> int:
        """The track's own frame at which the probe begins; negative if the probe begins first."""
        return self.frame - self.part.shard.tracks[self.number].first_frame

    def heard_peaks(self, query: Query) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """The track's peaks in the frames and bins of the probe: both [peaks]."""
        return peaks_under(self.part.shard.peaks, self.frame, query.frames, self.tempo, self.shift, BINS)

    def features(self, query: Query) -> Vector:
        """What the score is made of: [FEATURES]."""
        return features(
            query.z_map,
            *self.heard_peaks(query),
            votes=self.votes,
            repeat_votes=self.repeat_votes,
            crowd=self.crowd,
            crowd_votes=self.crowd_votes,
        )


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
        for candidate in places(
            query, part, keys, frames, Ballot.for_frames(part.shard.frames), Bend(), PLACES
        )
    ]
    return scored(query, best_of_each_track(found), "plain")


def best_of_each_track(candidates: Iterable[Candidate]) -> list[Candidate]:
    """One candidate a track, by falling z."""
    best: dict[tuple[str, int], Candidate] = {}
    for candidate in candidates:
        key = (candidate.part.shard.name, candidate.number)
        if key not in best or candidate.z > best[key].z:
            best[key] = candidate
    return sorted(best.values(), key=lambda candidate: -candidate.z)


def scored(query: Query, candidates: Sequence[Candidate], name: str) -> list[Candidate]:
    """The best SCORED candidates, of those given one a track, with their log-odds under that model; likeliest first."""
    ranked = sorted(candidates, key=lambda candidate: -candidate.z)
    votes = sorted((candidate.votes for candidate in candidates), reverse=True)
    usual_z, usual_votes = USUAL_CROWD[name]
    length = query.frames * FRAME_S / 5.0
    crowd = max([usual_z * length**0.2, *(candidate.z for candidate in ranked[CROWD_RANK : CROWD_RANK + 1])])
    crowd_votes = max([round(usual_votes * length**0.5), *votes[CROWD_RANK : CROWD_RANK + 1]])
    lead = _lead_log_odds(votes) if name == "plain" else float("-inf")
    judged = []
    for candidate in ranked[:SCORED]:
        beside = replace(candidate, crowd=crowd, crowd_votes=crowd_votes)
        log_odds = model(name).log_odds(beside.features(query))
        if candidate.votes == votes[0] and candidate.z >= LEAD_Z:
            log_odds = max(log_odds, lead)
        judged.append(replace(beside, log_odds=log_odds))
    return sorted(judged, key=lambda candidate: -candidate.log_odds)


def _lead_log_odds(votes: Sequence[int]) -> float:
    """What the votes alone say for the track that has most of them; `votes` of all tracks, falling."""
    if len(votes) <= LEAD_CROWD or votes[0] < LEAD_VOTES:
        return float("-inf")
    return min(LEAD_WEIGHT * (votes[0] / votes[1] - LEAD_FROM), LEAD_MOST)


def places(
    query: Query,
    part: Part,
    keys: npt.NDArray[np.uint32],
    frames: npt.NDArray[np.int32],
    ballot: Ballot,
    bend: Bend,
    most: int,
) -> list[Candidate]:
    """The verified places of one shard, one a track."""
    shard = part.shard
    voted = vote(shard.first_posting, shard.postings, keys, frames, ballot, most=most)
    number = shard.owners(voted.frame)
    alive = ~part.removed[number]
    frame, number, votes = voted.frame[alive], number[alive], voted.votes[alive]
    # The cell that voted holds offsets 0 to 3, its neighbour 4 to 7: look around their middle.
    tempo, shift = np.full(len(frame), bend.tempo, np.float32), np.full(len(frame), bend.shift, np.int32)
    fit = align(query.z_map, shard.peaks, frame + 4, tempo, shift)
    elsewhere = (number[:, None] == number) & (np.abs(frame[:, None] - frame) >= ELSEWHERE_FRAMES)
    repeat_votes = np.where(elsewhere, votes, 0).max(axis=1, initial=0)
    return best_of_each_track(
        Candidate(
            part=part,
            number=int(number[i]),
            frame=int(fit.frame[i]),
            tempo=bend.tempo,
            shift=bend.shift,
            votes=int(votes[i]),
            repeat_votes=int(repeat_votes[i]),
            z=float(fit.z[i]),
        )
        for i in range(len(frame))
    )
