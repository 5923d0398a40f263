"""Replace files whole: a reader sees the old file or the new one, never half of either."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.errors import StorageError


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, with the same ending; it becomes `path` when the block ends well.

    When the block raises, `path` stays as it was and the temporary file is gone. Folders above `path` are
    made. A link is followed, so that it stays a link. OSErrors become StorageErrors that name `path`.
    """
    with storage_errors(path):
        target = path.resolve()
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = _create_beside(target)
        try:
            yield temporary
            _sync(temporary)
            with suppress(FileNotFoundError):
                shutil.copymode(target, temporary)
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync(target.parent)


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
        _create_beside(target).unlink()


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


def _create_beside(target: Path) -> Path:
    # The name is short and of its own, because a name of 255 bytes leaves no room for additions. Not mkstemp:
    # that would make every report private (0600), whatever the user's umask says.
    temporary = target.with_name(f".earmark-{secrets.token_hex(8)}{target.suffix}")
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    return temporary


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
