"""Whatever arrives: no 5xx, no file but our own, no charge without a token, and the next client is served."""

from __future__ import annotations

import contextlib
import logging
import socket
import struct
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.audio import encode, wav_bytes
from tests.server.ears import KNOWN, UNKNOWN
from tests.server.running import Running, serving

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


@pytest.mark.parametrize(
    "before", [b"", b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"], ids=["first", "second"]
)
@pytest.mark.parametrize("begun", [b"G", b"POST /api HTTP/1.1\r\nHost: x\r\n"], ids=["line", "headers"])
def test_a_client_that_never_ends_its_headers_is_let_go(
    shared: Running, monkeypatch: pytest.MonkeyPatch, before: bytes, begun: bytes
) -> None:
    monkeypatch.setattr("pipeline.server.gate.HEADERS_S", 0.2)
    with socket.create_connection(("127.0.0.1", shared.port), timeout=20) as raw:
        if before:
            raw.sendall(before)
            heard = b""
            while not heard.endswith(b"ing\n"):  # loading, serving
                heard += raw.recv(4096)
        raw.sendall(begun)
        assert not heard_anything(raw)


def test_a_body_that_stalls_is_let_go(shared: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.server.door.SILENCE_S", 0.2)
    with socket.create_connection(("127.0.0.1", shared.port), timeout=20) as raw:
        raw.sendall(b"POST /api HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\naction=")
        heard = b""
        while chunk := raw.recv(4096):
            heard += chunk
    assert heard.startswith(b"HTTP/1.1 200")
    assert heard.endswith(b'"error":"invalid command or parameter"}')


def test_a_body_that_trickles_is_let_go(shared: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.server.door.SILENCE_S", 0.5)
    with socket.create_connection(("127.0.0.1", shared.port), timeout=20) as raw:
        raw.sendall(b"POST /api HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
        raw.settimeout(0.05)
        heard, ends = b"", time.monotonic() + 20
        while not heard and time.monotonic() < ends:
            raw.sendall(b"x")
            with contextlib.suppress(TimeoutError):
                heard = raw.recv(4096)
    assert heard.startswith(b"HTTP/1.1 200")


def test_no_other_machine_gets_all_places_for_uploads(
    shared: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.server.door.is_here", lambda _: False)
    monkeypatch.setattr(shared.service.door, "_most_uploads", 4)
    monkeypatch.setattr(shared.service.door, "uploads", Counter({"127.0.0.1": 2}))
    own = shared.upload(UNKNOWN)
    monkeypatch.setattr(shared.service.door, "uploads", Counter({"192.0.2.1": 2, "127.0.0.1": 1}))
    other = shared.upload(UNKNOWN)

    assert own == {"success": False, "error": "service temporarily not available"}
    assert other["success"] is True


def test_an_address_holds_only_so_many_connections(monkeypatch: pytest.MonkeyPatch, shared: Running) -> None:
    monkeypatch.setattr("pipeline.server.gate.MOST_PER_ADDRESS", 3)
    monkeypatch.setattr("pipeline.server.gate.is_here", lambda _: False)
    held = [socket.create_connection(("127.0.0.1", shared.port), timeout=20) for _ in range(8)]
    try:
        for raw in held:
            raw.sendall(b"GET /openapi.json HTTP/1.0\r\n\r\n")
        answered = sum(heard_anything(raw) for raw in held)
    finally:
        for raw in held:
            raw.close()
    assert 1 <= answered <= 3


def heard_anything(raw: socket.socket) -> bool:
    try:
        return bool(raw.recv(1))
    except ConnectionResetError:
        return False


def test_every_reply_carries_security_headers_and_no_name(shared: Running) -> None:
    base = shared.url.removesuffix("/api")
    for path in ("/api", "/healthz", "/metrics", "/openapi.json", "/nothing"):
        headers = requests.get(base + path, timeout=10).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert headers["Cache-Control"] == "no-store"
        assert "Server" not in headers


def test_neither_keys_nor_tokens_nor_names_are_logged(
    shared: Running, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    token = shared.upload(KNOWN, "a-telling-name.wav")["token"]
    shared.result(token)
    shared.upload(b"nonsense", "a-telling-name.mp3")
    shared.ask("info", key="0" * 32)
    ours = "\n".join(
        record.getMessage() for record in caplog.records if record.name.startswith(("pipeline", "uvicorn"))
    )

    assert "accepted key=" in ours
    for secret in (shared.key, token, "a-telling-name", "0" * 32):
        assert secret not in ours


PIECES = [
    b"--B\r\n",
    b"--B--\r\n",
    b"\r\n",
    b'Content-Disposition: form-data; name="action"\r\n\r\n',
    b'Content-Disposition: form-data; name="file"; filename="x.wav"\r\n\r\n',
    b"identify",
    b"info",
    part("apikey", "KEY"),
    part("action", "identify"),
    part("action", "get_result"),
    b"action=stat&",
]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.lists(
        st.one_of(
            st.binary(max_size=60),
            st.sampled_from(PIECES),
        ),
        max_size=12,
    ).map(b"".join),
    content_type=st.sampled_from(
        [
            "multipart/form-data; boundary=B",
            "application/x-www-form-urlencoded",
            "text/plain",
            ";",
            "a/b; c=\xff",
        ]
    ),
    method=st.sampled_from(["POST", "POST", "POST", "GET", "PUT", "OPTIONS", "HEAD"]),
)
def test_no_request_is_answered_with_a_5xx(
    shared: Running, body: bytes, content_type: str, method: str
) -> None:
    body = body.replace(b"KEY", shared.key.encode())
    reply = requests.request(
        method, shared.url, data=body, headers={"Content-Type": content_type.encode("latin-1")}, timeout=30
    )

    assert reply.status_code == 200
    assert method == "HEAD" or reply.json()["success"] in (True, False)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lines=st.lists(
        st.one_of(
            st.binary(max_size=40).filter(lambda line: b"\n" not in line),
            st.sampled_from(
                [b"POST /api HTTP/1.1", b"GET //api/ HTTP/1.0", b"Host: x", b"Content-Length: -1"]
            )
            | st.sampled_from([b"Transfer-Encoding: chunked", b"Expect: 100-continue", b"Upgrade: websocket"])
            | st.sampled_from([b"Connection: upgrade", b"Content-Length: 5", b"", b"5", b"0"]),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_no_bytes_at_all_are_answered_with_a_5xx(shared: Running, lines: list[bytes]) -> None:
    with socket.create_connection(("127.0.0.1", shared.port), timeout=20) as raw:
        raw.sendall(b"\r\n".join([*lines, b"", b""]))
        raw.shutdown(socket.SHUT_WR)
        heard = b""
        try:
            while chunk := raw.recv(4096):
                heard += chunk
        except ConnectionResetError:
            pass
    assert b"HTTP/1.1 5" not in heard


def test_after_all_that_it_serves(shared: Running) -> None:
    assert shared.result(shared.upload(KNOWN)["token"])["result"] == "found"
    assert leftovers(shared) == []
