"""A ledger that was damaged, or comes from a newer earmark: one clear line, nothing sent, the file left as it was."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.scene import Scene, ended, sing
from tests.music import named
from tests.services.audiotag import AudioTagService


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A run that is over, and its ledger."""
    folder = tmp_path_factory.mktemp("finished")
    titles = sing(folder / "music", 2)
    with AudioTagService(named) as service:
        scene = Scene(folder, folder / "music", titles, service)
        scene.finish()
        yield scene


@pytest.fixture
def damaged(finished: Scene) -> Iterator[Path]:
    """The ledger, to be damaged; whole again afterwards."""
    path = finished.state / "ledger.sqlite"
    whole = path.read_bytes()
    yield path
    for beside in finished.state.glob("ledger.sqlite-*"):
        beside.unlink()
    path.write_bytes(whole)


def refused(scene: Scene, path: Path) -> str:
    """Run into the damage: nothing sent, the file untouched; the line that is said of it."""
    found, sent = path.read_bytes(), len(scene.service.charges)
    done = scene.run()
    assert done.code == 2, done.stderr
    assert len(scene.service.charges) == sent
    assert path.read_bytes() == found
    [error] = done.errors()
    assert str(path) in error
    return error


def test_a_ledger_of_a_newer_earmark_is_refused_and_left_alone(finished: Scene, damaged: Path) -> None:
    with sqlite3.connect(damaged) as connection:
        connection.execute("UPDATE meta SET value = '999' WHERE key = 'schema_version'")
    connection.close()
    assert "has format 999" in refused(finished, damaged)


@pytest.mark.parametrize(
    "content", [b"this is no database. " * 99, b"SQLite format 3\0" + b"\xff" * 5000], ids=["text", "noise"]
)
def test_a_file_that_is_no_ledger_is_refused_and_left_alone(
    finished: Scene, damaged: Path, content: bytes
) -> None:
    damaged.write_bytes(content)
    assert "cannot be used" in refused(finished, damaged)


def test_a_ledger_cut_short_is_refused_and_left_alone(finished: Scene, damaged: Path) -> None:
    content = damaged.read_bytes()
    damaged.write_bytes(content[: len(content) // 2])
    refused(finished, damaged)


@pytest.mark.parametrize(
    "seed", [7, 31, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(8, 31))]
)
def test_damage_anywhere_in_it_is_never_a_bug_of_ours(finished: Scene, damaged: Path, seed: int) -> None:
    chance = random.Random(seed)
    content = bytearray(damaged.read_bytes())
    for _ in range(4):
        start = chance.randrange(100, len(content))
        content[start : start + 300] = chance.randbytes(len(content[start : start + 300]))
    damaged.write_bytes(content)
    done = ended(finished.command("report", f"--state={finished.state}", f"--out={finished.report}"))
    assert done.code in (0, 2), done.stderr
    done = finished.run()
    assert done.code in (0, 2, 3), done.stderr
    assert len(done.errors()) == (done.code == 2), done.stderr
