"""The key is nowhere to be read: not on the screen, on disk, in an address, nor in what other programs see of ours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.scene import Scene, sing
from tests.music import named
from tests.services.audiotag import KEY, AudioTagService
from tests.services.faults import http, says
from tests.services.uploads import Form

PROC = Path("/proc")


class Indiscreet(AudioTagService):
    """A service that shows the key in all it says, and looks at the command's processes while it is asked."""

    def __init__(self) -> None:
        super().__init__(named)
        self.master = 0
        self.seen_in: set[str] = set()
        self.looked_at = 0

    def reply(self, form: Form) -> dict[str, Any]:
        if self.master:
            for process in _family(self.master):
                self.looked_at += 1
                if KEY.encode() in _read(process / "cmdline"):
                    self.seen_in.add("a command line")
                if process.name != str(self.master) and KEY.encode() in _read(process / "environ"):
                    self.seen_in.add(f"the environment of {_read(process / 'cmdline')!r}")
        return super().reply(form) | {"debug": f"apikey={KEY}", "echo": {KEY: [KEY]}}


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Scene]:
    titles = sing(tmp_path / "music", 4)
    with Indiscreet() as service:
        yield Scene(tmp_path, tmp_path / "music", titles, service)


@pytest.mark.parametrize("backend", ["ffmpeg", pytest.param("av", marks=pytest.mark.slow)])
def test_the_key_is_nowhere_even_when_the_service_repeats_it(stage: Scene, backend: str) -> None:
    service = stage.service
    assert isinstance(service, Indiscreet)
    service.plan(
        "identify",
        says(json.dumps({"success": False, "error": f"internal error: {KEY}"})),
        http(502, f"<html>upstream said {KEY}</html>", take=True),
        says(f"no JSON, but {KEY}"),
    )
    service.plan("get_result", says(json.dumps({"success": True, "result": KEY})), http(500, KEY))
    others = [f"--out={stage.report.with_suffix(ending)}" for ending in (".csv", ".xlsx", ".parquet")]
    running = stage.start("-vv", "--jobs=2", *others, environment={"EARMARK_AUDIO__BACKEND": backend})
    service.master = running.pid
    stdout, stderr = running.communicate(timeout=120)
    assert running.returncode in (0, 3), stderr
    assert "sha256=" in stderr, "-vv says more than nothing"
    assert KEY not in stdout + stderr
    for path in stage.folder.rglob("*"):
        if path.is_file():
            assert KEY.encode() not in path.read_bytes(), path
            assert KEY not in path.name
    assert all(KEY not in seen.target + json.dumps(dict(seen.headers)) for seen in service.seen)
    assert service.seen_in == set()
    if PROC.is_dir():
        assert service.looked_at > 0


def _family(master: int) -> Iterator[Path]:
    """A process and all that descend from it, as /proc shows them; nothing where there is no /proc."""
    parents: dict[int, int] = {}
    for entry in PROC.glob("[0-9]*"):
        after_name = _read(entry / "stat").rpartition(b")")[2].split()
        if len(after_name) > 1:
            parents[int(entry.name)] = int(after_name[1])
    for process in parents:
        ancestor = process
        while ancestor in parents and ancestor != master:
            ancestor = parents[ancestor]
        if ancestor == master:
            yield PROC / str(process)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""  # it has ended meanwhile
