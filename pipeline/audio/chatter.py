"""Make one clear line of what ffmpeg says on stderr, and decide what it means for the file."""

from __future__ import annotations

import os
import re

from pipeline.audio.command import named
from pipeline.errors import MediaError
from pipeline.model import FileStatus

LINE_CHARACTERS = 200

_NO_SOUND = re.compile(r"matches no streams|does not contain any stream|no audio", re.IGNORECASE)

_PLAYLIST = re.compile(r"Format not on whitelist|Not detecting m3u8/hls")

_NOT_MEDIA = re.compile(r"Invalid data found when processing input|Unknown input format|moov atom not found")

# "[mp3 @ 0x55d0c8a0] ", also several in a row and with a path inside: "[in#0 @ 0x..] "
_ADDRESS = re.compile(r"^(\[[^\]]*@ 0x[0-9a-f]+\] *)+")

# Said of nearly every odd file, and never the reason why nothing came out.
_ASIDE = re.compile(
    r"Estimating duration|detected only with low score|Last message repeated"
    r"|Header missing|Error submitting packet|max_analyze_duration"
    r"|Guessed Channel Layout|Could not update timestamps|Could not find codec parameters|Consider increasing"
    r"|incomplete frame|Task finished with error|Terminating thread|Nothing was written|Conversion failed",
)

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


def no_sound() -> MediaError:
    return MediaError("it holds no sound", status=FileStatus.NO_AUDIO)


def translated(stderr: bytes, path: str) -> MediaError:
    """What to tell a person about a file from which nothing could be decoded."""
    said = stderr.decode("utf-8", "replace")
    if _NO_SOUND.search(said):
        return no_sound()
    if _PLAYLIST.search(said):
        return MediaError("it is a playlist or another kind of file that is not opened as sound")
    cause = first_cause(stderr, path)
    if not cause:
        return MediaError("nothing in it could be decoded", hint="the file may be damaged")
    if "Cannot allocate memory" in cause:
        return MediaError("decoding it takes too much memory", status=FileStatus.FAILED)
    if "No such file or directory" in cause:
        return vanished()
    if "Permission denied" in cause:
        return forbidden()
    if _NOT_MEDIA.search(said):
        return MediaError(f"it is damaged, or not a sound file: {cause}")
    return MediaError(f"it could not be decoded: {cause}", hint="the file may be damaged")


def vanished() -> MediaError:
    return MediaError(
        "it was not there any more when its turn came", status=FileStatus.FAILED, hint="run again"
    )


def forbidden() -> MediaError:
    return MediaError("permission to read it was denied", hint="change its permissions, or run as its owner")


def reading_failed(stderr: bytes, path: str) -> bool:
    """Whether the disk, not the file, ended the decoding: what came out may be a part of it."""
    return b"Input/output error" in stderr.replace(named(path), b"")


def stopped_reading(after_s: float) -> MediaError:
    return MediaError(
        f"reading it failed after {after_s:.0f} s of sound: input/output error",
        status=FileStatus.FAILED,
        hint="check the disk it lies on, and run the same command again",
    )


def first_cause(stderr: bytes, path: str) -> str:
    """The first of ffmpeg's lines that gives a reason, without addresses and path, at most 200 characters."""
    name = named(path).decode("utf-8", "replace")
    said = stderr.decode("utf-8", "replace").replace(name, "").replace(os.path.basename(name), "")  # noqa: PTH119
    lines = [_CONTROL.sub(" ", _ADDRESS.sub("", line)).strip(" :.") for line in said.splitlines()]
    lines = [line for line in lines if line]
    telling = [line for line in lines if not _ASIDE.search(line)]
    line = (telling or lines or [""])[0]
    return line if len(line) <= LINE_CHARACTERS else line[: LINE_CHARACTERS - 1] + "…"
