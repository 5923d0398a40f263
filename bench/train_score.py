"""Fit pipeline/engine/score.json, the models that turn evidence into a probability.

    python bench/train_score.py DIR [--lengths 5,10,15]

DIR is a folder made by fpbench.py from music and seeds that no acceptance test uses. Every query is searched twice: as
it is, and with its own track taken out of the catalogue, so that everything found is wrong. Some are also searched at
another speed, since the benchmark never has noise and another speed at once. Evidence is kept in DIR/evidence.npz.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import signal

from bench.music import Excerpt, catalogue_of, excerpts, heard
from pipeline.engine import score
from pipeline.engine.bent import search_bent
from pipeline.engine.hits import hear, peaks_shared
from pipeline.engine.query import Query, make_query
from pipeline.engine.search import Part, search_plain
from pipeline.model import Pcm

SPED_UP = ("mp3_128", "pink_10", "pink_0", "room", "voice_0")
"""Degradations also heard at another speed."""

SAME_RECORDING = 0.35
"""Share of common peaks above which a 'wrong' track is the right recording under another name, and teaches nothing."""

RIDGE = 1.0


@dataclass(frozen=True)
class Evidence:
    """One judged candidate: `case` counts searches."""

    case: int
    bent: bool
    right: bool
    known: bool
    length_s: int
    degradation: str
    features: score.Vector
    said: str


def collect(folder: Path, lengths_s: tuple[int, ...]) -> list[Evidence]:
    """The evidence of every search over the folder's queries."""
    parts = catalogue_of(folder, folder / "catalogue")._state.parts
    rng = np.random.default_rng(5)
    rows: list[Evidence] = []
    for number, (excerpt, pcm) in enumerate(heard(folder, excerpts(folder, lengths_s=lengths_s))):
        variants = [(excerpt.degradation, pcm)]
        if excerpt.degradation in SPED_UP:
            variants.append((f"{excerpt.degradation}*speed", _at_other_speed(pcm, int(rng.integers(-9, 10)))))
        for degradation, sound in variants:
            query = make_query(sound)
            if query is not None:
                for found in _judged(query, parts, excerpt, degradation):
                    rows.append(Evidence(number, *found))
    return rows


def _at_other_speed(pcm: Pcm, percent: int) -> Pcm:
    changed = signal.resample_poly(pcm.astype(np.float64), 100, 100 + percent)
    return np.clip(np.rint(changed), -32768, 32767).astype(np.int16)


def _judged(query: Query, parts: Sequence[Part], excerpt: Excerpt, degradation: str) -> Iterator[tuple]:
    right = None
    for bent, search in ((False, search_plain), (True, search_bent)):
        found = search(query, parts)
        for candidate in found:
            is_right = excerpt.known and candidate.track.path.endswith(excerpt.track)
            if is_right:
                right = hear(query, candidate)
        others = search(query, _without(parts, excerpt.track)) if excerpt.known else []
        for candidate, known in [*((c, excerpt.known) for c in found), *((c, False) for c in others)]:
            is_right = known and candidate.track.path.endswith(excerpt.track)
            same = right is not None and peaks_shared(query, right, hear(query, candidate)) >= SAME_RECORDING
            if is_right or not same:
                yield (
                    bent, is_right, known, excerpt.length_s, degradation,
                    candidate.features(query), f"{excerpt.track} -> {candidate.track.title}",
                )  # fmt: skip


def _without(parts: Sequence[Part], track: str) -> list[Part]:
    return [
        Part(part.shard, np.array([stored.track.path.endswith(track) for stored in part.shard.tracks]))
        for part in parts
    ]


if __name__ == "__main__":
    pass
