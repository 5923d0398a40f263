"""Candidates to answers: what is certain enough to be said, where it is heard, and which names mean one recording."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.engine.further import heard_further
from pipeline.engine.groups import Group, accepted, parted
from pipeline.engine.heard import NAMED_LOG_ODDS, heard_every_way
from pipeline.engine.query import Query, make_query
from pipeline.engine.score import confidence
from pipeline.engine.search import Part
from pipeline.engine.spectrum import BINS_PER_OCTAVE, FRAME_S, WINDOW
from pipeline.engine.tracks import KnownTrack
from pipeline.model import RATE_HZ, Pcm


@dataclass(frozen=True, slots=True)
class Hit:
    """A track heard in a probe."""

    track: KnownTrack
    confidence: float
    """The probability that this recording is heard."""
    log_odds: float
    """What decides whether it is named; confidence is what such log-odds proved to be worth."""
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


def find_hits(pcm: Pcm, parts: Sequence[Part]) -> list[Hit]:
    """The tracks certain to be heard in 8 kHz samples, likeliest first, one hit for each recording."""
    query = make_query(pcm)
    if query is None:
        return []
    groups = accepted(query, heard_every_way(query, parts), NAMED_LOG_ODDS)
    groups = heard_further(query, parts, groups)
    hits = [_hit(query, len(pcm), group) for group in parted(query, groups)]
    return sorted(hits, key=lambda hit: -hit.log_odds)


def find_candidates(pcm: Pcm, parts: Sequence[Part]) -> list[Hit]:
    """The likeliest tracks, certain or not, each on its own."""
    query = make_query(pcm)
    if query is None:
        return []
    return [_hit(query, len(pcm), (heard,)) for heard in heard_every_way(query, parts)]


def _hit(query: Query, samples: int, group: Group) -> Hit:
    """The hit of the group's best fit; the others are its other names."""
    best = group[0]
    candidate = best.candidate
    log_odds = max(heard.log_odds for heard in group)
    first, last = best.span
    middle_s = WINDOW / 2 / RATE_HZ
    return Hit(
        track=candidate.track,
        confidence=confidence(log_odds),
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
