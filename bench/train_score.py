"""Fit pipeline/engine/score.json, the models that turn evidence into a probability.

    python -m bench.train_score DIR... [--lengths 5,15] [--every 1]

DIR is a folder made by fpbench.py, of music and with a seed that no acceptance test uses. The models shipped come from
two, made with --tracks 60 --seed 11 and --tracks 40 --seed 13 of the packages in PACKAGES, by --every 3. Every query is
searched twice: as it is, and with its own track taken out of the catalogue, so that everything found is wrong. Some are
also searched at another speed, since the benchmark never has noise and another speed at once.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import signal

from bench.music import Excerpt, catalogue_of, excerpts, heard
from pipeline.engine import score
from pipeline.engine.bent import search_bent
from pipeline.engine.query import Query, make_query
from pipeline.engine.score import FEATURES, Vector
from pipeline.engine.search import Part, search_plain
from pipeline.engine.verify import peaks_shared
from pipeline.model import Pcm

PACKAGES = (
    {
        "--packages": "wesnoth-1.16-music,btanks-data,pingus-data,neverball-data,warzone2100-music",
        "--unknown": "freedroidrpg-data,lincity-ng-data,extremetuxracer-data,teeworlds-data",
    },
    {
        "--packages": "torus-trooper-data,parsec47-data,tumiki-fighters-data,noiz2sa-data,titanion-data,gunroar-data,"
        "mu-cade-data,marsshooter-data,starfighter-data,openarena-data",
        "--unknown": "lugaru-data,frozen-bubble-data,ardentryst,a7xpg-data,val-and-rick-data",
    },
)
"""Orchestras first, then loops and machines: each deceives in its own way."""

ALSO_AT_OTHER_SPEED = ("mp3_128", "pink_10", "pink_0", "room", "voice_0")

SAME_RECORDING = 0.35
"""A 'wrong' track that once shared this many peaks with the right one is the same music, and teaches nothing."""

SHARED_LOOPS = ("warzone2100-music", "mu-cade-data", "marsshooter-data")
"""Games whose tracks are made of the same loops: who takes one for another is not simply wrong, and teaches nothing."""

ANOTHER_TEMPO_OR_PITCH = ("speed+4", "speed-8", "tempo+5", "tempo-10", "pitch+1st")

RIDGE = 1.0
FOLDS = 4


@dataclass(frozen=True)
class Evidence:
    """One judged candidate."""

    bent: bool
    right: bool
    track: str
    found: str
    shared: float
    degradation: str
    length_s: int
    features: Vector


def collect(folder: Path, lengths_s: tuple[int, ...], every: int) -> list[Evidence]:
    """The evidence of the searches over the folder's queries."""
    parts = catalogue_of(folder, folder / "catalogue").parts
    rng = np.random.default_rng(5)
    rows: list[Evidence] = []
    for excerpt, pcm in heard(folder, excerpts(folder, lengths_s=lengths_s)[::every]):
        variants = [(excerpt.degradation, pcm)]
        if excerpt.degradation in ALSO_AT_OTHER_SPEED:
            variants.append((f"{excerpt.degradation}*speed", _at_speed(pcm, int(rng.integers(-9, 10)))))
        for degradation, sound in variants:
            query = make_query(sound)
            if query is not None:
                rows += _judged(query, parts, excerpt, degradation)
    return rows


def _at_speed(pcm: Pcm, percent: int) -> Pcm:
    changed = signal.resample_poly(pcm.astype(np.float64), 100, 100 + percent)
    return np.clip(np.rint(changed), -32768, 32767).astype(np.int16)


def _judged(query: Query, parts: Sequence[Part], excerpt: Excerpt, degradation: str) -> Iterator[Evidence]:
    for bent, search in ((False, search_plain), (True, search_bent)):
        found = search(query, parts)
        right = [c for c in found if excerpt.known and c.track.path.endswith(excerpt.track)]
        wrong = search(query, _without(parts, excerpt.track)) if excerpt.known else found
        for candidate in [*right, *wrong]:
            is_right = candidate in right
            shared = peaks_shared(right[0].heard_peaks(query), candidate.heard_peaks(query)) if right else 0.0
            yield Evidence(
                bent, is_right, excerpt.track, candidate.track.path, shared, degradation, excerpt.length_s,
                candidate.features,
            )  # fmt: skip


def _without(parts: Sequence[Part], track: str) -> list[Part]:
    return [
        Part(part.shard, part.removed | [stored.track.path.endswith(track) for stored in part.shard.tracks])
        for part in parts
    ]


def instructive(rows: Sequence[Evidence]) -> list[Evidence]:
    """The evidence without what is neither right nor wrong.

    That is wrong tracks that are other versions of the right one, and right tracks that the plain pass hit upon at a
    tempo or pitch it does not hear: right by accident, at a wrong place.
    """
    related = {(row.track, row.found) for row in rows if row.shared >= SAME_RECORDING}
    return [row for row in rows if (_by_merit(row) if row.right else _really_wrong(row, related))]


def _by_merit(row: Evidence) -> bool:
    return row.bent or not row.degradation.endswith((*ANOTHER_TEMPO_OR_PITCH, "*speed"))


def _really_wrong(row: Evidence, related: set[tuple[str, str]]) -> bool:
    game = row.track.split("/")[0]
    return (row.track, row.found) not in related and not (game in SHARED_LOOPS and f"/{game}/" in row.found)


def fitted(x: Vector, right: Vector) -> score.Model:
    """Ridge-penalised logistic regression by Newton's method: x [rows, FEATURES], right [rows] of 0 and 1."""
    centre, scale = x.mean(axis=0), x.std(axis=0) + 1e-9
    design = np.column_stack([np.ones(len(x)), (x - centre) / scale])
    penalty = np.diag([0.0] + [RIDGE] * x.shape[1])
    weights = np.zeros(design.shape[1])
    for _ in range(100):
        chance = 1 / (1 + np.exp(-np.clip(design @ weights, -40, 40)))
        curvature = design.T @ (design * (chance * (1 - chance) + 1e-9)[:, None]) + penalty
        step = np.linalg.solve(curvature, design.T @ (right - chance) - penalty @ weights)
        weights += step
        if np.abs(step).max() < 1e-8:
            break
    return score.Model(float(weights[0]), weights[1:], centre, scale)


def _report(name: str, rows: Sequence[Evidence], x: Vector, right: Vector) -> None:
    """Judge by tracks that were not fitted on: calibration, and what each threshold keeps in and out."""
    fold = np.array([sum(row.track.encode()) % FOLDS for row in rows])
    odds = np.zeros(len(rows))
    for held_out in range(FOLDS):
        trained = fitted(x[fold != held_out], right[fold != held_out])
        odds[fold == held_out] = [trained.log_odds(features) for features in x[fold == held_out]]
    print(f"{name}: {len(rows)} candidates, {int(right.sum())} right")
    for low, high in ((-6, -4), (-4, -2), (-2, 0), (0, 1), (1, 2), (2, 3), (3, 5), (5, 99)):
        inside = (odds >= low) & (odds < high)
        if inside.any():
            said = float(np.mean(1 / (1 + np.exp(-odds[inside]))))
            count, share = int(inside.sum()), right[inside].mean()
            print(f"  odds {low:3} to {high:3}: {count:6} candidates, {share:.3f} right, said {said:.3f}")
    for threshold in (1.5, 2, 2.5, 3, 3.5, 4):
        wrong = int(((odds >= threshold) & (right == 0)).sum())
        kept = ((odds >= threshold) & (right == 1)).sum() / right.sum()
        print(f"  from {threshold}: {wrong} wrong, {100 * kept:.2f} % of the right ones")
    for i in np.argsort(np.where(right == 0, -odds, 99))[:8]:
        row = rows[i]
        print(f"  wrong at {odds[i]:.2f}: {row.track} -> {row.found} {row.degradation} {row.length_s} s")


def _written(model: score.Model) -> dict[str, Any]:
    def numbers(vector: Vector) -> list[float]:
        return [round(float(value), 4) for value in vector]

    return {
        "features": list(FEATURES),
        "bias": round(model.bias, 4),
        "weight": numbers(model.weight),
        "centre": numbers(model.centre),
        "scale": numbers(model.scale),
    }


def _write(models: dict[str, Any]) -> None:
    Path(score.__file__).with_name("score.json").write_text(json.dumps(models, indent=1) + "\n", "ascii")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--lengths", default="5,15", help="seconds, between commas")
    parser.add_argument(
        "--every", type=int, default=1, help="take each n-th query only; odd, since the lengths alternate"
    )
    arguments = parser.parse_args()
    lengths_s = tuple(map(int, arguments.lengths.split(",")))
    # Evidence comes out of the search, which needs models of the present FEATURES to rank by: these weigh nothing.
    blank = score.Model(0.0, *(np.full(len(FEATURES), value) for value in (0.0, 0.0, 1.0)))
    _write({"plain": _written(blank), "bent": _written(blank)})
    rows = [
        row
        for folder in arguments.folders
        for row in instructive(collect(folder, lengths_s, arguments.every))
    ]
    models = {}
    for name, bent in (("plain", False), ("bent", True)):
        judged = [row for row in rows if row.bent is bent]
        x, right = np.array([row.features for row in judged]), np.array([float(row.right) for row in judged])
        _report(name, judged, x, right)
        models[name] = _written(fitted(x, right))
    _write(models)


if __name__ == "__main__":
    main()
