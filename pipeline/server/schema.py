"""The tables of the service, as they are on disk in `server.sqlite`.

    keys ──< jobs        whose upload, what it cost, what came of it

A job is written in the transaction that charges for it, so that neither is ever without the other.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, Float, ForeignKey, Index, Integer, LargeBinary, MetaData, Table, Text

from pipeline.database import Database
from pipeline.errors import StorageError
from pipeline.server import migrations

SCHEMA_VERSION: Final = 2
"""`migrations` leads here from each earlier one."""

metadata = MetaData()

keys = Table(
    "keys",
    metadata,
    Column("key_id", Integer, primary_key=True),
    Column("hash", LargeBinary, nullable=False, unique=True),
    Column("hint", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float),
    Column("active", Integer, nullable=False, default=1),
    Column("only_here", Integer, nullable=False, default=0),
    Column("credits", Integer, nullable=False),
    Column("free_s", Integer, nullable=False),
    Column("credits_spent", Integer, nullable=False, default=0),
    Column("queries", Integer, nullable=False, default=0),
    Column("uploaded_s", Integer, nullable=False, default=0),
    Column("uploaded_bytes", Integer, nullable=False, default=0),
)

jobs = Table(
    "jobs",
    metadata,
    Column("job_id", Integer, primary_key=True),
    Column("token", Text, nullable=False, unique=True),
    Column("key_id", ForeignKey("keys.key_id"), nullable=False),
    Column("created_at", Float, nullable=False),
    Column("start_s", Integer, nullable=False),
    Column("length_s", Integer, nullable=False),
    Column("charged_free_s", Integer, nullable=False),
    Column("charged_credits", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("reply", Text, nullable=False, default=""),
    Column("places", Text, nullable=False, default=""),  # for the page: what the API has no word for
    Index("jobs_by_state", "state"),
)


def prepare(database: Database) -> None:
    """Make the tables, or bring older ones to today's. Raises StorageError for those of a newer earmark."""
    with database.write() as connection:
        version = migrations.migrate(connection)
        if version > SCHEMA_VERSION:
            raise StorageError(
                f"the accounts in {database.path} were written by a newer earmark (version {version})",
                hint="upgrade earmark, or name another folder with --state DIR",
            )
        if version == 0:
            metadata.create_all(connection)
            connection.exec_driver_sql(f"PRAGMA user_version = {SCHEMA_VERSION}")
