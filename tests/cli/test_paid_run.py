"""A run that costs money, against a scripted service: told beforehand, stopped by the right exit code, never twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.wire.audiotag import Candidate, Row
from tests.cli.conftest import melody, write_wav
from tests.conftest import ROOT, Earmark
from tests.services.audiotag import KEY, AudioTagService
from tests.services.faults import refused, reset_after
from tests.services.uploads import Form

FOUND = (Candidate((Row("Hello Mr. Monkey", "Arabesque", "Grand Collection", 2001),), 321.0, (0.0, 15.0)),)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[AudioTagService]:
    """A service that finds everything, with its address and key in the environment."""
    with AudioTagService(lambda pcm: FOUND) as running:
        monkeypatch.setenv("AUDIOTAG_URL", running.url)
        monkeypatch.setenv("AUDIOTAG_API_KEY", KEY)
        yield running


@pytest.fixture
def tunes(tmp_path: Path) -> Path:
    folder = tmp_path / "tunes"
    for number in (1, 2):
        write_wav(folder / f"{number}.wav", melody(number))
    return folder


def uploads(service: AudioTagService) -> int:
    return sum(seen.action == "identify" for seen in service.seen)


def test_before_money_is_spent_the_run_says_how_much_at_most_and_what_is_left(
    earmark: Earmark, service: AudioTagService, tunes: Path, state: Path
):
    done = earmark("identify", "--state", state, tunes)
    assert done.returncode == 0, done.stderr
    announced = done.stderr.splitlines()[0]
    assert "at most" in announced
    assert "balance 0 credits and 10,800 free seconds" in announced
    assert "Hello Mr. Monkey" in done.stdout
    assert f"{service.charged_s()} credits for {len(service.charges)} segments sent" in done.stderr
    assert service.paid_twice() == []


def test_the_key_is_nowhere_to_be_read(
    earmark: Earmark, service: AudioTagService, tunes: Path, state: Path, tmp_path: Path
):
    out = tmp_path / "report.jsonl"
    done = earmark("identify", "-vv", "--state", state, tunes, "--out", out)
    assert KEY not in done.stdout + done.stderr
    for path in [*state.rglob("*"), out]:
        if path.is_file():
            assert KEY.encode() not in path.read_bytes(), path


def test_a_plan_needs_no_key_and_sends_no_audio(
    earmark: Earmark, service: AudioTagService, tunes: Path, state: Path, monkeypatch
):
    monkeypatch.delenv("AUDIOTAG_API_KEY")
    done = earmark("plan", "--state", state, "--json", tunes)
    assert done.returncode == 0, done.stderr
    *files, total = map(json.loads, done.stdout.splitlines())
    assert [file["path"] for file in files] == ["1.wav", "2.wav"]
    assert total["credits_at_most"] == sum(file["credits_at_most"] for file in files) > 0
    assert service.seen == []


def test_a_refused_key_ends_with_4_before_anything_is_decoded(
    earmark: Earmark, service: AudioTagService, tunes: Path, state: Path
):
    service.keys[KEY] = "expired"
    done = earmark("identify", "--state", state, tunes)
    assert done.returncode == 4
    assert "expired" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("hint: ")
    assert uploads(service) == 0


def test_a_service_out_of_reach_ends_with_5(earmark: Earmark, tunes: Path, state: Path, monkeypatch):
    monkeypatch.setenv("AUDIOTAG_URL", "http://127.0.0.1:9/api")
    monkeypatch.setenv("AUDIOTAG_API_KEY", KEY)
    done = earmark("identify", "--state", state, tunes)
    assert done.returncode == 5
    assert "127.0.0.1:9" in done.stderr


def test_at_the_own_cap_the_run_ends_with_6_and_the_same_command_goes_on(
    earmark: Earmark, service: AudioTagService, tunes: Path, state: Path
):
    capped = earmark("identify", "--state", state, tunes, "--max-credits", "15", "--json")
    assert capped.returncode == 6
    assert "pending" in capped.stdout
    assert service.charged_s() <= 15
    assert "the same command goes on" in capped.stderr
    done = earmark("identify", "--state", state, tunes, "--json")
    assert done.returncode == 0
    assert {json.loads(line)["status"] for line in done.stdout.splitlines()} == {"found"}
    assert service.paid_twice() == []


def test_a_reply_that_was_lost_is_paid_for_once_more_and_the_row_says_what_that_cost(
    earmark: Earmark, service: AudioTagService, tunes: Path, state: Path
):
    service.plan("identify", reset_after())
    done = earmark("identify", "--state", state, tunes, "--json", "--jobs", "1")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert sum(row["credits"] for row in rows) == service.charged_s() == 45
    assert len(service.paid_twice()) == 1
    [dear] = [row for row in rows if row["error"]]
    assert dear["credits"] == 30
    assert "before that, charged: the connection broke after the upload had begun" in dear["error"]
    assert "45 credits for 3 segments sent" in done.stderr
    assert "before that, charged" in earmark("explain", "--state", state, tunes / dear["path"]).stdout


@pytest.mark.slow
def test_while_a_service_is_left_alone_the_run_says_so_and_ends_with_5(
    earmark: Earmark, service: AudioTagService, tunes: Path, state: Path, monkeypatch
):
    monkeypatch.setenv("EARMARK_AUDIOTAG__PATIENCE", "6")
    service.plan("identify", *[refused("service temporarily not available")] * 500)
    done = earmark("identify", "-v", "--state", state, tunes, "--json")
    assert done.returncode == 5, done.stderr
    assert "is left alone until" in done.stderr
    assert "was given up after" in done.stderr
    assert "the same command goes on" in done.stderr
    assert {json.loads(line)["status"] for line in done.stdout.splitlines()} == {"pending"}
    assert uploads(service) < 20
    assert service.charges == []


def test_exhausted_credits_end_with_7(earmark: Earmark, service: AudioTagService, tunes: Path, state: Path):
    service.free_s = 0
    done = earmark("identify", "--state", state, tunes)
    assert done.returncode == 7
    assert "this may not last" in done.stderr
    assert "exhausted" in done.stderr


def test_account_prints_balance_for_people_and_programs(earmark: Earmark, service: AudioTagService):
    assert "10,800" in earmark("account").stdout
    [row] = map(json.loads, earmark("account", "--json").stdout.splitlines())
    assert row["free_s"] == 10_800
    assert row["api_version"] == "2.6"


def test_doctor_says_that_the_key_is_refused_and_ends_with_4(earmark: Earmark, service: AudioTagService):
    assert "accepts the key" in earmark("doctor").stdout
    service.keys[KEY] = "inactive"
    done = earmark("doctor")
    assert done.returncode == 4
    assert "inactive" in done.stdout


# ---- Ctrl-C


def start(
    service: AudioTagService, tunes: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> subprocess.Popen[bytes]:
    """A run that has sent its first segment and asks for the answer, so that its token is on disk."""
    polled = threading.Event()
    answer = service.reply

    def reply(form: Form) -> dict[str, Any]:
        if form.fields.get("action") == "get_result":
            polled.set()
        return answer(form)

    monkeypatch.setattr(service, "reply", reply)
    running = subprocess.Popen(
        [sys.executable, "-m", "pipeline", "identify", "--state", state, "--jobs", "1", tunes],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert polled.wait(60)
    return running


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_one_signal_finishes_what_is_in_flight_and_reports(
    service: AudioTagService, tunes: Path, state: Path, monkeypatch, number: signal.Signals
):
    service.latency_s = 2.0
    running = start(service, tunes, state, monkeypatch)
    running.send_signal(number)
    stdout, stderr = running.communicate(timeout=60)
    assert running.returncode == 130, stderr
    assert b"Hello Mr. Monkey" in stdout
    assert b"the same command goes on" in stderr
    assert (b"press again to stop now" in stderr) is (number is not signal.SIGHUP)


def test_a_second_ctrl_c_stops_at_once_and_what_was_paid_is_collected_later(
    earmark: Earmark, service: AudioTagService, tunes: Path, state: Path, monkeypatch
):
    service.latency_s = 100.0
    running = start(service, tunes, state, monkeypatch)
    running.send_signal(signal.SIGINT)
    said = b""
    while b"press again" not in said:
        line = running.stderr.readline()
        assert line
        said += line
    running.send_signal(signal.SIGINT)
    assert running.wait(timeout=20) == 130
    running.communicate()
    service.latency_s = 0.0
    assert earmark("identify", "--state", state, tunes).returncode == 0
    assert service.paid_twice() == []
