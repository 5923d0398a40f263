"""The paths a command is given: folders, files, or `-` for a list on stdin."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from pipeline.batch.walk import paths_from
from pipeline.cli.terminal import printable
from pipeline.errors import UsageError


def resolved(given: Sequence[str]) -> list[bytes]:
    """The paths as the file system spells them. Raises UsageError for a typed one that does not exist."""
    found: list[bytes] = []
    for path in given:
        if path == "-":
            found += paths_from(sys.stdin.buffer)
        elif os.path.lexists(path):
            found.append(os.fsencode(path))
        else:
            shown = printable(path) or "''"
            raise UsageError(f"there is no file or folder {shown}", hint="check the spelling")
    if not found:
        raise UsageError(
            "the list on stdin holds no path", hint="for example: find . -name '*.mp3' | earmark identify -"
        )
    return found
