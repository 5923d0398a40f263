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

OTHERWISE = {"recognizer", "raw_score", "segments_sent", "credits", "identified_at"}
"""Who was asked, its own number, what was sent there and what it cost, when: all else is the same."""

NEARLY = {"confidence": 0.01, "matched_s": 1.0, "start_s": 1.0, "end_s": 1.0}
"""The API speaks in whole seconds, and in scores that are whole numbers."""

SEAM_S = 7.5
"""Where one track fades into the next, a second decides whether half of a segment's overlap counts as heard."""

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


def fades(number: int, *tables: list[dict[str, str]]) -> bool:
    """Whether a play overlaps the next one of its file, in any of these reports."""
    return any(
        rows[number + 1]["path"] == rows[number]["path"]
        and float(rows[number + 1]["start_s"]) < float(rows[number]["end_s"])
        for rows in tables
        if number + 1 < len(rows)
    )


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
        for number, (one, other) in enumerate(zip(embedded, served_ones, strict=True)):
            for name in NEARLY.keys() & one.keys():
                apart = SEAM_S if name == "end_s" and fades(number, embedded, served_ones) else NEARLY[name]
                assert float(one[name] or 0) == pytest.approx(float(other[name] or 0), abs=apart), (
                    name,
                    one,
                    other,
                )
    assert (
        sum(float(row["credits"]) for row in served_rows)
        == stat["credits_spent"]
        == stat["uploaded_duration_sec"]
    )
