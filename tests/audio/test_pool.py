"""A worker that hangs, crashes or eats memory costs its own file and no other."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.audio.pool import WorkerPool
from pipeline.errors import MediaError
from pipeline.model import FileStatus


@pytest.fixture
def pool() -> Iterator[WorkerPool]:
    pool = WorkerPool(2)
    yield pool
    pool.close()


def works(pool: WorkerPool, tmp_path: Path) -> bool:
    path = tmp_path / "plain.wav"
    path.write_bytes(b"not a wave")
    return pool.call("tags.read_tags", str(path)) is None


def test_a_worker_that_hangs_is_given_up_and_replaced(pool: WorkerPool, tmp_path: Path) -> None:
    pipe = tmp_path / "endless.wav"
    os.mkfifo(pipe)
    began = time.monotonic()
    with pytest.raises(MediaError, match="it took longer than 1 s and was given up") as caught:
        pool.call("tags.read_tags", str(pipe), limit_s=1)
    assert caught.value.status is FileStatus.FAILED
    assert time.monotonic() - began < 5
    assert works(pool, tmp_path)


def test_a_worker_that_dies_is_replaced(pool: WorkerPool, tmp_path: Path) -> None:
    assert works(pool, tmp_path)
    with pytest.raises(MediaError, match="it crashed the decoder and was given up"):
        pool.call("worker.os.abort")
    assert works(pool, tmp_path)


def test_an_exception_nobody_foresaw_is_one_line(pool: WorkerPool) -> None:
    with pytest.raises(MediaError) as caught:
        pool.call("tags.year_in", "1999", "too many")
    assert "\n" not in str(caught.value)
    assert caught.value.message.startswith(
        "the decoder failed on it: TypeError: year_in() takes 1 positional"
    )


def test_memory_is_limited(pool: WorkerPool, tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="it takes too much memory"):
        pool.call("worker.os.urandom", 4 << 30)
    assert works(pool, tmp_path)


def test_no_more_workers_than_asked_for_serve_any_number_of_threads(tmp_path: Path) -> None:
    pool = WorkerPool(2)
    try:
        with ThreadPoolExecutor(8) as threads:
            pids = set(threads.map(lambda _: pool.call("worker.os.getpid"), range(40)))
    finally:
        pool.close()
    assert 1 <= len(pids) <= 2
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_workers_leave_when_their_master_is_gone(tmp_path: Path) -> None:
    """kill -9 closes the pipe, and the worker takes that for the end."""
    pool = WorkerPool(1)
    pool.call("worker.os.getpid")
    (worker,) = pool._alive
    worker._ours.close()
    assert worker.last_signal() == 0
    assert worker._process.returncode == 0
    pool.close()


def test_nothing_is_imported_from_the_folder_the_user_stands_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trap = "raise SystemExit('imported from the music folder')"
    for name in ("numpy.py", "test.py", "tinytag.py", "av.py", "future.py", "queue.py"):
        (tmp_path / name).write_text(trap)
    monkeypatch.chdir(tmp_path)
    pool = WorkerPool(1)
    try:
        assert works(pool, tmp_path)
    finally:
        pool.close()
