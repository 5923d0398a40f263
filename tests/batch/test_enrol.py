"""Known music becomes part of the catalogue: once, with its tags, and whatever is broken costs only itself."""

import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pipeline.audio import Decoder, encode, open_decoder
from pipeline.batch.enrol import EnrolResult, enrol
from pipeline.engine.catalogue import Catalogue
from pipeline.model import RATE_HZ, Pcm, Tags
from tests.engine.melodies import tune


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with open_decoder(workers=2) as opened:
        yield opened


@pytest.fixture(scope="module")
def tunes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tunes")
    for seed, name in ((1, "one.flac"), (2, "two.mp3"), (3, "deep/three.ogg")):
        (folder / name).parent.mkdir(exist_ok=True)
        tags = Tags(f"Tune {seed}", "The Tests", "Album", 1999) if seed < 3 else Tags()
        encode(folder / name, tune(seed).astype(np.float32) / 32768, RATE_HZ, tags=tags)
    return folder


@pytest.fixture
def music(tunes: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tunes, tmp_path / "music"))


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[Catalogue]:
    with Catalogue.open(tmp_path / "catalogue", create=True) as opened:
        yield opened


class Watched:
    """A decoder that counts what is decoded whole, and does as told meanwhile."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self.decoded: list[str] = []
        self.meanwhile = lambda: None

    def __getattr__(self, name: str) -> object:
        return getattr(self._decoder, name)

    def whole(self, path: str) -> Iterator[Pcm]:
        self.decoded.append(Path(path).name)
        self.meanwhile()
        return self._decoder.whole(path)


def enrolled(
    music: Path,
    catalogue: Catalogue,
    decoder: object,
    *,
    stop: threading.Event | None = None,
    workers: int = 2,
) -> tuple[EnrolResult, list[tuple[int, int]]]:
    told: list[tuple[int, int]] = []
    result = enrol(
        [os.fsencode(music)],
        catalogue=catalogue,
        decoder=decoder,  # type: ignore[arg-type]
        workers=workers,
        stop=stop or threading.Event(),
        on_progress=lambda done, total: told.append((done, total)),
    )
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("decode ")]
    return result, told


def test_every_file_is_added_under_the_name_in_its_tags_or_of_its_file(
    music: Path, catalogue: Catalogue, decoder: Decoder
) -> None:
    result, told = enrolled(music, catalogue, decoder)
    assert (result.added, result.already_there, result.failed, result.interrupted) == (3, 0, [], False)
    assert {(track.title, track.artist, track.year) for track in catalogue.tracks()} == {
        ("Tune 1", "The Tests", 1999),
        ("Tune 2", "The Tests", 1999),
        ("three", "", None),
    }
    assert told[0] == (0, 3)
    assert told[-1] == (3, 3)


def test_files_that_are_there_already_are_not_decoded_and_copies_are_not_added_again(
    music: Path, catalogue: Catalogue, decoder: Decoder
) -> None:
    enrolled(music, catalogue, decoder)
    shutil.copy(music / "one.flac", music / "copy of one.flac")
    watched = Watched(decoder)
    result, told = enrolled(music, catalogue, watched)
    assert watched.decoded == ["copy of one.flac"]
    assert (result.added, result.already_there) == (0, 4)
    assert told[0] == (3, 4)
    assert len(catalogue) == 3


def test_what_cannot_be_heard_is_named_with_its_reason_and_stops_nothing(
    music: Path, catalogue: Catalogue, decoder: Decoder
) -> None:
    (music / "letter.mp3").write_text("this is no music. " * 99)
    (music / "empty.wav").touch()
    encode(music / "silent.flac", np.zeros(RATE_HZ * 20, np.float32), RATE_HZ, tags=Tags())
    result, _ = enrolled(music, catalogue, decoder)
    assert result.added == 3
    reasons = dict(result.failed)
    assert reasons.keys() == {"letter.mp3", "empty.wav", "silent.flac"}
    assert "silence" in reasons["silent.flac"]
    assert all(reason and "\n" not in reason for reason in reasons.values())


def test_a_stop_keeps_what_was_added_and_the_next_time_adds_the_rest(
    music: Path, catalogue: Catalogue, decoder: Decoder
) -> None:
    stop, watched = threading.Event(), Watched(decoder)
    watched.meanwhile = lambda: stop.set() if len(watched.decoded) == 2 else None
    result, _ = enrolled(music, catalogue, watched, stop=stop, workers=1)
    assert result.interrupted
    assert result.added == len(catalogue) < 3
    again, _ = enrolled(music, catalogue, decoder)
    assert again.added == 3 - result.added
    assert len(catalogue) == 3


def test_a_bug_while_decoding_is_told_and_no_thread_is_left_behind(
    music: Path, catalogue: Catalogue, decoder: Decoder
) -> None:
    watched = Watched(decoder)

    def bug() -> None:
        raise ZeroDivisionError("bug")

    watched.meanwhile = bug
    with pytest.raises(ZeroDivisionError):
        enrolled(music, catalogue, watched)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("decode ")]
    assert len(catalogue) == 0
