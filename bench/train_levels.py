"""Fit the models of pipeline/engine/score.json that tell a recording from others who play the same.

    python -m bench.train_levels MUSIC --unknown FOLDER,FOLDER --midi FOLDER [--clips 45] [--seed 1]

MUSIC as bench.train_score has it; the folder of MIDI files holds those of Debian's openttd-openmsx and the scores of
Doom (freedoom). All that is known is degraded as bench.degrade can, mildly and beyond what can be named, cut to 5 to 15
s, mixed and joined. Tunes and MIDI pieces are also played by others. Prints how well each fold is judged by models
fitted to the others.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from bench.degrade import DEGRADATIONS, HARDER, mixed
from bench.fitting import FOLDS, fitted, fold_of, write
from bench.midi import FONTS, played
from bench.recognition import Library, add_music_options, opened, probes
from pipeline.engine import score
from pipeline.engine.bent import search_every_way
from pipeline.engine.catalogue import Catalogue
from pipeline.engine.heard import heard_span
from pipeline.engine.levels import FEATURES, level_features
from pipeline.engine.query import make_query
from pipeline.engine.search import Part
from pipeline.engine.tracks import Entry, KnownTrack
from pipeline.model import RATE_HZ, Pcm
from tests.engine.melodies import cut, to_pcm, tune

LENGTHS_S: Final = (5, 5, 10, 15)
TUNES: Final = 40
TUNE_S: Final = 60.0
COVERS_A_TUNE: Final = 20
CUTS: Final = 2
"""Of each length, from every piece and from every cover of it."""

JUDGED_FROM: Final = 3.0
"""Log-odds that the music is heard from which a candidate teaches."""

NEAR_MISSES: Final = ("ttsong_iv_imuh3", "BUNNY")
"""Pieces that drums play nearly alone: their covers are the recording, but for the sound font."""

RARE: Final = 6.5
"""Added to the log-odds: among what people ask for, others who play the same at the same moments are rarer than here.
With 5.5 one in sixty excerpts at another pitch would be named no more; of covers 4 in 1,000 were, with 6.5 3 in 600."""


@dataclass(frozen=True)
class Evidence:
    """One candidate whose music is heard."""

    what: str
    track: str
    recording: bool
    """Whether it is the recording, not a cover."""
    bent: bool
    features: score.Vector


def collect(
    library: Library, midi: Sequence[Path], folder: Path, clips: int, seed: int
) -> Iterator[Evidence]:
    """The evidence of excerpts of everything known, and of its covers."""
    pieces = {path.stem: played(path, FONTS[0]) for path in midi}
    pieces |= {f"tune of {number}": tune(number, TUNE_S) for number in range(TUNES)}
    with Catalogue.open(folder, create=True) as catalogue:
        catalogue.add(
            Entry(KnownTrack("", title=name, path=name), [pcm])
            for name, pcm in (*((str(path), library.pcm[path]) for path in library.known), *pieces.items())
        )
        catalogue.compact()
        for what, track, pcm in (*recordings(library, pieces, clips, seed), *covers(midi, seed)):
            yield from _judged(catalogue.parts, what, track, pcm)


def recordings(
    library: Library, pieces: Mapping[str, Pcm], clips: int, seed: int
) -> Iterator[tuple[str, str, Pcm]]:
    """What is to be named: kind, path and samples."""
    rng = np.random.default_rng(seed)
    ways = DEGRADATIONS | HARDER
    for turn, probe in enumerate(probes(library, library.known, ways, clips, max(LENGTHS_S), seed)):
        length_s = LENGTHS_S[sum(divmod(turn, len(ways))) % len(LENGTHS_S)]
        yield probe.what, str(probe.path), probe.pcm[: length_s * RATE_HZ]
    for name, pcm in pieces.items():
        yield from (("clean", name, excerpt) for excerpt in _excerpts(pcm, rng))
    for turn in range(4 * clips):
        length = int(rng.choice(LENGTHS_S)) * RATE_HZ
        two = [library.known[number] for number in rng.choice(len(library.known), 2, replace=False)]
        if min(len(library.pcm[path]) for path in two) <= length:
            continue
        starts = [int(rng.integers(len(library.pcm[path]) - length)) for path in two]
        one, other = (
            library.pcm[path][start : start + length].astype(np.float64)
            for path, start in zip(two, starts, strict=True)
        )
        joined = np.concatenate([one[: length // 2], other[length // 2 :]])
        sound = mixed(one, other, rng.uniform(-4, 4)) if turn % 2 else joined
        yield from (("two at once" if turn % 2 else "two", str(path), to_pcm(sound)) for path in two)


def covers(midi: Sequence[Path], seed: int) -> Iterator[tuple[str, str, Pcm]]:
    """What is not: the same by other players."""
    rng = np.random.default_rng([seed, 1])
    for number in range(TUNES):
        for _ in range(COVERS_A_TUNE):
            pcm = tune(number, TUNE_S, players=int(rng.integers(1, 1_000_000)))
            length_s = int(rng.choice(LENGTHS_S))
            yield "cover", f"tune of {number}", cut(pcm, rng.uniform(0, TUNE_S - length_s - 2), length_s)
    for path in midi:
        if not any(name in path.stem for name in NEAR_MISSES):
            for font in FONTS:
                pcm = played(path, font, players=int(rng.integers(1, 1_000_000)))
                yield from (("cover", path.stem, excerpt) for excerpt in _excerpts(pcm, rng))


def _excerpts(pcm: Pcm, rng: np.random.Generator) -> Iterator[Pcm]:
    for length_s in LENGTHS_S * CUTS:
        if len(pcm) > (length_s + 2) * RATE_HZ:
            yield cut(pcm, rng.uniform(0, len(pcm) / RATE_HZ - length_s), length_s)


def _judged(parts: Sequence[Part], what: str, track: str, pcm: Pcm) -> Iterator[Evidence]:
    query = make_query(pcm)
    if query is None:
        return
    found = [each for each in search_every_way(query, parts) if each.track.path == track]
    if found and found[0].log_odds >= JUDGED_FROM:
        peaks = found[0].heard_peaks(query)
        here = peaks.only(peaks.inside(heard_span(query, peaks)))
        features = level_features(query.level, query.noise, here)
        yield Evidence(what, track, what != "cover", not found[0].as_it_is, features)


def models(rows: Sequence[Evidence]) -> dict[str, score.Model]:
    """The models for what is heard as it is, and at another tempo or pitch."""
    made = {}
    for name, bent in (("recording", False), ("bent_recording", True)):
        those = [row for row in rows if row.bent is bent]
        model = fitted(
            np.array([row.features for row in those]), np.array([float(r.recording) for r in those])
        )
        made[name] = score.Model(model.bias + RARE, model.weight, model.centre, model.scale)
    return made


def report(rows: Sequence[Evidence]) -> None:
    """Judge every fold by models fitted to the others: what share of each kind is taken for the recording."""
    log_odds = defaultdict(list)
    for held_out in range(FOLDS):
        trained = models([row for row in rows if fold_of(row.track) != held_out])
        for row in rows:
            if fold_of(row.track) == held_out:
                name = "bent_recording" if row.bent else "recording"
                log_odds[row.what].append(trained[name].log_odds(row.features))
    for what, those in log_odds.items():
        shares = (f"{bar}: {100 * np.mean(np.array(those) >= bar):5.1f} %" for bar in (4.5, 5.5, 6.5, 7.5))
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
    write(models(rows), FEATURES)


if __name__ == "__main__":
    main()
