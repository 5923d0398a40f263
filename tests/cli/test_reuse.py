"""The same music in other encodings, moved, renamed or copied is paid for once; budgets stop a run with 6."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.signal import resample_poly

from pipeline.audio import encode
from pipeline.wire.audiotag import Candidate, Row
from tests.cli.conftest import melody
from tests.conftest import ROOT, Earmark
from tests.services.audiotag import KEY, AudioTagService
from tests.services.uploads import Form

RATE_OF_FILES_HZ = 22_050
FOUND = (Candidate((Row("Hello Mr. Monkey", "Arabesque", "Grand Collection", 2001),), 321.0, (0.0, 15.0)),)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[AudioTagService]:
    """A service that finds everything, with its address and key in the environment."""
    with AudioTagService(lambda pcm: FOUND) as running:
        monkeypatch.setenv("AUDIOTAG_URL", running.url)
        monkeypatch.setenv("AUDIOTAG_API_KEY", KEY)
        yield running


def write(path: Path, seed: int) -> Path:
    """A tune of 50 s, in the format that the file's ending names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    voices = sum(melody(10 * seed + voice, 50.0).astype(float) for voice in range(4)) / 4
    wide = resample_poly(voices, 441, 160) / 32768
    # Breath and strings: bare synthetic tones leave nearly nothing to compare.
    noise = np.random.default_rng(seed).normal(0, 0.01, len(wide))
    encode(path, (wide + noise).astype("float32"), RATE_OF_FILES_HZ)
    return path


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One song in three encodings, and two others, below `more`; written once, and copied by tests."""
    folder = tmp_path_factory.mktemp("written")
    for ending in ("flac", "mp3", "ogg"):
        write(folder / "songs" / f"song.{ending}", 1)
    write(folder / "more" / "other.mp3", 2)
    write(folder / "more" / "new.flac", 3)
    return folder


@pytest.fixture
def songs(written: Path, tmp_path: Path) -> Path:
    """One song in three encodings."""
    return Path(shutil.copytree(written / "songs", tmp_path / "songs"))


def rows(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    assert done.returncode == 0, done.stderr
    return {row["path"]: row for row in map(json.loads, done.stdout.splitlines())}


def test_one_song_in_three_encodings_is_paid_for_once(
    earmark: Earmark, service: AudioTagService, songs: Path, state: Path
):
    done = earmark("identify", "--state", state, "--json", songs)
    found = rows(done)
    assert {row["title"] for row in found.values()} == {"Hello Mr. Monkey"}
    assert len(service.charges) == 1
    assert sum(row["credits"] for row in found.values()) == service.charged_s()
    assert "2 were already paid for, 2 of them as another encoding" in done.stderr

    (paid,) = [name for name, row in found.items() if row["credits"]]
    for name in found:
        explained = earmark("explain", "--state", state, songs / name).stdout.replace("\n", "")
        assert (f"paid for with {songs / paid}" in explained) is (name != paid)


def test_an_encoding_that_comes_a_run_later_costs_nothing(
    earmark: Earmark, service: AudioTagService, songs: Path, state: Path
):
    for name in ("song.mp3", "song.flac", "song.ogg", "song.ogg"):
        rows(earmark("identify", "--state", state, "--json", songs / name))
    assert len(service.charges) == 1


def test_not_found_is_reused_as_well(earmark: Earmark, service: AudioTagService, songs: Path, state: Path):
    service.lookup = lambda pcm: ()
    first = rows(earmark("identify", "--state", state, "--json", songs / "song.flac"))
    charged = len(service.charges)
    again = rows(earmark("identify", "--state", state, "--json", songs))
    assert {row["status"] for row in (first | again).values()} == {"not_found"}
    assert len(service.charges) == charged


def test_without_reuse_only_equal_samples_are_known_again(
    earmark: Earmark, service: AudioTagService, songs: Path, state: Path
):
    shutil.copy(songs / "song.mp3", songs / "copy.mp3")
    rows(earmark("identify", "--state", state, "--json", "--no-reuse", songs))
    assert len(service.charges) == 3
    assert service.paid_twice() == []


def test_moved_renamed_copied_and_unreported_files_cost_nothing_and_a_new_one_costs_itself(
    earmark: Earmark, service: AudioTagService, songs: Path, written: Path, state: Path, tmp_path: Path
):
    out = tmp_path / "music.csv"
    assert earmark("identify", "--state", state, songs, "--out", out).returncode == 0
    charged = len(service.charges)
    out.unlink()
    moved = songs.rename(tmp_path / "elsewhere")
    (moved / "song.mp3").rename(moved / "tune.mp3")
    shutil.copytree(moved, moved / "copies")
    assert earmark("identify", "--state", state, moved, "--out", out).returncode == 0
    assert out.exists()
    assert len(service.charges) == charged

    shutil.copy(written / "more" / "new.flac", moved)
    found = rows(earmark("identify", "--state", state, "--json", moved))
    assert {path for path, row in found.items() if row["credits"]} == {"new.flac"}
    assert len(service.charges) == charged + 1
    assert service.paid_twice() == []


def test_a_plan_says_at_most_and_what_will_cost_less(
    earmark: Earmark, service: AudioTagService, songs: Path, state: Path
):
    rows(earmark("identify", "--state", state, "--json", songs / "song.mp3"))
    planned = earmark("plan", "--state", state, songs)
    assert "at most" in planned.stdout
    assert "the same recording, in any encoding, was paid for: the ledger holds 1 answer" in planned.stderr
    strict = earmark("plan", "--state", state, "--no-reuse", songs)
    assert "the same audio, sample by sample, was paid for" in strict.stderr


def test_the_cap_of_a_run_that_was_killed_holds_in_the_one_that_continues_it(
    earmark: Earmark, service: AudioTagService, songs: Path, written: Path, state: Path, monkeypatch
):
    shutil.copytree(written / "more", songs, dirs_exist_ok=True)
    polled, answer = threading.Event(), service.reply

    def reply(form: Form) -> dict[str, Any]:
        if form.fields.get("action") == "get_result":
            polled.set()
        return answer(form)

    with monkeypatch.context() as slow:
        slow.setattr(service, "reply", reply)
        slow.setattr(service, "latency_s", 100.0)
        command = [sys.executable, "-m", "pipeline", "identify", "--state", state, "--jobs", "1", songs]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        running = subprocess.Popen([*command, "--max-credits", "30"], env=environment)
        assert polled.wait(60)
        running.kill()
        running.wait(20)
    assert service.charged_s() == 15

    done = earmark("identify", "--state", state, "--max-credits", "30", songs)
    assert done.returncode == 6, done.stderr
    assert "for the limit of 30 credits leaves 15;" in done.stderr
    assert "used up (30 spent, 15 of them before the run was broken off)" in done.stderr
    assert service.charged_s() == 30
    assert earmark("identify", "--state", state, "--max-credits", "30", songs).returncode == 0
    assert service.charged_s() == 45
    assert service.paid_twice() == []


def test_the_budget_of_a_day_is_told_before_the_run_and_ends_it_with_6(
    earmark: Earmark, service: AudioTagService, songs: Path, written: Path, state: Path, monkeypatch
):
    monkeypatch.setenv("EARMARK_BUDGET__PER_DAY", "20")
    shutil.copy(written / "more" / "other.mp3", songs)
    done = earmark("identify", "--state", state, songs)
    assert done.returncode == 6, done.stderr
    assert "for the budget of 20 credits a day leaves 20;" in done.stderr
    assert "the budget of 20 credits a day is used up (15 spent); it opens again on " in done.stderr
    assert len(service.charges) == 1
    again = earmark("identify", "--state", state, songs)
    assert again.returncode == 6
    assert "at most 5 credits" in again.stderr
    assert len(service.charges) == 1
    monkeypatch.setenv("EARMARK_BUDGET__PER_DAY", "30")
    assert earmark("identify", "--state", state, songs).returncode == 0
    assert len(service.charges) == 2
