"""The first rows of a report, for a terminal."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from itertools import islice
from math import floor

from rich.table import Table
from rich.text import Text

from pipeline.model import FileRow, FileStatus
from pipeline.report.text import shown

_STYLES = {
    FileStatus.FOUND: "green",
    FileStatus.NOT_FOUND: "yellow",
    FileStatus.PENDING: "cyan",
    FileStatus.FAILED: "red",
    FileStatus.UNREADABLE: "red",
}


def file_table(rows: Iterable[FileRow], *, limit: int = 20) -> Table:
    """A rich table of the first `limit` rows; the caption says so when there are more.

    Nothing in a name or a reply can style it, move the cursor or turn the reading order round.
    """
    left = iter(rows)
    first = list(islice(left, limit))
    table = Table(show_edge=False, pad_edge=False, header_style="bold")
    table.add_column("file", overflow="fold", ratio=2)
    table.add_column("status", no_wrap=True)
    table.add_column("what it is", overflow="fold", ratio=3)
    table.add_column("confidence", justify="right", no_wrap=True)
    paid = any(row.credits for row in first)
    if paid:
        table.add_column("credits", justify="right", no_wrap=True)
    for row in first:
        cells = [
            _safe(row.path),
            Text(row.status, style=_STYLES.get(FileStatus(row.status), "")),
            _what(row),
            Text("" if row.confidence is None else f"{floor(row.confidence * 100) / 100:.2f}"),
        ]
        table.add_row(*cells, *([Text(f"{row.credits:g}" if row.credits else "")] if paid else []))
    if next(left, None) is not None:
        table.caption = Text(f"the first {limit} files; the report holds them all")
    return table


def _what(row: FileRow) -> Text:
    """Title and artist and how many tracks more; or why there is no name."""
    if not row.title:
        return Text.assemble((_safe(row.error).plain, "dim"))
    what = _safe(row.title)
    if row.artist:
        what = Text.assemble(what, (" by ", "dim"), _safe(row.artist))
    if row.tracks > 1:
        what = Text.assemble(what, (f"  and {row.tracks - 1} more", "dim"))
    return what


def _safe(text: str) -> Text:
    # Line breaks become spaces. Cc: escape sequences; Cf: what hides or reverses text; Co, Cn: no glyph.
    flat = " ".join(shown(text).split())
    return Text("".join(c for c in flat if unicodedata.category(c) not in ("Cc", "Cf", "Co", "Cn")))
