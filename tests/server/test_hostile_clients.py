"""Hostile clients: slow, many, curious. Each is let go or held back, and the others are served."""

from __future__ import annotations

import contextlib
import logging
import socket
import time
from collections import Counter

import pytest
import requests

from tests.server.ears import KNOWN, UNKNOWN
from tests.server.running import Running


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
