"""Decoding with PyAV: seek, decode a little, resample. Only worker processes import this.

Nothing here limits time or memory; the worker and its pool do.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from pipeline.audio import adts, chatter, command
from pipeline.audio.decoder import START, MediaInfo, believable
from pipeline.audio.silence import is_silent
from pipeline.audio.tags import from_mapping
from pipeline.audio.wav import wav_bytes
from pipeline.model import RATE_HZ, Pcm, Segment

PREROLL_S = 0.1
"""Decoded before a segment and thrown away: mp3 frames lean on earlier ones, and the resampler settles."""

TAIL_S = 0.05
"""Decoded beyond a segment, so that the resampler (it looks 2 ms ahead) never makes up a sample of it."""

_MICROSECONDS = 1_000_000

# From version 19 on, PyAV makes lone surrogates of bytes that are not UTF-8 by itself and has no such option.
_ANY_TAGS = {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}


def trial() -> str:
    """`PyAV 18.1`, after one decoding: a release that changed its ways fails here and not on every file."""
    second = Segment(start_s=0.0, length_s=1.0)
    with tempfile.NamedTemporaryFile(prefix="earmark-", suffix=".wav") as sound:
        sound.write(wav_bytes(np.ones(RATE_HZ, np.int16)))
        sound.flush()
        duration_s = inspect(sound.name).duration_s
        heard = [len(pcm) for pcm in spans(sound.name, [second])]
    if duration_s != 1.0 or heard != [RATE_HZ]:
        raise RuntimeError(f"of one second it makes {duration_s} s and {heard} samples")
    return "PyAV " + ".".join(av.__version__.split(".")[:2])


def inspect(path: str) -> MediaInfo:
    if path.lower().endswith(adts.EXTENSION) and (counted := adts.counted(path)):
        return counted
    with _opened(path) as container:
        entries: dict[str, str] = {}
        for stream in container.streams.audio[:1]:
            entries.update(stream.metadata)  # Ogg keeps its tags here
        entries.update(container.metadata)
        duration_s = believable(container.duration / _MICROSECONDS) if container.duration else None
        return MediaInfo(duration_s, from_mapping(entries), bool(container.streams.audio))


def measure(path: str) -> float:
    with _opened(path) as container:
        stream = _sound(container)
        first, end, counted = None, 0, 0
        for packet in _packets(container, stream):
            duration = packet.duration or 0
            counted += duration
            if packet.pts is not None:
                first = packet.pts if first is None else min(first, packet.pts)
                end = max(end, packet.pts + duration)
        # Ogg, WMA and Matroska leave some packets' durations out, raw streams may lack the timestamps.
        length = counted if first is None else end - first
        if length <= 0:
            raise chatter.translated(b"", path)
        return float(length * stream.time_base)


def spans(path: str, segments: Sequence[Segment]) -> list[Pcm]:
    with _opened(path) as container:
        stream = _sound(container)
        stream.codec_context.thread_count = 1
        heard: list[Pcm] = []
        flaws: list[str] = []
        for segment in segments:
            pcm = _span(container, stream, segment, flaws, one_channel=False)
            if len(pcm) and is_silent(pcm) and stream.codec_context.channels > 1:
                # Stereo whose sides are each other's opposite cancels out when mixed.
                pcm = _span(container, stream, segment, flaws, one_channel=True)
            heard.append(pcm)
        # Nothing at all: a damaged file, or a header that promised too much?
        heard_anything = not segments or any(len(pcm) for pcm in heard)
        if not heard_anything and not len(_span(container, stream, START, flaws, one_channel=False)):
            raise chatter.translated("\n".join(flaws[:1]).encode(), path)
        return heard


def _opened(path: str) -> Any:
    try:
        return av.open(_name(path), options=command.opening(path), **_ANY_TAGS)
    except av.error.ArgumentError:
        # What av_open_input answers when the format is not on the list.
        raise chatter.translated(b"Format not on whitelist", path) from None
    except av.FFmpegError as error:
        raise chatter.translated(str(error.strerror).encode(), path) from None


def _name(path: str) -> str:
    return command.named(path).decode("utf-8", "surrogateescape")


def _sound(container: Any) -> Any:
    if not container.streams.audio:
        raise chatter.no_sound()
    return container.streams.audio[0]


def _packets(container: Any, stream: Any) -> Iterator[Any]:
    """Packets to the end of the file, or to the hole nothing comes after."""
    packets = container.demux(stream)
    while True:
        try:
            yield next(packets)
        except (StopIteration, av.FFmpegError):
            return


def _frames(container: Any, stream: Any, flaws: list[str]) -> Iterator[Any]:
    for packet in _packets(container, stream):
        try:
            yield from packet.decode()
        except av.FFmpegError as error:
            # One broken packet is one hole; what follows may be sound again.
            flaws.append(str(error.strerror))


def _span(container: Any, stream: Any, segment: Segment, flaws: list[str], *, one_channel: bool) -> Pcm:
    wanted = round(segment.length_s * RATE_HZ)
    # As `ffmpeg -ss` counts: from the container's first timestamp.
    origin_s = (container.start_time or 0) / _MICROSECONDS
    begin_s = segment.start_s + origin_s
    try:
        container.seek(max(int((begin_s - PREROLL_S) * _MICROSECONDS), int(origin_s * _MICROSECONDS)))
    except av.FFmpegError as error:
        flaws.append(str(error.strerror))
        return np.empty(0, np.int16)
    resampler = _Resampler(one_channel)
    skipped: int | None = None
    for frame in _frames(container, stream, flaws):
        if skipped is None:
            at_s = begin_s if frame.time is None else frame.time
            if at_s + frame.samples / frame.sample_rate <= begin_s - PREROLL_S:
                continue
            skipped = max(round((begin_s - at_s) * RATE_HZ), 0)
            enough_s = (skipped + wanted) / RATE_HZ + TAIL_S
        if resampler.push(frame) >= enough_s:
            break
    resampler.finish()
    skipped = skipped or 0
    return resampler.samples()[skipped : skipped + wanted].copy()


class _Resampler:
    """Frames in, 8 kHz mono samples out, through the same swr as ffmpeg's; survives a change of format."""

    def __init__(self, one_channel: bool) -> None:
        self._one_channel = one_channel
        self._gathered: Any = None
        self._swr: Any = None
        self._source: tuple[Any, ...] = ()
        self._pieces: list[npt.NDArray[np.int16]] = []
        self._taken_s = 0.0

    def push(self, frame: Any) -> float:
        """Take a frame; return how many seconds have gone in so far."""
        # Looked at for every frame: the fifo itself does not notice another number of channels, and crashes.
        source = (frame.format.name, frame.layout.name, frame.sample_rate)
        if source != self._source:
            self.finish()
            sample_format, layout = ("s16p", source[1]) if self._one_channel else ("s16", "mono")
            self._swr = av.AudioResampler(sample_format, layout, RATE_HZ)
            self._gathered = av.AudioFifo()
            self._source = source
        # The place is known from the first frame; the fifo would insist on timestamps without a gap.
        frame.pts = None
        self._gathered.write(frame)
        if self._gathered.samples >= command.GATHERED_SAMPLES:
            self._resample(self._gathered.read())
        self._taken_s += frame.samples / frame.sample_rate
        return self._taken_s

    def finish(self) -> None:
        """Get out what is still inside."""
        if self._swr is not None:
            rest = self._gathered.read()
            if rest is not None:
                self._resample(rest)
            self._resample(None)
            self._swr = None

    def _resample(self, gathered: Any) -> None:
        self._pieces += [frame.to_ndarray()[0] for frame in self._swr.resample(gathered)]

    def samples(self) -> Pcm:
        return np.concatenate(self._pieces) if self._pieces else np.empty(0, np.int16)
