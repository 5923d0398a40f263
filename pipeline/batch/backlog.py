"""Answers that were paid for and are not there yet: those of a run that was cut short, and those long in coming."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial

from pipeline.batch.ask import Asker, PutOff, Unanswered
from pipeline.errors import ServiceError
from pipeline.ledger import Upload, Uploads
from pipeline.model import Recognizer

SLOW_EVERY_S = 5.0
"""The pause between two rounds of questions for the answers that are long in coming."""

_log = logging.getLogger(__name__)


class Backlog:
    """Collects such answers in a thread of its own, as long as a run goes on. What breaks inside `guarded` ends the run."""

    def __init__(
        self,
        uploads: Uploads,
        recognizers: Sequence[Recognizer],
        asker: Asker,
        *,
        jobs: int,
        guarded: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._uploads = uploads
        self._recognizers = [recognizer for recognizer in recognizers if recognizer.paid]
        self._asker = asker
        self._jobs = jobs
        self._guarded = guarded
        self._ended = threading.Event()
        self.collected = threading.Event()
        """Set when every token of an earlier run was asked for: only then may anything new be sent."""

    def collect(self) -> None:
        """What earlier runs paid for; then, now and then until the end, what the service still works on."""
        with self._guarded(), ThreadPoolExecutor(self._jobs, thread_name_prefix="collect") as pool:
            for recognizer in self._recognizers:
                waiting = self._uploads.waiting(recognizer.name)
                list(pool.map(partial(self._collect, recognizer), waiting))
                self._asker.settle(recognizer)
        self.collected.set()
        while not self._ended.wait(SLOW_EVERY_S):
            with self._guarded():
                self._asker.collect_slow()

    def end(self) -> None:
        """Nothing is waited for any more: `collect` returns."""
        self._ended.set()

    def _collect(self, recognizer: Recognizer, upload: Upload) -> None:
        try:
            self._asker.collect(recognizer, upload)
        except (Unanswered, PutOff, ServiceError) as error:
            _log.info(
                "An answer of an earlier run could not be collected: upload_id=%d error=%s",
                upload.upload_id,
                error,
            )
