"""Evidence to probability: what tells the right track from one that merely shares its chords and its beat."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pipeline.engine.jit import compiled
from pipeline.engine.spectrum import Level
from pipeline.engine.verify import HeardPeaks

FEATURES: Final = (
    "fit_over_rival",
    "votes_over_rival",
    "votes_lead",
    "fit_over_shifts",
    "fit_over_bins",
    "t_time",
    "hit_share",
    "strong_peaks",
    "fit_per_peak",
    "crowd",
)
"""What `features` measures, in this order: how far a track leads the others, and itself elsewhere, then how it fits."""

EVEN: Final = 1.7
"""Of 5 s. Covers as clear, and as unsteady, as no undamaged recording is came to 1.76 and more; recordings whose levels
a codec or a compressor had made so to less, nearly all. It grows with the root of the length."""

Vector = npt.NDArray[np.float64]


class Pass(StrEnum):
    """A way to look for a probe, and the models that judge what it finds."""

    PLAIN = "plain"
    """Voting, for music as it is."""
    OUTVOTING = "outvoting"
    """Voting alone, for music as it is of which nothing stands out."""
    SCANNED = "scanned"
    """Every place, for music as it is."""
    BENT = "bent"
    """Voting, for music at other tempi and pitches."""

    @property
    def music(self) -> str:
        """The model that tells at first sight whether the music is there."""
        return Pass.BENT if self is Pass.BENT else Pass.PLAIN

    @property
    def no_accident(self) -> str:
        """The model that tells at second sight, by levels as well, whether what was found is there at all."""
        return f"{self.music if self is Pass.OUTVOTING else self}_no_accident"

    @property
    def no_cover(self) -> str:
        """The model that tells whether it is the recording or others who play the same."""
        return f"{self.music}_no_cover"


_TIME_SHIFTS: Final = np.concatenate([np.arange(-60, -9, 2), np.arange(10, 61, 2)]).astype(np.int32)
"""Frames: a wrong track with the same beat fits at these shifts as well as at none."""
_BIN_SHIFTS: Final = np.concatenate([np.arange(-12, -3), np.arange(4, 13)]).astype(np.int32)
"""Bins: a wrong track with much energy everywhere fits a semitone or three away as well."""
_SHIFTS: Final = np.concatenate(
    [
        np.stack([np.zeros(1, np.int32), np.zeros(1, np.int32)], axis=1),
        np.stack([_TIME_SHIFTS, np.zeros_like(_TIME_SHIFTS)], axis=1),
        np.stack([np.zeros_like(_BIN_SHIFTS), _BIN_SHIFTS], axis=1),
    ]
)

HIT: Final = 0.5
"""A peak is met where the probe's map exceeds this."""
STRONG: Final = 1.0
"""Peaks of more weight than this are the better half of a block's."""

_TIME_GROUPS: Final = 12
"""The right track fits most of the time; an accident fits now and then."""


@dataclass(frozen=True, slots=True)
class Model:
    """A logistic model: log-odds = bias + sum of weight * (feature - centre) / scale."""

    bias: float
    weight: Vector
    centre: Vector
    scale: Vector

    def log_odds(self, features: Vector) -> float:
        """How strongly these features speak for the right track: natural log of the odds."""
        return self.bias + float(np.dot(self.weight, (features - self.centre) / self.scale))


@dataclass(frozen=True, slots=True)
class Others:
    """What tracks that are other recordings reach with the same probe: z scores and votes."""

    crowd_z: float
    """What accident achieves: two of them may also be heard in the probe, and do better."""
    rival_z: float
    rival_votes: int
    """Of the best of them, or what it would usually reach."""
    most_votes: int
    """Of the best of them in this search."""


@dataclass(frozen=True, slots=True)
class Fit:
    """How a track's peaks fit the probe, whatever others do."""

    z: float
    """Of the place itself, at least 1."""
    measures: tuple[float, ...]
    """Those of FEATURES that are made of the fit alone, in their order."""


@cache
def model(name: str, measures: tuple[str, ...] = FEATURES) -> Model:
    """The fitted model of that name from score.json beside this file.

    A pass says which of them judge what it finds.
    """
    fitted = _score_json()[name]
    if tuple(fitted["features"]) != measures:
        raise AssertionError("score.json was fitted on other features: run bench/train_score.py")
    return Model(
        fitted["bias"], np.array(fitted["weight"]), np.array(fitted["centre"]), np.array(fitted["scale"])
    )


def confidence(log_odds: float) -> float:
    """How many of the answers that were judged so were right, among answers about music that nothing was fitted on.

    What is too unlikely to be named has one of two grades: what a guess is worth depends on the known music, and
    finer scales, fitted to one music, were off by 13 to 17 points on the next.
    """
    judged, worth, below, right = _worth()
    if log_odds < below[-1]:
        return float(right[np.searchsorted(below, log_odds, side="right")])
    return float(1 / (1 + np.exp(-np.interp(log_odds, judged, worth))))


@cache
def _worth() -> tuple[Vector, Vector, Vector, Vector]:
    told = _score_json()["confidence"]
    below, right = told["grades"]["below"], told["grades"]["right"]
    return np.array(told["log_odds"]), np.array(told["worth"]), np.array(below), np.array(right)


@cache
def _score_json() -> dict[str, dict[str, Any]]:
    kept: dict[str, dict[str, Any]] = json.loads(
        resources.files(__package__).joinpath("score.json").read_text("ascii")
    )
    return kept


def both_log_odds(one: float, other: float) -> float:
    """The log-odds that two things are true, neither of which tells anything of the other."""
    return float(-np.log(np.expm1(np.logaddexp(0, -one) + np.logaddexp(0, -other))))


def fit_of(z_map: Level, peaks: HeardPeaks) -> Fit:
    """How a track's peaks fit the probe."""
    z = np.empty(len(_SHIFTS))
    _z_at_shifts(z_map, peaks.at, peaks.bin, peaks.weight, _SHIFTS, z)
    here, time, bin_ = float(z[0]), z[1 : 1 + len(_TIME_SHIFTS)], z[1 + len(_TIME_SHIFTS) :]
    usual = float(np.mean(time))
    spread = math.sqrt(float(np.mean(np.square(time - usual))))
    steadiness, hit_share, strong, square = _fit_in_parts(z_map, peaks)
    fit = max(here, 1.0)
    # The floors keep what is near nothing from looking infinitely small beside it.
    return Fit(
        fit,
        (
            math.log(max((here - usual) / (spread + 0.3), 0.5)),
            math.log(fit / max(float(np.max(bin_)), 2.0)),
            _evenness(steadiness),
            hit_share,
            strong,
            math.log(fit / math.sqrt(max(square, 1.0))),
        ),
    )


def features(fit: Fit, *, votes: int, others: Others) -> Vector:
    """Describe how a track's peaks and its votes fit the probe: [FEATURES]."""
    return np.array(
        [
            # Behind the best, how far behind says nothing: both may be heard.
            math.log(max(fit.z / others.rival_z, 1.0)),
            math.log(max((1 + votes) / (1 + others.rival_votes), 1.0)),
            math.log(max((1 + votes) / (1 + others.most_votes), 1.0)),
            *fit.measures,
            math.log(others.crowd_z),
        ]
    )


def evenness(z_map: Level, peaks: HeardPeaks) -> float:
    """How alike a track's peaks fit the probe all the time: the log of Student's t of how they fit in its parts."""
    return _evenness(_fit_in_parts(z_map, peaks)[0])


def fits_evenly(evenness: float, length_s: float) -> bool:
    """Whether such evenness, in a probe of that length, says that the track fits alike all the time."""
    return evenness > EVEN + 0.5 * math.log(length_s / 5)


def _evenness(steadiness: float) -> float:
    return math.log(max(steadiness, 0.5))


def _fit_in_parts(z_map: Level, peaks: HeardPeaks) -> tuple[float, float, float, float]:
    """Steadiness, share of hits, mean of the strong peaks, and the sum of all squared weights."""
    groups = np.zeros((2, _TIME_GROUPS))
    return _fit_here(z_map, peaks.at, peaks.bin, peaks.weight, HIT, STRONG, groups[0], groups[1])


@compiled
def _fit_here(
    z_map: Level,
    at: npt.NDArray[np.int32],
    bins: npt.NDArray[np.int32],
    weight: npt.NDArray[np.float32],
    hit: float,
    strong: float,
    total: Vector,
    square: Vector,
) -> tuple[float, float, float, float]:
    weights, hits, strong_total, strong_peaks, squares = 0.0, 0.0, 0.0, 0, 0.0
    for p in range(at.size):
        heard, group = z_map[at[p], bins[p]], at[p] * total.size // z_map.shape[0]
        total[group] += weight[p] * heard
        square[group] += weight[p] * weight[p]
        weights += weight[p]
        hits += weight[p] if heard > hit else 0.0
        if weight[p] > strong:
            strong_total += heard
            strong_peaks += 1
    for group in range(square.size):
        squares += square[group]
    return (
        _steadiness(total, square),
        hits / weights if weights else 0.0,
        strong_total / strong_peaks if strong_peaks else 0.0,
        squares,
    )


@compiled
def _steadiness(total: Vector, square: Vector) -> float:
    """Student's t of the z scores of the groups: high if all of them fit alike."""
    told, mean, mean_square = 0, 0.0, 0.0
    for group in range(square.size):
        if square[group]:
            z = total[group] / np.sqrt(square[group])
            told, mean, mean_square = told + 1, mean + z, mean_square + z * z
    if told < 3:
        return 0.0
    mean, mean_square = mean / told, mean_square / told
    spread = np.sqrt(max(mean_square - mean * mean, 0.0))
    # The 0.5 keeps a handful of equal groups from looking infinitely certain.
    return float(mean / ((spread + 0.5) / np.sqrt(told)))


@compiled
def _z_at_shifts(
    z_map: Level,
    at: npt.NDArray[np.int32],
    bins: npt.NDArray[np.int32],
    weight: npt.NDArray[np.float32],
    shifts: npt.NDArray[np.int32],
    z: Vector,
) -> None:
    # Unsigned, what lies before the map lies far behind it: one question in place of two.
    frames, width = np.uint64(z_map.shape[0]), np.uint64(z_map.shape[1])
    for s in range(shifts.shape[0]):
        later, higher = np.int64(shifts[s, 0]), np.int64(shifts[s, 1])
        total, square = 0.0, 0.0
        for p in range(at.size):
            t, b = np.uint64(at[p] + later), np.uint64(bins[p] + higher)
            if t < frames and b < width:
                total += weight[p] * z_map[t, b]
                square += weight[p] * weight[p]
        z[s] = total / np.sqrt(square) if square else 0.0
