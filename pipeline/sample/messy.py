"""The messy files of the sample: what each is made of, and what an honest answer about it says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from pipeline.model import FileStatus, Tags
from pipeline.sample import recordings as of
from pipeline.sample.arrangement import Stereo
from pipeline.sample.damage import Samples, excerpt, faster, heard_by_a_phone, mono, noisy
from pipeline.sample.recordings import Recording

Change = Callable[[Stereo, np.random.Generator], Samples]
Encoding = tuple[str, Mapping[str, str]]
"""An ending, and what ffmpeg is told beyond it."""

# The level is LAME's own: twice as fast as its default, and no recognizer hears the difference.
MP3_64: Encoding = (".mp3", {"audio_bitrate": "64k", "compression_level": "7"})
MP3_128: Encoding = (".mp3", {"audio_bitrate": "128k", "compression_level": "7"})
WAV: Encoding = (".wav", {})
"""What every ffmpeg has, when it lacks the codec that was meant."""
UNTAGGED = Tags()


@dataclass(frozen=True, slots=True)
class MessyFile:
    """A file to name, made from one recording; its ending is that of the first encoding this ffmpeg has."""

    stem: str
    encodings: tuple[Encoding, ...]
    recording: Recording
    change: Change
    what: str
    status: FileStatus = FileStatus.FOUND
    tags: Tags = UNTAGGED
    keep: float = 1.0
    """The part of the file that is left of it, as after a broken download."""


def _whole(samples: Stereo, rng: np.random.Generator) -> Samples:
    return samples


def _from(start_s: float, length_s: float) -> Change:
    return lambda samples, rng: excerpt(samples, start_s, length_s)


MESSY = (
    MessyFile(
        "track01", (MP3_64, WAV), of.ODE_TO_JOY, lambda s, rng: mono(s), "the whole track, 64 kbit/s mono"
    ),
    MessyFile(
        "recording (3)",
        ((".m4a", {"audio_bitrate": "64k"}), MP3_64, WAV),
        of.FUR_ELISE,
        lambda s, rng: heard_by_a_phone(excerpt(s, 11, 32), rng),
        "taken down by a telephone across the room",
    ),
    MessyFile(
        "New Folder/untitled",
        ((".ogg", {"audio_bitrate": "64k"}), MP3_64, WAV),
        of.GREENSLEEVES,
        _from(17, 28),
        "28 seconds from the middle",
    ),
    MessyFile(
        '"Best of" 80\'s, vol. 2',
        ((".opus", {"audio_bitrate": "32k"}), MP3_64, WAV),
        of.MINUET_IN_G,
        lambda s, rng: mono(s),
        "the whole track, 32 kbit/s mono",
    ),
    MessyFile(
        "夏の思い出 – dernière prise",
        ((".wma", {"audio_bitrate": "96k"}), MP3_64, WAV),
        of.SWAN_LAKE,
        _whole,
        "the whole track, 96 kbit/s",
    ),
    MessyFile(
        "AUDIO_0007",
        (WAV,),
        of.AULD_LANG_SYNE,
        lambda s, rng: noisy(excerpt(s, 20, 26), 8, rng),
        "in street noise",
    ),
    MessyFile(
        "track 08 [fast]", (MP3_128, WAV), of.CAN_CAN, lambda s, rng: faster(s, 2), "played 2 % too fast"
    ),
    MessyFile(
        "07 - Track 7",
        (MP3_128, WAV),
        of.AMAZING_GRACE,
        _whole,
        "tagged as something else",
        tags=of.UNKNOWN.tags,
    ),
    MessyFile(
        "stream rip",
        ((".aac", {"audio_bitrate": "48k"}), MP3_64, WAV),
        of.SCARBOROUGH_FAIR,
        lambda s, rng: mono(excerpt(s, 9, 36)),
        "36 seconds as a radio station sends them",
    ),
    MessyFile(
        "memo",
        ((".amr", {"audio_bitrate": "12.2k"}), (".mp3", {"audio_bitrate": "16k", "ar": "8000"}), WAV),
        of.FRERE_JACQUES,
        lambda s, rng: mono(excerpt(s, 14, 30)),
        "kept by a dictation machine",
    ),
    MessyFile(
        "half of it", (MP3_128, WAV), of.LULLABY, _whole, "the first half; the rest never arrived", keep=0.5
    ),
    MessyFile(
        "demo tape",
        (MP3_128, WAV),
        of.UNKNOWN,
        _whole,
        "music that is not in the catalogue",
        status=FileStatus.NOT_FOUND,
    ),
    MessyFile(
        "other band",
        ((".ogg", {}), MP3_128, WAV),
        of.COVER_OF_GREENSLEEVES,
        _whole,
        "another recording of a tune the catalogue knows",
        status=FileStatus.NOT_FOUND,
    ),
    MessyFile(
        "jingle",
        ((".ogg", {}), MP3_128, WAV),
        of.CANON_IN_D,
        _from(5, 3),
        "three seconds",
        status=FileStatus.TOO_SHORT,
    ),
    MessyFile(
        "blank side",
        ((".flac", {}), WAV),
        of.CANON_IN_D,
        lambda s, rng: np.zeros_like(excerpt(s, 0, 20)),
        "twenty seconds of silence",
        status=FileStatus.SILENT,
    ),
    MessyFile(
        "interrupted download",
        ((".m4a", {}),),
        of.AH_VOUS_DIRAI_JE,
        _from(0, 20),
        "cut off before the index without which it cannot be read",
        status=FileStatus.UNREADABLE,
        keep=0.4,
    ),
)

MIX = (of.MOUNTAIN_KING, of.SCARBOROUGH_FAIR, of.CANON_IN_D)
MIX_START_S, MIX_PIECE_S = 8.0, 36.0
"""Each piece of the mix begins here in its recording, and lasts this long, the crossfades included."""
