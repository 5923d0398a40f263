"""What the segments of a file say together."""

import os
import random
import threading
import time
from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.batch.collect import FOUND_AT, MOST, verdict
from pipeline.batch.convert import Converted
from pipeline.batch.identify import FileJob
from pipeline.ledger import AskedSegment
from pipeline.model import Match, Segment, SourceFile, Status, Tags, Track


def asked(
    start_s: float, *matches: Match, recognizer: str = "catalogue", length_s: float = 15.0
) -> AskedSegment:
    return AskedSegment(
        Segment(start_s, length_s),
        f"{start_s:064.0f}",
        recognizer,
        Status.FOUND if matches else Status.NOT_FOUND,
        matches,
    )


def match(title: str, confidence: float, **more) -> Match:
    artist = more.pop("artist", "Someone")
    return Match(Track(title, artist), confidence, **more)


def test_one_sure_match_settles_the_answer() -> None:
    found = verdict([asked(50, match("Greensleeves", 0.97))], gap_s=60)
    assert found.match is not None
    assert found.match.track.title == "Greensleeves"
    assert found.settled


def test_a_match_over_a_small_part_of_its_segment_asks_for_a_second_witness() -> None:
    brief = match("Greensleeves", 0.97, start_s=0.0, end_s=4.0)
    assert not verdict([asked(50, brief)], gap_s=60).settled
    assert verdict([asked(50, brief), asked(100, match("Greensleeves", 0.6))], gap_s=60).settled


def test_a_close_runner_up_asks_for_a_second_witness() -> None:
    lines = [asked(50, match("Greensleeves", 0.92), match("Amazing Grace", 0.8))]
    found = verdict(lines, gap_s=60)
    assert found.match is not None
    assert found.match.track.title == "Greensleeves"
    assert not found.settled
    lines.append(asked(100, match("Greensleeves", 0.9)))
    assert verdict(lines, gap_s=60).settled


def test_two_unsure_witnesses_that_agree_are_surer_than_each() -> None:
    one, two = asked(50, match("Greensleeves", 0.7)), asked(100, match("Greensleeves", 0.7))
    together = verdict([one, two], gap_s=60)
    assert together.confidence == pytest.approx(0.91)
    assert together.agreeing == 2
    assert together.matched_s == pytest.approx(30)


def test_an_unlikely_match_is_not_found_rather_than_a_wrong_name() -> None:
    found = verdict([asked(50, match("Greensleeves", FOUND_AT - 0.01)), asked(90)], gap_s=60)
    assert found.match is None
    assert found.plays == ()


def test_reissues_of_one_recording_are_one_recording() -> None:
    lines = [
        asked(0, match("Hello Mr. Monkey", 0.6, artist="Arabesque")),
        asked(60, match("HELLO MR MONKEY", 0.6, artist="Arabesque")),
    ]
    found = verdict(lines, gap_s=60)
    assert found.agreeing == 2
    assert found.tracks == 1


def test_another_version_is_another_recording() -> None:
    lines = [asked(0, match("Hey", 0.9)), asked(60, match("Hey (Live)", 0.8))]
    assert verdict(lines, gap_s=60).tracks == 2


def test_a_mix_names_what_was_heard_longest_and_counts_the_rest() -> None:
    lines = [asked(0, match("A", 0.95)), asked(15, match("B", 0.95)), asked(30, match("B", 0.9))]
    found = verdict(lines, gap_s=15)
    assert found.match is not None
    assert found.match.track.title == "B"
    assert [(play.track.title, play.start_s, play.end_s) for play in found.plays] == [
        ("A", 0, 15),
        ("B", 15, 45),
    ]


MATCHES = st.builds(
    lambda title, confidence, raw: Match(Track(title, "X"), confidence, raw),
    st.sampled_from("ABCD"),
    st.floats(0, 1),
    st.one_of(st.none(), st.integers(1, 300).map(float)),
)


@given(st.lists(st.lists(MATCHES, max_size=3), max_size=8), st.randoms())
def test_the_verdict_does_not_depend_on_the_order_of_the_segments(
    rows: list[list[Match]], order: random.Random
) -> None:
    lines = [asked(20.0 * number, *row) for number, row in enumerate(rows)]
    shuffled = list(lines)
    order.shuffle(shuffled)
    one, other = verdict(lines, gap_s=30), verdict(shuffled, gap_s=30)
    assert (one.confidence, one.plays, one.agreeing) == (other.confidence, other.plays, other.agreeing)
    assert one.confidence is None or FOUND_AT <= one.confidence <= MOST


def test_the_order_of_the_segments_does_not_change_the_last_digit_of_a_confidence() -> None:
    doubtful = (0.4305899666774097, 0.4753953054256018, 0.421875, 0.4127345831660115)
    lines = [asked(20.0 * number, match("A", confidence)) for number, confidence in enumerate(doubtful)]

    found = {verdict(shuffled, gap_s=30).confidence for shuffled in permutations(lines)}

    assert len(found) == 1


def test_three_hours_of_many_candidates_are_weighed_in_a_moment() -> None:
    lines = [
        asked(
            15.0 * n, *(match(f"Title {n} {k}", 0.9 - 0.01 * k, artist=f"Artist {k} {n}") for k in range(10))
        )
        for n in range(720)
    ]
    began = time.process_time()
    assert len(verdict(lines, gap_s=15.5).plays) == 720
    assert time.process_time() - began < 5


# ---- threads


RECORDINGS = st.builds(
    Track,
    st.sampled_from(["Greensleeves", "Amazing Grace", "Loch Lomond"]),
    st.sampled_from(["Trad.", ""]),
    track_id=st.sampled_from(["", "t1", "t2"]),
)
MATCHES = st.lists(st.builds(Match, RECORDINGS, st.sampled_from([0.3, 0.6, 0.9, 0.95])), max_size=3)
LINES = st.lists(
    st.tuples(st.integers(0, 9), st.sampled_from(["catalogue", "audiotag"]), MATCHES | st.none()),
    unique_by=lambda line: line[:2],
    max_size=12,
)


def file_job(*, one_by_one: bool) -> FileJob:
    here = Path(__file__)
    found = here.stat()
    source = SourceFile(os.fsencode(here), here.name, found.st_size, found.st_mtime_ns)
    converted = Converted(150.0, Tags(), iter(()), one_by_one=one_by_one, step_s=15.0, hashes=["a"])
    return FileJob(source, 1, converted, lambda job: None, {"catalogue": "g1", "audiotag": ""})


@given(LINES, st.booleans(), st.randoms(use_true_random=False))
def test_the_answer_to_a_file_does_not_depend_on_which_thread_finished_first(
    lines: list[tuple[int, str, list[Match] | None]], one_by_one: bool, chance: random.Random
) -> None:
    heard = [
        AskedSegment(Segment(15.0 * n, 15.0), str(n), name, None, error=f"no answer for {n}")
        if matches is None
        else asked(15.0 * n, *matches, recognizer=name)
        for n, name, matches in lines
    ]
    first, second = file_job(one_by_one=one_by_one), file_job(one_by_one=one_by_one)
    for line in heard:
        first.heard(line)
    chance.shuffle(heard)
    for line in heard:
        second.heard(line)
    assert first.answer() == second.answer()


@pytest.mark.parametrize("last", ["the decoding", "a question"])
def test_a_file_is_finished_once_by_whoever_is_last(last: str) -> None:
    finished: list[FileJob] = []
    job = file_job(one_by_one=False)
    job.finish = finished.append
    for _ in range(100):
        job.opened()
    if last == "a question":
        job.closed()
    threads = [threading.Thread(target=job.closed) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    if last == "the decoding":
        assert finished == []
        job.closed()
    assert finished == [job]
