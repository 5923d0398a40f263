"""Shards on disk: merged without changing an answer, committed on the way, and no larger than a posting can tell."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.engine import catalogue as catalogues
from pipeline.engine.catalogue import Catalogue, Outcome
from pipeline.engine.hits import Hit
from pipeline.engine.shard import frames_taken
from pipeline.engine.spectrum import frame_count
from pipeline.engine.tracks import Entry
from pipeline.model import Pcm
from tests.engine.melodies import cut, entry, named, tune


def answers(catalogue: Catalogue, probe: Pcm) -> list[Hit]:
    """The hits without what depends on how many chance places each shard offers for comparison: the odds."""
    return [replace(hit, confidence=round(hit.confidence, 2), log_odds=0) for hit in catalogue.search(probe)]


def test_compacting_changes_no_answer_and_gives_back_space(three: Path) -> None:
    catalogue = Catalogue.open(three)
    catalogue.add([entry(4)])
    catalogue.add([entry(5)])
    catalogue.remove(["tune-1", "tune-4"])
    probes = [cut(tune(seed), 7.7, 6) for seed in (1, 2, 3, 4, 5)]
    tracks, before = catalogue.tracks(), [answers(catalogue, probe) for probe in probes]
    size = sum(path.stat().st_size for path in three.iterdir())

    catalogue.compact()

    assert catalogue.tracks() == tracks
    assert [answers(catalogue, probe) for probe in probes] == before
    assert [[hit.track_id for hit in hits] for hits in before] == [[], ["tune-2"], ["tune-3"], [], ["tune-5"]]
    assert len(list(three.glob("shard-*"))) == 1
    assert sum(path.stat().st_size for path in three.iterdir()) < 0.62 * size  # two of five tunes are gone


def test_compacting_away_the_last_track_leaves_an_empty_catalogue(three: Path) -> None:
    catalogue = Catalogue.open(three)
    catalogue.remove(track.track_id for track in catalogue.tracks())
    catalogue.compact()

    assert len(Catalogue.open(three)) == 0
    assert named(catalogue, 1) == []
    assert list(three.glob("shard-*")) == []


def test_many_small_additions_are_merged_by_themselves(tmp_path: Path) -> None:
    catalogue = Catalogue.open(tmp_path, create=True)
    for seed in range(catalogues.MAX_SMALL_SHARDS + 1):
        catalogue.add([entry(seed, 12)])

    assert len(list(tmp_path.glob("shard-*"))) == 1
    assert len(catalogue) == catalogues.MAX_SMALL_SHARDS + 1


def test_a_long_addition_is_committed_on_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogues, "SHARD_LANDMARKS", 2000)
    seen = []

    def entries() -> Iterator[Entry]:
        for seed in range(4):
            seen.append(len(Catalogue.open(tmp_path)))
            yield entry(seed, 12)

    Catalogue.open(tmp_path, create=True).add(entries())

    assert seen[0] == 0
    assert 0 < seen[-1] < 4
    assert len(Catalogue.open(tmp_path)) == 4


def test_a_shard_takes_no_more_frames_than_a_posting_can_tell_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = frames_taken(frame_count(len(tune(1))))
    monkeypatch.setattr(catalogues, "MAX_FRAMES", 2 * room)
    catalogue = Catalogue.open(tmp_path, create=True)

    added = catalogue.add([*map(entry, (1, 2, 3)), entry(4, length_s=200)])
    catalogue.compact()

    assert [one.outcome for one in added] == [Outcome.ADDED] * 3 + [Outcome.FAILED]
    assert added[3].error == "it is longer than 148 hours: cut it into parts"
    assert [part.shard.frames for part in catalogue.parts] == [2 * room, room]
    assert [named(catalogue, seed) for seed in (1, 2, 3)] == [["tune-1"], ["tune-2"], ["tune-3"]]
