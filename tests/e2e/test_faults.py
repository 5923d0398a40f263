"""Fail the n-th call of a kind: no traceback, one clear line, and a plain run afterwards does the rest, paying once."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pipeline.batch.convert import SHORTFALL_S
from tests.conftest import ROOT
from tests.e2e.forked import Forked
from tests.e2e.scene import PLUGIN, Done, Scene, alike, fingerprint, sing
from tests.music import named
from tests.services.audiotag import AudioTagService

KINDS = {
    "write": "ENOSPC",
    "fsync": "EIO",
    "rename": "EIO",
    "open": "ENOSPC",
    "connect": "ECONNREFUSED",
    "send": "EPIPE",
    "receive": "ECONNRESET",
    "commit": "ENOSPC",
    "sqlite_write": "EIO",
    "sqlite_read": "EIO",
}
"""What is made to fail, and how."""

PARTS = {"send": 6, "receive": 2, "commit": 2, "sqlite_write": 6, "sqlite_read": 6}
"""Into how many tests a sweep is cut, so that none takes over a minute."""

SWEEPS = [(kind, part) for kind in KINDS for part in range(PARTS.get(kind, 1))]

MOST = 500
"""More calls of one kind than a run of two songs makes."""


class Disturbed:
    """A scene for each fault, all over the same music."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.music = folder / "music"
        self._titles = sing(self.music, 2)
        self._before = fingerprint(self.music)
        self._expected: dict[str, dict[str, Any]] = {}

    def undisturbed(self) -> dict[str, dict[str, Any]]:
        """The report of a run that nothing disturbs."""
        if not self._expected:
            with self._service() as service:
                self._expected = alike(self._scene("undisturbed", service).finish())
        return self._expected

    def survives(self, kind: str, number: str, code: str) -> Done | None:
        """Fail one call, then go on; how the disturbed run ended, None when it made no such call."""
        fault = {"FAULT": f"{kind}:{number}:{code}", "PYTHONPATH": f"{PLUGIN}:{ROOT}"}
        return self._survives(f"{kind} {number} {code}", environment=fault)

    def survives_system(self, call: str, number: int, code: str, *about: str | Path) -> Done | None:
        """Fail the n-th call of the system of each thread and child process, or of those `about` something."""
        name = f"system {call} {number} {code}"
        tracing = ["strace", "-f", "-qq", "-o", str(self._folder / name / "mark"), *map(str, about)]
        tracing += ["-e", f"trace={call}", "-e", f"inject={call}:error={code}:when={number}"]
        # After a fault the same song may be heard from a little earlier or later on.
        unlike = ("content_id", "matched_s")
        # strace counts for each process: of one decoder one call fails, and not the same one of its neighbour.
        alone = {"EARMARK_AUDIO__WORKERS": "1"}
        return self._survives(name, environment=alone, before=tracing, struck=b"(INJECTED)", unlike=unlike)

    def _survives(
        self,
        name: str,
        *,
        environment: dict[str, str] | None = None,
        before: Sequence[str] = (),
        struck: bytes = b"",
        unlike: Sequence[str] = (),
    ) -> Done | None:
        with self._service() as service:
            scene = self._scene(name, service)
            mark = scene.folder / "mark"
            marked = {**(environment or {}), "FAULT_MARK": str(mark)} if environment else {}
            done = scene.run("--jobs=2", environment=marked, before=before)
            if not mark.exists() or struck not in mark.read_bytes():
                assert done.code == 0, done.stderr
                return None
            assert done.code in (0, 2, 3, 4, 5), f"{name}: {done.stderr}"
            assert len(done.errors()) == (done.code in (2, 4, 5)), f"{name}: {done.stderr}"
            rows, expected = alike(scene.finish()), self.undisturbed()
            for path, row in rows.items():
                # Less than `SHORTFALL_S` is not read again.
                assert row["matched_s"] > expected[path]["matched_s"] - SHORTFALL_S, name
            for column in unlike:
                rows, expected = without(column, rows), without(column, expected)
            assert rows == expected, name
            assert fingerprint(self.music) == self._before
            return done

    def _scene(self, name: str, service: AudioTagService) -> Scene:
        return Scene(self._folder / name, self.music, self._titles, service, begin=Forked)

    def _service(self) -> AudioTagService:
        return AudioTagService(named)


def without(column: str, rows: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {name: {key: row[key] for key in row if key != column} for name, row in rows.items()}


@pytest.fixture(scope="module")
def disturbed(tmp_path_factory: pytest.TempPathFactory) -> Disturbed:
    return Disturbed(tmp_path_factory.mktemp("faults"))


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "part"), SWEEPS)
def test_any_failed_call_costs_a_line_and_no_money(disturbed: Disturbed, kind: str, part: int) -> None:
    for number in range(part + 1, MOST, PARTS.get(kind, 1)):
        if disturbed.survives(kind, str(number), KINDS[kind]) is None:
            assert number > part + 1, f"the command makes no {number} calls of the kind {kind}"
            return
    pytest.fail(f"{MOST} calls of the kind {kind}")


@pytest.mark.parametrize(
    ("kind", "number"),
    [
        ("fsync", 3),
        ("rename", 2),
        ("receive", 7),
        ("send", 6),
        ("commit", 8),
        ("sqlite_write", 20),
        ("sqlite_read", 5),
    ],
)
def test_a_failed_call_costs_a_line_and_no_money(disturbed: Disturbed, kind: str, number: int) -> None:
    assert disturbed.survives(kind, str(number), KINDS[kind]) is not None, "no such call was made"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "number"),
    [*(("commit", number) for number in range(1, 16, 2)), *(("sqlite_write", n) for n in range(1, 100, 9))],
)
def test_a_disk_that_stays_full_from_some_write_on_costs_no_money(
    disturbed: Disturbed, kind: str, number: int
) -> None:
    disturbed.survives(kind, f"{number}+", "ENOSPC")


# ---- what neither Python nor SQLite lets us into: only the system can fail it

needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="strace fails calls of the system")


@pytest.mark.slow
@needs_strace
@pytest.mark.parametrize("part", range(2))
def test_any_failed_sync_of_the_ledger_costs_a_line_and_no_money(disturbed: Disturbed, part: int) -> None:
    for number in range(part + 1, MOST, 2):
        if disturbed.survives_system("fdatasync", number, "EIO") is None:
            assert number > part + 1, "SQLite syncs nothing"
            return
    pytest.fail(f"{MOST} syncs")


@pytest.mark.slow
@needs_strace
@pytest.mark.parametrize("part", range(4))
def test_any_failed_read_of_the_music_costs_that_file_a_row_and_no_money(
    disturbed: Disturbed, part: int
) -> None:
    song = disturbed.music / "0.wav"
    for number in range(part + 1, MOST, 4):
        done = disturbed.survives_system("read", number, "EIO", "-P", song)
        if done is None:
            assert number > part + 1, "nobody reads the music"
            return
        assert done.code in (0, 3)
    pytest.fail(f"{MOST} reads")
