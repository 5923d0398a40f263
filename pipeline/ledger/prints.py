"""What the audio of every upload sounds like, so that the same recording in another encoding is known again.

A print is written with the intent to send its audio, in one transaction, and is its own index: there is nothing beside
the ledger that could be lost or fall behind it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select, text
from sqlalchemy.dialects.sqlite import insert

from pipeline.database import Database
from pipeline.ledger import schema
from pipeline.ledger.clock import now


@dataclass(frozen=True, slots=True)
class Print:
    """A fingerprint as the ledger keeps it. What `peaks` holds is the business of whoever made it."""

    sha256: str
    format: str
    """Prints of different formats cannot be compared."""
    frames: int
    peaks: bytes
    keys: Sequence[tuple[int, int]] = ()
    """Landmarks by which it is found: key, and frame of the audio. Not given back by the ledger."""


_NEAR = text(
    """
    WITH wanted AS (
        SELECT json_extract(value, '$[0]') AS key, json_extract(value, '$[1]') AS frame FROM json_each(:keys)
    ), best AS (
        SELECT print_id, count(*) AS shared
        FROM wanted CROSS JOIN print_keys
        WHERE print_keys.key = wanted.key
          AND print_keys.frame BETWEEN wanted.frame - :within AND wanted.frame + :within
        GROUP BY print_id HAVING count(*) >= :at_least
        ORDER BY count(*) DESC, print_id LIMIT :most
    )
    SELECT sha256, format, frames, peaks
    FROM best JOIN prints ON prints.print_id = best.print_id
    WHERE format = :format
    ORDER BY shared DESC, prints.print_id
    """
)
"""As text, for SQLAlchemy would spend longer on a hundred keys than SQLite. CROSS JOIN: the keys sought come first."""


class Prints:
    """The prints of one ledger."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def near(self, sought: Print, *, within_frames: int, at_least: int, most: int) -> list[Print]:
        """The prints that share most keys with `sought`, at frames no further apart than `within_frames`."""
        if not sought.keys:
            return []
        parameters = {
            "keys": json.dumps(sought.keys),
            "within": within_frames,
            "at_least": at_least,
            "most": most,
            "format": sought.format,
        }
        with self._database.read() as connection:
            return [Print(*row) for row in connection.execute(_NEAR, parameters)]

    def same_as(self, sha256: str) -> list[str]:
        """The audio that this audio was found to sound the same as, by hash."""
        same = schema.same_audio.c
        with self._database.read() as connection:
            return list(connection.execute(select(same.as_sha256).where(same.sha256 == sha256)).scalars())

    def note_same(self, sha256: str, as_sha256: str, *, offset_s: float, likeness: float) -> None:
        """Write down that this audio sounds the same as that of a print, and got its answer."""
        found = {
            "sha256": sha256,
            "as_sha256": as_sha256,
            "offset_s": offset_s,
            "likeness": likeness,
            "noted_at": now(),
        }
        with self._database.write() as connection:
            connection.execute(insert(schema.same_audio).on_conflict_do_nothing(), found)


def write(connection: Connection, print_: Print) -> None:
    """Keep a print within the caller's transaction; a second one of the same audio changes nothing."""
    print_id = connection.execute(
        insert(schema.prints)
        .values(sha256=print_.sha256, format=print_.format, frames=print_.frames, peaks=print_.peaks)
        .on_conflict_do_nothing()
        .returning(schema.prints.c.print_id)
    ).scalar()
    if print_id is not None and print_.keys:
        connection.execute(
            insert(schema.print_keys).on_conflict_do_nothing(),
            [{"key": key, "frame": frame, "print_id": print_id} for key, frame in print_.keys],
        )
