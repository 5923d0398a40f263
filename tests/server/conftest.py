"""Services that serve for as long as the tests need them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.audio import open_decoder
from pipeline.batch.enrol import enrol
from pipeline.engine.catalogue import Catalogue
from tests.server.page_visitor import Visitor, page, write_music
from tests.server.running import Running, serving
from tests.server.subjects import Subject, ours, scripted


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One service for all tests that only talk to it."""
    with serving(tmp_path_factory.mktemp("state") / "s") as running:
        yield running


@pytest.fixture(scope="module", params=[ours, scripted], ids=lambda factory: factory.__name__)
def subject(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subject]:
    with request.param(tmp_path_factory.mktemp("subject")) as built:
        yield built


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Music, and a state folder whose catalogue knows it."""
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
    """A service with its page over that catalogue."""
    with page(folder) as served:
        yield served


@pytest.fixture
def visitor(running: Running) -> Visitor:
    return Visitor(running)
