"""Evidence to probability: what tells the right track from one that merely shares its chords and its beat."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

import numpy as np
import numpy.typing as npt

from pipeline.engine.jit import compiled
from pipeline.engine.spectrum import Level

FEATURES: Final = (
    "fit",
    "fit_per_peak",
    "fit_over_crowd",
    "votes_over_others",
    "fit_over_shifts",
    "fit_over_bins",
    "t_time",
    "hit_share",
)
"""What `features` measures, in this order; all but the last are logarithms."""

Vector = npt.NDArray[np.float64]

_TIME_SHIFTS: Final = np.concatenate([np.arange(-60, -9, 2), np.arange(10, 61, 2)]).astype(np.int32)
"""Frames: a wrong track with the same beat fits at these shifts as well as at none."""
_BIN_SHIFTS: Final = np.concatenate([np.arange(-9, -2), np.arange(3, 10)]).astype(np.int32)
"""Bins: a wrong track with much energy everywhere fits a semitone or three away as well."""
_SHIFTS: Final = np.concatenate(
    [
        np.stack([np.zeros(1, np.int32), np.zeros(1, np.int32)], axis=1),
        np.stack([_TIME_SHIFTS, np.zeros_like(_TIME_SHIFTS)], axis=1),
        np.stack([np.zeros_like(_BIN_SHIFTS), _BIN_SHIFTS], axis=1),
    ]
)

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


@cache
def model(name: str) -> Model:
    """The fitted model for `plain` or `bent` (other tempo or pitch) candidates, from score.json beside this file."""
    fitted = json.loads(resources.files(__package__).joinpath("score.json").read_text("ascii"))[name]
    if tuple(fitted["features"]) != FEATURES:
        raise AssertionError("score.json was fitted on other features: run bench/train_score.py")
    return Model(
        fitted["bias"], np.array(fitted["weight"]), np.array(fitted["centre"]), np.array(fitted["scale"])
    )


def features(
    z_map: Level,
    at: npt.NDArray[np.int32],
    bins: npt.NDArray[np.int32],
    *,
    votes: int,
    repeat_votes: int,
    crowd: float,
    crowd_votes: int,
) -> Vector:
    """Describe how a track's peaks (frame and bin in the probe, [peaks]) fit the probe: [FEATURES].

    `crowd` and `crowd_votes` are the z score and the votes that other tracks reach by accident, `repeat_votes` the
    votes of the best other place in the same track: music made of loops draws votes from all music with a beat.
    """
    z = np.empty(len(_SHIFTS))
    _z_at_shifts(z_map, at, bins, _SHIFTS, z)
    time, bin_ = z[1 : 1 + len(_TIME_SHIFTS)], z[1 + len(_TIME_SHIFTS) :]
    heard = z_map[at, bins]
    fit = max(z[0], 1.0)
    # The floors keep what is near nothing from looking infinitely small beside it.
    return np.array(
        [
            np.log(fit),
            np.log(fit / np.sqrt(max(len(heard), 1))),
            np.log(fit / crowd),
            np.log((1 + votes) / np.sqrt((1 + crowd_votes) * (1 + max(crowd_votes, repeat_votes)))),
            np.log(max((z[0] - time.mean()) / (time.std() + 0.3), 0.5)),
            np.log(fit / max(np.max(bin_), 2.0)),
            np.log(max(_steadiness(heard, at * _TIME_GROUPS // len(z_map), _TIME_GROUPS), 0.5)),
            np.mean(heard > 0.5) if len(heard) else 0.0,
        ]
    )


def _steadiness(heard: npt.NDArray[np.float32], group: npt.NDArray[np.int32], groups: int) -> float:
    """Student's t of the z scores of the groups: high if all of them fit alike."""
    count = np.bincount(group, minlength=groups)
    total = np.bincount(group, weights=heard, minlength=groups)
    z = total[count > 0] / np.sqrt(count[count > 0])
    if len(z) < 3:
        return 0.0
    # The 0.5 keeps a handful of equal groups from looking infinitely certain.
    return float(z.mean() / ((z.std() + 0.5) / np.sqrt(len(z))))


@compiled
def _z_at_shifts(
    z_map: Level,
    at: npt.NDArray[np.int32],
    bins: npt.NDArray[np.int32],
    shifts: npt.NDArray[np.int32],
    z: Vector,
) -> None:
    frames, width = z_map.shape
    for s in range(shifts.shape[0]):
        total, count = 0.0, 0
        for p in range(at.size):
            t, b = at[p] + shifts[s, 0], bins[p] + shifts[s, 1]
            if 0 <= t < frames and 0 <= b < width:
                total += z_map[t, b]
                count += 1
        z[s] = total / np.sqrt(count) if count else 0.0
