"""How much the engine recognises, how rarely it is wrong, and what its confidence claims.

    python -m bench.recognition [MUSIC] [--unknown FOLDER,FOLDER] [--clips 40] [--lengths 5,15] [--negatives 1000]
                                [--answers FILE]

MUSIC is a folder of music: $EARMARK_BENCH_MUSIC without it, or where Debian's games keep theirs. What lies in the
folders named by --unknown (every sixth track, if none is named) stays out of the catalogue. Excerpts of the rest are
degraded in every way bench.degrade knows and looked up; sounds that must not be found come from bench.negatives.
Everything is drawn from the seed. Noise "at 0 dB" is as strong as all of an excerpt; where most of that is bass below
hearing, or one loud moment, the rest lies far below the noise. So recall is also told of excerpts that are present: at
least PRESENT_DB of their power lies in the median half-second between 110 Hz and 3.5 kHz. FILE gets every answer as it
comes, a line of JSON each, for bench.calibration.
Needs ffmpeg with libgsm, libspeex and rubberband (Debian's has them) and espeak-ng. Prints Markdown.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import numpy as np

from bench.answers import Answers, Guess
from bench.calibration import table
from bench.degrade import DEGRADATIONS, SOURCE_HZ, Change, Sound, read, to_probe
from bench.negatives import MELODIES, TUNE_S, negatives
from pipeline.audio import EXTENSIONS, open_decoder
from pipeline.engine.catalogue import Catalogue
from pipeline.engine.heard import NAMED_LOG_ODDS
from pipeline.engine.hits import Hit
from pipeline.engine.query import SILENT_PCM
from pipeline.engine.tracks import Entry, KnownTrack
from pipeline.errors import MediaError
from pipeline.model import RATE_HZ, Pcm
from tests.engine.melodies import tune

SHORTEST_S = 40.0
SPARE_S = 2.5
"""Degraded with a probe, which is the beginning of an excerpt: played faster, there is less of it."""
QUIET = 0.01
"""Excerpts softer than this (of full scale) are drawn again."""
ONE_LOOK_S = 6
"""A longer probe may be found at a second look, in a stretch of it."""
HEARD_HZ = (110.0, 3500.0)
PRESENT_DB = -8.0
"""Pink noise at 0 dB has -5 dB in that band: it is then 3 dB over the music there, most of the time."""


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
                if _sounds_for_s(pcm) >= SHORTEST_S:
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


class Searchable(Protocol):
    """A catalogue, or some of it."""

    def search(self, pcm: Pcm) -> list[Hit]: ...

    def candidates(self, pcm: Pcm) -> list[Hit]: ...


def guessed(catalogue: Searchable, probe: Pcm, truth: str, what: str) -> Guess:
    """What the catalogue makes of a probe, said or not."""
    likeliest, length_s = catalogue.candidates(probe)[:1], round(len(probe) / RATE_HZ)
    # Of a short probe too unlikely candidates are never hits; asking twice would cost the passes at other tempi twice.
    worth_asking = length_s > ONE_LOOK_S or (likeliest and likeliest[0].log_odds >= NAMED_LOG_ODDS)
    said = catalogue.search(probe) if worth_asking else []
    for hit in said[:1] or likeliest:
        names = {hit.track.path, *(track.path for track in hit.also)}
        return Guess(what, length_s, hit.log_odds, bool(said), truth in names, truth, hit.track.path)
    return Guess(what, length_s, None, False, False, truth, "")


@dataclass(frozen=True)
class Probe:
    """An excerpt of a known recording, and what became of it."""

    path: Path
    what: str
    """How it was degraded."""
    excerpt: Sound
    pcm: Pcm


def probes(
    library: Library,
    tracks: Sequence[Path],
    degradations: Mapping[str, Change],
    clips: int,
    length_s: int,
    seed: int,
) -> Iterator[Probe]:
    """Excerpts of these tracks, each degraded in every way, of at least that length."""
    order = np.random.default_rng(seed).permutation(len(tracks))
    for number in range(clips if tracks else 0):
        path = tracks[order[number % len(order)]]
        excerpt = _excerpt(
            path,
            len(library.pcm[path]) / RATE_HZ,
            length_s + SPARE_S,
            np.random.default_rng([seed, number]),
        )
        for index, (what, change) in enumerate(degradations.items()):
            pcm = to_probe(change(excerpt, np.random.default_rng([seed, number, index])))
            yield Probe(path, what, excerpt, pcm)


def answered(catalogue: Searchable, probe: Probe, length_s: int) -> Guess:
    """What the catalogue makes of that much of a probe."""
    guess = guessed(catalogue, probe.pcm[: length_s * RATE_HZ], str(probe.path), probe.what)
    return replace(guess, presence_db=round(presence_db(probe.excerpt[: length_s * SOURCE_HZ]), 1))


def presence_db(sound: Sound) -> float:
    """The power between HEARD_HZ in the median half-second, against that of all the sound."""
    moments = np.array_split(sound, max(round(2 * len(sound) / SOURCE_HZ), 1))
    powers = []
    for moment in moments:
        lines = np.abs(np.fft.rfft(moment)) ** 2 / len(moment) ** 2
        hz = np.fft.rfftfreq(len(moment), 1 / SOURCE_HZ)
        powers.append(2 * lines[(hz >= HEARD_HZ[0]) & (hz < HEARD_HZ[1])].sum())
    return float(10 * np.log10((np.median(powers) + 1e-12) / (np.mean(sound**2) + 1e-12)))


def recall_table(guesses: Sequence[Guess]) -> None:
    """Print the share of excerpts named, by degradation and length, and the wrong names."""
    if not guesses:
        return
    lengths_s = sorted({guess.length_s for guess in guesses})
    asked, found = (
        Counter(
            (guess.what, guess.length_s, present)
            for guess in guesses
            for present in (False, True)
            if counts(guess) and (not present or guess.presence_db >= PRESENT_DB)
        )
        for counts in (lambda guess: True, lambda guess: guess.said and guess.right)
    )
    columns = [(length_s, present) for length_s in lengths_s for present in (False, True)]
    heads = (f"{length_s} s{', present' * present}" for length_s, present in columns)
    print("\n| found, % |", " | ".join(heads), "|\n|---|" + "---|" * len(columns))
    for name in dict.fromkeys(guess.what for guess in guesses):
        cells = (f"{100 * found[name, *column] / max(asked[name, *column], 1):.1f}" for column in columns)
        print(f"| {name} |", " | ".join(cells), "|")
    wrong = sum(guess.said and not guess.right for guess in guesses)
    everywhere, present = (max(asked[key] for key in asked if key[2] is present) for present in (False, True))
    print(f"\n{everywhere} excerpts a cell, {present} present; wrong names: {wrong} of {len(guesses)}.")


def _sounds_for_s(pcm: Pcm) -> float:
    """How long a recording is, but for the digital silence it begins and ends with: some sounds are drawn out by it."""
    sounds = np.flatnonzero(np.abs(pcm) > SILENT_PCM)
    return (sounds[-1] - sounds[0] + 1) / RATE_HZ if len(sounds) else 0.0


def _excerpt(
    path: Path, track_s: float, excerpt_s: float, rng: np.random.Generator
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    for _ in range(20):
        start_s = rng.uniform(2, max(track_s - excerpt_s - 2, 3))
        excerpt = read(str(path), start_s, excerpt_s)
        if len(excerpt) > 0.9 * excerpt_s * SOURCE_HZ and np.sqrt(np.mean(excerpt**2)) > QUIET:
            break
    return excerpt


def false_alarms(
    catalogue: Catalogue,
    library: Library,
    count: int,
    length_s: int,
    seed: int,
    keep: Callable[[Guess], None],
) -> None:
    """Ask for sounds that nobody knows; all guesses go to `keep`."""
    for kind, pcm in negatives(count, length_s, [library.pcm[path] for path in library.unknown], seed):
        keep(guessed(catalogue, pcm, "", kind))


def alarm_table(guesses: Sequence[Guess]) -> None:
    """Print how many sounds that nobody knows got a name, by kind."""
    asked = Counter(guess.what for guess in guesses)
    named = Counter(guess.what for guess in guesses if guess.said)
    print("\n| of nothing known | probes | named |\n|---|---|---|")
    for kind in asked:
        print(f"| {kind} | {asked[kind]} | {named[kind]} |")


def add_music_options(parser: argparse.ArgumentParser, *, clips: int) -> None:
    """The options that say what music is known, and what is asked of it."""
    default = os.environ.get("EARMARK_BENCH_MUSIC", "/usr/share/games")
    parser.add_argument("music", type=Path, nargs="?", default=Path(default))
    parser.add_argument("--unknown", default="", help="folders to keep out of the catalogue, between commas")
    parser.add_argument("--clips", type=int, default=clips, help="excerpts a cell")
    parser.add_argument("--seed", type=int, default=1)


def opened(parser: argparse.ArgumentParser, options: argparse.Namespace) -> Library:
    """The music these options speak of, announced with what it is heard by."""
    library = Library(options.music, [name for name in options.unknown.split(",") if name])
    if not library.known:
        parser.error(f"{options.music} holds no music of {SHORTEST_S:.0f} s or more: name another folder")
    hours = sum(len(library.pcm[path]) for path in library.known) / RATE_HZ / 3600
    print(f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, {os.cpu_count()} cores, Python", end=" ")
    print(f"{platform.python_version()}, numpy {np.__version__}, seed {options.seed}:", end=" ")
    print(f"{len(library.known)} tracks known ({hours:.1f} h), {len(library.unknown)} unknown")
    return library


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_music_options(parser, clips=40)
    parser.add_argument("--lengths", default="5,15", help="seconds, between commas")
    parser.add_argument("--negatives", type=int, default=1000)
    parser.add_argument(
        "--answers", type=Path, help="file that every answer is added to, for bench.calibration"
    )
    options = parser.parse_args()
    lengths_s = [int(word) for word in options.lengths.split(",")]
    library = opened(parser, options)
    with tempfile.TemporaryDirectory() as folder, Catalogue.open(Path(folder), create=True) as catalogue:
        library.fill(catalogue)
        answers = Answers(options.answers)
        for probe in probes(
            library, library.known, DEGRADATIONS, options.clips, max(lengths_s), options.seed
        ):
            for length_s in lengths_s:
                answers.keep(answered(catalogue, probe, length_s))
        false_alarms(catalogue, library, options.negatives, lengths_s[0], options.seed, answers.keep)
    recall_table([guess for guess in answers.guesses if guess.truth])
    alarm_table([guess for guess in answers.guesses if not guess.truth])
    table(answers.guesses)


if __name__ == "__main__":
    main()
