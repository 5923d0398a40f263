"""`earmark sample`: the small folder of music that `make identify` shows itself with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.terminal import Terminal
from pipeline.sample import make_sample

EXAMPLES = """
Examples:

earmark sample data/sample
"""

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Where to put it; made if need be.")]


def sample(folder: Folder) -> None:
    """Make the sample: public-domain melodies, tagged, and messy copies of them to name."""
    terminal = Terminal()
    make_sample(folder)
    terminal.note(f"sample music in {folder}")
