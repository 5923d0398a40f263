"""Whether an earlier answer to a file still stands, so that the file is not even decoded again."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.ledger import KnownAnswer
from pipeline.model import FileStatus, Recognizer, SourceFile

NO_RECOGNIZER_NEEDED = {FileStatus.TOO_SHORT, FileStatus.SILENT, FileStatus.NO_AUDIO}


def stands(
    known: KnownAnswer | None, source: SourceFile, *, manner: str, recognizers: Sequence[Recognizer]
) -> bool:
    """True when asking again would give the same.

    The file must be untouched and asked in the same manner. What was found stands while its recognizer is still asked
    and still has that track; what was not found stands until someone is asked who was not, or the catalogue has
    changed. What failed, was unreadable or is pending is always tried again.
    """
    if known is None or known.manner != manner:
        return False
    if (known.size_bytes, known.mtime_ns) != (source.size_bytes, source.mtime_ns):
        return False
    if known.status in NO_RECOGNIZER_NEEDED:
        return True
    if known.status is FileStatus.FOUND:
        return any(
            recognizer.name == known.recognizer and recognizer.still_names(known.track_id)
            for recognizer in recognizers
        )
    if known.status is FileStatus.NOT_FOUND:
        return all(known.asked.get(recognizer.name) == recognizer.edition for recognizer in recognizers)
    return False
