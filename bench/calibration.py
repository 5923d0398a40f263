"""Whether the engine's confidence can be believed: of all it is 70 % sure of, are 70 % right?

    python -m bench.calibration ANSWERS... [--svg FILE] [--correct] [--without NAME,NAME]

ANSWERS are files that `python -m bench.doubtful --answers` wrote, which asks for excerpts so degraded that the middle
fills; those of bench.recognition leave it empty. Prints Markdown, and draws the reliability diagram as FILE.
--correct makes the engine's confidence claim what these answers got; they must be answers about other music than its
models were fitted on, and by these models. Measure on still other music. Tracks of a NAME do not count: which of two
versions of a piece is heard says nothing of accidents.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.answers import Guess, kept
from bench.fitting import GRADES_BELOW, KNOTS, graded, worth, write_worth
from pipeline.engine.score import Vector

TENTHS = 10
SURE = 1.96
"""Standard deviations that hold 95 % of the accidents."""

LEFT, TOP, SIDE = 60, 34, 400
"""Of the square in which the diagram is drawn, in pixels."""


@dataclass(frozen=True)
class Tenth:
    """The guesses whose confidence lies in one tenth: how many, what they claim, and what is right of them."""

    number: int
    guesses: int
    claimed: float
    right: float

    @property
    def bounds(self) -> tuple[float, float]:
        """Between which the true share lies, at 95 % (Wilson's interval)."""
        spread = SURE**2 / self.guesses
        middle = (self.right + spread / 2) / (1 + spread)
        around = SURE * np.sqrt(self.right * (1 - self.right) / self.guesses + spread / self.guesses / 4)
        return float(middle - around / (1 + spread)), float(middle + around / (1 + spread))


def tenths(guesses: Sequence[Guess]) -> Iterator[Tenth]:
    """The tenths of confidence that are not empty, least sure first."""
    for number in range(TENTHS):
        inside = [guess for guess in guesses if min(int(guess.confidence * TENTHS), TENTHS - 1) == number]
        if inside:
            claimed = float(np.mean([guess.confidence for guess in inside]))
            yield Tenth(number, len(inside), claimed, float(np.mean([guess.right for guess in inside])))


def table(guesses: Sequence[Guess]) -> None:
    """Print how often the likeliest answer is right, by the confidence it claims."""
    print("\n| confidence | guesses | claimed, % | right, % | 95 % sure between |\n|---|---|---|---|---|")
    for tenth in tenths(guesses):
        low, high = tenth.bounds
        print(
            f"| from {tenth.number / TENTHS:.1f} | {tenth.guesses} | {100 * tenth.claimed:.1f} "
            f"| {100 * tenth.right:.1f} | {100 * low:.1f} and {100 * high:.1f} |"
        )


def diagram(guesses: Sequence[Guess], title: str) -> str:
    """The reliability diagram as SVG: a dot a tenth, as likely to be right as it claims if it is on the diagonal."""

    def x(share: float) -> float:
        return LEFT + SIDE * share

    def y(share: float) -> float:
        return TOP + SIDE * (1 - share)

    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + SIDE + 70} {TOP + SIDE + 60}"'
        ' font-family="sans-serif" font-size="12" fill="#333">',
        '<rect width="100%" height="100%" fill="#fff"/>',
        f'<text x="{LEFT}" y="20" font-size="14" font-weight="bold">{title}</text>',
    ]
    for tick in np.linspace(0, 1, 6):
        drawn += [
            f'<path d="M{x(tick):.1f},{y(0)}V{y(1)}M{x(0)},{y(tick):.1f}H{x(1)}" stroke="#ddd" fill="none"/>',
            f'<text x="{x(tick):.1f}" y="{y(0) + 18}" text-anchor="middle">{tick:.1f}</text>',
            f'<text x="{x(0) - 8}" y="{y(tick) + 4:.1f}" text-anchor="end">{100 * tick:.0f} %</text>',
        ]
    drawn += [
        f'<path d="M{x(0)},{y(0)}L{x(1)},{y(1)}" stroke="#999" stroke-dasharray="5 4"/>',
        f'<text x="{x(0.5)}" y="{y(0) + 42}" text-anchor="middle">confidence of the likeliest answer</text>',
        f'<text transform="translate(16 {y(0.5)}) rotate(-90)" text-anchor="middle">right</text>',
    ]
    for tenth in tenths(guesses):
        low, high = tenth.bounds
        at = x(tenth.claimed)
        drawn += [
            f'<path d="M{at:.1f},{y(low):.1f}V{y(high):.1f}" stroke="#1f5fa8" stroke-width="2"/>',
            f'<circle cx="{at:.1f}" cy="{y(tenth.right):.1f}" r="5" fill="#1f5fa8"/>',
            f'<text x="{at + 9:.1f}" y="{y(tenth.right) + 14:.1f}" font-size="10" fill="#666">'
            f"{tenth.guesses}</text>",
        ]
    return "\n".join([*drawn, "</svg>", ""])


def correct(guesses: Sequence[Guess]) -> tuple[Vector, Vector]:
    """Make confidence what these guesses got; what log-odds of KNOTS are worth, and the grades of what is not named."""
    said = [guess for guess in guesses if guess.log_odds is not None]
    odds, right = np.array([guess.log_odds for guess in said]), np.array([guess.right for guess in said])
    told, grades = worth(odds, right), graded(odds, right)
    write_worth(told, grades)
    return told, grades


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("answers", type=Path, nargs="+")
    parser.add_argument("--svg", type=Path, help="where the diagram goes")
    parser.add_argument("--correct", action="store_true", help="correct score.json by these answers")
    parser.add_argument("--without", default="", help="tracks that do not count, by a part of their names")
    options = parser.parse_args()
    left_out = [name for name in options.without.split(",") if name]
    guesses = [
        guess
        for path in options.answers
        for guess in kept(path)
        if not any(name in guess.truth for name in left_out)
    ]
    table(guesses)
    if options.svg is not None:
        options.svg.write_text(diagram(guesses, f"{len(guesses)} answers by their confidence"), "utf-8")
    if options.correct:
        told, grades = correct(guesses)
        print("\nlog-odds of", *KNOTS, "are now worth", *np.round(told, 2))
        print("of what is not named, below", *GRADES_BELOW, "are right", *np.round(grades, 2))


if __name__ == "__main__":
    main()
