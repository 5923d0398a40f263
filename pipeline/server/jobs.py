"""Jobs: one upload's analysis, from the charge to the answer behind its token.

accept: charge + row (one transaction) ──► queue ──► take ──► finish: answered, or failed and paid back
                                            │
a restart finds the rows still waiting ─────┘            five minutes after accept the token is forgotten
"""

from __future__ import annotations

import contextlib
import logging
import math
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, delete, insert, select, update

from pipeline.database import Database
from pipeline.server import schema
from pipeline.server.accounts import Charge, charge, refund
from pipeline.server.fair import FairQueue
from pipeline.server.refusal import Refusal
from pipeline.wire.audiotag_errors import ErrorText

TOKEN_LIFE_S: Final = 300.0
"""The document: token and answer are valid for 5 minutes from job creation."""

_log = logging.getLogger(__name__)


class State(StrEnum):
    """How far a job is."""

    WAITING = "waiting"
    ANSWERED = "answered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Job:
    """One upload to analyse."""

    token: str
    key_id: int
    start_s: int
    length_s: int
    pcm: Path
    """What is analysed: 8 kHz mono int16, little-endian, nothing else in the file."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A job that a worker is done with."""

    job: Job
    reply: str = ""
    """The reply to `get_result`, word for word; empty when there is none: the job failed and is paid back."""
    places: str = ""
    """What only the page shows, see `worker.Answer`."""


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
    places: str
    """As in `Ended`; both are empty until the job is answered."""


class Jobs:
    """The jobs of one service; several threads accept and ask, several take and settle."""

    def __init__(
        self,
        database: Database,
        folder: Path,
        *,
        queue: FairQueue[Job],
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`folder` holds the audio of waiting jobs, and nothing else. Jobs of an earlier process wait again."""
        self._database = database
        self._folder = folder
        self._queue = queue
        self._now = now
        self._monotonic = monotonic
        self._accepting = threading.Lock()
        self._lock = threading.Lock()
        # When each token was born, by a clock that never jumps: the wall clock only bridges a restart.
        self._born: dict[str, float] = {}
        self._pending: dict[str, Future[None]] = {}
        self._tries: Counter[str] = Counter()
        self._recover()

    def __len__(self) -> int:
        """Jobs that wait for their turn."""
        return len(self._queue)

    def new_place(self) -> tuple[str, Path]:
        """A fresh token, and where its audio is to be written before `accept`."""
        token = secrets.token_hex(16)
        return token, self._place(token)

    def has_room(self, key_id: int) -> bool:
        """Whether one more upload of this key would be accepted now."""
        return self._queue.has_room(key_id)

    def accept(self, token: str, key_id: int, *, start_s: int, length_s: int, size_bytes: int) -> Job:
        """Charge for the audio at the token's place and queue it: both or neither, also over a crash.

        Raises Refusal when the queue is full or the account has too little.
        """
        job = Job(token, key_id, start_s, length_s, self._place(token))
        with self._accepting:
            if not self.has_room(key_id):
                raise Refusal(ErrorText.NOT_AVAILABLE, "the queue is full")
            with self._database.write() as connection:
                taken = charge(connection, key_id, seconds=length_s, size_bytes=size_bytes)
                connection.execute(
                    insert(schema.jobs).values(
                        token=token,
                        key_id=key_id,
                        created_at=self._now(),
                        start_s=start_s,
                        length_s=length_s,
                        charged_free_s=taken.free_s,
                        charged_credits=taken.credits,
                        state=State.WAITING,
                    )
                )
            self._enqueue(job, born=self._monotonic())
        return job

    def take(self, timeout_s: float) -> Job | None:
        """The next job whose token is still worth an answer; None when none came in time."""
        while (job := self._queue.take(timeout_s)) is not None:
            if self._alive(job.token):
                return job
        return None

    def tried(self, job: Job) -> int:
        """Note that a try at a job came to nothing; how many did."""
        with self._lock:
            self._tries[job.token] += 1
            return self._tries[job.token]

    def put_back(self, job: Job) -> None:
        """Let a job that was taken wait again."""
        self._queue.put(job.key_id, job)

    def finish(self, ended: Sequence[Ended]) -> None:
        """Write down how jobs ended, all in one transaction: a disk takes as long for one as for twenty."""
        with self._database.write() as connection:
            for one in ended:
                if one.reply:
                    answered = {"state": State.ANSWERED, "reply": one.reply, "places": one.places}
                    connection.execute(update(schema.jobs).where(_is(one.job.token)).values(answered))
                elif _refunded(connection, one.job.token):
                    failed = {"state": State.FAILED, "charged_free_s": 0, "charged_credits": 0}
                    connection.execute(update(schema.jobs).where(_is(one.job.token)).values(failed))
        for one in ended:
            self._done(one.job)

    def answer(self, key_id: int, token: str) -> str | None:
        """What `get_result` says: the reply kept, or None while the job waits.

        Raises Refusal for a job that failed, and with INVALID_TOKEN for a token that is unknown, another key's,
        or five minutes old.
        """
        if not self._alive(token):
            raise Refusal(ErrorText.INVALID_TOKEN)
        with self._database.read() as connection:
            row = connection.execute(select(schema.jobs).where(_is(token))).one_or_none()
        if row is None or row.key_id != key_id:
            raise Refusal(ErrorText.INVALID_TOKEN)
        if row.state == State.FAILED:
            raise Refusal(ErrorText.RECOGNITION_ERROR)
        return str(row.reply) if row.state == State.ANSWERED else None

    def record(self, key_id: int, token: str) -> Record | None:
        """The job behind a token; None when it is unknown, another key's, or five minutes old."""
        if not self._alive(token):
            return None
        with self._database.read() as connection:
            row = connection.execute(select(schema.jobs).where(_is(token))).one_or_none()
        return None if row is None or row.key_id != key_id else _record(row)

    def recent(self, most: int) -> list[Record]:
        """The newest jobs that are not yet forgotten, newest first."""
        with self._database.read() as connection:
            newest = select(schema.jobs).order_by(schema.jobs.c.job_id.desc()).limit(most)
            return [_record(row) for row in connection.execute(newest)]

    def pending(self, token: str) -> Future[None] | None:
        """What is done when the job of this token is; None when it is already, or never was."""
        with self._lock:
            return self._pending.get(token)

    def sweep(self) -> None:
        """Forget tokens that are five minutes old. One that never came to its turn gets its seconds back."""
        with self._lock:
            old = [token for token, born in self._born.items() if self._age_s(born) >= TOKEN_LIFE_S]
        if not old:
            return
        with self._database.write() as connection:
            for token in old:
                if _refunded(connection, token):
                    _log.warning("a job was not reached in time and is given back")
                connection.execute(delete(schema.jobs).where(_is(token)))
        for token in old:
            with self._lock:
                self._born.pop(token, None)
                future = self._pending.pop(token, None)
                self._tries.pop(token, None)
            if future is not None:
                future.set_result(None)
            self._place(token).unlink(missing_ok=True)

    def _recover(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._database.read() as connection:
            rows = connection.execute(select(schema.jobs).order_by(schema.jobs.c.job_id)).all()
        for row in rows:
            # A clock that was set back makes no token younger than new, one set forward none older than dead.
            age_s = min(max(self._now() - row.created_at, 0.0), TOKEN_LIFE_S)
            born = self._monotonic() - age_s
            if row.state == State.WAITING:
                job = Job(row.token, row.key_id, row.start_s, row.length_s, self._place(row.token))
                self._enqueue(job, born=born)
            else:
                self._born[row.token] = born
        wanted = {self._place(row.token) for row in rows if row.state == State.WAITING}
        for path in self._folder.iterdir():
            if path not in wanted:
                path.unlink()
        self.sweep()
        if len(self):
            _log.info("jobs of an earlier process wait again count=%d", len(self))

    def _enqueue(self, job: Job, *, born: float) -> None:
        with self._lock:
            self._born[job.token] = born
            self._pending[job.token] = Future()
        self._queue.put(job.key_id, job)

    def _done(self, job: Job) -> None:
        with self._lock:
            future = self._pending.pop(job.token, None)
            self._tries.pop(job.token, None)
        if future is not None:
            future.set_result(None)
        with contextlib.suppress(OSError):
            job.pcm.unlink(missing_ok=True)

    def _alive(self, token: str) -> bool:
        with self._lock:
            return self._age_s(self._born.get(token, -math.inf)) < TOKEN_LIFE_S

    def _age_s(self, born: float) -> float:
        return self._monotonic() - born

    def _place(self, token: str) -> Path:
        return self._folder / f"{token}.pcm"


def _refunded(connection: Connection, token: str) -> bool:
    """Give back what a job that still waits was charged; False when it no longer does, or never was."""
    waiting = select(schema.jobs).where(_is(token), schema.jobs.c.state == State.WAITING)
    row = connection.execute(waiting).one_or_none()
    if row is not None:
        refund(connection, row.key_id, Charge(row.charged_free_s, row.charged_credits))
    return row is not None


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
