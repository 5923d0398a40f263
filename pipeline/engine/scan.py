"""A shard's strongest peaks to the places where a probe fits best: every place is asked, voted for or not.

Under talk, or in wind and rain, hardly a peak of a track is still a peak, so that none of its landmarks is met; yet the
probe is loud wherever they lie, and nowhere else as much. Asking every place takes longer the more there are, about a
millisecond an hour of music, so it is asked where voting finds nothing.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from pipeline.engine.fingerprint import CLASSES
from pipeline.engine.jit import compiled
from pipeline.engine.peaks import BLOCK
from pipeline.engine.query import MIN_HEARD_FRAMES
from pipeline.engine.spectrum import BINS, Level
from pipeline.engine.stored import BIN_MASK, CLASS_BIT, CLASS_MASK, STEP_BIT, StoredPeaks
from pipeline.engine.verify import CLASS_WEIGHT

SCANNED: Final = 2
"""Classes of peaks: a third of them, with four fifths of what all would say."""

PAIR: Final = 2
"""Frames taken together: half the work, and what is heard in one is heard in the next."""
PAIRS: Final = BLOCK // PAIR
"""Of a block."""

TRACKS: Final = 25
A_TRACK: Final = 4
"""Places of each: a loop fits at every turn, and by so few peaks it is not seen at which of them best."""

FEW: Final = 20
"""Peaks: where there are fewer, accident fits well more easily."""

MIN_BLOCKS: Final = -(-MIN_HEARD_FRAMES // BLOCK)
"""Where fewer of a track's blocks under the probe have peaks, one chord fits or does not."""

NOWHERE: Final = -np.inf

_MOST: Final = 32_000
"""What totals stay below, to be counted in 16 bits."""
_LANES: Final = 32
"""Numbers that a machine adds at once."""
_BLOCKS_AHEAD: Final = 16
"""So many blocks are counted before the totals that are still growing move back to where the first began."""
_ENTRIES: Final = 256
"""No block has as many: its peaks, and what bridges longer steps between them."""


def best_places(
    z_map: Level, peaks: StoredPeaks, first: npt.NDArray[np.int64], last: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Where a probe of that map fits best, within PAIR frames: frame of the shard and track, both [places].

    Looked for between the frames `first` and `last` of every track [tracks], which must not overlap. The best tracks
    come first, TRACKS of them at most, with A_TRACK places each, one a block.
    """
    fit, frame = _best_of_each_block(z_map, peaks)
    begins, ends = np.searchsorted(frame, first), np.searchsorted(frame, last, side="right")
    track = np.flatnonzero(begins < ends)
    bounds = np.stack([begins, ends], axis=1)[track]
    best_of_each = np.maximum.reduceat(np.append(fit, 0), bounds.ravel())[::2] if len(track) else np.empty(0)
    best = [
        (begins[n] + block, n)
        for n in track[np.argsort(-best_of_each, kind="stable")[:TRACKS]].tolist()
        for block in np.argsort(-fit[begins[n] : ends[n]], kind="stable")[:A_TRACK].tolist()
        if fit[begins[n] + block] > NOWHERE
    ]
    block, owner = np.array(best, np.int64).reshape(-1, 2).T
    return frame[block], owner


def _best_of_each_block(
    z_map: Level, peaks: StoredPeaks
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """How well a probe fits at the best of every BLOCK places, and which frame of the shard it is: both [blocks]."""
    lines = _lines(z_map)
    reach = lines.shape[1] - PAIRS
    under = reach // PAIRS - 1
    blocks = len(peaks.first) - 1 + under
    total, place, met = np.empty(blocks, np.int16), np.empty(blocks, np.int32), np.empty(blocks, np.int32)
    layout = (BIN_MASK, CLASS_BIT, CLASS_MASK, STEP_BIT, SCANNED, BINS, PAIRS, reach)
    _scan(
        peaks.first, peaks.packed, lines.ravel(), layout, np.zeros(_BLOCKS_AHEAD * PAIRS + reach, np.int16),
        np.empty(_ENTRIES, np.int32), total, place, met,
    )  # fmt: skip
    # The probe reaches back from a block; the last of its pairs may be nothing but filled up.
    reached = np.ones(under)
    reached[: (PAIRS * under * PAIR - len(z_map)) // BLOCK] = 0
    fit = total / np.sqrt(np.maximum(np.convolve(met, reached)[:blocks], FEW))
    fit[np.convolve(met > 0, reached)[:blocks] < MIN_BLOCKS] = NOWHERE
    return fit, PAIR * place.astype(np.int64)


def _lines(z_map: Level) -> npt.NDArray[np.int16]:
    """What a peak of each class and bin adds to the places before it: [SCANNED * BINS, pairs], the last pair first.

    Before them, and behind, there are PAIRS that add nothing: so all lines reach the same places from a whole block.
    """
    pairs = -(-(len(z_map) + PAIR * PAIRS) // (PAIR * _LANES)) * _LANES - PAIRS
    padded = np.zeros((pairs * PAIR, BINS), np.float32)
    padded[: len(z_map)] = z_map
    paired = padded.reshape(pairs, PAIR, BINS).sum(axis=1)[::-1].T
    loudest = max(float(np.abs(paired).max()), 1.0) * float(CLASS_WEIGHT[0])
    scale = _MOST / (loudest * CLASSES[SCANNED - 1] * (pairs // PAIRS + 1))
    lines = np.zeros((SCANNED, BINS, PAIRS + pairs + PAIRS), np.int16)
    lines[:, :, PAIRS:-PAIRS] = np.rint(paired * (CLASS_WEIGHT[:SCANNED, None, None] * np.float32(scale)))
    return lines.reshape(SCANNED * BINS, -1)


@compiled
def _scan(
    first: npt.NDArray[np.uint32],
    packed: npt.NDArray[np.uint16],
    lines: npt.NDArray[np.int16],
    layout: tuple[int, int, int, int, int, int, int, int],
    totals: npt.NDArray[np.int16],
    begins: npt.NDArray[np.int32],
    total: npt.NDArray[np.int16],
    place: npt.NDArray[np.int32],
    met: npt.NDArray[np.int32],
) -> None:
    # Each peak adds its line to the totals of all places from which the probe would reach it. Once a block is done, the
    # places that later peaks are too late for are done as well. No branch tells the peaks that count from the others,
    # nor the best place from those before: it would be guessed wrong too often.
    bin_mask, class_bit, class_mask, step_bit, classes, width, block_pairs, reach = layout
    growing = reach - block_pairs
    done = 0
    for b in range(total.size):
        found, at = 0, 0
        if b < first.size - 1:
            for p in range(first[b], first[b + 1]):
                peak = np.int64(packed[p])
                at += int(peak >> step_bit)
                rank, heard = peak >> class_bit & class_mask, peak & bin_mask
                begins[found] = (rank * width + heard) * (reach + block_pairs) + block_pairs - (at >> 1)
                found += int((rank < classes) & (heard < width))
        met[b] = found
        here = totals[done : done + reach]
        for i in range(found):
            line = lines[begins[i] : begins[i] + reach]
            for n in range(reach):
                here[n] += line[n]
        # The first of the best: which place it is stands below its total.
        best = np.int32(-(2**31))
        for n in range(block_pairs):
            best = max(best, np.int32(np.int32(here[n]) * block_pairs + block_pairs - 1 - n))
        total[b], place[b] = best // block_pairs, block_pairs * (b + 1) - growing - best % block_pairs
        done += block_pairs
        if done + reach > totals.size:
            for n in range(growing):
                totals[n] = totals[done + n]
            for n in range(growing, totals.size):
                totals[n] = 0
            done = 0
