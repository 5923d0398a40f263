"""Levels to evidence: is it this recording that is heard, or its notes, played by others?

Codecs, rooms, noise and other speeds leave a recording's peaks as loud beside each other as they were, once what a tone
control and a volume control do is taken out. Other instruments have other overtones, and notes that die away
otherwise: they put peaks in the same places, but not at the same levels.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from pipeline.engine.spectrum import Level
from pipeline.engine.verify import ABOVE_NOISE, HeardPeaks

FEATURES: Final = ("level_error", "unsteadiness", "above_noise", "faintest", "peaks")
"""What `level_features` measures, in this order."""

BAND: Final = 12
"""Bins (a quarter of an octave) that a tone control raises or lowers alike."""
ROUNDS: Final = 3
MOST: Final = 4.0
"""12 dB: what is further off is covered by other sound, or is not there."""
EXPECTED_ABOVE: Final = 1.0
"""3 dB: a peak that should be so far above the noise should be heard."""
MIN_EXPECTED: Final = 9
FAINTEST: Final = 25
"""Percent."""
CLEAN: Final = 8.0
"""24 dB: so far above the noise nothing more is learned from being further up."""

MIN_PAIRS: Final = 6
USUAL_UNSTEADINESS: Final = 1.5
"""Taken for that of fewer pairs."""


def level_features(
    level: Level, noise: npt.NDArray[np.float32], peaks: HeardPeaks
) -> npt.NDArray[np.float64]:
    """How well the levels of a track's peaks, where it is heard, agree with those of the probe: [FEATURES]."""
    heard = level[peaks.at, peaks.bin]
    off = np.clip(_unexplained(heard - peaks.level, peaks.bin // BAND, peaks.moment), -MOST, MOST)
    above = heard - noise[peaks.bin]
    expected = above - off > EXPECTED_ABOVE
    return np.array(
        [
            np.mean(np.abs(off[expected] if expected.sum() >= MIN_EXPECTED else off)),
            _unsteadiness(off, peaks),
            np.mean(above > ABOVE_NOISE),
            min(float(np.percentile(above, FAINTEST)), CLEAN),
            np.log(len(off)),
        ]
    )


def _unexplained(
    difference: npt.NDArray[np.float32], band: npt.NDArray[np.int32], moment: npt.NDArray[np.int32]
) -> npt.NDArray[np.float64]:
    """What is left of the difference in level when every band and every moment may be louder or softer as a whole."""
    left = (difference - np.median(difference)).astype(np.float64)
    for _ in range(ROUNDS):
        for group in (band, moment):
            # One that stands alone would explain itself: half a member that is not off holds it back.
            left -= (np.bincount(group, np.clip(left, -MOST, MOST)) / (np.bincount(group) + 0.5))[group]
    return left


def _unsteadiness(off: npt.NDArray[np.float64], peaks: HeardPeaks) -> float:
    """By how much what is off changes from one peak of a bin to the next."""
    by_bin = np.lexsort((peaks.at, peaks.bin))
    change = np.diff(off[by_bin])[np.diff(peaks.bin[by_bin]) == 0]
    if len(change) < MIN_PAIRS:
        return USUAL_UNSTEADINESS
    return float(np.sqrt(np.mean(np.clip(change, -MOST, MOST) ** 2)))
