"""Levels to measures: by how much are a track's peaks as loud beside each other in a probe as they are in the track?

Codecs, rooms, noise and other speeds leave a recording's peaks as loud beside each other as they were, once what a tone
control and a volume control do is taken out. Other instruments have other overtones, and notes that die away
otherwise: they put peaks in the same places, but not at the same levels. What fits by accident does so even less.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pipeline.engine.jit import compiled
from pipeline.engine.score import Vector
from pipeline.engine.spectrum import BINS, Level
from pipeline.engine.stored import LEVEL_MASK, LEVEL_STEP
from pipeline.engine.verify import ABOVE_NOISE, HeardPeaks

MEASURES: Final = (
    "level_error", "unsteadiness", "above_noise", "faintest", "peaks", "agreement", "loud_error", "loudest_error"
)  # fmt: skip
"""What `level_features` measures, in this order."""

SOFTEST: Final = -LEVEL_STEP * LEVEL_MASK
"""Of a peak so far below the loudest around it nobody kept how far: where music is pure tones, most may be such."""
BAND: Final = 12
"""Bins (a quarter of an octave) that a tone control raises or lowers alike."""
ROUNDS: Final = 3
LOUDER: Final = 0.1
UNCOVERED: Final = 20
"""Percent of the peaks, the softest, are first taken to be heard alone, and what is louder than it should be counts by
this: talk covers music now and then, and makes it louder, never softer."""
MOST: Final = 4.0
"""12 dB: what is further off is covered by other sound, or is not there."""
EXPECTED_ABOVE: Final = 1.0
"""3 dB: a peak that should be so far above the noise should be heard."""
MIN_EXPECTED: Final = 9
FAINTEST: Final = 25
"""Percent."""
CLEAN: Final = 8.0
"""24 dB: so far above the noise nothing more is learned from being further up."""
LOUD: Final = -8.0
"""Peaks within 24 dB of the loudest around them are loud. What harms levels harms what is faint: a codec leaves it out,
a compressor that clips drowns it, what stretches time smears it. Others play loud notes otherwise as well."""
LOUDEST: Final = 200 / 3
"""Percent of the peaks that are not among the loudest."""

MIN_PAIRS: Final = 6
USUAL_UNSTEADINESS: Final = 1.2
"""Taken for that of fewer pairs, which tell nothing: no cover is told by it, however clear."""


def level_features(level: Level, noise: npt.NDArray[np.float32], peaks: HeardPeaks, *, bent: bool) -> Vector:
    """How well the levels of a track's peaks, where it is heard, agree with those of the probe: [MEASURES].

    Pitch is known to a bin. What is bent may sound half a bin higher or lower, and is then louder in the next bin.
    """
    told = peaks.level > SOFTEST
    if told.sum() >= MIN_EXPECTED:
        peaks = peaks.only(told)
    readings = [level[peaks.at, peaks.bin]]
    if bent:
        beside = (level[peaks.at, np.clip(peaks.bin + side, 0, BINS - 1)] for side in (-1, 1))
        readings += [np.maximum(readings[0], louder) for louder in beside]
    spread = min((_spread(heard, noise, peaks) for heard in readings), key=lambda each: each.error)
    loud = peaks.level > LOUD
    # Beside each other alone: what is faint may be harmed all over.
    loud_error = (
        _spread(spread.heard[loud], noise, peaks.only(loud)).error
        if loud.sum() >= MIN_EXPECTED
        else spread.error
    )
    (least,) = _percentiles(peaks.level, LOUDEST)
    loudest = np.abs(spread.off[peaks.level >= least])
    loudest_error = float(loudest.mean()) if len(loudest) >= MIN_EXPECTED else spread.error
    return np.array([*_features(spread, peaks), loud_error, loudest_error])


@dataclass(frozen=True, slots=True)
class _Spread:
    """Levels of a track's peaks in a probe, and by how much they are off: all [peaks]."""

    heard: npt.NDArray[np.float32]
    above: npt.NDArray[np.float32]
    """The noise."""
    difference: Vector
    """From what they are in the track."""
    off: Vector
    """What of that no tone control and no volume control explains."""
    expected: npt.NDArray[np.bool_]
    """Which should be heard above the noise; all, if these are too few to tell anything."""
    error: float
    """By how much those are off in the mean."""


def _spread(heard: npt.NDArray[np.float32], noise: npt.NDArray[np.float32], peaks: HeardPeaks) -> _Spread:
    above, difference = heard - noise[peaks.bin], (heard - peaks.level).astype(np.float64)
    (middle,) = _percentiles(difference, 50)
    off = np.clip(_unexplained(difference, peaks, begin=middle), -MOST, MOST)
    expected = above - off > EXPECTED_ABOVE
    if expected.sum() < MIN_EXPECTED:
        expected[:] = True
    return _Spread(heard, above, difference, off, expected, float(np.abs(off[expected]).mean()))


def _features(spread: _Spread, peaks: HeardPeaks) -> tuple[float, ...]:
    """Those of MEASURES that all peaks tell: [FEATURES]."""
    (uncovered,) = _percentiles(spread.difference, UNCOVERED)
    over = _unexplained(spread.difference, peaks, begin=uncovered, louder=LOUDER)
    return (
        spread.error,
        _unsteadiness(spread.off, peaks),
        np.count_nonzero(spread.above > ABOVE_NOISE) / len(spread.above),
        min(*_percentiles(spread.above, FAINTEST), CLEAN),
        math.log(len(spread.off)),
        float(np.exp(-np.square(over[spread.expected]) / 2).mean()),
    )


def _percentiles(values: npt.NDArray[Any], *percents: float) -> list[float]:
    """As numpy's, which takes ten times as long for a few hundred values."""
    places = [percent / 100 * (len(values) - 1) for percent in percents]
    told: list[float] = np.interp(places, np.arange(len(values)), np.sort(values)).tolist()
    return told


def _unexplained(difference: Vector, peaks: HeardPeaks, *, begin: float, louder: float = 1.0) -> Vector:
    """What is left of the difference in level when every band and every moment may be louder or softer as a whole.

    By how much is first told by `begin`; what is left over counts by `louder`.
    """
    left, band = difference - begin, peaks.bin // BAND
    groups = np.empty((2, 1 + max(band.max(), peaks.moment.max())))
    _explain(left, band, peaks.moment, ROUNDS, MOST, louder, groups[0], groups[1])
    return left


def _unsteadiness(off: Vector, peaks: HeardPeaks) -> float:
    """By how much what is off changes from one peak of a bin to the next."""
    by_bin = np.lexsort((peaks.at, peaks.bin))
    return _change(off[by_bin], peaks.bin[by_bin], MOST, MIN_PAIRS, USUAL_UNSTEADINESS)


@compiled
def _change(off: Vector, bins: npt.NDArray[np.int32], most: float, min_pairs: int, usual: float) -> float:
    """The root of the mean square of the changes from one of a bin to the next."""
    pairs, square = 0, 0.0
    for p in range(1, off.size):
        if bins[p] == bins[p - 1]:
            change = min(max(off[p] - off[p - 1], -most), most)
            pairs, square = pairs + 1, square + change * change
    return float(np.sqrt(square / pairs)) if pairs >= min_pairs else usual


@compiled
def _explain(
    left: Vector,
    band: npt.NDArray[np.int32],
    moment: npt.NDArray[np.int32],
    rounds: int,
    most: float,
    louder: float,
    total: Vector,
    weight: Vector,
) -> None:
    for turn in range(2 * rounds):
        group = moment if turn % 2 else band
        for g in range(total.size):
            # One that stands alone would explain itself: half a member that is not off holds it back.
            total[g], weight[g] = 0.0, 0.5
        for p in range(left.size):
            off, counts = left[p], 1.0 if left[p] < 0 else louder
            off = most if off > most else off
            total[group[p]] += counts * (-most if off < -most else off)
            weight[group[p]] += counts
        for p in range(left.size):
            left[p] -= total[group[p]] / weight[group[p]]
