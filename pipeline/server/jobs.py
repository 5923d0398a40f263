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
from pathlib import Path
from typing import Final

from pipeline.database import Database
from pipeline.files import storage_errors, sync
from pipeline.server import rows
from pipeline.server.fair import FairQueue
from pipeline.server.refusal import Refusal
from pipeline.server.rows import Record, State
from pipeline.server.together import Together
from pipeline.wire.audiotag_errors import ErrorText

TOKEN_LIFE_S: Final = 300.0
"""The document: token and answer are valid for 5 minutes from job creation."""

_log = logging.getLogger(__name__)


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
class _Upload:
    """A job that asks to be accepted."""

    job: Job
    size_bytes: int


@dataclass(frozen=True, slots=True)
class _Waiting:
    """What is known of a token whose job is not settled."""

    key_id: int
    done: Future[None]


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
        self._accepting = Together(self._accept)
        self._lock = threading.Lock()
        # When each token was born, by a clock that never jumps: the wall clock only bridges a restart.
        self._born: dict[str, float] = {}
        self._waiting: dict[str, _Waiting] = {}
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
        """Charge for the audio at the token's place and queue it: both or neither, also over a crash or a power cut,
        if the audio is on the disk by now.

        Raises Refusal when the queue is full or the account has too little.
        """
        job = Job(token, key_id, start_s, length_s, self._place(token))
        return self._accepting.do(_Upload(job, size_bytes))

    def _accept(self, uploads: Sequence[_Upload]) -> list[Job | Exception]:
        outcomes: list[Job | Exception] = []
        accepted: list[Job] = []
        with storage_errors(self._folder):
            sync(self._folder)  # the names of the audio files; what is in them `take_in` has seen to
        with self._database.write() as connection:
            for upload in uploads:
                job = upload.job
                try:
                    if not self._queue.has_room(job.key_id, coming=[one.key_id for one in accepted]):
                        raise Refusal(ErrorText.NOT_AVAILABLE, "the queue is full")
                    rows.book(
                        connection,
                        job.token,
                        job.key_id,
                        now=self._now(),
                        start_s=job.start_s,
                        length_s=job.length_s,
                        size_bytes=upload.size_bytes,
                    )
                except Refusal as refusal:
                    outcomes.append(refusal)
                else:
                    outcomes.append(job)
                    accepted.append(job)
        for job in accepted:
            self._enqueue(job, born=self._monotonic())
        return outcomes

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
                    rows.answer(connection, one.job.token, one.reply, one.places)
                else:
                    rows.fail(connection, one.job.token)
        for one in ended:
            self._done(one.job)

    def answer(self, key_id: int, token: str) -> str | None:
        """What `get_result` says: the reply kept, or None while the job waits.

        Raises Refusal for a job that failed, and with INVALID_TOKEN for a token that is unknown, another key's,
        or five minutes old.
        """
        with self._lock:
            waits = self._waiting.get(token)
        if waits is not None and waits.key_id == key_id and self._alive(token):
            return None  # what most questions hear needs no look at the disk
        record = self.record(key_id, token)
        if record is None:
            raise Refusal(ErrorText.INVALID_TOKEN)
        if record.state is State.FAILED:
            raise Refusal(ErrorText.RECOGNITION_ERROR)
        return record.reply if record.state is State.ANSWERED else None

    def record(self, key_id: int, token: str) -> Record | None:
        """The job behind a token; None when it is unknown, another key's, or five minutes old."""
        if not self._alive(token):
            return None
        with self._database.read() as connection:
            return rows.find(connection, token, key_id)

    def recent(self, most: int, *, skip: int = 0) -> tuple[list[Record], int]:
        """The newest jobs that are not yet forgotten, newest first, and how many there are in all."""
        with self._database.read() as connection:
            return rows.newest(connection, most=most, skip=skip), rows.count(connection)

    def pending(self, token: str) -> Future[None] | None:
        """What is done when the job of this token is; None when it is already, or never was."""
        with self._lock:
            waits = self._waiting.get(token)
        return None if waits is None else waits.done

    def sweep(self) -> None:
        """Forget tokens that are five minutes old. One that never came to its turn gets its seconds back."""
        with self._lock:
            old = [token for token, born in self._born.items() if self._age_s(born) >= TOKEN_LIFE_S]
        if not old:
            return
        with self._database.write() as connection:
            for token in old:
                if rows.give_back(connection, token):
                    _log.warning("a job was not reached in time and is given back")
                rows.forget(connection, token)
        for token in old:
            with self._lock:
                self._born.pop(token, None)
                waits = self._waiting.pop(token, None)
                self._tries.pop(token, None)
            if waits is not None:
                waits.done.set_result(None)
            self._place(token).unlink(missing_ok=True)

    def _recover(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._database.read() as connection:
            records = rows.all_rows(connection)
        waiting = set()
        for record in records:
            # A clock that was set back makes no token younger than new, one set forward none older than dead.
            age_s = min(max(self._now() - record.created_at, 0.0), TOKEN_LIFE_S)
            born = self._monotonic() - age_s
            if record.state is State.WAITING:
                place = self._place(record.token)
                waiting.add(place)
                job = Job(record.token, record.key_id, record.start_s, record.length_s, place)
                self._enqueue(job, born=born)
            else:
                self._born[record.token] = born
        for path in self._folder.iterdir():
            if path not in waiting:
                path.unlink()
        self.sweep()
        if len(self):
            _log.info("jobs of an earlier process wait again count=%d", len(self))

    def _enqueue(self, job: Job, *, born: float) -> None:
        with self._lock:
            self._born[job.token] = born
            self._waiting[job.token] = _Waiting(job.key_id, Future())
        self._queue.put(job.key_id, job)

    def _done(self, job: Job) -> None:
        with self._lock:
            waits = self._waiting.pop(job.token, None)
            self._tries.pop(job.token, None)
        if waits is not None:
            waits.done.set_result(None)
        with contextlib.suppress(OSError):
            job.pcm.unlink(missing_ok=True)

    def _alive(self, token: str) -> bool:
        with self._lock:
            return self._age_s(self._born.get(token, -math.inf)) < TOKEN_LIFE_S

    def _age_s(self, born: float) -> float:
        return self._monotonic() - born

    def _place(self, token: str) -> Path:
        return self._folder / f"{token}.pcm"
