"""Sounds no catalogue holds, as many as wanted and every one another: what must never get a name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from bench.degrade import SOURCE_HZ, Sound, mixed, pink, talk, to_probe
from pipeline.model import RATE_HZ, Pcm
from tests.engine.melodies import cut, tune

MELODIES = range(20)
"""Seeds of the tunes that belong in the catalogue, so that their covers can be mistaken for them."""
TUNE_S = 60.0


def negatives(count: int, length_s: int, music: Sequence[Pcm], seed: int) -> Iterator[tuple[str, Pcm]]:
    """`count` sounds and what each is; `music` are whole recordings that are not in the catalogue, at 8 kHz.

    No second of the music is heard twice before all of it was heard once, and then it is cut elsewhere.
    """
    kinds = ("noise", "speech", "silence", "tones", "tunes", "covers", *["music"] * 4)
    samples = length_s * RATE_HZ
    spans = [
        (n, start) for n, pcm in enumerate(music) for start in range(0, len(pcm) - 3 * samples // 2, samples)
    ]
    order = np.random.default_rng(seed).permutation(len(spans))
    heard = 0
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        kind = kinds[number % len(kinds)] if spans else kinds[number % 6]
        if kind == "music":
            turn, place = divmod(heard, len(order))
            track, start = spans[order[place]]
            start += turn % 2 * samples // 2
            yield kind, _under_noise(music[track][start : start + samples], rng)
            heard += 1
        else:
            yield kind, _made(kind, length_s, rng)


def _made(kind: str, length_s: int, rng: np.random.Generator) -> Pcm:
    samples = length_s * SOURCE_HZ
    if kind == "noise":
        colour = pink(samples, rng) if rng.random() < 0.5 else rng.standard_normal(samples)
        return to_probe(colour * (1 + np.sin(np.arange(samples) / SOURCE_HZ * rng.uniform(0, 30))))
    if kind == "speech":
        return to_probe(talk(samples, rng, int(rng.integers(1, 8))))
    if kind == "silence":
        return rng.integers(-1, 2, length_s * RATE_HZ).astype(np.int16)
    if kind == "tones":
        return to_probe(_tones(samples, rng))
    melody = int(rng.integers(len(MELODIES)) if kind == "covers" else rng.integers(1_000, 1_000_000))
    played = tune(melody, TUNE_S, players=int(rng.integers(1_000_000)))
    return cut(played, rng.uniform(0, TUNE_S - length_s - 2), length_s)


def _under_noise(excerpt: Pcm, rng: np.random.Generator) -> Pcm:
    noise = rng.standard_normal(len(excerpt)) * (np.abs(excerpt).mean() + 1)
    return np.clip(mixed(excerpt.astype(np.float64), noise, rng.uniform(-5, 40)), -32768, 32767).astype(
        np.int16
    )


def _tones(samples: int, rng: np.random.Generator) -> Sound:
    """Chords of a few steady tones, changing with a beat."""
    sound = np.zeros(samples)
    beat = int(rng.uniform(0.2, 2.0) * SOURCE_HZ)
    for start in range(0, samples, beat):
        time_s = np.arange(min(beat, samples - start)) / SOURCE_HZ
        for pitch in rng.integers(0, 36, int(rng.integers(1, 5))):
            sound[start : start + beat] += np.sin(2 * np.pi * 110 * 2 ** (pitch / 12) * time_s)
    return sound
