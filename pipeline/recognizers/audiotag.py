"""Ask an AudioTag service, the public one or another that speaks its API, what a probe holds."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Self, TypeVar

from pipeline.audio import wav_bytes
from pipeline.errors import (
    BadReply,
    EarmarkError,
    KeyRefused,
    SegmentRefused,
    ServiceBusy,
    ServiceUnreachable,
    UploadInDoubt,
    UsageError,
)
from pipeline.model import MIN_SEGMENT_S, Probe, Recognition, Status, Usage
from pipeline.recognizers.audiotag_http import Answer, AudioTagHttp
from pipeline.retry import Clock, RateLimit, SystemClock
from pipeline.wire.audiotag import (
    Accepted,
    AccountStat,
    Info,
    Outcome,
    read_identify,
    read_info,
    read_result,
    read_stat,
    token_in,
)
from pipeline.wire.foreign_json import shorten
from pipeline.wire.tracks import matches_of

PUBLIC_URL = "https://audiotag.info/api"

MAX_UPLOAD_BYTES = 100 * 1000 * 1000
"""The document's "100 Mb", read the narrow way."""

_REMEMBER_TOKENS_S = 600.0
_SHORT_S = 30.0

_T = TypeVar("_T")
_log = logging.getLogger(__name__)


class AudioTag:
    """A recognizer over HTTP. Every probe it sends costs its seconds; it sends each at most once.

    Which error says what of the money:
    nothing taken: ServiceUnreachable, ServiceBusy, UsageError, KeyRefused, CreditsExhausted, SegmentRefused
    (but see "could not process the file" in wire/audiotag_errors) ·
    nobody knows: UploadInDoubt, and BadReply from `identify`, which is a refusal in words the document has
    not. May be used by many threads; nothing is repeated here (that is `pipeline.retry`'s part).
    """

    paid = True
    edition = ""

    def __init__(
        self,
        url: str,
        key: str,
        *,
        jobs: int = 8,
        rate_per_s: float | None = None,
        connect_s: float = 10.0,
        upload_s: float = 60.0,
        answer_s: float = 60.0,
        insecure: bool = False,
        clock: Clock | None = None,
    ) -> None:
        """`jobs`: threads that ask at the same time. `upload_s`, `answer_s`: the longest silence borne from
        the service after an upload, and after a free request. `rate_per_s`: requests of all kinds; None: no
        limit. UsageError when the address or the key cannot be used.
        """
        self._http = AudioTagHttp(url, key, connections=jobs, connect_s=connect_s, insecure=insecure)
        self._upload_s = upload_s
        self._answer_s = answer_s
        self._clock = clock or SystemClock()
        self._limit = RateLimit(rate_per_s, clock=self._clock)
        self._stop = threading.Event()
        self._turn = threading.local()
        self._born: dict[str, float] = {}
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"AudioTag({self._http.url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def name(self) -> str:
        return "audiotag" if self._http.url == PUBLIC_URL else self._http.url

    def identify(
        self, probe: Probe, *, start_s: float | None = None, length_s: float | None = None
    ) -> Recognition:
        """Upload a probe, or have only `length_s` from `start_s` of it analysed; PENDING with a token,
        mostly.
        """
        analysed_s = min(length_s or probe.length_s, probe.length_s - (start_s or 0.0))
        content = wav_bytes(probe.pcm)
        if analysed_s < MIN_SEGMENT_S or len(content) > MAX_UPLOAD_BYTES:
            raise SegmentRefused(
                f"{analysed_s:.1f} s ({len(content)} bytes) of audio were not sent: {self.name} takes"
                f" {MIN_SEGMENT_S:.0f} s at least and {MAX_UPLOAD_BYTES} bytes at most"
            )
        span = {"start_time": start_s, "time_len": length_s}
        fields = {name: f"{value:g}" for name, value in span.items() if value is not None}
        if not (self._has_turn() or self.wait_for_turn()):
            raise ServiceUnreachable(f"identify was not sent to {self.name}: a stop was asked for")
        self._turn.taken = False
        answer = self._http.upload(
            "identify", f"{probe.sha256[:16]}.wav", content, read_s=self._upload_s, **fields
        )
        accepted = self._accepted(answer)
        self._remember(accepted.token)
        charged_s = analysed_s if accepted.length_s is None else max(0.0, accepted.length_s)
        _log.debug(
            "A probe was taken: sha256=%s token=%s charged_s=%g", probe.sha256, accepted.token, charged_s
        )
        return Recognition(
            Status.FOUND if accepted.candidates else Status.PENDING,
            token=accepted.token,
            matches=matches_of(accepted.candidates),
            charged_s=charged_s,
            raw=answer.text,
        )

    def result(self, token: str) -> Recognition:
        """The answer behind a token; free. TokenLost when the service no longer knows it."""
        with self._lock:
            born = self._born.get(token, 0.0)
        outcome, text = self._ask("get_result", read_result, born, token=token)
        if outcome.status is not Status.PENDING:
            with self._lock:
                self._born.pop(token, None)
        return _recognition(outcome, token, text)

    def still_names(self, track_id: str) -> bool:
        """True: what was paid for stays true."""
        return True

    def info(self) -> Info:
        """What the service says of itself; free."""
        return self._ask("info", read_info, self._clock.now())[0]

    def stat(self) -> AccountStat:
        """What the key has used and what is left; free."""
        return self._ask("stat", read_stat, self._clock.now())[0]

    def usage(self) -> Usage:
        """The key's counters at this moment; free."""
        stat = self.stat()
        return Usage(stat.uploaded_s, stat.queries)

    def heed(self, stop: threading.Event) -> None:
        """Send no more uploads once `stop` is set; what was paid for can still be asked for."""
        self._stop = stop

    def wait_for_turn(self) -> bool:
        """As `Metered` promises."""
        self._turn.taken = self._limit.turn(self._clock.now(), stop=self._stop)
        return self._has_turn()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _ask(self, action: str, read: Callable[[str], _T], priority: float, **fields: str) -> tuple[_T, str]:
        if not self._limit.turn(priority):
            raise ServiceUnreachable(f"{action} was not sent to {self.name}: a stop was asked for")
        # A person may wait for the others; an answer that was paid for is worth more patience.
        read_s = self._answer_s if action == "get_result" else min(self._answer_s, _SHORT_S)
        answer = self._http.ask(action, read_s=read_s, **fields)
        try:
            return read(answer.text), answer.text
        except ServiceBusy as busy:
            busy.retry_after_s = answer.retry_after_s
            raise
        except BadReply as bad:
            raise self._without_reply(action, answer) or bad from None

    def _accepted(self, answer: Answer) -> Accepted:
        try:
            return read_identify(answer.text)
        except ServiceBusy as busy:
            busy.retry_after_s = answer.retry_after_s
            raise
        except UploadInDoubt as doubt:
            token = token_in(answer.text)
            if token:
                return Accepted(token)
            raise self._refused(answer, "identify") or _in_doubt(answer, doubt) from None

    def _without_reply(self, action: str, answer: Answer) -> EarmarkError | None:
        """What became of a free request whose reply cannot be read; None when the reply itself is to
        blame.
        """
        refused = self._refused(answer, action)
        if refused is not None:
            return refused
        if answer.status is not None and answer.status >= 500:
            return ServiceBusy(
                f"{self.name} answered {action} with HTTP {answer.status}",
                retry_after_s=answer.retry_after_s,
                hint="run again later",
                raw=answer.text,
            )
        if answer.broken:
            return ServiceUnreachable(
                f"the connection to {self.name} broke during {action}: {answer.broken}",
                hint="check the network, then run the same command again",
                raw=answer.text,
            )
        return None

    def _refused(self, answer: Answer, action: str) -> EarmarkError | None:
        """What an HTTP status below 500 says when the body says nothing: the request was turned away
        unread.
        """
        status = answer.status or 0
        said = f"{self.name} answered {action} with HTTP {status}"
        if status == 429:
            return ServiceBusy(said, retry_after_s=answer.retry_after_s, hint="lower --jobs", raw=answer.text)
        if status in {401, 403}:
            return KeyRefused(
                said, hint="check AUDIOTAG_API_KEY, and whether this network is blocked", raw=answer.text
            )
        if 300 <= status < 400:
            where = f" to {answer.location}" if answer.location else ""
            return UsageError(
                f"{said}, a redirect{where}, which is not followed with a key",
                hint="set AUDIOTAG_URL to the final address of the API",
            )
        # 408: a proxy lost patience, who knows when. The rest says that this is not the API, or not for us.
        if 400 <= status < 500 and status != 408:
            return UsageError(f"{said}: {shorten(answer.text)!r}", hint="check AUDIOTAG_URL")
        return None

    def _has_turn(self) -> bool:
        return getattr(self._turn, "taken", False)

    def _remember(self, token: str) -> None:
        now = self._clock.now()
        with self._lock:
            self._born = {
                known: born for known, born in self._born.items() if now - born < _REMEMBER_TOKENS_S
            }
            self._born[token] = now


def _recognition(outcome: Outcome, token: str, text: str) -> Recognition:
    return Recognition(outcome.status, token=token, matches=matches_of(outcome.candidates), raw=text)


def _in_doubt(answer: Answer, doubt: UploadInDoubt) -> UploadInDoubt:
    if answer.status is None:
        said = f"the connection broke after the upload had begun: {answer.broken}"
    else:
        said = f"the upload was answered with HTTP {answer.status} and no token"
        said += f" ({answer.broken})" if answer.broken else f": {doubt.message}"
    return UploadInDoubt(
        said,
        hint="it may have been charged, so it is written down and not sent again by itself",
        raw=answer.text,
    )
