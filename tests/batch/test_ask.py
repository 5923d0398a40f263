"""A paid service is asked at most once about the same audio."""

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from pipeline.batch.ask import Asker, Patience, PutOff, Stopped, Unanswered
from pipeline.batch.budget import Budget
from pipeline.batch.tally import Tally
from pipeline.errors import (
    BadReply,
    CapReached,
    KeyRefused,
    SegmentRefused,
    ServiceBusy,
    ServiceDown,
    ServiceUnreachable,
    TokenLost,
    UploadInDoubt,
)
from pipeline.ledger import Ledger, UploadState
from pipeline.model import RATE_HZ, Match, Probe, Recognition, SourceFile, Status, Track


class InstantClock:
    """Time that passes only when somebody waits."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def wait(self, seconds: float) -> bool:
        self.time += max(0.0, seconds)
        return False


def probe(seed: int = 1) -> Probe:
    noise = np.random.default_rng(seed).normal(0, 3000, 15 * RATE_HZ)
    return Probe(noise.astype(np.int16))


FOUND = Recognition(Status.FOUND, "t1", (Match(Track("Song", "Band"), 0.9, 50.0),), raw="{}")


class Service:
    """A paid recognizer that does as told and counts what it took."""

    name = "audiotag"
    paid = True
    edition = ""

    def __init__(
        self, *replies: Recognition | Exception, results: tuple[Recognition | Exception, ...] = ()
    ) -> None:
        self.uploads = 0
        self.questions = 0
        self._replies = list(replies)
        self._results = list(results)

    def identify(self, probe: Probe) -> Recognition:
        self.uploads += 1
        reply = self._replies.pop(0) if self._replies else Recognition(Status.PENDING, "t1", charged_s=15.0)
        if isinstance(reply, Exception):
            raise reply
        return reply

    def result(self, token: str) -> Recognition:
        self.questions += 1
        result = self._results.pop(0) if self._results else FOUND
        if isinstance(result, Exception):
            raise result
        return result

    def still_names(self, track_id: str) -> bool:
        return True


@pytest.fixture
def ledger(tmp_path: Path):
    with Ledger.open(tmp_path) as opened:
        opened.begin_run("m")
        opened.admit([SourceFile(b"/a", "a", 1, 1)])
        yield opened


@pytest.fixture
def asker(ledger: Ledger) -> Callable[..., Asker]:
    def make(
        limit_s: float | None = None,
        stop: threading.Event | None = None,
        tally: Tally | None = None,
        run_id: int = 1,
        last: bool = False,
    ) -> Asker:
        clock = InstantClock()
        made = Asker(
            ledger.uploads,
            run_id,
            budget=Budget(limit_s),
            patience=Patience(clock, clock),
            stop=stop or threading.Event(),
            tally=tally or Tally(),
        )
        if last:
            made.begin_last_turn()
        return made

    return make


def states(ledger: Ledger, audio: Probe) -> list[UploadState]:
    return [upload.state for upload in ledger.uploads.of_audio(audio.sha256, "audiotag")]


def test_an_answer_is_bought_once_and_then_known(ledger: Ledger, asker: Callable[..., Asker]) -> None:
    service, tally = Service(), Tally()
    first = asker(tally=tally).ask(service, probe(), 1)
    again = asker(tally=tally).ask(service, probe(), 1)
    assert first.matches == again.matches == FOUND.matches
    assert service.uploads == 1
    counts = tally.now()
    assert (counts.segments_sent, counts.credits, counts.segments_reused) == (1, 15.0, 1)


def test_not_found_is_an_answer_that_is_kept_too(asker: Callable[..., Asker]) -> None:
    service = Service(results=(Recognition(Status.NOT_FOUND, "t1"),))
    assert asker().ask(service, probe(), 1).status is Status.NOT_FOUND
    assert asker().ask(service, probe(), 1).status is Status.NOT_FOUND
    assert service.uploads == 1


def test_a_token_of_a_killed_run_is_collected_not_bought_again(
    ledger: Ledger, asker: Callable[..., Asker]
) -> None:
    upload = ledger.uploads.intend(1, 1, "audiotag", probe())
    ledger.uploads.sent(upload, "old", 15.0)
    service = Service()
    assert asker().ask(service, probe(), 1).status is Status.FOUND
    assert service.uploads == 0
    assert states(ledger, probe()) == [UploadState.ANSWERED]


def test_a_killed_upload_is_repeated_once_at_the_end_and_never_more(
    ledger: Ledger, asker: Callable[..., Asker]
) -> None:
    ledger.uploads.intend(1, 1, "audiotag", probe())
    ledger.uploads.doubt_interrupted()
    service = Service(UploadInDoubt("the connection broke"))
    ledger.begin_run("m")
    with pytest.raises(PutOff, match="perhaps charged, no answer so far: the run ended during the upload"):
        asker(run_id=2).ask(service, probe(), 1)
    assert service.uploads == 0
    with pytest.raises(
        Unanswered, match="perhaps charged 2 times, no answer, not sent again: the connection"
    ):
        asker(run_id=2, last=True).ask(service, probe(), 1)
    ledger.begin_run("m")
    with pytest.raises(Unanswered, match="perhaps charged 2 times, no answer, not sent again"):
        asker(run_id=3, last=True).ask(service, probe(), 1)
    assert service.uploads == 1


def test_a_busy_service_is_asked_again_for_nothing_was_charged(
    ledger: Ledger, asker: Callable[..., Asker]
) -> None:
    service = Service(ServiceBusy("service temporarily not available"), ServiceUnreachable("refused"))
    assert asker().ask(service, probe(), 1).status is Status.FOUND
    assert states(ledger, probe()) == [UploadState.NOT_SENT, UploadState.NOT_SENT, UploadState.ANSWERED]


def test_a_service_that_stays_away_is_given_up_after_growing_pauses(asker: Callable[..., Asker]) -> None:
    service, away = Service(*[ServiceUnreachable("refused")] * 500), asker()
    for seed in range(20):
        with suppress(PutOff, ServiceDown):
            away.ask(service, probe(seed), 1)
    with pytest.raises(ServiceDown, match="audiotag was given up after 10 min without an answer: refused"):
        away.ask(service, probe(99), 1)
    assert 10 <= service.uploads <= 30


def test_audio_that_the_service_will_not_take_now_is_put_off_while_others_are_answered(
    asker: Callable[..., Asker],
) -> None:
    busy = ServiceBusy("internal error: could not communicate to the recognition server")
    service = Service(*[busy] * 5)
    one = asker()
    with pytest.raises(PutOff, match="not sent so far: internal error"):
        one.ask(service, probe(1), 1)
    assert one.ask(service, probe(2), 1).status is Status.FOUND
    one.begin_last_turn()
    assert one.ask(service, probe(1), 1).status is Status.FOUND


def test_a_lost_token_is_one_segment_without_an_answer(ledger: Ledger, asker: Callable[..., Asker]) -> None:
    service = Service(results=(TokenLost("invalid token"),))
    with pytest.raises(Unanswered, match="charged, no answer: invalid token"):
        asker().ask(service, probe(), 1)
    assert states(ledger, probe()) == [UploadState.LOST]


def test_an_unreadable_answer_keeps_its_token_and_is_asked_for_again(
    ledger: Ledger, asker: Callable[..., Asker]
) -> None:
    service, one = Service(results=(BadReply("html"),) * 7), asker()
    with pytest.raises(PutOff, match="could not be had: html"):
        one.ask(service, probe(), 1)
    one.begin_last_turn()
    with pytest.raises(Unanswered, match=r"charged, no answer yet; the next run asks for it: .*html"):
        one.ask(service, probe(), 1)
    assert states(ledger, probe()) == [UploadState.SENT]
    assert asker().ask(Service(), probe(), 1).status is Status.FOUND
    assert service.uploads == 1


def test_a_segment_refused_only_when_its_answer_is_asked_for_fails_alone(
    ledger: Ledger, asker: Callable[..., Asker]
) -> None:
    service = Service(results=(SegmentRefused("internal error: could not process the file"),))
    for _ in range(2):
        with pytest.raises(Unanswered, match="could not process the file"):
            asker().ask(service, probe(), 1)
    assert states(ledger, probe()) == [UploadState.REFUSED]
    assert (service.uploads, service.questions) == (1, 1)


def test_a_token_whose_service_stays_busy_fails_alone_and_is_asked_for_again(
    ledger: Ledger, asker: Callable[..., Asker]
) -> None:
    service, one = Service(results=(ServiceBusy("internal error: server recognition error"),) * 1000), asker()
    with pytest.raises(PutOff, match="could not be had: internal error: server recognition error"):
        one.ask(service, probe(), 1)
    assert states(ledger, probe()) == [UploadState.SENT]
    assert asker().ask(Service(), probe(), 1).status is Status.FOUND


def test_an_answer_that_never_comes_is_waited_for_aside_and_then_left_to_the_next_run(
    ledger: Ledger, asker: Callable[..., Asker]
) -> None:
    service, one = Service(results=(Recognition(Status.PENDING, "t1"),) * 1000), asker()
    with pytest.raises(PutOff, match="the service still works on it"):
        one.ask(service, probe(), 1)
    asked = service.questions
    one.collect_slow()
    assert service.questions == asked + 1
    one.begin_last_turn()
    with pytest.raises(
        Unanswered, match="no answer yet; the next run asks for it: the service still works on it"
    ):
        one.ask(service, probe(), 1)
    assert states(ledger, probe()) == [UploadState.SENT]
    assert asker().ask(Service(), probe(), 1).status is Status.FOUND
    assert service.uploads == 1


def test_a_slow_answer_that_was_collected_aside_is_there_in_the_last_turn(
    asker: Callable[..., Asker],
) -> None:
    service, one = Service(results=(Recognition(Status.PENDING, "t1"),) * 40), asker()
    with pytest.raises(PutOff):
        one.ask(service, probe(), 1)
    while service.questions < 41:
        one.collect_slow()
    asked = service.questions
    one.begin_last_turn()
    assert one.ask(service, probe(), 1).status is Status.FOUND
    assert (service.questions, service.uploads) == (asked, 1)


def test_a_lost_token_is_paid_for_once_more_but_in_a_later_run(
    ledger: Ledger, asker: Callable[..., Asker]
) -> None:
    service, one = Service(results=(TokenLost("invalid token"),)), asker()
    with pytest.raises(Unanswered, match="charged, no answer: invalid token"):
        one.ask(service, probe(), 1)
    one.begin_last_turn()
    with pytest.raises(Unanswered, match="charged, no answer, not sent again before the next run"):
        one.ask(service, probe(), 1)
    assert service.uploads == 1
    ledger.begin_run("m")
    assert asker(run_id=2, last=True).ask(service, probe(), 1).status is Status.FOUND
    assert service.uploads == 2


def test_a_copy_of_what_is_in_doubt_pays_nothing_before_the_last_turn(asker: Callable[..., Asker]) -> None:
    service, one = Service(UploadInDoubt("the connection broke")), asker()
    for file_id in (1, 1):
        with pytest.raises(PutOff, match="perhaps charged, no answer"):
            one.ask(service, probe(), file_id)
    assert service.uploads == 1


def test_a_service_that_charges_more_than_its_seconds_uses_up_the_limit_sooner(
    asker: Callable[..., Asker],
) -> None:
    service = Service(*[Recognition(Status.PENDING, f"t{n}", charged_s=40.0) for n in range(9)])
    capped = asker(60.0)
    capped.ask(service, probe(1), 1)
    capped.ask(service, probe(2), 1)
    with pytest.raises(CapReached, match="80 spent"):
        capped.ask(service, probe(3), 1)


def test_refused_audio_is_not_offered_twice(asker: Callable[..., Asker]) -> None:
    service = Service(SegmentRefused("audio duration is too short"))
    for _ in range(2):
        with pytest.raises(Unanswered, match="too short"):
            asker().ask(service, probe(), 1)
    assert service.uploads == 1


def test_a_refused_key_ends_the_asking_and_costs_nothing(ledger: Ledger, asker: Callable[..., Asker]) -> None:
    budgeted = asker(15.0)
    with pytest.raises(KeyRefused):
        budgeted.ask(Service(KeyRefused("api key expired")), probe(), 1)
    assert states(ledger, probe()) == [UploadState.NOT_SENT]
    assert budgeted.ask(Service(), probe(), 1).status is Status.FOUND


def test_the_cap_holds_to_the_second(asker: Callable[..., Asker]) -> None:
    service, capped = Service(), asker(30.0)
    capped.ask(service, probe(1), 1)
    capped.ask(service, probe(2), 1)
    with pytest.raises(CapReached, match="limit of 30 credits is used up"):
        capped.ask(service, probe(3), 1)
    assert service.uploads == 2
    assert capped.ask(service, probe(1), 1).status is Status.FOUND


def test_after_a_stop_nothing_is_sent(ledger: Ledger, asker: Callable[..., Asker]) -> None:
    stop = threading.Event()
    stop.set()
    service = Service()
    with pytest.raises(Stopped):
        asker(stop=stop).ask(service, probe(), 1)
    assert service.uploads == 0
    assert states(ledger, probe()) == []


def test_copies_asked_at_the_same_moment_are_bought_once(asker: Callable[..., Asker]) -> None:
    service, shared = Service(), asker()
    answers: list[Recognition] = []
    threads = [
        threading.Thread(target=lambda: answers.append(shared.ask(service, probe(), 1))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert [answer.matches for answer in answers] == [FOUND.matches] * 8
    assert service.uploads == 1
