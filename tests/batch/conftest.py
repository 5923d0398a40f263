"""A small folder of music, a scripted service, and runs over them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.audio import Decoder, open_decoder
from pipeline.model import Tags
from tests.batch.runner import Runner
from tests.music import PITCHES_HZ, UNKNOWN_HZ, named, song, write
from tests.services.audiotag import AudioTagService


@pytest.fixture(scope="session")
def decoder() -> Iterator[Decoder]:
    with open_decoder(workers=2) as opened:
        yield opened


@pytest.fixture(scope="session")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small folder of music, written once; tests copy what they change."""
    folder = tmp_path_factory.mktemp("songs")
    write(folder / "a.mp3", song(PITCHES_HZ["Anna"], 70), tags=Tags("Wrong", "Nobody"))
    write(folder / "b.ogg", song(PITCHES_HZ["Berta"], 70))
    write(folder / "unknown.flac", song(UNKNOWN_HZ, 70))
    return folder


@pytest.fixture
def music(songs: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(songs, tmp_path / "music"))


@pytest.fixture
def service() -> Iterator[AudioTagService]:
    with AudioTagService(named) as running:
        yield running


@pytest.fixture
def run(
    tmp_path: Path, service: AudioTagService, decoder: Decoder, monkeypatch: pytest.MonkeyPatch
) -> Runner:
    # The scripted service books at once.
    monkeypatch.setattr("pipeline.batch.doubt.BETWEEN_LOOKS_S", 0.01)
    return Runner(tmp_path / "state", service, decoder)
