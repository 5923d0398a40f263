"""The sample folder on disk: a tagged catalogue, a messy folder to name, and the truth about it.

FOLDER/catalogue/Ode to Joy.flac …    tagged reference tracks
FOLDER/music/track01.mp3 …            files to name
FOLDER/truth.json                     what each file of music/ is; written last: proof of a whole sample
"""

from __future__ import annotations

import json
import logging
import shutil
import zlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from pipeline import audio
from pipeline.errors import MediaError
from pipeline.files import atomic_write, storage_errors
from pipeline.model import FileStatus, Tags
from pipeline.sample.damage import CROSSFADE_S, Samples, crossfaded, excerpt
from pipeline.sample.instruments import SAMPLE_RATE_HZ
from pipeline.sample.messy import MESSY, MIX, MIX_PIECE_S, MIX_START_S, MP3_128, WAV, Encoding, MessyFile
from pipeline.sample.recordings import AH_VOUS_DIRAI_JE, CATALOGUE, Recording

VERSION = 1
"""Raised whenever the same code would write another sample: an older one is then made anew."""

_CATALOGUE_ENCODINGS: tuple[Encoding, ...] = (
    (".flac", {}),
    (".mp3", {"audio_bitrate": "192k", "compression_level": "7"}),
    (".ogg", {"audio_bitrate": "128k"}),
)
_LETTER = "Dear Ludwig,\n\nthe tape is in the post. Until then this is all there is.\n\n" * 40

Truth = dict[str, dict[str, Any]]

log = logging.getLogger(__name__)


class Encode(Protocol):
    """Writes samples, (n,) or (n, 2) in -1..1, as the path's ending says; MediaError where it cannot."""

    def __call__(
        self,
        path: Path,
        samples: Samples,
        rate_hz: int,
        *,
        tags: Tags = ...,
        options: Mapping[str, str] = ...,
    ) -> None: ...


@dataclass(frozen=True, slots=True)
class Sample:
    """Where a sample lies."""

    folder: Path

    @property
    def catalogue(self) -> Path:
        """Tagged reference tracks."""
        return self.folder / "catalogue"

    @property
    def music(self) -> Path:
        """Messy files to name."""
        return self.folder / "music"

    @property
    def truth(self) -> Path:
        """JSON: `files` maps paths below `music` to `status`, `title`, `artist`, `plays` and `what`."""
        return self.folder / "truth.json"


def make_sample(folder: Path, *, encode: Encode = audio.encode) -> Sample:
    """The sample in `folder`, made now (seconds of work) unless a whole one of this version lies there.

    Equal versions of earmark and ffmpeg make equal files. Raises StorageError and MediaError.
    """
    sample = Sample(folder)
    if _is_whole(sample):
        return sample
    with storage_errors(folder):
        sample.catalogue.mkdir(parents=True, exist_ok=True)
        (sample.music / "New Folder").mkdir(parents=True, exist_ok=True)
        sample.truth.unlink(missing_ok=True)
        truth = _make_all(sample, encode)
    names = sorted(path.name for path in sample.catalogue.iterdir())
    manifest = {"version": VERSION, "catalogue": names, "files": dict(sorted(truth.items()))}
    with atomic_write(sample.truth) as temporary:
        temporary.write_text(json.dumps(manifest, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    log.info("sample made folder=%s files=%d", folder, len(truth))
    return sample


def _is_whole(sample: Sample) -> bool:
    try:
        manifest = json.loads(sample.truth.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    if manifest.get("version") != VERSION:
        return False
    expected = [sample.catalogue / name for name in manifest["catalogue"]]
    expected += [sample.music / name for name in manifest["files"]]
    return all(path.is_file() for path in expected)


def _make_all(sample: Sample, encode: Encode) -> Truth:
    """Make two recordings at a time: numpy plays one while ffmpeg encodes the other; memory holds no more."""
    truth: Truth = {}
    others = tuple({item.recording for item in MESSY} - set(CATALOGUE))
    with ThreadPoolExecutor(2, thread_name_prefix="sample") as pool:
        jobs = [pool.submit(_make_mix, sample, encode)]
        for recording, encoding in zip((*CATALOGUE, *others), cycle(_CATALOGUE_ENCODINGS), strict=False):
            jobs.append(pool.submit(_make_of_recording, sample, encode, recording, encoding))
        for job in jobs:
            truth |= job.result()
    return truth | _copies_and_letters(sample, truth)


def _make_of_recording(sample: Sample, encode: Encode, recording: Recording, encoding: Encoding) -> Truth:
    """The catalogue's track of a recording, if it has one, and the messy files made from it."""
    samples, truth = recording.samples(), {}
    if recording in CATALOGUE:
        stem = sample.catalogue / recording.melody.title
        _encode_first(encode, stem, (encoding, MP3_128, WAV), samples, recording.tags)
    for item in MESSY:
        if item.recording == recording:
            changed = item.change(samples, np.random.default_rng(zlib.crc32(item.stem.encode())))
            path = _encode_first(encode, sample.music / item.stem, item.encodings, changed, item.tags)
            if item.keep < 1:
                path.write_bytes(path.read_bytes()[: int(path.stat().st_size * item.keep)])
            truth[path.relative_to(sample.music).as_posix()] = _entry(item)
    return truth


def _make_mix(sample: Sample, encode: Encode) -> Truth:
    pieces = [excerpt(recording.samples(), MIX_START_S, MIX_PIECE_S) for recording in MIX]
    path = _encode_first(encode, sample.music / "dj set", (MP3_128, WAV), crossfaded(pieces), Tags())
    step_s = MIX_PIECE_S - CROSSFADE_S
    plays = [
        {"title": recording.melody.title, "start_s": number * step_s, "end_s": number * step_s + MIX_PIECE_S}
        for number, recording in enumerate(MIX)
    ]
    entry = {
        "status": FileStatus.FOUND,
        "title": "",
        "artist": "",
        "plays": plays,
        "what": "a mix of three tracks",
    }
    return {path.name: entry}


def _copies_and_letters(sample: Sample, truth: Truth) -> Truth:
    """Files that need no encoder: exact copies under other names, and a letter that calls itself music."""
    first = sample.music / next(name for name in truth if Path(name).stem == "track01")
    duplicate = first.with_stem("track01 (1)")
    shutil.copyfile(first, duplicate)
    known = AH_VOUS_DIRAI_JE
    reference = next(sample.catalogue.glob(f"{known.melody.title}.*"))
    copy = sample.music / f"xx final{reference.suffix}"
    shutil.copyfile(reference, copy)
    letter = sample.music / "letter.mp3"
    letter.write_text(_LETTER, encoding="utf-8")
    return {
        duplicate.name: truth[first.name] | {"what": f"an exact copy of {first.name}"},
        copy.name: {
            "status": FileStatus.FOUND,
            "title": known.melody.title,
            "artist": known.melody.composer,
            "plays": [],
            "what": "an exact copy of a catalogue track",
        },
        letter.name: {
            "status": FileStatus.UNREADABLE,
            "title": "",
            "artist": "",
            "plays": [],
            "what": "a text file that calls itself music",
        },
    }


def _entry(item: MessyFile) -> dict[str, Any]:
    found = item.status is FileStatus.FOUND
    return {
        "status": item.status,
        "title": item.recording.melody.title if found else "",
        "artist": item.recording.melody.composer if found else "",
        "plays": [],
        "what": item.what,
    }


def _encode_first(
    encode: Encode, stem: Path, encodings: tuple[Encoding, ...], samples: Samples, tags: Tags
) -> Path:
    """Encode in the first of the formats that this ffmpeg has: builds differ in their encoders."""
    refused: MediaError | None = None
    for ending, options in encodings:
        path = stem.with_name(stem.name + ending)
        try:
            encode(path, samples, SAMPLE_RATE_HZ, tags=tags, options=options)
        except MediaError as error:
            refused = error
        else:
            return path
    assert refused is not None  # noqa: S101 -- there is always a format to try
    raise refused
