"""The catalogue: what was added is there, what was removed is not, and the same sound is there once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.engine.catalogue import Catalogue, Outcome
from pipeline.engine.tracks import Entry, KnownTrack
from pipeline.errors import MediaError, StorageError
from pipeline.model import Pcm
from tests.engine.melodies import cut, entry, named, tune


def test_what_was_added_is_there_after_opening_again(three: Path) -> None:
    catalogue = Catalogue.open(three)

    assert [track.track_id for track in catalogue.tracks()] == ["tune-1", "tune-2", "tune-3"]
    assert len(catalogue) == 3
    assert catalogue.holds("tune-2")
    assert not catalogue.holds("tune-4")
    assert catalogue.tracks()[0].duration_s == pytest.approx(40)
    assert [named(catalogue, seed) for seed in (1, 2, 3)] == [["tune-1"], ["tune-2"], ["tune-3"]]


def test_names_keep_every_character_and_paths_every_byte(tmp_path: Path) -> None:
    known = KnownTrack(
        "ä/1", 'Für "Elise"\n', "B\x00", "", 1810, os.fsdecode(b"/m/\xff\xfe.mp3"), 0, "", 5, 7
    )
    Catalogue.open(tmp_path, create=True).add([Entry(known, [tune(1)])])

    (found,) = Catalogue.open(tmp_path).tracks()

    assert replace(found, duration_s=0, pcm_sha256="") == known


def test_a_track_without_an_id_is_named_by_its_sound(tmp_path: Path) -> None:
    (added,) = Catalogue.open(tmp_path, create=True).add([Entry(KnownTrack(""), [tune(1)])])

    assert added.track.track_id == added.track.pcm_sha256[:16]


def test_a_folder_without_a_catalogue_says_so(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="holds no catalogue; add music to it first"):
        Catalogue.open(tmp_path)


def test_the_same_sound_is_added_once(three: Path) -> None:
    catalogue = Catalogue.open(three)
    before = catalogue.generation

    again, twin, other = catalogue.add(
        [entry(2), Entry(KnownTrack("twin"), [cut(tune(2), 0, 9), cut(tune(2), 9, 99)]), entry(9)]
    )

    assert (again.outcome, again.track.track_id) == (Outcome.KNOWN, "tune-2")
    assert (twin.outcome, twin.track.track_id) == (Outcome.KNOWN, "tune-2")
    assert other.outcome is Outcome.ADDED
    assert len(catalogue) == 4
    assert catalogue.generation != before


def test_adding_nothing_new_leaves_the_generation(three: Path) -> None:
    catalogue = Catalogue.open(three)
    before = catalogue.generation

    catalogue.add([entry(1)])
    catalogue.remove(["tune-77"])

    assert catalogue.generation == before


def test_other_sound_under_a_taken_id_replaces_it(three: Path) -> None:
    catalogue = Catalogue.open(three)

    catalogue.add([Entry(KnownTrack("tune-2", "Now tune 8"), [tune(8)])])

    assert [track.track_id for track in catalogue.tracks()] == ["tune-1", "tune-3", "tune-2"]
    assert named(catalogue, 8) == ["tune-2"]
    assert named(catalogue, 2) == []


def test_a_file_that_cannot_be_decoded_costs_itself_alone(three: Path) -> None:
    def broken() -> Iterator[Pcm]:
        yield tune(5)
        raise MediaError("the file ends in the middle of a frame")

    bad, silent, good = Catalogue.open(three).add(
        [Entry(KnownTrack("bad"), broken()), Entry(KnownTrack("s"), [np.zeros(99_999, np.int16)]), entry(6)]
    )

    assert (bad.outcome, bad.error) == (Outcome.FAILED, "the file ends in the middle of a frame")
    assert (silent.outcome, silent.error) == (
        Outcome.FAILED,
        "it holds nothing to recognise (silence or a steady tone)",
    )
    assert good.outcome is Outcome.ADDED
    assert len(Catalogue.open(three)) == 4


def test_a_removed_track_is_not_found_and_not_listed(three: Path) -> None:
    catalogue = Catalogue.open(three)

    assert catalogue.remove(["tune-1", "nobody"], paths=["/music/3.flac"]) == 2

    for seen in (catalogue, Catalogue.open(three)):
        assert [track.track_id for track in seen.tracks()] == ["tune-2"]
        assert [named(seen, seed) for seed in (1, 2, 3)] == [[], ["tune-2"], []]


def test_a_removed_track_can_be_added_again(three: Path) -> None:
    catalogue = Catalogue.open(three)
    catalogue.remove(["tune-1"])

    assert [done.outcome for done in catalogue.add([entry(1)])] == [Outcome.ADDED]
    assert named(catalogue, 1) == ["tune-1"]
