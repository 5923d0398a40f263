"""A spectrogram to its salient peaks: the stars of the constellation that landmarks tie together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from pipeline.engine.jit import compiled
from pipeline.engine.spectrum import BINS, Level

BLOCK: Final = 32
"""Frames (1.024 s) in which peaks compete; fixed blocks give loud and soft passages the same number of peaks."""

AROUND_FRAMES: Final = 16
AROUND_BINS: Final = 8
"""A level is salient against the mean of this many frames and bins on either side (half a second, two semitones)."""

NEIGHBOURS: Final = 2
"""A peak is the highest of its neighbours this many frames and bins away."""

MIN_SALIENCE: Final = 1.0
"""3 dB above the surroundings; below that, peaks are the texture of noise."""


@dataclass(frozen=True, slots=True)
class Peaks:
    """Peaks in any order; all arrays [peaks]."""

    frame: npt.NDArray[np.int32]
    bin: npt.NDArray[np.int32]
    salience: npt.NDArray[np.float32]

    def ranks(self) -> npt.NDArray[np.int64]:
        """The place of each peak among those of its block, by falling salience: [peaks]."""
        block = self.frame // BLOCK
        # One key in place of two columns. No salience reaches 64: 16-bit samples span 52 powers of two.
        order = np.argsort(block * 64.0 - self.salience, kind="stable")
        sizes = np.bincount(block)
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        return rank

    def strongest(self, per_block: int) -> Peaks:
        """At most `per_block` peaks of each block, in order of time."""
        kept = np.flatnonzero(self.ranks() < per_block)
        kept = kept[np.argsort(self.frame[kept] * np.int64(BINS) + self.bin[kept])]
        return Peaks(self.frame[kept], self.bin[kept], self.salience[kept])


def salience(level: Level) -> Level:
    """How far each level stands out of its surroundings, in log2 of power: [frames, bins]."""
    standing_out = np.empty_like(level)
    _minus_local_mean(level, AROUND_FRAMES, AROUND_BINS, standing_out)
    return standing_out


def find_peaks(level: Level, standing_out: Level, first: int, last: int, per_block: int) -> Peaks:
    """The most salient peaks of frames `first` to before `last`, `per_block` at most for every BLOCK frames."""
    room = per_block * (-(-(last - first) // BLOCK))
    frame, bins = np.empty(room, np.int32), np.empty(room, np.int32)
    height = np.empty(room, np.float32)
    found = _pick(
        level,
        standing_out,
        first,
        last,
        BLOCK,
        per_block,
        NEIGHBOURS,
        np.float32(MIN_SALIENCE),
        frame,
        bins,
        height,
    )
    return Peaks(frame[:found], bins[:found], height[:found])


@compiled
def _minus_local_mean(level: Level, frames: int, bins: int, out: Level) -> None:
    length, width = level.shape
    column = np.zeros(width, np.float32)
    for t in range(min(frames, length)):
        for b in range(width):
            column[b] += level[t, b]
    for t in range(length):
        if t + frames < length:
            for b in range(width):
                column[b] += level[t + frames, b]
        if t - frames - 1 >= 0:
            for b in range(width):
                column[b] -= level[t - frames - 1, b]
        rows = min(t + frames, length - 1) - max(t - frames, 0) + 1
        total = np.float32(0.0)
        for b in range(min(bins, width)):
            total += column[b]
        for b in range(width):
            if b + bins < width:
                total += column[b + bins]
            if b - bins - 1 >= 0:
                total -= column[b - bins - 1]
            columns = min(b + bins, width - 1) - max(b - bins, 0) + 1
            out[t, b] = level[t, b] - total / np.float32(rows * columns)


@compiled
def _is_highest(level: Level, t: int, b: int, reach: int) -> bool:
    """Ties go to the earlier, lower one, so that a plateau has exactly one peak at most."""
    here = level[t, b]
    for u in range(max(t - reach, 0), min(t + reach + 1, level.shape[0])):
        for c in range(max(b - reach, 0), min(b + reach + 1, level.shape[1])):
            if level[u, c] > here or (level[u, c] == here and (u < t or (u == t and c < b))):
                return False
    return True


@compiled
def _pick(
    level: Level,
    standing_out: Level,
    first: int,
    last: int,
    block: int,
    per_block: int,
    reach: int,
    floor: np.float32,
    frame: npt.NDArray[np.int32],
    bins: npt.NDArray[np.int32],
    height: npt.NDArray[np.float32],
) -> int:
    width = level.shape[1]
    found_frame = np.empty(block * width, np.int32)
    found_bin = np.empty(block * width, np.int32)
    found_height = np.empty(block * width, np.float32)
    kept = 0
    around = np.empty(width, np.float32)
    for start in range(first, last, block):
        found = 0
        for t in range(start, min(start + block, last)):
            # In loops without a branch, of which the compiler does many turns at once, nearly all that is no peak goes.
            around[:] = level[t]
            for u in range(max(t - reach, 0), min(t + reach + 1, level.shape[0])):
                for b in range(width):
                    around[b] = level[u, b] if level[u, b] > around[b] else around[b]
            for b in range(width):
                hopeful = (level[t, b] >= around[b]) & (standing_out[t, b] > floor)
                if hopeful and _is_highest(level, t, b, reach):
                    found_frame[found], found_bin[found] = t, b
                    found_height[found] = -standing_out[t, b]
                    found += 1
        order = np.argsort(found_height[:found], kind="mergesort")
        for i in order[:per_block]:
            frame[kept], bins[kept], height[kept] = found_frame[i], found_bin[i], -found_height[i]
            kept += 1
    return kept
