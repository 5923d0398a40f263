"""Tell silence from sound."""

from __future__ import annotations

import warnings

from pipeline.model import RATE_HZ, Pcm

with warnings.catch_warnings():
    # pydub looks for an ffmpeg when imported and warns when there is none on the path; we never use its own.
    # On Python 3.12 and later its source also draws SyntaxWarnings.
    warnings.simplefilter("ignore")
    from pydub import AudioSegment

SILENCE_DBFS = -60.0
"""Quieter than this on the whole is silence. Dither and hiss of 16-bit masters lie at -96 to -70 dBFS, the
quietest passages of orchestral music above -55; below -60 a probe uses 5 of its 16 bits: no fingerprint
holds."""


def segment_of(pcm: Pcm) -> AudioSegment:
    """The samples as pydub's AudioSegment (8 kHz, mono, 16 bit)."""
    return AudioSegment(
        data=pcm.astype("<i2", copy=False).tobytes(), sample_width=2, frame_rate=RATE_HZ, channels=1
    )


def level_dbfs(pcm: Pcm) -> float:
    """Root mean square level in dB below full scale; minus infinity for digital silence or no samples."""
    return float(segment_of(pcm).dBFS)


def is_silent(pcm: Pcm) -> bool:
    """Whether there is nothing to hear in these samples."""
    return level_dbfs(pcm) < SILENCE_DBFS
