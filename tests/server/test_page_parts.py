"""The page's small parts: names of files, times, words for confidence."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.audio import Decoder, open_decoder
from pipeline.engine.catalogue import Catalogue
from pipeline.model import Pcm
from pipeline.server.page.adding import MOST_NAME_BYTES, Adding, safe_name
from pipeline.server.page.answers import answer_of, clock
from pipeline.server.page.shelf import Shelf
from pipeline.server.rows import Record, State
from tests.server.page_visitor import write_music

ROW = '["Title","Artist","Album",0]'


@given(st.text(max_size=400))
def test_any_name_becomes_a_name_and_nothing_else(filename: str) -> None:
    name = safe_name(filename)

    assert Path(name).name == name not in {"", ".", ".."}
    assert len(os.fsencode(name)) <= MOST_NAME_BYTES
    assert name.isprintable()


@pytest.mark.parametrize(
    ("given_name", "name"),
    [
        ("song.flac", "song.flac"),
        ("Ärger im Büro.mp3", "Ärger im Büro.mp3"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Music\\song.mp3", "song.mp3"),
        ("..", "upload"),
        ("", "upload"),
        ("a" * 300 + ".flac", "a" * 115 + ".flac"),
    ],
)
def test_an_honest_name_stays_as_it_is(given_name: str, name: str) -> None:
    assert safe_name(given_name) == name


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0:00"), (7.4, "0:07"), (59.6, "1:00"), (750, "12:30"), (3723, "1:02:03"), (-2, "0:00")],
)
def test_times_read_as_on_a_player(seconds: float, shown: str) -> None:
    assert clock(seconds) == shown


@pytest.mark.parametrize(
    ("confidence", "sure", "percent"),
    [
        (0.99999, "Certain", "99.9 %"),
        (0.96, "Almost certain", "96.0 %"),
        (0.9, "Very likely", "90.0 %"),
        (0.75, "Likely", "75.0 %"),
        (0.6, "Possible", "60.0 %"),
    ],
)
def test_confidence_is_said_in_words_and_never_whole(confidence: float, sure: str, percent: str) -> None:
    places = f'[{{"track_id":"t","confidence":{confidence},"start_s":1,"end_s":9,"track_start_s":null}}]'
    record = Record("t", 1, 0.0, 0, 15, State.ANSWERED, f'{{"data":[{{"tracks":[{ROW}]}}]}}', places)
    [found] = answer_of(record).found

    assert (found.sure, found.percent, found.name.year) == (sure, percent, None)


class Slow:
    """A decoder that decodes when it is told to."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self.begun, self.told = threading.Event(), threading.Event()

    def __getattr__(self, name: str) -> object:
        return getattr(self._decoder, name)

    def whole(self, path: str) -> Iterator[Pcm]:
        self.begun.set()
        assert self.told.wait(60)
        return self._decoder.whole(path)


def test_one_thing_is_added_at_a_time_and_stopping_keeps_what_was(tmp_path: Path) -> None:
    write_music(tmp_path / "music")
    (tmp_path / "upload").write_bytes(b"x")
    shelf = Shelf(functools.partial(Catalogue.open, tmp_path / "catalogue", create=True), tmp_path / "kept")
    with open_decoder(workers=1) as decoder:
        slow = Slow(decoder)
        adding = Adding(shelf, slow)  # type: ignore[arg-type]
        began = adding.add_folder(tmp_path / "music")
        assert slow.begun.wait(60)
        meanwhile = adding.add_folder(tmp_path / "music"), adding.add_upload(tmp_path / "upload", "a.mp3")
        under_way = adding.current
        closing = threading.Thread(target=adding.close)
        closing.start()
        slow.told.set()
        closing.join(60)
        after = adding.add_folder(tmp_path / "music")

    assert (began, meanwhile, after) == (True, (False, False), False)
    assert under_way is not None
    assert (under_way.done, under_way.total, under_way.finished) == (0, 3, False)
    assert adding.current is not None
    assert adding.current.finished
    assert adding.current.error == "earmark was stopped meanwhile"
    assert len(shelf.catalogue().tracks()) == adding.current.added < 3
    assert not any((tmp_path / "kept").iterdir())
