"""The errors of Table 2 that are the service's own: each where the document puts it, and never a charge with it."""

from __future__ import annotations

import functools
import threading
import time
from pathlib import Path

import pytest
import requests

from pipeline.errors import MediaError, StorageError
from pipeline.model import FileStatus
from pipeline.server import workers
from tests.server import ears
from tests.server.ears import BUGGY, DEADLY, KNOWN, SLOW, UNKNOWN
from tests.server.running import Running, serving, settled


def refused(error: str) -> dict[str, object]:
    return {"success": False, "error": error}


def until_health_says(running: Running, word: str) -> None:
    ends = time.monotonic() + 30
    while requests.get(f"http://127.0.0.1:{running.port}/healthz", timeout=10).text != f"{word}\n":
        assert time.monotonic() < ends
        threading.Event().wait(0.05)


def test_a_full_queue_answers_at_once_and_charges_nothing(tmp_path: Path) -> None:
    with serving(tmp_path, queue=100, queue_per_key=2) as running:
        until_health_says(running, "serving")
        replies = [running.upload(SLOW) for _ in range(6)]
        taken = [reply for reply in replies if reply["success"]]
        other, _ = running.service.accounts.add()

        assert 2 <= len(taken) <= 4
        assert refused("service temporarily not available") in replies
        assert running.ask("stat")["uploaded_duration_sec"] == 15 * len(taken)
        assert running.upload(KNOWN, key=other)["success"], "one key's crowd is no other key's"


def test_uploads_beyond_the_places_for_them_are_let_go(tmp_path: Path) -> None:
    with serving(tmp_path, uploads=1) as running:
        begun = threading.Event()

        def halting():
            yield b'--B\r\nContent-Disposition: form-data; name="file"; filename="x.wav"\r\n\r\n' + bytes(
                200_000
            )
            begun.wait(30)
            yield b"\r\n--B--\r\n"

        headers = {"Content-Type": "multipart/form-data; boundary=B"}
        holder = threading.Thread(
            target=requests.post,
            args=(running.url,),
            kwargs={"data": halting(), "headers": headers, "timeout": 30},
        )
        holder.start()
        settled(lambda: {} if list((tmp_path / "server/uploads").iterdir()) else {"result": "wait"})
        reply = running.upload(UNKNOWN)
        begun.set()
        holder.join()

        assert reply == refused("service temporarily not available")
        assert running.upload(UNKNOWN)["success"] is True
        assert list((tmp_path / "server/uploads").iterdir()) == []


def test_a_disk_that_is_nearly_full_takes_no_uploads(
    shared: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.server.door.SPARE_BYTES", 1 << 60)

    assert shared.upload(KNOWN) == refused("service temporarily not available")
    assert shared.ask("info")["success"] is True


def test_a_job_that_kills_its_worker_is_tried_twice_and_costs_nothing(tmp_path: Path) -> None:
    with serving(tmp_path) as running:
        before = running.ask("stat")["current_credit_balance"]
        token = running.upload(DEADLY)["token"]

        assert running.result(token) == refused("internal error: server recognition error")
        assert running.service.workers.restarts == 2
        assert running.ask("stat")["current_credit_balance"] == before
        assert running.result(running.upload(KNOWN)["token"])["result"] == "found"


def test_a_bug_costs_one_job_and_its_seconds_are_given_back(shared: Running) -> None:
    key, _ = shared.service.accounts.add(credits=10, free_s=20)
    token = shared.upload(BUGGY, key=key)["token"]

    assert shared.result(token, key=key) == refused("internal error: server recognition error")
    stat = shared.ask("stat", key=key)
    assert (stat["identification_free_sec_remainder"], stat["current_credit_balance"]) == (20, 10)
    assert stat["credits_spent"] == 0


def test_an_answer_that_cannot_be_written_down_is_held_until_it_can(
    shared: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish, tries = shared.service.jobs.finish, []

    def full_twice(ended: object) -> None:
        tries.append(ended)
        if len(tries) <= 2:
            raise StorageError("the disk is full")
        finish(ended)  # type: ignore[arg-type]

    monkeypatch.setattr("pipeline.server.workers.PAUSE_S", 0.05)
    monkeypatch.setattr(shared.service.jobs, "finish", full_twice)

    assert shared.result(shared.upload(KNOWN)["token"])["result"] == "found"
    assert len(tries) == 3


def test_an_engine_that_never_opens_is_an_init_error(tmp_path: Path) -> None:
    with serving(tmp_path, ears.deaf) as running:
        until_health_says(running, "failed")

        assert running.upload(KNOWN) == refused("internal error: server init error")
        assert running.ask("info")["success"] is True


def test_a_machine_that_can_start_no_process_for_a_while_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    start, tries = workers._context.Process.start, []

    def refused_twice(process: object) -> None:
        tries.append(process)
        if len(tries) <= 2:
            raise OSError(11, "Resource temporarily unavailable")
        start(process)  # type: ignore[arg-type]

    monkeypatch.setattr(workers, "PAUSE_S", 0.05)
    monkeypatch.setattr(workers._context.Process, "start", refused_twice)
    with serving(tmp_path) as running:
        until_health_says(running, "serving")

        assert running.result(running.upload(KNOWN)["token"])["result"] == "found"
    assert "no process could be started: Resource temporarily unavailable" in caplog.text


def test_an_engine_that_does_not_open_again_leaves_jobs_waiting_and_says_so(tmp_path: Path) -> None:
    with serving(tmp_path / "s", functools.partial(ears.deaf_after, tmp_path)) as running:
        until_health_says(running, "serving")
        waiting = running.upload(DEADLY)["token"]
        until_health_says(running, "broken")

        assert running.upload(KNOWN) == refused(
            "internal error: could not communicate to the recognition server"
        )
        assert running.ask("get_result", data={"token": waiting}) == refused(
            "internal error: server is not ready"
        )


def test_a_decoder_at_its_limits_is_the_services_fault(
    shared: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> None:
        raise MediaError("decoding was stopped", status=FileStatus.FAILED)

    decoder = type(shared.service.decoder)
    monkeypatch.setattr(decoder, "spans", stopped)

    assert shared.upload(b"no wav", "x.mp3") == refused("internal error: could not process the file")


@pytest.mark.parametrize("action", ["info", "stat", "get_result"])
def test_accounts_that_cannot_be_read_are_no_server_response(
    shared: Running, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise StorageError("the disk is gone")

    monkeypatch.setattr(shared.service.accounts, "admit", broken)

    assert shared.ask(action) == refused("internal error: no server response")


def test_an_upload_while_accounts_cannot_be_read_is_told_to_come_again(
    shared: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise StorageError("the disk is gone")

    monkeypatch.setattr(shared.service.accounts, "_admitted", broken)

    assert shared.upload(KNOWN) == refused("service temporarily not available")


@pytest.mark.parametrize(
    ("action", "error"),
    [
        ("info", "internal error"),
        ("stat", "api key stats not found"),
        ("identify", "internal error: could not process the file"),
        ("get_result", "internal error: server recognition error"),
    ],
)
def test_a_bug_in_an_action_is_told_in_the_words_of_that_action(
    shared: Running, monkeypatch: pytest.MonkeyPatch, action: str, error: str
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(shared.service.accounts, "admit", broken)

    assert shared.ask(action) == refused(error)


def test_another_keys_token_is_unknown(shared: Running) -> None:
    token = shared.upload(KNOWN)["token"]
    other, _ = shared.service.accounts.add()

    assert shared.ask("get_result", key=other, data={"token": token})["result"].startswith("invalid token")


def test_a_key_for_this_machine_is_none_elsewhere(shared: Running) -> None:
    key, _ = shared.service.accounts.add(only_here=True)
    fields = {"apikey": key, "action": "info"}
    # As a reverse proxy on this machine says whom it speaks for.
    afar = requests.post(shared.url, data=fields, headers={"X-Forwarded-For": "192.0.2.7"}, timeout=10)

    assert shared.ask("info", key=key)["success"] is True
    assert afar.json() == refused("api key unrecognized")
