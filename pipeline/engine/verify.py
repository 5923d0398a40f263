"""Candidate places to evidence: a matched filter that asks whether the track's peaks are loud in the probe.

It reads the probe's spectrogram, not its peaks, so no peak need survive noise, codec or room to count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from pipeline.engine.jit import compiled
from pipeline.engine.peaks import BLOCK
from pipeline.engine.spectrum import Level
from pipeline.engine.stored import (
    BIN_MASK,
    CLASS_BIT,
    CLASS_MASK,
    LEVEL_BIT,
    LEVEL_MASK,
    LEVEL_STEP,
    STEP_BIT,
    StoredPeaks,
)

CLIP_LOW: Final = -2.0
CLIP_HIGH: Final = 3.0
"""Standard deviations beyond which one cell of the map says nothing more."""

QUIET_SHARE: Final = 0.2
"""The noise of a bin is the level that a fifth of its frames stay under."""
ABOVE_NOISE: Final = 2.0
"""6 dB over the noise a cell counts by half, further up in full."""

LOUDNESS_OUT: Final = 0.7
"""The part of a frame's mean that is taken out of it: with all of it gone onsets would be forgotten, with none any
beat would fit any other."""

SILENT_BELOW: Final = 15.0
"""45 dB under the loudest frame a frame is silence, or the tail of a fade."""

MAX_FRAMES_OFF: Final = 6
"""How far around a place the best offset is looked for: the two cells that voted, and their rounding."""


CLASS_WEIGHT: Final = np.array([1.6, 1.2, 0.9, 0.6], np.float32)
"""How much a peak counts by its class: the strongest of a block are music, the last often the texture of noise."""

MOMENT: Final = 8
"""Frames of a track whose peaks are taken to have been made louder or softer alike."""


@dataclass(frozen=True, slots=True)
class HeardPeaks:
    """A track's peaks in a probe's frames and bins, and how much each counts: all [peaks]."""

    at: npt.NDArray[np.int32]
    bin: npt.NDArray[np.int32]
    weight: npt.NDArray[np.float32]
    level: npt.NDArray[np.float32]
    """In the track, log2 of power; of one block relative to its loudest."""
    moment: npt.NDArray[np.int32]
    """Which of the track's moments (MOMENT frames, none of them in two blocks) it belongs to, counted from 0."""

    def inside(self, span: tuple[int, int]) -> npt.NDArray[np.bool_]:
        """Which of them lie between those frames of the probe, the last included."""
        return (self.at >= span[0]) & (self.at <= span[1])

    def only(self, chosen: npt.NDArray[np.bool_]) -> HeardPeaks:
        """These peaks."""
        return HeardPeaks(
            self.at[chosen], self.bin[chosen], self.weight[chosen], self.level[chosen], self.moment[chosen]
        )


@dataclass(frozen=True, slots=True)
class Alignment:
    """How well places fit; all arrays [places]. `z` is a standard normal score if nothing fits."""

    z: npt.NDArray[np.float32]
    frame: npt.NDArray[np.int64]


def audible_frames(level: Level) -> npt.NDArray[np.bool_]:
    """Which frames of a probe are no more than SILENT_BELOW quieter than its loudest: [frames]."""
    loudest = level.max(axis=1)
    audible: npt.NDArray[np.bool_] = (loudest > loudest.max() - SILENT_BELOW) & (loudest > 0)
    return audible


def noise_of(level: Level) -> npt.NDArray[np.float32]:
    """The level that QUIET_SHARE of a bin's frames stay under: [BINS]."""
    quiet = int(QUIET_SHARE * (len(level) - 1))
    lowest: npt.NDArray[np.float32] = np.partition(level, quiet, axis=0)[quiet]
    return lowest


def likelihood_map(
    level: Level, standing_out: Level, audible: npt.NDArray[np.bool_], noise: npt.NDArray[np.float32]
) -> Level:
    """How strongly each cell of a probe speaks for a peak there: [frames, BINS], mean 0 and variance 1.

    Silent frames say nothing (0), nor do they count in mean and variance: beside them the least sound would tower.
    """
    z_map = np.zeros_like(level)
    z_map[audible] = _likelihood(level[audible], standing_out[audible], noise)
    return z_map


def _likelihood(level: Level, standing_out: Level, noise: npt.NDArray[np.float32]) -> Level:
    z: Level = standing_out - standing_out.mean(axis=0)
    z -= np.float32(LOUDNESS_OUT) * z.mean(axis=1, keepdims=True)
    z /= z.std(axis=0) + np.float32(1e-6)
    np.clip(z, CLIP_LOW, CLIP_HIGH, out=z)
    above = 1 / (1 + np.exp(np.clip(noise + np.float32(ABOVE_NOISE) - level, -30, 30)))
    # A frame that hardly rises above the noise has little to say in the few cells that do.
    z *= above * np.sqrt(above.mean(axis=1, keepdims=True))
    z -= z.mean()
    z /= z.std() + np.float32(1e-6)
    return z


def align(
    z_map: Level,
    peaks: StoredPeaks,
    frame: npt.NDArray[np.int64],
    tempo: npt.NDArray[np.float32],
    shift: npt.NDArray[np.int32],
) -> Alignment:
    """The best offset within MAX_FRAMES_OFF of each place, and its evidence.

    `tempo` is how much faster the probe runs than the track, `shift` how many bins lower it sounds; both [places].
    """
    best = Alignment(np.empty(len(frame), np.float32), np.empty(len(frame), np.int64))
    offsets = 2 * MAX_FRAMES_OFF + 1
    room = int(len(z_map) * max(tempo, default=1)) + 2 * offsets + 2
    layout = (BLOCK, BIN_MASK, CLASS_BIT, CLASS_MASK, STEP_BIT)
    _align(
        z_map, peaks.first, peaks.packed, CLASS_WEIGHT, layout, frame, tempo, shift,
        np.empty(room, np.uint32), np.empty(room, np.float32), np.empty(offsets), np.empty(offsets),
        best.z, best.frame,
    )  # fmt: skip
    return best


def peaks_under(
    peaks: StoredPeaks, frame: int, frames: int, tempo: float, shift: int, bins: int
) -> HeardPeaks:
    """The track's peaks that should be heard in a probe starting at `frame`, in the probe's own frames and bins."""
    first_block = max(frame // BLOCK, 0)
    end_block = max(min((frame + int(frames * tempo)) // BLOCK + 1, len(peaks.first) - 1), first_block)
    bounds = peaks.first[first_block : end_block + 1]
    room = int(bounds[-1]) - int(bounds[0])
    at, bin_heard, moment = (np.empty(room, np.int32) for _ in range(3))
    weight, level = np.empty(room, np.float32), np.empty(room, np.float32)
    layout = (BLOCK, BIN_MASK, CLASS_BIT, CLASS_MASK, STEP_BIT, LEVEL_BIT, LEVEL_MASK)
    heard = _under(
        bounds, peaks.packed, CLASS_WEIGHT, LEVEL_STEP, MOMENT, layout, first_block * BLOCK - frame, frames,
        float(tempo), shift, bins, at, bin_heard, weight, level, moment,
    )  # fmt: skip
    return HeardPeaks(at[:heard], bin_heard[:heard], weight[:heard], level[:heard], moment[:heard])


def peaks_shared(one: HeardPeaks, other: HeardPeaks) -> float:
    """The share of the second track's peaks that lie on or next to one of the first's: 1 for one recording."""
    return float(shares([one, other])[0, 1])


def shares(tracks: Sequence[HeardPeaks]) -> npt.NDArray[np.float64]:
    """`peaks_shared` of each (row) with each (column) of up to eight tracks: [tracks, tracks]."""
    shared = np.zeros((len(tracks), len(tracks)))
    heard = [number for number, track in enumerate(tracks) if len(track.at)]
    if not heard:
        return shared
    sizes = np.array([len(tracks[number].at) for number in heard])
    begins = np.cumsum(sizes) - sizes
    at, bins = (np.concatenate([getattr(tracks[n], each) for n in heard]) for each in ("at", "bin"))
    # A map with a bit for each track, set where it has a peak, then also beside it.
    near = np.zeros((at.max() + 3, bins.max() + 3), np.uint8)
    cells, flat = (at + 1) * near.shape[1] + bins + 1, near.reshape(-1)
    for number, own in zip(heard, np.split(cells, begins[1:]), strict=True):
        flat[own] |= np.uint8(1 << number)
    near[1:-1] |= near[:-2] | near[2:]
    near[:, 1:-1] |= near[:, :-2] | near[:, 2:]
    bits = np.unpackbits(flat[cells][None], axis=0, count=len(tracks), bitorder="little")
    shared[:, heard] = np.add.reduceat(bits, begins, axis=1, dtype=np.int64) / sizes
    return shared


def near_peaks(peaks: HeardPeaks, shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """Which cells of a map of that shape [frames, bins] lie on or next to one of the peaks."""
    near = np.zeros((shape[0] + 2, shape[1] + 2), np.bool_)
    near[peaks.at + 1, peaks.bin + 1] = True
    near[1:-1] |= near[:-2] | near[2:]
    near[:, 1:-1] |= near[:, :-2] | near[:, 2:]
    return near[1:-1, 1:-1]


@compiled
def _under(
    bounds: npt.NDArray[np.uint32],
    packed: npt.NDArray[np.uint16],
    class_weight: npt.NDArray[np.float32],
    level_step: float,
    moment_frames: int,
    layout: tuple[int, int, int, int, int, int, int],
    begins: int,
    frames: int,
    tempo: float,
    shift: int,
    width: int,
    at: npt.NDArray[np.int32],
    bins: npt.NDArray[np.int32],
    weight: npt.NDArray[np.float32],
    level: npt.NDArray[np.float32],
    moment: npt.NDArray[np.int32],
) -> int:
    # `bounds` are those of the blocks, of which the first begins so many frames after the probe.
    block, bin_mask, class_bit, class_mask, step_bit, level_bit, level_mask = layout
    found = 0
    for b in range(bounds.size - 1):
        frame = b * block
        for p in range(bounds[b], bounds[b + 1]):
            peak = np.int64(packed[p])
            frame += int(peak >> step_bit)
            heard_at, heard = int(np.rint((begins + frame) / tempo)), (peak & bin_mask) - shift
            if not (0 <= heard_at < frames and 0 <= heard < width):
                continue
            at[found], bins[found] = heard_at, heard
            weight[found] = class_weight[peak >> class_bit & class_mask]
            level[found] = -level_step * (np.float64(peak >> level_bit & level_mask) + 0.5)
            moment[found] = frame // moment_frames
            found += 1
    return found


@compiled
def _align(
    z_map: Level,
    first: npt.NDArray[np.uint32],
    packed: npt.NDArray[np.uint16],
    class_weight: npt.NDArray[np.float32],
    layout: tuple[int, int, int, int, int],
    places: npt.NDArray[np.int64],
    tempo: npt.NDArray[np.float32],
    shift: npt.NDArray[np.int32],
    heard_at: npt.NDArray[np.uint32],
    inside: npt.NDArray[np.float32],
    total: npt.NDArray[np.float64],
    square: npt.NDArray[np.float64],
    best_z: npt.NDArray[np.float32],
    best_frame: npt.NDArray[np.int64],
) -> None:
    block, bin_mask, class_bit, class_mask, step_bit = layout
    frames, width = z_map.shape
    offsets = total.size
    reach = offsets // 2
    at_tempo = np.float32(0.0)
    for i in range(places.size):
        if tempo[i] != at_tempo:
            # Where the probe has the track's frame that many (less `offsets`) after the place, if it has it.
            at_tempo = tempo[i]
            slower = np.float32(1.0) / at_tempo
            for n in range(heard_at.size):
                at = int(np.floor(np.float32(n - offsets) * slower + np.float32(0.5)))
                is_inside = 0 <= at < frames
                heard_at[n], inside[n] = at if is_inside else 0, np.float32(is_inside)
        for d in range(offsets):
            total[d], square[d] = 0.0, 0.0
        last = (places[i] + reach + np.int64(frames * tempo[i])) // block + 1
        for b in range(max((places[i] - reach) // block, 0), min(last, first.size - 1)):
            start = b * block - places[i] + reach + 1
            for p in range(first[b], first[b + 1]):
                peak = np.int64(packed[p])
                start += peak >> step_bit
                heard = (peak & bin_mask) - shift[i]
                if heard < 0 or heard >= width or start < 0 or start + offsets > heard_at.size:
                    continue
                weight, column = class_weight[peak >> class_bit & class_mask], np.uint64(heard)
                rows, counts = heard_at[start : start + offsets], inside[start : start + offsets]
                for d in range(offsets):
                    counted = weight * counts[d]
                    total[d] += counted * z_map[rows[d], column]
                    square[d] += counted * counted
        best_z[i], best_frame[i] = 0.0, places[i]
        for d in range(offsets):
            # The later in the track, the earlier in the probe.
            last_first = offsets - 1 - d
            z = total[last_first] / np.sqrt(square[last_first]) if square[last_first] else 0.0
            if z > best_z[i]:
                best_z[i], best_frame[i] = z, places[i] + d - reach
