"""Collect the answers behind tokens, the slow ones aside, so that one that never comes holds up no other file."""

from __future__ import annotations

import threading
from functools import partial

from pipeline.batch.services import Services
from pipeline.errors import BadReply, ServiceBusy, ServiceUnreachable
from pipeline.ledger import Upload
from pipeline.model import Recognition, Recognizer, Status
from pipeline.retry import TOKEN_LIFE_S, Clock, poll

WAIT_S = 60.0
"""So long a thread waits for one answer before it turns to the next file; most services take seconds."""

MOST_SLOW = 16
"""So many answers may be waited for aside: their tokens live five minutes, and all must be asked for in that time."""


class Unsettled(Exception):
    """The answer is not there, but the token may still bring it; the words say why, `raw` is what came instead."""

    def __init__(self, said: str, raw: str = "") -> None:
        super().__init__(said)
        self.raw = raw


class Collecting:
    """Who is asked for which token, how long, and how old the token is by our own steady clock."""

    def __init__(self, services: Services, *, clock: Clock) -> None:
        self._services = services
        self._clock = clock
        self._born_s: dict[int, float] = {}
        self._slow: dict[int, tuple[Recognizer, Upload]] = {}
        self._lock = threading.Lock()

    def born(self, upload_id: int) -> None:
        """The service has just named the token of this upload."""
        with self._lock:
            self._born_s[upload_id] = self._clock.now()

    def slow(self) -> list[tuple[Recognizer, Upload]]:
        """The uploads whose answers are long in coming."""
        with self._lock:
            return list(self._slow.values())

    def answer(self, recognizer: Recognizer, upload: Upload, *, to_the_end: bool) -> Recognition:
        """The settled answer to an upload, waited for `to_the_end` of its token's life or for a while.

        A token of an earlier run, or one that is slow already, is asked for once. Raises Unsettled when there is no
        answer yet, and what the service says of the token.
        """
        age_s = self._age_s(upload)
        patient = to_the_end or len(self.slow()) >= MOST_SLOW
        life_s = TOKEN_LIFE_S if patient else WAIT_S
        ask = partial(recognizer.result, upload.token)
        through = partial(self._services.breaker(recognizer).through, ask, clock=self._clock)
        pace = self._services.pace(recognizer)
        said, raw = "the service still works on it", ""
        try:
            answer = poll(
                lambda _: through(), upload.token, age_s=age_s, life_s=life_s, pace=pace, clock=self._clock
            )
        except (BadReply, ServiceBusy, ServiceUnreachable) as error:
            answer, said, raw = None, f"the answer could not be had: {error.message}", error.raw
        except BaseException:
            self._settled(recognizer, upload)
            raise
        if answer is None or answer.status is Status.PENDING:
            with self._lock:
                self._slow[upload.upload_id] = (recognizer, upload)
            raise Unsettled(said, raw)
        self._settled(recognizer, upload)
        return answer

    def _age_s(self, upload: Upload) -> float:
        with self._lock:
            born_s = self._born_s.get(upload.upload_id)
        return TOKEN_LIFE_S if born_s is None else self._clock.now() - born_s

    def _settled(self, recognizer: Recognizer, upload: Upload) -> None:
        with self._lock:
            self._slow.pop(upload.upload_id, None)
            born_s = self._born_s.pop(upload.upload_id, None)
        if born_s is not None:
            self._services.window(recognizer).collected(self._clock.now() - born_s)
