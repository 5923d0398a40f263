"""The passes for music played too fast, too slow, too high or too low."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pipeline.engine.landmarks import Frames, Keys
from pipeline.engine.query import MIN_HEARD_FRAMES, Query
from pipeline.engine.score import Pass
from pipeline.engine.search import CELL_MIDDLE, Candidate, Part, best_of_each_track, scored
from pipeline.engine.spectrum import BINS_PER_OCTAVE
from pipeline.engine.verify import align

Numbers = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Bend:
    """A way a recording may have been changed: played `tempo` times as fast, sounding `shift` bins lower."""

    tempo: float = 1.0
    shift: int = 0


SPEED_BINS: Final = 7
TEMPO_STEP: Final = 0.025
TEMPO_STEPS: Final = 5
PITCH_BINS: Final = 8
BENDS: Final = (
    *(Bend(2.0 ** (-b / BINS_PER_OCTAVE), b) for b in range(-SPEED_BINS, SPEED_BINS + 1) if b),
    *(Bend(1 + TEMPO_STEP * step) for step in range(-TEMPO_STEPS, TEMPO_STEPS + 1) if step),
    *(Bend(shift=b) for b in range(-PITCH_BINS, PITCH_BINS + 1) if b),
)
"""Speed within 10 % (turntables, films, disguised uploads), tempo within 12.5 % (DJs), pitch within two semitones."""

PLACES: Final = 32
KEPT: Final = 3
"""Places and tracks taken from every bend."""
REFINED: Final = 12
"""Tracks, of all bends together, whose tempo and pitch are then looked for between the steps."""

TEMPI: Final = 1 + TEMPO_STEP / 2 * np.arange(-2 * TEMPO_STEPS, 2 * TEMPO_STEPS + 1)
"""At which one track is looked for: half a step off, its peaks are still within a tenth of a second after 15 s. Its own
tempo is one of them, to the last digit: what is moved there sounds as it is."""

_TEMPO_AROUND: Final = np.array([0.99, 0.995, 1.0, 1.005, 1.01])
_SHIFT_AROUND: Final = np.array([-1, 0, 1])


def search_bent(query: Query, parts: Sequence[Part]) -> list[Candidate]:
    """The tracks that fit the probe at another tempo or pitch, most likely first."""
    bendable = query.bendable()
    asked = [bendable.landmarks(bend.tempo, bend.shift) for bend in BENDS]
    found = best_of_each_bend(candidate for part in parts for candidate in _verified(query, part, asked))
    best = best_of_each_track(found)[:REFINED]
    return scored(query, [refined(query, candidate) for candidate in best], Pass.BENT, parts)


def best_of_each_bend(candidates: Iterable[Candidate]) -> list[Candidate]:
    """KEPT candidates at every tempo and pitch, by falling z."""
    kept: list[Candidate] = []
    seen = Counter[tuple[float, int]]()
    for candidate in sorted(candidates, key=lambda candidate: -candidate.z):
        seen[candidate.tempo, candidate.shift] += 1
        if seen[candidate.tempo, candidate.shift] <= KEPT:
            kept.append(candidate)
    return kept


def _verified(query: Query, part: Part, asked: Sequence[tuple[Keys, Frames]]) -> Iterator[Candidate]:
    """The tracks of a shard that fit best at each of BENDS, whose landmarks are asked for: KEPT of each at most.

    Their places are verified all at once: numpy takes longer to be called forty times than for its work.
    """
    ballot = part.ballot()
    polls = [part.voted(keys, frames, ballot, PLACES) for keys, frames in asked]
    frame, votes = (np.concatenate([getattr(poll, each) for poll in polls]) for each in ("frame", "votes"))
    bend = np.repeat(np.arange(len(BENDS)), [len(poll.frame) for poll in polls])
    tempo, shift = np.array([[each.tempo, each.shift] for each in BENDS])[bend].T
    number = part.roll.owners(frame)
    fit = align(
        query.z_map, part.shard.peaks, frame + CELL_MIDDLE, tempo.astype(np.float32), shift.astype(np.int32)
    )
    long = part.frames_heard(number, fit.frame, query.frames, tempo) >= MIN_HEARD_FRAMES
    seen: list[set[int]] = [set() for _ in BENDS]
    for place in np.argsort(-fit.z, kind="stable").tolist():
        n, owner = int(bend[place]), int(number[place])
        if long[place] and len(seen[n]) < KEPT and owner not in seen[n]:
            seen[n].add(owner)
            yield Candidate(
                part, owner, int(fit.frame[place]), BENDS[n].tempo, BENDS[n].shift, int(votes[place]),
                float(fit.z[place]), polls[n].unseen_votes,
            )  # fmt: skip


def refined(query: Query, candidate: Candidate) -> Candidate:
    """The same candidate at the tempo (within 1 %) and pitch (within a bin) at which it fits best."""
    tempo, shift = (
        grid.ravel() for grid in np.meshgrid(candidate.tempo * _TEMPO_AROUND, candidate.shift + _SHIFT_AROUND)
    )
    return _best_fit(query, candidate, np.full(len(tempo), candidate.frame), tempo, shift)


def at_any_tempo(query: Query, candidate: Candidate, span: tuple[int, int]) -> Candidate:
    """The same candidate at the tempo at which it fits best, near where it is heard as it was found, in that span."""
    tempo, pivot = (grid.ravel() for grid in np.meshgrid(TEMPI, np.array([span[0], sum(span) / 2, span[1]])))
    # What fits by halves at a wrong tempo is where it should be at one moment only.
    frame = np.rint(candidate.frame + (candidate.tempo - tempo) * pivot)
    return refined(query, _best_fit(query, candidate, frame, tempo, np.zeros(len(tempo))))


def _best_fit(
    query: Query, candidate: Candidate, frame: Numbers, tempo: Numbers, shift: Numbers
) -> Candidate:
    """The same candidate at that of these frames, tempi and pitches [each] at which it fits best."""
    fit = align(
        query.z_map,
        candidate.part.shard.peaks,
        frame.astype(np.int64),
        tempo.astype(np.float32),
        shift.astype(np.int32),
    )
    best = int(np.argmax(fit.z))
    return candidate.moved(int(fit.frame[best]), float(fit.z[best]), float(tempo[best]), int(shift[best]))
