"""AudioTag's scale of scores, and what a score is worth as a probability."""

from __future__ import annotations

import math
from typing import Final

EVEN_ODDS_SCORE: Final = 12.0
"""The service's score at which a match is as likely wrong as right: some 3 to 4 matched seconds."""

HIGHEST: Final = 1000
"""Scores of 760 are seen in the wild; beyond this a number says no more."""


def probability(score: float | None) -> float:
    """The chance, 0 to 1, that a candidate of this score is what the probe holds: score² / (score² + 12²).

    A prior, not a measurement. The service's number has no ceiling and grows by 3 to 4 a matched second; its
    users take 100 for certain, and 15 s matched throughout gives some 45 to 60. So 12 → .50, 25 → .81,
    50 → .95, 100 → .986. A candidate without a score is given no chance: a name nobody vouches for is no
    answer.
    """
    if score is None or score <= 0:
        return 0.0
    odds_against = (EVEN_ODDS_SCORE / score) * (EVEN_ODDS_SCORE / score)
    return 1.0 / (1.0 + odds_against)


def score(confidence: float) -> int:
    """The score of a probability: 12 at even odds, 100 (what clients take for certain) at .986, 379 at .999.

    The inverse of `probability`, so that a probability comes through a service of ours as it went in, but for rounding:
    from whole numbers to probabilities and back nothing is lost. It grows with the probability, and so with the seconds
    that match.
    """
    if confidence >= 1.0:
        return HIGHEST
    odds = max(confidence, 0.0) / (1.0 - confidence)
    return min(max(round(EVEN_ODDS_SCORE * math.sqrt(odds)), 1), HIGHEST)
