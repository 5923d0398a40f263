"""What people are told of a recording they bring to the page."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from pipeline.audio import wav_bytes
from pipeline.wire.audiotag_errors import ErrorText
from tests.engine.melodies import cut, tune
from tests.server.page_visitor import (
    CLIP,
    HOSTILE,
    Visitor,
    identify,
    page,
    words,
)
from tests.server.running import Running


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


def test_others_may_have_a_recording_named(running: Running) -> None:
    elsewhere = Visitor(running, **{"X-Forwarded-For": "192.0.2.7"})

    assert words(identify(elsewhere)).startswith("First Tune")
    assert words(elsewhere.get("/health")) == "Health Ready: recordings are being named."
