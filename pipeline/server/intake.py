"""From an uploaded file to the audio that will be analysed, or the document's word for why not."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pipeline.audio import Decoder, read_native
from pipeline.errors import MediaError
from pipeline.model import MIN_SEGMENT_S, RATE_HZ, FileStatus, Pcm, Segment
from pipeline.server.refusal import Refusal
from pipeline.wire.audiotag_errors import ErrorText

BLOCK_S: Final = 30.0
"""Decoded and written at a time, so that an hour takes no more memory than a minute."""

BLOCKS_AT_ONCE: Final = 6
"""Asked of the decoder in one call once it is known that the file is long: one start of a process for three minutes."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Span:
    """What a client asks to have analysed."""

    start_s: float = 0.0
    length_s: float | None = None
    """None: to the end of the file."""


def take_in(upload: Path, place: Path, span: Span, *, decoder: Decoder, most_s: float) -> float:
    """Write the span's sound to `place` (8 kHz mono int16, at most `most_s`), on the disk when this returns; return its
    length in seconds.

    Raises Refusal when there is no sound, less than 5 s of it, or it cannot be decoded within the limits.
    """
    wanted_s = most_s if span.length_s is None else min(span.length_s, most_s)
    if wanted_s < MIN_SEGMENT_S:
        raise Refusal(ErrorText.TOO_SHORT)
    count = 0
    with place.open("wb") as file:
        for pcm in _blocks(upload, span.start_s, wanted_s, decoder):
            file.write(pcm.astype("<i2", copy=False).tobytes())
            count += len(pcm)
        if count >= MIN_SEGMENT_S * RATE_HZ:
            # Before the client is told of a token: what was accepted is answered also after a power cut.
            file.flush()
            os.fsync(file.fileno())
    if count < MIN_SEGMENT_S * RATE_HZ:
        raise Refusal(ErrorText.TOO_SHORT)
    return count / RATE_HZ


def _blocks(upload: Path, start_s: float, length_s: float, decoder: Decoder) -> Iterator[Pcm]:
    """The sound from `start_s` on, in order, ending where the file does."""
    first = read_native(upload, Segment(start_s, min(BLOCK_S, length_s)))
    if first is None:
        yield from _decoded(upload, start_s, length_s, decoder)
        return
    yield first
    for segment in _segments(start_s, length_s)[1:]:
        pcm = read_native(upload, segment)
        if pcm is None or not len(pcm):
            return
        yield pcm


def _decoded(upload: Path, start_s: float, length_s: float, decoder: Decoder) -> Iterator[Pcm]:
    first, *rest = _segments(start_s, length_s)
    try:
        [pcm] = decoder.spans(str(upload), [first])
        yield pcm
        if not rest or len(pcm) < round(first.length_s * RATE_HZ):
            return
        # Only now is it worth a process to ask how long the file is; what it says is a bound, no promise.
        stated_s = decoder.inspect(str(upload)).duration_s
        rest = [segment for segment in rest if stated_s is None or segment.start_s < stated_s]
        for number in range(0, len(rest), BLOCKS_AT_ONCE):
            batch = rest[number : number + BLOCKS_AT_ONCE]
            for segment, pcm in zip(batch, decoder.spans(str(upload), batch), strict=True):
                yield pcm
                if len(pcm) < round(segment.length_s * RATE_HZ):
                    return
    except MediaError as error:
        _log.info("an upload could not be decoded reason=%s", error.message)
        ours = error.status is FileStatus.FAILED
        raise Refusal(ErrorText.NOT_PROCESSED if ours else ErrorText.NO_AUDIO, error.message) from None


def _segments(start_s: float, length_s: float) -> list[Segment]:
    count = max(int(-(-length_s // BLOCK_S)), 1)
    return [
        Segment(start_s + number * BLOCK_S, min(BLOCK_S, length_s - number * BLOCK_S))
        for number in range(count)
    ]
