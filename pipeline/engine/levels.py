"""Levels to evidence: is it this recording that is heard, or its notes, played by others, or something else altogether?

Codecs, rooms, noise and other speeds leave a recording's peaks as loud beside each other as they were, once what a tone
control and a volume control do is taken out. Other instruments have other overtones, and notes that die away
otherwise: they put peaks in the same places, but not at the same levels. What fits by accident does so even less. What
is loud tells most: it is harmed last.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pipeline.engine.jit import compiled
from pipeline.engine.score import Model, Pass, Vector, both_log_odds, model
from pipeline.engine.spectrum import BINS, Level
from pipeline.engine.stored import LEVEL_MASK, LEVEL_STEP
from pipeline.engine.verify import ABOVE_NOISE, HeardPeaks

MEASURES: Final = (
    "level_error", "unsteadiness", "above_noise", "faintest", "peaks", "agreement", "loud_error"
)  # fmt: skip
"""What `level_features` measures, in this order."""
FEATURES: Final = MEASURES[:6]
"""Those by which a model tells covers."""
FEATURES_BESIDE_MUSIC: Final = ("music", *MEASURES[:5])
"""What `beside_music` puts together, in this order: accidents are told without agreement."""

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
CLEAR: Final = (4.9, 8.0)
STEADY: Final = (1.51, 1.2)
"""Where even the faintest are 15 dB over the noise, it does not explain levels that are unsteadier than 4.5 dB, nor, at
24 dB, than 3.6: of 5,498 excerpts of recordings three are so without being harmed, and of some 14,000 covers all but
two that came near enough otherwise."""
LOUD: Final = -8.0
"""Peaks within 24 dB of the loudest around them are loud. What harms levels harms what is faint: a codec leaves it out,
a compressor that clips drowns it, what stretches time smears it. Others play loud notes otherwise as well."""
LOUD_OFF: Final = 1.0
LOUD_OFF_BENT: Final = 0.8
"""By less than this the loud peaks of a recording are off, as it is and at another tempo or pitch, and by more those of
others who play it. Of 266 excerpts through codecs, compressors and rooms, of the three pieces that these harm most, 14
are refused for 19, of 88 at another tempo 20 for 39. Of 1,949 candidates for MIDI pieces that others play 104 pass for
107, of 874 moments of the players that come nearest (38 of 9,000) nine for two."""
LOUD_WORTH: Final = 5.0
LOUD_MOST: Final = 1.2
"""So many times what they are off by less, up to so much, is added to the log-odds. What they are off by more is taken
only where it is clear, for rooms blur what is loud as well."""
HIDDEN: Final = 0.25
"""Added where it is not clear and sounds as it is: there levels are off by what hides them as well. So many of 2,785
training excerpts of recordings (8) are refused, and MIDI pieces pass (82), as before loud peaks counted (80)."""
LOUD_WRONG: Final = 1.05
"""By more than this (3.2 dB) no recording's loud peaks are off at another tempo or pitch, unless its music is beyond
doubt: of 534 training excerpts three, all degraded beyond what can be named, of 208 others none that is named. Of
unknown music one piece of 15 s had 1.14, whose bars began as those of a track 9 % faster and a semitone and a half
higher."""
FAINT_LOST: Final = 4.0
"""So many times the share of peaks that the noise covers, and what loud peaks are off by less, may a recording that is
heard throughout be unsteadier. What is heard for less may be others at another tempo, half right."""
NO_RECORDING: Final = 0.0
"""The log-odds at most that it is the recording whose levels cannot be its own: they are clear and unsteady, though
nothing harmed them, or wrong in what is loud."""

TEMPO_ALONE: Final = -2.9
"""Added to the log-odds that it is the recording where tempo is another and pitch is not: others keep the pitch of a
piece and seldom the tempo. Of 4,386 training excerpts of recordings 24 are refused for 21, of MIDI pieces played by
others 4.7 % pass for 7.6. Less the longer it is heard, by the root of that: levels tell more by then. Before this, of
some 400 covers each the nearest came to 6.4, 5.4 and 5.0 in 5, 10 and 15 s, of 141 recordings the furthest to 6.6."""
TEMPO_ALONE_S: Final = 5.0
"""Where so much of it is heard, or less."""

MIN_PAIRS: Final = 6
USUAL_UNSTEADINESS: Final = STEADY[-1]
"""Taken for that of fewer pairs, which tell nothing."""

SURE: Final = 12.0
"""Log-odds that music is heard, or not, beyond which more of them say no more."""


@dataclass(frozen=True, slots=True)
class Bearing:
    """What else bears on who plays."""

    harmed: bool = False
    """Whether a codec or a compressor may have changed levels now more, now less."""
    throughout: bool = False
    """Whether it is heard from end to end, or wherever it could be."""
    as_it_is: bool = False
    """Whether it sounds at its own tempo and pitch."""
    tempo_alone: bool = False
    """Whether it sounds at its own pitch, but at another tempo."""
    far_fetched: bool = False
    """Whether it was looked for at many tempi and pitches, and may be an accident."""
    heard_s: float = TEMPO_ALONE_S
    """How long it is heard."""


def recording_log_odds(music_log_odds: float, measured: Vector, by: Pass, bearing: Bearing) -> float:
    """The log-odds that this recording, which that pass found, is heard: from those of its music, and its levels.

    Two things must be true: the track does not fit by accident, and it is not others who play the same.
    """
    no_accident = model(by.no_accident, FEATURES_BESIDE_MUSIC).log_odds(
        beside_music(music_log_odds, measured)
    )
    both = both_log_odds(no_accident, no_cover_log_odds(model(by.no_cover, FEATURES), measured, bearing))
    wrong = measured[MEASURES.index("loud_error")] > LOUD_WRONG
    return min(both, NO_RECORDING) if bearing.far_fetched and wrong else both


def no_cover_log_odds(judge: Model, measured: Vector, bearing: Bearing) -> float:
    """The log-odds, by that model and a rule of what it cannot tell, that it is not others who play the same."""
    told = dict(zip(MEASURES, measured.tolist(), strict=True))
    log_odds = judge.log_odds(measured[: len(FEATURES)])
    clear = told["faintest"] > CLEAR[0]
    loud_right = (LOUD_OFF if bearing.as_it_is else LOUD_OFF_BENT) - told["loud_error"]
    if clear or loud_right > 0:
        log_odds += min(max(LOUD_WORTH * loud_right, -LOUD_MOST), LOUD_MOST)
    if bearing.as_it_is and not clear:
        log_odds += HIDDEN
    if bearing.tempo_alone:
        log_odds += TEMPO_ALONE * math.sqrt(TEMPO_ALONE_S / max(bearing.heard_s, TEMPO_ALONE_S))
    harm = FAINT_LOST * (1 - told["above_noise"]) + loud_right if bearing.throughout else 0.0
    unsteady = told["unsteadiness"] > np.interp(told["faintest"], CLEAR, STEADY) + max(harm, 0)
    return min(log_odds, NO_RECORDING) if clear and unsteady and not bearing.harmed else log_odds


def beside_music(music_log_odds: float, measured: Vector) -> Vector:
    """What `level_features` measured, with what else tells accidents: [FEATURES_BESIDE_MUSIC]."""
    told = measured[: len(FEATURES_BESIDE_MUSIC) - 1]
    return np.array([min(max(music_log_odds, -SURE), SURE), *told.tolist()])


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
    return np.array([*_features(spread, peaks), loud_error])


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
