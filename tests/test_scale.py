"""Probabilities on AudioTag's scale of scores, and back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.scale import HIGHEST, probability, score


@given(st.floats(0, 1), st.floats(0, 1))
def test_the_scale_is_monotone_and_whole(one: float, other: float) -> None:
    low, high = sorted((one, other))

    assert 1 <= score(low) <= score(high) <= HIGHEST


@given(st.floats(0.01, 0.9998))
def test_our_client_reads_the_probability_back(confidence: float) -> None:
    assert abs(probability(score(confidence)) - confidence) < 0.05


def test_certain_is_100_and_more() -> None:
    assert score(0.98) < 100 <= score(0.99)
    assert score(0.5) == 12


@given(st.integers(1, HIGHEST))
def test_a_whole_score_comes_back_as_it_was(told: int) -> None:
    assert score(probability(told)) == told
