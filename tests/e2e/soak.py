"""Kill run after run with -9 and hold the service's charges against what was needed.

    python -m tests.e2e.soak --kills 1000 [--side-by-side 4] [--seed 7]

A series is one folder of music, one ledger and one service: some kills, each of a run that has something left to pay
for, then one plain run that must end well. Half of the kills come at random times, half at random requests. One series
in twenty starts each run from nothing, the others fork a process that has loaded Python's modules (`tests.e2e.forked`).
At the end the figures are printed; the exit code is 1 if anything was lost, or paid twice without doubt.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from pipeline.ledger import UploadState
from tests.e2e.forked import Forked
from tests.e2e.kills import DeadlyService, Moment, Trap, scene
from tests.e2e.scene import IN_VAIN, Scene, ended, fingerprint, sing

LONGEST_START_S = 0.5
LONGEST_WORK_S = 2.0
"""From its first request on, a run of a few songs takes about as long; on a busy machine a kill comes earlier in it."""

SONGS_AT_ONCE = 3
COLD_EVERY = 20


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
    lost: int = 0
    """Tokens of which the ledger says that the service forgot them."""
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
            self.lost + other.lost,
            self.failures + other.failures,
        )

    def __str__(self) -> str:
        return (
            f"{self.kills} kills in {self.series} series: {self.needed} uploads needed, {self.charged} charged "
            f"({self.charged - self.needed} again), {self.in_doubt} cut off and not free, "
            f"at most {self.most_for_one} for one segment, {self.given_up} given up, {self.lost} tokens lost; "
            f"{len(self.failures)} failures"
        )


def series(folder: Path, kills: int, seed: int, *, cold: bool = False) -> Account:
    """So many kills, half of them at random times and half at random requests, then one run to the end."""
    moments = random.Random(seed)
    with scene(folder, songs=SONGS_AT_ONCE, latency_s=moments.choice([0.0, 0.3])) as stage:
        if not cold:
            stage.begin = Forked
        done = 0
        failures: list[str] = []
        given_up = 0
        try:
            for _ in range(3 * kills):
                if _kill_somewhere(stage, moments):
                    done += 1
                else:
                    # It came to its end: the next one gets something to do.
                    more = sing(stage.music, SONGS_AT_ONCE, first=len(stage.titles))
                    stage.titles = {**stage.titles, **more}
                if done == kills:
                    break
            before = fingerprint(stage.music)
            rows = stage.finish(after_random_kills=True)
            given_up = sum(row["status"] == "failed" for row in rows.values())
            if fingerprint(stage.music) != before:
                failures.append(f"seed {seed}: the music was touched")
        except (AssertionError, subprocess.TimeoutExpired) as error:
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
            states[UploadState.LOST.value],
            tuple(failures),
        )


def _kill_somewhere(stage: Scene, moments: random.Random) -> bool:
    """One run into its kill; False when it ended before."""
    service = stage.service
    assert isinstance(service, DeadlyService)
    jobs = f"--jobs={moments.choice([1, 3, 8])}"
    if moments.random() < 0.5:
        return _killed_in_time(stage, service, moments, jobs)
    trap = Trap(
        moments.choice(["info", "stat", "identify", "identify", "identify", "get_result"]),
        moments.randint(1, 3),
        moments.choice(list(Moment)),
        moments.uniform(0.0, 0.05),
    )
    service.trap = trap
    running = stage.start(jobs)
    trap.victim = running
    ended(running)
    service.trap = None
    return trap.sprung


def _killed_in_time(stage: Scene, service: DeadlyService, moments: random.Random, jobs: str) -> bool:
    """Kill a run some time after it began or, mostly, after its first request."""
    service.asked.clear()
    running = stage.start(jobs)
    if moments.random() < 0.2:
        wait_s = moments.uniform(0.0, LONGEST_START_S)
    else:
        wait_s = moments.uniform(0.0, LONGEST_WORK_S)
        service.asked.wait(60)
    try:
        running.communicate(timeout=wait_s)
    except subprocess.TimeoutExpired:
        running.kill()
        running.communicate(timeout=30)
        return True
    return False


def main() -> int:
    """Kill and count."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--a-series", type=int, default=10, help="kills before each run to the end")
    parser.add_argument("--side-by-side", type=int, default=4, help="series at the same time")
    parser.add_argument("--seed", type=int, default=7)
    asked = parser.parse_args()
    began, total = time.monotonic(), Account()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(asked.side_by_side) as pool:
        runs = [
            pool.submit(
                series,
                Path(folder) / str(seed),
                asked.a_series,
                seed,
                cold=seed % COLD_EVERY == COLD_EVERY - 1,
            )
            for seed in range(asked.seed, asked.seed + -(-asked.kills // asked.a_series))
        ]
        for run in as_completed(runs):
            account = run.result()
            total = total.plus(account)
            for failure in account.failures:
                print(f"FAILED {failure}", flush=True)
            print(f"{time.monotonic() - began:.0f} s: {total}", flush=True)
    print(total)
    return 1 if total.failures else 0


if __name__ == "__main__":
    sys.exit(main())
