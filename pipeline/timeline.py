"""Matches become plays: which recordings are the same, and where one hearing ends and the next begins."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from pipeline.model import Match, Play, Segment

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

    @property
    def length_s(self) -> float:
        return self.end_s - self.start_s


def hearings(segment: Segment, matches: Sequence[Match], recognizer: str) -> Iterator[Hearing]:
    """What was heard in a segment: its best match, and further ones that say something else of another stretch."""
    heard: list[Hearing] = []
    for match in sorted(matches, key=_by_confidence):
        start_s = segment.start_s + (match.start_s or 0.0)
        end_s = segment.start_s + (segment.length_s if match.end_s is None else match.end_s)
        # A service may answer in whole seconds, or of the file it was sent: never outside the segment.
        start_s = min(max(start_s, segment.start_s), segment.end_s)
        end_s = min(max(end_s, start_s), segment.end_s)
        hearing = Hearing(start_s, end_s, match, recognizer)
        if not heard or (
            match.confidence >= ALSO_HEARD_FROM and all(_apart(hearing, other) for other in heard)
        ):
            heard.append(hearing)
            yield hearing


def plays(heard: Iterable[Hearing], *, gap_s: float) -> list[Play]:
    """The hearings joined: neighbours of one recording with no other recording in between and at most `gap_s` apart.

    The order of the hearings makes no difference.
    """
    joined: list[Play] = []
    # Where each name was first heard in its latest play: three hours of full coverage are too long to search.
    latest: dict[tuple[str, str], int] = {}
    for hearing in sorted(heard, key=_by_time):
        names = identities(hearing.match)
        last = max((latest[name] for name in names if name in latest), default=None)
        if last is not None and _continues(joined, last, hearing, gap_s):
            joined[last] = _longer(joined[last], hearing)
        else:
            latest |= dict.fromkeys(names, len(joined))
            joined.append(_play(hearing))
    return joined


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


def _continues(joined: list[Play], last: int, hearing: Hearing, gap_s: float) -> bool:
    play = joined[last]
    if hearing.start_s - play.end_s > gap_s:
        return False
    # Something else that began after this play and ended before the new hearing cuts it in two.
    return all(
        not (later.start_s >= play.end_s and later.end_s <= hearing.start_s) for later in joined[last + 1 :]
    )


def _play(hearing: Hearing) -> Play:
    match = hearing.match
    return Play(
        hearing.start_s, hearing.end_s, match.track, match.confidence, hearing.recognizer, match.raw_score
    )


def _longer(play: Play, hearing: Hearing) -> Play:
    match = hearing.match
    best = _play(hearing) if match.confidence > play.confidence else play
    scores = [score for score in (play.raw_score, match.raw_score) if score is not None]
    return replace(
        best,
        start_s=play.start_s,
        end_s=max(play.end_s, hearing.end_s),
        raw_score=max(scores, default=None),
    )


def _apart(one: Hearing, other: Hearing) -> bool:
    if same_recording(one.match, other.match):
        return False
    shared_s = min(one.end_s, other.end_s) - max(one.start_s, other.start_s)
    return shared_s <= BRIEF_OVERLAP * min(one.length_s, other.length_s)


def _by_confidence(match: Match) -> tuple[float, float, str, str]:
    return (-match.confidence, -(match.raw_score or 0.0), match.track.title, match.track.artist)


def _by_time(hearing: Hearing) -> tuple[float, float, float, float, str, str]:
    return (hearing.start_s, hearing.end_s, *_by_confidence(hearing.match))


@lru_cache(maxsize=4096)
def _plain(name: str) -> str:
    """A name without what spellings differ in: case, accents, punctuation. Other versions stay other names."""
    decomposed = unicodedata.normalize("NFKD", name.casefold())
    letters = "".join(char for char in decomposed if not unicodedata.combining(char))
    plain = re.sub(r"[\W_]+", " ", letters).strip()
    # A title of nothing but signs ("???") is still a title.
    return plain or name
