"""The catalogue on the page: search, play, add by upload or by folder, remove."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.model import RATE_HZ
from tests.server.page_visitor import (
    Visitor,
    added,
    identify,
    page,
    track_path,
    upload,
    words,
)


@pytest.mark.parametrize(
    ("query", "titles"),
    [("tune first", ["First Tune"]), ("THREE", ["three"]), ("1999", ["First Tune"]), ("nothing such", [])],
)
def test_the_catalogue_is_searched_by_any_words(visitor: Visitor, query: str, titles: list[str]) -> None:
    text = visitor.get("/catalogue", params={"q": query}).text

    assert re.findall(r'<a href="/catalogue/[^"]*"><bdi>([^<]*)', text) == titles


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


def test_what_a_killed_process_had_not_yet_added_is_deleted_and_what_it_had_is_kept(
    folder: Path, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    with page(tmp_path) as served:
        upload(Visitor(served), "song.flac", (folder / "music" / "one.flac").read_bytes())
    music = state / "server" / "music"
    orphan = music / "0123456789abcdef" / "half.flac"
    orphan.parent.mkdir()
    orphan.write_bytes(b"half an upload")
    spooled = state / "server" / "uploads" / "half.mp3"
    spooled.write_bytes(b"less than half")
    # The folder may have been moved meanwhile: what is needed is known by its own name.
    moved = tmp_path / "moved"
    moved.mkdir()
    state.rename(moved / "state")
    with page(moved) as served:
        title = words(Visitor(served).get("/catalogue"))
        left = [path.name for path in kept(moved)]
        spool = list((moved / "state" / "server" / "uploads").iterdir())

    assert "First Tune" in title
    assert (left, spool) == (["song.flac"], [])
