"""A disk that is full, limited or closed to us: found before money is spent, or else nothing that was paid is lost."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.database import RESERVE_BYTES
from pipeline.ledger import UploadState
from tests.conftest import ROOT
from tests.e2e.scene import PLUGIN, Scene, ended, fingerprint, sing, with_file_limit, without_root_powers
from tests.music import named
from tests.services.audiotag import AudioTagService
from tests.services.uploads import Form


class Filling(AudioTagService):
    """A service that does something behind the client's back once it has charged for the first upload."""

    def __init__(self) -> None:
        super().__init__(named)
        self.once_charged: Callable[[], None] | None = None

    def reply(self, form: Form) -> dict[str, Any]:
        answer = super().reply(form)
        if form.fields.get("action") == "identify" and self.once_charged is not None:
            then, self.once_charged = self.once_charged, None
            then()
        return answer


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Scene]:
    titles = sing(tmp_path / "music", 2)
    with Filling() as service:
        yield Scene(tmp_path, tmp_path / "music", titles, service)


def asked(stage: Scene) -> list[str]:
    return [seen.action for seen in stage.service.seen]


# ---- found before anything is sent


@pytest.mark.skipif(sys.platform != "linux", reason="powers are dropped by a call of Linux")
@pytest.mark.parametrize("what", ["reports", pytest.param("state", marks=pytest.mark.slow)])
def test_a_folder_that_cannot_be_written_is_found_before_anything_is_sent(stage: Scene, what: str) -> None:
    folder = stage.folder / what
    folder.mkdir(exist_ok=True)
    folder.chmod(0o555)
    done = stage.run(before=without_root_powers())
    folder.chmod(0o755)
    assert done.code == 2
    assert len(done.errors()) == 1
    assert str(folder) in done.errors()[0]
    assert asked(stage) == []
    stage.finish()


@pytest.mark.parametrize(
    "limit_bytes",
    [
        20_000,
        RESERVE_BYTES + 10_000,
        *(pytest.param(size, marks=pytest.mark.slow) for size in (0, 100_000, 300_000, RESERVE_BYTES - 1)),
    ],
)
def test_a_limit_on_the_size_of_files_is_found_before_anything_is_sent(
    stage: Scene, limit_bytes: int
) -> None:
    done = stage.run(before=with_file_limit(limit_bytes))
    assert done.code == 2
    assert len(done.errors()) == 1
    assert stage.service.charges == []
    stage.finish()
    assert stage.service.paid_twice() == []


@pytest.mark.slow
def test_a_limit_that_is_wide_enough_is_no_obstacle(stage: Scene) -> None:
    assert stage.run(before=with_file_limit(RESERVE_BYTES + (1 << 20))).code == 0


def test_without_temporary_space_everything_is_done_all_the_same(stage: Scene) -> None:
    book = stage.report.with_suffix(".xlsx")
    lacking = {"NO_TEMPORARY_SPACE": "1", "PYTHONPATH": f"{PLUGIN}:{ROOT}"}
    done = stage.run(f"--out={book}", environment=lacking)
    assert done.code == 0, done.stderr
    assert book.stat().st_size > 0


# ---- full after the service has charged


def test_a_token_is_written_from_the_reserve_when_the_disk_fills_up_before_it(stage: Scene) -> None:
    """Every commit fails from the first charge on, until the reserve is given up."""
    before = fingerprint(stage.music)
    reserve = stage.state / "ledger.sqlite-reserve"
    full = stage.folder / "full"
    service = stage.service
    assert isinstance(service, Filling)
    service.once_charged = lambda: os.link(reserve, full)
    done = stage.run(
        "--jobs=1",
        environment={
            "FAULT": "commit:1+:ENOSPC",
            "FAULT_WHILE": f"{full}:{reserve}",
            "PYTHONPATH": f"{PLUGIN}:{ROOT}",
        },
    )
    assert done.code in (0, 2), done.stderr
    assert UploadState.IN_DOUBT.value not in [state for _, state in stage.uploads()]
    assert len(stage.uploads()) >= 1
    full.unlink()
    stage.finish()
    assert stage.service.paid_twice() == []
    assert fingerprint(stage.music) == before


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 8 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small disk can only be mounted by root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Leave not a single block on a disk."""
    ballast = folder / "ballast"
    with ballast.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    return ballast


def test_of_a_disk_that_is_really_full_after_the_charge_no_token_is_lost(
    stage: Scene, small_disk: Path
) -> None:
    scene = Scene(small_disk, stage.music, stage.titles, stage.service)
    assert isinstance(stage.service, Filling)
    stage.service.once_charged = lambda: fill(small_disk)
    done = scene.run("--jobs=1")
    assert done.code == 2
    assert len(done.errors()) == 1
    assert len(scene.service.charges) >= 1
    states = [state for _, state in scene.uploads()]
    assert set(states) <= {UploadState.SENT.value, UploadState.ANSWERED.value, UploadState.NOT_SENT.value}
    (small_disk / "ballast").unlink()
    scene.finish()
    assert scene.service.paid_twice() == []


@pytest.mark.parametrize(
    "left_kb",
    [64, *(pytest.param(size, marks=pytest.mark.slow) for size in (0, 16, 128, 256, 1024, 2100, 2200, 2300))],
)
def test_on_a_disk_that_is_nearly_full_nothing_is_begun_that_cannot_be_written_down(
    stage: Scene, small_disk: Path, left_kb: int
) -> None:
    scene = Scene(small_disk, stage.music, stage.titles, stage.service)
    ballast = fill(small_disk)
    os.truncate(ballast, ballast.stat().st_size - left_kb * 1024)
    done = scene.run()
    assert done.code in (0, 2), done.stderr
    assert len(done.errors()) == (done.code == 2), done.stderr
    if left_kb <= 1024:
        assert scene.service.charges == []
    ballast.unlink()
    scene.finish()
    assert scene.service.paid_twice() == []


def test_a_report_cut_short_by_a_kill_is_cleared_away_by_the_next(stage: Scene) -> None:
    stage.finish()
    left = [
        stage.report.with_name(f".earmark-{'0123456789abcdef'}{ending}") for ending in (".jsonl", ".xlsx")
    ]
    for path in left:
        path.write_text("half of a rep")
    mine = stage.report.with_name(".earmark-notes.txt")
    mine.write_text("the user's own")
    done = ended(stage.command("report", f"--state={stage.state}", f"--out={stage.report}"))
    assert done.code == 0
    assert [path for path in left if path.exists()] == []
    assert mine.read_text() == "the user's own"
