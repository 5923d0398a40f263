"""Limits hold to the second: over crashes, restarts, midnight and clocks that jump."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.batch.budget import Budget
from pipeline.errors import CapReached
from pipeline.ledger import Ledger, uploads
from pipeline.model import RATE_HZ, Probe, SourceFile

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


class Clock:
    """A wall clock that goes where it is told."""

    def __init__(self, moment: datetime = NOON) -> None:
        self.moment = moment

    def __call__(self) -> datetime:
        return self.moment

    def stamp(self) -> str:
        return self.moment.strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock by which budget and ledger go."""
    clock = Clock()
    monkeypatch.setattr(uploads, "now", clock.stamp)
    return clock


@pytest.fixture
def ledger(tmp_path: Path):
    with Ledger.open(tmp_path) as opened:
        opened.admit([SourceFile(b"/a", "a", 1, 1)])
        yield opened


def begin(ledger: Ledger, clock: Clock, limit_s: float | None = None, **limits: float) -> Spender:
    run_id = ledger.begin_run("m")
    budget = Budget(limit_s, **limits, books=ledger.spending, run_id=run_id, now=clock)
    return Spender(ledger, run_id, budget)


class Spender:
    """A run that spends as the asker does."""

    def __init__(self, ledger: Ledger, run_id: int, budget: Budget) -> None:
        self.ledger, self.run_id, self.budget = ledger, run_id, budget

    def spend(self, seconds: float, *, charged: bool = True) -> int:
        self.budget.take(seconds)
        return self.write(seconds, charged=charged)

    def write(self, seconds: float, *, charged: bool = True) -> int:
        silence = Probe(np.zeros(round(seconds * RATE_HZ), np.int16))
        upload_id = self.ledger.uploads.intend(self.run_id, 1, "audiotag", silence)
        if charged:
            self.ledger.uploads.sent(upload_id, "t", seconds)
        return upload_id

    def ends(self) -> None:
        self.ledger.end_run(self.run_id, "done")


def test_the_cap_of_a_killed_run_goes_on_in_the_run_that_continues_it(ledger: Ledger, clock: Clock) -> None:
    killed = begin(ledger, clock, 60)
    killed.spend(15)
    killed.spend(14.2, charged=False)  # it died during this one: in doubt, 15 s for the service
    killed_again = begin(ledger, clock, 60)
    killed_again.spend(15)
    ledger.uploads.doubt_interrupted()
    third = begin(ledger, clock, 60)
    third.spend(15)
    with pytest.raises(
        CapReached, match=r"limit of 60 credits is used up \(60 spent, 45 of them before the run"
    ):
        third.spend(1)
    third.ends()
    begin(ledger, clock, 60).spend(60)


def test_the_budget_of_a_day_holds_over_runs_and_says_when_it_opens_again(
    ledger: Ledger, clock: Clock
) -> None:
    first = begin(ledger, clock, per_day_s=40)
    first.spend(30)
    first.ends()
    second = begin(ledger, clock, per_day_s=40)
    with pytest.raises(CapReached) as told:
        second.spend(15)
    assert told.value.message == (
        "the budget of 40 credits a day is used up (30 spent); it opens again on 2026-11-22 00:00 UTC"
    )
    assert told.value.exit_code == 6
    second.spend(10)
    clock.moment = datetime(2026, 11, 22, tzinfo=UTC)
    second.spend(40)
    with pytest.raises(CapReached, match="opens again on 2026-11-23"):
        second.spend(1)


def test_the_budget_of_a_month_ends_with_the_month(ledger: Ledger, clock: Clock) -> None:
    clock.moment = datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC)
    run = begin(ledger, clock, per_month_s=30)
    run.spend(30)
    with pytest.raises(CapReached, match=r"30 credits a month .* opens again on 2027-01-01 00:00 UTC"):
        run.spend(1)
    clock.moment += timedelta(seconds=1)
    run.spend(30)


def test_what_was_taken_before_midnight_and_is_sent_after_it_counts_for_the_new_day(
    ledger: Ledger, clock: Clock
) -> None:
    clock.moment = datetime(2026, 11, 21, 23, 59, 59, tzinfo=UTC)
    run = begin(ledger, clock, per_day_s=30)
    run.spend(15)
    run.budget.take(15)
    clock.moment += timedelta(seconds=2)
    run.write(15)
    run.spend(15)
    with pytest.raises(CapReached):
        run.spend(15)


def test_a_clock_that_jumps_back_opens_no_budget(ledger: Ledger, clock: Clock) -> None:
    run = begin(ledger, clock, per_day_s=15, per_month_s=100)
    run.spend(15)
    for days in (1, 9, 40):
        clock.moment = NOON - timedelta(days=days)
        with pytest.raises(CapReached):
            run.spend(15)
        with pytest.raises(CapReached):
            begin(ledger, clock, per_day_s=15).spend(15)


def test_the_tightest_limit_is_named(ledger: Ledger, clock: Clock) -> None:
    run = begin(ledger, clock, 100, per_day_s=50, per_month_s=70)
    tightest = run.budget.tightest()
    assert tightest is not None
    assert (str(tightest), tightest.left_s) == ("the budget of 50 credits a day", 50)
    assert begin(ledger, clock).budget.tightest() is None


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("take"), st.integers(1, 20)),
        st.tuples(st.sampled_from(["send", "fail", "doubt"]), st.integers(0, 5)),
        st.tuples(st.just("wait"), st.sampled_from([600, 7200, 50_000])),
        st.tuples(st.just("crash"), st.just(0)),
    ),
    max_size=40,
)


class Memory:
    """Books in memory, with what the real ones are tested for above."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, int, float]] = []

    def since(self, moment: str) -> float:
        return sum(seconds for at, _, seconds in self.lines if at >= moment)

    def of_run(self, run_id: int) -> float:
        return sum(seconds for _, run, seconds in self.lines if run == run_id)

    def broken_off_before(self, run_id: int) -> float:
        return sum(seconds for _, run, seconds in self.lines if run < run_id)


@settings(max_examples=200, deadline=None)
@given(STEPS)
def test_no_order_of_taking_sending_failing_waiting_and_crashing_goes_over_a_limit(
    steps: list[tuple[str, int]],
) -> None:
    clock, books, run_id = Clock(), Memory(), 1
    limits = {"per_day_s": 50, "per_month_s": 120}

    def fresh() -> Budget:
        return Budget(90, **limits, books=books, run_id=run_id, now=clock)

    budget = fresh()
    open_: list[int] = []
    for step, number in steps:
        if step == "take":
            try:
                budget.take(number)
            except CapReached:
                continue
            open_.append(number)
        elif step == "wait":
            clock.moment += timedelta(seconds=number)
        elif step == "crash":
            run_id, open_ = run_id + 1, []
            budget = fresh()
        elif open_:
            seconds = open_.pop(number % len(open_))
            if step == "fail":
                budget.give_back(seconds)
            else:
                books.lines.append((clock.stamp(), run_id, seconds))
    days: dict[str, float] = {}
    months: dict[str, float] = {}
    for at, _, seconds in books.lines:
        days[at[:10]] = days.get(at[:10], 0) + seconds
        months[at[:7]] = months.get(at[:7], 0) + seconds
    assert max(days.values(), default=0) <= 50
    assert max(months.values(), default=0) <= 120
    assert sum(seconds for _, _, seconds in books.lines) <= 90
