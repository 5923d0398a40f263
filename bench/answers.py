"""What the engine answered to the probes of a benchmark, kept on disk as it comes."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.engine.score import confidence


@dataclass(frozen=True)
class Guess:
    """The likeliest answer to one probe, said or not."""

    what: str
    """Of a known track how it was degraded, otherwise the kind of sound."""
    length_s: int
    log_odds: float | None
    """None if nothing at all came to mind."""
    said: bool
    right: bool
    truth: str
    """The track that is heard; empty if it is none of the catalogue's."""
    track: str
    presence_db: float = 0.0
    """How much of a known track's excerpt lay where it can be heard, see bench.recognition."""

    @property
    def confidence(self) -> float:
        return 0.0 if self.log_odds is None else confidence(self.log_odds)


class Answers:
    """A list of guesses that also grows in a file."""

    def __init__(self, path: Path | None) -> None:
        self.guesses: list[Guess] = []
        self._path = path

    def keep(self, guess: Guess) -> None:
        """Remember one more."""
        self.guesses.append(guess)
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(guess)) + "\n")


def kept(path: Path) -> list[Guess]:
    """The guesses that a file holds."""
    with path.open(encoding="utf-8") as file:
        return [Guess(**json.loads(line)) for line in file]
