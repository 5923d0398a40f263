"""How a ledger that an older earmark wrote becomes one of today: in one transaction, so entirely or not at all.

No copy is made beside it: a ledger may be larger than the space that is left, and a transaction that is cut short
(a kill, a full disk, a power cut) leaves the old ledger as it was.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import Connection, inspect, select, update

from pipeline.database import Database
from pipeline.errors import StorageError
from pipeline.ledger import schema

STEPS: Final[Mapping[str, tuple[str, Sequence[str]]]] = {
    "1": (
        "2",
        (
            "CREATE INDEX uploads_by_run ON uploads (run_id)",
            "CREATE INDEX uploads_by_time ON uploads (intended_at)",
            """CREATE TABLE prints (
                print_id INTEGER NOT NULL, sha256 TEXT NOT NULL, format TEXT NOT NULL, frames INTEGER NOT NULL,
                peaks BLOB NOT NULL,
                PRIMARY KEY (print_id), UNIQUE (sha256))""",
            """CREATE TABLE print_keys (
                "key" INTEGER NOT NULL, frame INTEGER NOT NULL, print_id INTEGER NOT NULL,
                PRIMARY KEY ("key", frame, print_id),
                FOREIGN KEY(print_id) REFERENCES prints (print_id)) WITHOUT ROWID""",
            """CREATE TABLE same_audio (
                sha256 TEXT NOT NULL, as_sha256 TEXT NOT NULL, offset_s FLOAT NOT NULL, likeness FLOAT NOT NULL,
                noted_at TEXT NOT NULL,
                PRIMARY KEY (sha256, as_sha256),
                FOREIGN KEY(as_sha256) REFERENCES prints (sha256)) WITHOUT ROWID""",
        ),
    ),
}
"""From each earlier version: the next one, and the statements that lead there. Written out and never changed later,
for they must go on fitting the tables of their time."""

_log = logging.getLogger(__name__)


def migrate(connection: Connection) -> None:
    """Bring the ledger to SCHEMA_VERSION within the caller's transaction; nothing happens to a new or unknown one."""
    found = version(connection)
    while found is not None and found in STEPS:
        after, statements = STEPS[found]
        for statement in statements:
            connection.exec_driver_sql(statement)
        connection.execute(
            update(schema.meta).where(schema.meta.c.key == "schema_version").values(value=after)
        )
        _log.info("The ledger was brought to a newer format: from=%s to=%s", found, after)
        found = after


def version(connection: Connection) -> str | None:
    """The version a ledger says it has; None in a file without tables."""
    if not inspect(connection).has_table(schema.meta.name):
        return None
    return connection.execute(
        select(schema.meta.c.value).where(schema.meta.c.key == "schema_version")
    ).scalar()


def is_older(database: Database) -> bool:
    """Whether `migrate` has something to do. Raises StorageError for a version that nobody here knows."""
    with database.read() as connection:
        found = version(connection)
    if found in STEPS:
        return True
    if found != str(schema.SCHEMA_VERSION):
        raise StorageError(
            f"the ledger {database.path} has format {found}, this earmark knows {schema.SCHEMA_VERSION}",
            hint="use the earmark that wrote it, or another --state folder",
        )
    return False
