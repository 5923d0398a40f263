"""The one way to open a database: SQLite today, by SQLAlchemy Core so that PostgreSQL can carry it later.

What must not be lost once money is spent is written with `settle`, from a reserve of disk space that was set aside
before the spending (`write(reserving=True)`): a disk that fills up in between costs nothing.
"""

from __future__ import annotations

import os
import resource
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote_from_bytes

from sqlalchemy import Connection, Executable, create_engine
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import QueuePool

from pipeline.errors import StorageError

RESERVE_BYTES = 2 << 20
"""Room for the tokens of 64 uploads: each commit writes some five pages of 4 kB, twice when they are checkpointed."""


class Database:
    """A file of tables that several threads read and write; writers take turns, readers never wait.

    A `write` block is one transaction, on the disk (fsync) when the block ends: a power cut after it loses nothing.
    Trouble with the file comes out as StorageError naming it.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self._writing = threading.RLock()
        self._reserve = _Reserve(path)
        self._read_only = read_only
        # A creator, not a URL: a path may hold `?`, `%` or bytes that are no text.
        self._engine = create_engine(
            "sqlite://",
            creator=lambda: _connect(path, read_only=read_only),
            poolclass=QueuePool,
            pool_size=4,
            max_overflow=-1,
        )

    @contextmanager
    def write(self, *, reserving: bool = False) -> Iterator[Connection]:
        """A transaction that nobody else writes in; committed when the block ends, undone when it raises.

        `reserving` refuses to begin unless there is room for what `settle` will have to write later.
        """
        with self._writing, self._translated(), self._engine.connect() as connection:
            if reserving:
                self._reserve.hold()
            # IMMEDIATE: a writer of another process is waited for here, not failed on at the first INSERT.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection
            connection.commit()

    def settle(self, statement: Executable) -> None:
        """A transaction of one statement, written even if the disk has filled up since the last `reserving`."""
        with self._writing:
            try:
                with self.write() as connection:
                    connection.execute(statement)
            except StorageError:
                if not self._reserve.release():
                    raise
                with self.write() as connection:
                    connection.execute(statement)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent view, for as long as the block lasts."""
        with self._translated(), self._engine.connect() as connection:
            connection.exec_driver_sql("BEGIN")
            yield connection

    def close(self) -> None:
        self._engine.dispose()
        if not self._read_only:
            self._reserve.release()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except DatabaseError as error:
            raise StorageError(
                f"the database {self.path} cannot be used: {error.orig}",
                hint="check free space and permissions of its folder; what was written before is kept",
            ) from error
        except UnicodeDecodeError as error:
            raise StorageError(
                f"the database {self.path} is damaged: where text should be there is none",
                hint="put a copy of it in its place, or choose another folder with --state",
            ) from error


class _Reserve:
    """Disk space beside a database that nothing else can take: a file to be given up when it is needed."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._path = database.with_name(f"{database.name}-reserve")
        self._held = False

    def hold(self) -> None:
        """Set the space aside, unless it is already. Raises StorageError where there is none."""
        self._check_limit()
        if self._held:
            return
        try:
            with self._path.open("wb") as file:
                # Noise, because a file system that compresses would keep no room for zeros.
                file.write(os.urandom(RESERVE_BYTES))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            self._path.unlink(missing_ok=True)
            raise StorageError(
                f"there is no room to go on writing {self._database}: {(error.strerror or str(error)).lower()}",
                hint="free some space; the same command goes on where this one stopped",
            ) from error
        self._held = True

    def release(self) -> bool:
        """Give the space up, also what a run that was killed has left; False when there is none to give."""
        self._held = False
        try:
            self._path.unlink()
        except OSError:
            return False
        return True

    def _check_limit(self) -> None:
        """A limit on the size of files (`ulimit -f`) stops a database on the emptiest disk."""
        limit_bytes = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
        if limit_bytes == resource.RLIM_INFINITY:
            return
        for path in (self._database, self._database.with_name(f"{self._database.name}-wal")):
            if path.exists() and path.stat().st_size + RESERVE_BYTES > limit_bytes:
                raise StorageError(
                    f"{path} may not grow beyond {limit_bytes} bytes, the limit on file sizes here",
                    hint="raise the limit (ulimit -f), then run the same command again",
                )


def _connect(path: Path, *, read_only: bool) -> sqlite3.Connection:
    mode = "ro" if read_only else "rwc"
    if read_only and _is_at_rest(path):
        # Else SQLite would make files beside it even for reading, and fail.
        mode = "ro&immutable=1"
    connection = sqlite3.connect(
        f"file:{quote_from_bytes(os.fsencode(path.absolute()))}?mode={mode}",
        uri=True,
        timeout=30,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        if not read_only:
            connection.execute("PRAGMA journal_mode = WAL")
            # FULL: a commit is on the disk before the next step: "written down before money is spent" means that.
            connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
    except sqlite3.Error:
        connection.close()  # a file that is no database is found out by the first PRAGMA
        raise
    return connection


def _is_at_rest(path: Path) -> bool:
    """Whether nothing is left to be written into the file, nor can be: it lies in a folder that is read-only to us."""
    return not os.access(path.parent, os.W_OK) and not path.with_name(f"{path.name}-wal").exists()
