"""Logistic models fitted to evidence, and the file that the engine reads them from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from pipeline.engine import score
from pipeline.engine.score import Vector

SCORE: Final = Path(score.__file__).with_name("score.json")

RIDGE: Final = 1.0
FOLDS: Final = 5


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


def write(models: Mapping[str, score.Model], features: Sequence[str]) -> None:
    """Put models of these features where the engine reads them, in place of those of the same names."""

    def numbers(vector: Vector) -> list[float]:
        return [round(float(value), 4) for value in vector]

    kept = json.loads(SCORE.read_text("ascii"))
    for name, model in models.items():
        kept[name] = {
            "features": list(features),
            "bias": round(model.bias, 4),
            "weight": numbers(model.weight),
            "centre": numbers(model.centre),
            "scale": numbers(model.scale),
        }
    SCORE.write_text(json.dumps(kept, indent=1) + "\n", "ascii")
