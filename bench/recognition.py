"""How much the engine recognises, how rarely it is wrong, and whether its confidence can be believed.

    python -m bench.recognition [MUSIC] [--unknown FOLDER,FOLDER] [--clips 40] [--lengths 5,15] [--negatives 1000]

MUSIC is a folder of music: $EARMARK_BENCH_MUSIC without it, or where Debian's games keep theirs. What lies in the
folders named by --unknown (every sixth track, if none is named) stays out of the catalogue. Excerpts of the rest are
degraded in every way bench.degrade knows and looked up; sounds that must not be found come from bench.negatives.
Everything is drawn from the seed. Needs ffmpeg with libgsm, libspeex and rubberband (Debian's has them) and espeak-ng.
Prints Markdown.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from bench.degrade import DEGRADATIONS, SOURCE_HZ, read, to_probe
from bench.negatives import MELODIES, TUNE_S, negatives
from pipeline.audio import EXTENSIONS, open_decoder
from pipeline.engine.catalogue import Catalogue
from pipeline.engine.tracks import Entry, KnownTrack
from pipeline.errors import MediaError
from pipeline.model import RATE_HZ, Pcm
from tests.engine.melodies import tune

SHORTEST_S = 40.0
EXCERPT_S = 17.5
"""Degraded as a whole, for a codec or compressor takes a while to settle; probes are its beginning."""
QUIET = 0.01
"""Excerpts softer than this (of full scale) are drawn again."""


@dataclass(frozen=True)
class Guess:
    """The likeliest answer to one probe, said or not."""

    confidence: float
    said: bool
    right: bool


class Library:
    """Music on disk: the recordings the catalogue knows, and those it does not."""

    def __init__(self, folder: Path, unknown: Sequence[str]) -> None:
        files = sorted(p for p in folder.rglob("*") if p.suffix[1:].lower() in EXTENSIONS)
        self.pcm: dict[Path, Pcm] = {}
        with open_decoder() as decoder:
            for path in files:
                try:
                    pcm = np.concatenate([np.empty(0, np.int16), *decoder.whole(str(path))])
                except MediaError:
                    continue  # a game's folders hold more than music
                if len(pcm) >= SHORTEST_S * RATE_HZ:
                    self.pcm[path] = pcm
        apart = (
            [bool({*path.relative_to(folder).parts} & {*unknown}) for path in self.pcm]
            if unknown
            else [number % 6 == 5 for number in range(len(self.pcm))]
        )
        self.known = [path for path, out in zip(self.pcm, apart, strict=True) if not out]
        self.unknown = [path for path, out in zip(self.pcm, apart, strict=True) if out]

    def fill(self, catalogue: Catalogue) -> None:
        """Add the known recordings, and the tunes whose covers are among the negatives."""
        catalogue.add(Entry(KnownTrack("", path=str(path)), [self.pcm[path]]) for path in self.known)
        catalogue.add(Entry(KnownTrack("", path=f"tune {seed}"), [tune(seed, TUNE_S)]) for seed in MELODIES)


def guessed(catalogue: Catalogue, probe: Pcm, truth: str) -> Guess | None:
    """What the catalogue makes of a probe; None if it has no idea at all."""
    hits = catalogue.search(probe)
    for hit in hits[:1] or catalogue.candidates(probe)[:1]:
        names = {hit.track.path, *(track.path for track in hit.also)}
        return Guess(hit.confidence, bool(hits), truth in names)
    return None


def recall(
    catalogue: Catalogue, library: Library, clips: int, lengths_s: Sequence[int], seed: int
) -> list[Guess]:
    """Print the share of excerpts named, by degradation and length, and the wrong names; all guesses."""
    found: Counter[tuple[str, int]] = Counter()
    guesses, wrong = [], 0
    order = np.random.default_rng(seed).permutation(len(library.known))
    for number in range(clips):
        path = library.known[order[number % len(order)]]
        excerpt = _excerpt(path, len(library.pcm[path]) / RATE_HZ, np.random.default_rng([seed, number]))
        for index, (name, change) in enumerate(DEGRADATIONS.items()):
            probe = to_probe(change(excerpt, np.random.default_rng([seed, number, index])))
            for length_s in lengths_s:
                guess = guessed(catalogue, probe[: length_s * RATE_HZ], str(path))
                if guess is not None:
                    guesses.append(guess)
                    found[name, length_s] += guess.said and guess.right
                    wrong += guess.said and not guess.right
    print("\n| found, % |", " | ".join(f"{length_s} s" for length_s in lengths_s), "|")
    print("|---|" + "---|" * len(lengths_s))
    for name in DEGRADATIONS:
        print(f"| {name} |", " | ".join(f"{100 * found[name, n] / clips:.1f}" for n in lengths_s), "|")
    print(f"\n{clips} excerpts a cell; wrong names: {wrong} of {clips * len(DEGRADATIONS) * len(lengths_s)}.")
    return guesses


def _excerpt(
    path: Path, length_s: float, rng: np.random.Generator
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    for _ in range(20):
        start_s = rng.uniform(2, max(length_s - EXCERPT_S - 2, 3))
        excerpt = read(str(path), start_s, EXCERPT_S)
        if len(excerpt) > 5 * SOURCE_HZ and np.sqrt(np.mean(excerpt**2)) > QUIET:
            break
    return excerpt


def false_alarms(catalogue: Catalogue, library: Library, count: int, length_s: int, seed: int) -> list[Guess]:
    """Print how many sounds that nobody knows got a name, by kind; all guesses."""
    asked: Counter[str] = Counter()
    named: Counter[str] = Counter()
    guesses = []
    for kind, pcm in negatives(count, length_s, [library.pcm[path] for path in library.unknown], seed):
        guess = guessed(catalogue, pcm, "nothing")
        asked[kind] += 1
        if guess is not None:
            guesses.append(guess)
            named[kind] += guess.said
    print("\n| of nothing known | probes | named |\n|---|---|---|")
    for kind in asked:
        print(f"| {kind} | {asked[kind]} | {named[kind]} |")
    return guesses


def calibration(guesses: Sequence[Guess]) -> None:
    """Print how often the likeliest answer is right, by the confidence it claims."""
    print("\n| confidence | guesses | claimed, % | right, % |\n|---|---|---|---|")
    for tenth in range(10):
        inside = [guess for guess in guesses if min(int(guess.confidence * 10), 9) == tenth]
        if inside:
            claimed = 100 * np.mean([guess.confidence for guess in inside])
            right = 100 * np.mean([guess.right for guess in inside])
            print(f"| from {tenth / 10:.1f} | {len(inside)} | {claimed:.1f} | {right:.1f} |")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = os.environ.get("EARMARK_BENCH_MUSIC", "/usr/share/games")
    parser.add_argument("music", type=Path, nargs="?", default=Path(default))
    parser.add_argument("--unknown", default="", help="folders to keep out of the catalogue, between commas")
    parser.add_argument("--clips", type=int, default=40, help="excerpts a cell")
    parser.add_argument("--lengths", default="5,15", help="seconds, between commas")
    parser.add_argument("--negatives", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    lengths_s = [int(word) for word in options.lengths.split(",")]
    library = Library(options.music, [name for name in options.unknown.split(",") if name])
    if not library.known:
        parser.error(f"{options.music} holds no music of {SHORTEST_S:.0f} s or more: name another folder")
    hours = sum(len(library.pcm[path]) for path in library.known) / RATE_HZ / 3600
    print(f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, {os.cpu_count()} cores, Python", end=" ")
    print(f"{platform.python_version()}, numpy {np.__version__}, seed {options.seed}:", end=" ")
    print(f"{len(library.known)} tracks known ({hours:.1f} h), {len(library.unknown)} unknown")
    with tempfile.TemporaryDirectory() as folder, Catalogue.open(Path(folder), create=True) as catalogue:
        library.fill(catalogue)
        guesses = recall(catalogue, library, options.clips, lengths_s, options.seed)
        for length_s in lengths_s[:1]:
            guesses += false_alarms(catalogue, library, options.negatives, length_s, options.seed)
        calibration(guesses)


if __name__ == "__main__":
    main()
