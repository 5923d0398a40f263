"""The four actions of the AudioTag API as plain functions of accounts and jobs: no HTTP in here."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from pipeline.audio import DOCUMENTED, Decoder
from pipeline.errors import StorageError
from pipeline.files import storage_errors
from pipeline.model import Status
from pipeline.server.accounts import Account, Accounts
from pipeline.server.form import Form
from pipeline.server.intake import Span, take_in
from pipeline.server.jobs import Jobs
from pipeline.server.refusal import Refusal
from pipeline.server.workers import Readiness
from pipeline.wire.audiotag import Accepted, AccountStat, Info, Outcome
from pipeline.wire.audiotag_errors import ErrorText
from pipeline.wire.audiotag_replies import (
    error_reply,
    identify_reply,
    info_reply,
    lost_token_reply,
    result_reply,
    stat_reply,
    to_json,
)

API_VERSION: Final = "2.6"
"""2.5 and the candidates' `aid`."""

ACTIONS: Final = ("info", "stat", "identify", "get_result")

NO_EXPIRY: Final = "2099-12-31 23:59:59"
"""Clients read `expiration_date` as a time, and break when it is empty."""

_UNFORESEEN: Final = {
    "info": ErrorText.INTERNAL,
    "stat": ErrorText.STATS_NOT_FOUND,
    "identify": ErrorText.NOT_PROCESSED,
    "get_result": ErrorText.RECOGNITION_ERROR,
}
"""What the document lets each action say when the fault is the service's own."""

_DOWN: Final = {Readiness.FAILED: ErrorText.SERVER_INIT, Readiness.BROKEN: ErrorText.NO_COMMUNICATION}

_NUMBER = re.compile(r"[+-]?\d{1,9}(\.\d{0,9})?", re.ASCII)

_log = logging.getLogger(__name__)


class Api:
    """Answers requests. Safe to use from several threads; `identify` decodes in the caller's."""

    def __init__(
        self,
        accounts: Accounts,
        jobs: Jobs,
        decoder: Decoder,
        *,
        readiness: Callable[[], Readiness],
        most_bytes: int,
        most_s: float,
    ) -> None:
        """`most_bytes`: of an upload. `most_s`: seconds of it that are analysed."""
        self._accounts = accounts
        self._jobs = jobs
        self._decoder = decoder
        self._readiness = readiness
        self._most_bytes = most_bytes
        self._most_s = most_s

    def reply(self, form: Form, *, from_here: bool) -> tuple[str, str]:
        """The JSON that answers a request, and in a word what became of it.

        `from_here`: the client is on this machine.
        """
        action = form.fields.get("action", "")
        try:
            return self._granted(action, form, from_here=from_here), "ok"
        except Refusal as refusal:
            if refusal.why:
                _log.info("refused action=%s error=%s reason=%s", action, refusal.error.name, refusal.why)
            if refusal.error is ErrorText.INVALID_TOKEN:
                return to_json(lost_token_reply()), refusal.error.name.lower()
            return to_json(error_reply(refusal.error)), refusal.error.name.lower()
        except StorageError as error:
            _log.error("the accounts cannot be used action=%s error=%s", action, error)
            full = ErrorText.NOT_AVAILABLE if action == "identify" else ErrorText.NO_SERVER_RESPONSE
            return to_json(error_reply(full)), "storage"
        except Exception:
            _log.exception("a request set off a bug action=%s", action)
            return to_json(error_reply(_UNFORESEEN.get(action, ErrorText.INTERNAL))), "bug"

    def _granted(self, action: str, form: Form, *, from_here: bool) -> str:
        if form.broken or action not in ACTIONS:
            raise Refusal(ErrorText.INVALID_COMMAND)
        account = self._accounts.admit(form.fields.get("apikey", ""), from_here=from_here)
        if action == "info":
            return to_json(info_reply(Info(API_VERSION)))
        if action == "stat":
            return to_json(self._stat(account))
        if action == "get_result":
            return self._result(account, form.fields.get("token", ""))
        return to_json(self._identify(account, form))

    def _stat(self, account: Account) -> dict[str, Any]:
        return stat_reply(
            AccountStat(
                credit_balance=account.credits,
                free_s=account.free_s,
                expires=expiry_words(account.expires_at),
                queries=self._accounts.queries(account),
                uploaded_s=account.uploaded_s,
                uploaded_bytes=account.uploaded_bytes,
                credits_spent=account.credits_spent,
            )
        )

    def _result(self, account: Account, token: str) -> str:
        reply = self._jobs.answer(account.key_id, token)
        if reply is not None:
            return reply
        if self._readiness() in _DOWN:
            raise Refusal(ErrorText.NOT_READY)
        return to_json(result_reply(Outcome(Status.PENDING)))

    def _identify(self, account: Account, form: Form) -> dict[str, Any]:
        span = _span(form.fields)
        if error := _DOWN.get(self._readiness()):
            raise Refusal(error)
        if form.extension not in DOCUMENTED or not form.size_bytes or form.size_bytes > self._most_bytes:
            raise Refusal(ErrorText.NO_AUDIO)
        if form.lost or form.upload is None or not self._jobs.has_room(account.key_id):
            raise Refusal(ErrorText.NOT_AVAILABLE)
        if account.free_s + account.credits <= 0:
            raise Refusal(ErrorText.BALANCE_EXHAUSTED)
        token, place = self._jobs.new_place()
        try:
            with storage_errors(place):
                heard_s = take_in(form.upload, place, span, decoder=self._decoder, most_s=self._most_s)
            # Whole seconds, as the reply says them: what is charged is what the client is told.
            start_s, length_s = round(span.start_s), round(heard_s)
            self._jobs.accept(
                token, account.key_id, start_s=start_s, length_s=length_s, size_bytes=form.size_bytes
            )
        except BaseException:
            place.unlink(missing_ok=True)
            raise
        _log.info("accepted key=%d seconds=%d bytes=%d", account.key_id, length_s, form.size_bytes)
        return identify_reply(Accepted(token, start_s, length_s))


def expiry_words(expires_at: float | None) -> str:
    """When a key ends, as `stat` words it: UTC, with no zone given."""
    if expires_at is None:
        return NO_EXPIRY
    return datetime.fromtimestamp(expires_at, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _span(fields: Mapping[str, str]) -> Span:
    start_s = _seconds(fields.get("start_time", ""))
    return Span(max(start_s or 0.0, 0.0), _seconds(fields.get("time_len", "")))


def _seconds(text: str) -> float | None:
    """A number of seconds as clients write it: `40`, `12.0`, nothing. Raises Refusal for anything else."""
    text = text.strip()
    if text in {"", "null"}:
        return None
    if not _NUMBER.fullmatch(text):
        raise Refusal(ErrorText.INVALID_COMMAND)
    return float(text)
