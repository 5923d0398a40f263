"""Hostile uploads: no file but our own is opened, nothing is left behind, and no charge comes without a token."""

from __future__ import annotations

import socket
import struct
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.audio import encode, wav_bytes
from tests.server.ears import KNOWN, UNKNOWN
from tests.server.forms import HEADERS, INVALID, NO_AUDIO, charged_s, identify, leftovers, part, post
from tests.server.running import Running, serving


@pytest.mark.parametrize(
    "more",
    [
        b"".join(part(f"x{number}", "1") for number in range(40)),
        part("x", b"1" * 9000),
        part("x" * 200, "1"),
        part("action", "info"),
        part("start_time", "1") + part("start_time", "2"),
        part("file", b"RIFF", "y.wav"),
        b"--B\r\n" + b"X-Header: 1\r\n" * 100 + b"\r\n1\r\n",
        b"--B\r\nX-Header: " + b"1" * 10_000 + b"\r\n\r\n1\r\n",
        b"--B\r\nno header at all\r\n\r\n1\r\n",
        part("start_time", "abc"),
        part("time_len", "1e3"),
        part("time_len", "nan"),
        part("start_time", "9" * 400),
    ],
    ids=range(13),
)
def test_a_form_that_is_too_much_or_contradicts_itself_is_no_command(shared: Running, more: bytes) -> None:
    before = charged_s(shared)

    assert identify(shared, more) == INVALID
    assert charged_s(shared) == before
    assert leftovers(shared) == []


def test_a_field_said_twice_alike_is_said_once(shared: Running) -> None:
    assert identify(shared, part("action", "identify"))["success"] is True


def test_a_form_without_its_end_is_not_charged(shared: Running) -> None:
    before = charged_s(shared)
    wav = wav_bytes(UNKNOWN.pcm)
    whole = (
        part("apikey", shared.key) + part("action", "identify") + part("file", wav, "x.wav") + b"--B--\r\n"
    )

    assert [post(shared, whole[:cut]) for cut in (-4, -9, -100_000)] == [INVALID] * 3
    assert charged_s(shared) == before


def test_an_upload_with_a_key_that_is_not_let_in_never_reaches_the_disk(
    shared: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> bool:
        raise AssertionError("it was about to be kept")

    monkeypatch.setattr("pipeline.server.door._Place.take", never)
    reply = shared.upload(UNKNOWN, key="0" * 32)

    assert reply == {"success": False, "error": "api key unrecognized"}


def test_a_connection_cut_in_mid_upload_is_not_charged(shared: Running) -> None:
    before = charged_s(shared)
    body = part("apikey", shared.key) + part("action", "identify") + part("file", bytes(500_000), "x.wav")
    with socket.create_connection(("127.0.0.1", shared.port)) as raw:
        raw.sendall(f"POST /api HTTP/1.1\r\nHost: x\r\nContent-Type: {HEADERS['Content-Type']}\r\n".encode())
        raw.sendall(b"Content-Length: 900000\r\n\r\n" + body)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    gone(lambda: leftovers(shared) == [])

    assert charged_s(shared) == before


def gone(true: Any, *, limit_s: float = 20.0) -> None:
    ends = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"--B--"),
        ("multipart/form-data; boundary=", b"--B--"),
        ("multipart/form-data; boundary=" + "B" * 500, b"--B--"),
        ("multipart/form-data; boundary=B", b""),
        ("multipart/form-data; boundary=B", b"\0" * 10_000),
        ("multipart/mixed; boundary=B", b"--B--"),
        ("application/json", b'{"action": "info"}'),
        ("application/x-www-form-urlencoded", b"a=" + b"1" * 100_000),
        ("application/x-www-form-urlencoded", b"&".join(b"a%d=1" % number for number in range(100))),
        ("", b"\xff\xfe"),
    ],
    ids=range(10),
)
def test_bodies_of_no_known_kind_are_no_command(shared: Running, content_type: str, body: bytes) -> None:
    assert post(shared, body, {"Content-Type": content_type}) == INVALID


@pytest.mark.parametrize(
    "filename",
    [
        "../../../../tmp/x.wav",
        "/etc/x.wav",
        "C:\\\\x.wav",
        "a" * 3000 + ".wav",
        "x\udcff.wav",
        "..wav",
        "x.mp3;.wav",
    ],
)
def test_only_the_ending_of_a_files_name_counts(shared: Running, filename: str) -> None:
    before = {path for path in shared.state.rglob("*") if path.parent.name != "jobs"}

    assert identify(shared, filename=filename)["success"] is True
    assert {path for path in shared.state.rglob("*") if path.parent.name != "jobs"} <= before


@pytest.mark.parametrize("filename", ["x.wav/", "x.wav\0", "x.wav.exe", ".", "", "x.m3u8", "x.wav "])
def test_other_endings_are_refused(shared: Running, filename: str) -> None:
    assert identify(shared, filename=filename) == NO_AUDIO


def test_a_playlist_opens_no_other_file(shared: Running, tmp_path: Path) -> None:
    secret = tmp_path / "secret.wav"
    secret.write_bytes(wav_bytes(KNOWN.pcm))
    lists = (
        f"#EXTM3U\n#EXT-X-TARGETDURATION:20\n#EXTINF:15,\n{secret}\n#EXT-X-ENDLIST\n",
        f"#EXTM3U\n#EXT-X-TARGETDURATION:20\n#EXTINF:15,\nhttp://127.0.0.1:{shared.port}/healthz\n#EXT-X-ENDLIST\n",
        f"ffconcat version 1.0\nfile '{secret}'\n",
        f"v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=audio {shared.port} RTP/AVP 0\n",
        f'<?xml version="1.0"?><MPD><Period><BaseURL>{secret}</BaseURL></Period></MPD>',
    )
    for text in lists:
        for ending in ("wav", "mp3", "m4a", "aac"):
            assert identify(shared, filename=f"x.{ending}", content=text.encode()) == NO_AUDIO


@pytest.mark.parametrize("ending", ["wav", "mp3", "flac", "ogg", "m4a", "aac"])
def test_a_file_of_two_kinds_is_heard_as_sound_or_refused_and_as_nothing_else(
    shared: Running, tmp_path: Path, ending: str
) -> None:
    secret = tmp_path / "secret.wav"
    secret.write_bytes(wav_bytes(KNOWN.pcm))
    sound = tmp_path / "x.flac"
    encode(sound, UNKNOWN.pcm.astype(np.float32) / 32768, 8000)
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:20\n#EXTINF:15,\n{secret}\n#EXT-X-ENDLIST\n".encode()
    html = b"<html><script>alert(1)</script></html>"
    wav = wav_bytes(UNKNOWN.pcm)
    tagged = b"ID3\x04\0\0" + bytes([0, 0, len(playlist) >> 7, len(playlist) & 127]) + playlist
    two_kinds = (
        wav + playlist,
        wav + html + b"PK\x05\x06" + bytes(18),  # a web page, and an empty zip
        playlist + wav,
        html + sound.read_bytes(),
        tagged + sound.read_bytes(),
        b"\xff\xd8\xff\xe0\0\x10JFIF" + bytes(9) + sound.read_bytes(),  # a picture
        b"%PDF-1.4\n" + wav,
    )
    for content in two_kinds:
        reply = identify(shared, filename=f"x.{ending}", content=content)
        # KNOWN, which the playlists name, is what nobody may hear.
        assert reply == NO_AUDIO or shared.result(reply["token"])["result"] == "not found"
    assert leftovers(shared) == []


def test_hours_of_silence_in_a_small_file_are_analysed_to_the_limit_only(tmp_path: Path) -> None:
    bomb = tmp_path / "x.flac"
    encode(bomb, np.zeros(8000 * 3600, np.float32), 8000)
    with serving(tmp_path / "s", analyse=45) as running:
        reply = running.upload(bomb.read_bytes(), "x.flac")

    assert bomb.stat().st_size < 1_000_000
    assert reply["time_len"] == 45


@pytest.mark.parametrize("stated", [0, 1, 0xFFFFFFFF])
def test_a_wav_header_that_lies_about_its_size_is_not_believed(shared: Running, stated: int) -> None:
    wav = bytearray(wav_bytes(UNKNOWN.pcm))
    wav[40:44] = struct.pack("<I", stated)
    reply = identify(shared, content=bytes(wav))

    assert reply.get("time_len", 0) in {0, 15}
    assert reply["success"] is (reply.get("time_len") == 15)


def test_a_wav_of_a_million_empty_chunks_costs_no_time(shared: Running) -> None:
    chunks = b"RIFF\xff\xff\xff\x7fWAVE" + b"junk\0\0\0\0" * 1_000_000
    began = time.monotonic()
    reply = identify(shared, content=chunks)

    assert reply == NO_AUDIO
    assert time.monotonic() - began < 30


def test_a_file_over_the_limit_is_read_to_its_end_and_refused(tmp_path: Path) -> None:
    with serving(tmp_path, upload_mb=1) as running:
        assert identify(running, content=bytes(5_000_000)) == NO_AUDIO
        assert leftovers(running) == []
        assert running.upload(UNKNOWN)["success"] is True
