"""The decoder that works with PyAV in worker processes: twice as fast on segments."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from pipeline.audio.decoder import MediaInfo, check_file, counted_if_short
from pipeline.audio.ffmpeg_decoder import FfmpegDecoder
from pipeline.audio.pool import WorkerPool
from pipeline.model import Pcm, Segment

SPANS_AT_ONCE = 32
"""Segments of one request: the answer, a quarter of a megabyte each, is held in memory twice."""


class PyavDecoder:
    """A Decoder over a pool of PyAV workers. Whole files go to ffmpeg: PyAV is no faster there."""

    def __init__(self, whole: FfmpegDecoder, pool: WorkerPool) -> None:
        self._whole = whole
        self._pool = pool
        self._name: str = pool.call("pyav.trial")

    @property
    def name(self) -> str:
        return self._name

    @property
    def callers(self) -> int:
        # One hands over the next file while the others' are being decoded.
        return self._pool.count + 1

    def inspect(self, path: str) -> MediaInfo:
        check_file(path)
        info: MediaInfo = self._pool.call("pyav.inspect", path, limit_s=30)
        return counted_if_short(info, path, self.measure)

    def spans(self, path: str, segments: Sequence[Segment]) -> list[Pcm]:
        check_file(path)
        heard: list[Pcm] = []
        for first in range(0, len(segments), SPANS_AT_ONCE):
            heard += self._pool.call("pyav.spans", path, tuple(segments[first : first + SPANS_AT_ONCE]))
        return heard

    def whole(self, path: str) -> Generator[Pcm]:
        return self._whole.whole(path)

    def measure(self, path: str) -> float:
        check_file(path)
        return float(self._pool.call("pyav.measure", path))

    def close(self) -> None:
        self._whole.close()

    def __enter__(self) -> PyavDecoder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
