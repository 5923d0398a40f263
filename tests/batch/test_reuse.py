"""Audio that was paid for is known again in another encoding, and taken for nothing else."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.batch.ask import Asker, Patience, PutOff, Unanswered
from pipeline.batch.budget import Budget
from pipeline.batch.reuse import Reuse, likeness, make_print
from pipeline.batch.tally import Tally
from pipeline.errors import KeyRefused, SegmentRefused, UploadInDoubt
from pipeline.ledger import Ledger, UploadState
from pipeline.model import RATE_HZ, Pcm, Probe, Recognition, SourceFile, Status
from tests.batch.test_ask import FOUND, InstantClock, Service
from tests.cli.conftest import melody

LENGTH = 15 * RATE_HZ


def music(seed: int, seconds: float = 15.0) -> Pcm:
    """Four voices and some breath: about as much to hear as in a song."""
    voices = sum(melody(10 * seed + voice, seconds).astype(float) for voice in range(4)) / 4
    breath = np.random.default_rng(seed).normal(0, 200, len(voices))
    return (voices + breath).astype(np.int16)


def coded(pcm: Pcm, seed: int = 0, noise: float = 60.0) -> Pcm:
    """The same to the ear, other in every sample."""
    rest = np.random.default_rng(1000 + seed).normal(0, noise, len(pcm))
    return np.clip(pcm * 0.8 + rest, -32768, 32767).astype(np.int16)


@pytest.fixture
def ledger(tmp_path: Path):
    with Ledger.open(tmp_path) as opened:
        opened.begin_run("m")
        opened.admit([SourceFile(b"/a", "a", 1, 1)])
        yield opened


@pytest.fixture
def asker(ledger: Ledger) -> Callable[..., Asker]:
    def make(*, enabled: bool = True, tally: Tally | None = None, run_id: int = 1) -> Asker:
        clock = InstantClock()
        return Asker(
            ledger.uploads,
            run_id,
            budget=Budget(None),
            patience=Patience(clock, clock),
            stop=threading.Event(),
            tally=tally or Tally(),
            reuse=Reuse(ledger.prints, ledger.uploads, enabled=enabled),
        )

    return make


def alike(first: Pcm, second: Pcm) -> bool:
    found = likeness(make_print(Probe(first)), make_print(Probe(second)))
    back = likeness(make_print(Probe(second)), make_print(Probe(first)))
    assert (found is not None and found.same) is (back is not None and back.same)
    return found is not None and found.same


def test_another_encoding_is_the_same_audio():
    assert alike(music(1), coded(music(1)))


@pytest.mark.parametrize("later_s", [0.01, 0.2, 0.5, 1.3])
def test_a_cut_that_lies_a_little_later_is_the_same_stretch(later_s: float):
    whole = music(1, 20.0)
    later = round(later_s * RATE_HZ)
    assert alike(whole[:LENGTH], coded(whole[later : later + LENGTH]))


@pytest.mark.parametrize("later_s", [1.8, 3.0])
def test_a_cut_that_lies_further_away_is_another_stretch(later_s: float):
    whole = music(1, 20.0)
    later = round(later_s * RATE_HZ)
    assert not alike(whole[:LENGTH], coded(whole[later : later + LENGTH]))


def test_a_part_is_not_the_whole():
    whole = music(1, 20.0)
    assert alike(whole[:LENGTH], whole[: round(14.2 * RATE_HZ)])
    assert not alike(whole[:LENGTH], whole[: round(13 * RATE_HZ)])
    assert not alike(whole[:LENGTH], whole)


def test_other_music_is_other_audio():
    assert not alike(music(1), music(2))


def test_two_recordings_of_a_humming_room_are_not_one():
    hum = 800 * np.sin(np.arange(LENGTH) * 2 * np.pi * 100 / RATE_HZ)
    rooms = [(hum + np.random.default_rng(seed).normal(0, 100, LENGTH)).astype(np.int16) for seed in range(2)]
    assert not alike(*rooms)


def test_three_seconds_of_something_else_make_it_another_version():
    edited = music(1).copy()
    edited[6 * RATE_HZ : 9 * RATE_HZ] = music(2)[: 3 * RATE_HZ]
    assert not alike(music(1), edited)


def test_a_second_voice_as_loud_makes_it_another_version():
    assert not alike(music(1), ((music(1).astype(int) + music(2)) // 2).astype(np.int16))


def test_another_speed_is_another_version():
    there = np.arange(LENGTH) * 1.02
    faster = np.interp(there, np.arange(20 * RATE_HZ), music(1, 20.0)).astype(np.int16)
    assert not alike(music(1, 20.0)[:LENGTH], faster)


@pytest.mark.parametrize("pcm", [np.zeros(LENGTH, np.int16), np.zeros(0, np.int16)])
def test_silence_is_like_nothing(pcm: Pcm):
    assert not alike(pcm, pcm)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, RATE_HZ // 2), st.floats(0.05, 1.0))
def test_loudness_and_a_shift_change_nothing_and_no_two_tunes_are_alike(
    one: int, other: int, shift: int, gain: float
):
    whole = music(one, 16.0)
    shifted = (whole[shift : shift + LENGTH] * gain).astype(np.int16)
    assert alike(whole[:LENGTH], shifted)
    assert alike(music(other), whole[:LENGTH]) is (one == other)


# ---- asking


def test_another_encoding_is_bought_once_and_counted(ledger: Ledger, asker: Callable[..., Asker]):
    service, tally = Service(), Tally()
    asker(tally=tally).ask(service, Probe(music(1)), 1)
    for seed in range(3):
        answer = asker(tally=tally).ask(service, Probe(coded(music(1), seed)), 1)
        assert answer.matches == FOUND.matches
    assert service.uploads == 1
    counts = tally.now()
    assert (counts.segments_sent, counts.segments_reused, counts.segments_alike) == (1, 3, 3)
    # From now on it is known by its hash.
    assert ledger.prints.same_as(Probe(coded(music(1), 2)).sha256) == [Probe(music(1)).sha256]


def test_not_found_is_taken_over_too(asker: Callable[..., Asker]):
    service = Service(results=(Recognition(Status.NOT_FOUND, "t1"),))
    asker().ask(service, Probe(music(1)), 1)
    assert asker().ask(service, Probe(coded(music(1))), 1).status is Status.NOT_FOUND
    assert service.uploads == 1


def test_switched_off_it_pays_for_every_encoding_but_never_for_equal_samples(asker: Callable[..., Asker]):
    service = Service()
    for pcm in (music(1), coded(music(1)), music(1), coded(music(1))):
        asker(enabled=False).ask(service, Probe(pcm), 1)
    assert service.uploads == 2
    # What was bought meanwhile is remembered.
    asker().ask(service, Probe(coded(music(1), 9)), 1)
    assert service.uploads == 2


def test_another_service_is_asked_for_itself(asker: Callable[..., Asker]):
    service, other = Service(), Service()
    other.name = "https://music.example.org/api"
    asker().ask(service, Probe(music(1)), 1)
    asker().ask(other, Probe(coded(music(1))), 1)
    assert (service.uploads, other.uploads) == (1, 1)


def test_a_token_of_a_killed_run_is_collected_for_another_encoding(
    ledger: Ledger, asker: Callable[..., Asker]
):
    first = Probe(music(1))
    upload = ledger.uploads.intend(1, 1, "audiotag", first, make_print(first))
    ledger.uploads.sent(upload, "old", 15.0)
    service = Service()
    assert asker().ask(service, Probe(coded(music(1))), 1).status is Status.FOUND
    assert service.uploads == 0
    (settled,) = ledger.uploads.of_audio(first.sha256, "audiotag")
    assert settled.state is UploadState.ANSWERED


def test_what_may_have_been_charged_is_not_sent_again_as_another_encoding(asker: Callable[..., Asker]):
    service = Service(UploadInDoubt("the connection broke"))
    for pcm in (music(1), coded(music(1))):
        with pytest.raises(PutOff):
            asker().ask(service, Probe(pcm), 1)
    assert service.uploads == 1


def test_a_file_the_service_cannot_read_says_nothing_about_another_encoding(asker: Callable[..., Asker]):
    service = Service(SegmentRefused("could not process the file"))
    with pytest.raises(Unanswered):
        asker().ask(service, Probe(music(1)), 1)
    assert asker().ask(service, Probe(coded(music(1))), 1).status is Status.FOUND


def test_encodings_asked_at_the_same_moment_are_bought_once(asker: Callable[..., Asker]):
    service, shared = Service(), asker()
    answers: list[Recognition] = []
    threads = [
        threading.Thread(
            target=lambda pcm: answers.append(shared.ask(service, Probe(pcm), 1)),
            args=(coded(music(1), seed),),
        )
        for seed in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert [answer.matches for answer in answers] == [FOUND.matches] * 6
    assert service.uploads == 1


def test_the_encoding_that_got_an_answer_is_found_beside_those_that_got_none(
    ledger: Ledger, asker: Callable[..., Asker]
):
    service = Service(KeyRefused("expired"))
    with pytest.raises(KeyRefused):
        asker().ask(service, Probe(music(1)), 1)
    asker().ask(service, Probe(coded(music(1), 1)), 1)
    # More like the first, which was never sent, than like the second.
    asker().ask(service, Probe(coded(music(1), 2, noise=10.0)), 1)
    assert service.uploads == 2


def test_prints_of_another_engine_are_not_compared(ledger: Ledger):
    first, reuse = Probe(music(1)), Reuse(ledger.prints, ledger.uploads)
    ledger.uploads.intend(1, 1, "audiotag", first, replace(make_print(first), format="peaks 0"))
    assert reuse.alike("audiotag", Probe(coded(music(1)))) == []
    other = Probe(music(2))
    ledger.uploads.intend(1, 1, "audiotag", other, make_print(other))
    assert [upload.sha256 for upload in reuse.alike("audiotag", Probe(coded(music(2))))] == [other.sha256]
