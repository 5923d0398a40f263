"""The same notes are not the same recording: what tells who plays, and what says nothing about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal

from pipeline.engine.catalogue import Catalogue
from pipeline.engine.covers import (
    CLEAR,
    FEATURES,
    FEW_PEAKS,
    HIDDEN,
    LOUD_OFF,
    LOUD_OFF_BENT,
    LOUD_WRONG,
    LOUDEST_OFF,
    LOUDEST_OFF_BENT,
    NO_RECORDING,
    STEADY,
    SURE,
    TEMPO_ALONE,
    Bearing,
    no_cover_log_odds,
    recording_log_odds,
)
from pipeline.engine.heard import NAMED_LOG_ODDS, heard_every_way
from pipeline.engine.levels import MEASURES, level_features
from pipeline.engine.query import make_query
from pipeline.engine.score import Pass, Vector, both_log_odds, model
from pipeline.engine.spectrum import BINS
from pipeline.model import RATE_HZ, Pcm
from tests.engine.melodies import Sound, cut, entry, heard_peaks, to_pcm, tune

KNOWN = range(300, 308)

NO_NOISE = np.full(BINS, -20, np.float32)


def measured(**otherwise: float) -> Vector:
    """What is measured of levels that say little for or against the recording, but for what is told otherwise."""
    usual = {
        "level_error": 0.6, "unsteadiness": 1.2, "above_noise": 0.8, "faintest": 2.5, "peaks": 6.0, "agreement": 0.7,
        "loud_error": LOUD_OFF, "loudest_error": LOUDEST_OFF,
    }  # fmt: skip
    return np.array([(usual | otherwise)[measure] for measure in MEASURES])


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    made = Catalogue.open(tmp_path_factory.mktemp("eight"), create=True)
    made.add(entry(seed) for seed in KNOWN)
    return made


@pytest.mark.parametrize("players", [1, 2, 3])
def test_a_tune_played_by_others_is_not_named(catalogue: Catalogue, players: int) -> None:
    for seed in KNOWN:
        cover = cut(tune(seed, players=players), 9, 8)

        assert catalogue.search(cover) == [], seed
        # Who asks why is told what it was taken for.
        assert catalogue.candidates(cover), seed


@pytest.mark.parametrize(("seed", "players"), [(300, 18), (304, 120), (300, 155)])
def test_nor_are_those_whose_instruments_are_nearly_alike(
    catalogue: Catalogue, seed: int, players: int
) -> None:
    assert catalogue.search(cut(tune(seed, players=players), 9, 8)) == []


@pytest.mark.parametrize(
    ("seed", "players", "start_s"),
    [(7, 844303, 1.119), (10, 336554, 11.0), (11, 401464, 0.794), (13, 723848, 46.449)],
)
def test_nor_are_those_who_play_a_little_faster_and_fit_by_halves(
    tmp_path: Path, seed: int, players: int, start_s: float
) -> None:
    """As the recording is, their notes are in its places now and then, and their levels seem harmed by a codec."""
    with Catalogue.open(tmp_path, create=True) as tunes:
        tunes.add([entry(seed, 60)])

        assert tunes.search(cut(tune(seed, 60, players), start_s, 5)) == []


def test_of_a_player_nearly_alike_most_moments_are_told_apart(tmp_path: Path) -> None:
    """The nearest of 9,000: 8 % faster, with overtones as loud as those of the recording now and then."""
    player = tune(10, 60, players=336554)
    with Catalogue.open(tmp_path, create=True) as tunes:
        tunes.add([entry(10, 60)])

        named = [start_s for start_s in range(1, 54, 3) if tunes.search(cut(player, start_s, 5))]

    assert len(named) <= 6


def _darker(sound: Sound) -> Sound:
    """With a tone control turned down: 24 dB less at the top than at the bottom."""
    return signal.lfilter([1.0], [1.0, -0.9], sound)


def _brighter(sound: Sound) -> Sound:
    return np.diff(sound, prepend=0)


def _ridden(sound: Sound) -> Sound:
    """With somebody at the volume control: 12 dB up and down again every 3 s."""
    return sound * 10 ** (0.3 * np.sin(2 * np.pi * np.arange(len(sound)) / (3 * RATE_HZ)))


def _squashed(sound: Sound) -> Sound:
    """As a radio station does."""
    loudness = np.sqrt(signal.lfilter([0.001], [1, -0.999], sound**2)) + 100
    return sound / loudness**0.7


@pytest.mark.parametrize("change", [_darker, _brighter, _ridden, _squashed])
def test_tone_and_volume_may_be_changed(catalogue: Catalogue, change: Callable[[Sound], Sound]) -> None:
    for seed in KNOWN:
        changed: Pcm = to_pcm(change(cut(tune(seed), 9, 8).astype(np.float64)))

        assert [hit.track_id for hit in catalogue.search(changed)] == [f"tune-{seed}"], seed


@given(st.floats(-30, 30), st.floats(-30, 30))
def test_two_things_are_less_likely_than_either(one: float, other: float) -> None:
    both = both_log_odds(one, other)

    chance = 1 / (1 + np.exp(-one)) / (1 + np.exp(-other))
    assert 1 / (1 + np.exp(-both)) == pytest.approx(chance, rel=1e-6)
    assert both <= min(one, other)


def test_unsteady_levels_tell_covers_where_no_noise_explains_them() -> None:
    rng = np.random.default_rng(6)
    at, bins = rng.integers(0, 150, 800), rng.integers(0, 40, 800)
    heard = np.full((150, BINS), -20, np.float32)
    heard[at, bins] = 20 + rng.normal(0, 1.2, 800)
    peaks = heard_peaks(np.full(800, -5.0), at, bins)

    clear, under_noise = (
        level_features(heard, np.full(BINS, noise, np.float32), peaks, bent=False) for noise in (0, 17)
    )

    assert clear[FEATURES.index("unsteadiness")] == under_noise[FEATURES.index("unsteadiness")] > STEADY[0]
    for by in Pass:
        assert recording_log_odds(30, clear, by, Bearing()) <= 0
        assert recording_log_odds(30, clear, by, Bearing(harmed=True)) > 0
        assert recording_log_odds(30, under_noise, by, Bearing()) > 0


@pytest.mark.parametrize("by", Pass)
def test_who_plays_loud_notes_otherwise_is_somebody_else_where_a_codec_harms_what_is_faint(by: Pass) -> None:
    rng = np.random.default_rng(9)
    at, bins = np.divmod(rng.choice(150 * 40, 800, replace=False), 40)
    faint = rng.random(800) < 0.5

    def said(by_faint: float, by_loud: float, throughout: bool = True) -> float:
        heard = np.full((150, BINS), -20, np.float32)
        off = rng.normal(0, np.where(faint, by_faint, by_loud))
        heard[at, bins] = 20 + np.where(faint, -8, -2) + off
        peaks = heard_peaks(np.where(faint, -8.0, -2.0), at, bins)
        levels = level_features(heard, NO_NOISE, peaks, bent=False)
        return recording_log_odds(30, levels, by, Bearing(throughout=throughout))

    assert said(by_faint=1.3, by_loud=0.5) > 0
    assert said(by_faint=1.3, by_loud=0.5, throughout=False) <= 0
    assert said(by_faint=0.5, by_loud=1.3) <= 0


@pytest.mark.parametrize(
    ("measure", "as_it_is", "usual"),
    [
        ("loud_error", True, LOUD_OFF),
        ("loud_error", False, LOUD_OFF_BENT),
        ("loudest_error", True, LOUDEST_OFF),
        ("loudest_error", False, LOUDEST_OFF_BENT),
    ],
)
@pytest.mark.parametrize(
    ("off", "faintest", "more"),
    [(-0.7, 2.5, 1), (-0.1, 2.5, 0.5), (0.1, 2.5, 0), (0.1, CLEAR[0] + 1, -0.5), (0.9, CLEAR[0] + 1, -1)],
)
def test_loud_notes_that_are_right_speak_for_the_recording_and_clearly_wrong_ones_against_it(
    measure: str, as_it_is: bool, usual: float, off: float, faintest: float, more: float
) -> None:
    judge = model(Pass.PLAIN.no_cover, FEATURES)

    as_usual, otherwise = (
        no_cover_log_odds(judge, measured(faintest=faintest, **{measure: error}), Bearing(as_it_is=as_it_is))
        for error in (usual, usual + off)
    )

    assert otherwise - as_usual == pytest.approx(more)


def test_levels_that_something_hides_may_be_a_little_further_off_as_the_recording_is() -> None:
    judge = model(Pass.PLAIN.no_cover, FEATURES)

    def more(faintest: float) -> float:
        levels = measured(faintest=faintest)
        return no_cover_log_odds(judge, levels, Bearing(as_it_is=True)) - judge.log_odds(
            levels[: len(FEATURES)]
        )

    assert more(CLEAR[0]) == pytest.approx(HIDDEN)
    assert more(CLEAR[0] + 0.1) == 0


def test_what_may_be_an_accident_at_another_tempo_is_none_only_if_its_loud_notes_are_right() -> None:
    right, wrong = (
        measured(unsteadiness=1.8, above_noise=0.5, faintest=1.0, loud_error=loud)
        for loud in (LOUD_WRONG - 0.01, LOUD_WRONG + 0.01)
    )

    def said(levels: Vector, far_fetched: bool) -> float:
        return recording_log_odds(7.5, levels, Pass.BENT, Bearing(harmed=True, far_fetched=far_fetched))

    assert said(right, far_fetched=True) == said(right, far_fetched=False) > 5
    assert said(wrong, far_fetched=False) > 5
    assert said(wrong, far_fetched=True) == NO_RECORDING


def test_what_is_driven_into_clipping_may_be_as_unsteady_as_it_likes(tmp_path: Path) -> None:
    excerpt = cut(tune(314), 9, 5)
    driven = np.clip(10.0 * excerpt, -12_000, 12_000).astype(np.int16)
    as_it_is, clipped = make_query(excerpt), make_query(driven)
    assert as_it_is is not None
    assert clipped is not None
    with Catalogue.open(tmp_path, create=True) as tunes:
        tunes.add([entry(314)])
        if_it_were_not = heard_every_way(replace(clipped, driven=False), tunes.parts)

        named = tunes.search(driven)

    assert [as_it_is.driven, clipped.driven] == [False, True]
    assert not any(heard.certain(NAMED_LOG_ODDS) for heard in if_it_were_not)
    assert [hit.track_id for hit in named] == ["tune-314"]


@pytest.mark.parametrize(
    ("measure", "too_little", "enough"),
    [("above_noise", 0.99, 0.97), ("peaks", FEW_PEAKS - 0.05, FEW_PEAKS - 0.15)],
)
def test_where_noise_covers_what_is_faint_or_peaks_are_few_levels_may_be_less_steady(
    measure: str, too_little: float, enough: float
) -> None:
    judge = model(Pass.PLAIN.no_cover, FEATURES)

    def said(value: float, throughout: bool = True) -> float:
        unsteady = {
            "faintest": CLEAR[0] + 0.01,
            "unsteadiness": STEADY[0] + 0.1,
            "above_noise": 1.0,
            "peaks": 6.0,
        }
        levels = measured(loud_error=LOUD_OFF_BENT, **(unsteady | {measure: value}))
        return no_cover_log_odds(judge, levels, Bearing(throughout=throughout))

    assert said(too_little) == NO_RECORDING
    assert said(enough) > 5
    assert said(enough, throughout=False) == NO_RECORDING


@pytest.mark.parametrize(("heard_s", "doubt"), [(3.0, 1.0), (5.0, 1.0), (20.0, 0.5)])
@pytest.mark.parametrize("by", Pass)
def test_who_keeps_the_pitch_and_not_the_tempo_is_likelier_somebody_else_the_more_the_less_isheard_peaks(
    by: Pass, heard_s: float, doubt: float
) -> None:
    judge = model(by.no_cover, FEATURES)

    as_it_is, slower = (
        no_cover_log_odds(judge, measured(), Bearing(tempo_alone=alone, heard_s=heard_s))
        for alone in (False, True)
    )

    assert slower - as_it_is == pytest.approx(doubt * TEMPO_ALONE)


@given(st.floats(-30, 60), st.sampled_from(Pass))
def test_the_same_levels_speak_louder_the_surer_the_music_is_up_to_a_point(music: float, by: Pass) -> None:
    said, surer, surest = (
        recording_log_odds(log_odds, measured(), by, Bearing()) for log_odds in (music, music + 1, 2 * SURE)
    )

    assert said <= surer <= surest
    assert (said == surest) == (music >= SURE)
