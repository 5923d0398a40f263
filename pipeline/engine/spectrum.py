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

BATCH: Final = 64
"""Frames per FFT call: half a megabyte of windows and as much of lines, which together stay in the second-level cache;
with twice as many a fingerprint takes 8 % longer."""

POWER_FLOOR: Final = 1.0
"""A hundredth of what rounding to 16 bits leaves in one line, so that only digital silence lies below it."""

_LOG2_OVER_1: Final = tuple(
    np.polynomial.Chebyshev.interpolate(lambda over: np.log2(1 + over) / over, 7, domain=(0, 1))
    .convert(kind=np.polynomial.Polynomial)
    .coef.astype(np.float32)
)
"""Times rising powers, from the first, of what a number from 1 to 2 has over 1: its log2, to a millionth."""

_HANN: Final = np.hanning(WINDOW + 1)[:-1].astype(np.float32)


def frame_count(samples: int) -> int:
    """How many whole frames `samples` hold."""
    return max(0, (samples - WINDOW) // HOP + 1)


def log_spectrum(pcm: Pcm) -> Level:
    """The level of every bin in every whole frame of int16 (or float32) samples at 8 kHz: [frame_count, BINS]."""
    frames = frame_count(len(pcm))
    level = np.empty((frames, BINS), np.float32)
    samples = pcm.astype(np.float32)
    windows = np.empty((min(frames, BATCH), WINDOW), np.float32)
    power = np.empty((len(windows), BINS), np.float32)
    spans = np.zeros((_SPAN_SIZES, _SPAN_ROOM), np.float32)
    for start in range(0, frames, BATCH):
        part = level[start : start + BATCH]
        _cut(samples[start * HOP :], HOP, _HANN, windows[: len(part)])
        lines = scipy.fft.rfft(windows[: len(part)], axis=1)
        _strongest_line(
            lines.view(np.float32), spans, spans.reshape(-1), _NEEDED, _LEFT, _RIGHT, _NARROW, _BELOW, _WEIGHT,
            np.float32(POWER_FLOOR), power[: len(part)],
        )  # fmt: skip
        _log2(power[: len(part)].view(np.int32), _LOG2_OVER_1, part)
        # Its memory serves the next batch: two at a time would each be fresh pages, a quarter of the FFT's own time.
        del lines
    return level


_SPAN_SIZES: Final = 4
_SPAN_ROOM: Final = WINDOW // 2
"""A bin holds 13 lines at most; of up to 16 the strongest is the stronger of two spans of 1, 2, 4 or 8 lines."""

Table = npt.NDArray[np.uint32]


def _line_tables() -> tuple[tuple[int, int], Table, Table, Table, Table, npt.NDArray[np.float32]]:
    """Which lines are needed (first, and after the last), and where `_strongest_line` finds every bin in them.

    A left and a right span, which may overlap, cover a bin's lines: [BINS] each. For the bins too narrow for a line of
    their own they hold any span; those bins are listed, with the line below and the weight of the one above.
    """
    line_hz = RATE_HZ / WINDOW
    edges = LOW_HZ * 2.0 ** ((np.arange(BINS + 1) - 0.5) / BINS_PER_OCTAVE) / line_hz
    first, end = np.ceil(edges[:-1]).astype(np.int64), np.ceil(edges[1:]).astype(np.int64)
    narrow = np.flatnonzero(first == end)
    centre = LOW_HZ * 2.0 ** (narrow / BINS_PER_OCTAVE) / line_hz
    below = np.floor(centre)
    size = np.log2(np.maximum(end - first, 1)).astype(np.int64)
    left, right = size * _SPAN_ROOM + first, size * _SPAN_ROOM + end - 2**size
    return (
        (int(min(first[0], below[0])), int(end[-1]) + 1),
        left.astype(np.uint32),
        right.astype(np.uint32),
        narrow.astype(np.uint32),
        below.astype(np.uint32),
        (centre - below).astype(np.float32),
    )


_NEEDED, _LEFT, _RIGHT, _NARROW, _BELOW, _WEIGHT = _line_tables()


# The loops below go over slices, by plain indices and without branches: such the compiler does many turns of at once.


@compiled
def _cut(
    samples: npt.NDArray[np.float32],
    hop: int,
    shape: npt.NDArray[np.float32],
    windows: npt.NDArray[np.float32],
) -> None:
    for t in range(windows.shape[0]):
        heard, window = samples[t * hop :], windows[t]
        for i in range(window.size):
            window[i] = heard[i] * shape[i]


@compiled
def _log2(bits: npt.NDArray[np.int32], over_1: tuple[np.float32, ...], out: Level) -> None:
    # The bits of positive numbers: an exponent, and what the rest has over 1. Without AVX-512, numpy's log2
    # takes six times as long.
    a, b, c, d, e, f, g, h = over_1
    for t in range(bits.shape[0]):
        number, log2 = bits[t], out[t]
        for n in range(number.size):
            x = np.float32(number[n] & 0x7FFFFF) * np.float32(1 / 0x800000)
            rest = a + x * (b + x * (c + x * (d + x * (e + x * (f + x * (g + x * h))))))
            log2[n] = np.float32((number[n] >> 23) - 127) + x * rest


@compiled
def _strongest_line(
    lines: npt.NDArray[np.float32],
    spans: npt.NDArray[np.float32],
    flat_spans: npt.NDArray[np.float32],
    needed: tuple[int, int],
    left: Table,
    right: Table,
    narrow: Table,
    below: Table,
    weight: npt.NDArray[np.float32],
    floor: np.float32,
    power: npt.NDArray[np.float32],
) -> None:
    # A line's real and imaginary part follow each other; as one complex number they would take twice as long.
    first, end = needed
    squares = spans[0]
    after = squares[1:]
    for t in range(lines.shape[0]):
        heard, square, bins = lines[t, 2 * first : 2 * end], squares[first:end], power[t]
        for i in range(square.size):
            square[i] = heard[2 * i] * heard[2 * i] + heard[2 * i + 1] * heard[2 * i + 1]
        for size in range(1, spans.shape[0]):
            half = 1 << size - 1
            one, other, both = (
                spans[size - 1, first:end],
                spans[size - 1, first + half :],
                spans[size, first:],
            )
            for i in range(one.size - half):
                both[i] = one[i] if one[i] > other[i] else other[i]
        for b in range(bins.size):
            one_b, other_b = flat_spans[left[b]], flat_spans[right[b]]
            most = one_b if one_b > other_b else other_b
            bins[b] = most if most > floor else floor
        for n in range(narrow.size):
            line = below[n]
            most = (np.float32(1.0) - weight[n]) * squares[line] + weight[n] * after[line]
            bins[narrow[n]] = most if most > floor else floor
