"""8 kHz PCM to a log-frequency spectrogram: what every later stage looks at."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import scipy.fft

from pipeline.engine.jit import compiled
from pipeline.model import RATE_HZ, Pcm

Level = npt.NDArray[np.float32]
"""[frames, BINS]: log2 of power; 1.0 is 3 dB."""

WINDOW: Final = 2048
"""Samples under one frame (256 ms): long enough to part semitones, short enough for a melody's notes."""
HOP: Final = 256
FRAME_S: Final = HOP / RATE_HZ
"""32 ms between frames."""

LOW_HZ: Final = 55.0
BINS_PER_OCTAVE: Final = 48
BINS: Final = 288
"""Six octaves up from LOW_HZ, four bins a semitone: from bass notes to 3.5 kHz, where telephone codecs end."""

BATCH: Final = 128
"""Frames per FFT call: 1 MB of windows, which stays in the second-level cache."""

POWER_FLOOR: Final = 1.0
"""A hundredth of what rounding to 16 bits leaves in one line, so that only digital silence lies below it."""

_HANN: Final = np.hanning(WINDOW + 1)[:-1].astype(np.float32)


def frame_count(samples: int) -> int:
    """How many whole frames `samples` hold."""
    return max(0, (samples - WINDOW) // HOP + 1)


def log_spectrum(pcm: Pcm) -> Level:
    """The level of every bin in every whole frame of int16 (or float32) samples at 8 kHz: [frame_count, BINS]."""
    frames = frame_count(len(pcm))
    level = np.empty((frames, BINS), np.float32)
    if frames:
        windows = np.lib.stride_tricks.sliding_window_view(pcm, WINDOW)[::HOP]
        for start in range(0, frames, BATCH):
            lines = scipy.fft.rfft(windows[start : start + BATCH] * _HANN, axis=1)
            _strongest_line(
                lines, _FIRST, _LAST, _WEIGHT, np.float32(POWER_FLOOR), level[start : start + BATCH]
            )
        np.log2(level, out=level)
    return level


def _line_table() -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """For each bin the FFT lines in it (first to before last), or where none is, the two around it and a weight."""
    line_hz = RATE_HZ / WINDOW
    edges = LOW_HZ * 2.0 ** ((np.arange(BINS + 1) - 0.5) / BINS_PER_OCTAVE) / line_hz
    first = np.ceil(edges[:-1]).astype(np.int32)
    last = np.ceil(edges[1:]).astype(np.int32)
    centre = LOW_HZ * 2.0 ** (np.arange(BINS) / BINS_PER_OCTAVE) / line_hz
    empty = first == last
    first[empty] = last[empty] = np.floor(centre[empty]).astype(np.int32)
    return first, last, (centre - np.floor(centre)).astype(np.float32)


_FIRST, _LAST, _WEIGHT = _line_table()


@compiled
def _strongest_line(
    lines: npt.NDArray[np.complex64],
    first: npt.NDArray[np.int32],
    last: npt.NDArray[np.int32],
    weight: npt.NDArray[np.float32],
    floor: np.float32,
    power: npt.NDArray[np.float32],
) -> None:
    # Squares first, in a loop of its own: it has no branches, so the compiler does many at a time.
    lowest, highest = first[0], last[-1] + 1
    squares = np.empty(highest, np.float32)
    for t in range(lines.shape[0]):
        for line in range(lowest, highest):
            value = lines[t, line]
            squares[line] = value.real * value.real + value.imag * value.imag
        for b in range(first.size):
            most = floor
            if first[b] == last[b]:
                here = (np.float32(1.0) - weight[b]) * squares[first[b]] + weight[b] * squares[first[b] + 1]
                most = max(most, here)
            for line in range(first[b], last[b]):
                most = max(most, squares[line])
            power[t, b] = most
