"""The segments that are asked about, as WAV files, for people who want to hear them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from pipeline.audio import write_wav
from pipeline.batch.convert import Piece
from pipeline.errors import StorageError
from pipeline.model import SourceFile

LONGEST_NAME_BYTES = 200
"""File systems end at 255; the rest is for start, end and the ending."""


def keep_segments(pieces: Iterable[Piece], source: SourceFile, folder: Path | None) -> None:
    """Write each piece to `folder`, below the same folders as its source, named by the source and the seconds.

    Nothing happens without a folder. Raises StorageError when it cannot be written.
    """
    if folder is None:
        return
    place = folder / os.fsdecode(os.fsencode(source.shown_path))
    name = place.name
    if len(os.fsencode(name)) > LONGEST_NAME_BYTES:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        for piece in pieces:
            segment = piece.segment
            write_wav(
                place.with_name(f"{name}.{segment.start_s:.1f}-{segment.end_s:.1f}.wav"), piece.probe.pcm
            )
    except OSError as error:
        raise StorageError(
            f"the segments cannot be kept in {folder}: {error.strerror or error}",
            hint="choose another folder with --keep-segments, or leave it out",
        ) from error
