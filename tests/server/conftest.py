"""Services that serve for as long as the tests need them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

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
