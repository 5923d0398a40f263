"""Logistic models fitted to evidence, and the file that the engine reads them from."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from pipeline.engine import score
from pipeline.engine.heard import NAMED_LOG_ODDS
from pipeline.engine.score import Vector

SCORE: Final = Path(score.__file__).with_name("score.json")

RIDGE: Final = 1.0
FOLDS: Final = 5
HOPELESS: Final = -3.0
"""Log-odds below which the likeliest answer does not tell how steep models should be."""

KNOTS: Final = (-8.0, -2.0, 0.0, 2.0, 8.0)
"""Log-odds between which what they are worth is interpolated, and beyond which it is that of the last."""
GRADES_BELOW: Final = (1.0, NAMED_LOG_ODDS)
"""Log-odds at which the grades of what is not named end."""


class Judged(Protocol):
    """Evidence of one candidate of one search."""

    @property
    def search(self) -> Hashable: ...

    @property
    def right(self) -> bool: ...


def fitted(x: Vector, right: Vector, ridge: float = RIDGE) -> score.Model:
    """Ridge-penalised logistic regression by Newton's method: x [rows, features], right [rows] of 0 and 1."""
    centre, scale = x.mean(axis=0), x.std(axis=0) + 1e-9
    design = np.column_stack([np.ones(len(x)), (x - centre) / scale])
    penalty = np.diag([0.0] + [ridge] * x.shape[1])
    weights = np.zeros(design.shape[1])
    for _ in range(100):
        chance = 1 / (1 + np.exp(-np.clip(design @ weights, -40, 40)))
        curvature = design.T @ (design * (chance * (1 - chance) + 1e-9)[:, None]) + penalty
        step = np.linalg.solve(curvature, design.T @ (right - chance) - penalty @ weights)
        weights += step
        if np.abs(step).max() < 1e-8:
            break
    return score.Model(float(weights[0]), weights[1:], centre, scale)


def fold_of(track: str) -> int:
    """Rows of one track are judged together, by a model that never heard it."""
    return sum(track.encode()) % FOLDS


def likeliest(rows: Sequence[Judged], log_odds: Sequence[float]) -> tuple[Vector, npt.NDArray[np.bool_]]:
    """What each search would answer: the log-odds, and whether it is right; once as it is, once without its track."""
    best: dict[tuple[Hashable, bool], float] = defaultdict(lambda: -np.inf)
    for row, odds in zip(rows, log_odds, strict=True):
        best[row.search, row.right] = max(best[row.search, row.right], odds)
    return np.array(list(best.values())), np.array([right for _, right in best])


@dataclass(frozen=True)
class Line:
    """What log-odds are to be multiplied by, and what then added, so that they claim what is right."""

    slope: float
    bias: float

    def of(self, model: score.Model) -> score.Model:
        """The model that claims so."""
        return score.Model(
            self.slope * model.bias + self.bias, self.slope * model.weight, model.centre, model.scale
        )


def line_through(said: Vector, right: npt.NDArray[np.bool_]) -> Line:
    """The line that log-odds that were said want, of which those answers were right."""
    telling = said > HOPELESS
    model = fitted(said[telling, None], right[telling].astype(np.float64), ridge=0.01)
    slope = float(model.weight[0] / model.scale[0])
    return Line(slope, model.bias - slope * float(model.centre[0]))


def worth(said: Vector, right: npt.NDArray[np.bool_]) -> Vector:
    """What log-odds of KNOTS are worth, where those that were said were right so often: a line that bends at each."""
    model = fitted(_by_knot(said), right.astype(np.float64), ridge=0.01)
    told = np.array([model.log_odds(row) for row in _by_knot(np.array(KNOTS))])
    if (np.diff(told) <= 0).any():
        raise ValueError(f"answers are not right more often the surer they are, by {told}: they are too few")
    return told


def graded(said: Vector, right: npt.NDArray[np.bool_]) -> Vector:
    """How many of those that were said, of each grade, were right: a share for each."""
    grade = np.searchsorted(GRADES_BELOW, said, side="right")
    shares = np.array([right[grade == number].mean() for number in range(len(GRADES_BELOW))])
    if not (np.diff(shares) > 0).all():
        raise ValueError(f"answers of the grades are right by {shares}: they are too few")
    return shares


def _by_knot(log_odds: Vector) -> Vector:
    within = np.clip(log_odds, KNOTS[0], KNOTS[-1])
    return np.column_stack([within, *(np.maximum(within - knot, 0) for knot in KNOTS[1:-1])])


def made_steep(
    models: Mapping[str, score.Model], rows: Sequence[Judged], log_odds: Sequence[float]
) -> dict[str, score.Model]:
    """The models as steep as the likeliest answers of all searches, whose log-odds by them are given, want them.

    The best of many candidates is another matter than each of them. Who asks is taken to ask for known music as often
    as for unknown.
    """
    said, right = likeliest(rows, log_odds)
    line = line_through(said, right)
    more_wrong = float(np.log((~right).sum() / right.sum()))
    return {name: Line(line.slope, line.bias + more_wrong).of(model) for name, model in models.items()}


def print_reliability(rows: Sequence[Judged], log_odds: Sequence[float], thresholds: Sequence[float]) -> None:
    """Print what the likeliest answers claim and how many are right, and what thresholds keep in and out."""
    odds, right = likeliest(rows, log_odds)
    claimed = 1 / (1 + np.exp(-odds))
    weight = np.where(right, (~right).sum() / right.sum(), 1.0)
    for tenth in range(10):
        inside = np.minimum((10 * claimed).astype(int), 9) == tenth
        if inside.any():
            said, was = (
                100 * np.average(those[inside], weights=weight[inside]) for those in (claimed, right)
            )
            print(f"  {tenth / 10:.1f}: {inside.sum():5} answers, {said:5.1f} % claimed, {was:5.1f} % right")
    print("  the likeliest wrong ones:", *np.round(np.sort(odds[~right])[:-6:-1], 1))
    for threshold in thresholds:
        wrong, kept = int((odds[~right] >= threshold).sum()), 100 * (odds[right] >= threshold).mean()
        print(
            f"  from {threshold}: {wrong} wrong of {(~right).sum()}, {kept:.2f} % of {right.sum()} right ones"
        )


def write(models: Mapping[str, score.Model], features: Sequence[str]) -> None:
    """Put models of these features where the engine reads them, in place of those of the same names."""
    _keep(
        {
            name: {
                "features": list(features),
                "bias": round(model.bias, 4),
                "weight": _numbers(model.weight),
                "centre": _numbers(model.centre),
                "scale": _numbers(model.scale),
            }
            for name, model in models.items()
        }
    )


def write_worth(told: Vector, grades: Vector) -> None:
    """Put what log-odds of KNOTS are worth, and the grades of what is not named, where the engine reads it."""
    right = {"below": list(GRADES_BELOW), "right": [round(float(share), 2) for share in grades]}
    _keep({"confidence": {"log_odds": list(KNOTS), "worth": _numbers(told), "grades": right}})


def _numbers(vector: Vector) -> list[float]:
    return [round(float(value), 4) for value in vector]


def _keep(parts: Mapping[str, object]) -> None:
    SCORE.write_text(json.dumps(json.loads(SCORE.read_text("ascii")) | parts, indent=1) + "\n", "ascii")
