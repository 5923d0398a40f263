"""Processes that answer jobs: one that crashes, hangs or runs out of memory costs one try of one job."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from multiprocessing.connection import Connection
from typing import Final

from pipeline.errors import StorageError
from pipeline.server.jobs import Ended, Job, Jobs
from pipeline.server.worker import Answer, OpenEar, work

TRIES: Final = 2
"""A job whose worker died is given to another one once: it may have been the worker's fault, or the system's."""

START_S: Final = 120.0
"""Opening a large catalogue and compiling the engine takes seconds; after this a worker will never be ready."""

BASE_LIMIT_S: Final = 30.0
LIMIT_PER_S: Final = 0.5
"""A window of 15 s takes some 0.05 s; half the playing time is beyond anything a sound worker needs."""

FINISH_S: Final = 5.0
"""What a job under way gets when the service stops; one that takes longer is done again after the restart."""

PAUSE_S: Final = 2.0
"""Before a worker that could not start, or a database that could not be written, is tried again."""

_log = logging.getLogger(__name__)
_context = multiprocessing.get_context("spawn")  # a fork would copy our threads' locks


class Readiness(StrEnum):
    """Whether jobs are being answered."""

    LOADING = "loading"
    SERVING = "serving"
    FAILED = "failed"
    """No worker could be started; it is tried again all the time."""
    BROKEN = "broken"
    """There were workers, and no new one can be started."""


class WorkerLost(Exception):
    """A worker died, or had to be killed, before it answered."""


class Workers:
    """`count` processes, each fed by a thread of this one.

    `settled` hears of every job how many seconds it took and, if it failed, why.
    """

    def __init__(
        self, jobs: Jobs, open_ear: OpenEar, *, count: int, settled: Callable[[Job, float, str], None]
    ) -> None:
        self._jobs = jobs
        self._open_ear = open_ear
        self._settled = settled
        self._stop = threading.Event()
        self._lanes = [
            threading.Thread(target=self._run, args=(number,), name=f"lane-{number}")
            for number in range(count)
        ]
        self._writer = threading.Thread(target=self._write, name="writer")
        # Bounded: with a disk that refuses, lanes stop rather than gather answers that a crash would lose.
        self._ended: queue.Queue[_Result | None] = queue.Queue(maxsize=100)
        self._states: dict[int, Readiness] = dict.fromkeys(range(count), Readiness.LOADING)
        self._served = False
        self.restarts = 0

    @property
    def readiness(self) -> Readiness:
        """SERVING as soon as one worker is ready, FAILED or BROKEN when none can be started."""
        states = set(self._states.values())
        order = (Readiness.SERVING, Readiness.LOADING, Readiness.BROKEN)
        return next((state for state in order if state in states), Readiness.FAILED)

    def start(self) -> None:
        # Each worker is one of several: numpy's own threads would only fight over the cores.
        for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
            os.environ.setdefault(name, "1")
        self._writer.start()
        for lane in self._lanes:
            lane.start()

    def close(self) -> None:
        """Let every worker finish the job it has, then end it; what waits is the next process's."""
        self._stop.set()
        for lane in self._lanes:
            lane.join()
        self._ended.put(None)
        self._writer.join()

    def _run(self, number: int) -> None:
        while not self._stop.is_set():
            try:
                worker = _Worker(self._open_ear, self._stop)
            except WorkerLost as lost:
                if self._stop.is_set():
                    return
                self._states[number] = Readiness.BROKEN if self._served else Readiness.FAILED
                _log.error("a worker could not be started lane=%d reason=%s", number, lost)
                self._stop.wait(PAUSE_S)
                continue
            self._states[number] = Readiness.SERVING
            self._served = True
            try:
                self._serve(worker)
            except WorkerLost as lost:
                self.restarts += 1
                _log.warning("a worker was lost lane=%d reason=%s", number, lost)
            finally:
                self._states[number] = Readiness.LOADING
                worker.close()

    def _serve(self, worker: _Worker) -> None:
        while not self._stop.is_set():
            job = self._jobs.take(0.5)
            if job is None:
                worker.check()
                continue
            began = time.monotonic()
            try:
                answer = worker.ask(job)
            except WorkerLost:
                self._lost(job)
                raise
            ended = Ended(job, answer.reply, answer.places)
            self._ended.put(_Result(ended, answer.why_not, time.monotonic() - began))

    def _lost(self, job: Job) -> None:
        if self._stop.is_set() or self._jobs.tried(job) < TRIES:
            self._jobs.put_back(job)
        else:
            self._ended.put(_Result(Ended(job), "it lost every worker that tried it", 0.0))

    def _write(self) -> None:
        """Write results down, together those that came meanwhile, so that no lane waits for the disk."""
        last = False
        while not last:
            gathered = [self._ended.get()]
            with contextlib.suppress(queue.Empty):
                while True:
                    gathered.append(self._ended.get_nowait())
            results = [result for result in gathered if result is not None]
            last = len(results) < len(gathered)
            if results and self._written(results):
                for result in results:
                    self._settled(result.ended.job, result.seconds, result.why_not)

    def _written(self, results: list[_Result]) -> bool:
        while True:
            try:
                self._jobs.finish([result.ended for result in results])
            except StorageError as error:
                # A full disk: answers are held until there is room, or until we are stopped; then they are found again.
                _log.error("answers could not be written down count=%d error=%s", len(results), error)
                if self._stop.wait(PAUSE_S):
                    return False
            else:
                return True


@dataclass(frozen=True, slots=True)
class _Result:
    """What came of a job, on its way to the disk."""

    ended: Ended
    why_not: str
    seconds: float


class _Worker:
    """One process and the pipe to it."""

    def __init__(self, open_ear: OpenEar, stop: threading.Event) -> None:
        self._stop = stop
        try:
            self._connection, theirs = _context.Pipe()
            with theirs:
                self._process = _context.Process(target=work, args=(theirs, open_ear), daemon=True)
                self._process.start()
        except OSError as error:  # too many processes or files, no memory: that passes
            raise WorkerLost(f"no process could be started: {error.strerror or error}") from error
        try:
            if why_not := self._hear(START_S, patience_s=0.0).why_not:
                raise WorkerLost(why_not)
        except WorkerLost:
            self.close()
            raise

    def ask(self, job: Job) -> Answer:
        """What is said of a job. Raises WorkerLost."""
        limit_s = BASE_LIMIT_S + LIMIT_PER_S * job.length_s
        try:
            self._connection.send((job.pcm, job.start_s))
        except OSError as error:
            raise WorkerLost(self._ended()) from error
        return self._hear(limit_s, patience_s=FINISH_S)

    def check(self) -> None:
        """Raise WorkerLost when the process is gone, before a job finds out."""
        if not self._process.is_alive():
            raise WorkerLost(self._ended())

    def close(self) -> None:
        self._connection.close()
        self._process.join(1.0)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._process.close()

    def _hear(self, limit_s: float, *, patience_s: float) -> Answer:
        connection: Connection[object, Answer] = self._connection
        deadline = time.monotonic() + limit_s
        stopping = False
        with contextlib.suppress(EOFError, ConnectionError):
            while not connection.poll(min(0.5, max(deadline - time.monotonic(), 0.0))):
                if self._stop.is_set() and not stopping:
                    stopping, deadline = True, min(deadline, time.monotonic() + patience_s)
                if time.monotonic() >= deadline:
                    raise WorkerLost(
                        f"it did not answer within {limit_s:.0f} s, or before the service stopped"
                    )
            return connection.recv()
        raise WorkerLost(self._ended())

    def _ended(self) -> str:
        self._process.join(1.0)
        return f"it ended with {self._process.exitcode}"
