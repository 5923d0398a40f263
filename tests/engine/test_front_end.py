"""What fingerprints owe their callers: the same audio gives the same print, however loud and however delivered."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.engine.fingerprint import CHUNK, Fingerprint, fingerprint
from pipeline.engine.landmarks import BINS_SPAN, FRAMES_MIN, FRAMES_SPAN, KEYS
from pipeline.engine.peaks import BLOCK, find_peaks, salience
from pipeline.engine.spectrum import BINS, BINS_PER_OCTAVE, HOP, LOW_HZ, WINDOW, frame_count, log_spectrum
from pipeline.model import RATE_HZ, Pcm
from tests.engine.melodies import at_speed, tune

LONG = tune(1, 3 * CHUNK * HOP / RATE_HZ + 7.7)


def same(one: Fingerprint, other: Fingerprint) -> bool:
    return all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for name in ("frames", "peak_frame", "peak_bin", "keys", "key_frame")
    )


@settings(deadline=None, max_examples=15)
@given(st.lists(st.integers(0, len(LONG)), max_size=12))
def test_the_cuts_between_blocks_change_nothing(cuts: list[int]) -> None:
    bounds = [0, *sorted(cuts), len(LONG)]
    blocks = [LONG[start:end] for start, end in itertools.pairwise(bounds)]

    assert same(fingerprint(blocks), fingerprint([LONG]))
    assert fingerprint(blocks).sha256 == fingerprint([LONG]).sha256


@pytest.mark.parametrize("gain", [0.5, 2, 2.5])
def test_how_loud_it_is_changes_next_to_nothing(gain: float) -> None:
    quiet = (LONG * 0.3).astype(np.int16)
    louder = np.rint(quiet * gain).astype(np.int16)

    one, other = fingerprint([quiet]), fingerprint([louder])

    assert len(np.intersect1d(one.keys, other.keys)) > 0.9 * len(np.unique(one.keys))


def test_peaks_of_a_stream_are_the_peaks_of_the_whole() -> None:
    level = log_spectrum(LONG)
    whole = find_peaks(level, salience(level), 0, len(level), 64).strongest(64)
    streamed = fingerprint([LONG])

    assert streamed.frames == len(level) == frame_count(len(LONG))
    places = set(zip(whole.frame.tolist(), whole.bin.tolist(), strict=True))
    assert len(places & set(zip(streamed.peak_frame.tolist(), streamed.peak_bin.tolist(), strict=True))) > (
        0.999 * len(places)
    )


def test_peaks_stay_in_range_and_below_their_number_in_every_block() -> None:
    made = fingerprint([LONG])

    assert np.bincount(made.peak_frame // BLOCK).max() <= 64
    assert made.peak_bin.max() < BINS
    assert made.peak_frame.max() < made.frames
    assert (np.diff(made.peak_frame) >= 0).all()
    assert made.keys.max() < KEYS


def test_a_landmark_says_where_its_two_peaks_are() -> None:
    made = fingerprint([LONG])
    places = set(zip(made.peak_frame.tolist(), made.peak_bin.tolist(), strict=True))

    for key, frame in zip(made.keys[::50].tolist(), made.key_frame[::50].tolist(), strict=True):
        low, rest = divmod(key, BINS_SPAN * FRAMES_SPAN)
        step, later = divmod(rest, FRAMES_SPAN)
        assert (frame, low) in places
        assert (frame + later + FRAMES_MIN, low + step - BINS_SPAN // 2) in places


@pytest.mark.parametrize("bin_", [135, 136, 200, 250, BINS - 1])
def test_a_tone_is_loudest_in_its_own_bin(bin_: int) -> None:
    hz = LOW_HZ * 2 ** (bin_ / BINS_PER_OCTAVE)
    tone = (9000 * np.sin(2 * np.pi * hz * np.arange(RATE_HZ) / RATE_HZ)).astype(np.int16)

    assert (log_spectrum(tone).argmax(axis=1) == bin_).all()


def test_a_faster_copy_lies_higher_by_as_many_bins() -> None:
    slow, fast = (
        log_spectrum(LONG[: 20 * RATE_HZ]).mean(axis=0),
        log_spectrum(at_speed(LONG[: 20 * RATE_HZ], 8)).mean(0),
    )
    fit = [np.corrcoef(slow[10 : BINS - 10], fast[10 + by : BINS - 10 + by])[0, 1] for by in range(-9, 10)]

    assert np.argmax(fit) - 9 == round(BINS_PER_OCTAVE * np.log2(1.08))


@pytest.mark.parametrize(
    "pcm",
    [
        np.zeros(0, np.int16),
        np.zeros(WINDOW - 1, np.int16),
        np.zeros(WINDOW, np.int16),
        np.zeros(20 * RATE_HZ, np.int16),
        np.full(20 * RATE_HZ, -32768, np.int16),
    ],
    ids=["nothing", "less than a frame", "one frame", "silence", "full scale"],
)
def test_no_sound_has_no_landmarks(pcm: Pcm) -> None:
    made = fingerprint([pcm])

    assert made.samples == len(pcm)
    assert made.frames == frame_count(len(pcm))
    assert len(made.keys) == 0


def test_no_blocks_at_all_are_a_recording_of_no_length() -> None:
    assert fingerprint([]).frames == fingerprint([]).samples == 0
