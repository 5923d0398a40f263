"""A ledger of many files: how long it takes to open, to resume, to report, and in how much memory.

    python -m bench.ledger [--files 100000] [--prints 10000] [--state DIR]

Each file was answered by a catalogue and a paid service: an answer, three segments, a play, an upload. One upload in a
thousand still waits for its answer. Every part runs in a process of its own, whose peak memory is told. DIR keeps the
ledger for the next time.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Final

import numpy as np

from pipeline.batch.reuse import Reuse
from pipeline.database import Database
from pipeline.engine.fingerprint import FRONT_END
from pipeline.ledger import Ledger, Print
from pipeline.ledger.prints import write
from pipeline.model import RATE_HZ, Probe, SourceFile

AT_ONCE: Final = 200
"""As the batch does."""
KEYS: Final = 53
"""Of a print of 15 s."""
KEY_SPACE: Final = 884_736 // 32
ROOT: Final = Path(__file__).parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--prints", type=int, default=10_000)
    parser.add_argument("--state", type=Path)
    parser.add_argument("--part", choices=[*PARTS], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        began = time.perf_counter()
        count = PARTS[options.part](options.state, options.files)
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps([count, time.perf_counter() - began, peak_mb]))
        return
    with tempfile.TemporaryDirectory() as temporary:
        state = options.state or Path(temporary)
        if not (state / "ledger.sqlite").exists():
            generate(state, options.files, options.prints)
        size_mb = (state / "ledger.sqlite").stat().st_size / 1e6
        print(f"{options.files:,} files, {options.prints:,} prints, {size_mb:,.0f} MB")
        for part in PARTS:
            show(part, state, options.files)


def show(part: str, state: Path, files: int) -> None:
    command = [sys.executable, "-m", "bench.ledger", "--part", part, "--state", state, "--files", str(files)]
    done = subprocess.run(command, check=True, capture_output=True, cwd=ROOT, env=os.environ, timeout=3600)
    count, seconds, peak_mb = json.loads(done.stdout)
    print(f"{part:10} {seconds:9.2f} s  {count / seconds:12,.0f} a second  peak {peak_mb:5.0f} MB")


# ---- the parts


def opened(state: Path, files: int) -> int:
    """The ledger is opened, and what a run asks of it before its first file is answered."""
    with Ledger.open(state) as ledger:
        ledger.uploads.doubt_interrupted()
        ledger.uploads.waiting("audiotag")
        ledger.spending.since("2026-11-01T00:00:00Z")
        ledger.spending.broken_off_before(99)
    return 1


def resumed(state: Path, files: int) -> int:
    """A run in which every answer stands."""
    with Ledger.open(state) as ledger:
        run_id = ledger.begin_run("m")
        for first in range(0, files, AT_ONCE):
            batch = [source(n) for n in range(first, min(first + AT_ONCE, files))]
            admitted = ledger.admit(batch)
            kept = []
            for one in batch:
                file_id, known = admitted[one.path]
                assert known is not None
                kept.append((one, file_id, known.answer_id))
            ledger.keep(run_id, kept)
        ledger.end_run(run_id, "done")
    return files


def reported(state: Path, files: int) -> int:
    """All rows of both tables of the first run."""
    with Ledger.read(state) as ledger:
        return sum(1 for _ in ledger.file_rows(1)) + sum(1 for _ in ledger.play_rows(1))


def recalled(state: Path, files: int) -> int:
    """Audio looked for among all prints by its sound, the print of it included."""
    random = np.random.default_rng(7)
    probes = [Probe(random.normal(0, 3000, 15 * RATE_HZ).astype(np.int16)) for _ in range(50)]
    with Ledger.open(state) as ledger:
        reuse = Reuse(ledger.prints, ledger.uploads)
        assert not any(reuse.alike("audiotag", probe) for probe in probes)
    return len(probes)


PARTS: Final[Mapping[str, Callable[[Path, int], int]]] = {
    "open": opened,
    "resume": resumed,
    "report": reported,
    "recall": recalled,
}


# ---- the ledger


def source(number: int) -> SourceFile:
    shown = f"{number // 1000:04d}/{number:07d}.mp3"
    return SourceFile(f"/music/{shown}".encode(), shown, 4_000_000 + number, 1_700_000_000_000_000_000)


def generate(state: Path, files: int, prints: int) -> None:
    """Written past the ledger's own methods, which would sync every file to the disk."""
    Ledger.open(state).close()
    connection = sqlite3.connect(state / "ledger.sqlite")
    connection.execute("PRAGMA synchronous = OFF")
    began = "2026-11-21T00:00:00Z"
    connection.execute("INSERT INTO runs VALUES (1, ?, ?, 'm', 'done')", (began, began))
    match = json.dumps([{"track": {"title": "t", "artist": "a", "album": "", "year": 1999, "track_id": ""},
        "confidence": 0.9, "raw_score": 50.0, "start_s": 0.0, "end_s": 15.0, "track_start_s": None, "also": [],
        "raw": ["t", "a", "", 1999]}])  # fmt: skip
    numbers = range(files)
    rows: dict[str, Iterator[tuple[object, ...]]] = {
        "files": ((n + 1, source(n).path) for n in numbers),
        "answers": (
            (n + 1, n + 1, 1, 4_000_000 + n, 1_700_000_000_000_000_000, "m", '{"audiotag": ""}', "found", f"Title {n}",
             "Artist", "Album", 1999, "", 0.9, "", "", "", 200.0, 15.0, 1, "audiotag", 50.0, 1, 0, 0, "", began,
             f"{n // 2 if n % 10 == 0 else n:032x}")
            for n in numbers
        ),
        "run_files": ((1, source(n).shown_path.encode(), n + 1, n + 1) for n in numbers),
        "segments": (
            (n + 1, k, 50.0 * k, 15.0, f"{3 * n + k:064x}", "audiotag", "found" if k == 1 else "not_found",
             match if k == 1 else "[]", "")
            for n in numbers
            for k in range(3)
        ),
        "plays": (
            (n + 1, 0, 50.0, 65.0, f"Title {n}", "Artist", "Album", 1999, 0.9, "audiotag", "", 50.0) for n in numbers
        ),
        "uploads": (
            (n + 1, 1, n + 1, "audiotag", f"{3 * n + 1:064x}", 15.0, "answered" if n % 1000 else "sent", f"tok{n}",
             15.0, began, began, began, "found", match, '{"success": true}', "")
            for n in numbers
        ),
    }  # fmt: skip
    for table, lines in rows.items():
        first = next(lines)
        connection.executemany(
            f"INSERT INTO {table} VALUES ({', '.join('?' * len(first))})", chain([first], lines)
        )
    connection.commit()
    connection.close()
    sample(state / "ledger.sqlite", prints)


def sample(ledger_path: Path, prints: int) -> None:
    """Prints with keys drawn as music has them: some a hundred times as often as others."""
    random = np.random.default_rng(3)
    peaks = zlib.compress(random.integers(0, 200, (2, 930)).astype("<u2").tobytes())
    database = Database(ledger_path)
    for first in range(0, prints, 1000):
        with database.write() as connection:
            for n in range(first, min(first + 1000, prints)):
                keys = (KEY_SPACE * random.random(KEYS) ** 3).astype(int) * 32
                frames = random.integers(0, 460, KEYS)
                pairs = list(zip(keys.tolist(), frames.tolist(), strict=True))
                write(connection, Print(f"{n:064x}", f"peaks {FRONT_END}", 461, peaks, pairs))
    database.close()


if __name__ == "__main__":
    main()
