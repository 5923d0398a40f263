"""What the uploads of a ledger cost, for budgets: what is in doubt counts as spent."""

from __future__ import annotations

from typing import Final

from sqlalchemy import ColumnElement, Integer, case, cast, func, select

from pipeline.database import Database
from pipeline.ledger import schema
from pipeline.ledger.records import UploadState

_UNSETTLED: Final = (UploadState.INTENDED.value, UploadState.IN_DOUBT.value)


class Spending:
    """The seconds (credits) that uploads to paid services cost, or may have cost."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def since(self, moment: str) -> float:
        """Of all uploads intended at this moment (UTC, ISO 8601) or later, with no end: a clock may have run ahead."""
        return self._sum(schema.uploads.c.intended_at >= moment)

    def of_run(self, run_id: int) -> float:
        """Of the uploads of one run."""
        return self._sum(schema.uploads.c.run_id == run_id)

    def broken_off_before(self, run_id: int) -> float:
        """Of the runs just before this one that never ended: killed or crashed, so that this one continues them."""
        runs = schema.runs.c
        last_ended = (
            select(func.coalesce(func.max(runs.run_id), 0))
            .where(runs.run_id < run_id, runs.finished_at.is_not(None))
            .scalar_subquery()
        )
        uploads = schema.uploads.c
        return self._sum(uploads.run_id > last_ended, uploads.run_id < run_id)

    def _sum(self, *which: ColumnElement[bool]) -> float:
        query = select(func.coalesce(func.sum(_cost_s()), 0.0)).where(*which)
        with self._database.read() as connection:
            return float(connection.execute(query).scalar_one())


def _cost_s() -> ColumnElement[float]:
    """What was charged; of an upload in doubt, every second begun, which is what a service charges."""
    uploads = schema.uploads.c
    # Rounded up by hand: not every SQLite has `ceil`.
    length_s = func.round(uploads.length_s, 3)
    whole_s = cast(length_s, Integer)
    begun_s = whole_s + case((length_s > whole_s, 1), else_=0)
    return case(
        (uploads.state.in_(_UNSETTLED), func.max(begun_s, uploads.charged_s)), else_=uploads.charged_s
    )
