"""Ask one recognizer about one piece of audio; a paid one at most once, whatever happens.

    known answer? ──yes──► use it, free
          │no
    token waiting? ──yes─► collect it, free
          │no
    budget left? ──► intent on disk ──► upload ──► token on disk ──► poll ──► answer on disk

An upload that may have been charged without giving an answer (in doubt, or its token lost) may be repeated once, in a
later run, never in the same one, not even for another copy of the audio. After that the segment is given up:
`MAX_PAYMENTS`.
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.batch.budget import Budget, charged_seconds
from pipeline.batch.tally import Tally
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
from pipeline.model import Probe, Recognition, Recognizer, Status
from pipeline.retry import Clock, Pace, poll, retrying

if TYPE_CHECKING:
    from pipeline.batch.reuse import Reuse

MAX_PAYMENTS = 2
"""At most this often may one segment have cost money at one service."""

PERHAPS_CHARGED = {UploadState.INTENDED, UploadState.IN_DOUBT, UploadState.SENT, UploadState.LOST}

_log = logging.getLogger(__name__)


class Unanswered(Exception):
    """This segment has no answer, and the run goes on; the words say why."""


class Stopped(Exception):
    """The user asked to stop before this was sent."""


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
    ) -> None:
        self._reuse = reuse
        self._uploads = uploads
        self._run_id = run_id
        self._budget = budget
        self._patience = patience
        self._stop = stop
        self._tally = tally
        self._turns = _Turns()
        self._pace: defaultdict[str, Pace] = defaultdict(Pace)

    def ask(self, recognizer: Recognizer, probe: Probe, file_id: int) -> Recognition:
        """The settled answer to a probe. `file_id` is who the cost is written to.

        Raises Unanswered when this segment gets none, Stopped when nothing more is to be sent, and the errors that end
        a run (CapReached, KeyRefused, CreditsExhausted, ServiceUnreachable, ServiceBusy).
        """
        if not recognizer.paid:
            return recognizer.identify(probe)
        # Two copies of the same audio in one run: the second waits, and takes the answer of the first.
        alike = self._reuse.turn(recognizer.name, probe) if self._reuse else nullcontext()
        with self._turns.of(f"{recognizer.name} {probe.sha256}"), alike:
            return self._known(recognizer, probe) or self._buy(recognizer, probe, file_id)

    def collect(self, recognizer: Recognizer, upload: Upload) -> Recognition:
        """The answer to an upload whose token is known. Raises as `ask` does."""
        self._tally.in_flight(+1)
        try:
            recognition = poll(
                recognizer.result,
                upload.token,
                pace=self._pace[recognizer.name],
                clock=self._patience.collecting,
            )
        except TokenLost as error:
            self._uploads.lost(upload.upload_id, error.message, error.raw)
            raise Unanswered(f"charged, but the service gave no answer: {error.message}") from error
        except SegmentRefused as error:
            self._uploads.refused(upload.upload_id, error.message, error.raw)
            raise Unanswered(f"charged, but refused afterwards: {error.message}") from error
        except (BadReply, ServiceBusy) as error:
            # The token stays: the next run asks for it once more. A service that was busy for the whole life of this
            # token may still answer others; if it is down, the next upload will say so.
            raise Unanswered(
                f"charged, but the service's answer could not be had: {error.message}"
            ) from error
        finally:
            self._tally.in_flight(-1)
        self._uploads.answered(upload.upload_id, recognition)
        return recognition

    def _known(self, recognizer: Recognizer, probe: Probe) -> Recognition | None:
        uploads = self._of_sound(recognizer, probe)
        for upload in uploads:
            if upload.recognition is not None:
                self._tally.reused(alike=upload.sha256 != probe.sha256)
                return upload.recognition
            if upload.state is UploadState.REFUSED:
                raise Unanswered(upload.error)
        for upload in uploads:
            if upload.state is UploadState.SENT:
                return self.collect(recognizer, upload)
        in_vain = [upload for upload in uploads if upload.state in PERHAPS_CHARGED]
        if len(in_vain) >= MAX_PAYMENTS:
            raise Unanswered(
                f"perhaps charged {MAX_PAYMENTS} times without an answer, not sent again: {in_vain[-1].error}"
            )
        if any(upload.run_id == self._run_id for upload in in_vain):
            raise Unanswered(
                f"perhaps charged in this run, not sent again before the next: {in_vain[-1].error}"
            )
        return None

    def _of_sound(self, recognizer: Recognizer, probe: Probe) -> list[Upload]:
        """All uploads of this audio, then those of the same recording and stretch in another encoding."""
        uploads = self._uploads.of_audio(probe.sha256, recognizer.name)
        if self._reuse is None or any(upload.recognition is not None for upload in uploads):
            return uploads
        return uploads + self._reuse.alike(recognizer.name, probe)

    def _buy(self, recognizer: Recognizer, probe: Probe, file_id: int) -> Recognition:
        cost_s = charged_seconds(probe.length_s)
        self._budget.take(cost_s)
        upload_id = 0

        def send() -> Recognition:
            nonlocal upload_id
            if self._stop.is_set():
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

        try:
            recognition = retrying(send, clock=self._patience.sending)
        except (UploadInDoubt, BadReply) as error:
            # Perhaps charged: the seconds stay taken from the budget.
            self._uploads.in_doubt(upload_id, error.message, error.raw)
            raise Unanswered(f"perhaps charged, and no answer: {error.message}") from error
        except SegmentRefused as error:
            self._uploads.refused(upload_id, error.message, error.raw)
            self._budget.give_back(cost_s)
            raise Unanswered(error.message) from error
        except EarmarkError as error:
            self._uploads.not_sent(upload_id, error.message)
            self._budget.give_back(cost_s)
            raise
        except Stopped:
            self._budget.give_back(cost_s)
            raise
        charged_s = recognition.charged_s or cost_s
        self._budget.charged_more(max(charged_s - cost_s, 0.0))
        # The token is on disk before anybody waits for it: a kill from here on costs nothing.
        self._uploads.sent(upload_id, recognition.token, charged_s)
        self._tally.sent(charged_s)
        if recognition.status is not Status.PENDING:
            self._uploads.answered(upload_id, recognition)
            return recognition
        upload = Upload(
            upload_id,
            self._run_id,
            probe.sha256,
            recognizer.name,
            UploadState.SENT,
            recognition.token,
            charged_s,
            None,
            "",
        )
        return self.collect(recognizer, upload)


class _Turns:
    """One at a time for each key."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._changed = threading.Condition()

    @contextmanager
    def of(self, key: str) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: key not in self._taken)
            self._taken.add(key)
        try:
            yield
        finally:
            with self._changed:
                self._taken.remove(key)
                self._changed.notify_all()
