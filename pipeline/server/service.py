"""The service as a whole: what it opens, in which order, and how it ends."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import uvicorn
from filelock import FileLock, Timeout

from pipeline.audio import Decoder, cores
from pipeline.config import ServerSettings
from pipeline.database import Database
from pipeline.errors import EarmarkError, StorageError, UsageError
from pipeline.server import schema
from pipeline.server.accounts import Accounts
from pipeline.server.api import Api
from pipeline.server.app import create_app
from pipeline.server.door import Door
from pipeline.server.fair import FairQueue
from pipeline.server.gate import Pace, guarded
from pipeline.server.jobs import Job, Jobs
from pipeline.server.metrics import Metrics
from pipeline.server.worker import OpenEar
from pipeline.server.workers import Readiness, Workers

if TYPE_CHECKING:
    from pipeline.engine.catalogue import Catalogue

DATABASE_NAME: Final = "server.sqlite"
FOLDER_NAME: Final = "server"
LOCK_NAME: Final = "server.lock"
SWEEP_S: Final = 2.0
UPLOADS_AT_ONCE: Final = 16
"""Threads that take uploads in. More than cores: the decoder holds itself back, and what waits for the disk can share
one trip to it."""

GRACE_S: Final = 20
"""What requests under way get when the service is asked to stop."""

_log = logging.getLogger(__name__)


def open_accounts(state: Path) -> tuple[Database, Accounts]:
    """The accounts of a state folder, made if there are none; the database is the caller's to close."""
    database = Database(state / DATABASE_NAME)
    try:
        schema.prepare(database)
    except BaseException:
        database.close()
        raise
    (state / DATABASE_NAME).chmod(0o600)
    return database, Accounts(database)


def listen(host: str, port: int) -> socket.socket:
    """A socket that is bound; port 0 takes a free one. Raises UsageError when the address cannot be had."""
    try:
        return socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=512
        )
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(
            f"cannot listen at {host}, port {port}: {reason}", hint="choose another with --host or --port"
        ) from error


class Service:
    """The AudioTag API over one state folder; `run` serves until `stop`."""

    def __init__(
        self,
        state: Path,
        settings: ServerSettings,
        *,
        decoder: Decoder,
        open_ear: OpenEar,
        open_catalogue: Callable[[], Catalogue] | None = None,
    ) -> None:
        """Opens accounts and jobs; with `open_catalogue` there is a page for people at `/`.

        Raises UsageError when another process serves this folder, StorageError.
        """
        self.decoder = decoder
        self._settings = settings
        self._folder = state / FOLDER_NAME
        self._ends = contextlib.ExitStack()
        with self._ends as ends:
            ends.enter_context(_alone(state))
            database, self.accounts = open_accounts(state)
            ends.callback(database.close)
            _empty(self._folder / "uploads")
            queue: FairQueue[Job] = FairQueue(most=settings.queue, most_per_owner=settings.queue_per_key)
            self.jobs = Jobs(database, self._folder / "jobs", queue=queue)
            self.workers = Workers(
                self.jobs, open_ear, count=settings.workers or cores(), settled=self._settled
            )
            self._metrics = Metrics(
                waiting=lambda: len(self.jobs),
                ready=lambda: self.workers.readiness is Readiness.SERVING,
                restarts=lambda: self.workers.restarts,
            )
            self.door = self._make_door()
            self.app = create_app(self.door)
            if open_catalogue is not None:
                self._attach_page(ends, open_catalogue)
            self._ends = ends.pop_all()
        self._stop = threading.Event()
        self._server: uvicorn.Server | None = None

    def _make_door(self) -> Door:
        settings = self._settings
        most_bytes = settings.upload_mb * 1_048_576
        api = Api(
            self.accounts,
            self.jobs,
            self.decoder,
            readiness=lambda: self.workers.readiness,
            most_bytes=most_bytes,
            most_s=settings.analyse,
        )
        return Door(
            api,
            self.jobs,
            self._metrics,
            welcome=lambda key, from_here: self.accounts.would_admit(key, from_here=from_here),
            readiness=lambda: self.workers.readiness,
            folder=self._folder / "uploads",
            most_bytes=most_bytes,
            most_uploads=settings.uploads,
            uploads_at_once=UPLOADS_AT_ONCE,
            per_key=Pace(per_s=settings.rate_per_key, burst=2 * settings.rate_per_key),
            per_address=Pace(per_s=settings.rate_per_address, burst=2 * settings.rate_per_address),
            open_metrics=settings.open_metrics,
        )

    def _attach_page(self, ends: contextlib.ExitStack, open_catalogue: Callable[[], Catalogue]) -> None:
        from pipeline.server.page.attach import attach  # noqa: PLC0415 -- it brings the engine

        password = self._settings.page_password
        attach(
            self.app,
            ends,
            door=self.door,
            accounts=self.accounts,
            jobs=self.jobs,
            workers=self.workers,
            decoder=self.decoder,
            open_catalogue=open_catalogue,
            folder=self._folder,
            password=password.get_secret_value() if password else None,
        )

    def run(self, listener: socket.socket) -> None:
        """Serve until `stop`; then answer what is under way, and leave what waits to the next start."""
        config = uvicorn.Config(
            self.app,
            **guarded(),
            access_log=False,  # it would write addresses with their queries; the log says what happened instead
            log_config=None,
            server_header=False,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=GRACE_S,
            lifespan="off",
        )
        self._server = server = _Server(config)
        if self._stop.is_set():
            return
        sweeper = threading.Thread(target=self._sweep, name="sweeper")
        self.workers.start()
        sweeper.start()
        try:
            server.run(sockets=[listener])
        finally:
            self._stop.set()
            self.workers.close()
            sweeper.join()
            self.accounts.flush()

    def stop(self) -> None:
        """Ask `run` to end; may be called from a signal handler and from any thread."""
        self._stop.set()
        if self._server is not None:
            self._server.should_exit = True

    def close(self) -> None:
        self._ends.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _settled(self, job: Job, seconds: float, why_not: str) -> None:
        self._metrics.settled("failed" if why_not else "answered", seconds, job.length_s)
        took_ms = round(seconds * 1000)
        if why_not:
            _log.error(
                "failed key=%d seconds=%d took_ms=%d reason=%s", job.key_id, job.length_s, took_ms, why_not
            )
        else:
            _log.info("answered key=%d seconds=%d took_ms=%d", job.key_id, job.length_s, took_ms)

    def _sweep(self) -> None:
        while not self._stop.wait(SWEEP_S):
            for task in (self.accounts.flush, self.jobs.sweep):
                _attempt(task)


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers, which end the process before our own winding up."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _attempt(task: Callable[[], None]) -> None:
    try:
        task()
    except EarmarkError as error:
        _log.error("housekeeping failed and is tried again error=%s", error)


@contextmanager
def _alone(state: Path) -> Iterator[None]:
    lock = FileLock(state / LOCK_NAME)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UsageError(
            f"another earmark serves the state folder {state}",
            hint="stop it first, or name another folder with --state DIR",
        ) from error
    except OSError as error:
        raise StorageError(f"the state folder {state} cannot be used: {error.strerror or error}") from error
    try:
        yield
    finally:
        lock.release()


def _empty(folder: Path) -> None:
    """A folder with nothing in it: uploads of a process that was killed are nobody's."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.iterdir():
            path.unlink()
    except OSError as error:
        raise StorageError(f"the folder {folder} cannot be used: {error.strerror or error}") from error
