"""Evidence to probability: what tells the right track from one that merely shares its chords and its beat."""

from __future__ import annotations

import json
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
        return f"{self}_no_accident"

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
    """How many of the answers that were judged so were right, among answers about music that nothing was fitted on."""
    judged, worth = _worth()
    return float(1 / (1 + np.exp(-np.interp(log_odds, judged, worth))))


@cache
def _worth() -> tuple[Vector, Vector]:
    told = _score_json()["confidence"]
    return np.array(told["log_odds"]), np.array(told["worth"])


@cache
def _score_json() -> dict[str, dict[str, Any]]:
    kept: dict[str, dict[str, Any]] = json.loads(
        resources.files(__package__).joinpath("score.json").read_text("ascii")
    )
    return kept


def both_log_odds(one: float, other: float) -> float:
    """The log-odds that two things are true, neither of which tells anything of the other."""
    return float(-np.log(np.expm1(np.logaddexp(0, -one) + np.logaddexp(0, -other))))


def features(
    z_map: Level,
    peaks: HeardPeaks,
    *,
    votes: int,
    others: Others,
) -> Vector:
    """Describe how a track's peaks and its votes fit the probe: [FEATURES]."""
    z = np.empty(len(_SHIFTS))
    _z_at_shifts(z_map, peaks.at, peaks.bin, peaks.weight, _SHIFTS, z)
    time, bin_ = z[1 : 1 + len(_TIME_SHIFTS)], z[1 + len(_TIME_SHIFTS) :]
    heard = z_map[peaks.at, peaks.bin]
    strong = peaks.weight > STRONG
    fit = max(z[0], 1.0)
    # The floors keep what is near nothing from looking infinitely small beside it.
    return np.array(
        [
            # Behind the best, how far behind says nothing: both may be heard.
            np.log(max(fit / others.rival_z, 1.0)),
            np.log(max((1 + votes) / (1 + others.rival_votes), 1.0)),
            np.log(max((1 + votes) / (1 + others.most_votes), 1.0)),
            np.log(max((z[0] - time.mean()) / (time.std() + 0.3), 0.5)),
            np.log(fit / max(np.max(bin_), 2.0)),
            evenness(z_map, peaks),
            np.average(heard > HIT, weights=peaks.weight) if len(heard) else 0.0,
            float(np.mean(heard[strong])) if strong.any() else 0.0,
            np.log(fit / np.sqrt(max(float(np.sum(peaks.weight**2)), 1.0))),
            np.log(others.crowd_z),
        ]
    )


def evenness(z_map: Level, peaks: HeardPeaks) -> float:
    """How alike a track's peaks fit the probe all the time: the log of Student's t of how they fit in its parts."""
    heard = z_map[peaks.at, peaks.bin]
    return float(np.log(max(_steadiness(heard, peaks.weight, peaks.at * _TIME_GROUPS // len(z_map)), 0.5)))


def fits_evenly(evenness: float, length_s: float) -> bool:
    """Whether such evenness, in a probe of that length, says that the track fits alike all the time."""
    return evenness > EVEN + 0.5 * float(np.log(length_s / 5))


def _steadiness(
    heard: npt.NDArray[np.float32], weight: npt.NDArray[np.float32], group: npt.NDArray[np.int32]
) -> float:
    """Student's t of the z scores of the groups: high if all of them fit alike."""
    square = np.bincount(group, weights=weight**2)
    total = np.bincount(group, weights=weight * heard)
    z = total[square > 0] / np.sqrt(square[square > 0])
    if len(z) < 3:
        return 0.0
    # The 0.5 keeps a handful of equal groups from looking infinitely certain.
    return float(z.mean() / ((z.std() + 0.5) / np.sqrt(len(z))))


@compiled
def _z_at_shifts(
    z_map: Level,
    at: npt.NDArray[np.int32],
    bins: npt.NDArray[np.int32],
    weight: npt.NDArray[np.float32],
    shifts: npt.NDArray[np.int32],
    z: Vector,
) -> None:
    frames, width = z_map.shape
    for s in range(shifts.shape[0]):
        total, square = 0.0, 0.0
        for p in range(at.size):
            t, b = at[p] + shifts[s, 0], bins[p] + shifts[s, 1]
            if 0 <= t < frames and 0 <= b < width:
                total += weight[p] * z_map[t, b]
                square += weight[p] * weight[p]
        z[s] = total / np.sqrt(square) if square else 0.0
