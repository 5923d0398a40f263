"""How fast the engine fingerprints and answers, and how much room its index takes.

    python -m bench.engine [--tracks 60] [--queries 40] [MUSIC]

MUSIC is a folder of music; without it, tunes that numpy plays. CPU time, so a busy machine tells much the same. Known
probes are excerpts under noise, unknown ones other tunes that numpy plays. (Music played backwards is no stranger:
a fifth of such excerpts of 5 s are named, as what they are.)
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import scipy.fft

from pipeline.audio import open_decoder
from pipeline.engine.catalogue import Catalogue
from pipeline.engine.fingerprint import fingerprint
from pipeline.engine.landmarks import KEYS
from pipeline.engine.spectrum import BATCH, HOP, WINDOW, frame_count
from pipeline.engine.tracks import Entry, KnownTrack
from pipeline.errors import MediaError
from pipeline.model import RATE_HZ, Pcm
from tests.engine.melodies import at_speed, cut, noisy, tune

TRACK_S = 180.0
TURNS = 3
"""Fingerprints and bare FFTs are timed in turn, track by track, for what else the machine does changes by the second;
of each track, and of each query, the fastest turn counts."""
TIMED = 60
"""Tracks that are fingerprinted more than once."""
AT_ONCE = 2

FIRST_USE = """
import sys, time
from pathlib import Path
import numpy as np
began = time.process_time()
from pipeline.engine.catalogue import Catalogue
catalogue = Catalogue.open(Path(sys.argv[1]))
opened = time.process_time()
catalogue.search(np.load(sys.argv[2]))
print(opened - began, time.process_time() - opened)
"""


def cpu_s(work: Callable[[], object]) -> float:
    """The CPU seconds of a piece of work, all threads together."""
    start = time.process_time()
    work()
    return time.process_time() - start


def transforms(samples: int) -> None:
    """The FFTs that fingerprinting so many samples needs, and nothing else."""
    batch = np.ones((BATCH, WINDOW), np.float32)
    for _ in range(frame_count(samples) // BATCH):
        scipy.fft.rfft(batch, axis=1)


def fingerprints(music: list[Pcm]) -> None:
    """Print how fast fingerprints are made, beside the FFT's own limit."""
    music_s = sum(map(len, music)) / RATE_HZ
    fingerprint([music[0]])
    spent_s = [
        [
            (cpu_s(lambda pcm=pcm: transforms(len(pcm))), cpu_s(lambda pcm=pcm: fingerprint([pcm])))
            for pcm in music
        ]
        for _ in range(TURNS)
    ]
    fft_speed, speed = music_s / np.min(spent_s, axis=0).sum(axis=0)
    print(f"fingerprinting {music_s / 3600:.1f} h, one core")
    print(f"  {'FFT alone (one every ' + str(HOP) + ' samples)':34} {fft_speed:6.0f} x real time")
    print(f"  {'fingerprints':34} {speed:6.0f} x real time, {speed / fft_speed:.2f} of that")


def first_use(folder: Path, probe: Pcm) -> None:
    """Print what the first query costs a fresh process, with machine code kept by an earlier one and without."""
    with tempfile.TemporaryDirectory() as scratch:
        np.save(Path(scratch) / "probe.npy", probe)
        told = {}
        for what in ("compiled afresh", "machine code kept"):
            done = subprocess.run(
                [sys.executable, "-c", FIRST_USE, folder, f"{scratch}/probe.npy"],
                env={**os.environ, "NUMBA_CACHE_DIR": scratch},
                stdout=subprocess.PIPE,
                check=True,
            )
            told[what] = [float(word) for word in done.stdout.split()]
    print("first query of a process, CPU")
    for what, (opening_s, query_s) in told.items():
        print(f"  {what:34} {opening_s:.2f} s to load and open, {query_s:.2f} s to answer")


def queries(catalogue: Catalogue, probes: list[Pcm], what: str) -> None:
    """Print the median cost of searching for these probes; each turn asks for all of them before the next."""
    costs_ms = 1000 * np.min(
        [[cpu_s(lambda probe=probe: catalogue.search(probe)) for probe in probes] for _ in range(TURNS)],
        axis=0,
    )
    found = sum(bool(catalogue.search(probe)) for probe in probes)
    print(f"  {what:34} {np.median(costs_ms):6.1f} ms, {found} of {len(probes)} found")


def both_cores(folder: Path, probes: list[Pcm]) -> None:
    """Print how long a batch of queries takes in one thread, in two, and in two processes, as the service has them."""
    print(f"{len(probes)} queries, {os.cpu_count()} cores")
    pools: dict[str, Callable[[], Executor]] = {
        "1 thread": lambda: ThreadPoolExecutor(1),
        f"{AT_ONCE} threads": lambda: ThreadPoolExecutor(AT_ONCE),
        f"{AT_ONCE} processes": lambda: ProcessPoolExecutor(AT_ONCE, get_context("spawn")),
    }
    for name, open_pool in pools.items():
        with open_pool() as pool:
            list(pool.map(partial(_found, folder), probes[: 10 * AT_ONCE], chunksize=10))
            began = time.perf_counter()
            list(pool.map(partial(_found, folder), probes, chunksize=10))
            took_s = time.perf_counter() - began
        print(f"  {name:34} {took_s:6.2f} s, load of the machine {os.getloadavg()[0]:.1f}")


@cache
def _opened(folder: Path) -> Catalogue:
    return Catalogue.open(folder)


def _found(folder: Path, probe: Pcm) -> int:
    return len(_opened(folder).search(probe))


def decoded(folder: Path, most: int) -> list[Pcm]:
    """Up to `most` tracks of a folder, as fingerprints take them; what cannot be decoded is left out."""
    music: list[Pcm] = []
    with open_decoder() as decoder:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            if len(music) == most:
                break
            try:
                pcm = np.concatenate(list(decoder.whole(str(path))))
            except (MediaError, ValueError) as error:
                print(f"left out {path.name}: {error}", file=sys.stderr)
                continue
            if len(pcm) > 60 * RATE_HZ:
                music.append(pcm)
    return music


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("music", nargs="?", type=Path)
    parser.add_argument("--tracks", type=int, default=60)
    parser.add_argument("--queries", type=int, default=40)
    arguments = parser.parse_args()
    music = (
        decoded(arguments.music, arguments.tracks)
        if arguments.music
        else [tune(seed, TRACK_S) for seed in range(arguments.tracks)]
    )
    strange = [tune(10_000 + seed, 32) for seed in range(arguments.queries)]
    music_s = sum(map(len, music)) / RATE_HZ
    fingerprints(music[:TIMED])

    with tempfile.TemporaryDirectory() as scratch, Catalogue.open(Path(scratch), create=True) as catalogue:
        folder = Path(scratch)
        add_s = cpu_s(lambda: catalogue.add(Entry(KnownTrack(""), [pcm]) for pcm in music))
        print(f"  {'fingerprints, sorted and on disk':34} {music_s / add_s:6.0f} x real time")
        catalogue.compact()
        size_bytes = sum(path.stat().st_size for path in folder.glob("shard-*"))
        print(
            f"index of {len(catalogue)} tracks: {size_bytes / 1e6 / (music_s / 3600):.2f} MB an hour, all in"
        )
        print(f"  {'memory of an open shard, not mapped':34} {4 * (KEYS + 1) / 1e6:6.1f} MB")
        print(f"  {'opening, checksums included':34} {1000 * cpu_s(lambda: Catalogue.open(folder)):6.0f} ms")

        picks = [(music[n % len(music)], 10 + 3 * (n % 15)) for n in range(arguments.queries)]
        first_use(folder, cut(*picks[0], 5))
        print("one query")
        for length_s in (5, 15, 30):
            known = [cut(pcm, start_s, length_s) for pcm, start_s in picks]
            queries(catalogue, [noisy(pcm, 10) for pcm in known], f"{length_s} s, known, noise 10 dB below")
            queries(catalogue, [at_speed(pcm, 4) for pcm in known], f"{length_s} s, known, 4 % too fast")
            queries(catalogue, [cut(pcm, 0, length_s) for pcm in strange], f"{length_s} s, not known")
        both_cores(folder, [noisy(cut(pcm, start_s, 5), 10) for pcm, start_s in picks] * 5)


if __name__ == "__main__":
    main()
