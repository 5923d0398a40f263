"""The catalogue on disk: what was added is there, what was removed is not, and damage is never an answer."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import struct
import threading
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import filelock
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.engine import catalogue as catalogues
from pipeline.engine import manifest as manifests
from pipeline.engine import store
from pipeline.engine.catalogue import Catalogue, Outcome
from pipeline.engine.hits import Hit
from pipeline.engine.shard import FORMAT, frames_taken
from pipeline.engine.spectrum import frame_count
from pipeline.engine.tracks import Entry, KnownTrack
from pipeline.errors import MediaError, StorageError
from pipeline.model import Pcm
from tests.engine.melodies import cut, entry, tune


class Crash(BaseException):
    """The process ends here."""


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("three")
    with Catalogue.open(folder, create=True) as catalogue:
        catalogue.add(entry(seed) for seed in (1, 2, 3))
    return folder


@pytest.fixture
def three(filled: Path, tmp_path: Path) -> Path:
    """A catalogue folder of tunes 1, 2 and 3, to do with as one likes."""
    return Path(shutil.copytree(filled, tmp_path / "catalogue"))


def named(catalogue: Catalogue, seed: int) -> list[str]:
    return [hit.track_id for hit in catalogue.search(cut(tune(seed), 12.3, 8))]


def answers(catalogue: Catalogue, probe: Pcm) -> list[Hit]:
    """The hits without what depends on how many chance places each shard offers for comparison: the odds."""
    return [replace(hit, confidence=round(hit.confidence, 2), log_odds=0) for hit in catalogue.search(probe)]


def shard_of(folder: Path) -> Path:
    (shard,) = folder.glob("shard-*")
    return shard


def test_what_was_added_is_there_after_opening_again(three: Path) -> None:
    catalogue = Catalogue.open(three)

    assert [track.track_id for track in catalogue.tracks()] == ["tune-1", "tune-2", "tune-3"]
    assert len(catalogue) == 3
    assert catalogue.holds("tune-2")
    assert not catalogue.holds("tune-4")
    assert catalogue.tracks()[0].duration_s == pytest.approx(40)
    assert [named(catalogue, seed) for seed in (1, 2, 3)] == [["tune-1"], ["tune-2"], ["tune-3"]]


def test_names_keep_every_character_and_paths_every_byte(tmp_path: Path) -> None:
    known = KnownTrack(
        "ä/1", 'Für "Elise"\n', "B\x00", "", 1810, os.fsdecode(b"/m/\xff\xfe.mp3"), 0, "", 5, 7
    )
    Catalogue.open(tmp_path, create=True).add([Entry(known, [tune(1)])])

    (found,) = Catalogue.open(tmp_path).tracks()

    assert replace(found, duration_s=0, pcm_sha256="") == known


def test_a_track_without_an_id_is_named_by_its_sound(tmp_path: Path) -> None:
    (added,) = Catalogue.open(tmp_path, create=True).add([Entry(KnownTrack(""), [tune(1)])])

    assert added.track.track_id == added.track.pcm_sha256[:16]


def test_a_folder_without_a_catalogue_says_so(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="holds no catalogue; add music to it first"):
        Catalogue.open(tmp_path)


def test_the_same_sound_is_added_once(three: Path) -> None:
    catalogue = Catalogue.open(three)
    before = catalogue.generation

    again, twin, other = catalogue.add(
        [entry(2), Entry(KnownTrack("twin"), [cut(tune(2), 0, 9), cut(tune(2), 9, 99)]), entry(9)]
    )

    assert (again.outcome, again.track.track_id) == (Outcome.KNOWN, "tune-2")
    assert (twin.outcome, twin.track.track_id) == (Outcome.KNOWN, "tune-2")
    assert other.outcome is Outcome.ADDED
    assert len(catalogue) == 4
    assert catalogue.generation != before


def test_adding_nothing_new_leaves_the_generation(three: Path) -> None:
    catalogue = Catalogue.open(three)
    before = catalogue.generation

    catalogue.add([entry(1)])
    catalogue.remove(["tune-77"])

    assert catalogue.generation == before


def test_other_sound_under_a_taken_id_replaces_it(three: Path) -> None:
    catalogue = Catalogue.open(three)

    catalogue.add([Entry(KnownTrack("tune-2", "Now tune 8"), [tune(8)])])

    assert [track.track_id for track in catalogue.tracks()] == ["tune-1", "tune-3", "tune-2"]
    assert named(catalogue, 8) == ["tune-2"]
    assert named(catalogue, 2) == []


def test_a_file_that_cannot_be_decoded_costs_itself_alone(three: Path) -> None:
    def broken() -> Iterator[Pcm]:
        yield tune(5)
        raise MediaError("the file ends in the middle of a frame")

    bad, silent, good = Catalogue.open(three).add(
        [Entry(KnownTrack("bad"), broken()), Entry(KnownTrack("s"), [np.zeros(99_999, np.int16)]), entry(6)]
    )

    assert (bad.outcome, bad.error) == (Outcome.FAILED, "the file ends in the middle of a frame")
    assert (silent.outcome, silent.error) == (
        Outcome.FAILED,
        "it holds nothing to recognise (silence or a steady tone)",
    )
    assert good.outcome is Outcome.ADDED
    assert len(Catalogue.open(three)) == 4


def test_a_removed_track_is_not_found_and_not_listed(three: Path) -> None:
    catalogue = Catalogue.open(three)

    assert catalogue.remove(["tune-1", "nobody"], paths=["/music/3.flac"]) == 2

    for seen in (catalogue, Catalogue.open(three)):
        assert [track.track_id for track in seen.tracks()] == ["tune-2"]
        assert [named(seen, seed) for seed in (1, 2, 3)] == [[], ["tune-2"], []]


def test_a_removed_track_can_be_added_again(three: Path) -> None:
    catalogue = Catalogue.open(three)
    catalogue.remove(["tune-1"])

    assert [done.outcome for done in catalogue.add([entry(1)])] == [Outcome.ADDED]
    assert named(catalogue, 1) == ["tune-1"]


def test_compacting_changes_no_answer_and_gives_back_space(three: Path) -> None:
    catalogue = Catalogue.open(three)
    catalogue.add([entry(4)])
    catalogue.add([entry(5)])
    catalogue.remove(["tune-1", "tune-4"])
    probes = [cut(tune(seed), 7.7, 6) for seed in (1, 2, 3, 4, 5)]
    tracks, before = catalogue.tracks(), [answers(catalogue, probe) for probe in probes]
    size = sum(path.stat().st_size for path in three.iterdir())

    catalogue.compact()

    assert catalogue.tracks() == tracks
    assert [answers(catalogue, probe) for probe in probes] == before
    assert [[hit.track_id for hit in hits] for hits in before] == [[], ["tune-2"], ["tune-3"], [], ["tune-5"]]
    assert len(list(three.glob("shard-*"))) == 1
    assert sum(path.stat().st_size for path in three.iterdir()) < 0.62 * size  # two of five tunes are gone


def test_compacting_away_the_last_track_leaves_an_empty_catalogue(three: Path) -> None:
    catalogue = Catalogue.open(three)
    catalogue.remove(track.track_id for track in catalogue.tracks())
    catalogue.compact()

    assert len(Catalogue.open(three)) == 0
    assert named(catalogue, 1) == []
    assert list(three.glob("shard-*")) == []


def test_many_small_additions_are_merged_by_themselves(tmp_path: Path) -> None:
    catalogue = Catalogue.open(tmp_path, create=True)
    for seed in range(catalogues.MAX_SMALL_SHARDS + 1):
        catalogue.add([entry(seed, 12)])

    assert len(list(tmp_path.glob("shard-*"))) == 1
    assert len(catalogue) == catalogues.MAX_SMALL_SHARDS + 1


def test_a_long_addition_is_committed_on_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogues, "SHARD_LANDMARKS", 2000)
    seen = []

    def entries() -> Iterator[Entry]:
        for seed in range(4):
            seen.append(len(Catalogue.open(tmp_path)))
            yield entry(seed, 12)

    Catalogue.open(tmp_path, create=True).add(entries())

    assert seen[0] == 0
    assert 0 < seen[-1] < 4
    assert len(Catalogue.open(tmp_path)) == 4


def test_a_shard_takes_no_more_frames_than_a_posting_can_tell_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = frames_taken(frame_count(len(tune(1))))
    monkeypatch.setattr(catalogues, "MAX_FRAMES", 2 * room)
    catalogue = Catalogue.open(tmp_path, create=True)

    added = catalogue.add([*map(entry, (1, 2, 3)), entry(4, length_s=200)])
    catalogue.compact()

    assert [one.outcome for one in added] == [Outcome.ADDED] * 3 + [Outcome.FAILED]
    assert added[3].error == "it is longer than 148 hours: cut it into parts"
    assert [part.shard.frames for part in catalogue.parts] == [2 * room, room]
    assert [named(catalogue, seed) for seed in (1, 2, 3)] == [["tune-1"], ["tune-2"], ["tune-3"]]


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_a_flipped_byte_anywhere_is_an_error_that_names_the_shard(filled: Path, data: st.DataObject) -> None:
    shard = shard_of(filled)
    content = shard.read_bytes()
    at = data.draw(st.integers(0, len(content) - 1))
    damaged = bytearray(content)
    damaged[at] ^= data.draw(st.integers(1, 255))
    try:
        shard.write_bytes(damaged)
        with pytest.raises(StorageError, match=f"shard .*{shard.name} is damaged: checksum"):
            Catalogue.open(filled)
    finally:
        shard.write_bytes(content)


@settings(deadline=None, max_examples=30)
@given(st.data())
def test_a_cut_anywhere_is_an_error_that_names_the_shard(filled: Path, data: st.DataObject) -> None:
    shard = shard_of(filled)
    content = shard.read_bytes()
    try:
        shard.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
        with pytest.raises(StorageError, match=shard.name):
            Catalogue.open(filled)
    finally:
        shard.write_bytes(content)


def test_a_missing_shard_is_an_error_that_names_it(three: Path) -> None:
    shard_of(three).unlink()

    with pytest.raises(StorageError, match=r"shard .*\.fp cannot be read: .*No such file"):
        Catalogue.open(three)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_a_damaged_manifest_is_an_error_or_the_same_manifest(filled: Path, data: st.DataObject) -> None:
    manifest = filled / manifests.NAME
    content, before = manifest.read_bytes(), manifests.read(filled)
    damaged = bytearray(content)
    damaged[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        manifest.write_bytes(damaged)
        with contextlib.suppress(StorageError):
            assert manifests.read(filled) == before
    finally:
        manifest.write_bytes(content)


def test_a_catalogue_of_an_older_program_says_how_to_rebuild(
    three: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifests, "FORMAT", FORMAT - 1)
    manifests.write(three, manifests.Manifest())
    monkeypatch.undo()

    with pytest.raises(
        StorageError,
        match=rf"catalogue .* has format {FORMAT - 1}, this program reads {FORMAT}; add the music again",
    ):
        Catalogue.open(three)


def test_another_format_says_how_to_rebuild(three: Path) -> None:
    shard = shard_of(three)
    content = bytearray(shard.read_bytes())
    struct.pack_into("<I", content, 8, FORMAT + 1)
    shard.write_bytes(content)
    told = json.loads((three / manifests.NAME).read_bytes())
    told.pop("crc32")
    told["shards"][0][2] = zlib.crc32(content)
    told["crc32"] = zlib.crc32(json.dumps(told, sort_keys=True, separators=(",", ":")).encode())
    (three / manifests.NAME).write_text(json.dumps(told))

    with pytest.raises(
        StorageError,
        match=rf"{shard.name} has format {FORMAT + 1}, .* reads format {FORMAT}; add the music again",
    ):
        Catalogue.open(three)


@pytest.mark.parametrize("survived", range(6))
def test_a_crash_while_adding_leaves_the_old_catalogue_or_the_new_one(
    three: Path, survived: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0

    def crashing(real):
        def call(*args, **options):
            nonlocal calls
            calls += 1
            if calls > survived:
                raise Crash
            return real(*args, **options)

        return call

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", crashing(os.fsync))
        patch.setattr(Path, "replace", crashing(Path.replace))
        with pytest.raises(Crash):
            Catalogue.open(three).add([entry(7)])

    reopened = Catalogue.open(three)
    committed = (
        survived == 5
    )  # of sync, rename, sync of the shard, then of the manifest, only the last was missing
    assert len(reopened) == 3 + committed
    assert named(reopened, 2) == ["tune-2"]
    reopened.add([entry(7)])
    assert len(reopened) == 4
    assert list(three.glob("*.part")) == []
    assert len(list(three.glob("shard-*"))) == 2


def test_a_full_disk_is_an_error_in_one_line(three: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match=r"catalogue file .*shard-.* cannot be written: .*no space left"):
        Catalogue.open(three).add([entry(7)])


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
