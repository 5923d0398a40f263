"""Excerpts so degraded that the engine is often unsure: many, to see whether its confidence can be believed.

    python -m bench.doubtful [MUSIC] [--unknown FOLDER,FOLDER] [--clips 20000] [--answers FILE]

MUSIC and --unknown are those of bench.recognition. Every excerpt is another one, of 4 to 8 s, and every second one of
music that is not in the catalogue: what a confidence is worth depends on how much there is to be found. All is drawn
and degraded at the engine's own rate, which takes a tenth of the time that codecs would. Noise is measured against the
music where and when it can be heard; against all of it, as in bench.recognition, most answers would be sure, or
hopeless. FILE gets every answer as it comes, for bench.calibration. Needs espeak-ng. Prints Markdown.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import numpy as np
from scipy import signal

from bench.answers import Answers
from bench.calibration import table
from bench.degrade import Sound, pink, room, talk, white
from bench.recognition import QUIET, Library, add_music_options, guessed, opened
from pipeline.engine.catalogue import Catalogue
from pipeline.model import RATE_HZ, Pcm

LENGTHS_S: Final = (4.0, 8.0)
FASTER: Final = (0.9, 1.1)
LOWEST_HZ: Final = 110

Noise = Callable[[int, np.random.Generator], Sound]


def _babble(samples: int, rng: np.random.Generator) -> Sound:
    return talk(samples, rng, 7, RATE_HZ)


def _voice(samples: int, rng: np.random.Generator) -> Sound:
    return talk(samples, rng, 1, RATE_HZ)


def _as_it_is(sound: Sound, _: np.random.Generator) -> Sound:
    return sound


def _in_a_room(sound: Sound, rng: np.random.Generator) -> Sound:
    return room(sound, rng, RATE_HZ)


def _at_any_speed(sound: Sound, rng: np.random.Generator) -> Sound:
    return np.asarray(signal.resample(sound, round(len(sound) / rng.uniform(*FASTER))))


WAYS: Final[tuple[tuple[str, Callable[[Sound, np.random.Generator], Sound], Noise, float, float], ...]] = (
    ("pink noise", _as_it_is, pink, -18, -11),
    ("white noise", _as_it_is, white, -25, -16),
    ("babble", _as_it_is, _babble, -20, -11),
    ("voice-over", _as_it_is, _voice, -22, -13),
    ("room, pink noise", _in_a_room, pink, -16, -8),
    ("speed, pink noise", _at_any_speed, pink, -18, -11),
    ("speed, babble", _at_any_speed, _babble, -17, -8),
)
"""What becomes of an excerpt, then what noise comes to it, by so many dB weaker at least and at most."""


def doubtful(library: Library, clips: int, seed: int) -> Iterator[tuple[str, str, Pcm]]:
    """So many probes, known and unknown in turn: the recording if it is known, how it was degraded, the samples."""
    for number in range(clips):
        rng = np.random.default_rng([seed, number])
        known = number % 2 == 0
        tracks = library.known if known else library.unknown
        path = tracks[rng.integers(len(tracks))]
        what, change, noise, low_db, high_db = WAYS[rng.integers(len(WAYS))]
        length_s = rng.uniform(*LENGTHS_S)
        excerpt = _excerpt(library.pcm[path], length_s * FASTER[1], rng)
        sound = change(excerpt, rng)[: round(length_s * RATE_HZ)]
        heard = _under(sound, noise(len(sound), rng), rng.uniform(low_db, high_db))
        yield (
            str(path) if known else "",
            what,
            np.rint(heard * (26_000 / np.abs(heard).max())).astype(np.int16),
        )


def _under(sound: Sound, noise: Sound, snr_db: float) -> Sound:
    """Both at once, the noise so much weaker, both where and when music can be heard."""
    ratio = _usual_power(sound) / _usual_power(noise)
    return sound + noise * np.sqrt(ratio / 10 ** (snr_db / 10))


def _usual_power(sound: Sound) -> float:
    """Of the median half-second, above LOWEST_HZ."""
    high = signal.sosfilt(signal.butter(4, LOWEST_HZ, "high", fs=RATE_HZ, output="sos"), sound)
    moments = np.array_split(high, round(2 * len(high) / RATE_HZ))
    return float(np.median([np.mean(moment**2) for moment in moments])) + 1e-9


def _excerpt(pcm: Pcm, length_s: float, rng: np.random.Generator) -> Sound:
    samples = round(length_s * RATE_HZ)
    for _ in range(20):
        start = int(rng.integers(len(pcm) - samples))
        excerpt = pcm[start : start + samples] / 32768
        if np.sqrt(np.mean(excerpt**2)) > QUIET:
            break
    return excerpt


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_music_options(parser, clips=20_000)
    parser.add_argument("--answers", type=Path, help="file that every answer is added to")
    options = parser.parse_args()
    library = opened(parser, options)
    if not library.unknown:
        parser.error("all of the music is known: name the folders that are to be unknown with --unknown")
    answers = Answers(options.answers)
    with tempfile.TemporaryDirectory() as folder, Catalogue.open(Path(folder), create=True) as catalogue:
        library.fill(catalogue)
        for truth, what, pcm in doubtful(library, options.clips, options.seed):
            answers.keep(guessed(catalogue, pcm, truth, what))
    table(answers.guesses)


if __name__ == "__main__":
    main()
