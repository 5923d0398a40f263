"""How accounts that an older earmark wrote become those of today: in one transaction, so entirely or not at all."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Final

from sqlalchemy import Connection, inspect

_log = logging.getLogger(__name__)


def _keep_places(connection: Connection) -> None:
    # Version 1 was written without this column first, and then with it.
    if "places" not in {column["name"] for column in inspect(connection).get_columns("jobs")}:
        connection.exec_driver_sql("ALTER TABLE jobs ADD COLUMN places TEXT NOT NULL DEFAULT ''")


STEPS: Final[Mapping[int, Callable[[Connection], None]]] = {1: _keep_places}
"""From each earlier version to the next one. Written out and never changed later, for they must go on fitting the
tables of their time."""


def migrate(connection: Connection) -> int:
    """Bring the tables as far as the steps lead, within the caller's transaction; return the version they are at.

    That is 0 for a file without tables. Nothing happens to a version that nobody here knows.
    """
    version = int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())
    while version in STEPS:
        STEPS[version](connection)
        _log.info("The accounts were brought to a newer format: from=%d to=%d", version, version + 1)
        version += 1
        connection.exec_driver_sql(f"PRAGMA user_version = {version}")
    return version
