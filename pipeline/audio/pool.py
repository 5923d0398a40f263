"""Processes that open hostile files for us: one that hangs or crashes costs only its own file."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any

import pipeline
from pipeline.audio.child import environment
from pipeline.errors import MediaError
from pipeline.model import FileStatus

GRACE_S = 5.0
"""A worker ends itself at its limit; one that cannot even do that is killed so much later."""


class _Worker:
    """One process and the pipe to it."""

    def __init__(self) -> None:
        self._ours, theirs = Pipe()
        # A program of its own and not a fork or spawn by multiprocessing: it must neither copy our threads'
        # locks nor run the user's main module again. -P: no `numpy.py` in the music folder is imported.
        argv = [sys.executable, "-P", "-m", "pipeline.audio.worker", str(theirs.fileno())]
        try:
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                env=_environment(),
                process_group=0,
            )
        except OSError as error:
            self._ours.close()
            raise MediaError(
                f"a worker process could not be started: {error.strerror or error}", status=FileStatus.FAILED
            ) from error
        finally:
            theirs.close()

    def call(self, task: str, arguments: tuple[Any, ...], limit_s: int) -> Any:
        """The task's result; MediaError from the task, EOFError or TimeoutError when the worker is lost."""
        connection: Connection = self._ours
        connection.send((task, arguments, limit_s))
        if not connection.poll(limit_s + GRACE_S):
            raise TimeoutError
        done, result = connection.recv()
        if done:
            return result
        raise result

    def last_signal(self) -> int:
        """The signal that ended it, 0 if it left by itself or cannot be collected."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return max(-self._process.wait(GRACE_S), 0)
        return 0

    def close(self) -> None:
        self._ours.close()
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(GRACE_S)


class WorkerPool:
    """At most `count` workers, started when first needed; callers beyond that wait their turn."""

    def __init__(self, count: int) -> None:
        self.count = count
        # Last in, first out: a light load keeps few workers busy and starts no more.
        self._slots: queue.LifoQueue[_Worker | None] = queue.LifoQueue()
        for _ in range(count):
            self._slots.put(None)
        self._lock = threading.Lock()
        self._alive: set[_Worker] = set()
        self._closed = False

    def call(self, task: str, *arguments: Any, limit_s: int = 60) -> Any:
        """Run a task in a worker and return its result. MediaError if it fails, hangs or kills the worker."""
        worker = self._slots.get()
        try:
            worker = worker or self._start()
            return worker.call(task, arguments, limit_s)
        except (EOFError, ConnectionError, TimeoutError) as lost:
            assert worker is not None  # noqa: S101 -- only `worker.call` raises these
            ended_by = 0 if isinstance(lost, TimeoutError) else worker.last_signal()
            self._discard(worker)
            worker = None
            if isinstance(lost, TimeoutError) or ended_by in (signal.SIGALRM, signal.SIGXCPU):
                why = f"it took longer than {limit_s} s"
            else:
                why = "it crashed the decoder"
            raise MediaError(
                f"{why} and was given up", status=FileStatus.FAILED, hint="the file may be damaged"
            ) from None
        finally:
            self._slots.put(worker)

    def _start(self) -> _Worker:
        with self._lock:
            if self._closed:
                raise RuntimeError("this decoder is closed")
            worker = _Worker()
            self._alive.add(worker)
            return worker

    def _discard(self, worker: _Worker) -> None:
        with self._lock:
            self._alive.discard(worker)
        worker.close()

    def close(self) -> None:
        """End every worker, also one that is busy: its caller gets a MediaError."""
        with self._lock:
            self._closed = True
            alive, self._alive = self._alive, set()
        for worker in alive:
            worker.close()


def _environment() -> dict[str, str]:
    # Where this very package was imported from, for a source tree that is not installed.
    # Relative entries are left out: they would mean the folder the user stands in.
    inherited = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    roots = [str(Path(pipeline.__file__).parents[1]), *filter(os.path.isabs, inherited)]
    # Each worker is one of many: numpy's own threads would only reserve memory.
    return {
        **environment(),
        "PYTHONPATH": os.pathsep.join(roots),
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }
