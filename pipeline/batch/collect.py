"""The evidence of a file's segments becomes one answer, and a list of plays.

The rules, in the order they are applied:

1. Each segment votes for a recording with the confidence of its best match for it; names of one recording (reissues,
   duplicates in the catalogue) are one recording.
2. Segments that agree are independent witnesses: the probability that all of them are wrong is the product.
   It is never taken for certain (`MOST`): what all segments share, such as a wrong catalogue, no vote can see.
3. The recording with the highest combined probability is the answer if that reaches `FOUND_AT`; otherwise the file
   is not found. An honest "not found" beats a wrong name.
4. Asking ends early (`settled`) at `SETTLED_AT`: by one match alone when it covers half of its segment or more and no
   other recording in that segment comes near it, or by segments that agree.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from pipeline.ledger import AskedSegment
from pipeline.model import Match, Play, Status
from pipeline.scale import score
from pipeline.timeline import Hearing, hearings, identities, plays

FOUND_AT = 0.5
"""From here on the name is more likely right than wrong."""
SETTLED_AT = 0.9
"""From here on another segment costs more than it can tell."""
MOST = 0.9999
CLEAR_LEAD = 0.5
"""A runner-up in the same segment with more than this part of the leader's confidence asks for a second witness."""
HALF = 0.5


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the asked segments say together. `match` is None when they name nothing that can be believed."""

    match: Match | None = None
    confidence: float | None = None
    agreeing: int = 0
    matched_s: float = 0.0
    recognizer: str = ""
    settled: bool = False
    plays: tuple[Play, ...] = ()

    @property
    def tracks(self) -> int:
        return len({(play.track.title, play.track.artist, play.track.track_id) for play in self.plays})


@dataclass(slots=True)
class _Candidate:
    """One recording and the segments that name it, best witness first."""

    anchor: Match
    votes: dict[int, tuple[Match, AskedSegment]] = field(default_factory=dict)

    @property
    def confidence(self) -> float:
        # Sorted, for a product of four doubts may differ in its last digit with their order.
        doubt = math.prod(sorted(1.0 - match.confidence for match, _ in self.votes.values()))
        return min(1.0 - doubt, MOST)

    @property
    def matched_s(self) -> float:
        return math.fsum(_heard_s(match, asked) for match, asked in self.votes.values())

    def rank(self) -> tuple[float, float, str, str]:
        return (-self.confidence, -self.matched_s, self.anchor.track.title, self.anchor.track.artist)


def verdict(asked: Sequence[AskedSegment], *, gap_s: float) -> Verdict:
    """The one answer to these segments, whatever their order. `gap_s` joins neighbouring hearings into one play."""
    ranked = sorted(_candidates(asked), key=_Candidate.rank)
    if not ranked or ranked[0].confidence < FOUND_AT:
        return Verdict()
    best = ranked[0]
    match, witness = max(
        best.votes.values(), key=lambda vote: (score(vote[0].confidence), -vote[1].segment.start_s)
    )
    return Verdict(
        match=match,
        confidence=best.confidence,
        agreeing=len(best.votes),
        matched_s=best.matched_s,
        recognizer=witness.recognizer,
        settled=_settled(best, ranked[1:]),
        plays=tuple(
            play
            for play in plays(_heard(asked), gap_s=gap_s)
            if play.confidence >= FOUND_AT or len(ranked) == 1
        ),
    )


def _heard(asked: Sequence[AskedSegment]) -> list[Hearing]:
    return [
        hearing
        for line in asked
        if line.status is Status.FOUND
        for hearing in hearings(line.segment, line.matches, line.recognizer)
    ]


def _candidates(asked: Sequence[AskedSegment]) -> list[_Candidate]:
    named = [
        (match, number, line)
        for number, line in enumerate(asked)
        if line.status is Status.FOUND
        for match in line.matches
    ]
    # Surest first: a recording is known by its surest name, and a chain of look-alikes does not run together.
    named.sort(
        key=lambda item: (-score(item[0].confidence), item[0].track.title, item[0].track.artist, item[1])
    )
    candidates: list[_Candidate] = []
    # The surest candidate of each name: three hours of full coverage have too many to compare each with each.
    known_by: dict[tuple[str, str], int] = {}
    for match, number, line in named:
        names = identities(match)
        first = min((known_by[name] for name in names if name in known_by), default=None)
        if first is not None:
            candidates[first].votes.setdefault(number, (match, line))
        else:
            known_by |= dict.fromkeys(names, len(candidates))
            candidates.append(_Candidate(match, {number: (match, line)}))
    return candidates


def _settled(best: _Candidate, others: Sequence[_Candidate]) -> bool:
    if best.confidence < SETTLED_AT:
        return False
    if len(best.votes) > 1:
        return True
    ((number, (match, asked)),) = best.votes.items()
    rivals = [candidate.votes[number][0].confidence for candidate in others if number in candidate.votes]
    heard_elsewhere = any(candidate.confidence >= FOUND_AT for candidate in others)
    return (
        not heard_elsewhere
        and _heard_s(match, asked) >= HALF * asked.segment.length_s
        and max(rivals, default=0.0) <= CLEAR_LEAD * match.confidence
    )


def _heard_s(match: Match, asked: AskedSegment) -> float:
    return next(h.length_s for h in hearings(asked.segment, (match,), asked.recognizer))
