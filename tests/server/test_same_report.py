"""Our client against our server says what the engine in this process says, file by file."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.model import RATE_HZ, Match, Play, Probe, Recognition, Segment, Status, Track
from pipeline.server.analysis import analyse
from pipeline.timeline import hearings, plays
from pipeline.wire.audiotag import read_result
from pipeline.wire.audiotag_replies import result_reply, to_json
from pipeline.wire.tracks import matches_of
from tests.conftest import ROOT
from tests.server.test_restart import served

OTHERWISE = {"recognizer", "raw_score", "segments_sent", "credits", "identified_at"}
"""Who was asked, its own number, what was sent there and what it cost, when: all else is the same."""

NEARLY = {"confidence": 0.01, "matched_s": 1.0, "start_s": 1.0, "end_s": 1.0}
"""The API speaks in whole seconds, and in scores that are whole numbers."""

FULL = ("--coverage", "full")  # else the service, who costs money, is asked about fewer segments


def run(*arguments: str | Path, **environment: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode in (0, 3), done.stderr


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def alike(row: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in row.items() if name not in OTHERWISE and name not in NEARLY}


SEGMENT_S = 15.0
SPANS = st.tuples(st.floats(0, SEGMENT_S), st.floats(0, SEGMENT_S)).map(sorted)
NAMES = st.lists(st.sampled_from(["A", "B - A", "C", ""]), min_size=1, max_size=2, unique=True)
MATCHES = st.lists(
    st.builds(
        lambda names, sure, span: Match(*named(names[:1]), sure, None, *span, also=named(names[1:])),
        NAMES,
        # As sure as the engine must be, and more.
        st.floats(0.9, 1.0),
        SPANS,
    ),
    max_size=3,
    unique_by=(lambda match: match.track, lambda match: match.confidence),
).map(lambda matches: sorted(matches, key=lambda match: -match.confidence))
"""Best first, as every recognizer promises."""


def named(titles: Sequence[str]) -> tuple[Track, ...]:
    """Tracks as a catalogue knows them: some without an artist, as files without tags are."""
    return tuple(Track(title, "Someone" if title == "A" else "", track_id=f"id {title}") for title in titles)


class Saying:
    """A recognizer that knows one answer."""

    name, paid, edition = "saying", False, "1"

    def __init__(self, matches: list[Match]) -> None:
        self._answer = Recognition(Status.FOUND if matches else Status.NOT_FOUND, matches=tuple(matches))

    def identify(self, probe: Probe) -> Recognition:
        return self._answer

    def result(self, token: str) -> Recognition:
        raise NotImplementedError

    def still_names(self, track_id: str) -> bool:
        raise NotImplementedError


def through_the_api(matches: list[Match]) -> tuple[Match, ...]:
    """What our client reads of what our server tells of these."""
    outcome, _ = analyse(Saying(matches), np.zeros(int(SEGMENT_S * RATE_HZ), np.int16))
    return matches_of(read_result(to_json(result_reply(outcome))).candidates)


def plays_of(segments: Sequence[Sequence[Match]]) -> list[Play]:
    """The plays of a file whose segments, one after the other, were answered so."""
    return plays(
        [
            hearing
            for number, matches in enumerate(segments)
            for hearing in hearings(Segment(number * SEGMENT_S, SEGMENT_S), matches, "some")
        ],
        gap_s=SEGMENT_S,
    )


@settings(max_examples=500)
@given(st.lists(MATCHES, max_size=6))
def test_whole_seconds_and_whole_scores_change_no_play_by_more_than_half_a_second(
    segments: list[list[Match]],
) -> None:
    here, there = plays_of(segments), plays_of([*map(through_the_api, segments)])

    assert [play.track.title for play in there] == [play.track.title for play in here]
    for one, other in zip(here, there, strict=True):
        assert (other.start_s, other.end_s) == pytest.approx((one.start_s, one.end_s), abs=0.5)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_same_folder_gives_the_same_report(tmp_path: Path) -> None:
    here, there, sample = tmp_path / "here", tmp_path / "there", tmp_path / "sample"
    run("sample", sample)
    for state in (here, there):
        run("catalogue", "add", sample / "catalogue", "--state", state)
    run(
        "identify",
        sample / "music",
        "--state",
        here,
        "--recognizer",
        "catalogue",
        *FULL,
        "--out",
        tmp_path / "here.csv",
    )
    with served(there) as command:
        run(
            "identify",
            sample / "music",
            "--state",
            tmp_path / "client",
            "--recognizer",
            command.url,
            *FULL,
            "--out",
            tmp_path / "there.csv",
            AUDIOTAG_API_KEY=command.key,
        )
        stat = command.ask("stat")
    served_rows = rows(tmp_path / "there.csv")

    for table in ("csv", "plays.csv"):
        embedded, served_ones = rows(tmp_path / f"here.{table}"), rows(tmp_path / f"there.{table}")
        assert len(embedded) > 3
        assert [alike(row) for row in served_ones] == [alike(row) for row in embedded]
        for one, other in zip(embedded, served_ones, strict=True):
            for name in NEARLY.keys() & one.keys():
                said, told = float(one[name] or 0), float(other[name] or 0)
                assert told == pytest.approx(said, abs=NEARLY[name]), (name, one, other)
    assert (
        sum(float(row["credits"]) for row in served_rows)
        == stat["credits_spent"]
        == stat["uploaded_duration_sec"]
    )
