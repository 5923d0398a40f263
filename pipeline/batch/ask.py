"""Ask one recognizer about one piece of audio; a paid one at most once, whatever happens.

    known answer? ──yes──► use it, free
          │no
    token waiting? ──yes─► collect it, free
          │no
    paid in vain before? ──yes──► put off: asked again when all other files are done, one at a time
          │no
    budget left? ──► a turn to send ──► intent on disk ──► upload ──► token on disk ──► poll ──► answer on disk
                                                              │ broke off
                                                              └──► in doubt: put off, and held against the
                                                                   service's counters (doubt.py)

What an upload that gave no answer means for the next one, for all copies of the audio together:
in doubt, or charged in vain      one more payment, at the end of the run: `MAX_PAYMENTS`
cleared by the counters           free, so it may be sent again; but counters may lie: `MAX_UPLOADS`
token lost                        charged: one more payment too, but in a later run, since a service that forgets tokens
                                  today would forget the next one
After that the segment is given up for good, and its row says what it cost.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.batch.budget import Budget, charged_seconds
from pipeline.batch.collecting import Collecting, Unsettled
from pipeline.batch.doubt import Doubts
from pipeline.batch.services import Services
from pipeline.batch.tally import Tally
from pipeline.batch.turns import Turns
from pipeline.errors import (
    BadReply,
    EarmarkError,
    SegmentRefused,
    ServiceBusy,
    ServiceUnreachable,
    TokenLost,
    UploadInDoubt,
)
from pipeline.ledger import Upload, Uploads, UploadState
from pipeline.model import Metered, Probe, Recognition, Recognizer, Status
from pipeline.retry import Clock, StoppedWaiting, retrying

if TYPE_CHECKING:
    from pipeline.batch.reuse import Reuse

MAX_PAYMENTS = 2
"""At most this often may one segment have cost money at one service, as far as anybody can know."""

MAX_UPLOADS = 3
"""At most this often is one segment sent to one service, also where its counters say that it was not charged."""

IN_VAIN = {UploadState.INTENDED, UploadState.IN_DOUBT, UploadState.CHARGED, UploadState.LOST}
"""Uploads that did or may have cost money, and gave no answer."""

_CERTAINLY = {UploadState.CHARGED, UploadState.LOST}

_log = logging.getLogger(__name__)


class Unanswered(Exception):
    """This segment has no answer, and the run goes on; the words say why."""


class PaidInVain(Unanswered):
    """This segment cost money in this run and got no answer: let its file not cost more."""


class PutOff(Exception):
    """This segment is to be asked about when all other files are done; the words say why."""


class Stopped(Exception):
    """The user asked to stop before this was sent."""


class _InDoubt(Exception):
    """The upload just made broke off."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How waiting is done: for a chance to send (ends when a stop is asked for), and for what is already paid."""

    sending: Clock
    collecting: Clock


class Asker:
    """Asks recognizers on behalf of one run. May be used from several threads."""

    def __init__(
        self,
        uploads: Uploads,
        run_id: int,
        *,
        budget: Budget,
        patience: Patience,
        stop: threading.Event,
        tally: Tally,
        reuse: Reuse | None = None,
        services: Services | None = None,
    ) -> None:
        self._reuse = reuse
        self._uploads = uploads
        self._run_id = run_id
        self._budget = budget
        self._patience = patience
        self._stop = stop
        self._tally = tally
        self._turns = Turns()
        self._services = services or Services(clock=patience.collecting, tell=tally.waiting_for)
        self._doubts = Doubts(uploads, clock=patience.collecting, on_charged=tally.sent)
        self._collecting = Collecting(self._services, clock=patience.collecting)
        self._last_turn = False

    def ask(self, recognizer: Recognizer, probe: Probe, file_id: int) -> Recognition:
        """The settled answer to a probe. `file_id` is who the cost is written to.

        Raises Unanswered when this segment gets none, PutOff when it is to be asked again in the last turn, Stopped
        when nothing more is to be sent, and the errors that end a run (CapReached, KeyRefused, CreditsExhausted,
        ServiceDown).
        """
        if not recognizer.paid:
            return recognizer.identify(probe)
        # Two copies of the same audio in one run: the second waits, and takes the answer of the first.
        alike = self._reuse.turn(recognizer.name, probe) if self._reuse else nullcontext()
        with self._turns.of(f"{recognizer.name} {probe.sha256}"), alike:
            while True:
                known = self._known(recognizer, probe)
                if known is not None:
                    return known
                try:
                    return self._buy(recognizer, probe, file_id)
                except _InDoubt as doubt:
                    if not self._last_turn:
                        raise PutOff(str(doubt)) from doubt
                    # Nothing else is on its way now, so the counters speak of this upload alone. Whether it may be
                    # sent once more is decided above.
                    self.settle(recognizer)

    def prepare(self, probe: Probe) -> None:
        """Do what can be done before a paid recognizer's turn to hear this comes."""
        if self._reuse:
            self._reuse.prepare(probe)

    def begin_last_turn(self) -> None:
        """All other files are done: from now on what was put off is asked, by one thread alone."""
        self._last_turn = True

    def settle(self, recognizer: Recognizer) -> None:
        """Hold what is in doubt against the service's counters; only while nothing is on its way there."""
        for upload in self._doubts.settle(recognizer):
            if upload.run_id == self._run_id:
                self._budget.give_back(charged_seconds(upload.length_s))

    def cost_beyond(self, recognizer: Recognizer, probe: Probe) -> str:
        """What this audio cost beyond its answer, in words; empty when nothing was paid in vain."""
        uploads = self._uploads.of_audio(probe.sha256, recognizer.name)
        in_vain = [upload for upload in uploads if upload.state in IN_VAIN]
        return f"before that, {_paid(in_vain)}: {in_vain[-1].error}" if in_vain else ""

    # ---- what is already paid

    def collect(self, recognizer: Recognizer, upload: Upload) -> Recognition:
        """The answer to an upload whose token is known. Raises as `ask` does."""
        self._tally.in_flight(+1)
        try:
            recognition = self._collecting.answer(recognizer, upload, to_the_end=self._last_turn)
        except TokenLost as error:
            self._uploads.lost(upload.upload_id, error.message, error.raw)
            raise Unanswered(f"charged, no answer: {error.message}") from error
        except SegmentRefused as error:
            self._uploads.refused(upload.upload_id, error.message, error.raw)
            raise Unanswered(f"charged, but refused afterwards: {error.message}") from error
        except Unsettled as unsettled:
            # The token stays in the ledger; as long as the service knows it, nothing is lost.
            if unsettled.raw:
                self._uploads.unread(upload.upload_id, str(unsettled), unsettled.raw)
            if self._last_turn:
                raise PaidInVain(
                    f"charged, no answer yet; the next run asks for it: {unsettled}"
                ) from unsettled
            raise PutOff(str(unsettled)) from unsettled
        finally:
            self._tally.in_flight(-1)
        self._uploads.answered(upload.upload_id, recognition)
        return recognition

    def collect_slow(self) -> None:
        """Ask once more for the answers that are long in coming, so that they are collected while their tokens live."""
        for recognizer, upload in self._collecting.slow():
            try:
                self.collect(recognizer, upload)
            except (Unanswered, PutOff, EarmarkError) as error:
                # Whoever asks about its file again, or sends the next upload, meets the same error.
                _log.info("A slow answer is not there: upload_id=%d said=%s", upload.upload_id, error)

    def _known(self, recognizer: Recognizer, probe: Probe) -> Recognition | None:
        uploads = self._of_sound(recognizer, probe)
        for upload in uploads:
            if upload.recognition is not None:
                if not self._last_turn:
                    self._tally.reused(alike=upload.sha256 != probe.sha256)
                return upload.recognition
            if upload.state is UploadState.REFUSED:
                raise Unanswered(upload.error)
        for upload in uploads:
            if upload.state is UploadState.SENT:
                return self.collect(recognizer, upload)
        self._check_may_be_sent(uploads)
        return None

    def _of_sound(self, recognizer: Recognizer, probe: Probe) -> list[Upload]:
        """All uploads of this audio, then those of the same recording and stretch in another encoding."""
        uploads = self._uploads.of_audio(probe.sha256, recognizer.name)
        if self._reuse is None or any(upload.recognition is not None for upload in uploads):
            return uploads
        return uploads + self._reuse.alike(recognizer.name, probe)

    def _check_may_be_sent(self, uploads: Sequence[Upload]) -> None:
        in_vain = [upload for upload in uploads if upload.state in IN_VAIN]
        cleared = [upload for upload in uploads if upload.state is UploadState.CLEARED]
        begun = in_vain or cleared
        if not begun:
            return
        in_this_run = any(upload.run_id == self._run_id for upload in in_vain)
        said = (
            f"{_paid(in_vain)}, no answer"
            if in_vain
            else f"sent {len(cleared)} times, not charged, no answer"
        )
        if len(in_vain) >= MAX_PAYMENTS or len(in_vain) + len(cleared) >= MAX_UPLOADS:
            kind = PaidInVain if in_this_run else Unanswered
            raise kind(f"{said}, not sent again: {begun[-1].error}")
        if any(upload.run_id == self._run_id and upload.state is UploadState.LOST for upload in in_vain):
            raise Unanswered(f"{said}, not sent again before the next run: {begun[-1].error}")
        if in_vain and not self._last_turn:
            raise PutOff(f"{said} so far: {begun[-1].error}")

    # ---- what is to be paid

    def _buy(self, recognizer: Recognizer, probe: Probe, file_id: int) -> Recognition:
        with self._services.window(recognizer).place():
            upload, recognition = self._send(recognizer, probe, file_id)
            if recognition.status is not Status.PENDING:
                self._uploads.answered(upload.upload_id, recognition)
                return recognition
            return self.collect(recognizer, upload)

    def _send(self, recognizer: Recognizer, probe: Probe, file_id: int) -> tuple[Upload, Recognition]:
        """Upload, and have the token on disk."""
        cost_s = charged_seconds(probe.length_s)
        self._budget.take(cost_s)
        upload_id = 0

        def send() -> Recognition:
            nonlocal upload_id
            # The turn comes before the intent: killed in the wait, nothing is in doubt.
            may_send = recognizer.wait_for_turn() if isinstance(recognizer, Metered) else True
            if self._stop.is_set() or not may_send:
                raise Stopped
            upload_id = self._uploads.intend(
                self._run_id,
                file_id,
                recognizer.name,
                probe,
                self._reuse.print_of(probe) if self._reuse else None,
            )
            try:
                return recognizer.identify(probe)
            except (ServiceBusy, ServiceUnreachable) as error:
                self._uploads.not_sent(upload_id, error.message)
                raise

        def send_when_it_may() -> Recognition:
            upload_now = self._services.breaker(recognizer).through
            return upload_now(send, clock=self._patience.sending, costs=True)

        try:
            recognition = retrying(send_when_it_may, clock=self._patience.sending)
        except (UploadInDoubt, BadReply) as error:
            # Perhaps charged: the seconds stay taken from the budget until the counters say otherwise.
            self._uploads.in_doubt(upload_id, error.message, error.raw)
            raise _InDoubt(f"perhaps charged, no answer: {error.message}") from error
        except SegmentRefused as error:
            self._uploads.refused(upload_id, error.message, error.raw)
            self._budget.give_back(cost_s)
            raise Unanswered(error.message) from error
        except (ServiceBusy, ServiceUnreachable) as error:
            self._budget.give_back(cost_s)
            raise self._not_taken(error) from error
        except (Stopped, StoppedWaiting) as stopped:
            self._budget.give_back(cost_s)
            raise Stopped from stopped
        except EarmarkError as error:
            if upload_id:
                self._uploads.not_sent(upload_id, error.message)
            self._budget.give_back(cost_s)
            raise
        charged_s = recognition.charged_s or cost_s
        self._budget.charged_more(max(charged_s - cost_s, 0.0))
        # The token is on disk before anybody waits for it: a kill from here on costs nothing.
        self._uploads.sent(upload_id, recognition.token, charged_s)
        self._collecting.born(upload_id)
        self._tally.sent(charged_s)
        return self._uploads.one(upload_id), recognition

    def _not_taken(self, error: EarmarkError) -> Exception:
        """What it means that the service took this audio in none of several tries, while it answers others."""
        if self._stop.is_set():
            return Stopped()
        if self._last_turn:
            return Unanswered(f"not sent: {error.message}")
        return PutOff(f"not sent so far: {error.message}")


def _paid(in_vain: Sequence[Upload]) -> str:
    """`charged`, `perhaps charged 2 times`: what these uploads cost, in words."""
    certain = sum(upload.state in _CERTAINLY for upload in in_vain)
    perhaps = len(in_vain) - certain
    parts = [
        f"{words}{_times(number)}"
        for words, number in (("charged", certain), ("perhaps charged", perhaps))
        if number
    ]
    return " and ".join(parts)


def _times(number: int) -> str:
    return f" {number} times" if number > 1 else ""
