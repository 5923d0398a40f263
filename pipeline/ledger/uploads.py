"""Every upload to a paid service, from the intent to the answer: how no second is paid twice.

intended ──► sent ──► answered          the way it should go; each arrow is a commit before the next step
    │          └────► lost              charged, but the token is forgotten
    ├──► not_sent                       never reached the service: free
    ├──► refused                        the service will not analyse this audio
    └──► in_doubt ─┬─► cleared          broken off in mid-upload, or killed; then the service's own counters
                   └─► charged          are compared (batch/doubt.py): free, or paid for in vain
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from pipeline.database import Database
from pipeline.ledger import prints, schema
from pipeline.ledger.clock import now
from pipeline.ledger.coding import coded_matches, decoded_matches
from pipeline.ledger.prints import Print
from pipeline.ledger.records import Baseline, Upload, UploadState
from pipeline.model import Probe, Recognition, Status, Usage


class Uploads:
    """The uploads of one ledger. Every method that writes has committed when it returns."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of_audio(self, sha256: str, recognizer: str) -> list[Upload]:
        """All uploads of this audio to this service, oldest first."""
        table = schema.uploads
        query = select(table).where(table.c.recognizer == recognizer, table.c.sha256 == sha256)
        with self._database.read() as connection:
            return [_upload(row) for row in connection.execute(query.order_by(table.c.upload_id))]

    def one(self, upload_id: int) -> Upload:
        """The upload of this id."""
        query = select(schema.uploads).where(schema.uploads.c.upload_id == upload_id)
        with self._database.read() as connection:
            return _upload(connection.execute(query).one())

    def waiting(self, recognizer: str) -> list[Upload]:
        """The uploads to this service whose answer was not collected, oldest first."""
        table = schema.uploads
        query = select(table).where(table.c.recognizer == recognizer, table.c.state == UploadState.SENT.value)
        with self._database.read() as connection:
            return [_upload(row) for row in connection.execute(query.order_by(table.c.upload_id))]

    def answers(self) -> int:
        """How many answers the ledger holds that were paid for."""
        table = schema.uploads
        query = select(func.count()).where(table.c.state == UploadState.ANSWERED.value)
        with self._database.read() as connection:
            return int(connection.execute(query).scalar_one())

    def charged_since(self, upload_id: int, recognizer: str) -> tuple[float, int]:
        """The seconds known to be charged by this service after that upload, and for how many uploads."""
        table = schema.uploads
        query = select(func.coalesce(func.sum(table.c.charged_s), 0.0), func.count()).where(
            table.c.recognizer == recognizer, table.c.upload_id > upload_id, table.c.charged_s > 0
        )
        with self._database.read() as connection:
            seconds, number = connection.execute(query).one()
            return float(seconds), int(number)

    def in_doubt_since(self, upload_id: int, recognizer: str) -> list[Upload]:
        """The uploads to this service after that one of which nobody knows whether they were charged, oldest first."""
        table = schema.uploads
        query = select(table).where(
            table.c.state == UploadState.IN_DOUBT.value,
            table.c.recognizer == recognizer,
            table.c.upload_id > upload_id,
        )
        with self._database.read() as connection:
            return [_upload(row) for row in connection.execute(query.order_by(table.c.upload_id))]

    def baseline(self, recognizer: str) -> Baseline | None:
        """The last counters of this service that `rebase` kept; None if there are none."""
        query = select(schema.meta.c.value).where(schema.meta.c.key == _baseline_key(recognizer))
        with self._database.read() as connection:
            kept = connection.execute(query).scalar()
        if kept is None:
            return None
        fields = json.loads(kept)
        return Baseline(Usage(**fields["usage"]), fields["upload_id"])

    def rebase(self, recognizer: str, usage: Usage) -> None:
        """Keep the service's counters, taken while nothing was on its way: they hold every upload so far."""
        with self._database.write() as connection:
            last = connection.execute(select(func.max(schema.uploads.c.upload_id))).scalar() or 0
            value = json.dumps(asdict(Baseline(usage, last)))
            kept = sqlite_insert(schema.meta).values(key=_baseline_key(recognizer), value=value)
            connection.execute(kept.on_conflict_do_update(index_elements=["key"], set_={"value": value}))

    def doubt_interrupted(self) -> None:
        """Mark what an earlier run was sending when it was killed: nobody knows whether it was charged."""
        table = schema.uploads
        with self._database.write() as connection:
            connection.execute(
                update(table)
                .where(table.c.state == UploadState.INTENDED.value)
                .values(
                    state=UploadState.IN_DOUBT.value,
                    error="the run ended during the upload",
                    settled_at=now(),
                )
            )

    def intend(
        self, run_id: int, file_id: int, recognizer: str, probe: Probe, print_: Print | None = None
    ) -> int:
        """Write down that this audio is about to be sent, and what it sounds like; the id of the new upload."""
        with self._database.write(reserving=True) as connection:
            upload_id = connection.execute(
                insert(schema.uploads)
                .values(
                    run_id=run_id,
                    file_id=file_id,
                    recognizer=recognizer,
                    sha256=probe.sha256,
                    length_s=probe.length_s,
                    state=UploadState.INTENDED.value,
                    intended_at=now(),
                )
                .returning(schema.uploads.c.upload_id)
            ).scalar_one()
            if print_ is not None:
                prints.write(connection, print_)
            return int(upload_id)

    def sent(self, upload_id: int, token: str, charged_s: float) -> None:
        """The service took it and named a token."""
        self._set(upload_id, UploadState.SENT, token=token, charged_s=charged_s, sent_at=now())

    def answered(self, upload_id: int, recognition: Recognition) -> None:
        """The answer is here."""
        self._set(
            upload_id,
            UploadState.ANSWERED,
            status=recognition.status.value,
            matches=coded_matches(recognition.matches),
            raw=recognition.raw,
            error="",
            settled_at=now(),
        )

    def unread(self, upload_id: int, error: str, raw: str) -> None:
        """What came in the place of its answer cannot be read; the token is asked for again."""
        self._set(upload_id, UploadState.SENT, error=error, raw=raw)

    def not_sent(self, upload_id: int, error: str) -> None:
        """The service was not reached, or did not take it: nothing was charged."""
        self._set(upload_id, UploadState.NOT_SENT, error=error, settled_at=now())

    def refused(self, upload_id: int, error: str, raw: Any = None) -> None:
        """The service will not analyse this audio."""
        self._set(upload_id, UploadState.REFUSED, error=error, raw=raw, settled_at=now())

    def in_doubt(self, upload_id: int, error: str, raw: Any = None) -> None:
        """The connection broke after the upload began."""
        self._set(upload_id, UploadState.IN_DOUBT, error=error, raw=raw, settled_at=now())

    def cleared(self, upload_id: int) -> None:
        """The service's counters show that this upload in doubt was not charged."""
        self._set(upload_id, UploadState.CLEARED)

    def charged(self, upload_id: int, charged_s: float) -> None:
        """The service's counters show that this upload in doubt was charged."""
        self._set(upload_id, UploadState.CHARGED, charged_s=charged_s)

    def lost(self, upload_id: int, error: str, raw: Any = None) -> None:
        """The service no longer knows the token."""
        self._set(upload_id, UploadState.LOST, error=error, raw=raw, settled_at=now())

    def _set(self, upload_id: int, state: UploadState, **values: Any) -> None:
        self._database.settle(
            update(schema.uploads)
            .where(schema.uploads.c.upload_id == upload_id)
            .values(state=state.value, **values)
        )


def _upload(row: Row[Any]) -> Upload:
    recognition = None
    if row.state == UploadState.ANSWERED.value:
        recognition = Recognition(
            Status(row.status), row.token, decoded_matches(row.matches), row.charged_s, row.raw
        )
    return Upload(
        row.upload_id,
        row.run_id,
        row.sha256,
        row.recognizer,
        UploadState(row.state),
        row.token,
        row.charged_s,
        recognition,
        row.error,
        row.length_s,
    )


def _baseline_key(recognizer: str) -> str:
    return f"usage {recognizer}"
