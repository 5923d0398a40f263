"""Ctrl-C, SIGTERM and a closed terminal: what is in flight is collected, and the report is whole."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.scene import Scene, ended, fingerprint, sing
from tests.music import named
from tests.services.audiotag import AudioTagService
from tests.services.uploads import Form


class Watched(AudioTagService):
    """A service that says when it was asked for the first answer: then that token is on disk."""

    def __init__(self, **how: Any) -> None:
        super().__init__(named, **how)
        self.polled = threading.Event()

    def reply(self, form: Form) -> dict[str, Any]:
        if form.fields.get("action") == "get_result":
            self.polled.set()
        return super().reply(form)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Scene]:
    titles = sing(tmp_path / "music")
    with Watched(latency_s=1.5) as service:
        yield Scene(tmp_path, tmp_path / "music", titles, service)


def polled(stage: Scene) -> threading.Event:
    assert isinstance(stage.service, Watched)
    return stage.service.polled


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGTERM,
        *(pytest.param(number, marks=pytest.mark.slow) for number in (signal.SIGINT, signal.SIGHUP)),
    ],
)
def test_one_signal_collects_what_is_paid_and_writes_a_whole_report(
    stage: Scene, number: signal.Signals
) -> None:
    before = fingerprint(stage.music)
    running = stage.start("--jobs=1")
    assert polled(stage).wait(60)
    running.send_signal(number)
    done = ended(running)
    assert done.code == 130
    assert done.errors() == []
    rows = stage.rows()
    assert len(stage.service.charges) < 3
    assert sorted(row["status"] for row in rows.values()).count("found") == len(stage.service.charges)
    assert stage.leftovers() == []
    assert len(stage.finish()) == 3
    assert stage.service.paid_twice() == []
    assert fingerprint(stage.music) == before


# A program that makes its standard output the terminal of its session, and becomes another.
ON_A_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(1, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_a_terminal_that_is_closed_ends_the_run_in_order_though_nobody_can_be_told(stage: Scene) -> None:
    ours, theirs = pty.openpty()
    running = stage.start(
        "--jobs=1",
        before=[sys.executable, "-c", ON_A_TERMINAL],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    closing = threading.Event()
    screen = threading.Thread(target=_show, args=(ours, closing))
    screen.start()
    assert polled(stage).wait(60)
    closing.set()  # the kernel sends SIGHUP, and from then on every write fails
    screen.join()
    assert running.wait(60) == 130
    rows = stage.rows()
    assert [row["status"] for row in rows.values()].count("found") == len(stage.service.charges)
    stage.finish()
    assert stage.service.paid_twice() == []


def _show(terminal: int, closing: threading.Event) -> None:
    while not closing.is_set():
        if select.select([terminal], [], [], 0.05)[0]:
            os.read(terminal, 65536)
    os.close(terminal)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_the_start_ends_it_without_a_traceback(stage: Scene, number: signal.Signals) -> None:
    running = stage.start()
    with pytest.raises(subprocess.TimeoutExpired):
        running.wait(0.3)
    running.send_signal(number)
    assert ended(running).code in (130, -number)
    assert stage.service.charges == []
