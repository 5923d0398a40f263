"""Several tracks in one clip: are all of them found, where does each begin and end, is one invented; and duplicates.

    python -m bench.several [MUSIC] [--unknown FOLDER,FOLDER] [--clips 150] [--copied 24] [--seed 1] [--misses]

MUSIC and --unknown are as in bench.recognition. The clips are cut at random places, made equally loud, joined, and
coded as a whole: mp3 at 128 and 32 kbit/s, Opus at 12 and GSM take turns. Edges are measured inside the clip, against
the join; of a crossfade, against its middle. Copies of a track are made through mp3 at 64 kbit/s with the first 1.7 s
cut off, and through Opus at 24 kbit/s. Everything is drawn from the seed. Prints Markdown.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np

from bench.degrade import DEGRADATIONS, SOURCE_HZ, Change, Sound, coded, read, to_probe
from bench.recognition import QUIET, SHORTEST_S, Library
from pipeline.engine.catalogue import Catalogue
from pipeline.engine.hits import Hit
from pipeline.engine.tracks import Entry, KnownTrack
from pipeline.model import RATE_HZ, Pcm

CLIP_S: Final = 15.0
FADE_S: Final = 3.0
LOT: Final = 10
DRAWS: Final = 200
"""Of a stretch that can be heard: of some recordings most is digital silence."""
_UNUSED: Final = np.random.default_rng(0)
"""Codecs draw nothing."""
CODECS: Final = ("mp3 128k", "mp3 32k", "opus 12k", "gsm")

COPIES: Final[dict[str, tuple[Change, float]]] = {
    "mp3": (coded("libmp3lame", "mp3", "-b:a", "64k"), 1.7),
    "opus": (coded("libopus", "ogg", "-ar", "48000", "-b:a", "24k"), 0.0),
}
"""How each copy of a track was coded, and how much of its start was cut off."""
COPY_PROBE_S: Final = 5.0
PROBES_A_COPY: Final = 3
COPY_MARK: Final = "#"
"""What parts the path of a copied track from the name of the copy."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a recording in a clip; of a fade, to its middle. An unknown recording has no path."""

    path: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Clip:
    """What is searched for, and what is in it."""

    kind: str
    codec: str
    pcm: Pcm
    pieces: tuple[Piece, ...]
    fade_s: float = 0.0

    @property
    def known(self) -> list[Piece]:
        return [piece for piece in self.pieces if piece.path]


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one clip was answered."""

    found: int
    strangers: tuple[str, ...]
    """Names given to what is not in the clip."""
    edges_s: tuple[float, ...]
    """How far each edge inside the clip is off."""
    ends_s: tuple[float, ...]
    """The same where a track is cut by the clip's own beginning or end."""
    invented_s: float
    """Time for which a track was claimed that is not there then."""
    overlooked_s: float
    """Time for which a track that is there was not claimed."""


def clips(library: Library, count: int, seed: int) -> Iterator[Clip]:
    """`count` clips of every kind."""
    kinds = {
        "concatenated": _joined, "crossfaded 3 s": _crossfaded, "mixed at 0 dB": _mixed, "three of 5 s": _three,
        "one alone": _alone, "one, and one unknown": _half_unknown,
    }  # fmt: skip
    for index, (kind, made) in enumerate(kinds.items()):
        numbers = range(count if library.unknown or made is not _half_unknown else 0)
        for turn, codec in enumerate(CODECS):
            own = [
                made(library, np.random.default_rng([seed, index, number]))
                for number in numbers[turn :: len(CODECS)]
            ]
            sounds = in_lots(DEGRADATIONS[codec], [sound for sound, _, _ in own])
            for sound, (_, pieces, fade_s) in zip(sounds, own, strict=True):
                yield Clip(kind, codec, to_probe(sound), pieces, fade_s)


def in_lots(codec: Change, sounds: Sequence[Sound]) -> Iterator[Sound]:
    """Each sound through the codec; a few at a time with silence between them, for every call of ffmpeg costs."""
    gap = np.zeros(SOURCE_HZ)
    for start in range(0, len(sounds), LOT):
        lot = sounds[start : start + LOT]
        together = codec(np.concatenate([part for sound in lot for part in (sound, gap)]), _UNUSED)
        begin = 0
        for sound in lot:
            yield together[begin : begin + len(sound)]
            begin += len(sound) + len(gap)


_Made = tuple[Sound, tuple[Piece, ...], float]


def _joined(library: Library, rng: np.random.Generator) -> _Made:
    edge_s = rng.uniform(5, 10)
    one, other = _tracks(library.known, 2, rng)
    sound = np.concatenate(
        [excerpt(library, one, edge_s, rng), excerpt(library, other, CLIP_S - edge_s, rng)]
    )
    return sound, (Piece(str(one), 0, edge_s), Piece(str(other), edge_s, CLIP_S)), 0.0


def _crossfaded(library: Library, rng: np.random.Generator) -> _Made:
    edge_s = rng.uniform(5, 10)
    one, other = _tracks(library.known, 2, rng)
    first = excerpt(library, one, edge_s + FADE_S / 2, rng)
    second = excerpt(library, other, CLIP_S - edge_s + FADE_S / 2, rng)
    return (
        crossfaded(first, second, FADE_S),
        (Piece(str(one), 0, edge_s), Piece(str(other), edge_s, CLIP_S)),
        FADE_S,
    )


def crossfaded(first: Sound, second: Sound, fade_s: float) -> Sound:
    """One sound after the other, the second coming in evenly while the first goes."""
    fade = round(fade_s * SOURCE_HZ)
    gone = np.linspace(1, 0, fade)
    both = first[-fade:] * gone + second[:fade] * (1 - gone)
    return np.concatenate([first[:-fade], both, second[fade:]])


def _mixed(library: Library, rng: np.random.Generator) -> _Made:
    paths = _tracks(library.known, 2, rng)
    sounds = [excerpt(library, path, CLIP_S, rng) for path in paths]
    return np.sum(sounds, axis=0), tuple(Piece(str(path), 0, CLIP_S) for path in paths), 0.0


def _three(library: Library, rng: np.random.Generator) -> _Made:
    paths = _tracks(library.known, 3, rng)
    sound = np.concatenate([excerpt(library, path, 5, rng) for path in paths])
    return sound, tuple(Piece(str(path), 5 * n, 5 * n + 5) for n, path in enumerate(paths)), 0.0


def _alone(library: Library, rng: np.random.Generator) -> _Made:
    (path,) = _tracks(library.known, 1, rng)
    return excerpt(library, path, CLIP_S, rng), (Piece(str(path), 0, CLIP_S),), 0.0


def _half_unknown(library: Library, rng: np.random.Generator) -> _Made:
    edge_s = rng.uniform(5, 10)
    (known,), (unknown,) = _tracks(library.known, 1, rng), _tracks(library.unknown, 1, rng)
    if rng.random() < 0.5:
        sounds = [excerpt(library, known, edge_s, rng), excerpt(library, unknown, CLIP_S - edge_s, rng)]
        return np.concatenate(sounds), (Piece(str(known), 0, edge_s), Piece("", edge_s, CLIP_S)), 0.0
    sounds = [excerpt(library, unknown, edge_s, rng), excerpt(library, known, CLIP_S - edge_s, rng)]
    return np.concatenate(sounds), (Piece("", 0, edge_s), Piece(str(known), edge_s, CLIP_S)), 0.0


def _tracks(paths: Sequence[Path], count: int, rng: np.random.Generator) -> list[Path]:
    return [paths[index] for index in rng.choice(len(paths), count, replace=False)]


def excerpt(library: Library, path: Path, length_s: float, rng: np.random.Generator) -> Sound:
    """A stretch of a file that is not near silence, or the loudest of many, at the one loudness of all."""
    pcm = library.pcm[path]
    samples, whole_s = round(length_s * SOURCE_HZ), len(pcm) / RATE_HZ
    loudness, start_s = -1.0, 0.0
    for _ in range(DRAWS):
        drawn_s = rng.uniform(1, whole_s - length_s - 2)
        heard = pcm[round(drawn_s * RATE_HZ) : round((drawn_s + length_s) * RATE_HZ)]
        loudness, start_s = max(
            (loudness, start_s), (float(np.sqrt(np.mean(heard.astype(np.float64) ** 2))) / 32768, drawn_s)
        )
        if loudness > QUIET:
            break
    sound = np.resize(read(str(path), start_s, length_s + 0.1)[:samples], samples)
    return sound * (0.1 / np.sqrt(np.mean(sound**2)))


def judged(clip: Clip, hits: Sequence[Hit]) -> Verdict:
    """What the hits say of the clip, held against what is in it."""
    claimed: dict[str, Hit] = {}
    strangers = []
    invented_s = overlooked_s = 0.0
    edges_s, ends_s = [], []
    for hit in hits:
        names = [hit.track.path, *(track.path for track in hit.also)]
        piece = next((piece for piece in clip.known if piece.path in names), None)
        if piece is None:
            strangers.append(names[0])
            invented_s += hit.end_s - hit.start_s
            continue
        claimed.setdefault(piece.path, hit)
        heard_s = (
            min(hit.end_s, piece.end_s + clip.fade_s / 2) - max(hit.start_s, piece.start_s - clip.fade_s / 2)
        )  # fmt: skip
        invented_s += hit.end_s - hit.start_s - max(heard_s, 0)
    for piece in clip.known:
        hit_ = claimed.get(piece.path)
        if hit_ is None:
            overlooked_s += piece.end_s - piece.start_s
            continue
        shared_s = min(hit_.end_s, piece.end_s) - max(hit_.start_s, piece.start_s)
        overlooked_s += piece.end_s - piece.start_s - max(shared_s, 0)
        for said_s, true_s in ((hit_.start_s, piece.start_s), (hit_.end_s, piece.end_s)):
            (edges_s if 0 < true_s < CLIP_S else ends_s).append(abs(said_s - true_s))
    return Verdict(
        len(claimed), tuple(strangers), tuple(edges_s), tuple(ends_s), invented_s, overlooked_s
    )  # fmt: skip


def report(judgements: Sequence[tuple[Clip, Verdict]]) -> None:
    """Print what was found of every kind of clip."""
    print(
        "\n| clips of 15 s | all found, % | clips with an invented track | edges off, s: median | p90", end=""
    )
    print(" | clip's own ends off: p90 | claimed in vain, s a clip | overlooked, s a clip |")
    print("|---|---|---|---|---|---|---|---|")
    for kind in dict.fromkeys(clip.kind for clip, _ in judgements):
        of_kind = [(clip, verdict) for clip, verdict in judgements if clip.kind == kind]
        verdicts = [verdict for _, verdict in of_kind]
        whole = np.mean([verdict.found == len(clip.known) for clip, verdict in of_kind])
        edges_s = [off for verdict in verdicts for off in verdict.edges_s]
        ends_s = [off for verdict in verdicts for off in verdict.ends_s]
        median, p90 = np.percentile(edges_s, [50, 90]) if edges_s else (np.nan, np.nan)
        print(
            f"| {kind} | {100 * whole:.1f} | {sum(bool(verdict.strangers) for verdict in verdicts)} of"
            f" {len(verdicts)} | {median:.2f} | {p90:.2f} | {np.percentile(ends_s, 90):.2f}"
            f" | {np.mean([verdict.invented_s for verdict in verdicts]):.2f}"
            f" | {np.mean([verdict.overlooked_s for verdict in verdicts]):.2f} |".replace("nan", "-")
        )


def show_miss(number: int, clip: Clip, verdict: Verdict, hits: Sequence[Hit]) -> None:
    """Print a clip that was not answered as it should be."""
    if verdict.found == len(clip.known) and not verdict.strangers:
        return
    print(f"\n{number}: {clip.kind}, {clip.codec}")
    for piece in clip.pieces:
        print(f"  is    {piece.start_s:5.2f} to {piece.end_s:5.2f} {piece.path or 'unknown'}")
    for hit in hits:
        print(
            f"  said  {hit.start_s:5.2f} to {hit.end_s:5.2f} {hit.track.path} {hit.confidence:.3f} z {hit.z:.1f}"
        )


def copied(library: Library, paths: Sequence[Path], rng: np.random.Generator) -> Iterator[Entry]:
    """The same recordings again, under other names and coded."""
    for path in paths:
        sound = read(str(path))
        for name, (change, cut_s) in COPIES.items():
            copy = to_probe(change(sound, rng)[round(cut_s * SOURCE_HZ) :])
            yield Entry(KnownTrack("", path=f"{path}{COPY_MARK}{name}"), [copy])


def duplicates(
    catalogue: Catalogue, library: Library, paths: Sequence[Path], seed: int, *, misses: bool
) -> None:
    """Print how many of the copies of a recording come back as one group, and what else is in it."""
    print(
        f"\n| {COPY_PROBE_S:.0f} s of copied tracks | probes | named | copies in the group, % | in hits of their own",
        end="",
    )
    print(" | probes with anything else in the group | with another hit |\n|---|---|---|---|---|---|---|")
    asked = [path for path in paths for _ in range(PROBES_A_COPY)]
    ways: dict[str, Change] = {
        "clean": lambda sound, _: sound,
        **{name: DEGRADATIONS[name] for name in CODECS},
    }
    for index, (way, change) in enumerate(ways.items()):
        probes = named = together = apart = crowded = others = 0
        rngs = [np.random.default_rng([seed, 100 + index, number]) for number in range(len(asked))]
        excerpts = [excerpt(library, path, COPY_PROBE_S, rng) for path, rng in zip(asked, rngs, strict=True)]
        for path, sound in zip(asked, in_lots(change, excerpts), strict=True):
            hits = catalogue.search(to_probe(sound))
            copies = {str(path), *(f"{path}{COPY_MARK}{name}" for name in COPIES)}
            groups = [{hit.track.path, *(track.path for track in hit.also)} for hit in hits]
            own = next((group for group in groups if group & copies), set())
            rest = [group for group in groups if group is not own]
            probes += 1
            named += bool(own)
            together += len(own & copies)
            apart += sum(len(group & copies) for group in rest)
            crowded += bool(own - copies)
            others += any(not group & copies for group in rest)
            if misses and (own != copies or rest):
                print(f"  {way} {path.name}: missing {copies - own}, more {own - copies}, hits {rest}")
        share = 100 * together / (probes * (1 + len(COPIES)))
        print(f"| {way} | {probes} | {named} | {share:.1f} | {apart} | {crowded} | {others} |")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = os.environ.get("EARMARK_BENCH_MUSIC", "/usr/share/games")
    parser.add_argument("music", type=Path, nargs="?", default=Path(default))
    parser.add_argument("--unknown", default="", help="folders to keep out of the catalogue, between commas")
    parser.add_argument("--clips", type=int, default=150, help="clips of each kind")
    parser.add_argument("--copied", type=int, default=24, help="tracks that are added again as copies")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--misses", action="store_true", help="show every clip that was not answered right")
    options = parser.parse_args()
    library = Library(options.music, [name for name in options.unknown.split(",") if name])
    if len(library.known) < 3:
        parser.error(
            f"{options.music} holds no three tracks of {SHORTEST_S:.0f} s or more: name another folder"
        )
    hours = sum(len(library.pcm[path]) for path in library.known) / RATE_HZ / 3600
    print(f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, {os.cpu_count()} cores, Python", end=" ")
    print(f"{platform.python_version()}, numpy {np.__version__}, seed {options.seed}:", end=" ")
    print(f"{len(library.known)} tracks known ({hours:.1f} h), {len(library.unknown)} unknown")
    with tempfile.TemporaryDirectory() as folder, Catalogue.open(Path(folder), create=True) as catalogue:
        catalogue.add(Entry(KnownTrack("", path=str(path)), [library.pcm[path]]) for path in library.known)
        answered = []
        for number, clip in enumerate(clips(library, options.clips, options.seed)):
            hits = catalogue.search(clip.pcm)
            answered.append((clip, judged(clip, hits)))
            if options.misses:
                show_miss(number, *answered[-1], hits)
        report(answered)
        rng = np.random.default_rng([options.seed, 99])
        chosen = _tracks(library.known, min(options.copied, len(library.known)), rng)
        catalogue.add(copied(library, chosen, rng))
        duplicates(catalogue, library, chosen, options.seed, misses=options.misses)


if __name__ == "__main__":
    main()
