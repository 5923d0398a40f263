"""Segments cover what they should, overlap never, and are of a length the service takes."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.batch.segment import cut, plan_cover, plan_probes, plan_stride
from pipeline.model import RATE_HZ, Segment

durations = st.floats(0, 4000) | st.integers(0, 400).map(float) | st.floats(4.9, 61)
lengths = st.floats(15, 30) | st.sampled_from([15.0, 20.0, 22.5, 30.0])
SAMPLE = 1 / RATE_HZ


def disjoint_and_inside(segments: list[Segment], duration_s: float) -> bool:
    in_time = sorted(segments, key=lambda segment: segment.start_s)
    edges = [edge for segment in in_time for edge in (segment.start_s, segment.end_s)]
    inside = not edges or (edges[0] >= 0 and edges[-1] <= duration_s + SAMPLE)
    return inside and all(one <= other + 1e-9 for one, other in pairwise(edges))


def of_legal_length(segments: list[Segment], duration_s: float) -> bool:
    shortest_s = min(15.0, duration_s - SAMPLE)
    return all(max(5.0, shortest_s) - 1e-9 <= segment.length_s <= 30.0 + 1e-9 for segment in segments)


@given(durations, st.integers(1, 9), lengths)
def test_probes_are_legal_and_never_overlap(duration_s: float, count: int, length_s: float) -> None:
    segments = plan_probes(duration_s, count=count, length_s=length_s)
    assert len(segments) <= count
    assert bool(segments) == (round(duration_s * RATE_HZ) >= 5 * RATE_HZ)
    assert disjoint_and_inside(segments, duration_s)
    assert of_legal_length(segments, duration_s)


@given(durations, lengths)
def test_a_cover_has_no_gap_and_no_overlap(duration_s: float, length_s: float) -> None:
    segments = plan_cover(duration_s, length_s=length_s)
    assert of_legal_length(segments, duration_s)
    if duration_s < 4.99:
        assert segments == []
    elif duration_s > 5.01:
        assert segments[0].start_s == 0
        assert segments[-1].end_s == pytest.approx(duration_s, abs=SAMPLE)
        for one, other in pairwise(segments):
            assert one.end_s == pytest.approx(other.start_s, abs=1e-9)


@given(durations, lengths, st.floats(15, 300))
def test_a_stride_hears_every_stretch_of_the_file(duration_s: float, length_s: float, every_s: float) -> None:
    segments = plan_stride(duration_s, length_s=length_s, every_s=every_s)
    assert disjoint_and_inside(segments, duration_s)
    assert of_legal_length(segments, duration_s)
    assert segments == sorted(segments, key=lambda segment: segment.start_s)
    stride_s = max(every_s, length_s)
    assert len(segments) in (
        {math.floor(duration_s / stride_s), math.ceil(duration_s / stride_s)} if duration_s > 5.01 else {0, 1}
    )
    for one, other in pairwise(segments):
        assert other.start_s - one.start_s <= stride_s + SAMPLE


@given(st.integers(0, 150 * RATE_HZ), lengths, st.lists(st.integers(0, 40 * RATE_HZ), max_size=12))
def test_a_stream_is_cut_exactly_as_planned(total: int, length_s: float, sizes: list[int]) -> None:
    pcm = (np.arange(total) % 30_011).astype(np.int16)
    edges = [edge for edge in np.cumsum(sizes).tolist() if edge < total]
    pieces = list(cut(np.split(pcm, edges), length_s=length_s))
    assert [segment for segment, _ in pieces] == plan_cover(total / RATE_HZ, length_s=length_s)
    for segment, piece in pieces:
        start = round(segment.start_s * RATE_HZ)
        np.testing.assert_array_equal(piece, pcm[start : start + round(segment.length_s * RATE_HZ)])


def test_the_middle_is_asked_about_first() -> None:
    starts = [segment.start_s for segment in plan_probes(240.0, count=3, length_s=15.0)]
    assert starts == [112.5, 52.5, 172.5]


@pytest.mark.parametrize(
    ("duration_s", "expected"),
    [
        (4.9, []),
        (5.0, [(0.0, 5.0)]),
        (14.0, [(0.0, 14.0)]),
        (15.0, [(0.0, 15.0)]),
        (20.0, [(2.5, 15.0)]),
        (45.0, [(7.5, 15.0), (22.5, 15.0)]),
    ],
)
def test_a_short_file_gets_fewer_probes(duration_s: float, expected: list[tuple[float, float]]) -> None:
    planned = plan_probes(duration_s, count=3, length_s=15.0)
    assert [(segment.start_s, segment.length_s) for segment in planned] == expected


@pytest.mark.parametrize(
    ("duration_s", "length_s", "expected"),
    [
        (29.0, 15.0, [29.0]),  # a rest under 15 s joins the last piece
        (44.0, 15.0, [15.0, 29.0]),
        (60.0, 15.0, [15.0, 15.0, 15.0, 15.0]),
        (34.0, 30.0, [17.0, 17.0]),  # too long when joined: shared evenly
        (64.0, 30.0, [30.0, 17.0, 17.0]),
        (36.0, 20.0, [20.0, 16.0]),
    ],
)
def test_the_last_piece_is_never_too_short(duration_s: float, length_s: float, expected: list[float]) -> None:
    assert [segment.length_s for segment in plan_cover(duration_s, length_s=length_s)] == expected


@pytest.mark.parametrize("length_s", [0.0, 14.9, 30.1, float("nan"), -1.0])
def test_a_length_the_service_does_not_want_is_refused(length_s: float) -> None:
    with pytest.raises(ValueError, match="a segment is 15 to 30 s long"):
        plan_cover(100.0, length_s=length_s)


@pytest.mark.parametrize("duration_s", [float("nan"), float("inf")])
def test_an_impossible_duration_is_refused(duration_s: float) -> None:
    with pytest.raises(ValueError, match="a duration is a finite number of seconds"):
        plan_probes(duration_s, count=3, length_s=15.0)


def test_a_cut_piece_belongs_to_the_caller() -> None:
    block = np.zeros(40 * RATE_HZ, np.int16)
    for _, piece in cut([block], length_s=15.0):
        piece += 1
    assert not block.any()
