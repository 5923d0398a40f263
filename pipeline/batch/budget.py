"""What a run may spend: its own limit, and budgets for each day and month that hold over all runs of a ledger."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from pipeline.batch.options import Options
from pipeline.errors import CapReached
from pipeline.ledger import Ledger

Now = Callable[[], datetime]


class Books(Protocol):
    """Who knows what was spent before: `pipeline.ledger.Spending`."""

    def since(self, moment: str) -> float: ...
    def of_run(self, run_id: int) -> float: ...
    def broken_off_before(self, run_id: int) -> float: ...


@dataclass(frozen=True, slots=True)
class Allowance:
    """One limit as it stands."""

    limit_s: float
    spent_s: float
    name: str
    """What it is, after the words `the limit of 20 credits` or `the budget of 20 credits`: empty, ` a day`..."""
    opens_at: str = ""
    """When it opens again; empty where only a higher limit helps."""

    @property
    def left_s(self) -> float:
        return max(self.limit_s - self.spent_s, 0.0)

    def __str__(self) -> str:
        kind = "budget" if self.opens_at else "limit"
        return f"the {kind} of {self.limit_s:g} credits{self.name}"


@dataclass(slots=True)
class _Period:
    """A calendar day or month in UTC, and what is known to be spent in it."""

    limit_s: float
    name: str
    stamp: str
    """`strftime` of a moment to its first moment, as the ledger writes moments."""
    days: int
    """At least as long as the longest such period."""
    began: str = ""
    """Empty: `spent_s` is to be had from the books again."""
    spent_s: float = 0.0

    def beginning(self, moment: datetime) -> str:
        return moment.strftime(self.stamp)

    def opens_at(self, moment: datetime) -> str:
        first = datetime.fromisoformat(self.beginning(moment))
        after = datetime.fromisoformat(self.beginning(first + timedelta(days=self.days)))
        return after.strftime("%Y-%m-%d %H:%M UTC")


class Budget:
    """The seconds a run may still send; threads take from it before they spend.

    `limit_s` is the run's own limit (--max-credits). What runs just before it spent that never ended, for they were
    killed or crashed, counts towards it: this run continues them. A run that ended by itself, at its limit too, is
    over, and the next one has its whole limit again.

    `per_day_s` and `per_month_s` hold over all runs of the ledger, in calendar days and months of UTC. A clock that
    jumps back opens nothing: all that was spent since the beginning of the clock's present day counts, also what bears
    a later date.

    What is in doubt counts as spent, everywhere. An upload counts for the day in which its intent was written down.
    """

    def __init__(
        self,
        limit_s: float | None,
        *,
        per_day_s: float | None = None,
        per_month_s: float | None = None,
        books: Books | None = None,
        run_id: int = 0,
        now: Now = lambda: datetime.now(UTC),
    ) -> None:
        """`books` knows the spending of earlier runs; without it there were none, and no budgets. `run_id`: this run,
        or the one to come."""
        self._limit_s = limit_s
        self._books = books
        self._run_id = run_id
        self._now = now
        self._continued_s = books.broken_off_before(run_id) if books and limit_s is not None else 0.0
        self._taken_s = 0.0
        self._periods = _periods(per_day_s, per_month_s) if books else []
        self._lock = threading.Lock()

    def take(self, seconds: float) -> None:
        """Set these seconds aside. Raises CapReached when a limit does not allow them."""
        with self._lock:
            for allowance in self._allowances():
                if allowance.spent_s + seconds > allowance.limit_s:
                    raise self._reached(allowance)
            self._add(seconds)

    def charged_more(self, seconds: float) -> None:
        """The service took so much more than was set aside; the next `take` will feel it."""
        with self._lock:
            self._add(seconds)

    def give_back(self, seconds: float) -> None:
        """These seconds, taken in this run, were not spent after all; the ledger says so already."""
        with self._lock:
            self._taken_s -= seconds
            for period in self._periods:
                # They may have been taken yesterday: the books know.
                period.began = ""

    def tightest(self) -> Allowance | None:
        """The limit that leaves least; None when there is no limit."""
        with self._lock:
            return min(self._allowances(), key=lambda allowance: allowance.left_s, default=None)

    def _add(self, seconds: float) -> None:
        self._taken_s += seconds
        for period in self._periods:
            period.spent_s += seconds

    def _allowances(self) -> Sequence[Allowance]:
        found = []
        if self._limit_s is not None:
            found.append(Allowance(self._limit_s, self._continued_s + self._taken_s, ""))
        moment = self._now()
        for period in self._periods:
            self._look_up(period, moment)
            found.append(Allowance(period.limit_s, period.spent_s, period.name, period.opens_at(moment)))
        return found

    def _look_up(self, period: _Period, moment: datetime) -> None:
        if self._books is None or period.began == period.beginning(moment):
            return
        period.began = period.beginning(moment)
        # What is taken and not yet written down will be written down in this period.
        unwritten_s = max(self._taken_s - self._books.of_run(self._run_id), 0.0)
        period.spent_s = self._books.since(period.began) + unwritten_s

    def _reached(self, allowance: Allowance) -> CapReached:
        spent = f"{allowance.spent_s:g} spent"
        if allowance.opens_at:
            return CapReached(
                f"{allowance} is used up ({spent}); it opens again on {allowance.opens_at}",
                hint="run the same command then, or with a higher budget: it goes on where this one stopped",
            )
        if self._continued_s:
            spent += f", {self._continued_s:g} of them before the run was broken off"
        return CapReached(
            f"{allowance} is used up ({spent})",
            hint="run the same command again with a higher --max-credits: it goes on where this one stopped",
        )


def budget_of(options: Options, ledger: Ledger, run_id: int | None = None) -> Budget:
    """The budget of a run with these choices; without `run_id`, of the run to come."""
    if run_id is None:
        last = ledger.last_run()
        run_id = last.run_id + 1 if last else 1
    return Budget(
        options.max_credits,
        per_day_s=options.credits_per_day,
        per_month_s=options.credits_per_month,
        books=ledger.spending,
        run_id=run_id,
    )


def charged_seconds(length_s: float) -> float:
    """What a service charges for a segment of this length: every second begun."""
    return float(math.ceil(round(length_s, 3)))


def _periods(per_day_s: float | None, per_month_s: float | None) -> list[_Period]:
    periods = []
    if per_day_s is not None:
        periods.append(_Period(per_day_s, " a day", "%Y-%m-%dT00:00:00Z", days=1))
    if per_month_s is not None:
        periods.append(_Period(per_month_s, " a month", "%Y-%m-01T00:00:00Z", days=31))
    return periods
