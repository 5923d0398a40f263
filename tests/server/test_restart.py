"""Kills, stops and restarts: every job that was accepted answers or says why, and charges match."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from pipeline.audio import wav_bytes
from pipeline.model import Pcm
from tests.conftest import ROOT
from tests.engine.melodies import cut, entry, tune
from tests.server.running import settled


@dataclass(frozen=True)
class Command:
    """`earmark serve`, running."""

    process: subprocess.Popen[str]
    url: str
    key: str

    def ask(self, action: str, **arguments: Any) -> dict[str, Any]:
        data = {"apikey": self.key, "action": action, **arguments.pop("data", {})}
        parsed: dict[str, Any] = requests.post(self.url, data=data, timeout=60, **arguments).json()
        return parsed

    def upload(self, pcm: Pcm) -> dict[str, Any]:
        return self.ask("identify", files={"file": ("x.wav", wav_bytes(pcm))})


@contextmanager
def served(state: Path, key: str = "", *more: str) -> Iterator[Command]:
    """The command as a process of its own, with more options; killed in the end if it still runs."""
    command = [
        sys.executable,
        "-m",
        "pipeline",
        "serve",
        "--port",
        "0",
        "--json",
        "--workers",
        "1",
        "--state",
        state,
        *more,
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            assert process.stdout is not None
            said = json.loads(process.stdout.readline())
            yield Command(process, said["url"], said.get("key", key))
        finally:
            process.kill()


def ended(pid: int, within_s: float = 30.0) -> bool:
    """Whether this process is over soon: one that compiles notices only afterwards that it is alone."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], within_s)[0])
    finally:
        os.close(handle)


def children(pid: int) -> list[int]:
    """Of every thread: a worker is the child of the thread that feeds it."""
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for each in lists for child in each.read_text().split()]


def music(state: Path) -> None:
    from pipeline.engine.catalogue import Catalogue

    with Catalogue.open(state / "catalogue", create=True) as catalogue:
        catalogue.add([entry(1), entry(2)])


def test_killed_with_jobs_waiting_it_answers_them_after_the_restart(tmp_path: Path) -> None:
    music(tmp_path)
    with served(tmp_path) as first:
        # The worker is still compiling: all of these wait.
        tokens = [first.upload(cut(tune(seed), 5, 15))["token"] for seed in (1, 2, 3)]
        orphans = children(first.process.pid)
        first.process.send_signal(signal.SIGKILL)
        first.process.wait(30)
    (tmp_path / "server/uploads/half-an-upload.mp3").write_bytes(bytes(1000))
    with served(tmp_path, first.key) as second:
        ends = time.monotonic() + 60
        replies = [
            settled(
                lambda token=token: second.ask("get_result", data={"token": token}),
                limit_s=ends - time.monotonic(),
            )
            for token in tokens
        ]
        stat = second.ask("stat")

    assert re.fullmatch("[a-z0-9]{32}", first.key)
    assert second.key == first.key, "the open key is made and printed once"
    assert orphans
    assert all(ended(pid) for pid in orphans)
    assert [reply["result"] for reply in replies] == ["found", "found", "not found"]
    assert [reply["data"][0]["tracks"][0][0] for reply in replies[:2]] == ["Tune 1", "Tune 2"]
    assert (stat["uploaded_duration_sec"], stat["credits_spent"]) == (45, 45)
    assert list((tmp_path / "server/jobs").iterdir()) == list((tmp_path / "server/uploads").iterdir()) == []


def test_what_the_catalogue_learns_is_heard_without_a_restart(tmp_path: Path) -> None:
    from pipeline.engine.catalogue import Catalogue

    music(tmp_path)
    with served(tmp_path) as command:

        def heard() -> str:
            token = command.upload(cut(tune(3), 5, 15))["token"]
            reply = settled(lambda: command.ask("get_result", data={"token": token}))
            return str(reply["result"])

        before = heard()
        with Catalogue.open(tmp_path / "catalogue") as catalogue:
            catalogue.add([entry(3)])
        ends = time.monotonic() + 20
        while (after := heard()) != "found" and time.monotonic() < ends:
            time.sleep(0.2)

    assert (before, after) == ("not found", "found")


def test_open_to_others_it_says_what_that_means_and_sigterm_ends_it_with_0_and_one_line(
    tmp_path: Path,
) -> None:
    with served(tmp_path, "", "--host", "0.0.0.0", "--allow-remote") as command:
        assert command.ask("info")["success"] is True
        command.process.send_signal(signal.SIGTERM)
        _, said = command.process.communicate(timeout=60)

    assert command.process.returncode == 0
    assert "Traceback" not in said
    assert "warning: other machines can reach this address, and keys and audio travel unencrypted." in said
    assert said.splitlines()[-1].startswith("stopped; what was accepted")


def test_two_cannot_serve_one_folder(tmp_path: Path) -> None:
    with served(tmp_path):
        second = subprocess.run(
            [sys.executable, "-m", "pipeline", "serve", "--port", "0", "--state", tmp_path],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            timeout=60,
            check=False,
        )

    assert second.returncode == 2
    assert second.stderr.startswith(f"error: another earmark serves the state folder {tmp_path}")


@pytest.mark.slow
def test_an_upload_of_95_megabytes_is_never_held_in_memory(tmp_path: Path) -> None:
    def body() -> Iterator[bytes]:
        for name, value in (("apikey", command.key), ("action", "identify"), ("time_len", "15")):
            yield f'--B\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        yield b'--B\r\nContent-Disposition: form-data; name="file"; filename="x.wav"\r\n\r\n'
        yield wav_bytes(cut(tune(1), 0, 20))
        for _ in range(95):
            yield bytes(1_000_000)
        yield b"\r\n--B--\r\n"

    def peak_kb() -> int:
        lines = Path(f"/proc/{command.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))

    headers = {"Content-Type": "multipart/form-data; boundary=B"}
    with served(tmp_path) as command:
        command.upload(cut(tune(1), 5, 15))
        before = peak_kb()
        reply = requests.post(command.url, data=body(), headers=headers, timeout=120).json()
        after = peak_kb()

    assert reply["time_len"] == 15
    assert after - before < 10_000
