"""Fail the n-th call of a kind: no traceback, one clear line, and a plain run afterwards does the rest, paying once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
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
}
"""What is made to fail, and how."""


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
        """Fail one call of Python's, then go on; how the disturbed run ended, None when it made no such call."""
        fault = {"FAULT": f"{kind}:{number}:{code}", "PYTHONPATH": f"{PLUGIN}:{ROOT}"}
        return self._survives(f"{kind} {number} {code}", environment=fault)

    def survives_system(self, call: str, number: int, code: str) -> Done | None:
        """Fail the n-th call of the system of each thread, SQLite's own among them; as `survives`."""
        name = f"system {call} {number} {code}"
        tracing = ["strace", "-f", "-qq", "-o", str(self._folder / name / "mark"), "-e", f"trace={call}"]
        return self._survives(
            name, before=[*tracing, "-e", f"inject={call}:error={code}:when={number}"], struck=b"(INJECTED)"
        )

    def _survives(
        self,
        name: str,
        *,
        environment: dict[str, str] | None = None,
        before: Sequence[str] = (),
        struck: bytes = b"",
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
            assert alike(scene.finish()) == self.undisturbed(), name
            assert fingerprint(self.music) == self._before
            return done

    def _scene(self, name: str, service: AudioTagService) -> Scene:
        return Scene(self._folder / name, self.music, self._titles, service)

    def _service(self) -> AudioTagService:
        return AudioTagService(named)


@pytest.fixture(scope="module")
def disturbed(tmp_path_factory: pytest.TempPathFactory) -> Disturbed:
    return Disturbed(tmp_path_factory.mktemp("faults"))


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "code"), [(kind, code) for kind, code in KINDS.items() if kind != "send"])
def test_any_failed_call_costs_a_line_and_no_money(disturbed: Disturbed, kind: str, code: str) -> None:
    for number in range(1, 200):
        if disturbed.survives(kind, str(number), code) is None:
            assert number > 1, f"the command makes no call of the kind {kind}"
            return
    pytest.fail(f"200 calls of the kind {kind}")


@pytest.mark.parametrize(
    ("kind", "number"),
    [
        ("fsync", 3),
        ("rename", 2),
        ("receive", 7),
        pytest.param("send", 6, marks=pytest.mark.slow),
        ("commit", 8),
    ],
)
def test_a_failed_call_costs_a_line_and_no_money(disturbed: Disturbed, kind: str, number: int) -> None:
    assert disturbed.survives(kind, str(number), KINDS[kind]) is not None, "no such call was made"


@pytest.mark.slow
@pytest.mark.parametrize("number", range(1, 16, 2))
def test_a_disk_that_stays_full_from_some_commit_on_costs_no_money(disturbed: Disturbed, number: int) -> None:
    disturbed.survives("commit", f"{number}+", "ENOSPC")
