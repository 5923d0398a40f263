"""Dirty rows become clean tracks, and scores become probabilities."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model import Track
from pipeline.scale import probability
from pipeline.wire.audiotag import NO_TITLE, Candidate, Row, read_result
from pipeline.wire.tracks import clean, match_of, matches_of, same_name
from tests.wire.test_golden import FOUND


@pytest.mark.parametrize(
    ("row", "track"),
    [
        (
            Row("Hello Mr. Monkey", "Arabesque", "Grand Collection", 2001),
            Track("Hello Mr. Monkey", "Arabesque", "Grand Collection", 2001),
        ),
        (
            Row("Arabesque - Hello Mr. Monkey", "Various - Disco, New Wave", "All Stars Disco (3 & 4)", 2001),
            Track("Hello Mr. Monkey", "Arabesque", "All Stars Disco (3 & 4)", 2001),
        ),
        (
            Row("Scooter - Fire", "Bravo Hits (CD Series)", "[no album information]", 0),
            Track("Fire", "Scooter", "Bravo Hits (CD Series)"),
        ),
        (Row("Adele - Hello", "ADELE", "", 0), Track("Hello", "ADELE")),
        (Row("Hello - Adele", "Adele", "", 0), Track("Hello", "Adele")),
        (Row("Hello - Live", "Adele", "25", 2015), Track("Hello - Live", "Adele", "25", 2015)),
        (Row("Hello", "Various Artists", "Hits", 0), Track("Hello", "", "Hits")),
        (Row("Hello", "V.A.", "", 0), Track("Hello", "", "V.A.")),
        (Row("Plastic World", "Various Cruelties", "", 0), Track("Plastic World", "Various Cruelties")),
        (Row("Hello", "[unknown artist]", "<unknown>", 3), Track("Hello")),
        (Row("Just a Girl", "No Doubt", "", 1995), Track("Just a Girl", "No Doubt", "", 1995)),
        (Row("Unknown", "Unknown Mortal Orchestra", "n/a", 0), Track("Unknown", "Unknown Mortal Orchestra")),
        (Row("A-ha", "Various", "", 0), Track("A-ha", "", "Various")),
    ],
)  # fmt: skip
def test_a_row_means_a_track(row: Row, track: Track) -> None:
    assert clean(row) == track


def test_an_artist_of_another_row_tells_which_half_of_a_title_is_the_artist() -> None:
    candidate = Candidate(
        (Row("Arabesqe - Hello Mr. Monkey", "Disco Fever 7", "", 0), Row("Hello Mr. Monkey", "Arabesque")),
        score=40,
    )

    match = match_of(candidate)

    assert match.track == Track("Hello Mr. Monkey", "Arabesque")
    assert match.also == ()


def test_the_cleanest_row_is_the_track_and_the_others_are_kept() -> None:
    rows = (
        Row("Arabesque - Hello Mr. Monkey", "Various - Disco, New Wave", "All Stars Disco (3 & 4)", 2001),
        Row("Hello Mr. Monkey", "Arabesque", "[no album information]", 0),
        Row("Hello Mr. Monkey", "Arabesque", "Grand Collection", 2001),
    )

    match = match_of(Candidate(rows, score=321, aid=7, raw={"the": "json"}))

    assert match.track == Track("Hello Mr. Monkey", "Arabesque", "Grand Collection", 2001, "7")
    assert match.also == (
        Track("Hello Mr. Monkey", "Arabesque", track_id="7"),
        Track("Hello Mr. Monkey", "Arabesque", "All Stars Disco (3 & 4)", 2001, "7"),
    )
    assert match.raw == {"the": "json"}


def test_a_service_that_gives_each_name_its_id_is_taken_by_its_word() -> None:
    rows = (Row("Artist - Song", "Artist", "", 0, 7), Row(NO_TITLE, "", "", 1999, 8))
    match = match_of(Candidate(rows, 50.0, aid=7))

    assert match.track == Track("Artist - Song", "Artist", "", None, "7")
    assert match.also == (Track("", "", "", 1999, "8"),)


def test_the_documents_example_becomes_two_matches_best_first() -> None:
    first, second = matches_of(read_result(FOUND).candidates)

    assert first.track == Track("Hello Mr. Monkey", "Arabesque", "Grand Collection", 2001)
    assert (first.raw_score, first.start_s, first.end_s) == (321, 100.0, 200.0)
    assert second.track == Track("Hello Mr. Monkey", "Arabesque", "Arabesque-II (City Cats)", 1979)
    assert first.confidence > second.confidence


def test_the_better_score_comes_first_whatever_the_service_thinks() -> None:
    low, high = (Candidate((Row(str(score)),), score) for score in (20, 90))

    assert [match.raw_score for match in matches_of([low, high])] == [90, 20]


def test_a_candidate_without_a_score_has_no_chance() -> None:
    match = match_of(Candidate((Row("A"),), score=None))

    assert (match.confidence, match.raw_score) == (0.0, None)


@pytest.mark.parametrize(
    ("score", "chance"), [(12, 0.5), (25, 0.81), (50, 0.95), (100, 0.986), (321, 0.9986)]
)
def test_scores_have_the_stated_probabilities(score: float, chance: float) -> None:
    assert probability(score) == pytest.approx(chance, abs=0.005)


@given(st.floats(-1e6, 1e300), st.floats(-1e6, 1e300))
def test_a_higher_score_is_never_less_probable(one: float, other: float) -> None:
    assert 0 <= probability(min(one, other)) <= probability(max(one, other)) <= 1


def test_spellings_of_one_name_are_told_from_two_names() -> None:
    assert same_name("AC/DC", "Ac Dc")
    assert same_name("Guns N' Roses", "Guns N Roses")
    assert not same_name("Queen", "Queensrÿche")
    assert not same_name("", "")


@given(st.lists(st.builds(Row, st.text(min_size=1), st.text(), st.text(), st.integers()), min_size=1))
def test_every_row_has_a_title_and_is_kept_once(rows: list[Row]) -> None:
    match = match_of(Candidate(tuple(rows), score=50))

    names = [match.track, *match.also]
    assert all(name.title for name in names)
    assert len(set(names)) == len(names) <= len(rows)
