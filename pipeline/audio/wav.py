"""Segments as WAV: what is uploaded, and what `--keep-segments` keeps."""

from __future__ import annotations

import io
from pathlib import Path

from pipeline.audio.silence import segment_of
from pipeline.model import Pcm


def wav_bytes(pcm: Pcm) -> bytes:
    """A complete WAV file, 8 kHz mono 16 bit, in memory."""
    buffer = io.BytesIO()
    segment_of(pcm).export(buffer, format="wav")
    return buffer.getvalue()


def write_wav(path: Path, pcm: Pcm) -> None:
    """Write a WAV file, 8 kHz mono 16 bit; an existing one is replaced. Raises OSError."""
    path.write_bytes(wav_bytes(pcm))
