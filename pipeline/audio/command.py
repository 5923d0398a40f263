"""The ffmpeg command lines of this project, each compiled by ffmpeg-python."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ffmpeg

from pipeline.audio.formats import DEMUXERS
from pipeline.model import RATE_HZ, Segment, Tags

SLACK_S = 0.25
"""Asked for beyond a segment's end, then cut off by sample count: some demuxers start up to 0.1 s early."""

GATHERED_SAMPLES = 16_384
"""Frames of about 1024 samples are put together before resampling: a third of its work is per frame."""

_INPUT = "earmark-input-{}"
_OUTPUT = "earmark-output"

_QUIET = ("-nostdin", "-hide_banner", "-v", "error")

_ONE_THREAD = ("-filter_complex_threads", "1")

_CONFINED: dict[str, str] = {
    # Only this one local file: no playlist and no reference inside a container may open another one.
    "protocol_whitelist": "file,pipe",
    "format_whitelist": ",".join(DEMUXERS),
}

_TO_PCM: dict[str, str | int] = {"sample_rates": RATE_HZ, "sample_fmts": "s16", "channel_layouts": "mono"}
"""As one `aformat`: a single swr pass mixes, converts and resamples, the same as `-ac 1 -ar 8000`."""

# Without flush_packets=0 ffmpeg writes to the pipe once a packet: 12-25 % of the processor time.
_RAW: dict[str, str] = {"format": "s16le", "flush_packets": "0"}


@dataclass(frozen=True, slots=True)
class Spans:
    """Several segments of one file; `one_channel` takes the first channel instead of a mix of all."""

    path: str
    segments: tuple[Segment, ...]
    one_channel: bool

    @property
    def lengths(self) -> list[int]:
        """Samples of each segment, where the file holds them all."""
        return [round(segment.length_s * RATE_HZ) for segment in self.segments]


def spans(exe: str, request: Spans) -> list[bytes]:
    """Decode segments of one file, one after the other, to 8 kHz mono s16le on stdout."""
    paths = [request.path] * len(request.segments)
    return _compiled(exe, _joined(request, "pipe:1"), *paths, before=_ONE_THREAD)


def shared_spans(exe: str, requests: Sequence[Spans], outputs: Sequence[int]) -> list[bytes]:
    """Decode segments of several files, those of each to the file descriptor beside it.

    Each file has a filter graph of its own: ffmpeg builds a graph anew when the sound of one of its inputs
    changes form midway, and then loses what waits at the others.
    """
    inputs: list[str] = []
    graphs: list[str] = []
    paths: list[str] = []
    for request, output in zip(requests, outputs, strict=True):
        arguments = ffmpeg.get_args(_joined(request, f"pipe:{output}", first=len(paths)))
        begin = arguments.index("-filter_complex")
        inputs += arguments[:begin]
        # Numbers of inputs and names of links hold for the whole command, and ffmpeg-python begins both at 0.
        first, prefix = len(paths), f"[f{output}s"
        for part in arguments[begin:]:
            part = re.sub(r"\[(\d+):a:0\]", lambda found: f"[{int(found[1]) + first}:a:0]", part)  # noqa: B023
            graphs.append(part.replace("[s", prefix))
        paths += [request.path] * len(request.segments)
    return _named([exe, *_QUIET, *_ONE_THREAD, *inputs, *graphs], *paths)


def _joined(request: Spans, output: str, *, first: int = 0) -> Any:
    pieces = []
    for number, (segment, samples) in enumerate(
        zip(request.segments, request.lengths, strict=True), start=first
    ):
        source = ffmpeg.input(
            _INPUT.format(number),
            ss=f"{segment.start_s:.6f}",
            t=f"{segment.length_s + SLACK_S:.6f}",
            **_decoding(request.path),
        )
        pieces.append(_to_pcm(source, request.one_channel).filter("atrim", end_sample=samples))
    joined = pieces[0] if len(pieces) == 1 else ffmpeg.concat(*pieces, v=0, a=1)
    return ffmpeg.output(joined, output, **_RAW)


def whole(exe: str, path: str, *, start_s: float = 0.0, one_channel: bool) -> list[bytes]:
    """Decode one file from `start_s` to its end to 8 kHz mono s16le on stdout."""
    seek = {"ss": f"{start_s:.6f}"} if start_s else {}
    joined = _to_pcm(ffmpeg.input(_INPUT.format(0), **seek, **_decoding(path)), one_channel)
    return _compiled(exe, ffmpeg.output(joined, "pipe:1", **_RAW), path, before=_ONE_THREAD)


def describe(exe: str, path: str) -> list[bytes]:
    """Make ffmpeg say on stderr what it thinks a file is; it ends with an error, for want of an output."""
    source = ffmpeg.input(_INPUT.format(0), **opening(path))
    argv = ffmpeg.output(source, _OUTPUT).compile(cmd=[exe, "-nostdin", "-hide_banner"])
    return _named(argv[:-1], path)


def count(exe: str, path: str) -> list[bytes]:
    """Demux the sound of one file to its end, reporting on stdout how far it got (`out_time_us=`)."""
    source = ffmpeg.input(_INPUT.format(0), **opening(path), vn=None, sn=None, dn=None)
    output = ffmpeg.output(source["a:0"], "pipe:2", format="null", codec="copy")
    return _compiled(exe, output, path, before=("-nostats", "-progress", "pipe:1"))


def opening(path: str) -> dict[str, str]:
    """The options any input is opened with: nothing but this one file, and no long search in a WAV."""
    # Newer versions look through 500 kB of each WAV for DTS in disguise: 25 ms. It shows in the first frames.
    return {**_CONFINED, "probesize": "65536"} if path.lower().endswith(".wav") else _CONFINED


def encode(
    exe: str, path: Path, *, rate_hz: int, channels: int, tags: Tags, options: Mapping[str, Any]
) -> list[bytes]:
    """Encode raw float samples from stdin to a file."""
    source = ffmpeg.input("pipe:0", format="f32le", ar=rate_hz, ac=channels)
    written = {"title": tags.title, "artist": tags.artist, "album": tags.album, "date": str(tags.year or "")}
    metadata = {
        f"metadata:g:{number}": f"{name}={value}"
        for number, (name, value) in enumerate(written.items())
        if value
    }
    # bitexact: the same samples give the same bytes, with no encoder version and no date inside.
    output = ffmpeg.output(
        source, _OUTPUT, **{"fflags": "+bitexact", "flags:a": "+bitexact", **metadata, **options}
    ).overwrite_output()
    argv = output.compile(cmd=[exe, "-hide_banner", "-v", "error"])
    return _named(argv, str(path))


def _decoding(path: str) -> dict[str, str | int | None]:
    # One thread a file: files are decoded side by side, and ffmpeg's own threads cost more than they bring.
    # Pictures, subtitles and data are not even demuxed (cover art is a video stream).
    return {**opening(path), "threads": 1, "vn": None, "sn": None, "dn": None}


def _to_pcm(source: Any, one_channel: bool) -> Any:
    sound = source["a:0"]
    if one_channel:
        # `<` and not `=`, which ffmpeg-python would escape; with one term they mean the same.
        sound = sound.filter("pan", "mono|c0<c0")
    return sound.filter("asetnsamples", n=GATHERED_SAMPLES, p=0).filter("aformat", **_TO_PCM)


def _compiled(exe: str, output: Any, *paths: str, before: Sequence[str]) -> list[bytes]:
    return _named(output.compile(cmd=[exe, *_QUIET, *before]), *paths)


def _named(argv: Sequence[str], *paths: str) -> list[bytes]:
    """Put the real names in, one for each input or output: ffmpeg-python takes no names that are not UTF-8.

    `file:` and an absolute path make `-x.mp3`, `http:x.mp3` and `concat:a|b.mp3` plain names.
    """
    names = {_INPUT.format(number): named(path) for number, path in enumerate(paths)}
    names[_OUTPUT] = named(paths[0])
    return [names.get(part) or os.fsencode(part) for part in argv]


def named(path: str) -> bytes:
    """A path as ffmpeg is told it, and as it repeats it in its messages."""
    return b"file:" + os.fsencode(os.path.abspath(path))  # noqa: PTH100 -- Path.absolute keeps `..`
