"""Recognizers for the service's workers: what they hear is decided by the samples, so the tests can script it."""

from __future__ import annotations

import os
import time
from pathlib import Path

from pipeline.errors import StorageError
from pipeline.model import Match, Probe, Recognition, Status, Track
from pipeline.server.worker import Ear
from tests.recognizers.conftest import noise

MONKEY = Track("Hello Mr. Monkey", "Arabesque", "Grand Collection", 2001, "monkey")
REISSUE = Track("Hello Mr. Monkey", "Arabesque", "All Stars Disco (3 & 4)", None, "reissue")

KNOWN, UNKNOWN, DEADLY, SLOW, BUGGY = (noise(seed) for seed in (1, 2, 3, 4, 5))
"""Found, not found, the death of its worker, an answer after a second, a bug."""


class Scripted:
    """A recognizer that does as the probe says."""

    name = "scripted"
    paid = False
    edition = "1"

    def identify(self, probe: Probe) -> Recognition:
        if probe.sha256 == DEADLY.sha256:
            os._exit(9)
        if probe.sha256 == BUGGY.sha256:
            raise RuntimeError("a bug")
        if probe.sha256 == SLOW.sha256:
            time.sleep(1.0)
        if probe.sha256 != KNOWN.sha256:
            return Recognition(Status.NOT_FOUND)
        match = Match(MONKEY, 0.99, start_s=0.0, end_s=probe.length_s, also=(REISSUE,))
        return Recognition(Status.FOUND, matches=(match,))

    def result(self, token: str) -> Recognition:
        raise NotImplementedError

    def still_names(self, track_id: str) -> bool:
        raise NotImplementedError


def scripted() -> Ear:
    return Ear(Scripted(), lambda: None)


def deaf() -> Ear:
    """An engine that cannot be opened."""
    raise StorageError("the catalogue is damaged")


def deaf_after(folder: Path) -> Ear:
    """An engine that can be opened once."""
    (folder / "opened").mkdir()
    return scripted()


def engine(folder: Path) -> Ear:
    """The real engine over a catalogue's folder."""
    from pipeline.engine.catalogue import Catalogue
    from pipeline.recognizers.embedded import Embedded

    catalogue = Catalogue.open(folder)
    return Ear(Embedded(catalogue), catalogue.refresh)
