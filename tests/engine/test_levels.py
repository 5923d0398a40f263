"""Levels are as loud beside each other as they were: what they are measured by, and what must not mislead them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.engine.catalogue import Catalogue
from pipeline.engine.levels import BAND, MEASURES, level_features
from pipeline.engine.spectrum import BINS
from pipeline.engine.tracks import Entry, KnownTrack
from tests.engine.melodies import Sound, cut, entry, heard_peaks, pure_tones

NO_NOISE = np.full(BINS, -20, np.float32)


def test_what_a_tone_and_a_volume_control_do_is_no_error_and_anything_else_is() -> None:
    rng = np.random.default_rng(4)
    at, bins = rng.integers(0, 150, 400), rng.integers(0, BINS, 400)
    levels = rng.normal(-6, 3, 400)
    tone, volume = rng.normal(0, 3, BINS // BAND + 1), rng.normal(0, 3, 150 // 8 + 1)
    heard = np.full((150, BINS), -20, np.float32)
    heard[at, bins] = levels + tone[bins // BAND] + volume[at // 8]
    error = MEASURES.index("level_error")

    was = heard[at, bins] - tone[bins // BAND] - volume[at // 8]
    same, others = (
        level_features(heard, NO_NOISE, heard_peaks(each, at, bins), bent=False)
        for each in (was, rng.permutation(levels))
    )

    assert same[error] < 0.15
    assert others[error] > 2


def test_talk_makes_peaks_louder_and_others_play_some_of_them_softer_as_well() -> None:
    rng = np.random.default_rng(8)
    at, bins = np.divmod(rng.choice(150 * BINS, 400, replace=False), BINS)
    levels = rng.normal(-6, 3, 400)
    louder = rng.uniform(1, 4, 400) * (rng.random(400) < 0.4)
    otherwise = rng.choice([-1, 1], 400) * rng.uniform(0, 2.2, 400)
    error, agreement = MEASURES.index("level_error"), MEASURES.index("agreement")

    def told(heard: Sound) -> Sound:
        level = np.full((150, BINS), -20, np.float32)
        level[at, bins] = heard
        return level_features(level, NO_NOISE, heard_peaks(levels, at, bins), bent=False)

    same, talked_over, others = told(levels), told(levels + louder), told(levels + otherwise)

    assert same[agreement] == pytest.approx(1, abs=0.01)
    assert talked_over[error] == pytest.approx(others[error], abs=0.15)
    assert talked_over[agreement] > others[agreement] + 0.15


def test_half_a_bin_higher_is_no_error_where_pitch_was_changed() -> None:
    rng = np.random.default_rng(5)
    at, bins = rng.integers(0, 150, 400), 2 * rng.integers(0, BINS // 2, 400)
    levels = rng.normal(-6, 3, 400)
    heard = np.full((150, BINS), -20, np.float32)
    heard[at, bins + rng.integers(0, 2, 400)] = levels
    peaks = heard_peaks(levels, at, bins)
    error = MEASURES.index("level_error")

    as_it_is, bent = (level_features(heard, NO_NOISE, peaks, bent=bent)[error] for bent in (False, True))

    assert bent < 0.3
    assert as_it_is > 1


def test_what_is_loud_is_right_where_what_is_faint_is_harmed_and_not_where_others_play() -> None:
    rng = np.random.default_rng(10)
    at, bins = np.divmod(rng.choice(150 * 40, 800, replace=False), 40)
    loud = rng.random(800) < 0.4
    levels = np.where(loud, -3.0, -10.0)

    def told(faint_off: float, loud_off: float) -> tuple[float, float, float]:
        heard = np.full((150, BINS), -20, np.float32)
        heard[at, bins] = 20 + levels + rng.normal(0, np.where(loud, loud_off, faint_off))
        measured = dict(
            zip(
                MEASURES,
                level_features(heard, NO_NOISE, heard_peaks(levels, at, bins), bent=False),
                strict=True,
            )
        )
        return measured["level_error"], measured["loud_error"], measured["loudest_error"]

    harmed, others = told(2.4, 0.2), told(1.2, 2.0)

    assert harmed[0] == pytest.approx(others[0], abs=0.15)
    assert harmed[1] < 0.25
    # Beside what is harmed: its bands and moments are moved by that.
    assert harmed[2] < 1
    assert min(others[1:]) > 1.4


def test_what_nobody_kept_the_level_of_tells_nothing_as_long_as_enough_is_known() -> None:
    rng = np.random.default_rng(7)
    at, bins = rng.integers(0, 150, 400), rng.integers(0, BINS, 400)
    kept, softer = rng.integers(-13, 0, 400).astype(float), rng.random(400) < 0.8
    heard = np.full((150, BINS), -20, np.float32)
    heard[at, bins] = np.where(softer, rng.uniform(-30, -14, 400), kept)

    few_known = heard_peaks(np.where(softer, -15, kept), at, bins)
    none_known = heard_peaks(np.full(400, -15.0), at, bins)

    assert level_features(heard, NO_NOISE, few_known, bent=False)[MEASURES.index("level_error")] < 0.15
    assert level_features(heard, NO_NOISE, none_known, bent=False)[MEASURES.index("level_error")] > 2


@pytest.mark.parametrize("seed", range(6))
def test_pure_tones_over_next_to_nothing_are_named(tmp_path: Path, seed: int) -> None:
    music = pure_tones(seed, 40.0)
    with Catalogue.open(tmp_path, create=True) as catalogue:
        catalogue.add([Entry(KnownTrack("tones", path="/music/tones.flac"), [music])])

        assert [hit.track_id for hit in catalogue.search(cut(music, 12.3, 8))] == ["tones"]


def test_a_lone_peak_has_no_levels_to_compare() -> None:
    one = np.array([3])

    assert np.isfinite(
        level_features(
            np.zeros((20, BINS), np.float32), NO_NOISE, heard_peaks(one - 5.0, one, one), bent=True
        )
    ).all()


def test_a_shard_keeps_levels(tmp_path: Path) -> None:
    catalogue = Catalogue.open(tmp_path, create=True)
    catalogue.add([entry(1), entry(2)])
    (part,) = catalogue.parts
    before = [print_.peak_level for _, print_ in part.shard.fingerprints()]

    catalogue.remove(["tune-1"])
    catalogue.compact()

    (part,) = catalogue.parts
    (kept,) = (print_.peak_level for _, print_ in part.shard.fingerprints())
    assert kept.tolist() == before[1].tolist()
    assert set(kept.tolist()) == set(range(8))
