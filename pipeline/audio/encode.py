"""Write samples to a file in any format ffmpeg can encode: for the sample folder and the tests."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.audio import chatter, command
from pipeline.audio.child import Limits, run
from pipeline.audio.ffmpeg import Ffmpeg, find
from pipeline.errors import MediaError
from pipeline.model import FileStatus, Tags

_BY_EXTENSION: dict[str, dict[str, str]] = {
    # Extensions whose format ffmpeg does not know, or whose usual codec it seldom can encode.
    ".alac": {"format": "ipod", "acodec": "alac"},
    ".3gp": {"acodec": "aac"},
    ".3gpp": {"format": "3gp", "acodec": "aac"},
    ".3g2": {"acodec": "aac"},
    ".amr": {"acodec": "libopencore_amrnb", "ar": "8000", "ac": "1"},
    ".spx": {"acodec": "libspeex"},
    ".oga": {"acodec": "flac"},
    # AIFF keeps tags beyond the title only in an ID3 chunk, which ffmpeg writes when told to.
    ".aiff": {"write_id3v2": "1"},
    ".aif": {"write_id3v2": "1"},
}

_NO_OPTIONS: Mapping[str, str] = {}


def encode(
    path: Path,
    samples: npt.NDArray[np.float32],
    rate_hz: int,
    *,
    tags: Tags = Tags(),  # noqa: B008 -- frozen
    options: Mapping[str, str] = _NO_OPTIONS,
    ffmpeg: Ffmpeg | None = None,
) -> None:
    """Encode samples, (n,) or (n, channels) in -1..1, to `path`; its extension chooses the format.

    `options` are ffmpeg output options without the dash: `{"acodec": "libmp3lame", "audio_bitrate": "128k"}`.
    The same samples give the same bytes. Raises MediaError when this ffmpeg has no such encoder.
    """
    ffmpeg = ffmpeg or find()
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    chosen: dict[str, Any] = {**_BY_EXTENSION.get(path.suffix.lower(), {}), **options}
    argv = command.encode(ffmpeg.path, path, rate_hz=rate_hz, channels=channels, tags=tags, options=chosen)
    with tempfile.TemporaryFile() as raw:
        raw.write(np.ascontiguousarray(samples, dtype="<f4").data)
        raw.seek(0)
        ended = run(argv, limits=Limits(wall_s=600.0, stall_s=600.0, cpu_s=600), stdin=raw)
    if ended.returncode != 0:
        with contextlib.suppress(OSError):
            path.unlink()
        cause = chatter.first_cause(ended.stderr, str(path))
        raise MediaError(
            f"{path.name} could not be encoded by {ffmpeg.name}: {cause}", status=FileStatus.FAILED
        )
