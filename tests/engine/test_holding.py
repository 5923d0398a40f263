"""Whether a track can still be named is asked once for every file of a run, so it must cost next to nothing."""

import time
from types import SimpleNamespace

import numpy as np

from pipeline.engine.catalogue import Catalogue
from pipeline.engine.manifest import Manifest
from pipeline.engine.search import Part
from pipeline.engine.store import State

TRACKS = 5_000


def holding(tmp_path) -> Catalogue:
    tracks = [SimpleNamespace(track=SimpleNamespace(track_id=f"t{number}")) for number in range(TRACKS)]
    removed = np.zeros(TRACKS, np.bool_)
    removed[7] = True
    part = Part(SimpleNamespace(tracks=tracks, name="shard"), removed)  # type: ignore[arg-type]
    return Catalogue(tmp_path, State(Manifest(lineage="test"), (part,)))


def test_a_removed_track_is_not_held(tmp_path) -> None:
    catalogue = holding(tmp_path)
    assert [catalogue.holds(track_id) for track_id in ("t6", "t7", "t8", "other")] == [
        True,
        False,
        True,
        False,
    ]


def test_many_files_of_a_large_catalogue_are_looked_up_in_no_time(tmp_path) -> None:
    catalogue = holding(tmp_path)
    began = time.process_time()
    assert sum(catalogue.holds(f"t{number}") for number in range(TRACKS)) == TRACKS - 1
    assert time.process_time() - began < 0.5
