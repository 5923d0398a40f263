"""A spectrogram to its salient peaks: the stars of the constellation that landmarks tie together."""

from __future__ import annotations

from dataclasses import dataclass, replace
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
    level: npt.NDArray[np.float32]

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
        crowded = np.bincount(self.frame // BLOCK).max(initial=0) > per_block
        kept = np.flatnonzero(self.ranks() < per_block) if crowded else np.arange(len(self.frame))
        return self.only(kept[np.argsort(self.frame[kept] * np.int64(BINS) + self.bin[kept])])

    def later(self, frames: int) -> Peaks:
        """The same peaks so many frames later."""
        return replace(self, frame=self.frame + np.int32(frames))

    def only(self, kept: npt.NDArray[np.intp] | npt.NDArray[np.bool_]) -> Peaks:
        """These peaks, in the order of `kept` or, with a mask, in their own."""
        return Peaks(self.frame[kept], self.bin[kept], self.salience[kept], self.level[kept])


def salience(level: Level) -> Level:
    """How far each level stands out of its surroundings, in log2 of power: [frames, bins]."""
    standing_out = np.empty_like(level)
    width = level.shape[1]
    here = np.arange(width)
    beside = np.minimum(here + AROUND_BINS, width - 1) - np.maximum(here - AROUND_BINS, 0) + 1
    # Of 1, 2, 4, 8 and 16 bins: the sum of 17 is that of 16 and one more.
    sums = np.zeros(((2 * AROUND_BINS).bit_length(), width + 2 * AROUND_BINS), np.float32)
    share = (1 / beside).astype(np.float32)
    _minus_local_mean(level, AROUND_FRAMES, AROUND_BINS, share, sums, standing_out)
    return standing_out


def find_peaks(level: Level, standing_out: Level, first: int, last: int, per_block: int) -> Peaks:
    """The most salient peaks of frames `first` to before `last`, `per_block` at most for every BLOCK frames."""
    # Of two peaks one would be the other's neighbour if they shared a square of NEIGHBOURS + 1 cells.
    side = NEIGHBOURS + 1
    room = -(-(last - first) // side) * -(-level.shape[1] // side)
    frame, bins = np.empty(room, np.int32), np.empty(room, np.int32)
    width = level.shape[1]
    loudest = np.full(width + 2 * NEIGHBOURS, -np.inf, np.float32)
    hopeful = np.zeros(-(-width // 8), np.uint64)
    found = _pick(
        level, standing_out, first, last, np.float32(MIN_SALIENCE), loudest,
        hopeful, hopeful.view(np.uint8), frame, bins,
    )  # fmt: skip
    frame, bins = frame[:found], bins[:found]
    # Blocks begin at `first`.
    found_peaks = Peaks(frame - np.int32(first), bins, standing_out[frame, bins], level[frame, bins])
    return found_peaks.strongest(per_block).later(first)


# The loops below go over rows, by plain indices and without branches: such the compiler does many turns of at once.


@compiled
def _minus_local_mean(
    level: Level,
    frames: int,
    bins: int,
    share: npt.NDArray[np.float32],
    sums: npt.NDArray[np.float32],
    out: Level,
) -> None:
    # `sums` are those of the frames around, with nothing on either side: of one bin, of two, of four and so on.
    # `share` is 1 over the bins around each.
    length, width = level.shape
    column = sums[0, bins : bins + width]
    most, last = sums[-1], sums[0, 2 * bins :]
    for t in range(min(frames, length)):
        row = level[t]
        for b in range(width):
            column[b] += row[b]
    for t in range(length):
        if t + frames < length:
            row = level[t + frames]
            for b in range(width):
                column[b] += row[b]
        if t - frames - 1 >= 0:
            row = level[t - frames - 1]
            for b in range(width):
                column[b] -= row[b]
        for doubled in range(1, sums.shape[0]):
            both, one, other = sums[doubled], sums[doubled - 1], sums[doubled - 1, 1 << doubled - 1 :]
            for b in range(other.size):
                both[b] = one[b] + other[b]
        rows = np.float32(1.0) / np.float32(min(t + frames, length - 1) - max(t - frames, 0) + 1)
        here, standing_out = level[t], out[t]
        for b in range(width):
            standing_out[b] = here[b] - (most[b] + last[b]) * share[b] * rows


@compiled
def _is_highest(level: Level, t: int, b: int) -> bool:
    """Ties go to the earlier, lower one, so that a plateau has exactly one peak at most."""
    here = level[t, b]
    for u in range(max(t - 2, 0), min(t + 3, level.shape[0])):
        for c in range(max(b - 2, 0), min(b + 3, level.shape[1])):
            if level[u, c] > here or (level[u, c] == here and (u < t or (u == t and c < b))):
                return False
    return True


@compiled
def _max_of_5(a: np.float32, b: np.float32, c: np.float32, d: np.float32, e: np.float32) -> np.float32:
    ab, cd = a if a > b else b, c if c > d else d
    abcd = ab if ab > cd else cd
    return abcd if abcd > e else e


@compiled
def _pick(
    level: Level,
    standing_out: Level,
    first: int,
    last: int,
    floor: np.float32,
    loudest: npt.NDArray[np.float32],
    eight_hopeful: npt.NDArray[np.uint64],
    hopeful: npt.NDArray[np.uint8],
    frame: npt.NDArray[np.int32],
    bins: npt.NDArray[np.int32],
) -> int:
    # Two neighbours on either side, written out: turn by turn it would take three times as long.
    # `loudest` is that of the frames around, with nothing on either side; `hopeful` and its eights are one memory.
    length, width = level.shape
    column, hope = loudest[2 : 2 + width], hopeful[:width]
    left_2, left, right, right_2 = loudest, loudest[1:], loudest[3:], loudest[4:]
    found = 0
    for t in range(first, last):
        here, salient = level[t], standing_out[t]
        before_2, before = level[max(t - 2, 0)], level[max(t - 1, 0)]
        after, after_2 = level[min(t + 1, length - 1)], level[min(t + 2, length - 1)]
        for b in range(width):
            column[b] = _max_of_5(before_2[b], before[b], here[b], after[b], after_2[b])
        for b in range(width):
            around = _max_of_5(left_2[b], left[b], column[b], right[b], right_2[b])
            hope[b] = (here[b] >= around) & (salient[b] > floor)
        # One cell in a hundred is a peak: look at eight at a time. Only equals are left to be told apart.
        for group in range(eight_hopeful.size):
            if eight_hopeful[group]:
                for b in range(8 * group, 8 * group + 8):
                    if hopeful[b] and _is_highest(level, t, b):
                        frame[found], bins[found] = t, b
                        found += 1
    return found
