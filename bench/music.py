"""A benchmark folder made by fpbench.py: its catalogue of real music, and the degraded excerpts to name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.audio import open_decoder
from pipeline.engine.catalogue import Catalogue
from pipeline.engine.tracks import Entry, KnownTrack
from pipeline.model import Pcm


@dataclass(frozen=True)
class Excerpt:
    """One query of the benchmark."""

    file: str
    track: str
    known: bool
    degradation: str
    length_s: int
    offset_s: float


def catalogue_of(folder: Path, kept_in: Path) -> Catalogue:
    """The catalogue of the folder's known tracks, fingerprinted at the first call."""
    catalogue = Catalogue.open(kept_in, create=True)
    known = json.loads((folder / "catalogue.json").read_text())["known"]
    have = {track.path for track in catalogue.tracks()}
    with open_decoder() as decoder:
        catalogue.add(
            Entry(KnownTrack("", title=Path(path).stem, path=path), decoder.whole(path))
            for path, _ in known
            if path not in have
        )
    return catalogue


def excerpts(folder: Path, *, lengths_s: tuple[int, ...] = (5, 10, 15)) -> list[Excerpt]:
    """The queries of these lengths, in the benchmark's order."""
    return [
        Excerpt(row["file"], row["track"], bool(row["known"]), row["deg"], row["len"], row["offset"])
        for row in json.loads((folder / "queries.json").read_text())
        if row["len"] in lengths_s
    ]


def heard(folder: Path, queries: list[Excerpt]) -> Iterator[tuple[Excerpt, Pcm]]:
    """Each query with its sound, decoded once for all runs over this folder."""
    kept = folder / "queries-8k.npz"
    if not kept.exists():
        with open_decoder() as decoder:
            sounds = {
                query.file: np.concatenate(list(decoder.whole(str(folder / "q" / query.file))))
                for query in excerpts(folder)
            }
        np.savez(kept, **sounds)
    with np.load(kept) as sounds:
        for query in queries:
            yield query, sounds[query.file]
