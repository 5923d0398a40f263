"""The atomic replace: whole or not at all, and told in one line."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from pipeline.errors import StorageError
from pipeline.files import atomic_write, ensure_writable, scratch_beside


def test_the_file_appears_when_the_block_ends_well(tmp_path: Path) -> None:
    target = tmp_path / "new" / "folders" / "report.csv"
    with atomic_write(target) as temporary:
        temporary.write_text("whole")
        assert temporary.parent == target.parent
        assert temporary.suffix == ".csv"
        assert not target.exists()
    assert target.read_text() == "whole"
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("failure", [ValueError("a bug"), KeyboardInterrupt()])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path, failure: BaseException) -> None:
    target = tmp_path / "report.csv"
    target.write_text("old")
    with pytest.raises(type(failure)):
        _write_half_and_raise(target, failure)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_is_one_line_that_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    target = tmp_path / "report.csv"
    target.write_text("old")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, call, full)
    with pytest.raises(StorageError) as caught, atomic_write(target) as temporary:
        temporary.write_text("new")
    assert str(caught.value) == (
        f"cannot write {target}: no space left on device; free some space or write elsewhere"
    )
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_new_file_has_the_mode_the_umask_gives_and_an_old_one_keeps_its_own(tmp_path: Path) -> None:
    target = tmp_path / "report.csv"
    before = os.umask(0o027)
    try:
        with atomic_write(target) as temporary:
            temporary.write_text("1")
    finally:
        os.umask(before)
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    target.chmod(0o604)
    with atomic_write(target) as temporary:
        temporary.write_text("2")
    assert stat.S_IMODE(target.stat().st_mode) == 0o604


def test_a_link_goes_on_pointing_at_the_file(tmp_path: Path) -> None:
    real = tmp_path / "elsewhere" / "report.csv"
    real.parent.mkdir()
    link = tmp_path / "latest.csv"
    link.symlink_to(real)
    with atomic_write(link) as temporary:
        temporary.write_text("new")
    assert link.is_symlink()
    assert real.read_text() == "new"


def test_a_name_of_the_greatest_length_can_be_written(tmp_path: Path) -> None:
    target = tmp_path / ("x" * 251 + ".csv")
    ensure_writable(target)
    with atomic_write(target) as temporary:
        temporary.write_text("fits")
    assert target.read_text() == "fits"


def test_a_writable_target_is_left_as_it_is(tmp_path: Path) -> None:
    target = tmp_path / "report.csv"
    ensure_writable(target)
    assert list(tmp_path.iterdir()) == []
    target.write_text("old")
    ensure_writable(target)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_what_a_killed_writer_left_goes_with_the_next_write_and_what_one_at_work_holds_stays(
    tmp_path: Path,
) -> None:
    left = tmp_path / ".earmark-0123456789abcdef.csv"
    left.write_text("half of the n")
    scratch = tmp_path / ".earmark-fedcba9876543210"
    scratch.mkdir()
    (scratch / "tmp1").write_text("rows")
    others = [tmp_path / ".earmark-notes.csv", tmp_path / ".earmark-0123456789abcdef.csv.bak"]
    for path in others:
        path.write_text("the user's own")
    with atomic_write(tmp_path / "one.csv") as one:
        assert not left.exists()
        assert not scratch.exists()
        with scratch_beside(one) as at_work, atomic_write(tmp_path / "two.csv") as two:
            ensure_writable(tmp_path / "three.csv")
            assert one.exists()
            assert two.exists()
            assert at_work.is_dir()
    names = {"one.csv", "two.csv", *(path.name for path in others)}
    assert {path.name for path in tmp_path.iterdir()} == names


def test_a_folder_cannot_be_written_as_a_file(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="it is a folder; name a file inside it"):
        ensure_writable(tmp_path)


def test_a_file_in_the_place_of_a_folder_is_found_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(StorageError, match=r"cannot write .*report\.csv: (file exists|not a directory)"):
        ensure_writable(tmp_path / "taken" / "report.csv")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_locked_folder_or_file_is_found_before_the_work(tmp_path: Path) -> None:
    target = tmp_path / "report.csv"
    target.write_text("old")
    target.chmod(0o400)
    with pytest.raises(StorageError, match="it is read-only"):
        ensure_writable(target)
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(StorageError, match="permission denied"):
            ensure_writable(tmp_path / "other.csv")
    finally:
        tmp_path.chmod(0o700)


def _write_half_and_raise(target: Path, failure: BaseException) -> None:
    with atomic_write(target) as temporary:
        temporary.write_text("half of the n")
        raise failure
