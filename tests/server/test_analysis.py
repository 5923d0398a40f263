"""From audio of any length to candidates on the scale clients know."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.model import RATE_HZ, Match, Pcm, Probe, Recognition, Status, Track
from pipeline.scale import score
from pipeline.server.analysis import analyse

A, B = Track("A", "Artist", track_id="a"), Track("B", "Artist", track_id="b")

Answers = Callable[[float, float], list[Match]]


class ByPlace:
    """A recognizer over samples that count seconds: it answers by where a probe lies."""

    name = "by place"
    paid = False
    edition = "1"

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self.asked: list[tuple[float, float]] = []

    def identify(self, probe: Probe) -> Recognition:
        at_s, end_s = float(probe.pcm[0]), float(probe.pcm[-1]) + 1
        self.asked.append((at_s, end_s))
        matches = tuple(self._answers(at_s, end_s))
        return Recognition(Status.FOUND if matches else Status.NOT_FOUND, matches=matches)

    def result(self, token: str) -> Recognition:
        raise NotImplementedError

    def still_names(self, track_id: str) -> bool:
        raise NotImplementedError


def seconds(length_s: int) -> Pcm:
    return np.repeat(np.arange(length_s, dtype=np.int16), RATE_HZ)


def match(track: Track, confidence: float = 0.9, start_s: float = 0.0, end_s: float = 15.0) -> Match:
    return Match(track, confidence, start_s=start_s, end_s=end_s)


@settings(deadline=None)
@given(st.integers(5, 200))
def test_the_windows_cover_all_and_none_is_too_short_or_too_long(length_s: int) -> None:
    recognizer = ByPlace(lambda *_: [])
    analyse(recognizer, seconds(length_s))

    assert recognizer.asked[0][0] == 0
    assert recognizer.asked[-1][1] == length_s
    assert all(one[1] == other[0] for one, other in zip(recognizer.asked, recognizer.asked[1:], strict=False))
    assert all(5 <= end_s - at_s <= 30 for at_s, end_s in recognizer.asked)


def test_windows_of_one_recording_are_one_candidate_and_the_surer_for_it() -> None:
    outcome, _ = analyse(ByPlace(lambda at_s, _: [match(A)] if at_s < 60 else []), seconds(120), start_s=100)
    [candidate] = outcome.candidates

    assert candidate.span_s == (100, 160)
    assert candidate.score == score(1 - 0.1**4)


def test_a_recording_heard_again_later_is_another_candidate() -> None:
    outcome, _ = analyse(ByPlace(lambda at_s, _: [match(A)] if at_s in (0, 90) else []), seconds(120))

    assert [candidate.span_s for candidate in outcome.candidates] == [(0, 15), (90, 105)]


def test_two_recordings_of_one_window_are_two_candidates_best_first() -> None:
    answers = [match(B, 0.8, 9, 15), match(A, 0.95, 0, 10)]
    outcome, _ = analyse(ByPlace(lambda *_: answers), seconds(15))

    assert [candidate.rows[0].title for candidate in outcome.candidates] == ["A", "B"]
    assert [candidate.aid for candidate in outcome.candidates] != [None, None]


def test_duplicates_are_the_tracks_of_one_candidate() -> None:
    heard = Match(A, 0.9, also=(Track("", "Artist", "", None, "c"),))
    outcome, _ = analyse(ByPlace(lambda *_: [heard]), seconds(15))
    [candidate] = outcome.candidates

    assert [(row.title, row.year) for row in candidate.rows] == [("A", 0), ("[no title information]", 0)]
    assert candidate.span_s == (0, 15)


def test_nothing_heard_is_not_found() -> None:
    assert analyse(ByPlace(lambda *_: []), seconds(40))[0].status is Status.NOT_FOUND
