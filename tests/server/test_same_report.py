"""Our client against our server says what the engine in this process says, file by file."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.server.test_restart import served

SAME = (
    "path", "status", "title", "artist", "album", "year", "duration_s", "duplicate_group", "tracks", "error",
    "content_id",
)  # fmt: skip
"""Not the same: who was asked, what it cost, and the score, which only a service has. Nearly the same: how long a track
was heard, for the API speaks in whole seconds; how sure that is, for its scores are whole numbers too."""


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
    embedded, served_rows = rows(tmp_path / "here.csv"), rows(tmp_path / "there.csv")

    assert [{name: row[name] for name in SAME} for row in served_rows] == [
        {name: row[name] for name in SAME} for row in embedded
    ]
    for one, other in zip(embedded, served_rows, strict=True):
        assert float(one["confidence"] or 0) == pytest.approx(float(other["confidence"] or 0), abs=0.01)
        assert float(one["matched_s"] or 0) == pytest.approx(float(other["matched_s"] or 0), rel=0.05, abs=1)
    assert (
        sum(float(row["credits"]) for row in served_rows)
        == stat["credits_spent"]
        == stat["uploaded_duration_sec"]
    )
