"""Segments as WAV: what is uploaded, and what `--keep-segments` keeps; and such a file read back."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import IO

import numpy as np

from pipeline.audio.silence import segment_of
from pipeline.model import RATE_HZ, Pcm, Segment

_NATIVE = struct.pack("<HHIIHH", 1, 1, RATE_HZ, 2 * RATE_HZ, 2, 16)
"""A `fmt ` chunk: PCM, mono, 8 kHz, 16 bit."""

_MOST_CHUNKS = 16
"""More chunks before the sound are no honest file: a hundred megabytes of empty ones would take minutes to skip."""


def wav_bytes(pcm: Pcm) -> bytes:
    """A complete WAV file, 8 kHz mono 16 bit, in memory."""
    buffer = io.BytesIO()
    segment_of(pcm).export(buffer, format="wav")
    return buffer.getvalue()


def write_wav(path: Path, pcm: Pcm) -> None:
    """Write a WAV file, 8 kHz mono 16 bit; an existing one is replaced. Raises OSError."""
    path.write_bytes(wav_bytes(pcm))


def read_native(path: Path, segment: Segment) -> Pcm | None:
    """The samples of a segment of a WAV file that is 8 kHz mono 16 bit already, fewer where it ends before.

    None for any other file, which is a decoder's to read. Costs no process. Raises OSError.
    """
    with path.open("rb") as file:
        size_bytes = _sound_bytes(file)
        if size_bytes is None:
            return None
        first, count = round(segment.start_s * RATE_HZ), round(segment.length_s * RATE_HZ)
        left = max(size_bytes // 2 - first, 0)
        file.seek(2 * first, io.SEEK_CUR)
        raw = file.read(2 * min(count, left))
    return np.frombuffer(raw, "<i2", count=len(raw) // 2)


def _sound_bytes(file: IO[bytes]) -> int | None:
    """The size of the `data` chunk as its header states it, with the file at its first sample."""
    riff = file.read(12)
    if riff[:4] != b"RIFF" or riff[8:] != b"WAVE":
        return None
    native = False
    for _ in range(_MOST_CHUNKS):
        header = file.read(8)
        if len(header) < 8:
            return None
        name, size_bytes = struct.unpack("<4sI", header)
        if name == b"data":
            return size_bytes if native and size_bytes else None
        ahead = file.tell() + size_bytes + size_bytes % 2
        if name == b"fmt ":
            native = file.read(len(_NATIVE)) == _NATIVE
        file.seek(ahead)
    return None
