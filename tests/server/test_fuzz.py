"""Whatever arrives: no 5xx, ever, and afterwards it serves."""

from __future__ import annotations

import re
import socket
from urllib.parse import quote

import numpy as np
import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.audio import encode, wav_bytes
from pipeline.model import RATE_HZ
from pipeline.wire.audiotag_errors import ErrorText
from tests.server.ears import KNOWN, UNKNOWN
from tests.server.forms import leftovers, part
from tests.server.running import Running

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


ENDINGS = ("mp3", "flac", "m4a", "ogg", "wma", "aiff")


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("media")
    for ending in ENDINGS:
        encode(folder / f"x.{ending}", UNKNOWN.pcm.astype(np.float32) / 32768, RATE_HZ)
    return {path.suffix[1:]: path.read_bytes() for path in folder.iterdir()}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    ending=st.sampled_from(ENDINGS),
    named=st.sampled_from((*ENDINGS, "wav")),
    flips=st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=8)), max_size=6),
    kept=st.floats(0, 1),
    after=st.binary(max_size=40),
)
def test_damaged_media_under_any_name_are_heard_or_refused_in_the_documents_words(
    shared: Running,
    media: dict[str, bytes],
    ending: str,
    named: str,
    flips: list[tuple[float, bytes]],
    kept: float,
    after: bytes,
) -> None:
    content = bytearray(media[ending])
    for place, junk in flips:
        at = int(place * (len(content) - len(junk)))
        content[at : at + len(junk)] = junk
    reply = shared.upload(bytes(content[: int(kept * len(content))]) + after, f"x.{named}")

    if reply["success"]:
        assert 5 <= reply["time_len"] <= 16
    else:
        assert reply["error"] in {ErrorText.NO_AUDIO, ErrorText.TOO_SHORT, ErrorText.NOT_PROCESSED}


def test_after_all_that_it_serves(shared: Running) -> None:
    assert shared.result(shared.upload(KNOWN)["token"])["result"] == "found"
    assert leftovers(shared) == []


PATHS = (
    "/", "/identify", "/result/{x}", "/catalogue", "/catalogue/upload", "/catalogue/folder", "/catalogue/{x}",
    "/catalogue/{x}/sound", "/catalogue/{x}/remove", "/jobs", "/keys", "/keys/add", "/keys/{x}/revoke", "/health",
    "/sign-in", "/sign-out", "/static/{x}", "/healthz", "/metrics", "/openapi.json", "/api", "/api/", "/{x}",
)  # fmt: skip
WORDS = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        ["1", "0", "-1", "12.0", "9" * 40, "null", "../../etc/passwd", "\0", "%00", "<b>", "yes", "/"]
    ),
)
NAMES = st.sampled_from([
    "apikey", "action", "token", "start_time", "time_len", "file", "mark", "q", "page", "folder", "confirmed", "label",
    "credits", "expires", "password",
])  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    method=st.sampled_from(["GET", "GET", "POST", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"]),
    path=st.sampled_from(PATHS),
    x=WORDS,
    query=st.dictionaries(NAMES, WORDS, max_size=3),
    fields=st.dictionaries(NAMES, WORDS, max_size=5),
    filename=st.one_of(st.none(), WORDS),
    honest=st.booleans(),
)
def test_no_address_answers_anything_with_a_5xx(
    running: Running,
    method: str,
    path: str,
    x: str,
    query: dict[str, str],
    fields: dict[str, str],
    filename: str | None,
    honest: bool,
) -> None:
    root = f"http://127.0.0.1:{running.port}"
    with requests.Session() as session:
        if honest:  # the page's own mark, and a key: what lies behind them is reached too
            mark = re.search(r'name="mark" value="([0-9a-f]+)"', session.get(root + "/keys", timeout=30).text)
            assert mark is not None
            fields = {**fields, "mark": mark[1], "apikey": running.key}
            # What would add the machine's own folders is the only thing that is not tried.
            fields.pop("folder", None)
        files = None if filename is None else {"file": (filename, wav_bytes(UNKNOWN.pcm)[:50_000])}
        reply = session.request(
            method,
            root + path.replace("{x}", quote(x, safe="")),
            params=query,
            data=fields,
            files=files,
            timeout=60,
            allow_redirects=False,
        )

    # A service that is still loading says so with 503, at one address, as its monitor expects.
    assert reply.status_code < 500 or (path == "/healthz" and reply.text == "loading\n")
    if path in ("/api", "/api/"):
        assert reply.status_code == 200
