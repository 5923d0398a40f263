"""Fit the models of pipeline/engine/score.json that tell a recording from accidents, and from others who play the same.

    python -m bench.train_levels MUSIC --unknown FOLDER,FOLDER --midi FOLDER [--clips 45] [--seed 1]

MUSIC as bench.train_score has it; the folder of MIDI files holds those of Debian's openttd-openmsx and the scores of
Doom (freedoom). Music known and unknown is degraded as bench.degrade can, mildly and beyond what can be named, cut to 4
to 15 s, mixed and joined, and searched for as it is and without its own track, now and then among a few tracks only;
so are sounds that nobody knows (bench.negatives). Tunes and MIDI pieces are also played by others. Prints how well each
fold is judged by models fitted to the others. What their log-odds are worth on other music is for bench.calibration
--correct to find out next.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final

import numpy as np

from bench.fitting import FOLDS, Line, fitted, fold_of, made_steep, print_reliability, write
from bench.lessons import COVER, Sound, covers, originals, recordings, strangers
from bench.recognition import Library, add_music_options, opened
from bench.train_score import SAME_RECORDING, WRONG_KEPT, few_of, heard_as_it_is, share_loops, without
from pipeline.engine import score
from pipeline.engine.bent import search_bent
from pipeline.engine.catalogue import Catalogue
from pipeline.engine.covers import (
    FEATURES,
    FEATURES_BESIDE_MUSIC,
    Bearing,
    beside_music,
    no_cover_log_odds,
)
from pipeline.engine.heard import bearing_on, heard_span
from pipeline.engine.levels import level_features
from pipeline.engine.query import Query, make_query
from pipeline.engine.search import HEARD_LOG_ODDS, Candidate, Part, search_plain, search_scanned
from pipeline.engine.tracks import Entry, KnownTrack
from pipeline.engine.verify import peaks_shared

FEW_EVERY: Final = 5
"""One search in so many is among a few tracks."""
JUDGED_FROM: Final = 3.0
"""Log-odds that the music is heard from which a candidate teaches."""

RARE: Final = 6.75
"""Log-odds that what is played alike is the recording: among what people ask for, others who play the same notes at
the same moments are rare."""

MANY_PLACES: Final = -0.5
"""Added to the log-odds of what the scan found: it picks the best of all places, and so the best of all accidents."""


@dataclass(frozen=True)
class Evidence:
    """One candidate of one search."""

    search: int
    what: str
    track: str
    """The first of those heard, or what was found where none is."""
    right: bool
    by: score.Pass
    music: float
    """The log-odds that its music is heard."""
    measured: score.Vector
    bearing: Bearing

    @property
    def is_cover(self) -> bool:
        return self.what == COVER


def collect(
    library: Library, midi: Sequence[Path], folder: Path, clips: int, seed: int
) -> Iterator[Evidence]:
    """The evidence of excerpts of everything known, of its covers, and of what nobody knows."""
    pieces = originals(midi)
    rng = np.random.default_rng([seed, 2])
    with Catalogue.open(folder, create=True) as catalogue:
        catalogue.add(
            Entry(KnownTrack("", title=name, path=name), [pcm])
            for name, pcm in (*((str(path), library.pcm[path]) for path in library.known), *pieces.items())
        )
        catalogue.compact()
        sounds = chain(
            recordings(library, pieces, clips, seed), covers(midi, seed), strangers(library, clips, seed)
        )
        for number, sound in enumerate(sounds):
            parts: Sequence[Part] = catalogue.parts
            if number % FEW_EVERY == 0:
                parts = few_of(parts, sound.tracks[0] if sound.tracks else "", rng)
            yield from _judged(number, parts, sound)


def _judged(number: int, parts: Sequence[Part], sound: Sound) -> Iterator[Evidence]:
    query = make_query(sound.pcm)
    if query is None:
        return

    def evidence(candidate: Candidate, right: bool) -> Evidence:
        peaks = candidate.heard_peaks(query)
        span = heard_span(query, peaks)
        here = peaks.only(peaks.inside(span))
        measured = level_features(query.level, query.noise, here, bent=candidate.by is score.Pass.BENT)
        track = sound.tracks[0] if sound.tracks else candidate.track.path
        return Evidence(
            number, sound.what, track, right, candidate.by, candidate.log_odds, measured,
            bearing_on(query, candidate, peaks, span),
        )  # fmt: skip

    found = _found(query, parts, sound)
    heard = [each for each in found if each.track.path in sound.tracks]
    yield from (evidence(each, right=not sound.is_cover) for each in heard)
    if sound.is_cover:
        return
    if sound.tracks:
        for track in sound.tracks:
            parts = without(parts, track)
        found = _found(query, parts, sound)
    wrong = sorted(found, key=lambda each: -each.log_odds)[:WRONG_KEPT]
    yield from (evidence(each, right=False) for each in wrong if not _akin(query, sound.tracks, heard, each))


def _found(query: Query, parts: Sequence[Part], sound: Sound) -> list[Candidate]:
    """The candidates of the passes that it takes to name this."""
    found = search_plain(query, parts)
    as_it_is = heard_as_it_is(sound.what) and not sound.is_cover
    if as_it_is and found and found[0].log_odds >= HEARD_LOG_ODDS:
        return found
    return found + search_scanned(query, parts) + search_bent(query, parts)


def _akin(query: Query, tracks: Sequence[str], heard: Sequence[Candidate], other: Candidate) -> bool:
    """Whether the other may be of one recording, or made of the same sounds, as what is heard: it teaches nothing."""
    return any(share_loops(track, other.track.path) for track in tracks) or any(
        peaks_shared(each.heard_peaks(query), other.heard_peaks(query)) >= SAME_RECORDING for each in heard
    )


def models(rows: Sequence[Evidence]) -> dict[str, score.Model]:
    """The models that tell accidents, and those that tell covers: as it is, and at another tempo or pitch."""
    flat = {
        by.no_accident: _fitted_to(
            [row for row in rows if row.by is by and _teaches_accidents(row)],
            lambda row: beside_music(row.music, row.measured),
        )
        for by in score.Pass
    }
    music = [row for row in rows if not row.is_cover]
    made = made_steep(flat, music, [no_accident(flat, row) for row in music])
    scanned = score.Pass.SCANNED.no_accident
    made[scanned] = Line(1.0, MANY_PLACES).of(made[scanned])
    for by in (score.Pass.PLAIN, score.Pass.BENT):
        lessons = [row for row in rows if row.by is by and _teaches_covers(row)]
        covers_more = float(np.log(sum(row.is_cover for row in lessons) / sum(row.right for row in lessons)))
        made[by.no_cover] = Line(1.0, covers_more + RARE).of(
            _fitted_to(lessons, lambda row: row.measured[: len(FEATURES)])
        )
    return made


def _fitted_to(rows: Sequence[Evidence], features: Callable[[Evidence], score.Vector]) -> score.Model:
    return fitted(np.array([features(row) for row in rows]), np.array([float(row.right) for row in rows]))


def _teaches_accidents(row: Evidence) -> bool:
    return not row.is_cover and (not row.right or _wholly_right(row))


def _teaches_covers(row: Evidence) -> bool:
    return (row.is_cover or _wholly_right(row)) and row.music >= JUDGED_FROM


def _wholly_right(row: Evidence) -> bool:
    """Whether this is the right track, and not half right: at another tempo, but found as it is, its levels are off."""
    return row.right and (row.by is score.Pass.BENT or heard_as_it_is(row.what))


def no_accident(trained: Mapping[str, score.Model], row: Evidence) -> float:
    """The log-odds by these models that what the row tells of is no accident."""
    return trained[row.by.no_accident].log_odds(beside_music(row.music, row.measured))


def report(rows: Sequence[Evidence]) -> None:
    """Judge every fold by models fitted to the others: how accidents are told, and what is taken for the recording."""
    accident = np.zeros(len(rows))
    log_odds = defaultdict(list)
    for held_out in range(FOLDS):
        trained = models([row for row in rows if fold_of(row.track) != held_out])
        for number, row in enumerate(rows):
            if fold_of(row.track) == held_out:
                accident[number] = no_accident(trained, row)
                if _teaches_covers(row):
                    cover = no_cover_log_odds(trained[row.by.no_cover], row.measured, row.bearing)
                    log_odds[row.what].append(score.both_log_odds(accident[number], cover))
    music = [number for number, row in enumerate(rows) if not row.is_cover]
    print_reliability(
        [rows[number] for number in music], accident[music], (2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 5.5)
    )
    for what, those in log_odds.items():
        shares = (f"{bar}: {100 * np.mean(np.array(those) >= bar):5.1f} %" for bar in (3.5, 4.5, 5.5, 6.5))
        print(f"{what:34} {len(those):5}, from", ", ".join(shares))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_music_options(parser, clips=45)
    parser.add_argument("--midi", type=Path, required=True, help="folder of MIDI files")
    options = parser.parse_args()
    library = opened(parser, options)
    with tempfile.TemporaryDirectory() as folder:
        midi = sorted(options.midi.rglob("*.mid"))
        rows = list(collect(library, midi, Path(folder), options.clips, options.seed))
    report(rows)
    made = models(rows)
    for features, kind in ((FEATURES_BESIDE_MUSIC, "no_accident"), (FEATURES, "no_cover")):
        write({name: model for name, model in made.items() if name.endswith(kind)}, features)


if __name__ == "__main__":
    main()
