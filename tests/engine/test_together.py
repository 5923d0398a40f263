"""Many at one catalogue: readers see one state or the next, and the same sound gets the same answer on any core."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import filelock
import pytest

from pipeline.engine import store
from pipeline.engine.catalogue import Catalogue
from pipeline.errors import StorageError
from tests.engine.melodies import cut, entry, named, tune


def test_a_second_writer_is_told_to_wait(three: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "LOCK_WAIT_S", 0)
    with (
        filelock.FileLock(three / "writer.lock"),
        pytest.raises(
            StorageError, match=r"another process is changing the catalogue .*; wait for it to finish"
        ),
    ):
        Catalogue.open(three).remove(["tune-1"])


def test_a_reader_sees_another_writers_tracks_after_refreshing(three: Path) -> None:
    reader, writer = Catalogue.open(three), Catalogue.open(three)
    writer.add([entry(4)])
    writer.remove(["tune-1"])
    writer.compact()

    assert named(reader, 1) == ["tune-1"]
    assert named(reader, 4) == []
    reader.refresh()
    assert named(reader, 1) == []
    assert named(reader, 4) == ["tune-4"]
    assert reader.generation == writer.generation


def test_many_threads_search_while_one_adds(three: Path) -> None:
    catalogue = Catalogue.open(three)
    probes = [cut(tune(seed), 3.1 + seed, 5) for seed in (1, 2, 3, 50)]
    expected = [[hit.track_id for hit in catalogue.search(probe)] for probe in probes]
    adding = threading.Thread(target=lambda: [catalogue.add([entry(seed, 12)]) for seed in range(60, 64)])

    adding.start()
    with ThreadPoolExecutor(4) as threads:
        answers = list(
            threads.map(lambda n: [hit.track_id for hit in catalogue.search(probes[n % 4])], range(40))
        )
    adding.join()

    assert expected == [["tune-1"], ["tune-2"], ["tune-3"], []]
    assert answers == expected * 10
    assert len(catalogue) == 7


@pytest.mark.parametrize(
    "change",
    [
        lambda catalogue: catalogue.remove(["tune-1"]),
        lambda catalogue: catalogue.compact(),
        lambda catalogue: catalogue.add([entry(4, 12)]),
    ],
    ids=["remove", "compact", "add"],
)
def test_answers_while_a_catalogue_changes_are_those_before_or_after_it(
    three: Path, change: Callable[[Catalogue], object]
) -> None:
    catalogue = Catalogue.open(three)
    catalogue.add([entry(5, 12)])  # so that there are two shards to compact
    seen: list[list[str]] = []
    changed = threading.Event()

    def ask() -> None:
        while not changed.is_set():
            seen.append(named(catalogue, 1))

    asking = threading.Thread(target=ask)
    asking.start()
    change(catalogue)
    changed.set()
    asking.join()
    after = named(catalogue, 1)

    assert seen
    assert all(answer in (["tune-1"], after) for answer in seen)
    assert [named(catalogue, seed) for seed in (2, 3)] == [["tune-2"], ["tune-3"]]


def test_a_reader_keeps_its_shards_though_another_writer_deletes_their_files(three: Path) -> None:
    reader, writer = Catalogue.open(three), Catalogue.open(three)
    before = {path.name for path in three.glob("shard-*")}
    writer.add([entry(4, 12)])
    writer.remove(["tune-1"])
    writer.compact()

    assert before.isdisjoint(path.name for path in three.glob("shard-*"))
    assert [named(reader, seed) for seed in (1, 2, 3)] == [["tune-1"], ["tune-2"], ["tune-3"]]


ON_SOME_CORES = """
import hashlib, os, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
cores = int(sys.argv[2])
os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[:cores]))
from pipeline.engine.catalogue import Catalogue
from pipeline.engine.fingerprint import fingerprint
from tests.engine.melodies import at_speed, cut, noisy, tune
probes = [noisy(cut(tune(1), 9, 6), 0), at_speed(cut(tune(2), 9, 6), 4), cut(tune(90), 9, 6)]
catalogue = Catalogue.open(Path(sys.argv[1]))
with ThreadPoolExecutor(cores) as threads:
    prints = threads.map(lambda seed: fingerprint([tune(seed)]), (1, 2))
    digest = hashlib.sha256(b"".join(made.keys.tobytes() + made.peak_bin.tobytes() for made in prints))
    print(digest.hexdigest(), list(threads.map(catalogue.candidates, probes)))
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores cannot be chosen here")
def test_the_same_sound_gets_the_same_print_and_the_same_answer_on_one_core_or_two(three: Path) -> None:
    one, two = (
        subprocess.run(
            [sys.executable, "-c", ON_SOME_CORES, three, str(cores)],
            stdout=subprocess.PIPE,
            text=True,
            timeout=300,
            check=True,
        ).stdout
        for cores in (1, 2)
    )

    assert one == two
    assert "title='Tune 1'" in one
    assert "title='Tune 2'" in one
