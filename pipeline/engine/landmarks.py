"""Peaks to landmarks: two peaks tied together, and the hash (key) that names the pair."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from pipeline.engine.jit import compiled
from pipeline.engine.peaks import Peaks
from pipeline.engine.spectrum import BINS, Level

FRAMES_MIN: Final = 2
FRAMES_SPAN: Final = 64
"""The second peak comes 2 to 65 frames (2.1 s) after the first."""
BINS_SPAN: Final = 64
"""... and less than 32 bins (eight semitones) above or below it."""
KEYS: Final = BINS * BINS_SPAN * FRAMES_SPAN
"""Every key is (first bin, bins up or down, frames between), packed: 1 179 648 of them."""

Keys = npt.NDArray[np.uint32]
Frames = npt.NDArray[np.int32]


def landmarks(peaks: Peaks, fan_out: int) -> tuple[Keys, Frames]:
    """Tie every peak (in order of time) to the `fan_out` most salient in reach: keys and the first peaks' frames."""
    return _tied(peaks, np.zeros(len(peaks.frame), np.int32), fan_out, 1)


def probing_landmarks(peaks: Peaks, side: npt.NDArray[np.int32], fan_out: int) -> tuple[Keys, Frames]:
    """As `landmarks`, each pair under four keys: either peak also one bin over, where `side` (+1, -1) is louder."""
    return _tied(peaks, side, fan_out, 4)


def louder_side(level: Level, peaks: Peaks) -> npt.NDArray[np.int32]:
    """+1 where the bin above a peak is louder than the one below, -1 elsewhere: [peaks]."""
    above = level[peaks.frame, np.minimum(peaks.bin + 1, BINS - 1)]
    below = level[peaks.frame, np.maximum(peaks.bin - 1, 0)]
    return np.where(above > below, 1, -1).astype(np.int32)


def _tied(peaks: Peaks, side: npt.NDArray[np.int32], fan_out: int, probes: int) -> tuple[Keys, Frames]:
    room = len(peaks.frame) * fan_out * probes
    keys, frames = np.empty(room, np.uint32), np.empty(room, np.int32)
    reach = (BINS, BINS_SPAN, FRAMES_MIN, FRAMES_SPAN)
    best = np.empty(fan_out, np.int32)
    made = _tie(peaks.frame, peaks.bin, peaks.salience, side, best, probes, reach, keys, frames)
    return keys[:made], frames[:made]


@compiled
def _tie(
    frame: npt.NDArray[np.int32],
    bins: npt.NDArray[np.int32],
    height: npt.NDArray[np.float32],
    side: npt.NDArray[np.int32],
    best: npt.NDArray[np.int32],
    probes: int,
    reach: tuple[int, int, int, int],
    keys: Keys,
    frames: Frames,
) -> int:
    width, bins_span, frames_min, frames_span = reach
    half = bins_span // 2
    fan_out = best.size
    made = 0
    for i in range(frame.size):
        found = 0
        for j in range(i + 1, frame.size):
            apart = frame[j] - frame[i]
            if apart >= frames_min + frames_span:
                break
            if apart < frames_min or abs(bins[j] - bins[i]) >= half:
                continue
            if found == fan_out and height[j] <= height[best[fan_out - 1]]:
                continue
            place = min(found, fan_out - 1)
            while place > 0 and height[best[place - 1]] < height[j]:
                best[place] = best[place - 1]
                place -= 1
            best[place] = j
            found = min(found + 1, fan_out)
        for k in range(found):
            j = best[k]
            for probe in range(probes):
                low = bins[i] + (side[i] if probe & 1 else 0)
                step = bins[j] + (side[j] if probe & 2 else 0) - low
                if low < 0 or low >= width or abs(step) >= half:
                    continue
                keys[made] = (low * bins_span + step + half) * frames_span + frame[j] - frame[i] - frames_min
                frames[made] = frame[i]
                made += 1
    return made
