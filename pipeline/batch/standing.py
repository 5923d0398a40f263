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
    and still has that track, and so for every track of a mix; what was not found, a part of a mix too, stands until
    someone is asked who was not, or the catalogue has changed. What failed, in part too, was unreadable or is pending
    is always tried again.
    """
    if known is None or known.manner != manner:
        return False
    if (known.size_bytes, known.mtime_ns) != (source.size_bytes, source.mtime_ns):
        return False
    if known.status in NO_RECOGNIZER_NEEDED:
        return True
    same_ears = all(known.asked.get(recognizer.name) == recognizer.edition for recognizer in recognizers)
    if known.status is FileStatus.FOUND:
        by_name = {recognizer.name: recognizer for recognizer in recognizers}
        return (
            all(name in by_name and by_name[name].still_names(track_id) for name, track_id in known.named)
            and known.unanswered == 0
            and (known.unnamed == 0 or same_ears)
        )
    return known.status is FileStatus.NOT_FOUND and same_ears
