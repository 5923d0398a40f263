"""Whole runs on real files, against a scripted service that keeps its own account of what it charged."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.audio import Decoder
from pipeline.batch.options import Options
from pipeline.batch.plan import PlannedFile, estimate
from pipeline.batch.run import Outcome, identify
from pipeline.batch.tally import Tally
from pipeline.errors import TokenLost
from pipeline.ledger import Ledger
from pipeline.model import FileRow, Match, Pcm, Probe, Recognition, Recognizer, Segment, Status, Track
from pipeline.recognizers.audiotag import AudioTag
from tests.music import named
from tests.services.audiotag import KEY, AudioTagService


class Counting:
    """A decoder that remembers what it was asked to decode."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self.decoded: list[str] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._decoder, name)

    def spans(self, path: str, segments: Sequence[Segment]) -> list[Pcm]:
        self.decoded.append(Path(path).name)
        return self._decoder.spans(path, segments)

    def whole(self, path: str) -> Iterator[Pcm]:
        self.decoded.append(Path(path).name)
        return self._decoder.whole(path)


class Runner:
    """Runs the batch as the command does, one state folder for all runs."""

    def __init__(self, state: Path, service: AudioTagService, decoder: Decoder) -> None:
        self.state = state
        self.service = service
        self.decoder = Counting(decoder)
        self.stop = threading.Event()
        self.upload_s = 60.0
        self.options = Options(jobs=4, patience_s=3.0)

    def __call__(
        self, *roots: Path, recognizers: Sequence[Recognizer] | None = None, **changes: object
    ) -> Outcome:
        self.decoder.decoded.clear()
        with (
            AudioTag(self.service.url, KEY, upload_s=self.upload_s) as paid,
            Ledger.open(self.state) as ledger,
        ):
            return identify(
                [os.fsencode(root) for root in roots],
                ledger=ledger,
                recognizers=recognizers if recognizers is not None else [paid],
                decoder=self.decoder,  # type: ignore[arg-type]
                options=replace(self.options, **changes),  # type: ignore[arg-type]
                tally=Tally(),
                stop=self.stop,
            )

    def plan(self, *roots: Path, **changes: object) -> list[PlannedFile]:
        with AudioTag(self.service.url, KEY) as paid, Ledger.open(self.state) as ledger:
            return list(
                estimate(
                    [os.fsencode(root) for root in roots],
                    ledger=ledger,
                    recognizers=[paid],
                    decoder=self.decoder,  # type: ignore[arg-type]
                    options=replace(self.options, **changes),  # type: ignore[arg-type]
                    tally=Tally(),
                    stop=self.stop,
                )
            )

    def rows(self, run_id: int | None = None) -> dict[str, FileRow]:
        with Ledger.read(self.state) as ledger:
            last = ledger.last_run()
            assert last is not None
            return {row.path: row for row in ledger.file_rows(run_id or last.run_id)}

    def plays(self) -> list[tuple[str, str, float, float]]:
        with Ledger.read(self.state) as ledger:
            last = ledger.last_run()
            assert last is not None
            return [(row.path, row.title, row.start_s, row.end_s) for row in ledger.play_rows(last.run_id)]


class Shelf:
    """A free recognizer that knows some of the pitches; a stand-in for the catalogue."""

    name = "catalogue"
    paid = False

    def __init__(self, *titles: str) -> None:
        self.titles = set(titles)
        self.heard = 0

    @property
    def edition(self) -> str:
        return " ".join(sorted(self.titles))

    def identify(self, probe: Probe) -> Recognition:
        self.heard += 1
        matches = tuple(
            Match(Track(row.title, row.artist, track_id=row.title), 0.97, start_s=0.0, end_s=probe.length_s)
            for candidate in named(probe.pcm)
            for row in candidate.rows
            if row.title in self.titles
        )
        return Recognition(Status.FOUND if matches else Status.NOT_FOUND, matches=matches)

    def result(self, token: str) -> Recognition:
        raise TokenLost("no token was given")

    def still_names(self, track_id: str) -> bool:
        return track_id in self.titles


def statuses(rows: dict[str, FileRow]) -> dict[str, str]:
    return {path: row.status for path, row in rows.items()}


def is_unknown(pcm: Pcm) -> bool:
    """Whether this is a piece of the song that nobody knows."""
    return not named(pcm)


def is_song(title: str) -> Callable[[Pcm], bool]:
    """Whether a piece is of the song of this title."""

    def of_it(pcm: Pcm) -> bool:
        return any(row.title == title for candidate in named(pcm) for row in candidate.rows)

    return of_it
