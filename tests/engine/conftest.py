"""A catalogue of three tunes, made once, and copies of it to do with as one likes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline.engine.catalogue import Catalogue
from tests.engine.melodies import entry


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalogue folder of tunes 1, 2 and 3, to be left as it is."""
    folder = tmp_path_factory.mktemp("three")
    with Catalogue.open(folder, create=True) as catalogue:
        catalogue.add(entry(seed) for seed in (1, 2, 3))
    return folder


@pytest.fixture
def three(filled: Path, tmp_path: Path) -> Path:
    """A catalogue folder of tunes 1, 2 and 3, to do with as one likes."""
    return Path(shutil.copytree(filled, tmp_path / "catalogue"))
