"""A written melody becomes a recording: instruments, accompaniment, drums, a room, and inexact hands."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import cycle

import numpy as np
import numpy.typing as npt
from scipy.signal import oaconvolve

from pipeline.sample import instruments as play_on
from pipeline.sample.instruments import SAMPLE_RATE_HZ, Instrument, Mono, play
from pipeline.sample.melodies import Melody, Note, chord_notes, length_beats, melody_notes

Stereo = npt.NDArray[np.float32]

PEAK = 0.85
"""Of full scale: lossy codecs overshoot, and a decoded sample must not clip."""
MIN_LENGTH_S = 44.0
"""At the tempo it begins with: the tune is repeated, each time arranged otherwise, until then."""
_PHRASE_BARS = 4
"""It may end in the middle of the tune, but not of a phrase."""
_TAIL_S = 2.5


@dataclass(frozen=True, slots=True)
class Arrangement:
    """Who plays. Leads and patterns take turns, one for each time through the tune."""

    leads: tuple[Instrument, ...]
    chords: Instrument
    patterns: tuple[str, ...]
    """`held`, `pulsed`, `broken` or `oompah`."""
    drums: bool = False
    tuning_hz: float = 440.0
    transpose: int = 0
    hurry: float = 0.0
    """How much faster the end is than the beginning, as a part of the tempo."""
    tempo: float = 1.0


def perform(melody: Melody, arrangement: Arrangement) -> Stereo:
    """A recording, shape (n, 2) at `SAMPLE_RATE_HZ`; the same arguments give the same samples."""
    return _Performance(melody, arrangement).record()


class _Performance:
    """One take: a clock that breathes, and the tape the notes are mixed on."""

    def __init__(self, melody: Melody, arrangement: Arrangement) -> None:
        self._melody = melody
        self._arrangement = arrangement
        self._rng = np.random.default_rng(zlib.crc32(repr((melody.title, arrangement)).encode()))
        self._length = length_beats(melody)
        phrase = _PHRASE_BARS * melody.bar
        phrase_s = phrase * 60 / (melody.beats_per_minute * arrangement.tempo)
        self._lead_in = melody.bar
        self._end = self._lead_in + phrase * math.ceil(MIN_LENGTH_S / phrase_s)
        self._beats = np.arange(self._end + 2 * melody.bar)
        drift = 1 + 0.02 * np.sin(self._beats / (3.7 * melody.bar) + self._rng.uniform(0, 6))
        hurry = 1 + arrangement.hurry * np.clip(self._beats / self._end, 0, 1)
        beat_s = 60 / (melody.beats_per_minute * arrangement.tempo * drift * hurry)
        self._beats_s = np.concatenate(([0.0], np.cumsum(beat_s)[:-1]))
        self._tape = np.zeros(
            (int((self._at(self._end) + _TAIL_S) * SAMPLE_RATE_HZ) + 1, 2), dtype=np.float32
        )

    def record(self) -> Stereo:
        tune, harmony = melody_notes(self._melody), chord_notes(self._melody)
        lead_in = [Note(harmony[0].pitches, 0, self._lead_in)]
        self._accompany(lead_in, 0, self._arrangement.patterns[0])
        starts = np.arange(self._lead_in, self._end, self._length)
        turns = zip(starts, cycle(self._arrangement.leads), cycle(self._arrangement.patterns), strict=False)
        for time, (start, lead, pattern) in enumerate(turns):
            left = self._end - start
            self._lead([note for note in tune if note.start < left], start, lead, time)
            self._accompany([chord for chord in harmony if chord.start < left], start, pattern)
            if self._arrangement.drums and time > 0:
                self._drum(start, start + min(left, self._length))
        self._accompany([Note(harmony[-1].pitches, 0, self._melody.bar)], self._end, "held")
        return _master(self._tape, self._rng)

    def _lead(self, tune: list[Note], start: float, lead: Instrument, time: int) -> None:
        """The tune; the second time a second voice a sixth below, the third time an octave higher."""
        octave = 12 if time % 3 == 2 and max(note.pitches[0] for note in tune) <= 76 else 0
        for note in tune:
            pitch = note.pitches[0] + octave
            self._mix(lead, pitch, start + note.start, note.length * 0.95, 0.30, 0.1)
            if time % 3 == 1 and note.length >= self._melody.pulse:
                self._mix(
                    self._arrangement.chords, pitch - 9, start + note.start, note.length * 0.9, 0.10, -0.5
                )

    def _accompany(self, harmony: list[Note], start: float, pattern: str) -> None:
        for chord in harmony:
            begin = start + chord.start
            self._mix(
                play_on.BASS, chord.pitches[0] - 12, begin, min(chord.length, self._melody.bar) * 0.9, 0.17
            )
            for pitch, offset, length, loudness in _PATTERNS[pattern](chord, self._melody):
                self._mix(self._arrangement.chords, pitch, begin + offset, length, loudness, -0.35)

    def _drum(self, start: float, end: float) -> None:
        pulse, beat = self._melody.pulse, start
        while beat < end:
            place = round((beat - start) % self._melody.bar / pulse)
            struck = play_on.kick if place == 0 else play_on.snare if place == 2 else play_on.hat
            self._strike(struck, beat, 0.35 if place in (0, 2) else 0.2)
            self._strike(play_on.hat, beat + pulse / 2, 0.12)
            beat += pulse

    def _strike(self, drum: Callable[[np.random.Generator], Mono], beat: float, loudness: float) -> None:
        self._add(drum(self._rng), self._at(beat), loudness * self._rng.uniform(0.7, 1.0), 0.15)

    def _mix(
        self, instrument: Instrument, pitch: int, beat: float, beats: float, loudness: float, pan: float = 0.0
    ) -> None:
        start_s = self._at(beat)
        length_s = max(0.08, self._at(beat + beats) - start_s)
        hz = self._arrangement.tuning_hz * 2 ** ((pitch + self._arrangement.transpose - 69) / 12)
        self._add(
            play(instrument, hz, length_s, self._rng), start_s, loudness * self._rng.uniform(0.75, 1), pan
        )

    def _add(self, sound: Mono, start_s: float, loudness: float, pan: float) -> None:
        # A few milliseconds early or late, as people are; a grid would also make every repeat alike.
        start = max(0, int((start_s + self._rng.normal(0, 0.006)) * SAMPLE_RATE_HZ))
        sound = sound[: len(self._tape) - start]
        angle = (pan + 1) * np.pi / 4
        self._tape[start : start + len(sound), 0] += np.float32(loudness * np.cos(angle)) * sound
        self._tape[start : start + len(sound), 1] += np.float32(loudness * np.sin(angle)) * sound

    def _at(self, beat: float) -> float:
        return float(np.interp(beat, self._beats, self._beats_s))


Strokes = list[tuple[int, float, float, float]]
"""Pitch, beats after the chord begins, length in beats, loudness."""


def _held(chord: Note, melody: Melody) -> Strokes:
    return [(pitch, 0, chord.length * 0.95, 0.09) for pitch in chord.pitches]


def _pulsed(chord: Note, melody: Melody) -> Strokes:
    beats = np.arange(0, chord.length, melody.pulse)
    return [(pitch, float(beat), melody.pulse * 0.6, 0.08) for beat in beats for pitch in chord.pitches]


def _broken(chord: Note, melody: Melody) -> Strokes:
    step = melody.pulse / 2
    beats = np.arange(0, chord.length, step)
    around = cycle((*chord.pitches, chord.pitches[0] + 12, *chord.pitches[:0:-1]))
    return [(pitch, float(beat), step * 1.6, 0.13) for pitch, beat in zip(around, beats, strict=False)]


def _oompah(chord: Note, melody: Melody) -> Strokes:
    beats = np.arange(melody.pulse, chord.length, melody.pulse)
    first = [(chord.pitches[0], 0.0, melody.pulse * 0.7, 0.12)]
    return first + [(p, float(beat), melody.pulse * 0.4, 0.09) for beat in beats for p in chord.pitches[1:]]


_PATTERNS: dict[str, Callable[[Note, Melody], Strokes]] = {
    "held": _held,
    "pulsed": _pulsed,
    "broken": _broken,
    "oompah": _oompah,
}


def _master(tape: Stereo, rng: np.random.Generator) -> Stereo:
    """The tape in a room, and as loud as `PEAK` allows."""
    wet = np.stack([oaconvolve(tape[:, side], _room()[:, side])[: len(tape)] for side in (0, 1)], axis=1)
    mixed = tape + 0.35 * wet
    mixed += 1e-4 * rng.standard_normal(mixed.shape, dtype=np.float32)
    loud = np.tanh(1.1 * mixed / max(1e-9, float(np.quantile(np.abs(mixed[::7]), 0.999))))
    level = np.float32(PEAK / np.max(np.abs(loud)))
    return np.asarray(level * loud, dtype=np.float32)


@lru_cache(maxsize=1)
def _room() -> Stereo:
    """The echo of a small hall, the same for everybody: noise that dies away in a second."""
    time_s = np.arange(int(0.9 * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    noise = np.random.default_rng(1824).standard_normal((time_s.size + 3, 2))
    dull = (noise[:-3] + noise[1:-2] + noise[2:-1] + noise[3:]) / 4
    echo = dull * np.exp(-time_s / 0.22)[:, None] * (time_s > 0.011)[:, None]
    return np.asarray(echo / np.sqrt(np.sum(echo**2, axis=0)), dtype=np.float32)
