"""What a decoder promises, whichever program does the decoding."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, Self

from pipeline.audio import chatter
from pipeline.errors import MediaError
from pipeline.model import MIN_SEGMENT_S, FileStatus, Pcm, Segment, Tags

BLOCK_S = 30.0
"""Length of a block of `whole`: what the longest segment needs."""

START = Segment(0.0, 1.0)
"""Where a file is tried when nothing came out of it elsewhere."""

LONGEST_S = 7 * 24 * 3600.0
"""No header that states more is believed."""


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """What a file says of itself, read without decoding it."""

    duration_s: float | None = None
    """As the header says, and headers lie: when a segment comes back short, `measure`. One under 5 s
    is counted already; None where there is no sound."""
    tags: Tags = field(default_factory=Tags)
    has_audio: bool = True


class Decoder(Protocol):
    """Hears files. May be used from several threads at once; a file that cannot be heard raises MediaError.

    A `path` is what `os.fsdecode` makes of a file's name, so any bytes will do.
    """

    @property
    def name(self) -> str:
        """The program at work, e.g. `ffmpeg 5.1.6 (system)`."""

    @property
    def callers(self) -> int:
        """How many threads at a time make the most of it."""

    def inspect(self, path: str) -> MediaInfo:
        """Duration and tags as the file states them."""

    def spans(self, path: str, segments: Sequence[Segment]) -> list[Pcm]:
        """The audio of each segment, in order; shorter, or empty, where the sound ends before it does."""

    def whole(self, path: str) -> Generator[Pcm]:
        """The whole file in blocks of 30 s, the last one shorter. Closing it stops the decoding."""

    def measure(self, path: str) -> float:
        """The true duration in seconds, counted packet by packet."""

    def close(self) -> None:
        """Stop every process behind it."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


def believable(duration_s: float | None) -> float | None:
    """A stated duration, or None where no file can be that long: a plan must not be made for 1e12 s."""
    return duration_s if duration_s is not None and 0 < duration_s <= LONGEST_S else None


def counted_if_short(info: MediaInfo, path: str, measure: Callable[[str], float]) -> MediaInfo:
    """Believe no header that says nothing, or less than could be asked about: count."""
    if info.has_audio and (info.duration_s is None or info.duration_s < MIN_SEGMENT_S):
        return replace(info, duration_s=measure(path))
    return info


def check_file(path: str) -> None:
    """Raise MediaError unless `path` is a regular file with something in it that we may read."""
    try:
        status = os.stat(path)  # noqa: PTH116 -- a name may hold any bytes
    except PermissionError:
        raise chatter.forbidden() from None
    except (FileNotFoundError, NotADirectoryError):
        raise chatter.vanished() from None
    except (OSError, ValueError) as error:
        raise MediaError(f"it could not be looked at: {error}", status=FileStatus.FAILED) from error
    if not stat.S_ISREG(status.st_mode):
        kind = "folder" if stat.S_ISDIR(status.st_mode) else "device, pipe or socket"
        raise MediaError(f"it is a {kind}, not a file")
    if status.st_size == 0:
        raise MediaError("it is empty (0 bytes)", hint="copy it again from where it came from")
    if not os.access(path, os.R_OK):
        raise chatter.forbidden()
