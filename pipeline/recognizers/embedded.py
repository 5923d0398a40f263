"""The embedded recognizer: the catalogue of known music on this machine. Free, and it answers at once."""

from __future__ import annotations

from typing import Final

from pipeline.engine.catalogue import Catalogue
from pipeline.engine.hits import Hit
from pipeline.engine.tracks import KnownTrack
from pipeline.errors import TokenLost
from pipeline.model import Match, Probe, Recognition, Status, Track


class Embedded:
    """Names probes from a catalogue; keeps the Recognizer promise and never answers PENDING."""

    name: Final = "catalogue"
    paid: Final = False

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    @property
    def edition(self) -> str:
        """The catalogue's generation."""
        return self._catalogue.generation

    def identify(self, probe: Probe) -> Recognition:
        """The tracks of the catalogue heard in a probe of 5 to 30 s; of more, the first 30 s count."""
        matches = tuple(map(to_match, self._catalogue.search(probe.pcm)))
        return Recognition(Status.FOUND if matches else Status.NOT_FOUND, matches=matches)

    def result(self, token: str) -> Recognition:
        """Always TokenLost, for no token was ever given."""
        raise TokenLost(
            f"the catalogue gave no token {token!r}",
            hint="it answers at once; this token is of another recognizer",
        )

    def still_names(self, track_id: str) -> bool:
        """Whether the catalogue still holds this track."""
        return self._catalogue.holds(track_id)


def to_match(hit: Hit) -> Match:
    """The engine's hit in the words of the report. `raw` holds the evidence, for `explain`."""
    return Match(
        track=_to_track(hit.track),
        confidence=hit.confidence,
        start_s=hit.start_s,
        end_s=hit.end_s,
        track_start_s=hit.track_start_s,
        also=tuple(map(_to_track, hit.also)),
        raw={
            "log_odds": round(hit.log_odds, 3),
            "z": round(hit.z, 2),
            "votes": hit.votes,
            "tempo": round(hit.tempo, 4),
            "pitch": round(hit.pitch, 4),
        },
    )


def _to_track(track: KnownTrack) -> Track:
    return Track(track.title, track.artist, track.album, track.year, track.track_id)
