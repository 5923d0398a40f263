"""Jobs as they are written down: what each says of an upload's analysis, its charge and what came of it.

Every function works within the caller's transaction, so that a charge and its job are never one without the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, func, insert, select, update

from pipeline.server import schema
from pipeline.server.accounts import Charge, charge, refund


class State(StrEnum):
    """How far a job is."""

    WAITING = "waiting"
    ANSWERED = "answered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Record:
    """A job as it is written down."""

    token: str
    key_id: int
    created_at: float
    start_s: int
    length_s: int
    state: State
    reply: str
    """The reply to `get_result`, word for word; empty until the job is answered."""
    places: str
    """What only the page shows, see `worker.Answer`; empty until the job is answered."""


def book(
    connection: Connection,
    token: str,
    key_id: int,
    *,
    now: float,
    start_s: int,
    length_s: int,
    size_bytes: int,
) -> None:
    """Charge for a job and write it down. Raises Refusal, with nothing written, when the account has too little."""
    taken = charge(connection, key_id, seconds=length_s, size_bytes=size_bytes)
    connection.execute(
        insert(schema.jobs).values(
            token=token,
            key_id=key_id,
            created_at=now,
            start_s=start_s,
            length_s=length_s,
            charged_free_s=taken.free_s,
            charged_credits=taken.credits,
            state=State.WAITING,
        )
    )


def answer(connection: Connection, token: str, reply: str, places: str) -> None:
    """Write down what a job's token is answered with."""
    answered = {"state": State.ANSWERED, "reply": reply, "places": places}
    connection.execute(update(schema.jobs).where(_is(token)).values(answered))


def fail(connection: Connection, token: str) -> None:
    """Write down that a job that waited came to nothing, and give back what it was charged."""
    if give_back(connection, token):
        failed = {"state": State.FAILED, "charged_free_s": 0, "charged_credits": 0}
        connection.execute(update(schema.jobs).where(_is(token)).values(failed))


def give_back(connection: Connection, token: str) -> bool:
    """Give back what a job that still waits was charged; False when it no longer does, or never was."""
    waiting = select(schema.jobs).where(_is(token), schema.jobs.c.state == State.WAITING)
    row = connection.execute(waiting).one_or_none()
    if row is not None:
        refund(connection, row.key_id, Charge(row.charged_free_s, row.charged_credits))
    return row is not None


def forget(connection: Connection, token: str) -> None:
    """Delete a job."""
    connection.execute(delete(schema.jobs).where(_is(token)))


def find(connection: Connection, token: str, key_id: int) -> Record | None:
    """The job of a token; None when it is unknown or another key's."""
    row = connection.execute(select(schema.jobs).where(_is(token))).one_or_none()
    return None if row is None or row.key_id != key_id else _record(row)


def all_rows(connection: Connection) -> Sequence[Record]:
    """Every job, in the order of acceptance."""
    found = connection.execute(select(schema.jobs).order_by(schema.jobs.c.job_id))
    return [_record(row) for row in found]


def newest(connection: Connection, *, most: int, skip: int = 0) -> list[Record]:
    """The newest jobs but for the first few, newest first."""
    newest_first = select(schema.jobs).order_by(schema.jobs.c.job_id.desc())
    return [_record(row) for row in connection.execute(newest_first.limit(most).offset(skip))]


def count(connection: Connection) -> int:
    """How many jobs are written down."""
    return int(connection.execute(select(func.count()).select_from(schema.jobs)).scalar_one())


def _is(token: str) -> ColumnElement[bool]:
    return schema.jobs.c.token == token


def _record(row: Row[Any]) -> Record:
    return Record(
        token=row.token,
        key_id=row.key_id,
        created_at=row.created_at,
        start_s=row.start_s,
        length_s=row.length_s,
        state=State(row.state),
        reply=row.reply,
        places=row.places,
    )
