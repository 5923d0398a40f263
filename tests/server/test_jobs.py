"""Jobs by the clock: tokens live five minutes, charges are made once, what never got its turn costs nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.server.accounts import Accounts
from pipeline.server.fair import FairQueue
from pipeline.server.jobs import Ended, Jobs
from pipeline.server.refusal import Refusal
from pipeline.server.service import open_accounts
from pipeline.wire.audiotag_errors import ErrorText


class Clocks:
    """A wall clock that jumps and one that does not."""

    def __init__(self) -> None:
        self.wall_s = 1_000_000.0
        self.steady_s = 50.0

    def wait(self, seconds: float) -> None:
        self.wall_s += seconds
        self.steady_s += seconds


@contextmanager
def jobs(folder: Path, clocks: Clocks) -> Iterator[tuple[Accounts, Jobs]]:
    database, accounts = open_accounts(folder)
    try:
        yield (
            accounts,
            Jobs(
                database,
                folder / "jobs",
                queue=FairQueue(most=10, most_per_owner=10),
                now=lambda: clocks.wall_s,
                monotonic=lambda: clocks.steady_s,
            ),
        )
    finally:
        database.close()


def accepted(queue: Jobs, key_id: int, length_s: int = 15) -> str:
    token, place = queue.new_place()
    place.write_bytes(bytes(10))
    queue.accept(token, key_id, start_s=0, length_s=length_s, size_bytes=10)
    return token


def test_a_token_lives_for_five_minutes(tmp_path: Path) -> None:
    clocks = Clocks()
    with jobs(tmp_path, clocks) as (accounts, queue):
        _, account = accounts.add()
        token = accepted(queue, account.key_id)
        job = queue.take(0)
        assert job is not None
        queue.finish([Ended(job, "the reply")])
        clocks.wait(299)
        assert queue.answer(account.key_id, token) == "the reply"
        clocks.wait(1)
        with pytest.raises(Refusal) as refusal:
            queue.answer(account.key_id, token)

    assert refusal.value.error is ErrorText.INVALID_TOKEN


@pytest.mark.parametrize("jump_s", [-86_400, 86_400])
def test_a_clock_that_jumps_ends_no_token(tmp_path: Path, jump_s: float) -> None:
    clocks = Clocks()
    with jobs(tmp_path, clocks) as (accounts, queue):
        _, account = accounts.add()
        token = accepted(queue, account.key_id)
        clocks.wall_s += jump_s

        assert queue.answer(account.key_id, token) is None


def test_a_token_is_as_old_after_a_restart_as_before(tmp_path: Path) -> None:
    clocks = Clocks()
    with jobs(tmp_path, clocks) as (accounts, queue):
        _, account = accounts.add()
        token = accepted(queue, account.key_id)
    clocks.wall_s += 200
    clocks.steady_s = 3.0  # the machine was started again
    with jobs(tmp_path, clocks) as (_, queue):
        assert queue.answer(account.key_id, token) is None
        clocks.wait(100)
        with pytest.raises(Refusal):
            queue.answer(account.key_id, token)


def test_what_never_got_its_turn_is_given_back(tmp_path: Path) -> None:
    clocks = Clocks()
    with jobs(tmp_path, clocks) as (accounts, queue):
        _, account = accounts.add(credits=100, free_s=10)
        accepted(queue, account.key_id, 30)
        charged = accounts.all()[0]
        clocks.wait(301)
        queue.sweep()
        [given_back] = accounts.all()
        nothing_left = queue.take(0)

    assert (charged.free_s, charged.credits, charged.credits_spent) == (0, 80, 20)
    assert (given_back.free_s, given_back.credits, given_back.credits_spent) == (10, 100, 0)
    assert nothing_left is None
    assert list((tmp_path / "jobs").iterdir()) == []


def test_a_restart_after_five_minutes_gives_back_what_waited(tmp_path: Path) -> None:
    clocks = Clocks()
    with jobs(tmp_path, clocks) as (accounts, queue):
        _, account = accounts.add(credits=100)
        accepted(queue, account.key_id)
    clocks.wait(400)
    with jobs(tmp_path, clocks) as (accounts, queue):
        assert accounts.all()[0].credits == 100
        assert queue.take(0) is None


def test_a_job_that_fails_is_given_back_once(tmp_path: Path) -> None:
    clocks = Clocks()
    with jobs(tmp_path, clocks) as (accounts, queue):
        _, account = accounts.add(credits=100)
        accepted(queue, account.key_id)
        job = queue.take(0)
        assert job is not None
        queue.finish([Ended(job)])
        queue.finish([Ended(job)])
        clocks.wait(301)
        queue.sweep()

        assert accounts.all()[0].credits == 100


def test_jobs_that_end_together_are_each_what_they_are(tmp_path: Path) -> None:
    clocks = Clocks()
    with jobs(tmp_path, clocks) as (accounts, queue):
        _, account = accounts.add(credits=100)
        tokens = [accepted(queue, account.key_id) for _ in range(3)]
        taken = [queue.take(0) for _ in range(3)]
        queue.finish(
            [Ended(job, reply) for job, reply in zip(taken, ("one", "", "three"), strict=True) if job]
        )

        assert queue.answer(account.key_id, tokens[0]) == "one"
        assert queue.answer(account.key_id, tokens[2]) == "three"
        with pytest.raises(Refusal) as refusal:
            queue.answer(account.key_id, tokens[1])
        assert refusal.value.error is ErrorText.RECOGNITION_ERROR
        assert accounts.all()[0].credits == 70


def test_an_account_that_cannot_pay_leaves_no_job(tmp_path: Path) -> None:
    with jobs(tmp_path, Clocks()) as (accounts, queue):
        _, account = accounts.add(credits=14)
        with pytest.raises(Refusal) as refusal:
            accepted(queue, account.key_id)

        assert refusal.value.error is ErrorText.BALANCE_INSUFFICIENT
        assert len(queue) == 0
        assert accounts.all()[0].credits == 14


def test_audio_that_no_job_waits_for_is_swept_at_the_start(tmp_path: Path) -> None:
    clocks = Clocks()
    with jobs(tmp_path, clocks) as (accounts, queue):
        _, account = accounts.add()
        token = accepted(queue, account.key_id)
        _, orphan = queue.new_place()
        orphan.write_bytes(bytes(10))
    with jobs(tmp_path, clocks):
        assert [path.stem for path in (tmp_path / "jobs").iterdir()] == [token]
