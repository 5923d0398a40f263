"""The decoder that runs ffmpeg: one process for all segments of a file, or of a few files."""

from __future__ import annotations

import os
import re
from collections.abc import Generator, Sequence
from contextlib import ExitStack
from dataclasses import replace

import numpy as np

from pipeline.audio import chatter, command
from pipeline.audio.child import Child, Limits, run
from pipeline.audio.decoder import BLOCK_S, START, MediaInfo, check_file, counted_if_short
from pipeline.audio.ffmpeg import Ffmpeg
from pipeline.audio.pool import WorkerPool
from pipeline.audio.sharing import Sharing
from pipeline.audio.silence import is_silent
from pipeline.audio.tags import inspect_file
from pipeline.errors import MediaError
from pipeline.model import RATE_HZ, Pcm, Segment

SPANS_AT_ONCE = 6
"""Inputs of one ffmpeg: each holds its file open and a decoder in memory."""

_PROBE_LIMITS = Limits(wall_s=60.0, cpu_s=60)
"""The worst normal call takes 1.4 s of processor time."""

_SHARED_LIMITS = Limits(wall_s=20.0, cpu_s=20)
"""Of several segments in one process: past these, each gets a process and the limits above of its own."""

CALLERS_A_PROCESS, MORE_CALLERS = 5, 8
"""Threads that keep it busy: enough for requests to come together, and on many cores no crowd."""

_WHOLE_LIMITS = Limits(wall_s=24 * 3600.0, stall_s=60.0, cpu_s=3600, output_bytes=1 << 40)
"""The slowest codec decodes an hour in 9 s: this is for files of days. `stall_s` stops a stuck file."""

_BLOCK_BYTES = int(BLOCK_S * RATE_HZ) * 2


class FfmpegDecoder:
    """A Decoder over one ffmpeg binary."""

    def __init__(self, ffmpeg: Ffmpeg, pool: WorkerPool, *, processes: int) -> None:
        self._ffmpeg = ffmpeg
        self._pool = pool
        self._sharing = Sharing(processes, self._decoded)
        self._callers = min(processes * CALLERS_A_PROCESS, processes + MORE_CALLERS)

    @property
    def name(self) -> str:
        return self._ffmpeg.name

    @property
    def callers(self) -> int:
        return self._callers

    def inspect(self, path: str) -> MediaInfo:
        check_file(path)
        return counted_if_short(inspect_file(self._pool, self._ffmpeg.path, path), path, self.measure)

    def spans(self, path: str, segments: Sequence[Segment]) -> list[Pcm]:
        check_file(path)
        heard: list[Pcm] = []
        for first in range(0, len(segments), SPANS_AT_ONCE):
            heard += self._spans(path, segments[first : first + SPANS_AT_ONCE], one_channel=False)
        if segments and not any(len(pcm) for pcm in heard):
            # A damaged file, or a header that promised too much?
            self._check_start(path)
        # Stereo whose sides are each other's opposite cancels out when mixed.
        silent = [number for number, pcm in enumerate(heard) if len(pcm) and is_silent(pcm)]
        for first in range(0, len(silent), SPANS_AT_ONCE):
            numbers = silent[first : first + SPANS_AT_ONCE]
            again = self._spans(path, [segments[number] for number in numbers], one_channel=True)
            for number, pcm in zip(numbers, again, strict=True):
                heard[number] = pcm
        return heard

    def _spans(self, path: str, segments: Sequence[Segment], *, one_channel: bool) -> list[Pcm]:
        return self._sharing.ask(command.Spans(path, tuple(segments), one_channel))

    def _decoded(self, requests: Sequence[command.Spans]) -> list[list[Pcm] | None]:
        """The segments of each request. None for one of several that gave less than it should."""
        if len(requests) == 1:
            return [self._alone(requests[0])]
        with ExitStack() as stack:
            # In memory and not a pipe for each, which would have to be emptied side by side.
            files = [stack.enter_context(os.fdopen(os.memfd_create("pcm"), "rb", 0)) for _ in requests]
            outputs = [file.fileno() for file in files]
            argv = command.shared_spans(self._ffmpeg.path, requests, outputs)
            run(argv, limits=_SHARED_LIMITS, pass_fds=outputs)
            heard: list[list[Pcm] | None] = []
            for request, file in zip(requests, files, strict=True):
                file.seek(0)
                heard.append(_split(_pcm(bytearray(file.read())), request.lengths))
            return heard

    def _alone(self, request: command.Spans) -> list[Pcm]:
        if len(request.segments) == 1:
            argv = command.spans(self._ffmpeg.path, request)
            # The exit code says nothing: one broken frame sets it, and a file cut short does not.
            pcm = _pcm(run(argv, limits=_PROBE_LIMITS).stdout)
            # Where the sound changes form midway, ffmpeg begins to count anew.
            return [pcm[: request.lengths[0]]]
        # Joined, the pieces do not tell which of them came back short, nor which one made ffmpeg stop for good:
        # ask for each alone.
        return self._together(request) or [
            self._alone(replace(request, segments=(segment,)))[0] for segment in request.segments
        ]

    def _together(self, request: command.Spans) -> list[Pcm] | None:
        try:
            ended = run(command.spans(self._ffmpeg.path, request), limits=_SHARED_LIMITS)
        except MediaError:
            return None
        return _split(_pcm(ended.stdout), request.lengths)

    def _check_start(self, path: str) -> None:
        argv = command.spans(self._ffmpeg.path, command.Spans(path, (START,), one_channel=False))
        ended = run(argv, limits=_PROBE_LIMITS)
        if not ended.stdout:
            raise chatter.translated(ended.stderr, path)

    def whole(self, path: str) -> Generator[Pcm]:
        check_file(path)
        return self._whole(path)

    def _whole(self, path: str) -> Generator[Pcm]:
        start_s, one_channel, silent = 0.0, False, 0
        while True:
            for block in self._stream(path, start_s, one_channel=one_channel):
                silent = silent + 1 if is_silent(block) else 0
                # Looked at after 1, 2, 4, 8 ... silent blocks: each look seeks, which takes seconds in a long file.
                looked_at = silent & (silent - 1) == 0 < silent
                if not one_channel and looked_at and self._cancels_out(path, start_s, block):
                    # From here to the end one channel speaks for all.
                    one_channel = True
                    break
                start_s += len(block) / RATE_HZ
                yield block
            else:
                return

    def _cancels_out(self, path: str, start_s: float, block: Pcm) -> bool:
        segment = Segment(start_s, len(block) / RATE_HZ)
        return not is_silent(self._spans(path, [segment], one_channel=True)[0])

    def _stream(self, path: str, start_s: float, *, one_channel: bool) -> Generator[Pcm]:
        argv = command.whole(self._ffmpeg.path, path, start_s=start_s, one_channel=one_channel)
        with Child(argv, limits=_WHOLE_LIMITS) as child:
            block, whole_blocks = bytearray(), 0
            for chunk in child.chunks():
                block += chunk
                if len(block) >= _BLOCK_BYTES:
                    block, full = block[_BLOCK_BYTES:], block[:_BLOCK_BYTES]
                    whole_blocks += 1
                    yield _pcm(full)
            if len(block) > 1:
                yield _pcm(block)
            elif not whole_blocks and not start_s:
                raise chatter.translated(child.stderr, path)
            if chatter.reading_failed(child.stderr, path):
                raise chatter.stopped_reading(start_s + whole_blocks * BLOCK_S + len(block) / 2 / RATE_HZ)

    def measure(self, path: str) -> float:
        check_file(path)
        ended = run(command.count(self._ffmpeg.path, path), limits=_PROBE_LIMITS)
        reached = re.findall(rb"^out_time_us=(\d+)\s*$", ended.stdout, re.MULTILINE)
        if not reached or not int(reached[-1]):
            raise chatter.translated(ended.stderr, path)
        return int(reached[-1]) / 1e6

    def close(self) -> None:
        self._pool.close()

    def __enter__(self) -> FfmpegDecoder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _split(pcm: Pcm, lengths: Sequence[int]) -> list[Pcm] | None:
    return np.split(pcm, np.cumsum(lengths)[:-1]) if len(pcm) == sum(lengths) else None


def _pcm(raw: bytearray) -> Pcm:
    # Over a bytearray, so that the samples are the caller's to change; a stray last byte is dropped.
    return np.frombuffer(raw, dtype="<i2", count=len(raw) // 2)
