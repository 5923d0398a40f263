"""A decoder that crashes, eats memory, floods or hangs on one file costs that file its row, and nothing else."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.audio.ffmpeg import find
from tests.audio.damage import Damage, damaged
from tests.e2e.scene import Scene, fingerprint, sing
from tests.music import named, song, write
from tests.services.audiotag import AudioTagService

VICTIM = "1.wav"

MISDEEDS = {
    "crashes": "kill -SEGV $$",
    "eats memory": f"exec {sys.executable} -c 'bytearray(4 << 30)' 2>/dev/null",
    "floods": "exec cat /dev/zero",
    "hangs": "exec sleep 1000",
}


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Scene]:
    titles = sing(tmp_path / "music")
    with AudioTagService(named) as service:
        yield Scene(tmp_path, tmp_path / "music", titles, service)


@pytest.mark.parametrize(
    "misdeed", [pytest.param(name, marks=pytest.mark.slow) if name == "hangs" else name for name in MISDEEDS]
)
def test_a_decoder_gone_wrong_on_one_file_costs_one_row(stage: Scene, misdeed: str) -> None:
    ffmpeg = stage.folder / "ffmpeg"
    ffmpeg.write_text(
        f'#!/bin/sh\ncase "$*" in\n*/{VICTIM}*) {MISDEEDS[misdeed]} ;;\n*) exec {find().path} "$@" ;;\nesac\n'
    )
    ffmpeg.chmod(0o755)
    chosen = {"EARMARK_AUDIO__BACKEND": "ffmpeg", "EARMARK_AUDIO__FFMPEG": str(ffmpeg)}
    done = stage.run(environment=chosen)
    assert done.code == 3, done.stderr
    assert done.errors() == []
    rows = stage.rows()
    assert rows[VICTIM]["status"] in ("failed", "unreadable")
    assert rows[VICTIM]["error"]
    assert rows[VICTIM]["credits"] == 0
    assert {name: row["title"] for name, row in rows.items() if name != VICTIM} == {
        name: title for name, title in stage.titles.items() if name != VICTIM
    }
    assert len(stage.service.charges) == 2


def test_damaged_files_get_a_row_each_and_pay_for_what_was_heard(stage: Scene) -> None:
    for extension in ("mp3", "flac", "ogg", "m4a", "wma"):
        whole = write(stage.music / f"whole.{extension}", song(440, 40, seed=5)).read_bytes()
        for number, how in enumerate(Damage):
            (stage.music / f"{how}.{extension}").write_bytes(damaged(whole, how, seed=number))
    before = fingerprint(stage.music)
    done = stage.run()
    assert done.code in (0, 3), done.stderr
    assert done.errors() == []
    rows = stage.rows()
    assert set(rows) == set(before)
    assert all(row["error"] for row in rows.values() if row["status"] in ("failed", "unreadable"))
    assert all(charge.seconds >= 5 for charge in stage.service.charges)
    assert sum(row["credits"] for row in rows.values()) == stage.service.charged_s()
    assert stage.service.paid_twice() == []
    assert fingerprint(stage.music) == before
