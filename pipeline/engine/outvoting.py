"""Who has far more votes than anybody else is there, though nothing of it stands out from what sounds all the time.

Where one chord sounds for all of a probe, no bin of the map that verification reads is louder now and then: the right
place fits worse than accident does elsewhere. But its peaks still come when they should, and so do its landmarks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from pipeline.engine.covers import SURE
from pipeline.engine.query import Query
from pipeline.engine.score import Pass, fit_of
from pipeline.engine.search import CELL_MIDDLE, PLACES, SAME_PEAKS_SHARE, USUAL, Candidate, Part
from pipeline.engine.spectrum import FRAME_S
from pipeline.engine.verify import MAX_FRAMES_OFF, peaks_shared

LANDSLIDE: Final = 4
"""Times the votes of every other recording, and of what the best usually has by accident: then it is none, and only
levels can tell that it is not the recording. No less will do: of 240 probes of strangers with the same steady chord the
nearest had 3.9 under noise, where their levels seem right, and 4.03 in the clear, where they do not."""


def search_outvoting(query: Query, parts: Sequence[Part]) -> list[Candidate]:
    """The track with a LANDSLIDE of votes for the probe as it is, and its copies; none if there is no such track."""
    usual = USUAL[Pass.PLAIN].rival_votes * (query.frames * FRAME_S / 5) ** 0.5
    polled = sorted(_polled(query, parts), key=lambda candidate: -candidate.votes)
    others = max([usual, *(candidate.unseen_votes for candidate in polled)])
    if not polled or polled[0].votes < LANDSLIDE * others:
        return []
    near = [_placed(query, each) for each in polled if LANDSLIDE * each.votes > polled[0].votes]
    met = near[0].heard_peaks(query)
    copies = all(peaks_shared(met, each.heard_peaks(query)) >= SAME_PEAKS_SHARE for each in near[1:])
    return near if copies else []


def _polled(query: Query, parts: Sequence[Part]) -> Iterator[Candidate]:
    """The most voted place of every track that voting hands on, not verified."""
    keys, frames = query.landmarks()
    for part in parts:
        voted = part.voted(keys, frames, part.ballot(), PLACES)
        number, first = np.unique(part.roll.owners(voted.frame), return_index=True)
        columns = (each.tolist() for each in (number, voted.frame[first] + CELL_MIDDLE, voted.votes[first]))
        for owner, frame, votes in zip(*columns, strict=True):
            yield Candidate(
                part, owner, frame, tempo=1.0, shift=0, votes=votes, z=0.0,
                unseen_votes=voted.unseen_votes, log_odds=SURE, by=Pass.OUTVOTING,
            )  # fmt: skip


def _placed(query: Query, candidate: Candidate) -> Candidate:
    """The candidate at the frame at which most of its peaks are the probe's own, for a vote tells no more than four."""
    own = np.zeros(query.z_map.shape, np.bool_)
    own[query.peaks.frame, query.peaks.bin] = True
    frames = candidate.frame + np.arange(-MAX_FRAMES_OFF, MAX_FRAMES_OFF + 1)
    around = [replace(candidate, frame=frame, peaks=None) for frame in frames.tolist()]
    heard = [each.heard_peaks(query) for each in around]
    met = [int(own[peaks.at, peaks.bin].sum()) for peaks in heard]
    best = int(np.argmax(met))
    return replace(around[best], peaks=heard[best], z=fit_of(query.z_map, heard[best]).z)
