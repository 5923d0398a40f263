"""Turn the rows of AudioTag's catalogue into matches: names cleaned, the score as a probability.

A row is [title, artist, album, year], typed in by many hands: the title slot may read "Artist - Title" while
the artist slot names the sampler series it came from, and placeholders stand for what nobody knew. The row
itself is kept in `Match.raw`, for better normalisers to come.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from rapidfuzz import fuzz
from rapidfuzz.utils import default_process

from pipeline.model import Match, Track
from pipeline.scale import probability
from pipeline.wire.audiotag import NO_TITLE, Candidate, Row

_SAME_NAME = 88.0
"""RapidFuzz score (0 to 100, case and punctuation ignored) of two spellings of a name: a slip in ten
letters.
"""

_DASH = re.compile(r"\s+[-–—]\s+")
_OF_WHAT = r"(?:\s+(?:album|artist|track|title|name|info|information|data))"
_PLACEHOLDER = re.compile(
    rf"[\[(<]?\s*(?:(?:no|missing){_OF_WHAT}+|unknown{_OF_WHAT}*|n/a)\s*[\])>]?"
    r"|[\[(<]\s*(?:none|null|untitled)\s*[\])>]|[-?.\s]*",
    re.IGNORECASE,
)
# "Various - Disco, New Wave", "V.A.", "Bravo Hits (CD Series)"; but not the band Various Cruelties.
_SERIES = re.compile(
    r"(?:various(?:\s+artists?)?|v\.?\s?/?\s?a\.?|sampler|compilation)(?:\s*[-–—:,/(\[].*)?"
    r"|.*[(\[][^)\]]*\b(?:series|sampler|compilation)\s*[)\]]",
    re.IGNORECASE,
)
_YEARS = range(1000, 2200)


def matches_of(candidates: Sequence[Candidate]) -> tuple[Match, ...]:
    """The matches of a reply, best first; the service's own order decides between equals."""
    matches = [match_of(candidate) for candidate in candidates]
    return tuple(sorted(matches, key=lambda match: -match.confidence))


def match_of(candidate: Candidate) -> Match:
    """One candidate with the cleanest of its rows as the track, and its other names in `also`.

    A service that gives every row an id of its own (ours) says which name is heard, and is taken by its word.
    """
    vouched = all(row.aid is not None for row in candidate.rows)
    track, *others = map(_as_told, candidate.rows) if vouched else _by_cleanliness(candidate)
    span = candidate.span_s
    return Match(
        track=track,
        confidence=probability(candidate.score),
        raw_score=candidate.score,
        start_s=span[0] if span else None,
        end_s=span[1] if span else None,
        also=tuple(dict.fromkeys(other for other in others if other != track)),
        raw=candidate.raw,
    )


def same_name(one: str, other: str) -> bool:
    """Whether two spellings are one name, apart from case, punctuation and a slip."""
    plain, other_plain = default_process(one), default_process(other)
    if not (plain and other_plain):  # the bands "!!!" and "???" have nothing left to compare
        return one == other != ""
    return fuzz.ratio(plain, other_plain) >= _SAME_NAME


def clean(row: Row, artists: Sequence[str] = ()) -> Track:
    """The track a row means; `artists` are those the other rows of its candidate name."""
    title, artist, album = (_known(text) for text in (row.title, row.artist, row.album))
    series = bool(_SERIES.fullmatch(artist))
    if series:
        album, artist = album or artist, ""
    parts = _DASH.split(title, maxsplit=1)
    if len(parts) == 2 and all(map(_known, parts)):
        first, second = parts
        known = [name for name in (artist, *artists) if same_name(first, name)]
        if artist and same_name(second, artist):
            title = first
        elif known or series:
            title, artist = second, known[0] if known else first
    year = row.year if row.year in _YEARS else None
    return Track(title or row.title, artist, album, year)


def _as_told(row: Row) -> Track:
    title = "" if row.title == NO_TITLE else row.title
    return Track(title, row.artist, row.album, row.year or None, str(row.aid))


def _by_cleanliness(candidate: Candidate) -> list[Track]:
    artists = [
        row.artist for row in candidate.rows if _known(row.artist) and not _SERIES.fullmatch(row.artist)
    ]
    aid = "" if candidate.aid is None else str(candidate.aid)
    tracks = [replace(clean(row, artists), track_id=aid) for row in candidate.rows]
    titles = [track.title for track in tracks]

    def dirt(index: int) -> tuple[int, int, float, int]:
        row, track = candidate.rows[index], tracks[index]
        rewritten = track.title != row.title or track.artist != row.artist
        unknown = [not track.artist, not track.album, track.year is None]
        # Among rows equally whole, the title most of the others agree with is the least likely to be a slip.
        agreement = sum(fuzz.ratio(track.title, title, processor=default_process) for title in titles)
        return 2 * (not track.artist) + rewritten, sum(unknown), -agreement, index

    return [tracks[index] for index in sorted(range(len(tracks)), key=dirt)]


def _known(text: str) -> str:
    """The text, or "" when it is a placeholder for what nobody knew."""
    return "" if _PLACEHOLDER.fullmatch(text) else text
