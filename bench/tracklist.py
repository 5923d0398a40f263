"""Long mixes of known music: is their tracklist right?

    python -m bench.tracklist [MUSIC] [--mixes 4] [--minutes 15] [--seed 1] [--show]

Every mix is made as a DJ would: a minute or two of each track, equally loud, the next coming in over 4 to 12 s; every
other mix also plays each track up to 4 % too fast or too slow. It goes through mp3 at 192 kbit/s and, as a file,
through `earmark identify` with the tracks of MUSIC (as in bench.recognition) in the catalogue. A play is right if it
names a track while that is to be heard. Starts are measured against the middle of the crossfade. Prints Markdown.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench.degrade import SOURCE_HZ, Sound, ffmpeg, filtered
from bench.recognition import Library
from bench.several import crossfaded, excerpt
from pipeline.engine.catalogue import Catalogue
from pipeline.engine.tracks import Entry, KnownTrack
from pipeline.model import RATE_HZ

ROOT: Final = Path(__file__).parent.parent
SHORTEST_S, LONGEST_S = 60.0, 120.0
FADES_S: Final = (4.0, 12.0)
MOST_OFF: Final = 0.04
SLACK_S: Final = 3.0
"""A play may reach this far over the middle of a crossfade's far end and still be right."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A track's turn in a mix, from the middle of one crossfade to the middle of the next."""

    title: str
    start_s: float
    end_s: float
    audible: tuple[float, float]


def mix(
    library: Library, length_s: float, rng: np.random.Generator, *, off_speed: bool
) -> tuple[Sound, list[Turn]]:
    """A mix of at least that length and what is in it."""
    sound, turns = np.zeros(0), []
    for path in rng.permutation([str(path) for path in library.known]):
        room_s = len(library.pcm[Path(path)]) / RATE_HZ - 5
        played = excerpt(library, Path(path), min(rng.uniform(SHORTEST_S, LONGEST_S), room_s), rng)
        if off_speed:
            speed = 1 + rng.uniform(-MOST_OFF, MOST_OFF)
            played = filtered(played, f"asetrate={round(SOURCE_HZ * speed)},aresample={SOURCE_HZ}")
        fade_s = rng.uniform(*FADES_S) if turns else 0.0
        begins_s = len(sound) / SOURCE_HZ - fade_s
        sound = crossfaded(sound, played, fade_s) if turns else played
        if turns:
            last = turns[-1]
            turns[-1] = Turn(
                last.title, last.start_s, begins_s + fade_s / 2, (last.audible[0], begins_s + fade_s)
            )
        ends_s = len(sound) / SOURCE_HZ
        turns.append(Turn(path, begins_s + fade_s / 2, ends_s, (begins_s, ends_s)))
        if ends_s >= length_s:
            break
    return sound, turns


def tracklist(sound: Sound, home: Path) -> list[dict[str, Any]]:
    """The plays that the command reports of that mix, with the catalogue of `home`."""
    raw = ("-f", "f32le", "-ar", str(SOURCE_HZ), "-ac", "1")
    ffmpeg(
        *raw, "-i", "-", "-b:a", "192k", "-y", str(home / "mix.mp3"), sound=sound.astype("<f4").tobytes()
    )  # fmt: skip
    environment = {**os.environ, "HOME": str(home), "EARMARK_STATE": str(home), "PYTHONPATH": str(ROOT)}
    report = home / "report.jsonl"
    subprocess.run(
        [sys.executable, "-m", "pipeline", "identify", home / "mix.mp3", "--out", report, "-q"],
        env=environment, check=True, capture_output=True, timeout=1200,
    )  # fmt: skip
    return [json.loads(line) for line in report.with_name("report.plays.jsonl").read_text().splitlines()]


@dataclass(slots=True)
class Tally:
    """What became of all mixes."""

    turns: int = 0
    found: int = 0
    wrong: int = 0
    again: int = 0
    starts_s: list[float] | None = None
    ends_s: list[float] | None = None

    def count(self, turns: Sequence[Turn], plays: Sequence[dict[str, Any]], *, show: bool) -> None:
        """Add one mix."""
        self.starts_s, self.ends_s = self.starts_s or [], self.ends_s or []
        right: set[int] = set()
        for turn in turns:
            own = [
                number
                for number, play in enumerate(plays)
                if play["title"] == turn.title
                and play["start_s"] < turn.audible[1] + SLACK_S
                and play["end_s"] > turn.audible[0] - SLACK_S
            ]
            right.update(own)
            self.turns += 1
            self.found += bool(own)
            self.again += max(len(own) - 1, 0)
            if own:
                self.starts_s.append(abs(plays[own[0]]["start_s"] - turn.start_s))
                self.ends_s.append(abs(plays[own[-1]]["end_s"] - turn.end_s))
            if show:
                said = [(round(plays[n]["start_s"], 1), round(plays[n]["end_s"], 1)) for n in own]
                print(f"  {turn.start_s:6.1f} to {turn.end_s:6.1f} {turn.title} {said}")
        for number, play in enumerate(plays):
            if number not in right:
                self.wrong += 1
                if show:
                    print(
                        f"  WRONG {play['start_s']} to {play['end_s']} {play['title']} {play['confidence']}"
                    )

    def row(self, kind: str) -> str:
        """A line of the table."""
        starts_s, ends_s = self.starts_s or [np.nan], self.ends_s or [np.nan]
        return (
            f"| {kind} | {self.turns} | {self.found} | {self.wrong} | {self.again} | {np.median(starts_s):.2f}"
            f" | {np.percentile(starts_s, 90):.2f} | {np.median(ends_s):.2f} | {np.percentile(ends_s, 90):.2f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = os.environ.get("EARMARK_BENCH_MUSIC", "/usr/share/games")
    parser.add_argument("music", type=Path, nargs="?", default=Path(default))
    parser.add_argument("--unknown", default="", help="folders to keep out of the catalogue, between commas")
    parser.add_argument("--mixes", type=int, default=4)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", action="store_true", help="show every track of every mix")
    options = parser.parse_args()
    library = Library(options.music, [name for name in options.unknown.split(",") if name])
    tallies = {"as recorded": Tally(), f"each within {100 * MOST_OFF:.0f} % of its speed": Tally()}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        with Catalogue.open(home / "catalogue", create=True) as catalogue:
            catalogue.add(
                Entry(KnownTrack("", title=str(path), path=str(path)), [library.pcm[path]])
                for path in library.known
            )
        for number in range(options.mixes):
            kind = list(tallies)[number % 2]
            rng = np.random.default_rng([options.seed, number])
            sound, turns = mix(library, options.minutes * 60, rng, off_speed=bool(number % 2))
            if options.show:
                print(f"mix {number}, {kind}")
            tallies[kind].count(turns, tracklist(sound, home), show=options.show)
    print(
        f"{len(library.known)} tracks known, {options.mixes} mixes of {options.minutes:.0f} min, seed {options.seed}"
    )
    print("\n| tracks | played | found | wrong plays | plays too many | starts off, s: median | p90", end="")
    print(" | ends off, s: median | p90 |\n|---|---|---|---|---|---|---|---|---|")
    for kind, tally in tallies.items():
        print(tally.row(kind))


if __name__ == "__main__":
    main()
