"""The page over a real socket: who may see what, forms that are the page's own, hostile names, the catalogue's life."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import requests

from pipeline.audio import open_decoder, wav_bytes
from pipeline.batch.enrol import enrol
from pipeline.engine.catalogue import Catalogue
from pipeline.model import RATE_HZ
from pipeline.wire.audiotag_errors import ErrorText
from tests.engine.melodies import cut, tune
from tests.server.page_visitor import HOSTILE, Visitor, page, words, write_music
from tests.server.running import Running, serving

CLIP = wav_bytes(cut(tune(1), 12, 15))
ADMIN_PAGES = ("/catalogue", "/jobs", "/keys")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    write_music(folder / "music")
    with Catalogue.open(folder / "state" / "catalogue", create=True) as catalogue, open_decoder() as decoder:
        enrol(
            [str(folder / "music")],
            catalogue=catalogue,
            decoder=decoder,
            stop=threading.Event(),
            on_progress=lambda *_: None,
        )
    return folder


@pytest.fixture(scope="module")
def running(folder: Path) -> Iterator[Running]:
    with page(folder) as served:
        yield served


@pytest.fixture
def visitor(running: Running) -> Visitor:
    return Visitor(running)


def identify(visitor: Visitor, clip: bytes = CLIP, name: str = "clip.wav") -> requests.Response:
    return settled(visitor, visitor.post("/identify", files={"file": (name, clip)}))


def settled(visitor: Visitor, reply: requests.Response) -> requests.Response:
    for _ in range(10):
        if "Listening…" not in reply.text:
            return reply
        reply = visitor.get(reply.url.removeprefix(visitor.root))
    raise AssertionError("still listening")


def track_path(visitor: Visitor, title: str) -> str:
    found = re.search(r'href="(/catalogue/[^"?]+)"', visitor.get("/catalogue", params={"q": title}).text)
    assert found is not None
    return found[1]


def test_a_recording_is_named_with_where_it_was_heard(visitor: Visitor) -> None:
    reply = identify(visitor)

    assert reply.status_code == 200
    assert "First Tune The Tests · Album · 1999 Certain 99.9 %" in words(reply)
    assert "Matched 0:00–0:15 of your clip, at 0:12 in the track." in words(reply)


def test_music_nobody_knows_is_honestly_not_found(visitor: Visitor) -> None:
    assert words(identify(visitor, wav_bytes(cut(tune(77), 5, 15)))).startswith(
        "Not found Nothing in this catalogue was heard in 0:15 of your recording."
    )


def test_each_track_of_a_longer_recording_is_named_with_its_place(visitor: Visitor) -> None:
    mix = np.concatenate([cut(tune(1), 5, 30), cut(tune(2), 10, 20)])
    said = words(identify(visitor, wav_bytes(mix)))

    assert "First Tune" in said
    assert HOSTILE in said
    assert "Also heard" in said
    assert re.search(r"Matched 0:00–0:(29|30|31) of your clip, at 0:0[56] in the track", said)
    assert re.search(r"Matched 0:(29|30|31)–0:(49|50) of your clip, at 0:(09|10|11) in the track", said)


@pytest.mark.parametrize(
    ("clip", "status", "said"),
    [
        (b"no music", 422, "No sound could be read from this file."),
        (b"", 422, "No sound could be read from this file."),
        (wav_bytes(cut(tune(1), 0, 4)), 422, "That is less than 5 seconds of sound."),
        (b"\0" * (1_048_576 + 1), 413, "This file is too large. 1 MB are the most."),
    ],
)
def test_what_cannot_be_heard_is_said_plainly(tmp_path: Path, clip: bytes, status: int, said: str) -> None:
    with page(tmp_path, upload_mb=1) as served:
        reply = identify(Visitor(served), clip)

    assert reply.status_code == status
    assert words(reply).startswith(said)
    assert list((tmp_path / "state" / "server" / "uploads").iterdir()) == []


def test_the_page_is_never_charged_and_has_no_key(visitor: Visitor, running: Running) -> None:
    identify(visitor)

    assert [account.label for account in running.service.accounts.all()] == ["test"]
    assert running.ask("stat")["credits_spent"] == 0
    assert running.ask("stat", key="page")["success"] is False
    assert "this page 0:15 answered First Tune" in words(visitor.get("/jobs"))


def test_a_result_is_not_the_api_s_nor_the_other_way_round(visitor: Visitor, running: Running) -> None:
    token = identify(visitor).url.rpartition("/")[2]
    other = running.upload(CLIP)["token"]

    assert running.ask("get_result", data={"token": token})["result"] == ErrorText.INVALID_TOKEN
    assert visitor.get(f"/result/{other}").status_code == 404


@pytest.mark.parametrize("path", ["/identify", "/catalogue/upload", "/catalogue/folder", "/keys/add"])
@pytest.mark.parametrize("mark", [None, "", "0" * 64, "ü" * 64])
def test_a_form_from_elsewhere_does_nothing(
    running: Running, visitor: Visitor, path: str, mark: str | None
) -> None:
    visitor.get("/")
    data = {"folder": "/", "confirmed": "yes", **({} if mark is None else {"mark": mark})}
    reply = visitor.bare_post(path, data=data, files={"file": ("x.wav", CLIP)})

    assert reply.status_code == 403
    assert words(reply).startswith("That form did not come from this page")
    assert len(running.service.accounts.all()) == 1


def test_a_mark_is_worth_nothing_in_another_session_or_from_another_site(running: Running) -> None:
    mine, other = Visitor(running), Visitor(running)
    mark = re.search(r'name="mark" value="([0-9a-f]+)"', mine.get("/keys").text)
    assert mark is not None
    other.get("/")

    assert other.bare_post("/keys/add", data={"mark": mark[1]}).status_code == 403
    assert Visitor(running).bare_post("/keys/add", data={"mark": mark[1]}).status_code == 403
    for site in ("cross-site", "same-site"):
        from_there = {"headers": {"Sec-Fetch-Site": site}}
        assert mine.bare_post("/keys/add", data={"mark": mark[1]}, **from_there).status_code == 403


@pytest.mark.parametrize("path", ADMIN_PAGES)
@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "192.0.2.7"},
        {"X-Forwarded-For": "127.0.0.1"},
        {"X-Real-IP": "192.0.2.7"},
        {"Forwarded": "for=192.0.2.7"},
        {"Host": "evil.example"},
        {"Host": "localhost.evil.example:8080"},
        {"Host": "127.0.0.1.evil_.example"},
        {"Host": "evil_.example"},
    ],
)
def test_who_is_elsewhere_is_no_admin(running: Running, path: str, headers: dict[str, str]) -> None:
    reply = Visitor(running, **headers).get(path)

    assert reply.status_code == 403
    assert "This part of the page is for the machine it runs on." in words(reply)
    assert 'href="/catalogue"' not in reply.text


@pytest.mark.parametrize(
    "path", ["/catalogue/x/sound", "/catalogue/x", "/catalogue/x/remove", "/keys/1/revoke"]
)
def test_nothing_of_the_catalogue_or_the_keys_is_open_to_others(running: Running, path: str) -> None:
    elsewhere = Visitor(running, **{"X-Forwarded-For": "192.0.2.7"})
    post = path.endswith(("remove", "revoke"))
    reply = elsewhere.post(path) if post else elsewhere.get(path)

    assert reply.status_code == 403


def test_others_may_have_a_recording_named(running: Running) -> None:
    elsewhere = Visitor(running, **{"X-Forwarded-For": "192.0.2.7"})

    assert words(identify(elsewhere)).startswith("First Tune")
    assert words(elsewhere.get("/health")) == "Health Ready: recordings are being named."


def test_with_a_password_everybody_is_asked_for_it(tmp_path: Path) -> None:
    with page(tmp_path, page_password="correct horse") as served:
        here, there = Visitor(served), Visitor(served, **{"X-Forwarded-For": "192.0.2.7"})
        for visitor in (here, there):
            assert visitor.get("/keys").status_code == 403
            assert visitor.post("/sign-in", data={"password": "battery staple"}).status_code == 403
            before = visitor.get("/").cookies
            assert visitor.post("/sign-in", data={"password": "correct horse"}).status_code == 200
            assert visitor.get("/").cookies == before
            assert visitor.get("/keys").status_code == 200
        refused = there.post("/catalogue/folder", seen="/catalogue", data={"folder": "/"})
        here.post("/sign-out")

        assert words(refused).startswith("Folders can be added only at the machine itself.")
        assert here.get("/keys").status_code == 403
        assert there.get("/keys").status_code == 200


def test_a_session_planted_before_is_worth_nothing_after_signing_in(tmp_path: Path) -> None:
    with page(tmp_path, page_password="correct horse") as served:
        victim = Visitor(served)
        planted = victim.get("/").cookies["earmark_page"]
        victim.post("/sign-in", data={"password": "correct horse"})
        attacker = Visitor(served, Cookie=f"earmark_page={planted}")

        assert attacker.get("/keys").status_code == 403


def test_passwords_cannot_be_tried_at_will(tmp_path: Path) -> None:
    with page(tmp_path, page_password="correct horse") as served:
        visitor = Visitor(served)
        codes = [visitor.post("/sign-in", data={"password": f"{n}"}).status_code for n in range(12)]
        right = visitor.post("/sign-in", data={"password": "correct horse"}).status_code

    assert codes[:10] == [403] * 10
    assert (codes[-1], right) == (429, 429)


@pytest.mark.parametrize(
    "path", ["/", "/catalogue", "/jobs", "/keys", "/health", "/result/x", "/static/page.js"]
)
def test_every_page_forbids_what_it_does_not_need(visitor: Visitor, path: str) -> None:
    reply = visitor.get(path)

    policy = reply.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["x-frame-options"] == "DENY"
    assert not re.search(
        r"<script(?! src=)|<style|\sstyle=|\son\w+=|https?://", reply.text.partition("<svg")[0]
    )


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


@pytest.mark.parametrize(
    ("query", "titles"),
    [("tune first", ["First Tune"]), ("THREE", ["three"]), ("1999", ["First Tune"]), ("nothing such", [])],
)
def test_the_catalogue_is_searched_by_any_words(visitor: Visitor, query: str, titles: list[str]) -> None:
    text = visitor.get("/catalogue", params={"q": query}).text

    assert re.findall(r'<a href="/catalogue/[^"]*"><bdi>([^<]*)', text) == titles


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


def test_a_file_that_browsers_play_is_sent_as_it_is_and_in_parts(visitor: Visitor, folder: Path) -> None:
    path = track_path(visitor, "first") + "/sound"
    original = (folder / "music" / "one.flac").read_bytes()
    whole, part = visitor.get(path), visitor.get(path, headers={"Range": "bytes=100-299"})

    assert (whole.headers["content-type"], whole.content) == ("audio/flac", original)
    assert (part.status_code, part.content) == (206, original[100:300])
    assert whole.headers["x-content-type-options"] == "nosniff"


def test_any_other_file_is_decoded_for_the_listener(visitor: Visitor) -> None:
    path = track_path(visitor, "three") + "/sound"
    whole, part = visitor.get(path), visitor.get(path, headers={"Range": "bytes=44-143"})

    assert whole.headers["content-type"] == "audio/wav"
    assert whole.content[:4] == b"RIFF"
    assert len(whole.content) == pytest.approx(44 + 2 * 40 * RATE_HZ, rel=0.01)
    assert (part.status_code, part.content) == (206, whole.content[44:144])


def _replaced(path: Path) -> None:
    path.unlink()
    path.write_text("a secret")


def _linked(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/passwd")


@pytest.mark.parametrize("change", [_replaced, _linked, Path.unlink])
def test_only_the_very_file_that_was_added_is_played(
    folder: Path, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    with page(tmp_path) as served:
        visitor = Visitor(served)
        upload(visitor, "song.flac", (folder / "music" / "one.flac").read_bytes())
        change(kept(tmp_path)[0])
        path = track_path(visitor, "first")

        assert visitor.get(path + "/sound").status_code == 404
        assert "It cannot be played" in words(visitor.get(path))


def upload(visitor: Visitor, name: str, content: bytes) -> str:
    """Add a file through the page; what the catalogue's page says of it in the end."""
    reply = visitor.post("/catalogue/upload", seen="/catalogue", files={"file": (name, content)})
    return added(visitor, reply)


def added(visitor: Visitor, reply: requests.Response) -> str:
    """What the catalogue's page says when nothing is being added any more."""
    ends = time.monotonic() + 60
    while "This page looks again" in (said := words(reply)):
        assert time.monotonic() < ends, "still adding"
        reply = visitor.get("/catalogue")
    return said


def heard(visitor: Visitor, beginning: str) -> bool:
    """Whether the clip is answered so before long: the workers look at the catalogue once a second."""
    ends = time.monotonic() + 30
    while time.monotonic() < ends:
        if words(identify(visitor)).startswith(beginning):
            return True
    return False


def kept(place: Path) -> list[Path]:
    return [path for path in (place / "state" / "server").rglob("music/*/*") if path.is_file()]


def test_an_uploaded_track_is_recognised_until_it_is_removed(folder: Path, tmp_path: Path) -> None:
    with page(tmp_path) as served:
        visitor = Visitor(served)
        taken = upload(visitor, "../../evil/../song.flac", (folder / "music" / "one.flac").read_bytes())
        again = upload(visitor, "copy.flac", (folder / "music" / "one.flac").read_bytes())
        refused = upload(visitor, "broken.mp3", b"no music")
        [file] = kept(tmp_path)
        before = heard(visitor, "First Tune")
        path = track_path(visitor, "first")
        visitor.post(f"{path}/remove", seen=path)
        left = kept(tmp_path)
        gone = visitor.get(path)
        after = heard(visitor, "Not found")

    assert "song.flac : 1 added, 0 already there, 0 failed." in taken
    assert "copy.flac : 0 added, 1 already there, 0 failed." in again
    assert "broken.mp3 : 0 added, 0 already there, 1 failed." in refused
    assert file.name == "song.flac"
    assert before
    assert (left, gone.status_code) == ([], 404)
    assert after


@pytest.mark.parametrize("name", ["page.html", "list.m3u8", "noending", ".mp3x"])
def test_only_audio_is_taken_into_the_catalogue(visitor: Visitor, folder: Path, name: str) -> None:
    assert "This is no audio file that earmark knows." in upload(visitor, name, b"x" * 100)
    assert kept(folder) == []


def test_a_folder_says_what_it_would_add_before_it_does(folder: Path, tmp_path: Path) -> None:
    with page(tmp_path) as served:
        visitor = Visitor(served)
        first = visitor.post("/catalogue/folder", seen="/catalogue", data={"folder": str(folder / "music")})
        untouched = words(visitor.get("/catalogue"))
        confirmed = {"folder": str(folder / "music"), "confirmed": "yes"}
        done = added(visitor, visitor.post("/catalogue/folder", seen="/catalogue", data=confirmed))

    assert "hold 3 audio files, 3 of which are not in the catalogue." in words(first)
    assert "one.flac" in words(first)
    assert "0 tracks" in untouched
    assert "3 added, 0 already there, 0 failed." in done
    assert (folder / "music" / "one.flac").exists()


@pytest.mark.parametrize(
    "given", ["", "music", "../..", "/no/such/folder", "/etc/passwd", "/\0", "/" + "a" * 5000]
)
def test_what_is_no_folder_is_refused(visitor: Visitor, given: str) -> None:
    reply = visitor.post("/catalogue/folder", seen="/catalogue", data={"folder": given})

    assert reply.status_code == 422
    assert words(reply).startswith("There is no such folder on this machine.")


def test_a_key_made_on_the_page_works_once_shown_and_ends_when_revoked(
    visitor: Visitor, running: Running
) -> None:
    made = visitor.post(
        "/keys/add", seen="/keys", data={"label": "radio", "credits": "3600", "expires": "2099-12-31"}
    )
    key = re.search(r'class="key">([a-z0-9]{32})<', made.text)
    assert key is not None
    stat = running.ask("stat", key=key[1])
    listed = visitor.get("/keys")
    row = listed.text.index("radio")
    revoke = re.search(r'action="(/keys/\d+/revoke)"', listed.text[row:])
    assert revoke is not None
    visitor.post(revoke[1], seen="/keys")

    assert (stat["current_credit_balance"], stat["expiration_date"]) == (3600, "2099-12-31 23:59:59")
    assert key[1] not in listed.text
    assert "radio active 2099-12-31 23:59 3,600 s 0 s" in words(listed)
    assert running.ask("stat", key=key[1])["success"] is False


@pytest.mark.parametrize(
    "data", [{"credits": "-1"}, {"credits": "1e9"}, {"credits": "9" * 11}, {"expires": "soon"}]
)
def test_a_key_that_makes_no_sense_is_not_made(
    visitor: Visitor, running: Running, data: dict[str, str]
) -> None:
    before = len(running.service.accounts.all())

    assert visitor.post("/keys/add", seen="/keys", data=data).status_code == 422
    assert len(running.service.accounts.all()) == before


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
