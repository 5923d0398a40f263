"""What bench.train_levels teaches with: recordings to be named, the same by other players, and what nobody knows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from bench.degrade import DEGRADATIONS, HARDER, mixed
from bench.midi import FONTS, played
from bench.negatives import negatives
from bench.recognition import Library, probes
from pipeline.model import RATE_HZ, Pcm
from tests.engine.melodies import cut, to_pcm, tune

LENGTHS_S: Final = (5, 5, 10, 15)
HARD_LENGTHS_S: Final = (4, 5, 6, 10, 15)
NEGATIVES: Final = 3_000
"""Of 5 s."""
TUNES: Final = 40
TUNE_S: Final = 60.0
COVERS_A_TUNE: Final = 20
CUTS: Final = 2
"""Of each length, from every piece and from every cover of it."""

COVER: Final = "cover"

NEAR_MISSES: Final = ("ttsong_iv_imuh3", "BUNNY")
"""Pieces that drums play nearly alone: their covers are the recording, but for the sound font."""


@dataclass(frozen=True)
class Sound:
    """What is searched for."""

    what: str
    tracks: tuple[str, ...]
    """Those heard in it, or those that others play in a cover."""
    pcm: Pcm

    @property
    def is_cover(self) -> bool:
        return self.what == COVER


def originals(midi: Sequence[Path]) -> dict[str, Pcm]:
    """What is played by others as well, as it belongs in the catalogue: by name."""
    pieces = {path.stem: played(path, FONTS[0]) for path in midi}
    return pieces | {f"tune of {number}": tune(number, TUNE_S) for number in range(TUNES)}


def recordings(library: Library, pieces: Mapping[str, Pcm], clips: int, seed: int) -> Iterator[Sound]:
    """What is to be named."""
    rng = np.random.default_rng(seed)
    yield from _degraded(library, library.known, clips, seed)
    for name, pcm in pieces.items():
        yield from (Sound("clean", (name,), excerpt) for excerpt in _excerpts(pcm, rng))
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
        yield Sound("two at once" if turn % 2 else "two", tuple(map(str, two)), to_pcm(sound))


def _degraded(library: Library, tracks: Sequence[Path], clips: int, seed: int) -> Iterator[Sound]:
    ways = DEGRADATIONS | HARDER
    for turn, probe in enumerate(probes(library, tracks, ways, clips, max(LENGTHS_S), seed)):
        lengths_s = HARD_LENGTHS_S if probe.what in HARDER else LENGTHS_S
        length_s = lengths_s[sum(divmod(turn, len(ways))) % len(lengths_s)]
        heard = (str(probe.path),) if tracks is library.known else ()
        yield Sound(probe.what, heard, probe.pcm[: length_s * RATE_HZ])


def strangers(library: Library, clips: int, seed: int) -> Iterator[Sound]:
    """What nobody knows."""
    yield from _degraded(library, library.unknown, clips, seed)
    music = [library.pcm[path] for path in library.unknown]
    for kind, pcm in negatives(NEGATIVES, LENGTHS_S[0], music, seed):
        if kind != "covers":
            yield Sound(kind, (), pcm)


def covers(midi: Sequence[Path], seed: int) -> Iterator[Sound]:
    """The same by other players."""
    rng = np.random.default_rng([seed, 1])
    for number in range(TUNES):
        for _ in range(COVERS_A_TUNE):
            pcm = tune(number, TUNE_S, players=int(rng.integers(1, 1_000_000)))
            length_s = int(rng.choice(LENGTHS_S))
            excerpt = cut(pcm, rng.uniform(0, TUNE_S - length_s - 2), length_s)
            yield Sound(COVER, (f"tune of {number}",), excerpt)
    for path in midi:
        if not any(name in path.stem for name in NEAR_MISSES):
            for font in FONTS:
                pcm = played(path, font, players=int(rng.integers(1, 1_000_000)))
                yield from (Sound(COVER, (path.stem,), excerpt) for excerpt in _excerpts(pcm, rng))


def _excerpts(pcm: Pcm, rng: np.random.Generator) -> Iterator[Pcm]:
    for length_s in LENGTHS_S * CUTS:
        if len(pcm) > (length_s + 2) * RATE_HZ:
            yield cut(pcm, rng.uniform(0, len(pcm) / RATE_HZ - length_s), length_s)
