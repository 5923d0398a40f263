"""The tunes as written: every bar full, and chords for as long as there are notes."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest

from pipeline.sample.melodies import Melody, chord_notes, length_beats, melody_notes
from pipeline.sample.recordings import CATALOGUE, UNKNOWN

MELODIES = [recording.melody for recording in (*CATALOGUE, UNKNOWN)]


@pytest.mark.parametrize("melody", MELODIES, ids=lambda melody: melody.title)
def test_every_bar_is_full(melody: Melody) -> None:
    length = Fraction(1)
    for bar in melody.notes.split("|"):
        beats = Fraction(0)
        for token in bar.split():
            given = token.partition(":")[2]
            length = Fraction(given) if given else length
            beats += length
        assert beats == melody.bar, bar


@pytest.mark.parametrize("melody", MELODIES, ids=lambda melody: melody.title)
def test_the_chords_last_as_long_as_the_tune(melody: Melody) -> None:
    last = chord_notes(melody)[-1]
    assert last.start + last.length == length_beats(melody)


def test_notes_are_read_as_written() -> None:
    tune = Melody("t", "c", 1800, 60, 4, 1, "C4:1 r:.5 F#5 | Bb3:2 A4", "C:4 F#m Bb7")
    assert [(note.pitches, note.start, note.length) for note in melody_notes(tune)] == [
        ((60,), 0, 1),
        ((78,), 1.5, 0.5),
        ((58,), 2, 2),
        ((69,), 4, 2),
    ]
    assert [note.pitches for note in chord_notes(tune)] == [(60, 64, 67), (54, 57, 61), (58, 62, 65, 68)]


def test_no_two_melodies_share_a_phrase() -> None:
    def steps(melody: Melody) -> set[tuple[tuple[int, float], ...]]:
        notes = melody_notes(melody)
        walk = [(b.pitches[0] - a.pitches[0], (b.start - a.start) / melody.pulse) for a, b in pairwise(notes)]
        return {tuple(walk[start : start + 10]) for start in range(len(walk) - 9)}

    for number, melody in enumerate(MELODIES):
        for other in MELODIES[number + 1 :]:
            assert not steps(melody) & steps(other), (melody.title, other.title)
