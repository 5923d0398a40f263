"""Music for tests: chords that a listener with a Fourier transform can name, however they were encoded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from pipeline.audio import encode
from pipeline.model import RATE_HZ, Pcm, Tags
from pipeline.wire.audiotag import Candidate, Row

RATE_OF_FILES_HZ = 22_050

PITCHES_HZ: Mapping[str, float] = {
    "Anna": 330.0,
    "Berta": 440.0,
    "Clara": 587.0,
    "Dora": 784.0,
    "Emma": 1046.0,
}
"""The tracks the scripted service knows, by their pitch."""

UNKNOWN_HZ = 1500.0


def song(pitch_hz: float, length_s: float, *, seed: int = 0) -> np.ndarray:
    """A swelling tone with a little noise: no two seconds, and no two seeds, have the same samples."""
    time_s = np.arange(round(length_s * RATE_OF_FILES_HZ)) / RATE_OF_FILES_HZ
    noise = np.random.default_rng(seed).normal(0, 0.01, len(time_s))
    return (np.sin(2 * np.pi * pitch_hz * time_s) * (0.4 + 0.2 * np.sin(time_s / 3)) + noise).astype(
        np.float32
    )


def write(path: Path, *parts: np.ndarray, tags: Tags = Tags()) -> Path:  # noqa: B008 -- frozen
    """A file of these parts, one after the other, in the format its ending names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    encode(path, np.concatenate(parts), RATE_OF_FILES_HZ, tags=tags)
    return path


def named(pcm: Pcm) -> Sequence[Candidate]:
    """What the scripted service says of a probe: the track of the loudest pitch, if it knows it."""
    spectrum = np.abs(np.fft.rfft(pcm.astype(np.float64)))
    heard_hz = float(np.argmax(spectrum)) * RATE_HZ / len(pcm)
    for title, pitch_hz in PITCHES_HZ.items():
        if abs(heard_hz - pitch_hz) < 5:
            row = Row(title, "The Sines", "Pitches", 1999)
            return [Candidate((row,), 55, (0, len(pcm) / RATE_HZ))]
    return []
