"""Our confidence, a probability, on the scale that clients of AudioTag expect."""

from __future__ import annotations

import math
from typing import Final

from pipeline.wire.tracks import EVEN_ODDS_SCORE

HIGHEST: Final = 1000
"""Scores of 760 are seen in the wild; beyond this a number says no more."""


def score(confidence: float) -> int:
    """The score of a probability: 12 at even odds, 100 (what clients take for certain) at .986, 379 at .999.

    The inverse of how our own client reads a score (`wire.tracks.probability`), so that a probability comes through
    this service as it went in, but for rounding. It grows with the probability, and so with the seconds that match.
    """
    if confidence >= 1.0:
        return HIGHEST
    odds = max(confidence, 0.0) / (1.0 - confidence)
    return min(max(round(EVEN_ODDS_SCORE * math.sqrt(odds)), 1), HIGHEST)
