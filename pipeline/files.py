"""Replace files whole: a reader sees the old file or the new one, never half of either.

Until it is whole, a file lies beside its place as `.earmark-<16 hex digits>` and is locked by whoever writes it. A kill
leaves such a file behind but ends its lock, so the next write into that folder knows it for what it is, and removes it.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.errors import StorageError

_UNFINISHED = re.compile(r"\.earmark-[0-9a-f]{16}(\.[^.]*)?")


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, with the same ending; it becomes `path` when the block ends well.

    When the block raises, `path` stays as it was and the temporary file is gone. Folders above `path` are
    made. A link is followed, so that it stays a link. OSErrors become StorageErrors that name `path`.
    """
    with storage_errors(path):
        target = path.resolve()
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target.parent)
        temporary, lock = _create_beside(target)
        try:
            yield temporary
            sync(temporary)
            with suppress(FileNotFoundError):
                shutil.copymode(target, temporary)
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        finally:
            os.close(lock)
        sync(target.parent)


@contextmanager
def scratch_beside(path: Path) -> Iterator[Path]:
    """A folder beside `path` for files that nobody keeps: gone when the block ends, or with the next write there."""
    folder = _unfinished_name(path.resolve().parent)
    folder.mkdir(0o700)
    try:
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            _lock(lock)
            yield folder
        finally:
            os.close(lock)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def ensure_writable(path: Path) -> None:
    """Find out now, before anything is sent or paid, that `path` cannot be written later: StorageError."""
    with storage_errors(path):
        target = path.resolve()
        if target.is_dir():
            raise StorageError(f"cannot write {path}: it is a folder", hint="name a file inside it")
        if target.exists() and not os.access(target, os.W_OK):
            raise StorageError(
                f"cannot write {path}: it is read-only", hint="choose another name or its mode"
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target.parent)
        temporary, lock = _create_beside(target)
        temporary.unlink()
        os.close(lock)


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Translate an OSError met while writing `path` into one line for a person."""
    try:
        yield
    except OSError as error:
        cause = (error.strerror or str(error)).lower()
        raise StorageError(
            f"cannot write {path}: {cause}", hint="free some space or write elsewhere"
        ) from error


def sync(path: Path) -> None:
    """Wait until a file's content, or the names in a folder, would survive a power cut. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unfinished_name(folder: Path, ending: str = "") -> Path:
    # Short and of its own, because a name of 255 bytes leaves no room for additions.
    return folder / f".earmark-{secrets.token_hex(8)}{ending}"


def _create_beside(target: Path) -> tuple[Path, int]:
    """A new empty file, and the descriptor that keeps it locked."""
    while True:
        temporary = _unfinished_name(target.parent, target.suffix)
        # Not mkstemp: that would make every report private (0600), whatever the user's umask says.
        descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        _lock(descriptor)
        if os.fstat(descriptor).st_nlink:
            return temporary, descriptor
        os.close(descriptor)  # swept by another process between those two lines: begin again


def _lock(descriptor: int) -> None:
    # A file system without locks: then nobody else gets the lock either, and nothing there is ever swept.
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX)


def _sweep(folder: Path) -> None:
    """Remove what writers that were killed have left in a folder: ours by name and owner, and locked by nobody."""
    # What cannot be listed or removed is no obstacle to what is to be written.
    with suppress(OSError):
        for path in folder.iterdir():
            if _UNFINISHED.fullmatch(path.name):
                with suppress(OSError):
                    _remove_if_left(path)


def _remove_if_left(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        found = os.fstat(descriptor)
        if found.st_uid != os.geteuid():
            return
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if stat.S_ISDIR(found.st_mode):
            shutil.rmtree(path)
        elif stat.S_ISREG(found.st_mode):
            path.unlink()
    finally:
        os.close(descriptor)
