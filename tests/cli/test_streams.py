"""Streams that are closed, full or quiet: one clear line at most, and never a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import melody, write_wav
from tests.conftest import ROOT, Earmark

EARMARK = f"{sys.executable} -m pipeline"


def shell(line: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", line],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
def test_a_closed_stream_is_no_obstacle(closed: str):
    done = shell(f"{EARMARK} --version {closed}")
    assert done.returncode == 0
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
@pytest.mark.parametrize("command", ["--version", "identify --help", "doctor"])
def test_a_full_disk_behind_stdout_is_one_line_and_no_bug(command: str):
    done = shell(f"{EARMARK} {command} >/dev/full")
    assert done.returncode == 2
    error, hint = done.stderr.splitlines()
    assert error == "error: the output cannot be written: no space left on device"
    assert hint.startswith("hint: free some space")


def test_quiet_still_says_what_could_not_be_learned(earmark: Earmark, state: Path, music: Path):
    done = earmark("catalogue", "add", "-q", "--state", state, music / "letter.mp3")
    assert done.returncode == 3
    assert done.stderr.startswith("not added  letter.mp3: it is damaged, or not a sound file")


def test_of_a_list_on_stdin_what_is_gone_is_named_once_and_the_rest_is_done(
    earmark: Earmark, state: Path, tmp_path: Path
):
    tune = write_wav(tmp_path / "tune.wav", melody(1))
    gone = tmp_path / "gone.wav"
    done = earmark("catalogue", "add", "-", "-q", "--state", state, stdin=f"{tune}\n{gone}\n".encode())
    assert done.returncode == 3
    assert done.stderr == f"not added  {gone}: cannot be read: No such file or directory\n"


def test_a_list_on_stdin_of_which_nothing_is_there_is_one_error(
    earmark: Earmark, state: Path, tmp_path: Path
):
    tune = write_wav(tmp_path / "tune.wav", melody(1))
    assert earmark("catalogue", "add", "--state", state, tune).returncode == 0
    done = earmark("identify", "-", "--state", state, stdin=b"/gone.wav\n")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "error: /gone.wav cannot be read: No such file or directory",
        "hint: check the path",
    ]
