"""One promise for every recognizer: the same suite over each of them.

To add a recognizer, add a factory to FACTORIES: a context manager that yields a `Subject`.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from pipeline.engine.catalogue import Catalogue
from pipeline.errors import TokenLost
from pipeline.model import Probe, Recognition, Recognizer, Status
from pipeline.recognizers.audiotag import AudioTag
from pipeline.recognizers.embedded import Embedded
from pipeline.retry import Clock, SystemClock, poll
from tests.engine.melodies import cut, entry, tune
from tests.recognizers.conftest import MONKEY, noise
from tests.server.ears import engine
from tests.server.running import serving
from tests.services.audiotag import KEY, AudioTagService, known_by_hash
from tests.services.clock import FakeClock


@dataclass(frozen=True)
class Subject:
    """A recognizer, a probe it knows, and one it does not."""

    recognizer: Recognizer
    known: Probe
    title: str
    unknown: Probe
    clock: Clock
    """The clock by which the recognizer's answers ripen."""


@contextmanager
def audiotag() -> Iterator[Subject]:
    """The client against the scripted service, whose answers take a moment."""
    known = noise(1)
    lookup = known_by_hash({known.sha256: [MONKEY]})
    clock = FakeClock()
    with (
        AudioTagService(lookup, latency_s=3, now=clock.now) as service,
        AudioTag(service.url, KEY) as recognizer,
    ):
        yield Subject(recognizer, known, MONKEY.rows[0].title, noise(2), clock)


@contextmanager
def embedded() -> Iterator[Subject]:
    """The engine in this process, with a catalogue of two tunes."""
    with TemporaryDirectory() as folder, Catalogue.open(Path(folder), create=True) as catalogue:
        catalogue.add([entry(1), entry(2)])
        known, unknown = (Probe(cut(tune(seed), 12, 15)) for seed in (1, 3))
        yield Subject(Embedded(catalogue), known, entry(1).track.title, unknown, FakeClock())


@contextmanager
def self_hosted() -> Iterator[Subject]:
    """The client against our own service over the same two tunes."""
    with TemporaryDirectory() as folder:
        music = Path(folder) / "catalogue"
        with Catalogue.open(music, create=True) as catalogue:
            catalogue.add([entry(1), entry(2)])
        with (
            serving(Path(folder) / "state", functools.partial(engine, music)) as running,
            AudioTag(running.url, running.key) as recognizer,
        ):
            known, unknown = (Probe(cut(tune(seed), 12, 15)) for seed in (1, 3))
            yield Subject(recognizer, known, entry(1).track.title, unknown, SystemClock())


FACTORIES: list[Callable[[], AbstractContextManager[Subject]]] = [audiotag, embedded, self_hosted]


@pytest.fixture(scope="module", params=FACTORIES, ids=lambda factory: factory.__name__)
def subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    with request.param() as built:
        yield built


def settled(subject: Subject, probe: Probe) -> Recognition:
    first = subject.recognizer.identify(probe)
    if first.status is not Status.PENDING:
        return first
    return poll(subject.recognizer.result, first.token, clock=subject.clock)


def test_a_known_probe_is_named(subject: Subject) -> None:
    answer = settled(subject, subject.known)

    assert answer.status is Status.FOUND
    assert answer.matches[0].track.title == subject.title


def test_finding_nothing_is_an_answer(subject: Subject) -> None:
    answer = settled(subject, subject.unknown)

    assert answer.status is Status.NOT_FOUND
    assert answer.matches == ()


def test_matches_come_best_first_with_probabilities_and_places_in_the_probe(subject: Subject) -> None:
    matches = settled(subject, subject.known).matches

    chances = [match.confidence for match in matches]
    assert chances == sorted(chances, reverse=True)
    assert all(0 <= chance <= 1 for chance in chances)
    for match in matches:
        if match.start_s is not None and match.end_s is not None:
            assert 0 <= match.start_s <= match.end_s <= subject.known.length_s + 1


def test_a_pending_answer_has_a_token_and_no_matches(subject: Subject) -> None:
    for probe in (subject.known, subject.unknown):
        first = subject.recognizer.identify(probe)
        assert (first.status is not Status.PENDING) or (first.token and not first.matches)


def test_the_same_probe_gets_the_same_answer_from_many_threads(subject: Subject) -> None:
    probes = [subject.known, subject.unknown] * 4
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda probe: settled(subject, probe), probes))

    assert [answer.status for answer in answers] == [Status.FOUND, Status.NOT_FOUND] * 4
    assert len({answer.matches[0].track for answer in answers[::2]}) == 1


def test_only_a_paid_recognizer_charges_and_no_more_than_the_probe_is_long(subject: Subject) -> None:
    charged_s = subject.recognizer.identify(subject.unknown).charged_s

    assert 0 <= charged_s <= (subject.unknown.length_s if subject.recognizer.paid else 0)


def test_an_unknown_token_is_lost_not_answered(subject: Subject) -> None:
    with pytest.raises(TokenLost):
        subject.recognizer.result("0" * 32)


def test_what_is_kept_for_the_ledger_is_json(subject: Subject) -> None:
    answer = settled(subject, subject.known)

    json.dumps([answer.raw, [match.raw for match in answer.matches]], allow_nan=False)


def test_name_and_edition_are_words_that_stay(subject: Subject) -> None:
    recognizer = subject.recognizer

    assert recognizer.name
    assert (recognizer.name, recognizer.edition) == (recognizer.name, recognizer.edition)
