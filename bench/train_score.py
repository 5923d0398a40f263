"""Fit the models of pipeline/engine/score.json that tell whether a track's music is heard.

    python -m bench.train_score MUSIC --unknown FOLDER,FOLDER [--clips 127] [--seed 5]

MUSIC holds the music of PACKAGES, a folder each; UNKNOWN names those of them that stay out of the catalogue. None is
measured on anywhere. Excerpts of known and unknown music are degraded as bench.degrade can, mildly and beyond what can
be named, cut to 4 to 15 s and searched for: as they are, and with their own track taken out of the catalogue, so that
everything found is wrong. Some are also searched for in catalogues of 130 and 400 hours (bench.growth), where accident
achieves more, or of a few tracks, where there is no crowd to show what it achieves; and so are sounds that nobody
knows (bench.negatives). Takes more than an hour. Prints how well each fold is judged by models fitted to the others.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from bench.degrade import DEGRADATIONS, HARDER
from bench.fitting import FOLDS, SCORE, fitted, fold_of, made_steep, print_reliability, write
from bench.growth import grown
from bench.negatives import negatives
from bench.recognition import Library, add_music_options, opened, probes
from pipeline.engine import score
from pipeline.engine.bent import search_bent
from pipeline.engine.query import Query, make_query
from pipeline.engine.score import FEATURES, Vector
from pipeline.engine.search import Candidate, Part, search_plain
from pipeline.engine.verify import peaks_shared
from pipeline.model import RATE_HZ, Pcm

PACKAGES: Final = {
    "known": "wesnoth-1.16-music btanks-data pingus-data neverball-data warzone2100-music torus-trooper-data "
    "parsec47-data tumiki-fighters-data noiz2sa-data titanion-data gunroar-data mu-cade-data marsshooter-data "
    "starfighter-data openarena-data",
    "unknown": "freedroidrpg-data lincity-ng-data extremetuxracer-data teeworlds-data lugaru-data frozen-bubble-data "
    "ardentryst a7xpg-data val-and-rick-data",
}
"""Debian's. Orchestras, and loops and machines: each deceives in its own way."""

SAME_RECORDING: Final = 0.35
"""A 'wrong' track that once shared this many peaks with the right one is the same music, and teaches nothing."""

SHARED_LOOPS: Final = ("warzone2100-music", "mu-cade-data", "marsshooter-data")
"""Games whose tracks are made of the same loops: who takes one for another is not simply wrong, and teaches nothing."""

MILD_S: Final = (5, 10, 15)
HARD_S: Final = (4, 5, 6, 10, 15)
HOURS: Final = 400
FEW: Final = 9
FEW_TRACKS: Final = (3, 14, 14, 40)
NEGATIVES: Final = 3_000
"""Of 5 s; without covers, which bench.train_levels learns to tell."""
WRONG_KEPT: Final = 3
"""Wrong tracks of each search that teach: the best."""

MAY_COUNT_AGAINST: Final = ("fit_per_peak", "crowd")
"""Of few peaks each fits well more easily; in a crowd that fits well a track has less to say."""


@dataclass(frozen=True)
class Search:
    """One probe, searched for in one catalogue."""

    number: int
    track: str
    """The one heard; empty if it is unknown."""
    what: str
    size: int
    """Of the catalogue: 0 for the music alone, 1 and 2 for the grown ones, FEW for some tracks of the music."""


@dataclass(frozen=True)
class Evidence:
    """One judged candidate."""

    search: Search
    bent: bool
    right: bool
    found: str
    shared: float
    features: Vector

    @property
    def fold(self) -> int:
        return fold_of(self.search.track or self.found)


def collect(library: Library, folder: Path, clips: int, seed: int) -> Iterator[Evidence]:
    """The evidence of the searches for all probes."""
    sizes = [size.parts for size in grown(folder, library, HOURS, seed)]
    ways = DEGRADATIONS | HARDER
    rng = np.random.default_rng(seed)
    number = 0
    for tracks in (library.known, library.unknown):
        sounds = probes(library, tracks, ways, clips, max(HARD_S), seed)
        for turn, probe in enumerate(sounds):
            clip, way = divmod(turn, len(ways))
            lengths_s = HARD_S if probe.what in HARDER else MILD_S
            known = tracks is library.known
            # Distractors are copies of the unknown music as well, so that only the known is asked for among them.
            asked = [0] + [1] * (known and (clip + way) % 3 == 0) + [2] * (known and (clip + way) % 6 == 1)
            pcm = probe.pcm[: lengths_s[(clip + way) % len(lengths_s)] * RATE_HZ]
            for size in (*asked, *[FEW] * (clip % 3 == 0)):
                search = Search(number, str(probe.path) if known else "", probe.what, size)
                parts = few_of(sizes[0], search.track, rng) if size == FEW else sizes[size]
                yield from _judged(search, pcm, parts)
                number += 1
    strange = [library.pcm[path] for path in library.unknown]
    for kind, pcm in negatives(NEGATIVES, MILD_S[0], strange, seed):
        if kind != "covers":
            yield from _judged(Search(number, "", kind, 0), pcm, sizes[0])
            yield from _judged(Search(number + 1, "", kind, FEW), pcm, few_of(sizes[0], "", rng))
            number += 2


def _judged(search: Search, pcm: Pcm, parts: Sequence[Part]) -> Iterator[Evidence]:
    query = make_query(pcm)
    if query is None:
        return
    for bent, look in ((False, search_plain), (True, search_bent)):
        if bent and search.size == 2:
            continue  # two seconds for each
        found = look(query, parts)
        right = [candidate for candidate in found if candidate.track.path == search.track]
        wrong = look(query, without(parts, search.track)) if search.track else found
        for candidate in (*right, *wrong[:WRONG_KEPT]):
            shared = _shared(query, right, candidate)
            path, features = candidate.track.path, candidate.features
            yield Evidence(search, bent, candidate in right, path, shared, features)


def few_of(parts: Sequence[Part], track: str, rng: np.random.Generator) -> list[Part]:
    """A catalogue of a few tracks drawn by lot, and the one that is heard."""
    few = []
    for part in parts:
        path = np.array([stored.track.path for stored in part.shard.tracks])
        chosen = rng.permutation(len(path)) < rng.choice(FEW_TRACKS)
        few.append(Part(part.shard, part.removed | ~(chosen | (path == track))))
    return few


def without(parts: Sequence[Part], track: str) -> list[Part]:
    """The catalogue without a track and its disguised copies."""
    return [
        Part(
            part.shard, part.removed | [_original(stored.track.path) == track for stored in part.shard.tracks]
        )
        for part in parts
    ]


def _original(path: str) -> str:
    """The recording that a distractor was made of ("PATH 12"), or the path itself."""
    before, _, turn = path.rpartition(" ")
    return before if before and turn.isdigit() and "." in before else path


def _shared(query: Query, right: Sequence[Candidate], other: Candidate) -> float:
    return peaks_shared(right[0].heard_peaks(query), other.heard_peaks(query)) if right else 0.0


def instructive(rows: Sequence[Evidence]) -> list[Evidence]:
    """The evidence without wrong tracks that are other versions of the right one."""
    related = {(row.search.track, _original(row.found)) for row in rows if row.shared >= SAME_RECORDING}
    return [row for row in rows if row.right or _really_wrong(row, related)]


def _really_wrong(row: Evidence, related: set[tuple[str, str]]) -> bool:
    track, found = row.search.track, _original(row.found)
    return (track, found) not in related and not share_loops(track, found)


def share_loops(track: str, other: str) -> bool:
    """Whether both are of one game whose tracks are made of the same loops."""
    return any(f"/{game}/" in track and f"/{game}/" in other for game in SHARED_LOOPS)


def models(rows: Sequence[Evidence]) -> dict[str, score.Model]:
    """The two models, fitted and then made as steep as the likeliest answers of all searches want them."""
    flat = {name: fitted_to(rows, name == "bent") for name in ("plain", "bent")}
    return made_steep(
        flat, rows, [flat["bent" if row.bent else "plain"].log_odds(row.features) for row in rows]
    )


def fitted_to(rows: Sequence[Evidence], bent: bool) -> score.Model:
    """The model for candidates found as the music is, or bent, in which no strength counts against a track.

    Left to itself the fit makes strengths that mostly come together outweigh each other, and is lost where they part.
    """
    judged = [row for row in rows if row.bent is bent and (_by_merit(row) or not row.right)]
    x = np.array([row.features for row in judged])
    right = np.array([float(row.right) for row in judged])
    used = np.ones(len(FEATURES), np.bool_)
    while True:
        model, weight = fitted(x[:, used], right), np.zeros(len(FEATURES))
        weight[used] = model.weight
        against = np.where(np.isin(FEATURES, MAY_COUNT_AGAINST), 0, np.minimum(weight, 0))
        if not against.any():
            return score.Model(model.bias, weight, x.mean(axis=0), x.std(axis=0) + 1e-9)
        used[np.argmin(against)] = False


def _by_merit(row: Evidence) -> bool:
    return row.bent or heard_as_it_is(row.search.what)


def heard_as_it_is(what: str) -> bool:
    """Not if the plain pass hit upon a tempo or pitch it does not hear: right by accident, at a wrong place."""
    return not what.startswith(("speed", "tempo", "pitch"))


def report(rows: Sequence[Evidence]) -> None:
    """Judge every fold by models fitted to the others: what is claimed and right, what thresholds keep in and out."""
    log_odds = np.zeros(len(rows))
    fold = np.array([row.fold for row in rows])
    for held_out in range(FOLDS):
        trained = models([row for row, of in zip(rows, fold, strict=True) if of != held_out])
        for n in np.flatnonzero(fold == held_out):
            log_odds[n] = trained["bent" if rows[n].bent else "plain"].log_odds(rows[n].features)
    print_reliability(rows, list(log_odds), (1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_music_options(parser, clips=127)
    options = parser.parse_args()
    library = opened(parser, options)
    # Evidence comes out of the search, which needs models of the present FEATURES to rank by: these weigh nothing.
    blank = score.Model(0.0, *(np.full(len(FEATURES), value) for value in (0.0, 0.0, 1.0)))
    before = SCORE.read_bytes()
    try:
        write({"plain": blank, "bent": blank}, FEATURES)
        with tempfile.TemporaryDirectory() as folder:
            rows = instructive(list(collect(library, Path(folder), options.clips, options.seed)))
        report(rows)
        write(models(rows), FEATURES)
    except BaseException:
        SCORE.write_bytes(before)
        raise


if __name__ == "__main__":
    main()
