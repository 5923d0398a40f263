"""What was accepted is on the disk before its token is told; afterwards it is answered, or given back with a reason."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.errors import StorageError
from tests.server.ears import BUGGY, KNOWN
from tests.server.running import Running, serving


def test_the_audio_is_on_the_disk_before_the_charge_and_the_charge_before_the_token(
    shared: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    happened: list[str] = []
    fsync, accept = os.fsync, shared.service.jobs._accept

    def watched(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        fsync(descriptor)
        happened.append(path.suffix or path.name)

    def charged(uploads: object) -> object:
        outcome = accept(uploads)  # type: ignore[arg-type]
        happened.append("charged")
        return outcome

    monkeypatch.setattr(os, "fsync", watched)
    monkeypatch.setattr(shared.service.jobs._accepting, "_work", charged)

    assert shared.upload(KNOWN)["success"] is True
    assert happened == [".pcm", "jobs", "charged"]


def test_a_disk_that_cannot_keep_the_audio_takes_no_charge(
    shared: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    before = shared.ask("stat")["uploaded_duration_sec"]
    monkeypatch.setattr(os, "fsync", full)
    reply = shared.upload(KNOWN)
    monkeypatch.undo()

    assert reply == {"success": False, "error": "service temporarily not available"}
    assert shared.ask("stat")["uploaded_duration_sec"] == before


def test_a_charge_that_cannot_be_written_leaves_no_audio_behind(
    shared: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared.result(shared.upload(KNOWN)["token"])

    def full(_: object) -> None:
        raise StorageError("the disk is full")

    monkeypatch.setattr(shared.service.jobs._accepting, "_work", full)

    assert shared.upload(KNOWN) == {"success": False, "error": "service temporarily not available"}
    assert list((shared.state / "server/jobs").iterdir()) == []


def test_a_job_whose_audio_is_lost_says_so_and_is_given_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(tmp_path) as running:
        jobs = running.service.jobs
        jobs.take = lambda _: None  # type: ignore[method-assign]  # nobody comes to it
        key, _ = running.service.accounts.add(credits=100)
        token = running.upload(KNOWN, key=key)["token"]
    [audio] = (tmp_path / "server/jobs").iterdir()
    audio.unlink()
    with serving(tmp_path) as again:
        reply = again.result(token, key=key)
        stat = again.ask("stat", key=key)

    assert reply == {"success": False, "error": "internal error: server recognition error"}
    assert (stat["current_credit_balance"], stat["credits_spent"]) == (100, 0)
    assert "reason=FileNotFoundError" in caplog.text


def test_what_is_given_back_stays_counted_as_uploaded(shared: Running) -> None:
    key, _ = shared.service.accounts.add(credits=100)
    shared.result(shared.upload(BUGGY, key=key)["token"], key=key)
    stat = shared.ask("stat", key=key)

    # Table 4: the total that was passed to identification. What came of it is told by the credits.
    assert (stat["uploaded_duration_sec"], stat["credits_spent"]) == (15, 0)
    assert stat["current_credit_balance"] == 100
    assert stat["uploaded_size_bytes"] > 15 * 2 * 8000
