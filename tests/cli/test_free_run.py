"""A folder of music against the catalogue, by the command as users have it: nothing is sent, all is answered."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.ledger import Ledger
from tests.cli.conftest import melody, write_wav
from tests.conftest import ROOT, Earmark


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the first tune in `known`, and a catalogue that learned it in `state`."""
    folder = tmp_path_factory.mktemp("taught")
    write_wav(folder / "known" / "The First Tune.wav", melody(1))
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "catalogue", "add", "--state", folder / "state", folder / "known"],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert b"1 added" in done.stderr
    return folder


@pytest.fixture
def known(taught: Path, state: Path) -> Path:
    """The state folder knows the first tune, which came from the folder returned."""
    shutil.copytree(taught / "state", state)
    return taught / "known"


@pytest.mark.slow
def test_who_taught_the_catalogue_has_compiled_what_searching_it_needs(
    earmark: Earmark, music: Path, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "kept"))
    assert earmark("catalogue", "add", "--state", state, music / "first tune.wav").returncode == 0
    compiled = set((tmp_path / "kept").rglob("*.nbc"))

    assert "1 found" in earmark("identify", "--state", state, music / "first tune.wav").stderr

    assert len(compiled) > 5
    assert set((tmp_path / "kept").rglob("*.nbc")) == compiled


def test_with_nobody_to_ask_three_lines_name_both_ways_before_anything_is_decoded(
    earmark: Earmark, music: Path, state: Path
):
    done = earmark("identify", "--state", state, music)
    assert done.returncode == 2
    error, free, paid = done.stderr.splitlines()
    assert error.startswith("error: there is nobody to ask")
    assert "earmark catalogue add" in free
    assert "AUDIOTAG_API_KEY" in paid
    assert not (state / "ledger.sqlite").exists()


def test_a_run_prints_its_table_on_stdout_and_the_rest_on_stderr(
    earmark: Earmark, music: Path, state: Path, known: Path, tmp_path: Path
):
    out = tmp_path / "reports" / "music.csv"
    done = earmark("identify", "--state", state, music, "--out", out)
    assert done.returncode == 3, done.stderr
    assert "The First Tune" in done.stdout
    assert "not_found" in done.stdout
    assert "4 files" in done.stderr
    assert "1 found, 1 not found, 1 too short, 1 unreadable" in done.stderr
    assert f"report  {out}" in done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    assert out.read_bytes().startswith(b"\xef\xbb\xbfpath,status,title,artist,album,year,confidence")

    again = earmark("identify", "--state", state, music, "--json", "--quiet")
    rows = [json.loads(line) for line in again.stdout.splitlines()]
    assert again.stderr == ""
    assert {row["path"]: row["status"] for row in rows} == {
        "blip.wav": "too_short",
        "first tune.wav": "found",
        "letter.mp3": "unreadable",
        "second tune.wav": "not_found",
    }

    first = out.read_bytes()
    assert earmark("report", "--state", state, "--run", "1", "--out", out).returncode == 0
    assert out.read_bytes() == first


def test_explain_shows_segments_candidates_and_votes(earmark: Earmark, music: Path, state: Path, known: Path):
    earmark("identify", "--state", state, music / "first tune.wav")
    done = earmark("explain", "--state", state, music / "first tune.wav")
    assert done.returncode == 0
    for word in ("found", "The First Tune", "confidence", "segment", "candidates", "votes", "log_odds"):
        assert word in done.stdout
    objects = [
        json.loads(line)
        for line in earmark(
            "explain", "--state", state, "--json", music / "first tune.wav"
        ).stdout.splitlines()
    ]
    assert [entry["kind"] for entry in objects][:2] == ["answer", "segment"]
    assert objects[1]["matches"][0]["track"]["title"] == "The First Tune"


def test_a_reference_track_is_listed_and_forgotten_by_the_folder_it_came_from(
    earmark: Earmark, state: Path, known: Path
):
    listed = [
        json.loads(line)
        for line in earmark("catalogue", "list", "--state", state, "--json").stdout.splitlines()
    ]
    assert [track["title"] for track in listed] == ["The First Tune"]
    assert earmark("catalogue", "remove", "--state", state, "nonsense").returncode == 2
    assert "1 removed, 0 left" in earmark("catalogue", "remove", "--state", state, known).stderr
    assert earmark("catalogue", "list", "--state", state, "--json").stdout == ""


def test_names_of_any_bytes_come_through_a_list_on_stdin(
    earmark: Earmark, tmp_path: Path, state: Path, known: Path
):
    folder = os.fsencode(tmp_path / "odd")
    names = [b"two\nlines.wav", b"-dash.wav", b"caf\xe9.wav", b"\x1b[31mred.wav"]
    Path(os.fsdecode(folder)).mkdir()
    for name in names:
        write_wav(Path(os.fsdecode(folder + b"/" + name)), melody(1, 20.0))
    listed = b"\0".join(folder + b"/" + name for name in names)
    done = earmark("identify", "--state", state, "-", stdin=listed)
    assert done.returncode == 0, done.stderr
    assert "4 files" in done.stderr
    assert done.stdout.count("found") == 4
    assert "\x1b" not in done.stdout


def test_a_second_run_on_the_same_ledger_leaves_with_11(
    earmark: Earmark, music: Path, state: Path, known: Path
):
    with Ledger.open(state):
        done = earmark("identify", "--state", state, music)
    assert done.returncode == 11
    assert "another run holds the ledger" in done.stderr


def test_a_report_that_cannot_be_written_is_found_out_before_the_run(
    earmark: Earmark, music: Path, state: Path, known: Path, tmp_path: Path
):
    (tmp_path / "file").write_text("")
    done = earmark("identify", "--state", state, music, "--out", tmp_path / "file" / "x.csv")
    assert done.returncode == 2
    assert "cannot write" in done.stderr
    assert not (state / "ledger.sqlite").exists()


def test_a_reader_that_leaves_early_gets_no_traceback(
    earmark: Earmark, music: Path, state: Path, known: Path
):
    earmark("identify", "--state", state, music)
    for form in ([], ["--json"]):
        read_end, write_end = os.pipe()
        os.close(read_end)
        done = subprocess.run(
            [sys.executable, "-m", "pipeline", "report", "--state", state, *form],
            stdout=write_end,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            timeout=60,
            check=False,
        )
        os.close(write_end)
        assert done.returncode == 0
        assert b"Traceback" not in done.stderr
        assert b"BrokenPipe" not in done.stderr


def test_doctor_finds_a_fresh_machine_fit_and_says_what_is_missing(earmark: Earmark, clean_environment):
    done = earmark("doctor", "--json")
    assert done.returncode == 0, done.stderr
    findings = {entry["subject"]: entry for entry in map(json.loads, done.stdout.splitlines())}
    assert findings["decoder"]["verdict"] == "ok"
    assert "earmark catalogue add" in findings["catalogue"]["remedy"]
    assert "AUDIOTAG_API_KEY" in findings["service"]["remedy"]
    assert findings["state"]["finding"].startswith(str(clean_environment))
