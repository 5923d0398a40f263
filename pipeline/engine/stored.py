"""A shard's peaks, two bytes each, in order of time.

bits 0 to 8     bin, or NO_BIN where the peak that follows is further on than its own step can tell
bits 9 and 10   class of salience: 0 for the strongest of a block
bits 11 to 13   level: LEVEL_STEPs below the loudest peak of its block
bits 14 and 15  step: frames since the entry before in the same block, or since the block began
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from pipeline.engine.landmarks import Frames
from pipeline.engine.peaks import BLOCK

BIN_MASK: Final = (1 << 9) - 1
CLASS_BIT: Final = 9
CLASS_MASK: Final = 3
LEVEL_BIT: Final = 11
LEVEL_MASK: Final = 7
STEP_BIT: Final = 14
MOST_STEP: Final = 3

NO_BIN: Final = BIN_MASK
"""Above every bin, and so beyond the map of any probe. One entry in 200 is such."""

LEVEL_STEP: Final = 2.0
"""6 dB."""


@dataclass(frozen=True, slots=True)
class StoredPeaks:
    """The peaks of a shard, by block of BLOCK frames: block b's are `first[b]` to before `first[b + 1]`."""

    first: npt.NDArray[np.uint32]
    packed: npt.NDArray[np.uint16]

    def between(self, first_block: int, end_block: int) -> Unpacked:
        """The peaks of these blocks, the last not included."""
        bounds = self.first[first_block : end_block + 1].astype(np.int64)
        packed = self.packed[int(bounds[0]) : int(bounds[-1])]
        passed = np.append(0, np.cumsum(packed >> STEP_BIT, dtype=np.int64))
        began = np.arange(first_block, end_block) * BLOCK - passed[bounds[:-1] - bounds[0]]
        peak = np.flatnonzero(packed & BIN_MASK != NO_BIN)
        frame = (np.repeat(began, np.diff(bounds)) + passed[1:])[peak]
        packed = packed[peak].astype(np.int32)
        return Unpacked(
            frame, packed & BIN_MASK, packed >> CLASS_BIT & CLASS_MASK, packed >> LEVEL_BIT & LEVEL_MASK
        )


@dataclass(frozen=True, slots=True)
class Unpacked:
    """Peaks in order of time; all arrays [peaks]."""

    frame: npt.NDArray[np.int64]
    """Of the shard."""
    bin: npt.NDArray[np.int32]
    rank_class: npt.NDArray[np.int32]
    level: npt.NDArray[np.int32]


def pack(
    frame: Frames,
    bins: npt.NDArray[np.uint16],
    rank_class: npt.NDArray[np.uint8],
    level: npt.NDArray[np.uint8],
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.int32]]:
    """The entries for peaks in order of time, and the frame of the peak that each is or leads to: both [entries]."""
    began = np.diff(frame // BLOCK, prepend=-1) != 0
    gap = np.where(began, frame % BLOCK, np.diff(frame, prepend=0))
    steps = np.maximum(gap - 1, 0) // MOST_STEP
    packed = np.full(len(frame) + int(steps.sum()), MOST_STEP << STEP_BIT | NO_BIN, np.uint16)
    packed[np.cumsum(steps + 1) - 1] = (
        (gap - MOST_STEP * steps).astype(np.uint16) << STEP_BIT
        | level.astype(np.uint16) << LEVEL_BIT
        | rank_class.astype(np.uint16) << CLASS_BIT
        | bins
    )
    return packed, np.repeat(frame, steps + 1)
