"""Duration and tags without decoding: by tinytag where it knows the format, by `ffmpeg -i` for the rest."""

from __future__ import annotations

import re
from collections.abc import Mapping

from tinytag import TinyTag, TinyTagException

from pipeline.audio import adts, chatter, command
from pipeline.audio.child import Limits, run
from pipeline.audio.decoder import MediaInfo, believable
from pipeline.audio.pool import WorkerPool
from pipeline.model import Tags

TAG_CHARACTERS = 500
"""Longer tags are cut: they go into cells of a table."""

_MP4_BY_OTHER_NAMES = (".3gp", ".3gpp", ".3g2", ".alac", ".mov")
"""Tinytag knows these by their first bytes. Not so .aac, which it takes for MP3."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_YEAR = re.compile(r"(?<!\d)([12]\d{3})(?!\d)")
_DURATION = re.compile(r"^  Duration: (\d+):(\d\d):(\d\d(?:\.\d+)?)", re.MULTILINE)
_ENTRY = re.compile(r"^ {2,}([A-Za-z_/]+) *: (.*)$", re.MULTILINE)


def clean(text: object) -> str:
    """A tag's text fit for a cell: no control characters, no lone surrogates, not endless."""
    return _CONTROL.sub(" ", str(text or ""))[: 2 * TAG_CHARACTERS].strip()[:TAG_CHARACTERS].rstrip()


def year_in(text: object) -> int | None:
    """The year in a date as tags spell it (`1999`, `1999-03-01`, `(p) 1999`), or None."""
    found = _YEAR.search(str(text or ""))
    return int(found.group(1)) if found else None


def from_mapping(entries: Mapping[str, str]) -> Tags:
    """Tags from ffmpeg's metadata names, whatever their case."""
    known = {name.lower(): value for name, value in entries.items()}
    date = next((known[name] for name in ("date", "year", "wm/year", "tyer", "tdrc") if known.get(name)), "")
    return Tags(
        title=clean(known.get("title")),
        artist=clean(known.get("artist") or known.get("album_artist") or known.get("author")),
        album=clean(known.get("album")),
        year=year_in(date),
    )


def inspect_file(pool: WorkerPool, exe: str, path: str) -> MediaInfo:
    """What the file says of itself. Raises MediaError only when not even ffmpeg can make anything of it."""
    info: MediaInfo | None = None
    if path.lower().endswith(adts.EXTENSION):
        info = pool.call("adts.counted", path, limit_s=30)
    elif path.lower().endswith((*TinyTag.SUPPORTED_FILE_EXTENSIONS, *_MP4_BY_OTHER_NAMES)):
        info = pool.call("tags.read_tags", path, limit_s=10)
    return info or described(exe, path)


def read_tags(path: str) -> MediaInfo | None:
    """Tinytag's view, in a worker: its parsers are Python and meet hostile files. None: it cannot tell."""
    try:
        tag = TinyTag.get(path)
    except OSError:
        return None
    except (
        TinyTagException,
        ValueError,
        ArithmeticError,
        LookupError,
        TypeError,
        AttributeError,
        RecursionError,
    ):
        # A broken tag is no reason not to listen to the file.
        return None
    duration_s = believable(tag.duration)
    if duration_s is None or not tag.samplerate:
        return None
    return MediaInfo(
        duration_s=float(duration_s),
        tags=Tags(
            title=clean(tag.title),
            artist=clean(tag.artist or tag.albumartist),
            album=clean(tag.album),
            # tinytag files WMA's date among the other fields.
            year=year_in(tag.year or " ".join(tag.other.get("date") or ())),
        ),
    )


def described(exe: str, path: str) -> MediaInfo:
    """`ffmpeg -i`: it prints what it finds, and ends with an error because no output is asked for."""
    said = run(command.describe(exe, path), limits=Limits(wall_s=30.0, cpu_s=30)).stderr
    # The name comes first and may hold anything, lines that look like ours included.
    _, found, after = said.partition(b"from '" + command.named(path) + b"':")
    if not found:
        raise chatter.translated(said, path)
    text = after.decode("utf-8", "replace")
    clock = _DURATION.search(text)
    duration_s = None
    if clock:
        hours, minutes, seconds = clock.groups()
        duration_s = int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    entries: dict[str, str] = {}
    for name, value in _ENTRY.findall(text):
        entries.setdefault(name.lower(), value)
    return MediaInfo(
        believable(duration_s),
        from_mapping(entries),
        bool(re.search(r"^  Stream #\d+:\d+.*: Audio: ", text, re.M)),
    )
