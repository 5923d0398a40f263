"""The compiled loops, made for speed, do what the plain way of saying it does."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import scipy.fft
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from pipeline.engine.fingerprint import CLASSES
from pipeline.engine.levels import (
    BAND,
    CLEAN,
    FAINTEST,
    LOUDER,
    LOUDEST,
    MEASURES,
    MIN_EXPECTED,
    MOST,
    ROUNDS,
    UNCOVERED,
    level_features,
)
from pipeline.engine.peaks import (
    AROUND_BINS,
    AROUND_FRAMES,
    BLOCK,
    MIN_SALIENCE,
    NEIGHBOURS,
    find_peaks,
    salience,
)
from pipeline.engine.scan import A_TRACK, PAIR, SCANNED, best_places
from pipeline.engine.score import FEATURES, HIT, STRONG, evenness, fit_of
from pipeline.engine.spectrum import (
    BINS,
    BINS_PER_OCTAVE,
    HOP,
    LOW_HZ,
    POWER_FLOOR,
    WINDOW,
    Level,
    log_spectrum,
)
from pipeline.engine.stored import LEVEL_STEP, StoredPeaks, pack
from pipeline.engine.verify import (
    CLASS_WEIGHT,
    MAX_FRAMES_OFF,
    MOMENT,
    HeardPeaks,
    align,
    peaks_under,
    shares,
)
from pipeline.engine.vote import Roll, ballot_for, vote
from pipeline.model import RATE_HZ
from tests.engine.melodies import tune

PCM = tune(7, 12)

Numbers = npt.NDArray[Any]


@pytest.fixture(scope="module")
def level() -> Level:
    return log_spectrum(PCM)


def test_a_bin_has_the_strongest_of_its_lines(level: Level) -> None:
    frames = np.lib.stride_tricks.sliding_window_view(PCM, WINDOW)[::HOP]
    lines = scipy.fft.rfft(frames * np.hanning(WINDOW + 1)[:-1].astype(np.float32), axis=1)
    squares = lines.real**2 + lines.imag**2
    edges = LOW_HZ * 2.0 ** ((np.arange(BINS + 1) - 0.5) / BINS_PER_OCTAVE) * WINDOW / RATE_HZ
    centre = LOW_HZ * 2.0 ** (np.arange(BINS) / BINS_PER_OCTAVE) * WINDOW / RATE_HZ

    for bin_ in range(BINS):
        first, end = int(np.ceil(edges[bin_])), int(np.ceil(edges[bin_ + 1]))
        if first < end:
            power = squares[:, first:end].max(axis=1)
        else:
            below = int(centre[bin_])
            weight = np.float32(centre[bin_] - below)
            power = (np.float32(1) - weight) * squares[:, below] + weight * squares[:, below + 1]
        expected = np.log2(np.maximum(power, np.float32(POWER_FLOOR)))
        assert level[:, bin_] == pytest.approx(expected, abs=4e-6), bin_


def test_silence_is_at_level_0_not_near_it() -> None:
    assert not log_spectrum(np.zeros(RATE_HZ, np.int16)).any()


def test_salience_is_what_a_level_has_over_the_mean_around_it(level: Level) -> None:
    size = 2 * AROUND_FRAMES + 1, 2 * AROUND_BINS + 1
    total, count = (
        ndimage.uniform_filter(each, size, mode="constant")
        for each in (level.astype(np.float64), np.ones(level.shape))
    )

    assert salience(level) == pytest.approx(level - total / count, abs=1e-4)


def test_peaks_are_what_nothing_near_exceeds_and_of_equals_the_first(level: Level) -> None:
    plateaus = np.round(level)  # with many equals
    standing_out = salience(plateaus)
    found = find_peaks(plateaus, standing_out, 3, len(level) - 2, BINS)

    expected = []
    for t, b in np.argwhere(standing_out > np.float32(MIN_SALIENCE)).tolist():
        top, left = max(t - NEIGHBOURS, 0), max(b - NEIGHBOURS, 0)
        near = plateaus[top : t + NEIGHBOURS + 1, left : b + NEIGHBOURS + 1]
        first = np.unravel_index(int(near.argmax()), near.shape)
        if 3 <= t < len(level) - 2 and (top + first[0], left + first[1]) == (t, b):
            expected.append((t, b))
    assert list(zip(found.frame.tolist(), found.bin.tolist(), strict=True)) == expected
    assert len(expected) > 100


@pytest.mark.parametrize("most", [8, 16, 100])
def test_places_are_the_cells_with_most_votes(most: int) -> None:
    rng = np.random.default_rng(5)
    shard_frames, tied = 40_000, 3_000
    starts = np.sort(rng.integers(2_000, shard_frames, tied)).astype(np.uint32)
    starts[:200] = 2_000 + 900  # one place that many agree on
    stored = starts.view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
    postings = np.ndarray(tied, "<u4", b"?" + stored, 0, (3,))  # as a shard has them: with the byte before
    first_posting = np.arange(0, tied + 1, 10, dtype=np.uint32)
    keys = rng.permutation(len(first_posting) - 1).astype(np.uint32)
    frames = rng.integers(0, 900, len(keys)).astype(np.int32)
    frames[keys < 20] = 900
    ballot = ballot_for(shard_frames)

    roll = Roll(np.arange(0, shard_frames, 1_000), np.zeros(shard_frames // 1_000, np.bool_))
    places = vote(first_posting, postings, keys, frames, ballot, roll, most=most)

    votes = np.zeros(ballot.shape[1], np.int64)
    for key, frame in zip(keys.tolist(), frames.tolist(), strict=True):
        np.add.at(votes, (starts[first_posting[key] : first_posting[key + 1]].astype(int) - frame) >> 2, 1)
    both = votes[:-1] + votes[1:]
    assert places.frame[0] >> 2 == 500
    assert places.votes.tolist() == both[places.frame >> 2].tolist() == sorted(places.votes, reverse=True)
    # Of every run of cells in which the score does not fall, one counts: none that is higher was left out.
    peaks = [c for c in range(1, len(both) - 1) if votes[c] and both[c - 1] <= both[c] > both[c + 1]]
    assert places.votes.tolist() == sorted(both[peaks], reverse=True)[: len(places.votes)]
    assert len(places.votes) == min(most, len(peaks))
    assert not ballot.any()


def _placed(removed: list[int]) -> tuple[list[int], list[int]]:
    """The tracks and votes of ten places, where track 1 is a loop with 20 that all outdo those of the others."""
    shard_frames, length = 50_000, 10_000
    loop = [length + 400 * turn for turn in range(20) for _ in range(9)]
    others = [track * length + 5_000 for track in (0, 2, 3, 4) for _ in range(3 + track)]
    stored = np.array([*loop, *others], np.uint32)
    roll = Roll(np.arange(0, shard_frames, length), np.isin(np.arange(5), removed))
    keys = np.zeros(1, np.uint32)
    first_posting = np.array([0, len(stored)], np.uint32)

    ballot = ballot_for(shard_frames)
    places = vote(first_posting, stored << 8, keys, np.zeros(1, np.int32), ballot, roll, most=10)

    assert not ballot.any()
    return roll.owners(places.frame).tolist(), places.votes.tolist()


@pytest.mark.parametrize("votes", [255, 256, 257, 511, 512, 20_000])
def test_a_place_may_have_more_votes_than_a_byte_holds(votes: int) -> None:
    stored = np.sort(np.array([*[5_000] * votes, *[5_004] * 300, *[9_000] * 200], np.uint32))
    first_posting, keys = np.array([0, len(stored)], np.uint32), np.zeros(1, np.uint32)
    ballot, roll = ballot_for(20_000), Roll(np.arange(0, 20_000, 4_000), np.zeros(5, np.bool_))

    places = vote(first_posting, stored << 8, keys, np.zeros(1, np.int32), ballot, roll, most=10)

    assert places.frame.tolist() == [5_000, 9_000]
    assert places.votes.tolist() == [votes + 300, 200]
    assert not ballot.any()


def test_after_a_loop_that_fills_the_places_come_those_of_the_others() -> None:
    assert _placed(removed=[]) == ([1] * 10 + [4, 3, 2, 0], [9] * 10 + [7, 6, 5, 3])


def test_votes_for_removed_tracks_are_void() -> None:
    assert _placed(removed=[1, 3]) == ([4, 2, 0], [7, 5, 3])


def _stored(frame: Numbers, bins: Numbers, kind: Numbers, level: Numbers, blocks: int) -> StoredPeaks:
    """Peaks in order of time, as a shard of so many blocks holds them."""
    packed, leads_to = pack(frame, bins.astype(np.uint16), kind.astype(np.uint8), level.astype(np.uint8))
    first = np.append(0, np.cumsum(np.bincount(leads_to // BLOCK, minlength=blocks)))
    return StoredPeaks(first.astype(np.uint32), packed)


@given(st.data())
def test_stored_peaks_come_back_as_they_were(data: st.DataObject) -> None:
    blocks = data.draw(st.integers(1, 6))
    peak = st.tuples(
        st.integers(0, BLOCK * blocks - 1), st.integers(0, BINS - 1), st.integers(0, 3), st.integers(0, 7)
    )
    frame, bins, kind, level = (
        np.array(sorted(data.draw(st.lists(peak, max_size=60))), np.int64).reshape(-1, 4).T
    )
    first, end = sorted(data.draw(st.tuples(st.integers(0, blocks), st.integers(0, blocks))))

    found = _stored(frame.astype(np.int32), bins, kind, level, blocks).between(first, end)

    asked_for = (frame >= BLOCK * first) & (frame < BLOCK * end)
    for came_back, was in (
        (found.frame, frame),
        (found.bin, bins),
        (found.rank_class, kind),
        (found.level, level),
    ):
        assert came_back.tolist() == was[asked_for].tolist()


@pytest.mark.parametrize(("tempo", "shift"), [(1.0, 0), (0.9, 3), (1.1, -5)])
def test_a_place_fits_as_well_as_its_peaks_are_loud_in_the_probe(tempo: float, shift: int) -> None:
    rng = np.random.default_rng(6)
    z_map = rng.standard_normal((150, BINS)).astype(np.float32)
    blocks, each = 30, 40
    frame = np.sort(rng.integers(0, 32 * blocks, blocks * each)).astype(np.int32)
    bins, kind = rng.integers(0, BINS, len(frame)), rng.integers(0, 4, len(frame))
    peaks = _stored(frame, bins, kind, rng.integers(0, 8, len(frame)), blocks)
    places = np.array([-40, 0, 333, 500, 900])

    found = align(
        z_map,
        peaks,
        places,
        np.full(len(places), tempo, np.float32),
        np.full(len(places), shift, np.int32),
    )

    heard, weight = bins - shift, CLASS_WEIGHT[kind]
    for n, place in enumerate(places.tolist()):
        fits = {}
        for start in range(place - MAX_FRAMES_OFF, place + MAX_FRAMES_OFF + 1):
            slower = np.float32(1) / np.float32(tempo)
            at = np.floor((frame - start).astype(np.float32) * slower + np.float32(0.5)).astype(int)
            inside = (at >= 0) & (at < len(z_map)) & (heard >= 0) & (heard < BINS)
            fit = weight[inside] * z_map[at[inside], heard[inside]]
            fits[start] = fit.sum(dtype=float) / np.sqrt((weight[inside] ** 2).sum(dtype=float))
        assert found.z[n] == pytest.approx(max(0, *fits.values()), abs=1e-5)
        assert found.frame[n] == max(fits, key=lambda start: fits[start])


@pytest.mark.parametrize("frames", [130, 156, 938])
def test_the_best_place_of_each_track_is_where_its_strongest_peaks_are_loudest_in_the_probe(
    frames: int,
) -> None:
    rng = np.random.default_rng(9)
    z_map = rng.standard_normal((frames, BINS)).astype(np.float32)
    blocks, each = 120, 60
    frame = (BLOCK * np.arange(blocks)[:, None] + np.sort(rng.integers(0, BLOCK, (blocks, each)))).ravel()
    bins = rng.integers(0, BINS, len(frame))
    kind = np.tile(rng.permutation(np.digitize(np.arange(each), CLASSES)), blocks)
    peaks = _stored(frame.astype(np.int32), bins, kind, np.zeros_like(bins), blocks)
    first, last = np.array([300, 1500, 2600]), np.array([1200, 2300, 2560])

    found, track = best_places(z_map, peaks, first, last)

    scanned = kind < SCANNED
    pair, row, weight = frame[scanned] // PAIR, bins[scanned], CLASS_WEIGHT[kind[scanned]]
    paired = np.add.reduceat(z_map, np.arange(0, frames, PAIR))
    total = np.empty(BLOCK * blocks // PAIR)
    for place in range(len(total)):
        at = pair - place
        inside = (at >= 0) & (at < len(paired))
        total[place] = (weight[inside] * paired[at[inside], row[inside]]).sum(dtype=float)
    assert set(track.tolist()) == {0, 1}  # nowhere can a probe begin in the third
    for number in (0, 1):
        begins, ends = first[number] // PAIR, last[number] // PAIR + 1
        best = PAIR * (begins + int(np.argmax(total[begins:ends])))
        assert found[track == number].tolist()[0] == best
        assert len(found[track == number]) == A_TRACK


def test_a_chord_with_silence_around_it_is_no_place_however_well_it_fits() -> None:
    rng = np.random.default_rng(10)
    z_map = rng.standard_normal((150, BINS)).astype(np.float32)
    bins = np.arange(10, 30)
    z_map[60, bins] = 3
    chord = np.full(len(bins), 10 * BLOCK)
    lasting = np.repeat(BLOCK * np.arange(15, 60), len(bins))
    frame = np.concatenate([chord, lasting]).astype(np.int32)
    kind = np.zeros(len(frame), np.int64)
    peaks = _stored(frame, np.resize(bins, len(frame)), kind, kind, 70)

    found, track = best_places(z_map, peaks, np.array([200, 1300]), np.array([320, 1800]))

    assert set(track.tolist()) == {1}
    assert len(found) == A_TRACK


def test_where_no_track_can_be_heard_long_enough_there_is_no_place() -> None:
    nothing = np.empty(0, np.int32)
    peaks = _stored(nothing, nothing, nothing, nothing, 5)

    for bounds in (np.empty(0, np.int64), np.array([80])):
        found, track = best_places(np.ones((150, BINS), np.float32), peaks, bounds, bounds - 1)

        assert found.tolist() == track.tolist() == []


def test_shared_peaks_are_those_on_or_beside_one_of_the_others() -> None:
    rng = np.random.default_rng(8)
    tracks = [
        HeardPeaks(
            rng.integers(0, 50, count).astype(np.int32),
            rng.integers(0, BINS, count).astype(np.int32),
            np.ones(count, np.float32),
            np.zeros(count, np.float32),
            np.zeros(count, np.int32),
        )
        for count in (300, 0, 40, 1, 900, 5, 77, 300)
    ]

    shared = shares(tracks)

    for i, one in enumerate(tracks):
        for j, other in enumerate(tracks):
            near = [
                bool(((abs(one.at - at) <= 1) & (abs(one.bin - bin_) <= 1)).any())
                for at, bin_ in zip(other.at, other.bin, strict=True)
            ]
            assert shared[i, j] == (np.mean(near) if near else 0), (i, j)


def _random_peaks(rng: np.random.Generator, frames: int, count: int) -> HeardPeaks:
    at = np.sort(rng.integers(0, frames, count)).astype(np.int32)
    return HeardPeaks(
        at,
        rng.integers(0, BINS, count).astype(np.int32),
        CLASS_WEIGHT[rng.integers(0, len(CLASS_WEIGHT), count)],
        rng.uniform(-14, 0, count).astype(np.float32),
        at // MOMENT,
    )


@pytest.mark.parametrize(("tempo", "shift"), [(1.0, 0), (0.93, 3), (1.07, -5)])
@pytest.mark.parametrize("start", [-70, 0, 77, 150, 240])
def test_peaks_under_a_probe_are_those_of_its_frames_and_bins(start: int, tempo: float, shift: int) -> None:
    rng = np.random.default_rng(11)
    blocks, count, frames = 8, 300, 130
    frame = np.sort(rng.integers(0, BLOCK * blocks, count)).astype(np.int32)
    bins, kind, level = (rng.integers(0, end, count) for end in (BINS, 4, 8))

    found = peaks_under(_stored(frame, bins, kind, level, blocks), start, frames, tempo, shift, BINS)

    at, heard = np.rint((frame - start) / tempo), bins - shift
    inside = (at >= 0) & (at < frames) & (heard >= 0) & (heard < BINS)
    assert found.at.tolist() == at[inside].tolist()
    assert found.bin.tolist() == heard[inside].tolist()
    assert found.weight.tolist() == CLASS_WEIGHT[kind[inside]].tolist()
    assert found.level.tolist() == (-LEVEL_STEP * (level[inside] + 0.5)).tolist()
    first_moment = max(start // BLOCK, 0) * BLOCK // MOMENT
    assert found.moment.tolist() == (frame[inside] // MOMENT - first_moment).tolist()


@pytest.mark.parametrize("count", [300, 12, 2, 0])
def test_how_a_track_fits_is_told_by_what_its_peaks_meet_there_and_elsewhere(count: int) -> None:
    rng = np.random.default_rng(12)
    z_map = rng.standard_normal((150, BINS)).astype(np.float32)
    peaks = _random_peaks(rng, len(z_map), count)
    z_map[peaks.at, peaks.bin] += 1

    def z(frames: int, bins: int) -> float:
        at, bin_ = peaks.at + frames, peaks.bin + bins
        inside = (at >= 0) & (at < len(z_map)) & (bin_ >= 0) & (bin_ < BINS)
        weight = peaks.weight[inside].astype(float)
        fit = float(weight @ z_map[at[inside], bin_[inside]])
        return fit / float(np.sqrt(weight @ weight)) if inside.any() else 0.0

    heard, group = z_map[peaks.at, peaks.bin], peaks.at * 12 // len(z_map)
    parts = [
        float(peaks.weight[group == n] @ heard[group == n] / np.linalg.norm(peaks.weight[group == n]))
        for n in np.unique(group)
    ]
    t = np.mean(parts) / ((np.std(parts) + 0.5) / np.sqrt(len(parts))) if len(parts) >= 3 else 0.0
    beside = [z(frames, 0) for frames in (*range(-60, -9, 2), *range(10, 61, 2))]
    fit = max(z(0, 0), 1)
    strong = heard[peaks.weight > STRONG]
    expected = (
        np.log(max((z(0, 0) - np.mean(beside)) / (np.std(beside) + 0.3), 0.5)),
        np.log(fit / max(2, *(z(0, bins) for bins in (*range(-12, -3), *range(4, 13))))),
        np.log(max(t, 0.5)),
        np.average(heard > HIT, weights=peaks.weight) if count else 0,
        strong.mean() if len(strong) else 0,
        np.log(fit / max(np.linalg.norm(peaks.weight), 1)),
    )
    told = fit_of(z_map, peaks)
    assert told.z == pytest.approx(fit, rel=1e-5)
    assert told.measures == pytest.approx(expected, abs=1e-5)
    assert (
        evenness(z_map, peaks) == told.measures[FEATURES.index("t_time") - FEATURES.index("fit_over_shifts")]
    )


@pytest.mark.parametrize("count", [300, 12, 1])
def test_levels_err_by_what_neither_their_band_nor_their_moment_explains(count: int) -> None:
    rng = np.random.default_rng(13)
    peaks = _random_peaks(rng, 150, count)
    level = rng.uniform(0, 30, (150, BINS)).astype(np.float32)
    level[peaks.at, peaks.bin] = 20 + peaks.level + rng.normal(0, 2, count)
    heard = level[peaks.at, peaks.bin]

    def left(begin: int, louder: float) -> Numbers:
        off = (heard - peaks.level - np.percentile(heard - peaks.level, begin)).astype(float)
        for group in (peaks.bin // BAND, peaks.moment) * ROUNDS:
            weight = np.where(off < 0, 1, louder)
            total = np.bincount(group, weight * np.clip(off, -MOST, MOST))
            off -= (total / (np.bincount(group, weight) + 0.5))[group]
        return off

    told = dict(
        zip(MEASURES, level_features(level, np.zeros(BINS, np.float32), peaks, bent=False), strict=True)
    )
    off = np.abs(np.clip(left(50, 1), -MOST, MOST))
    loudest = off[peaks.level >= np.percentile(peaks.level, LOUDEST)]
    assert told["level_error"] == pytest.approx(off.mean(), abs=1e-5)
    some = loudest if len(loudest) >= MIN_EXPECTED else off
    assert told["loudest_error"] == pytest.approx(some.mean(), abs=1e-5)
    assert told["agreement"] == pytest.approx(np.exp(-(left(UNCOVERED, LOUDER) ** 2) / 2).mean(), abs=1e-5)
    assert told["faintest"] == pytest.approx(min(np.percentile(heard, FAINTEST), CLEAN), abs=1e-5)
