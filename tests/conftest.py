"""A clean environment for every test: nobody's home, settings or keys decide what passes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Earmark = Callable[..., subprocess.CompletedProcess[str]]

ROOT = Path(__file__).parent.parent


# Who runs the tests in the background of a script has them inherit that Ctrl-C is ignored, and with nohup that a closed
# terminal is; and so would every command.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty home, and none of the variables that earmark or its libraries listen to; returns the home."""
    home = tmp_path_factory.mktemp("home")
    for name in list(os.environ):
        if name.upper().startswith(("EARMARK_", "AUDIOTAG_", "AUDD_", "XDG_")) or name in (
            "NO_COLOR",
            "FORCE_COLOR",
            "COLUMNS",
            "IMAGEIO_FFMPEG_EXE",
        ):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.setenv("TERM", "xterm")  # a dumb terminal is shown no bar
    return home


@pytest.fixture
def earmark(tmp_path: Path) -> Earmark:
    """Run the command as a user does, in a process of its own, from an empty folder."""

    def run(
        *arguments: str | bytes | Path, stdin: bytes = b"", timeout_s: float = 60
    ) -> subprocess.CompletedProcess[str]:
        finished = subprocess.run(
            [sys.executable, "-m", "pipeline", *arguments],
            input=stdin,
            capture_output=True,
            timeout=timeout_s,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            check=False,
        )
        return subprocess.CompletedProcess(
            finished.args,
            finished.returncode,
            finished.stdout.decode("utf-8", "surrogateescape"),
            finished.stderr.decode("utf-8", "surrogateescape"),
        )

    return run
