"""The truth about every run: what was done, answered and paid. Reports are written from here, never from memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from filelock import FileLock, Timeout
from sqlalchemy import Connection, Row, func, insert, select, update
from sqlalchemy.dialects.sqlite import Insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from pipeline.database import Database
from pipeline.errors import LedgerBusy, StorageError, UsageError
from pipeline.ledger import migrations, rows, schema
from pipeline.ledger.clock import now
from pipeline.ledger.coding import answer_values, play_values, segment_values
from pipeline.ledger.prints import Prints
from pipeline.ledger.records import Answer, KnownAnswer, RunInfo
from pipeline.ledger.rows import FileEvidence
from pipeline.ledger.spending import Spending
from pipeline.ledger.uploads import Uploads
from pipeline.model import FileRow, FileStatus, PlayRow, SourceFile

FILE_NAME = "ledger.sqlite"
LOCK_NAME = "ledger.lock"


class Ledger:
    """The ledger of one state folder. `open` it to work (one run at a time), `read` it to report."""

    def __init__(self, database: Database, lock: FileLock | None) -> None:
        self._database = database
        self._lock = lock
        self.uploads = Uploads(database)
        self.prints = Prints(database)
        self.spending = Spending(database)

    @classmethod
    def open(cls, state_dir: Path) -> Self:
        """The ledger, made if there is none, held against other runs until it is closed.

        One that an older earmark wrote is brought to today's format first. Raises LedgerBusy when another run holds it,
        StorageError when it cannot be used, or was written by a newer earmark.
        """
        try:
            state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = FileLock(state_dir / LOCK_NAME)
            lock.acquire(timeout=0)
        except Timeout as error:
            raise LedgerBusy(
                f"another run holds the ledger in {state_dir}",
                hint="wait for it to end, or give this run its own --state folder",
            ) from error
        except OSError as error:
            raise StorageError(
                f"the state folder {state_dir} cannot be used: {error.strerror or error}",
                hint="choose another with --state DIR or EARMARK_STATE",
            ) from error
        database = Database(state_dir / FILE_NAME)
        try:
            _prepare(database)
        except BaseException:
            database.close()
            lock.release()
            raise
        return cls(database, lock)

    @classmethod
    def read(cls, state_dir: Path) -> Self:
        """The ledger for reading alone, also while a run is writing. Raises UsageError when there is none.

        One that an older earmark wrote is opened once, to be brought to today's format; raises as `open` then.
        """
        path = state_dir / FILE_NAME
        if not path.is_file():
            raise UsageError(
                f"there is no ledger in {state_dir}",
                hint="run `earmark identify FOLDER` first, or name the state folder of that run with --state",
            )
        database = Database(path, read_only=True)
        try:
            older = migrations.is_older(database)
        except BaseException:
            database.close()
            raise
        if older:
            database.close()
            cls.open(state_dir).close()
            database = Database(path, read_only=True)
        return cls(database, None)

    def close(self) -> None:
        self._database.close()
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # ---- runs

    def begin_run(self, manner: str) -> int:
        """A new run's id. `manner` names the choices that an answer depends on (coverage, segment length)."""
        with self._database.write() as connection:
            new_run = insert(schema.runs).values(started_at=now(), manner=manner)
            return int(connection.execute(new_run.returning(schema.runs.c.run_id)).scalar_one())

    def end_run(self, run_id: int, ended: str) -> None:
        """Write down when and how the run ended; a run without this was killed."""
        with self._database.write() as connection:
            connection.execute(
                update(schema.runs)
                .where(schema.runs.c.run_id == run_id)
                .values(finished_at=now(), ended=ended)
            )

    def run(self, run_id: int) -> RunInfo:
        """One run. Raises UsageError when the ledger has no such run."""
        with self._database.read() as connection:
            row = connection.execute(select(schema.runs).where(schema.runs.c.run_id == run_id)).first()
        if row is None:
            raise UsageError(
                f"the ledger has no run {run_id}", hint="`earmark report` without --run takes the last one"
            )
        return _run_info(row)

    def last_run(self) -> RunInfo | None:
        """The latest run, finished or not; None in a new ledger."""
        with self._database.read() as connection:
            row = connection.execute(
                select(schema.runs).order_by(schema.runs.c.run_id.desc()).limit(1)
            ).first()
        return None if row is None else _run_info(row)

    # ---- files and answers

    def admit(self, sources: Sequence[SourceFile]) -> dict[bytes, tuple[int, KnownAnswer | None]]:
        """For each path: its id in the ledger, and the latest answer to it, if there is one."""
        paths = [source.path for source in sources]
        with self._database.write() as connection:
            connection.execute(
                sqlite_insert(schema.files).on_conflict_do_nothing(), [{"path": path} for path in paths]
            )
            query = select(schema.files.c.path, schema.files.c.file_id)
            ids = {
                row.path: row.file_id
                for row in connection.execute(query.where(schema.files.c.path.in_(paths)))
            }
            if not ids.keys() >= set(paths):
                raise StorageError(
                    f"the ledger {self._database.path} is damaged: it loses files as they are written into it",
                    hint="put a copy of it in its place, or choose another folder with --state",
                )
            latest = (
                select(func.max(schema.answers.c.answer_id))
                .where(schema.answers.c.file_id.in_(ids.values()))
                .group_by(schema.answers.c.file_id)
            )
            answers = connection.execute(
                select(schema.answers).where(schema.answers.c.answer_id.in_(latest))
            ).all()
            plays = schema.plays.c
            named: defaultdict[int, set[tuple[str, str]]] = defaultdict(set)
            for play in connection.execute(
                select(plays.answer_id, plays.recognizer, plays.track_id)
                .where(plays.answer_id.in_([row.answer_id for row in answers]))
                .distinct()
            ):
                named[play.answer_id].add((play.recognizer, play.track_id))
            known = {row.file_id: _known(row, named[row.answer_id]) for row in answers}
        return {path: (ids[path], known.get(ids[path])) for path in paths}

    def keep(self, run_id: int, kept: Iterable[tuple[SourceFile, int, int]]) -> None:
        """In this run these files (source, file id, answer id) have the answer they had before."""
        values = [_run_file(run_id, source, file_id, answer_id) for source, file_id, answer_id in kept]
        if values:
            with self._database.write() as connection:
                connection.execute(_in_run(), values)

    def record(self, run_id: int, answered: Iterable[tuple[SourceFile, int, Answer]], *, manner: str) -> None:
        """Write down what this run found out about these files (source, file id, answer): all or nothing."""
        with self._database.write() as connection:
            for source, file_id, answer in answered:
                self._record(connection, run_id, source, file_id, answer, manner)

    def _record(
        self,
        connection: Connection,
        run_id: int,
        source: SourceFile,
        file_id: int,
        answer: Answer,
        manner: str,
    ) -> None:
        answer_id = connection.execute(
            insert(schema.answers)
            .values(
                file_id=file_id,
                run_id=run_id,
                size_bytes=source.size_bytes,
                mtime_ns=source.mtime_ns,
                manner=manner,
                answered_at=now(),
                **answer_values(answer),
            )
            .returning(schema.answers.c.answer_id)
        ).scalar_one()
        if answer.segments:
            connection.execute(insert(schema.segments), list(segment_values(answer_id, answer)))
        if answer.plays:
            connection.execute(insert(schema.plays), list(play_values(answer_id, answer)))
        connection.execute(_in_run(), _run_file(run_id, source, file_id, answer_id))

    # ---- what a report is made of

    def file_rows(self, run_id: int) -> Iterator[FileRow]:
        """The run's report, one row a file in the order of the paths; as a stream, however many there are."""
        with self._database.read() as connection:
            yield from rows.file_rows(connection, run_id)

    def play_rows(self, run_id: int) -> Iterator[PlayRow]:
        """The run's second table, one row for each track heard, in the order of paths and time."""
        with self._database.read() as connection:
            yield from rows.play_rows(connection, run_id)

    def evidence(self, path: bytes) -> FileEvidence | None:
        """Everything the latest answer to this file (an absolute path) rests on; None if it was never answered."""
        with self._database.read() as connection:
            return rows.evidence(connection, path)


def _prepare(database: Database) -> None:
    """Make or migrate the tables. Raises StorageError, and changes nothing, in a ledger that a newer earmark wrote."""
    with database.write() as connection:
        if migrations.version(connection) is None:
            schema.metadata.create_all(connection)
            connection.execute(
                insert(schema.meta).values(key="schema_version", value=str(schema.SCHEMA_VERSION))
            )
        migrations.migrate(connection)
    migrations.is_older(database)


def _in_run() -> Insert:
    # A file given twice in one run keeps its first line.
    return sqlite_insert(schema.run_files).on_conflict_do_nothing()


def _run_file(run_id: int, source: SourceFile, file_id: int, answer_id: int) -> dict[str, object]:
    return {
        "run_id": run_id,
        "shown_path": source.shown_path.encode("utf-8", "surrogateescape"),
        "file_id": file_id,
        "answer_id": answer_id,
    }


def _run_info(row: Row[Any]) -> RunInfo:
    return RunInfo(row.run_id, row.started_at, row.finished_at, row.ended)


def _known(row: Row[Any], played: set[tuple[str, str]]) -> KnownAnswer:
    named = played | {(row.recognizer, row.track_id)} if row.recognizer else played
    return KnownAnswer(
        row.answer_id,
        row.size_bytes,
        row.mtime_ns,
        row.manner,
        row.asked,
        FileStatus(row.status),
        frozenset(named),
        row.unnamed,
        row.unanswered,
    )
