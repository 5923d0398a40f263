"""Damage, crashes and other versions: an error that says which file and what to do, never a wrong answer."""

from __future__ import annotations

import contextlib
import json
import os
import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.engine import manifest as manifests
from pipeline.engine.catalogue import Catalogue
from pipeline.engine.shard import FORMAT
from pipeline.errors import StorageError
from tests.engine.melodies import entry, named, shard_of


class Crash(BaseException):
    """The process ends here."""


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
