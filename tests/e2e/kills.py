"""Kill the command with -9, at random and at chosen points, and hold the service's charges against what was needed.

    python -m tests.e2e.kills --kills 1000 [--side-by-side 2] [--seed 7]

A series is one folder of music, one ledger and one service: some kills, then one plain run that must end well. At the
end the figures are printed; the exit code is 1 if anything was lost, or paid twice without doubt.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from tests.e2e.scene import IN_VAIN, Scene, ended, fingerprint, sing
from tests.music import named
from tests.services.audiotag import AudioTagService
from tests.services.uploads import Form

LONGEST_RUN_S = 4.0
"""A run of a few songs takes about as long; on a busy machine a kill comes earlier in it."""


class Moment(StrEnum):
    """Where in a request the kill comes."""

    BEFORE = "before"
    """The request is here and nothing was done: nothing is charged."""
    CHARGED = "charged"
    """Done and charged, and the reply not yet begun."""
    REPLIED = "replied"
    """A given time after the reply was handed to the system."""


@dataclass
class Trap:
    """Kills a process at the n-th request of an action."""

    action: str
    number: int
    moment: Moment
    delay_s: float = 0.0
    victim: subprocess.Popen[str] | None = None
    sprung: bool = False
    _count: int = 0

    def due(self, action: str) -> bool:
        if action != self.action or self.sprung:
            return False
        self._count += 1
        return self._count == self.number

    def spring(self) -> None:
        self.sprung = True
        if self.victim is not None:
            self.victim.kill()


class DeadlyService(AudioTagService):
    """A scripted service that kills its client where a trap says so."""

    def __init__(self, **how: Any) -> None:
        super().__init__(named, **how)
        self.trap: Trap | None = None
        self._trap_lock = threading.Lock()

    def reply(self, form: Form) -> dict[str, Any]:
        trap = self.trap
        with self._trap_lock:
            due = trap is not None and trap.due(form.fields.get("action", ""))
        if trap is None or not due:
            return super().reply(form)
        if trap.moment is Moment.BEFORE:
            trap.spring()
            raise ConnectionResetError
        answer = super().reply(form)
        if trap.moment is Moment.CHARGED:
            trap.spring()
            raise ConnectionResetError
        # The reply is on its way as soon as this returns.
        threading.Timer(trap.delay_s, trap.spring).start()
        return answer


@contextlib.contextmanager
def scene(folder: Path, *, songs: int = 3, latency_s: float = 0.0) -> Iterator[Scene]:
    """A scene whose service can kill."""
    titles = sing(folder / "music", songs)
    with DeadlyService(latency_s=latency_s) as service:
        yield Scene(folder, folder / "music", titles, service)


def killed(scene: Scene, trap: Trap, *more: str) -> None:
    """Run the command into the trap; it must have been sprung."""
    service = scene.service
    assert isinstance(service, DeadlyService)
    service.trap = trap
    trap.victim = scene.start(*more)
    trap.victim.communicate(timeout=60)
    service.trap = None
    assert trap.sprung, f"never came to request {trap.number} of {trap.action}"


def killed_after(scene: Scene, seconds: float) -> bool:
    """Run the command and kill it so much later; False when it had ended by then."""
    running = scene.start()
    try:
        running.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        running.kill()
        running.communicate(timeout=30)
        return True
    return False


@dataclass(frozen=True)
class Account:
    """What some series came to."""

    series: int = 0
    kills: int = 0
    needed: int = 0
    """Uploads that would have done without any kill."""
    charged: int = 0
    in_doubt: int = 0
    """Uploads that a kill cut off between intent and token, where the counters did not show that they were free."""
    most_for_one: int = 0
    given_up: int = 0
    """Segments whose upload was cut off twice: their rows say so."""
    failures: tuple[str, ...] = ()

    def plus(self, other: Account) -> Account:
        return Account(
            self.series + other.series,
            self.kills + other.kills,
            self.needed + other.needed,
            self.charged + other.charged,
            self.in_doubt + other.in_doubt,
            max(self.most_for_one, other.most_for_one),
            self.given_up + other.given_up,
            self.failures + other.failures,
        )

    def __str__(self) -> str:
        return (
            f"{self.kills} kills in {self.series} series: {self.needed} uploads needed, {self.charged} charged "
            f"({self.charged - self.needed} again), {self.in_doubt} cut off and not free, "
            f"at most {self.most_for_one} for one segment, {self.given_up} given up; {len(self.failures)} failures"
        )


def series(folder: Path, kills: int, seed: int) -> Account:
    """So many kills, half of them at random times and half at random requests, then one run to the end."""
    moments = random.Random(seed)
    with scene(folder, songs=5, latency_s=moments.choice([0.0, 0.3])) as stage:
        before = fingerprint(stage.music)
        done = 0
        for _ in range(kills):
            done += _kill_somewhere(stage, moments)
        failures: list[str] = []
        given_up = 0
        try:
            rows = stage.finish(after_random_kills=True)
            given_up = sum(row["status"] == "failed" for row in rows.values())
            if fingerprint(stage.music) != before:
                failures.append(f"seed {seed}: the music was touched")
        except AssertionError as error:
            failures.append(f"seed {seed}: {error}")
        charged = Counter(charge.sha256 for charge in stage.service.charges)
        states = Counter(state for _, state in stage.uploads())
        return Account(
            1,
            done,
            len(charged),
            charged.total(),
            sum(states[state] for state in IN_VAIN),
            max(charged.values(), default=0),
            given_up,
            tuple(failures),
        )


def _kill_somewhere(stage: Scene, moments: random.Random) -> bool:
    if moments.random() < 0.5:
        return killed_after(stage, moments.uniform(0.3, LONGEST_RUN_S))
    trap = Trap(
        moments.choice(["info", "stat", "identify", "identify", "identify", "get_result"]),
        moments.randint(1, 3),
        moments.choice(list(Moment)),
        moments.uniform(0.0, 0.05),
    )
    service = stage.service
    assert isinstance(service, DeadlyService)
    service.trap = trap
    running = stage.start(f"--jobs={moments.choice([1, 3, 8])}")
    trap.victim = running
    ended(running)
    service.trap = None
    return trap.sprung


def main() -> int:
    """Kill and count."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--a-series", type=int, default=10, help="kills before each run to the end")
    parser.add_argument("--side-by-side", type=int, default=2, help="series at the same time")
    parser.add_argument("--seed", type=int, default=7)
    asked = parser.parse_args()
    began, total = time.monotonic(), Account()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(asked.side_by_side) as pool:
        seeds = range(asked.seed, asked.seed + -(-asked.kills // asked.a_series))
        runs = pool.map(lambda seed: series(Path(folder) / str(seed), asked.a_series, seed), seeds)
        for number, account in enumerate(runs, 1):
            total = total.plus(account)
            for failure in account.failures:
                print(f"FAILED {failure}", flush=True)
            if number % 10 == 0:
                print(f"{time.monotonic() - began:.0f} s: {total}", flush=True)
    print(total)
    return 1 if total.failures else 0


if __name__ == "__main__":
    sys.exit(main())
