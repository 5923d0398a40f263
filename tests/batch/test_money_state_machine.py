"""No sequence of sending, killing, answering, losing and starting again pays twice without doubt or loses a token."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pipeline.batch.ask import MAX_PAYMENTS, Asker, Patience, PutOff, Stopped, Unanswered
from pipeline.batch.budget import Budget
from pipeline.batch.tally import Tally
from pipeline.errors import (
    BadReply,
    CapReached,
    ServiceBusy,
    ServiceDown,
    ServiceUnreachable,
    TokenLost,
    UploadInDoubt,
)
from pipeline.ledger import Ledger, UploadState
from pipeline.model import RATE_HZ, Match, Probe, Recognition, SourceFile, Status, Track, Usage
from tests.services.clock import FakeClock

COST_S = 5.0
AUDIO = [
    Probe(np.random.default_rng(seed).integers(-9000, 9000, round(COST_S * RATE_HZ)).astype(np.int16))
    for seed in range(4)
]


class Killed(BaseException):
    """The process ends here."""


class Far:
    """A paid service and its own record; the next upload and the next questions go as told."""

    name = "audiotag"
    paid = True
    edition = ""

    def __init__(self) -> None:
        self.charges: list[str] = []
        self.broken: Counter[str] = Counter()
        """Uploads of each audio that gave us no token, and tokens that were forgotten: the reasons for doubt."""
        self.told: dict[str, str] = {}
        """Every token that reached us, and the audio it is for."""
        self.dead: set[str] = set()
        self.others_s = 0.0
        self.upload = "taken"
        self.answer = "found"
        self.counts = True

    def identify(self, probe: Probe) -> Recognition:
        how, self.upload = self.upload, "taken"
        if how in ("busy", "unreachable"):
            raise ServiceBusy("busy") if how == "busy" else ServiceUnreachable("refused")
        if how.startswith("not taken"):
            self.broken[probe.sha256] += 1
            raise Killed if how.endswith("killed") else UploadInDoubt("reset")
        self.charges.append(probe.sha256)
        token = f"t{len(self.charges)}"
        if how != "taken":
            self.broken[probe.sha256] += 1
            raise Killed if how.endswith("killed") else UploadInDoubt("cut")
        self.told[token] = probe.sha256
        return Recognition(Status.PENDING, token, charged_s=COST_S)

    def result(self, token: str) -> Recognition:
        if token in self.dead:
            raise TokenLost("invalid token")
        if self.answer == "killed":
            self.answer = "found"
            raise Killed
        if self.answer == "html":
            raise BadReply("<html>")
        if self.answer == "wait":
            return Recognition(Status.PENDING, token)
        return Recognition(Status.FOUND, token, (Match(Track("Song"), 0.9),))

    def usage(self) -> Usage:
        if not self.counts:
            raise BadReply("api key stats not found")
        return Usage(len(self.charges) * COST_S + self.others_s, len(self.charges))

    def heed(self, stop: threading.Event) -> None: ...

    def wait_for_turn(self) -> bool:
        return True

    def still_names(self, track_id: str) -> bool:
        return True


class Money(RuleBasedStateMachine):
    """Runs on one ledger, one after the other, some of them killed."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.far = Far()
        self.ledger: Ledger | None = None

    @initialize(limit_s=st.sampled_from([None, 5.0, 20.0]))
    def first_run(self, limit_s: float | None) -> None:
        self._begin(limit_s)

    @rule(limit_s=st.sampled_from([None, 0.0, 10.0, 40.0]))
    def another_run(self, limit_s: float | None) -> None:
        self._end()
        self._begin(limit_s)

    @rule()
    def killed_between_two_steps(self) -> None:
        self._go_on()

    @rule(
        audio=st.sampled_from(AUDIO),
        how=st.sampled_from(
            [
                "taken", "taken", "cut", "taken, then killed", "not taken", "not taken, killed", "busy",
                "unreachable",
            ]
        ),
        answer=st.sampled_from(["found", "found", "wait", "html", "killed"]),
    )  # fmt: skip
    def ask(self, audio: Probe, how: str, answer: str) -> None:
        self.far.upload, self.far.answer = how, answer
        self._ask(audio)

    @rule(audio=st.sampled_from(AUDIO))
    def ask_and_be_killed_before_the_token_is_written_down(self, audio: Probe) -> None:
        assert self.ledger is not None

        def killed(*_: Any) -> None:
            self.far.broken[audio.sha256] += 1
            self.far.told.popitem()
            raise Killed

        self.ledger.uploads.sent = killed  # type: ignore[method-assign]
        self.far.upload, self.far.answer = "taken", "found"
        if not self._ask(audio):
            del self.ledger.uploads.sent  # type: ignore[method-assign]

    @rule(how=st.lists(st.sampled_from(["taken", "cut", "not taken", "taken, then killed"]), max_size=4))
    def last_turn(self, how: list[str]) -> None:
        """Everything once more, nothing else on its way; then the run is over."""
        self.asker.settle(self.far)
        self.asker.begin_last_turn()
        for audio, one in zip(AUDIO, [*how, *["taken"] * 4][:4], strict=True):
            self.far.upload, self.far.answer = one, "found"
            if self._ask(audio):
                return
        self._end()
        self._begin(None)

    @rule()
    def slow_answers_are_asked_for_aside(self) -> None:
        self.far.answer = "found"
        self.asker.collect_slow()

    @rule()
    def five_minutes_pass(self) -> None:
        for token, sha256 in self.far.told.items():
            if token not in self.far.dead:
                self.far.dead.add(token)
                self.far.broken[sha256] += 1

    @rule(seconds=st.sampled_from([5.0, 7.0]))
    def somebody_else_uses_the_key(self, seconds: float) -> None:
        self.far.others_s += seconds

    @precondition(lambda self: self.far.counts)
    @rule()
    def the_counters_go_away(self) -> None:
        self.far.counts = False

    @invariant()
    def nothing_is_paid_twice_without_doubt(self) -> None:
        for sha256, times in Counter(self.far.charges).items():
            assert times <= 1 + self.far.broken[sha256]

    @invariant()
    def no_segment_is_paid_for_more_often_than_promised(self) -> None:
        assert all(times <= MAX_PAYMENTS for times in Counter(self.far.charges).values())

    @invariant()
    def no_token_that_reached_us_is_lost(self) -> None:
        if self.ledger is None:
            return
        known = {
            upload.token: upload.state
            for audio in AUDIO
            for upload in self.ledger.uploads.of_audio(audio.sha256, "audiotag")
            if upload.token
        }
        assert set(self.far.told) <= set(known)
        assert set(known.values()) <= {UploadState.SENT, UploadState.ANSWERED, UploadState.LOST}
        lost = {token for token, state in known.items() if state is UploadState.LOST}
        assert lost <= self.far.dead

    @invariant()
    def the_budget_of_the_run_is_kept_over_all_its_kills(self) -> None:
        if self.ledger is not None and self.limit_s is not None:
            assert (len(self.far.charges) - self.charged_before) * COST_S <= self.limit_s

    @invariant()
    def what_the_ledger_knows_of_charges_is_no_more_than_was_charged_or_used_by_others(self) -> None:
        if self.ledger is not None:
            known_s, _ = self.ledger.uploads.charged_since(0, "audiotag")
            assert known_s <= len(self.far.charges) * COST_S + self.far.others_s

    def teardown(self) -> None:
        if self.ledger is not None:
            self.ledger.close()
        self.folder.cleanup()

    def _end(self) -> None:
        assert self.ledger is not None
        self.ledger.end_run(self.run_id, "done")

    def _begin(self, limit_s: float | None) -> None:
        self.limit_s, self.charged_before = limit_s, len(self.far.charges)
        self._go_on()

    def _go_on(self) -> None:
        """Begin a run with the limit there is; if the one before did not end, it is continued."""
        if self.ledger is not None:
            self.ledger.close()
        self.ledger = Ledger.open(Path(self.folder.name))
        self.run_id = self.ledger.begin_run("m")
        ((self.file_id, _),) = self.ledger.admit([SourceFile(b"/a", "a", 1, 1)]).values()
        clock = FakeClock()
        self.asker = Asker(
            self.ledger.uploads,
            self.run_id,
            budget=Budget(self.limit_s, books=self.ledger.spending, run_id=self.run_id),
            patience=Patience(clock, clock),
            stop=threading.Event(),
            tally=Tally(),
        )
        self.ledger.uploads.doubt_interrupted()
        self.far.answer = "found"
        for upload in self.ledger.uploads.waiting("audiotag"):
            try:
                self.asker.collect(self.far, upload)
            except (Unanswered, PutOff):
                continue
        self.asker.settle(self.far)

    def _ask(self, audio: Probe) -> bool:
        """Ask; True when that killed the process, and a new run was begun."""
        try:
            self.asker.ask(self.far, audio, self.file_id)
        except (Unanswered, PutOff, Stopped, CapReached, ServiceDown):
            return False
        except Killed:
            self._go_on()
            return True
        return False


BOUNDS = {"deadline": None, "suppress_health_check": list(HealthCheck)}


class TestMoney(Money.TestCase):  # type: ignore[misc, name-defined]
    settings = settings(max_examples=25, stateful_step_count=20, **BOUNDS)  # type: ignore[arg-type]


@pytest.mark.slow
class TestMoreMoney(Money.TestCase):  # type: ignore[misc, name-defined]
    settings = settings(max_examples=150, stateful_step_count=40, **BOUNDS)  # type: ignore[arg-type]
