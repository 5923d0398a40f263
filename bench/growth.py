"""What becomes of recall, speed and memory when the catalogue grows to a thousand hours.

    python -m bench.growth [MUSIC] [--unknown FOLDER,FOLDER] [--kept FOLDER] [--hours 1000] [--clips 20] [--length 5]
                           [--rows NAME;NAME]

The known music of bench.recognition, first alone, then among copies of all that music played backwards, or faster and
higher by more than the engine looks for: to the votes they are music of the same kind, to the ear other music. They
are made of a recording's peaks, as a reversed or faster spectrogram has them, which takes a hundredth of the time. A
probe is asked without the disguises of its own recording: dozens of them would share its beat and its chords. FOLDER
keeps the index (1.6 MB an hour) for the next time. Prints Markdown.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby, product
from pathlib import Path

import numpy as np

from bench.answers import Guess
from bench.degrade import DEGRADATIONS
from bench.recognition import PRESENT_DB, Library, add_music_options, answered, opened, probes
from pipeline.engine import store
from pipeline.engine.catalogue import Catalogue
from pipeline.engine.fingerprint import Fingerprint, fingerprint_of, recording_peaks
from pipeline.engine.hits import Hit, find_candidates, find_hits
from pipeline.engine.peaks import Peaks
from pipeline.engine.query import make_query
from pipeline.engine.search import Part, search_plain
from pipeline.engine.shard import MAX_FRAMES, frames_taken
from pipeline.engine.spectrum import BINS, FRAME_S
from pipeline.engine.tracks import KnownTrack
from pipeline.model import RATE_HZ, Pcm

FIRST_TRACKS = 2_900
"""Where the catalogue has grown for the first time: about ten times what it was."""
MANY_TRACKS = 16_000
"""Measured as well, with the first shards that hold as many."""

MEMORY = """
import sys
import numpy as np
from pathlib import Path
from pipeline.engine.catalogue import Catalogue
with Catalogue.open(Path(sys.argv[1])) as catalogue:
    noise = np.random.default_rng(1).standard_normal(15 * 8000)
    catalogue.search((3000 * noise).astype(np.int16))
    print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("RssAnon")))
"""


@dataclass(frozen=True, eq=False)
class Slice:
    """The first shards of a catalogue, as if there were no more."""

    parts: Sequence[Part]
    costs_ms: list[float] = field(default_factory=list)
    """CPU of every search for candidates so far."""

    @property
    def tracks(self) -> int:
        return sum(len(part.shard.tracks) for part in self.parts)

    @property
    def hours(self) -> float:
        return sum(stored.frames for part in self.parts for stored in part.shard.tracks) * FRAME_S / 3600

    def beside(self, recording: Path) -> Slice:
        """The same, with its costs, but without the disguises of that recording."""
        name = disguise_of(recording)
        parts = [
            replace(
                part,
                removed=part.removed | [stored.track.path.startswith(name) for stored in part.shard.tracks],
            )
            for part in self.parts
        ]
        return Slice(parts, self.costs_ms)

    def search(self, pcm: Pcm) -> list[Hit]:
        return find_hits(pcm, self.parts)

    def candidates(self, pcm: Pcm) -> list[Hit]:
        start_s = time.process_time()
        found = find_candidates(pcm, self.parts)
        self.costs_ms.append(1000 * (time.process_time() - start_s))
        return found


def disguise_of(recording: Path) -> str:
    """What the names of its disguises begin with."""
    return f"{recording} "


def distractors(library: Library, seed: int) -> Iterator[tuple[KnownTrack, Fingerprint]]:
    """Music that nobody plays, without end: every recording once, then all of them again in another disguise."""
    heard = {path: recording_peaks([pcm]) for path, pcm in library.pcm.items()}
    rng = np.random.default_rng(seed)
    for turn in range(10_000):
        for path, (peaks, frames) in heard.items():
            backwards = bool(rng.integers(2))
            # Forwards it must be beyond what the passes at other tempi and pitches look for.
            faster = rng.uniform(1.0, 1.3) if backwards else rng.uniform(1.25, 1.4)
            higher = int(rng.integers(-16, 17) if backwards else rng.choice([-16, -12, 12, 16]))
            name = disguise_of(path) + str(turn)
            made = disguised(peaks, frames, backwards, faster, higher, name)
            yield KnownTrack(name, title=path.stem, path=name, pcm_sha256=name), made


def disguised(
    peaks: Peaks, frames: int, backwards: bool, faster: float, higher: int, name: str
) -> Fingerprint:
    """The fingerprint of a recording played `faster`, `higher` by so many bins, and perhaps backwards."""
    length = int(frames / faster) + 1
    frame = np.rint((frames - 1 - peaks.frame if backwards else peaks.frame) / faster).astype(np.int32)
    moved = peaks.bin + np.int32(higher)
    inside = np.flatnonzero((moved >= 0) & (moved < BINS))
    inside = inside[np.lexsort((moved[inside], frame[inside]))]
    changed = replace(peaks.only(inside), frame=frame[inside], bin=moved[inside])
    return fingerprint_of(changed, length, samples=0, sha256=name)


def grown(folder: Path, library: Library, hours: float, seed: int) -> list[Slice]:
    """The catalogue alone, at FIRST_TRACKS, at MANY_TRACKS if it has them, and at so many hours.

    It is made where `folder` does not hold it.
    """
    with Catalogue.open(folder, create=True) as catalogue:
        if not len(catalogue):
            library.fill(catalogue)
            catalogue.compact()
            fill_up(folder, library, hours, seed)
    parts = store.load(folder).parts
    tracks = np.cumsum([len(part.shard.tracks) for part in parts])
    many = min(int(np.searchsorted(tracks, MANY_TRACKS)) + 1, len(parts))
    return [Slice(parts[:shards]) for shards in sorted({1, 2, many, len(parts)})]


def fill_up(folder: Path, library: Library, hours: float, seed: int) -> None:
    """Add distractors: a shard up to FIRST_TRACKS, then shards as large as merging makes them."""
    state = store.load(folder)
    done_s = sum(stored.frames for part in state.parts for stored in part.shard.tracks) * FRAME_S
    room = FIRST_TRACKS - len(state.tracks)
    batch: list[tuple[KnownTrack, Fingerprint]] = []
    taken = 0
    for track, made in distractors(library, seed):
        needed = frames_taken(made.frames)
        done = done_s >= 3600 * hours
        if done or taken + needed > MAX_FRAMES or (len(state.parts) == 1 and len(batch) == room):
            state = store.commit(folder, state, new=[batch])
            print(f"{done_s / 3600:.0f} h, {len(state.tracks)} tracks", file=sys.stderr, flush=True)
            batch, taken = [], 0
        if done:
            break
        batch.append((track, made))
        taken += needed
        done_s += made.frames * FRAME_S


def plain_ms(probe: Pcm, size: Slice) -> float:
    """CPU of making the query and of the plain pass."""
    start_s = time.process_time()
    query = make_query(probe)
    if query is not None:
        search_plain(query, size.parts)
    return 1000 * (time.process_time() - start_s)


def measured(
    sizes: Sequence[Slice], library: Library, rows: Sequence[str], clips: int, length_s: int, seed: int
) -> Iterator[tuple[Slice, Guess, float]]:
    """Every probe at every size: the guess, and the CPU of its plain pass in ms."""
    ways = {row: DEGRADATIONS[row] for row in rows}
    of_recording = groupby(
        probes(library, library.known, ways, clips, length_s, seed), lambda probe: probe.path
    )
    for recording, its_probes in of_recording:
        asked = [(size, size.beside(recording)) for size in sizes]
        for probe, (size, beside) in product(its_probes, asked):
            yield size, answered(beside, probe, length_s), plain_ms(probe.pcm[: length_s * RATE_HZ], beside)


def anonymous_mb(folder: Path) -> float:
    """The memory of its own of a process that has opened the catalogue and asked it for something unknown."""
    said = subprocess.run(
        [sys.executable, "-c", MEMORY, str(folder)], check=True, capture_output=True, text=True
    )
    return int(said.stdout) / 1000


def report(sizes: Sequence[Slice], results: Sequence[tuple[Slice, Guess, float]]) -> None:
    """Print recall by row, wrong names and cost, a column for each size."""

    def line(name: str, cells: Iterable[str]) -> None:
        print(f"| {name} |", " | ".join(cells), "|")

    line("", (f"{size.tracks} tracks, {size.hours:.0f} h" for size in sizes))
    print("|---|" + "---|" * len(sizes))
    of_size = [[(guess, cost) for at, guess, cost in results if at is size] for size in sizes]
    for row in dict.fromkeys(guess.what for guess, _ in of_size[0]):
        right = ([guess.said and guess.right for guess, _ in of if guess.what == row] for of in of_size)
        line(f"{row}, found %", (f"{100 * np.mean(those):.1f}" for those in right))
    for name, least_db in (("all", -np.inf), ("all that are present", PRESENT_DB)):
        right = (
            [guess.said and guess.right for guess, _ in of if guess.presence_db >= least_db] for of in of_size
        )
        line(f"{name}, found %", (f"{100 * np.mean(those):.1f}" for those in right))
    line("wrong names", (str(sum(guess.said and not guess.right for guess, _ in of)) for of in of_size))
    for percent in (50, 90):
        plain = (np.percentile([cost for _, cost in of], percent) for of in of_size)
        line(f"plain pass, {percent} % under, ms CPU", (f"{cost:.0f}" for cost in plain))
        whole = (np.percentile(size.costs_ms, percent) for size in sizes)
        line(f"whole search, {percent} % under, ms CPU", (f"{cost:.0f}" for cost in whole))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_music_options(parser, clips=20)
    parser.add_argument("--kept", type=Path, help="folder that keeps the index")
    parser.add_argument("--hours", type=float, default=1000)
    parser.add_argument("--length", type=int, default=5, help="seconds")
    parser.add_argument("--rows", default=";".join(DEGRADATIONS), help="degradations, between semicolons")
    options = parser.parse_args()
    library = opened(parser, options)
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.kept or Path(scratch)
        sizes = grown(folder, library, options.hours, options.seed)
        results = list(
            measured(sizes, library, options.rows.split(";"), options.clips, options.length, options.seed)
        )
        report(sizes, results)
        print(f"\nanonymous memory: {anonymous_mb(folder):.0f} MB")


if __name__ == "__main__":
    main()
