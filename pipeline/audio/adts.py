"""The length of a raw .aac file, which no header states: ffmpeg guesses it from the first frames' bit rate."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

from pipeline.audio.decoder import MediaInfo, believable

EXTENSION = ".aac"

_RATES_HZ = (
    96_000,
    88_200,
    64_000,
    48_000,
    44_100,
    32_000,
    24_000,
    22_050,
    16_000,
    12_000,
    11_025,
    8_000,
    7_350,
)

_HEADER_BYTES = 7
_BLOCK_SAMPLES = 1024


def counted(path: str) -> MediaInfo | None:
    """Its true length, frame by frame (ISO/IEC 13818-7, 6.2); None where anything else is in it, such as tags."""
    try:
        with Path(path).open("rb") as file:
            duration_s = believable(_counted(file))
    except OSError:
        return None
    return None if duration_s is None else MediaInfo(duration_s)


def _counted(file: BinaryIO) -> float | None:
    size = os.fstat(file.fileno()).st_size
    at, blocks, rates = 0, 0, set()
    while len(header := file.read(_HEADER_BYTES)) == _HEADER_BYTES:
        # Twelve bits of one, then the layer, always 0.
        if header[0] != 0xFF or header[1] & 0xF6 != 0xF0:
            return None
        length = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
        rates.add(header[2] >> 2 & 15)
        if length < _HEADER_BYTES:
            return None
        at += length
        if at <= size:
            blocks += (header[6] & 3) + 1
        file.seek(length - _HEADER_BYTES, os.SEEK_CUR)
    if len(rates) != 1 or (rate_index := rates.pop()) >= len(_RATES_HZ):
        return None
    return blocks * _BLOCK_SAMPLES / _RATES_HZ[rate_index]
