"""`earmark sample`: the small folder of music that `make identify` shows itself with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.audio import encode
from pipeline.cli.terminal import Terminal

EXAMPLES = """\
Examples:

  earmark sample data/sample
"""

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Where to put it; made if need be.")]


def sample(folder: Folder) -> None:
    """Make the sample: public-domain melodies, tagged, and messy copies of them to name."""
    from pipeline.sample import make_sample  # noqa: PLC0415 -- 0.6 s that no other command should pay

    terminal = Terminal()
    made = make_sample(folder, encode=encode)
    terminal.note(f"sample: known music in {made.catalogue}, files to name in {made.music}")
