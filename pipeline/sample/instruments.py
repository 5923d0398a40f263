"""Instruments made of nothing but arithmetic: wavetables, envelopes, a little vibrato, drums of noise."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

SAMPLE_RATE_HZ = 24_000
"""Of the sample music: half the work of 44.1 kHz, and recognizers hear no more than 8 kHz of it."""

Mono = npt.NDArray[np.float32]

_TABLE_SIZE = 4096


@dataclass(frozen=True, slots=True)
class Instrument:
    """How a note sounds. The `bright` spectrum fades four times as fast as the `soft` one, as on strings."""

    soft: tuple[float, ...]
    """Strength of the partials 1, 2, 3, …"""
    bright: tuple[float, ...] = ()
    attack_s: float = 0.005
    decay_s: float = 30.0
    """Time to fall to 1/e while the note is held: short for what is plucked or struck."""
    release_s: float = 0.08
    vibrato_cents: float = 0.0
    players: int = 1
    """Voices a few cents apart, as in a section."""
    breath: float = 0.0
    """Noise in the tone."""


def _falling(count: int, power: float, *, odd: bool = False) -> tuple[float, ...]:
    return tuple(0.0 if odd and k % 2 == 0 else k**-power for k in range(1, count + 1))


PIANO = Instrument(_falling(8, 1.6), _falling(20, 0.9), attack_s=0.003, decay_s=1.1, release_s=0.15)
HARPSICHORD = Instrument(_falling(24, 0.7), _falling(24, 0.3), attack_s=0.002, decay_s=0.7, release_s=0.06)
GUITAR = Instrument(_falling(7, 1.2), _falling(16, 0.8), attack_s=0.004, decay_s=0.6, release_s=0.2)
HARP = Instrument(_falling(5, 1.8), _falling(10, 1.0), attack_s=0.004, decay_s=0.9, release_s=0.4)
MUSIC_BOX = Instrument((1, 0, 0.1, 0.35, 0, 0, 0.12), (0, 0, 0, 0.5, 0, 0.3), 0.002, 0.8, 0.5)
ORGAN = Instrument((1, 0.8, 0.5, 0.5, 0.1, 0.3, 0, 0.35), (), 0.02, 60.0, 0.06)
FLUTE = Instrument((1, 0.35, 0.12, 0.04), (), 0.05, 40.0, 0.09, vibrato_cents=14, breath=0.05)
CLARINET = Instrument(_falling(15, 1.1, odd=True), (), 0.03, 40.0, 0.07, vibrato_cents=4, breath=0.01)
OBOE = Instrument((0.5, 0.9, 1, 0.6, 0.5, 0.35, 0.2, 0.1), (), 0.03, 40.0, 0.07, vibrato_cents=10)
TRUMPET = Instrument(_falling(14, 0.7), _falling(20, 0.4), 0.025, 12.0, 0.07, vibrato_cents=6)
STRINGS = Instrument(_falling(20, 1.0), (), 0.09, 60.0, 0.2, vibrato_cents=12, players=3)
BASS = Instrument((1, 0.5, 0.25, 0.12), _falling(8, 1.0), 0.006, 0.8, 0.1)


def play(instrument: Instrument, hz: float, length_s: float, rng: np.random.Generator) -> Mono:
    """One note; its tail rings `release_s` longer than `length_s`."""
    count = int((length_s + instrument.release_s) * SAMPLE_RATE_HZ)
    time_s = np.arange(count) / SAMPLE_RATE_HZ
    tone = np.zeros(count, dtype=np.float32)
    partials = max(1, int(0.45 * SAMPLE_RATE_HZ / hz))
    fade = np.exp(-time_s / instrument.decay_s, dtype=np.float32)
    for _ in range(instrument.players):
        position = _table_position(instrument, hz, time_s, rng)
        tone += fade * _table(instrument.soft, partials)[position]
        if instrument.bright:
            tone += 0.6 * fade**4 * _table(instrument.bright, partials)[position]
    if instrument.breath:
        tone += instrument.breath * rng.standard_normal(count, dtype=np.float32)
    attack = np.minimum(1.0, time_s / instrument.attack_s, dtype=np.float32)
    release = np.clip((length_s + instrument.release_s - time_s) / instrument.release_s, 0, 1)
    return (tone * attack * release**2 / instrument.players).astype(np.float32)


def kick(rng: np.random.Generator) -> Mono:
    """A bass drum: a sine that falls from the beater's pitch to the skin's."""
    time_s = np.arange(int(0.25 * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    low_hz = rng.uniform(46, 54)
    phase = 2 * np.pi * (low_hz * time_s + 2.2 * (1 - np.exp(-time_s / 0.025)))
    return (np.sin(phase) * np.exp(-time_s / 0.07)).astype(np.float32)


def snare(rng: np.random.Generator) -> Mono:
    """A side drum: noise of the wires over a short tone of the skin."""
    time_s = np.arange(int(0.2 * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    wires = rng.standard_normal(time_s.size) * np.exp(-time_s / 0.05)
    skin = np.sin(2 * np.pi * rng.uniform(175, 195) * time_s) * np.exp(-time_s / 0.04)
    return (0.35 * wires + 0.5 * skin).astype(np.float32)


def hat(rng: np.random.Generator) -> Mono:
    """A closed cymbal: noise without its lows."""
    count = int(0.08 * SAMPLE_RATE_HZ)
    noise = np.diff(rng.standard_normal(count + 1))
    return (0.3 * noise * np.exp(-np.arange(count) / (0.02 * SAMPLE_RATE_HZ))).astype(np.float32)


def _table_position(
    instrument: Instrument, hz: float, time_s: npt.NDArray[np.float64], rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Where in its wave the note is at each sample: the integral of a frequency that swings a little."""
    hz *= 2 ** (rng.normal(0, 2 + 3 * (instrument.players - 1)) / 1200)
    cycles = hz * time_s + rng.random()
    if instrument.vibrato_cents:
        swing_hz = rng.uniform(4.8, 6.0)
        depth = hz * (2 ** (instrument.vibrato_cents / 1200) - 1) / (2 * np.pi * swing_hz)
        cycles += depth * (1 - np.cos(2 * np.pi * swing_hz * time_s))
    return (cycles * _TABLE_SIZE).astype(np.int64) % _TABLE_SIZE


@lru_cache(maxsize=1024)
def _table(strengths: tuple[float, ...], partials: int) -> Mono:
    """One cycle of a wave, without the partials that would fold back from above half the sample rate."""
    kept = strengths[:partials]
    cycle = np.arange(_TABLE_SIZE) / _TABLE_SIZE
    wave = np.zeros(_TABLE_SIZE)
    for number, strength in enumerate(kept, start=1):
        # Phases spread by the square keep the crest low: a plain sum of sines is a click train.
        wave += strength * np.sin(2 * np.pi * (number * cycle + number * number / 12))
    return (wave / max(1e-9, float(np.sqrt(np.mean(wave**2))))).astype(np.float32)
