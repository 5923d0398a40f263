"""Short decodings share processes: what waits while all are busy goes into the next one, several files together.

Starting a system's ffmpeg costs more than a probe does: it links some 200 libraries, 60 ms each time.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence

from pipeline.audio.command import Spans
from pipeline.errors import MediaError
from pipeline.model import Pcm

FILES_AT_ONCE = 4 if hasattr(os, "memfd_create") else 1
"""Beyond that little is saved, and more is to be done again when one of the files is bad. Only Linux has files in
memory, which take what comes of each."""

INPUTS_AT_ONCE = 12
"""Each holds its file open and a decoder in memory."""


class _Ticket:
    """A request, and the answer once there is one."""

    def __init__(self, request: Spans) -> None:
        self.request = request
        self.alone = False
        self.answered = False
        self.answer: list[Pcm] | None = None


class Sharing:
    """At most `processes` at work; a caller who finds one free does not wait for company.

    `decoded` answers several requests by one process, with None for each where that went wrong.
    """

    def __init__(self, processes: int, decoded: Callable[[Sequence[Spans]], list[list[Pcm] | None]]) -> None:
        self._free = processes
        self._decoded = decoded
        self._waiting: list[_Ticket] = []
        self._changed = threading.Condition()

    def ask(self, request: Spans) -> list[Pcm]:
        """The answer to one request, in company or, if that is spoilt, alone. Raises MediaError as that does."""
        ticket = _Ticket(request)
        self._settle(ticket)
        if ticket.answer is None:
            # It came back short, or another file broke the process: alone it can be told.
            ticket.alone, ticket.answered = True, False
            self._settle(ticket)
        assert ticket.answer is not None  # noqa: S101 -- alone it is answered, or it raises
        return ticket.answer

    def _settle(self, ticket: _Ticket) -> None:
        with self._changed:
            self._waiting.append(ticket)
            self._changed.wait_for(lambda: ticket.answered or (self._free and ticket in self._waiting))
            if ticket.answered:
                return
            company = self._company(ticket)
            self._free -= 1
        answers: list[list[Pcm] | None] = [None] * len(company)
        try:
            answers = self._decoded([one.request for one in company])
        except MediaError:
            if len(company) == 1:
                raise
        finally:
            with self._changed:
                for one, answer in zip(company, answers, strict=True):
                    one.answer, one.answered = answer, True
                self._free += 1
                self._changed.notify_all()

    def _company(self, ticket: _Ticket) -> list[_Ticket]:
        """Take a ticket off the list, and with it the oldest others that may share its process."""
        self._waiting.remove(ticket)
        company, inputs = [ticket], len(ticket.request.segments)
        for other in [] if ticket.alone else list(self._waiting):
            inputs += len(other.request.segments)
            if len(company) == FILES_AT_ONCE or inputs > INPUTS_AT_ONCE:
                break
            if not other.alone:
                company.append(other)
                self._waiting.remove(other)
        return company
