"""Jobs, keys and health on the page."""

from __future__ import annotations

import re
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from pipeline.audio import wav_bytes
from tests.engine.melodies import cut, tune
from tests.server.page_visitor import (
    CLIP,
    Visitor,
    identify,
    page,
    words,
)
from tests.server.running import Running


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


def written_jobs(database: Path, count: int) -> None:
    """Answered jobs, as many, each named for its number."""
    reply = '{{"data":[{{"tracks":[["Job {}","","",0]],"confidence":100,"time":"0 - 15"}}]}}'
    place = '[{"track_id":"t","confidence":0.9,"start_s":0,"end_s":15,"track_start_s":null}]'
    with closing(sqlite3.connect(database)) as raw, raw:
        [key_id] = raw.execute("SELECT min(key_id) FROM keys").fetchone()
        raw.executemany(
            "INSERT INTO jobs (token, key_id, created_at, start_s, length_s, charged_free_s, charged_credits, "
            "state, reply, places) VALUES (?, ?, ?, 0, 15, 0, 15, 'answered', ?, ?)",
            [(f"{n:032x}", key_id, time.time(), reply.format(n), place) for n in range(count)],
        )


def test_thousands_of_jobs_are_shown_page_by_page(tmp_path: Path) -> None:
    with page(tmp_path) as served:
        written_jobs(tmp_path / "state" / "server.sqlite", 5_000)
        visitor = Visitor(served)
        began = time.monotonic()
        first, last = visitor.get("/jobs"), visitor.get("/jobs", params={"page": 50})
        took_s = time.monotonic() - began
        beyond = visitor.get("/jobs", params={"page": 10**9})

    assert "5,000 jobs of the last five minutes, newest first, page 1 of 50." in words(first)
    assert re.findall(r"<bdi>Job (\d+)</bdi>", first.text) == [str(n) for n in range(4999, 4899, -1)]
    assert re.findall(r"<bdi>Job (\d+)</bdi>", last.text) == [str(n) for n in range(99, -1, -1)]
    assert ('rel="next"' in first.text, 'rel="prev"' in first.text) == (True, False)
    assert ('rel="next"' in last.text, 'rel="prev"' in last.text) == (False, True)
    assert len(first.content) < 200_000
    assert took_s < 10
    assert (beyond.status_code, "None." in words(beyond)) == (200, True)


def test_the_page_answers_while_many_people_and_programs_ask(running: Running) -> None:
    clip = wav_bytes(cut(tune(2), 3, 15))

    def person(number: int) -> set[str]:
        visitor = Visitor(running)
        seen = {
            str(visitor.get(path).status_code) for path in ("/", "/health", "/catalogue", "/jobs", "/keys")
        }
        named = identify(visitor, CLIP if number % 2 else clip)
        return seen | {re.sub(r" .*", "", words(named))}

    def program(_: int) -> set[str]:
        return {str(running.result(running.upload(CLIP)["token"])["result"])}

    with ThreadPoolExecutor(24) as threads:
        people = [threads.submit(person, number) for number in range(12)]
        programs = [threads.submit(program, number) for number in range(24)]
        outcomes = set().union(*(future.result(120) for future in (*people, *programs)))

    assert outcomes == {"200", "First", "<script>alert(1)</script>", "found"}
