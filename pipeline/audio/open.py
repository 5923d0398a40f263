"""Open the decoder that fits this machine."""

from __future__ import annotations

import importlib.util
import logging
import os
from typing import Literal

from pipeline.audio.decoder import Decoder
from pipeline.audio.ffmpeg import find
from pipeline.audio.ffmpeg_decoder import FfmpegDecoder
from pipeline.audio.pool import WorkerPool
from pipeline.audio.pyav_decoder import PyavDecoder
from pipeline.errors import MediaError, UsageError

Backend = Literal["auto", "ffmpeg", "av"]

_log = logging.getLogger(__name__)


def open_decoder(*, backend: Backend = "auto", ffmpeg: str = "", workers: int | None = None) -> Decoder:
    """A decoder, to be closed after use. `auto` takes PyAV where it is installed, else ffmpeg.

    `ffmpeg` is a path, `system`, `wheel`, or empty for the better of the two; `workers` limits its
    worker processes (default: one a core). Raises UsageError when what is asked for is not there.
    """
    binary = find(ffmpeg)
    pool = WorkerPool(workers or cores())
    by_ffmpeg = FfmpegDecoder(binary, pool, processes=workers or cores())
    if backend == "ffmpeg" or (backend == "auto" and not pyav_installed()):
        return by_ffmpeg
    try:
        return PyavDecoder(by_ffmpeg, pool)
    except MediaError as error:
        if backend == "av":
            by_ffmpeg.close()
            raise UsageError(
                "PyAV cannot be used as the decoder: it is not installed, or does not work here",
                hint="pip install 'earmark[fast]', or leave the choice to earmark",
            ) from error
        _log.warning(
            "PyAV is installed but does not work here, ffmpeg decodes instead error=%s", error.message
        )
        return by_ffmpeg


def pyav_installed() -> bool:
    return importlib.util.find_spec("av") is not None


def cores() -> int:
    """Processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
