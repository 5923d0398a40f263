"""Answers as rows of the ledger; matches as its JSON, both ways."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from pipeline.ledger.records import Answer
from pipeline.model import Match, Track


def coded_matches(matches: Iterable[Match]) -> list[dict[str, Any]]:
    """Plain JSON of these matches; `decoded_matches` gives them back."""
    return [asdict(match) for match in matches]


def decoded_matches(coded: Iterable[Mapping[str, Any]] | None) -> tuple[Match, ...]:
    """The matches that `coded_matches` wrote."""
    return tuple(
        Match(
            **{
                **row,
                "track": Track(**row["track"]),
                "also": tuple(Track(**track) for track in row["also"]),
            }
        )
        for row in coded or ()
    )


def answer_values(answer: Answer) -> dict[str, Any]:
    """The columns of `answers` that the answer itself fills."""
    track = answer.track or Track("")
    return {
        "asked": dict(answer.asked),
        "status": answer.status.value,
        "title": track.title,
        "artist": track.artist,
        "album": track.album,
        "year": track.year,
        "track_id": track.track_id,
        "confidence": answer.confidence,
        "tag_title": answer.tags.title,
        "tag_artist": answer.tags.artist,
        "tag_album": answer.tags.album,
        "duration_s": answer.duration_s,
        "matched_s": answer.matched_s,
        "segments_agreeing": answer.segments_agreeing,
        "recognizer": answer.recognizer,
        "raw_score": answer.raw_score,
        "tracks": answer.tracks,
        "unnamed": answer.unnamed,
        "unanswered": answer.unanswered,
        "error": answer.error,
        "content_id": answer.content_id,
    }


def segment_values(answer_id: int, answer: Answer) -> Iterator[dict[str, Any]]:
    """The rows of `segments` for this answer."""
    for ordinal, asked in enumerate(answer.segments):
        yield {
            "answer_id": answer_id,
            "ordinal": ordinal,
            "start_s": asked.segment.start_s,
            "length_s": asked.segment.length_s,
            "sha256": asked.sha256,
            "recognizer": asked.recognizer,
            "status": asked.status.value if asked.status else "",
            "matches": coded_matches(asked.matches),
            "error": asked.error,
        }


def play_values(answer_id: int, answer: Answer) -> Iterator[dict[str, Any]]:
    """The rows of `plays` for this answer."""
    for ordinal, play in enumerate(answer.plays):
        yield {
            "answer_id": answer_id,
            "ordinal": ordinal,
            "start_s": play.start_s,
            "end_s": play.end_s,
            "title": play.track.title,
            "artist": play.track.artist,
            "album": play.track.album,
            "year": play.track.year,
            "confidence": play.confidence,
            "recognizer": play.recognizer,
            "track_id": play.track.track_id,
            "raw_score": play.raw_score,
        }
