"""The embedded recognizer: the catalogue's hits in the words of the report."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.engine.catalogue import Catalogue
from pipeline.engine.tracks import Entry, KnownTrack
from pipeline.errors import TokenLost
from pipeline.model import Probe, Status, Track
from pipeline.recognizers.embedded import Embedded
from tests.engine.melodies import cut, entry, noisy, tune

SAMPLER = KnownTrack("sampler-7", "Tune 1", "Numpy", "A Sampler", 2024)


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    made = Catalogue.open(tmp_path, create=True)
    made.add([entry(1), entry(2), Entry(SAMPLER, [noisy(tune(1), 20)])])
    return made


def test_a_known_probe_is_named_with_its_place_and_its_other_names(catalogue: Catalogue) -> None:
    answer = Embedded(catalogue).identify(Probe(cut(tune(1), 10, 15)))

    assert answer.status is Status.FOUND
    (match,) = answer.matches
    assert {match.track, *match.also} == {
        Track("Tune 1", "Numpy", "", None, "tune-1"),
        Track("Tune 1", "Numpy", "A Sampler", 2024, "sampler-7"),
    }
    assert 0.95 < match.confidence <= 1
    assert (match.start_s, match.end_s) == (0, 15)
    assert match.track_start_s == pytest.approx(10, abs=0.09)
    assert match.raw_score is None
    assert match.raw["tempo"] == match.raw["pitch"] == 1


@pytest.mark.parametrize(
    "pcm",
    [cut(tune(77), 10, 15), np.zeros(80_000, np.int16), np.zeros(0, np.int16), tune(1)[:4000]],
    ids=["unknown music", "silence", "nothing", "half a second"],
)
def test_what_is_not_known_is_not_found(catalogue: Catalogue, pcm: np.ndarray) -> None:
    answer = Embedded(catalogue).identify(Probe(pcm))

    assert answer.status is Status.NOT_FOUND
    assert answer.matches == ()
    assert answer.charged_s == 0


def test_the_edition_changes_with_the_catalogue(catalogue: Catalogue) -> None:
    recognizer = Embedded(catalogue)
    first = recognizer.edition
    catalogue.add([entry(3)])
    second = recognizer.edition
    catalogue.remove(["tune-3"])

    assert len({first, second, recognizer.edition}) == 3


def test_an_earlier_answer_stands_while_the_catalogue_holds_its_track(catalogue: Catalogue) -> None:
    recognizer = Embedded(catalogue)
    catalogue.remove(["tune-2"])

    assert recognizer.still_names("tune-1")
    assert not recognizer.still_names("tune-2")


def test_no_token_was_ever_given(catalogue: Catalogue) -> None:
    with pytest.raises(TokenLost, match="the catalogue gave no token 'abc'; it answers at once"):
        Embedded(catalogue).result("abc")
