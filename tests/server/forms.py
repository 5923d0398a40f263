"""Multipart bodies written by hand, as no library would send them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import requests

from pipeline.audio import wav_bytes
from tests.server.ears import UNKNOWN
from tests.server.running import Running

INVALID = {"success": False, "error": "invalid command or parameter"}
NO_AUDIO = {"success": False, "error": "audio file: no audio found, format invalid or unsupported"}
HEADERS = {"Content-Type": "multipart/form-data; boundary=B"}


def part(name: str, value: bytes | str, filename: str | None = None) -> bytes:
    value = value if isinstance(value, bytes) else value.encode()
    named = "" if filename is None else f'; filename="{filename}"'
    head = f'--B\r\nContent-Disposition: form-data; name="{name}"{named}\r\n\r\n'
    return head.encode("utf-8", "surrogateescape") + value + b"\r\n"


def post(running: Running, body: Any, headers: dict[str, str] | None = None) -> dict[str, Any]:
    reply = requests.post(running.url, data=body, headers=headers or HEADERS, timeout=30)
    assert reply.status_code == 200
    parsed: dict[str, Any] = reply.json()
    return parsed


def identify(
    running: Running, *more: bytes, filename: str = "x.wav", content: bytes | None = None
) -> dict[str, Any]:
    wav = wav_bytes(UNKNOWN.pcm) if content is None else content
    asked = part("apikey", running.key) + part("action", "identify")
    return post(running, asked + b"".join(more) + part("file", wav, filename) + b"--B--\r\n")


def charged_s(running: Running) -> int:
    return int(running.ask("stat")["uploaded_duration_sec"])


def leftovers(running: Running) -> list[Path]:
    return list((running.state / "server/uploads").iterdir())
