"""Hostile names, odd requests and faults at the page: nothing is seen that should not be, and nothing runs."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote_from_bytes

import pytest
import requests

from pipeline.audio import wav_bytes
from pipeline.engine.catalogue import Catalogue
from pipeline.engine.tracks import Entry, KnownTrack
from tests.engine.melodies import cut, tune
from tests.server.forms import INVALID
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


@pytest.mark.parametrize(
    "path", ["/nothing", "/static/nothing.js", "/catalogue/a/b/c", "/apix", "/%00", "/keys/"]
)
def test_an_unknown_address_is_a_page_for_people(visitor: Visitor, path: str) -> None:
    reply = visitor.get(path, allow_redirects=False)

    assert reply.status_code in {404, 307}, "or the page that was meant"
    if reply.status_code == 404:
        assert words(reply).startswith("There is no such page.")
        assert "default-src 'none'" in reply.headers["content-security-policy"]


def test_what_an_address_is_not_for_is_a_page_too(visitor: Visitor) -> None:
    reply = visitor.bare_post("/jobs")

    assert reply.status_code == 405
    assert words(reply).startswith("That cannot be done here.")


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "PROPFIND", "TRACE"])
@pytest.mark.parametrize("path", ["/api", "/api/", "/api/identify", "/api/v1/x", "/api//"])
def test_a_mistyped_address_of_the_api_is_its_documented_error(
    running: Running, shared: Running, method: str, path: str
) -> None:
    for served in (running, shared):  # with a page and without
        reply = requests.request(method, f"http://127.0.0.1:{served.port}{path}", timeout=20)
        assert (reply.status_code, reply.json()) == (200, INVALID)


HOSTILE_TEXTS = (
    HOSTILE,
    "{{ 7 * 7 }} {% raw %}",
    "\u202eevil\u202c \u2066x",
    "\x1b[31mred\x07\x00\x7f",
    "\udcff\udc80 half",
    "javascript:alert(1)",
    "'; DROP TABLE jobs; --",
    "% _ \\ [a-z]* .* (?:",
    "x" * 3000,
    "a\nb\r\nSet-Cookie: c=1",
    "𝕊𝕠𝕟𝕘 🎵 Ｆｕｌｌ",
)


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service whose catalogue holds a track of each hostile title."""
    folder = tmp_path_factory.mktemp("zoo")
    (folder / "state").mkdir()
    with Catalogue.open(folder / "state" / "catalogue", create=True) as catalogue:
        catalogue.add(
            Entry(
                KnownTrack("", text, text, text, path=f"/music/{number}/{text[:100]}.mp3"), [tune(number, 10)]
            )
            for number, text in enumerate(HOSTILE_TEXTS)
        )
    with page(folder) as served:
        yield served


def test_hostile_titles_of_every_kind_are_listed_as_text(zoo: Running) -> None:
    visitor = Visitor(zoo)
    listed = visitor.get("/catalogue")
    paths = re.findall(r'href="(/catalogue/[^"?]+)"', listed.text)
    tracks = [visitor.get(path) for path in paths]

    assert len(paths) == len(HOSTILE_TEXTS)
    assert {reply.status_code for reply in (listed, *tracks)} == {200}
    assert "{{ 7 * 7 }}" in words(listed)
    for reply in (listed, *tracks):
        assert not re.search(r"<script(?! src=)|\x1b|\x00|\x07", reply.text)
        assert "Set-Cookie: c=1" not in str(reply.headers)
    # Turned-round text ends with the element it is in.
    assert listed.text.count("<bdi>") == listed.text.count("</bdi>") >= 3 * len(HOSTILE_TEXTS)


@pytest.mark.parametrize("text", HOSTILE_TEXTS)
def test_a_hostile_title_is_found_by_its_own_words_and_by_no_pattern(zoo: Running, text: str) -> None:
    query = text.encode("utf-8", "surrogatepass")
    reply = Visitor(zoo).get("/catalogue?q=" + quote_from_bytes(query))
    titles = re.findall(r'<a href="/catalogue/[^"]*"><bdi>', reply.text)

    assert reply.status_code == 200
    # Half characters cannot be typed: they come as question marks.
    assert len(titles) == (0 if "\udcff" in text else 1)
    assert "<script>alert" not in reply.text


@pytest.mark.parametrize(
    "query", ["%00", "%ff", "%ed%a0%80", "%25", "_", ".*", "q" * 100_000 + "&q=", "&q=&q=x"]
)
def test_hostile_searches_find_nothing_and_break_nothing(zoo: Running, query: str) -> None:
    reply = Visitor(zoo).get(f"/catalogue?q={query}")

    assert reply.status_code in {200, 400, 431}
