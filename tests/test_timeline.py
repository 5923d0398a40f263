"""Matches become plays."""

import random

from hypothesis import given
from hypothesis import strategies as st

from pipeline.model import Match, Segment, Track
from pipeline.timeline import Hearing, hearings, plays, same_recording


def heard(title: str, start_s: float, end_s: float, confidence: float = 0.9) -> Hearing:
    return hearing(start_s, end_s, Match(Track(title, "Someone"), confidence))


def hearing(start_s: float, end_s: float, match: Match) -> Hearing:
    return Hearing(start_s, end_s, match, "catalogue", (round(start_s), round(end_s)))


def spans(joined) -> list[tuple[str, float, float]]:
    return [(play.track.title, play.start_s, play.end_s) for play in joined]


def test_neighbouring_hearings_of_one_track_are_one_play() -> None:
    assert spans(plays([heard("A", 0, 15), heard("A", 15, 30)], gap_s=5)) == [("A", 0, 30)]


def test_a_hole_no_wider_than_the_gap_does_not_end_a_play() -> None:
    both = [heard("A", 0, 15), heard("A", 30, 45)]
    assert spans(plays(both, gap_s=15)) == [("A", 0, 45)]
    assert spans(plays(both, gap_s=14)) == [("A", 0, 15), ("A", 30, 45)]


def test_another_track_in_between_ends_a_play() -> None:
    three = [heard("A", 0, 15), heard("B", 15, 30), heard("A", 30, 45)]
    assert spans(plays(three, gap_s=60)) == [("A", 0, 15), ("B", 15, 30), ("A", 30, 45)]


def test_tracks_that_overlap_in_a_crossfade_are_both_whole() -> None:
    faded = [heard("A", 0, 15), heard("B", 12, 30), heard("A", 15, 18), heard("B", 30, 45)]
    assert spans(plays(faded, gap_s=5)) == [("A", 0, 18), ("B", 12, 45)]


def test_the_surest_hearing_lends_its_name_and_the_highest_raw_score_is_kept() -> None:
    one = hearing(0, 15, Match(Track("Song", "Band", "Sampler"), 0.6, 40))
    other = hearing(15, 30, Match(Track("Song", "Band", "Album"), 0.9, 30))
    (play,) = plays([one, other], gap_s=1)
    assert (play.track.album, play.confidence, play.raw_score) == ("Album", 0.9, 40)


def test_a_second_candidate_for_the_same_stretch_is_not_a_second_hearing() -> None:
    matches = (Match(Track("A", "X"), 0.9), Match(Track("B", "Y"), 0.8))
    assert [h.match.track.title for h in hearings(Segment(0, 15), matches, "catalogue")] == ["A"]


def test_two_tracks_of_two_stretches_are_two_hearings() -> None:
    matches = (
        Match(Track("A", "X"), 0.9, start_s=0, end_s=8),
        Match(Track("B", "Y"), 0.8, start_s=7, end_s=15),
        Match(Track("C", "Z"), 0.3, start_s=14, end_s=15),
    )
    found = list(hearings(Segment(100, 15), matches, "catalogue"))
    assert [(h.match.track.title, h.start_s, h.end_s) for h in found] == [("A", 100, 108), ("B", 107, 115)]


def test_a_hearing_never_leaves_its_segment() -> None:
    (found,) = hearings(Segment(30, 15), (Match(Track("A"), 0.9, start_s=-3, end_s=200),), "audiotag")
    assert (found.start_s, found.end_s) == (30, 45)


def test_untitled_tracks_with_ids_are_told_apart_by_their_ids() -> None:
    one, other = Match(Track("01", track_id="a"), 0.9), Match(Track("01", track_id="b"), 0.9)
    assert not same_recording(one, other)
    assert same_recording(one, Match(Track("01", track_id="c"), 0.9, also=(Track("01", track_id="a"),)))


def test_spelling_does_not_make_another_recording() -> None:
    assert same_recording(
        Match(Track("Für Elise", "Beethoven"), 1), Match(Track("fur elise!", "BEETHOVEN"), 1)
    )
    assert not same_recording(Match(Track("???", "X"), 1), Match(Track("!!!", "X"), 1))


HEARINGS = st.builds(
    lambda title, start, length, confidence: heard(title, start, start + length, confidence),
    st.sampled_from("ABC"),
    st.integers(0, 200),
    st.integers(1, 30),
    st.floats(0, 1),
)


@given(st.lists(HEARINGS, max_size=12), st.integers(0, 60), st.randoms())
def test_plays_do_not_depend_on_the_order_of_the_hearings(
    some: list[Hearing], gap_s: int, order: random.Random
) -> None:
    shuffled = list(some)
    order.shuffle(shuffled)
    assert plays(some, gap_s=gap_s) == plays(shuffled, gap_s=gap_s)


@given(st.lists(HEARINGS, max_size=12), st.integers(0, 60))
def test_every_hearing_lies_in_a_play_of_its_track_and_no_play_is_longer_than_what_was_heard(
    some: list[Hearing], gap_s: int
) -> None:
    joined = plays(some, gap_s=gap_s)
    for hearing in some:
        assert any(
            play.track == hearing.match.track
            and play.start_s <= hearing.start_s
            and hearing.end_s <= play.end_s
            for play in joined
        )
    for play in joined:
        of_track = [h for h in some if h.match.track == play.track]
        assert play.start_s in {h.start_s for h in of_track}
        assert play.end_s in {h.end_s for h in of_track}
