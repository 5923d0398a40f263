"""Find an ffmpeg that can do the work: the system's, or the one inside the imageio-ffmpeg wheel."""

from __future__ import annotations

import os
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import imageio_ffmpeg

from pipeline.audio.child import Limits, run
from pipeline.errors import MediaError, UsageError

OLDEST_VERSION = 4
"""Older ones lack `-format_whitelist` on some inputs and write other messages than those we translate."""

NEEDED_DEMUXERS = frozenset({"mp3", "ogg", "flac", "wav", "aac", "asf", "aiff", "amr", "mov"})
NEEDED_DECODERS = frozenset({"aac", "flac", "vorbis", "opus", "wmav2", "alac", "pcm_s16le"})
NEEDED_FILTERS = frozenset({"aresample", "aformat", "asetnsamples", "atrim", "concat", "pan"})
"""Without one of these a system's ffmpeg (some are built for one purpose) is passed over for the wheel's."""


@dataclass(frozen=True, slots=True)
class Ffmpeg:
    """An ffmpeg that runs, and what it was built with."""

    path: str
    version: str
    source: str
    """`system`, `wheel` or `given`."""
    demuxers: frozenset[str]
    decoders: frozenset[str]
    filters: frozenset[str]

    @property
    def name(self) -> str:
        return f"ffmpeg {self.version} ({self.source})"

    @property
    def missing(self) -> tuple[str, ...]:
        """What it lacks of what the work needs; empty for one that is usable."""
        lacking = [f"demuxer {name}" for name in sorted(NEEDED_DEMUXERS - self.demuxers)]
        lacking += [f"decoder {name}" for name in sorted(NEEDED_DECODERS - self.decoders)]
        lacking += [f"filter {name}" for name in sorted(NEEDED_FILTERS - self.filters)]
        leading = re.match(r"\d+", self.version)
        # Builds from git are named after a commit (N-12345-g...): no number, always newer than 4.
        if leading and int(leading.group()) < OLDEST_VERSION:
            lacking.append(f"version {OLDEST_VERSION} or newer")
        return tuple(lacking)


def find(wanted: str = "") -> Ffmpeg:
    """The ffmpeg to work with. `wanted`: `system`, `wheel`, a path, or empty for the better of the first two.

    Raises UsageError when what was asked for is not there or cannot do the work.
    """
    if wanted == "wheel":
        return _usable(_wheel_path(), "wheel")
    if wanted == "system":
        return _usable(_system_path(), "system")
    if wanted:
        return _usable(shutil.which(str(Path(wanted).expanduser())) or wanted, "given")
    try:
        return find("system")
    except UsageError:
        return find("wheel")


def _system_path() -> str:
    path = shutil.which("ffmpeg")
    if path is None:
        raise UsageError("no ffmpeg is installed on this system", hint="leave it out and the wheel's is used")
    return path


def _wheel_path() -> str:
    # IMAGEIO_FFMPEG_EXE and the system's ffmpeg come into play where the wheel has no binary.
    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        raise UsageError(
            "the imageio-ffmpeg wheel has no ffmpeg for this machine",
            hint="install ffmpeg from your system's packages",
        ) from error


def _usable(path: str, source: str) -> Ffmpeg:
    found = _examine(path, source, _stamp(path))
    if found.missing:
        raise UsageError(
            f"{path} (version {found.version}) cannot do the work: it lacks {', '.join(found.missing)}",
            hint="install a full ffmpeg 4 or newer, or let earmark use the wheel's",
        )
    return found


def _stamp(path: str) -> tuple[int, int]:
    try:
        status = os.stat(path)  # noqa: PTH116 -- the path may be a bare name
    except OSError as error:
        raise UsageError(
            f"no ffmpeg at {path}: {error.strerror}", hint="give the path of an ffmpeg, `system` or `wheel`"
        ) from error
    return status.st_mtime_ns, status.st_size


@lru_cache(maxsize=8)
def _examine(path: str, source: str, stamp: tuple[int, int]) -> Ffmpeg:
    """Ask a binary what it is; remembered for as long as the file stays the same (`stamp`)."""
    # Side by side: each takes as long to start as the others together to answer.
    with ThreadPoolExecutor(3) as pool:
        demuxers, decoders, filters = pool.map(
            lambda kind: _listing(path, kind), ("demuxers", "decoders", "filters")
        )
    return Ffmpeg(path, demuxers[0], source, demuxers[1], decoders[1], filters[1])


def _listing(path: str, kind: str) -> tuple[str, frozenset[str]]:
    """The version of a binary, and the names of what it has of one kind."""
    try:
        answer = run([path, f"-{kind}"], limits=Limits(wall_s=20.0, cpu_s=20))
    except MediaError as error:
        raise UsageError(f"{path} does not run: {error.message}", hint="see `earmark doctor`") from error
    banner = re.match(rb"ffmpeg version n?(\d+(?:\.\d+)*|\S+)", answer.stderr)
    if answer.returncode != 0 or banner is None:
        raise UsageError(
            f"{path} is not an ffmpeg: asked for its {kind} it ended with code {answer.returncode}",
            hint="give the path of an ffmpeg, `system` or `wheel`",
        )
    return banner.group(1).decode("ascii", "replace"), _names(answer.stdout.decode("utf-8", "replace"))


def _names(listing: str) -> frozenset[str]:
    """The names in an ffmpeg listing: flags, name (or `name,name`), description, below a legend."""
    names: set[str] = set()
    for line in listing.splitlines():
        fields = line.split()
        if len(fields) >= 2 and line.startswith(" ") and fields[1] != "=":
            names.update(fields[1].split(","))
    return frozenset(names)
