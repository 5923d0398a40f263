"""Measures of levels to evidence: is it this recording that is heard, or its notes, played by others, or an accident?

What is loud tells most: codecs, compressors and other tempi harm it last, and others play it otherwise as well.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from pipeline.engine.levels import MEASURES, USUAL_UNSTEADINESS
from pipeline.engine.score import Model, Pass, Vector, both_log_odds, model

FEATURES: Final = MEASURES[:6]
"""Those by which a model tells covers."""
FEATURES_BESIDE_MUSIC: Final = ("music", *MEASURES[:5])
"""What `beside_music` puts together, in this order: accidents are told without agreement."""

CLEAR: Final = (4.9, 8.0)
STEADY: Final = (1.51, USUAL_UNSTEADINESS)
"""Where even the faintest are 15 dB over the noise, it does not explain levels that are unsteadier than 4.5 dB, nor, at
24 dB, than 3.6: of 5,498 excerpts of recordings three are so without being harmed, and of some 14,000 covers all but
two that came near enough otherwise."""
LOUD_OFF: Final = 1.0
LOUD_OFF_BENT: Final = 0.8
"""By less than this the loud peaks of a recording are off, as it is and at another tempo or pitch, and by more those of
others who play it. Of 266 excerpts through codecs, compressors and rooms, of the three pieces that these harm most, 14
are refused for 19, of 88 at another tempo 20 for 39. Of 1,949 candidates for MIDI pieces that others play 104 pass for
107, of 874 moments of the players that come nearest (38 of 9,000) nine for two."""
LOUDEST_OFF: Final = 1.2
LOUDEST_OFF_BENT: Final = 0.9
"""By less than this the loudest third of a recording's peaks are off beside all the others, and by more those of others
who play it. With what follows from `FEW_PEAKS`, of 300 excerpts through speex of the ten pieces it harms most three are
refused for ten, of 194 a tenth slower 23 for 27; of 1,011 MIDI pieces that others play 60 pass for 58, of 836 moments
of the nearest players ten, as before."""
LOUD_WORTH: Final = 5.0
LOUD_MOST: Final = 1.0
"""So many times what each are off by less, up to so much, is added to the log-odds. What they are off by more is taken
only where it is clear, for rooms blur what is loud as well."""
HIDDEN: Final = 0.25
"""Added where it is not clear and sounds as it is: there levels are off by what hides them as well. So many of 2,785
training excerpts of recordings (8) are refused, and MIDI pieces pass (82), as before loud peaks counted (80)."""
LOUD_WRONG: Final = 1.05
"""By more than this (3.2 dB) no recording's loud peaks are off at another tempo or pitch, unless its music is beyond
doubt: of 534 training excerpts three, all degraded beyond what can be named, of 208 others none that is named. Of
unknown music one piece of 15 s had 1.14, whose bars began as those of a track 9 % faster and a semitone and a half
higher."""
FAINT_LOST: Final = 4.0
"""So many times the share of peaks that the noise covers, and what loud peaks are off by less, may a recording that is
heard throughout be unsteadier. What is heard for less may be others at another tempo, half right."""
FEW_PEAKS: Final = 5.3
"""The log of their number (200), below which levels may be unsteadier by as much as it is less, for few tell less
surely. Of 239 moments of the nearest players that nothing but steadiness tells eight have fewer, none throughout."""
NO_RECORDING: Final = 0.0
"""The log-odds at most that it is the recording whose levels cannot be its own: they are clear and unsteady, though
nothing harmed them, or wrong in what is loud."""

TEMPO_ALONE: Final = -2.9
"""Added to the log-odds that it is the recording where tempo is another and pitch is not: others keep the pitch of a
piece and seldom the tempo. Of 4,386 training excerpts of recordings 24 are refused for 21, of MIDI pieces played by
others 4.7 % pass for 7.6. Less the longer it is heard, by the root of that: levels tell more by then. Before this, of
some 400 covers each the nearest came to 6.4, 5.4 and 5.0 in 5, 10 and 15 s, of 141 recordings the furthest to 6.6."""
TEMPO_ALONE_S: Final = 5.0
"""Where so much of it is heard, or less."""

SURE: Final = 12.0
"""Log-odds that music is heard, or not, beyond which more of them say no more."""


@dataclass(frozen=True, slots=True)
class Bearing:
    """What else bears on who plays."""

    harmed: bool = False
    """Whether a codec or a compressor may have changed levels now more, now less."""
    throughout: bool = False
    """Whether it is heard from end to end, or wherever it could be."""
    as_it_is: bool = False
    """Whether it sounds at its own tempo and pitch."""
    tempo_alone: bool = False
    """Whether it sounds at its own pitch, but at another tempo."""
    far_fetched: bool = False
    """Whether it was looked for at many tempi and pitches, and may be an accident."""
    heard_s: float = TEMPO_ALONE_S
    """How long it is heard."""


def recording_log_odds(music_log_odds: float, measured: Vector, by: Pass, bearing: Bearing) -> float:
    """The log-odds that this recording, which that pass found, is heard: from those of its music, and its levels.

    Two things must be true: the track does not fit by accident, and it is not others who play the same.
    """
    no_accident = model(by.no_accident, FEATURES_BESIDE_MUSIC).log_odds(
        beside_music(music_log_odds, measured)
    )
    both = both_log_odds(no_accident, no_cover_log_odds(model(by.no_cover, FEATURES), measured, bearing))
    wrong = measured[MEASURES.index("loud_error")] > LOUD_WRONG
    return min(both, NO_RECORDING) if bearing.far_fetched and wrong else both


def no_cover_log_odds(judge: Model, measured: Vector, bearing: Bearing) -> float:
    """The log-odds, by that model and a rule of what it cannot tell, that it is not others who play the same."""
    told = dict(zip(MEASURES, measured.tolist(), strict=True))
    log_odds = judge.log_odds(measured[: len(FEATURES)])
    clear = told["faintest"] > CLEAR[0]
    loud, loudest = (LOUD_OFF, LOUDEST_OFF) if bearing.as_it_is else (LOUD_OFF_BENT, LOUDEST_OFF_BENT)
    loud_right, loudest_right = loud - told["loud_error"], loudest - told["loudest_error"]
    for right in (loud_right, loudest_right):
        if clear or right > 0:
            log_odds += min(max(LOUD_WORTH * right, -LOUD_MOST), LOUD_MOST)
    if bearing.as_it_is and not clear:
        log_odds += HIDDEN
    if bearing.tempo_alone:
        log_odds += TEMPO_ALONE * math.sqrt(TEMPO_ALONE_S / max(bearing.heard_s, TEMPO_ALONE_S))
    harm = FAINT_LOST * (1 - told["above_noise"]) + loud_right + max(FEW_PEAKS - told["peaks"], 0)
    explained = max(harm, 0) if bearing.throughout else 0.0
    unsteady = told["unsteadiness"] > np.interp(told["faintest"], CLEAR, STEADY) + explained
    return min(log_odds, NO_RECORDING) if clear and unsteady and not bearing.harmed else log_odds


def beside_music(music_log_odds: float, measured: Vector) -> Vector:
    """What `level_features` measured, with what else tells accidents: [FEATURES_BESIDE_MUSIC]."""
    told = measured[: len(FEATURES_BESIDE_MUSIC) - 1]
    return np.array([min(max(music_log_odds, -SURE), SURE), *told.tolist()])
