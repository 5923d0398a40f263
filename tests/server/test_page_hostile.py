"""Hostile names, odd requests and faults at the page: nothing is seen that should not be, and nothing runs."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from pipeline.audio import wav_bytes
from pipeline.engine.catalogue import Catalogue
from tests.engine.melodies import cut, tune
from tests.server.page_visitor import (
    HOSTILE,
    Visitor,
    identify,
    page,
    track_path,
    words,
)
from tests.server.running import Running, serving


def test_hostile_names_are_text_everywhere(visitor: Visitor, running: Running) -> None:
    label = '"><img src=x onerror=alert(1)>'
    visitor.post("/keys/add", seen="/keys", data={"label": label})
    identify(visitor, wav_bytes(cut(tune(2), 3, 15)))
    pages = [
        visitor.get("/catalogue"),
        visitor.get(track_path(visitor, "bold")),
        visitor.get("/jobs"),
        visitor.get("/keys"),
        visitor.get("/catalogue", params={"q": HOSTILE}),
    ]

    for reply in pages:
        assert reply.status_code == 200
        assert "<script>alert" not in reply.text
        assert "<b>Bold" not in reply.text
        assert "<img" not in reply.text
    assert HOSTILE in words(pages[0])
    assert label in words(pages[3])


@pytest.mark.parametrize("page_number", ["0", "-3", "99999", "x", "9" * 30])
def test_an_odd_page_number_shows_a_page_or_an_error_and_no_fault(visitor: Visitor, page_number: str) -> None:
    reply = visitor.get("/catalogue", params={"page": page_number})

    assert (reply.status_code, words(reply)[:9]) in [(200, "Catalogue"), (422, "There is ")]


ODD_REQUESTS = (
    "GET / HTTP/1.0",
    "GET / HTTP/1.1\r\nHost: [",
    "GET / HTTP/1.1\r\nHost: ",
    "GET / HTTP/1.1\r\nHost: a@b:99999",
    "GET /keys HTTP/1.1\r\nHost: x@localhost",
    "GET /keys HTTP/1.1\r\nHost: evil.example/@localhost",
    "GET /keys HTTP/1.1\r\nHost: localhost:1\r\nHost: evil.example",
    "GET /keys HTTP/1.1\r\nHost: evil.example\r\nCookie: earmark_page=\xff\xfe; a",
    "GET /result/%ff%00 HTTP/1.1\r\nHost: localhost",
    "GET /catalogue/%ff%00/sound HTTP/1.1\r\nHost: localhost",
    "GET /static/../desk.py HTTP/1.1\r\nHost: localhost",
    "GET /static/%2e%2e/desk.py HTTP/1.1\r\nHost: localhost",
    "POST /identify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0",
    f"POST /keys/{'9' * 30}/revoke HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0",
)


@pytest.mark.parametrize("request_head", ODD_REQUESTS)
def test_an_odd_request_sees_nothing_and_sets_off_no_fault(
    visitor: Visitor, running: Running, request_head: str
) -> None:
    with socket.create_connection(("127.0.0.1", running.port), timeout=20) as connection:
        connection.sendall(f"{request_head}\r\nConnection: close\r\n\r\n".encode("latin-1"))
        reply = b"".join(iter(lambda: connection.recv(65_536), b""))

    status = int(reply.split()[1])
    assert 400 <= status < 500 or (status == 200 and "GET / " in request_head)
    assert b"Keys and credits" not in reply


def test_a_damaged_catalogue_is_told_to_the_admin_alone(tmp_path: Path) -> None:
    with page(tmp_path) as served:
        for file in (tmp_path / "state" / "catalogue").iterdir():
            file.write_bytes(b"damaged") if file.is_file() else None
        here, there = (
            Visitor(served).get("/catalogue"),
            Visitor(served, **{"X-Forwarded-For": "192.0.2.7"}).get("/"),
        )

    assert here.status_code == there.status_code == 503
    assert str(tmp_path) in words(here)
    assert words(there).startswith("The service cannot read its own files right now.")


def test_a_bug_is_a_page_that_tells_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def buggy() -> Catalogue:
        raise RuntimeError("a secret")

    with serving(tmp_path / "state", open_catalogue=buggy) as served:
        reply = Visitor(served).get("/")

    assert reply.status_code == 500
    assert words(reply).startswith("A fault of earmark's own. The log says more.")
    assert "secret" not in reply.text
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert "RuntimeError: a secret" in caplog.text


def test_without_its_setting_there_is_no_page(shared: Running) -> None:
    assert Visitor(shared).get("/").status_code == 404
