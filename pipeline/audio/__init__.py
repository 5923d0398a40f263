"""Sound in and out: the one room that knows ffmpeg, PyAV, pydub and WAV.

Everything is decoded in child processes, from local files only, to 8 kHz mono int16.
"""

from pipeline.audio.decoder import BLOCK_S, Decoder, MediaInfo
from pipeline.audio.encode import encode
from pipeline.audio.formats import DOCUMENTED, EXTENSIONS
from pipeline.audio.open import Backend, cores, open_decoder
from pipeline.audio.silence import SILENCE_DBFS, is_silent, level_dbfs
from pipeline.audio.survey import FormatSupport, Survey, survey
from pipeline.audio.wav import read_native, wav_bytes, write_wav

__all__ = [
    "BLOCK_S",
    "DOCUMENTED",
    "EXTENSIONS",
    "SILENCE_DBFS",
    "Backend",
    "Decoder",
    "FormatSupport",
    "MediaInfo",
    "Survey",
    "cores",
    "encode",
    "is_silent",
    "level_dbfs",
    "open_decoder",
    "read_native",
    "survey",
    "wav_bytes",
    "write_wav",
]
