"""Who may see what on the page, and forms that are the page's own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.server.page_visitor import (
    CLIP,
    Visitor,
    page,
    words,
)
from tests.server.running import Running

ADMIN_PAGES = ("/catalogue", "/jobs", "/keys")


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
