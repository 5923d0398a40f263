"""What log-odds are worth: the surer, the more often right, and what is named nearly always."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.fitting import KNOTS, graded, worth
from pipeline.engine.heard import NAMED_LOG_ODDS
from pipeline.engine.score import EVEN, confidence, fits_evenly


@given(st.floats(-50, 50), st.floats(0, 50))
def test_the_likelier_is_never_claimed_with_less_confidence(log_odds: float, more: float) -> None:
    assert 0 < confidence(log_odds) <= confidence(log_odds + more) < 1


def test_a_name_claims_99_percent_and_what_is_not_named_one_of_two_grades() -> None:
    assert confidence(NAMED_LOG_ODDS) > 0.99
    assert len({confidence(log_odds) for log_odds in np.arange(-50, NAMED_LOG_ODDS, 0.1)}) == 2
    assert confidence(np.nextafter(NAMED_LOG_ODDS, 0)) < 0.95


def test_a_grade_is_the_share_of_its_answers_that_were_right() -> None:
    said = np.repeat([-5.0, 0.0, 3.0, 7.0], 100)
    right = np.concatenate([np.arange(100) < share for share in (4, 20, 90, 100)])

    assert graded(said, right).tolist() == [0.12, 0.9]


def test_grades_of_which_the_likelier_one_was_right_less_often_are_refused() -> None:
    with pytest.raises(ValueError, match="too few"):
        graded(np.array([-5.0, 0.0, 3.0]), np.array([True, True, False]))


def test_answers_that_are_right_as_often_as_they_say_are_worth_what_they_say() -> None:
    rng = np.random.default_rng(1)
    said = rng.uniform(-8, 8, 40_000)
    right = rng.random(40_000) < 1 / (1 + np.exp(-said))

    assert worth(said, right) == pytest.approx(np.array(KNOTS), abs=0.4)


def test_answers_that_claim_too_much_in_the_middle_are_worth_less_there_and_no_less_at_the_ends() -> None:
    rng = np.random.default_rng(2)
    said = rng.uniform(-8, 8, 40_000)
    right = rng.random(40_000) < 1 / (1 + np.exp(np.clip(1 - np.abs(said) / 2, 0, 1) - said))

    told = dict(zip(KNOTS, worth(said, right), strict=True))

    assert told[0] == pytest.approx(-1, abs=0.3)
    assert told[2] == pytest.approx(2, abs=0.3)
    assert told[-2] == pytest.approx(-2, abs=0.3)


def test_answers_of_which_the_surer_ones_are_wrong_are_refused() -> None:
    said = np.linspace(-8, 8, 1000)

    with pytest.raises(ValueError, match="too few"):
        worth(said, said < 0)


def test_a_longer_probe_has_to_fit_more_evenly_to_be_called_even() -> None:
    assert fits_evenly(EVEN + 0.2, 5)
    assert not fits_evenly(EVEN + 0.2, 15)
