"""The one way to open a database: SQLite today, by SQLAlchemy Core so that PostgreSQL can carry it later."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote_from_bytes

from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import QueuePool

from pipeline.errors import StorageError


class Database:
    """A file of tables that several threads read and write; writers take turns, readers never wait.

    A `write` block is one transaction, on the disk (fsync) when the block ends: a power cut after it loses nothing.
    Trouble with the file comes out as StorageError naming it.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self._writing = threading.RLock()
        # A creator, not a URL: a path may hold `?`, `%` or bytes that are no text.
        self._engine = create_engine(
            "sqlite://",
            creator=lambda: _connect(path, read_only=read_only),
            poolclass=QueuePool,
            pool_size=4,
            max_overflow=-1,
        )

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that nobody else writes in; committed when the block ends, undone when it raises."""
        with self._writing, self._translated(), self._engine.connect() as connection:
            # IMMEDIATE: a writer of another process is waited for here, not failed on at the first INSERT.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection
            connection.commit()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent view, for as long as the block lasts."""
        with self._translated(), self._engine.connect() as connection:
            connection.exec_driver_sql("BEGIN")
            yield connection

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except DatabaseError as error:
            raise StorageError(
                f"the database {self.path} cannot be used: {error.orig}",
                hint="check free space and permissions of its folder; what was written before is kept",
            ) from error


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
