"""How fast the engine fingerprints and answers, and how much room its index takes, on tunes that numpy plays.

    python -m bench.engine [--tracks 60] [--queries 40]

CPU time of one process. The first line is what a fresh process pays once: loading machine code that an earlier one
left behind, or compiling it.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy.fft

from pipeline.engine.catalogue import Catalogue
from pipeline.engine.fingerprint import fingerprint
from pipeline.engine.landmarks import KEYS
from pipeline.engine.spectrum import BATCH, HOP, WINDOW, frame_count
from pipeline.engine.tracks import Entry, KnownTrack
from pipeline.model import RATE_HZ, Pcm
from tests.engine.melodies import at_speed, cut, noisy, tune

TRACK_S = 180.0


def cpu_s(work: Callable[[], object]) -> float:
    """The CPU seconds of a piece of work."""
    start = time.process_time()
    work()
    return time.process_time() - start


def transforms(samples: int) -> None:
    """The FFTs that fingerprinting so many samples needs, and nothing else."""
    batch = np.ones((BATCH, WINDOW), np.float32)
    for _ in range(frame_count(samples) // BATCH):
        scipy.fft.rfft(batch, axis=1)


def queries(catalogue: Catalogue, probes: list[Pcm], what: str) -> None:
    """Print the median cost of searching for these probes."""
    costs_ms = [1000 * cpu_s(lambda probe=probe: catalogue.search(probe)) for probe in probes]
    found = sum(bool(catalogue.search(probe)) for probe in probes)
    print(f"  {what:34} {np.median(costs_ms):6.1f} ms, {found} of {len(probes)} found")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tracks", type=int, default=60)
    parser.add_argument("--queries", type=int, default=40)
    arguments = parser.parse_args()
    tunes = [tune(seed, TRACK_S) for seed in range(arguments.tracks)]
    strange = [tune(10_000 + seed, 30) for seed in range(arguments.queries)]
    music_s = sum(map(len, tunes)) / RATE_HZ

    with tempfile.TemporaryDirectory() as folder, Catalogue.open(Path(folder), create=True) as catalogue:
        first = [Entry(KnownTrack("first"), [tunes[0]])]
        first_s = cpu_s(
            lambda: (catalogue.add(first), catalogue.search(strange[0]), catalogue.search(tunes[0]))
        )
        print(f"first use in a process: {first_s:.1f} s")

        fft_s = cpu_s(lambda: [transforms(len(pcm)) for pcm in tunes])
        print_s = cpu_s(lambda: [fingerprint([pcm]) for pcm in tunes])
        add_s = cpu_s(lambda: catalogue.add(Entry(KnownTrack(""), [pcm]) for pcm in tunes))
        print(f"fingerprinting {music_s / 3600:.1f} h, one core")
        print(f"  {'FFT alone (one every ' + str(HOP) + ' samples)':34} {music_s / fft_s:6.0f} x real time")
        print(f"  {'fingerprints':34} {music_s / print_s:6.0f} x real time")
        print(f"  {'fingerprints, sorted and on disk':34} {music_s / add_s:6.0f} x real time")

        catalogue.compact()
        size_bytes = sum(path.stat().st_size for path in Path(folder).glob("shard-*"))
        table_bytes = 4 * (KEYS + 1)
        per_hour = (size_bytes - table_bytes) / (music_s / 3600)
        print(f"index: {per_hour / 1e6:.2f} MB an hour, and {table_bytes / 1e6:.1f} MB a shard")
        print(f"opening it, checksums included: {1000 * cpu_s(lambda: Catalogue.open(Path(folder))):.0f} ms")

        picks = [(tunes[n % len(tunes)], 10 + 3 * (n % 40)) for n in range(arguments.queries)]
        print("one query")
        for length_s in (5, 15, 30):
            known = [cut(pcm, start_s, length_s) for pcm, start_s in picks]
            queries(catalogue, [noisy(pcm, 10) for pcm in known], f"{length_s} s, known, noise 10 dB below")
            queries(catalogue, [at_speed(pcm, 4) for pcm in known], f"{length_s} s, known, 4 % too fast")
            queries(catalogue, [cut(pcm, 0, length_s) for pcm in strange], f"{length_s} s, not known")


if __name__ == "__main__":
    main()
