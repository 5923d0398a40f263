"""Read what clients of the AudioTag API send: forms of both kinds, audio of every accepted kind."""

from __future__ import annotations

import io
import subprocess
import wave
from dataclasses import dataclass, field
from email.message import Message
from email.parser import BytesHeaderParser
from urllib.parse import parse_qsl

import numpy as np

from pipeline.audio.ffmpeg import find
from pipeline.model import RATE_HZ, Pcm

ENDINGS = frozenset(
    [
        "wma",
        "wav",
        "opus",
        "ogg",
        "mp3",
        "mp2",
        "m4a",
        "flac",
        "amr",
        "alac",
        "aiff",
        "aif",
        "aac",
        "3gpp",
        "3gp",
    ]
)


@dataclass
class Form:
    """The fields of a request, and its file if it has one."""

    fields: dict[str, str] = field(default_factory=dict)
    filename: str = ""
    file: bytes | None = None


def read_form(content_type: str, body: bytes) -> Form:
    """Read a multipart or urlencoded body; an unreadable one is an empty form."""
    header = Message()
    header["Content-Type"] = content_type
    if header.get_content_type() == "multipart/form-data":
        return _read_multipart(str(header.get_param("boundary") or ""), body)
    return Form(dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)))


def _read_multipart(boundary: str, body: bytes) -> Form:
    form = Form()
    # The first boundary has no line break before it: give it one, so that all look the same.
    for part in (b"\r\n" + body).split(b"\r\n--" + boundary.encode())[1:]:
        if part.startswith(b"--"):
            break
        head, _, content = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        headers = BytesHeaderParser().parsebytes(head)
        name = str(headers.get_param("name", header="content-disposition") or "")
        filename = headers.get_param("filename", header="content-disposition")
        if filename is None:
            form.fields[name] = content.decode("utf-8", "replace")
        elif name == "file":
            form.filename, form.file = str(filename), content
    return form


def read_pcm(filename: str, content: bytes) -> Pcm | None:
    """The audio as 8 kHz mono PCM; None when the name's ending is not accepted or there is no audio in it."""
    if filename.rpartition(".")[2].lower() not in ENDINGS:
        return None
    return _native(content) if _is_native(content) else _decoded(content)


def _is_native(content: bytes) -> bool:
    try:
        with wave.open(io.BytesIO(content)) as reader:
            return (reader.getnchannels(), reader.getsampwidth(), reader.getframerate()) == (1, 2, RATE_HZ)
    except (wave.Error, EOFError):
        return False


def _native(content: bytes) -> Pcm:
    with wave.open(io.BytesIO(content)) as reader:
        return np.frombuffer(reader.readframes(reader.getnframes()), dtype="<i2").astype(np.int16)


def _decoded(content: bytes) -> Pcm | None:
    command = [find().path, "-v", "error", "-i", "pipe:0", "-map", "0:a:0", "-ac", "1"]
    command += ["-ar", str(RATE_HZ), "-f", "s16le", "pipe:1"]
    done = subprocess.run(command, input=content, capture_output=True, timeout=60, check=False)
    return np.frombuffer(done.stdout, dtype="<i2").astype(np.int16) if done.stdout else None
