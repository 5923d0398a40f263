"""A scripted AudioTag service and a client of it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from pipeline.model import RATE_HZ, Pcm, Probe
from pipeline.recognizers.audiotag import AudioTag
from pipeline.wire.audiotag import Candidate, Row
from tests.services.audiotag import KEY, AudioTagService

MONKEY = Candidate(
    rows=(Row("Hello Mr. Monkey", "Arabesque", "Grand Collection", 2001),),
    score=52,
    span_s=(0, 15),
    aid=4711,
)


def noise(seed: int, length_s: float = 15.0) -> Probe:
    """A probe of its own for every seed."""
    pcm: Pcm = np.random.default_rng(seed).integers(-9000, 9000, round(length_s * RATE_HZ)).astype(np.int16)
    return Probe(pcm)


@pytest.fixture
def service() -> Iterator[AudioTagService]:
    """A service that knows every probe as the same song."""
    with AudioTagService(lambda _: [MONKEY]) as running:
        yield running


@pytest.fixture
def client(service: AudioTagService) -> Iterator[AudioTag]:
    with AudioTag(service.url, KEY, connect_s=5, upload_s=5, answer_s=5) as recognizer:
        yield recognizer
