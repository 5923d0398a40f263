"""Matches become plays: which recordings are the same, and where one hearing ends and the next begins."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from pipeline.model import Match, Play, Segment
from pipeline.scale import score

ALSO_HEARD_FROM = 0.5
"""A second track of one segment counts as heard, not as a mere candidate, from this confidence on."""

BRIEF_OVERLAP = 0.5
"""Two tracks of one segment are two hearings when they share at most this part of the shorter one; else one is an
alternative name for what the other says."""


@dataclass(frozen=True, slots=True)
class Hearing:
    """One match of one segment, placed in its file."""

    start_s: float
    end_s: float
    match: Match
    recognizer: str
    told_s: tuple[float, float]
    """The same, as a service would tell that answers in whole seconds of the segment. What is one play is decided by
    these, and by whole scores: else one folder would get two reports, one from the catalogue here and one from the same
    catalogue served."""

    @property
    def length_s(self) -> float:
        return self.end_s - self.start_s


def hearings(segment: Segment, matches: Sequence[Match], recognizer: str) -> Iterator[Hearing]:
    """What was heard in a segment: its best match, and further ones that say something else of another stretch."""
    heard: list[Hearing] = []
    # Of equals the service's own order decides: it may know more than its scores say.
    for match in sorted(matches, key=lambda match: -score(match.confidence)):
        start_s, end_s = match.start_s or 0.0, segment.length_s if match.end_s is None else match.end_s
        told_s = _within(segment, round(start_s), round(end_s))
        hearing = Hearing(*_within(segment, start_s, end_s), match, recognizer, told_s)
        if not heard or (
            match.confidence >= ALSO_HEARD_FROM and all(_apart(hearing, other) for other in heard)
        ):
            heard.append(hearing)
            yield hearing


def _within(segment: Segment, start_s: float, end_s: float) -> tuple[float, float]:
    """A span of a segment, placed in the file: a service may speak of more than the segment it was sent."""
    first_s = min(max(segment.start_s + start_s, segment.start_s), segment.end_s)
    return first_s, min(max(segment.start_s + end_s, first_s), segment.end_s)


def plays(heard: Iterable[Hearing], *, gap_s: float) -> list[Play]:
    """The hearings joined: neighbours of one recording with no other recording in between and at most `gap_s` apart.

    The order of the hearings makes no difference.
    """
    joined: list[_Joined] = []
    # Where each name was first heard in its latest play: three hours of full coverage are too long to search.
    latest: dict[tuple[str, str], int] = {}
    for hearing in sorted(heard, key=_by_time):
        names = identities(hearing.match)
        last = max((latest[name] for name in names if name in latest), default=None)
        if last is not None and _continues(joined, last, hearing, gap_s):
            joined[last] = _longer(joined[last], hearing)
        else:
            latest |= dict.fromkeys(names, len(joined))
            joined.append(_Joined(_play(hearing), hearing.told_s))
    return [one.play for one in joined]


@dataclass(frozen=True, slots=True)
class _Joined:
    play: Play
    told_s: tuple[float, float]


def same_recording(one: Match, other: Match) -> bool:
    """Whether two matches name the same recording: by the recognizer's own id, or by title and artist."""
    return not identities(one).isdisjoint(identities(other))


def identities(match: Match) -> frozenset[tuple[str, str]]:
    """What a match is known by: two that share one of these name the same recording."""
    tracks = (match.track, *match.also)
    ids = {("", track.track_id) for track in tracks if track.track_id}
    # Two tracks without an artist that are both "01" are not the same for that, if there is an id to go by.
    names = {
        (_plain(track.title), _plain(track.artist)) for track in tracks if track.artist or not track.track_id
    }
    return frozenset(ids | names)


def _continues(joined: list[_Joined], last: int, hearing: Hearing, gap_s: float) -> bool:
    start_s, end_s = hearing.told_s[0], joined[last].told_s[1]
    if start_s - end_s > gap_s:
        return False
    # Something else that began after this play and ended before the new hearing cuts it in two.
    return all(not (later.told_s[0] >= end_s and later.told_s[1] <= start_s) for later in joined[last + 1 :])


def _play(hearing: Hearing) -> Play:
    match = hearing.match
    return Play(
        hearing.start_s, hearing.end_s, match.track, match.confidence, hearing.recognizer, match.raw_score
    )


def _longer(joined: _Joined, hearing: Hearing) -> _Joined:
    play, match = joined.play, hearing.match
    best = _play(hearing) if score(match.confidence) > score(play.confidence) else play
    scores = [raw for raw in (play.raw_score, match.raw_score) if raw is not None]
    longer = replace(
        best,
        start_s=min(play.start_s, hearing.start_s),
        end_s=max(play.end_s, hearing.end_s),
        raw_score=max(scores, default=None),
    )
    (first_s, last_s), (start_s, end_s) = joined.told_s, hearing.told_s
    return _Joined(longer, (min(first_s, start_s), max(last_s, end_s)))


def _apart(one: Hearing, other: Hearing) -> bool:
    if same_recording(one.match, other.match):
        return False
    (start_s, end_s), (other_start_s, other_end_s) = one.told_s, other.told_s
    shared_s = min(end_s, other_end_s) - max(start_s, other_start_s)
    return shared_s <= BRIEF_OVERLAP * min(end_s - start_s, other_end_s - other_start_s)


def _by_time(hearing: Hearing) -> tuple[float | str, ...]:
    track = hearing.match.track
    # What a service rounds comes last, and decides nothing but which of two hearings of one track is taken first.
    rounded = (hearing.start_s, hearing.end_s, -hearing.match.confidence, -(hearing.match.raw_score or 0.0))
    return (*hearing.told_s, track.title, track.artist, *rounded)


@lru_cache(maxsize=4096)
def _plain(name: str) -> str:
    """A name without what spellings differ in: case, accents, punctuation. Other versions stay other names."""
    decomposed = unicodedata.normalize("NFKD", name.casefold())
    letters = "".join(char for char in decomposed if not unicodedata.combining(char))
    plain = re.sub(r"[\W_]+", " ", letters).strip()
    # A title of nothing but signs ("???") is still a title.
    return plain or name
