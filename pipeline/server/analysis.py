"""From audio to the candidates of a reply: ask the recognizer window by window, join what it says of one recording."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from pipeline.model import MAX_SEGMENT_S, MIN_SEGMENT_S, RATE_HZ, Match, Pcm, Probe, Recognizer, Status, Track
from pipeline.scale import score
from pipeline.timeline import same_recording
from pipeline.wire.audiotag import NO_TITLE, Candidate, Outcome, Row

WINDOW_S: Final = 15.0
"""Audio of more than 30 s is asked about in pieces of this length."""

GAP_S: Final = WINDOW_S
"""One window without a recording that is heard before and after it (a break, a voice over it) does not part it."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one candidate of a reply was heard, and what the API has no word for."""

    track_id: str
    confidence: float
    start_s: float
    end_s: float
    """In the audio that was uploaded."""
    track_start_s: float | None
    """The position in the track that is heard at `start_s`."""


@dataclass(frozen=True, slots=True)
class _Stretch:
    """One recording, heard without a longer break."""

    match: Match
    start_s: float
    end_s: float
    track_start_s: float | None
    """The position in the track at `start_s`."""
    doubt: float
    """The chance that every window that named it was wrong."""
    last_at_s: float
    """The window that named it last: two matches of one window are two answers, whatever their names."""


def analyse(recognizer: Recognizer, pcm: Pcm, *, start_s: float = 0.0) -> tuple[Outcome, tuple[Place, ...]]:
    """What is heard in samples of any length from 5 s on; `start_s` is their place in the file that was uploaded.

    One candidate for each recording and stretch, likeliest first; duplicates of a recording are one candidate's tracks.
    The places are those of the candidates, in their order.
    """
    stretches: list[_Stretch] = []
    for at_s, piece in _windows(pcm):
        for match in recognizer.identify(Probe(piece)).matches:
            _join(stretches, match, at_s, len(piece) / RATE_HZ)
    if not stretches:
        return Outcome(Status.NOT_FOUND), ()
    best_first = sorted(stretches, key=lambda one: (one.doubt, one.start_s - one.end_s, one.start_s))
    candidates = tuple(_candidate(stretch, start_s) for stretch in best_first)
    return Outcome(Status.FOUND, candidates), tuple(_place(stretch, start_s) for stretch in best_first)


def _windows(pcm: Pcm) -> Iterator[tuple[float, Pcm]]:
    """The pieces to ask about, with their places in seconds; the last one takes what would be too short alone."""
    if len(pcm) <= MAX_SEGMENT_S * RATE_HZ:
        yield 0.0, pcm
        return
    step, shortest = round(WINDOW_S * RATE_HZ), round(MIN_SEGMENT_S * RATE_HZ)
    for first in range(0, len(pcm) - shortest + 1, step):
        end = len(pcm) if len(pcm) - first - step < shortest else first + step
        yield first / RATE_HZ, pcm[first:end]


def _join(stretches: list[_Stretch], match: Match, at_s: float, length_s: float) -> None:
    start_s = at_s + (match.start_s or 0.0)
    end_s = at_s + (length_s if match.end_s is None else match.end_s)
    doubt = 1.0 - match.confidence
    for number in range(len(stretches) - 1, -1, -1):
        known = stretches[number]
        near = known.last_at_s < at_s and start_s - known.end_s <= GAP_S
        if near and same_recording(known.match, match):
            clearer = match if match.confidence > known.match.confidence else known.match
            stretches[number] = replace(
                known, match=clearer, end_s=end_s, doubt=known.doubt * doubt, last_at_s=at_s
            )
            return
    at_start_s = None if match.track_start_s is None else match.track_start_s + (match.start_s or 0.0)
    stretches.append(_Stretch(match, start_s, end_s, at_start_s, doubt, at_s))


def _candidate(stretch: _Stretch, start_s: float) -> Candidate:
    tracks = (stretch.match.track, *stretch.match.also)
    return Candidate(
        rows=tuple(_row(track) for track in tracks),
        score=score(1.0 - stretch.doubt),
        span_s=(start_s + stretch.start_s, start_s + stretch.end_s),
        aid=_aid(stretch.match.track.track_id),
    )


def _place(stretch: _Stretch, start_s: float) -> Place:
    return Place(
        stretch.match.track.track_id,
        1.0 - stretch.doubt,
        start_s + stretch.start_s,
        start_s + stretch.end_s,
        stretch.track_start_s,
    )


def _row(track: Track) -> Row:
    aid = _aid(track.track_id)
    return Row(track.title or NO_TITLE, track.artist, track.album, track.year or 0, aid)


def _aid(track_id: str) -> int:
    """A number for a track: 48 bits, which every client's integers hold, and the same on every machine."""
    return int.from_bytes(hashlib.sha256(track_id.encode("utf-8", "surrogatepass")).digest()[:6])
