"""A scripted AudioTag service over real HTTP: strict on the document, with its own record of every charge.

In a test:      with AudioTagService(lookup) as service: AudioTag(service.url, KEY)
As a process:   python -m tests.services.audiotag --port 0 --script plan.json --record charges.jsonl
                prints its URL. The plan may hold `known` (SHA-256 of the PCM to a list of candidates as in
                the document's `data`), `keys`, `latency_s`, `free_s`, `credits_s`, `faults` (action to a list),
                and `about`: a list of `{"sha256": ..., "action": ..., "fault": {...}}`, for ever or for so
                many `times`.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import secrets
import socket
import struct
import sys
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from pipeline.model import MIN_SEGMENT_S, RATE_HZ, Pcm, Status
from pipeline.wire.audiotag import Accepted, AccountStat, Candidate, Info, Outcome, read_candidates
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
from tests.services.faults import Fault, from_json
from tests.services.records import Charge, Job, Rule, Seen
from tests.services.uploads import Form, read_form, read_pcm

KEY = "a45d46d912acf22f095ddf0a94df21e5"
"""The document's example key, which the scripted service knows as active."""

MAX_UPLOAD_BYTES = 100_000_000
FOR_EVER = 1_000_000

Lookup = Callable[[Pcm], Sequence[Candidate]]


class AudioTagService:
    """The service: what it knows, whom it serves, what it is owed."""

    def __init__(
        self,
        lookup: Lookup = lambda _: (),
        *,
        keys: Mapping[str, str] | None = None,
        latency_s: float = 0.0,
        free_s: float = 10_800,
        credits_s: float = 0,
        token_life_s: float = 300.0,
        now: Callable[[], float] = time.time,
        record: Path | None = None,
        port: int = 0,
    ) -> None:
        """`keys`: key to `active`, `expired` or `inactive`. `latency_s`: how long a recognition takes on the
        clock `now`. `free_s` is used up first, then `credits_s`, seconds too. `record`: a file that receives
        every charge as a line of JSON, at once. `counts_every_request` says what `stat` calls a query: every request
        (the document's own example can mean nothing else: 23 queries with 96 seconds), or uploads alone. `others_s`:
        what others upload with the same key.
        """
        self.lookup = lookup
        self.keys = dict(keys or {KEY: "active"})
        self.latency_s = latency_s
        self.free_s = free_s
        self.credits_s = credits_s
        self.token_life_s = token_life_s
        self.charges: list[Charge] = []
        self.seen: list[Seen] = []
        self.stopping = threading.Event()
        self._now = now
        self._record = record
        self._faults: defaultdict[str, deque[Fault]] = defaultdict(deque)
        self._rules: list[Rule] = []
        self.counts_every_request = True
        self.others_s = 0
        self._still: dict[str, Any] | None = None
        self._jobs: dict[str, Job] = {}
        self._spent: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", port), self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/api"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def plan(self, action: str, *faults: Fault) -> None:
        """Mistreat the next requests of an action, one fault each; `connect`: whole connections."""
        with self._lock:
            self._faults[action].extend(faults)

    def plan_about(
        self, about: Callable[[Pcm], bool], action: str, fault: Fault, *, times: int = FOR_EVER
    ) -> None:
        """Mistreat the next `times` requests of an action that are about such audio."""
        with self._lock:
            self._rules.append(Rule(action, about, fault, times))

    def behave(self) -> None:
        """Forget every planned fault."""
        with self._lock:
            self._faults.clear()
            self._rules.clear()

    def charged_s(self) -> int:
        """Seconds charged in all."""
        return sum(charge.seconds for charge in self.charges)

    def paid_twice(self) -> list[str]:
        """The SHA-256 of every probe that was charged more than once."""
        times = Counter(charge.sha256 for charge in self.charges)
        return [sha256 for sha256, n in times.items() if n > 1]

    def times_charged(self) -> dict[str, int]:
        """How often each audio was charged, by the SHA-256 of its PCM."""
        return dict(Counter(charge.sha256 for charge in self.charges))

    def fault(self, action: str, form: Form | None = None) -> Fault | None:
        """The fault planned for this request, used up."""
        with self._lock:
            if self._faults[action]:
                return self._faults[action].popleft()
            pcm = self._audio_of(form) if form is not None and self._rules else None
            for rule in self._rules:
                if pcm is not None and rule.action == action and rule.times and rule.about(pcm):
                    rule.times -= 1
                    return rule.fault
            return None

    def _audio_of(self, form: Form) -> Pcm | None:
        if form.file:
            return read_pcm(form.filename, form.file)
        job = self._jobs.get(form.fields.get("token", ""))
        return job.pcm if job else None

    def reply(self, form: Form) -> dict[str, Any]:
        """The reply to a well-formed POST."""
        action = form.fields.get("action", "")
        answers = {
            "info": self._info,
            "stat": self._stat,
            "identify": self._identify,
            "get_result": self._get_result,
        }
        if action not in answers:
            return error_reply(ErrorText.INVALID_COMMAND)
        refusal = self._key_refusal(form.fields.get("apikey", "").strip())
        return error_reply(refusal) if refusal else answers[action](form)

    def _key_refusal(self, key: str) -> ErrorText | None:
        if not key:
            return ErrorText.KEY_INVALID
        states = {"expired": ErrorText.KEY_EXPIRED, "inactive": ErrorText.KEY_INACTIVE, "active": None}
        return states[self.keys[key]] if key in self.keys else ErrorText.KEY_UNRECOGNIZED

    def _info(self, _: Form) -> dict[str, Any]:
        return info_reply(Info("2.6"))

    def stop_counting(self) -> None:
        """From now on `stat` says what it says now, whatever is charged."""
        self._still = self._stat(Form())

    def _stat(self, _: Form) -> dict[str, Any]:
        if self._still is not None:
            return self._still
        return stat_reply(
            AccountStat(
                credit_balance=self.credits_s,
                free_s=self.free_s,
                expires="2036-05-15 19:06:12",
                queries=len(self.seen) if self.counts_every_request else len(self.charges),
                uploaded_s=self.charged_s() + self.others_s,
                uploaded_bytes=self._spent["bytes"],
                credits_spent=self._spent["credits"],
            )
        )

    def _identify(self, form: Form) -> dict[str, Any]:
        pcm = read_pcm(form.filename, form.file) if form.file else None
        if pcm is None:
            return error_reply(ErrorText.NO_AUDIO)
        start_s = float(form.fields.get("start_time") or 0)
        left_s = len(pcm) / RATE_HZ - start_s
        length_s = min(float(form.fields.get("time_len") or left_s), left_s)
        if length_s < MIN_SEGMENT_S:
            return error_reply(ErrorText.TOO_SHORT)
        first = round(start_s * RATE_HZ)
        candidates = self.lookup(pcm[first : first + round(length_s * RATE_HZ)])
        token = secrets.token_hex(16)
        with self._lock:
            if self.free_s + self.credits_s < round(length_s):
                return error_reply(ErrorText.BALANCE_EXHAUSTED)
            self._charge(token, pcm, round(length_s), len(form.file or b""))
            self._jobs[token] = Job(self._now(), candidates, pcm)
        return identify_reply(Accepted(token, start_s, length_s))

    def _charge(self, token: str, pcm: Pcm, seconds: int, size_bytes: int) -> None:
        free = min(self.free_s, seconds)
        self.free_s -= free
        self.credits_s -= seconds - free
        self._spent["credits"] += round(seconds - free)
        self._spent["bytes"] += size_bytes
        charge = Charge(token, _sha256(pcm), seconds, self._now())
        self.charges.append(charge)
        if self._record is not None:
            with self._record.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(charge)) + "\n")

    def _get_result(self, form: Form) -> dict[str, Any]:
        job = self._jobs.get(form.fields.get("token", ""))
        age_s = self._now() - job.born if job else 0.0
        if job is None or age_s > self.token_life_s:
            return lost_token_reply()
        if age_s < self.latency_s:
            return result_reply(Outcome(Status.PENDING))
        if not job.candidates:
            return result_reply(Outcome(Status.NOT_FOUND))
        return result_reply(Outcome(Status.FOUND, tuple(job.candidates)))


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], service: AudioTagService) -> None:
        super().__init__(address, _Handler)
        self.service = service

    def handle_error(self, request: Any, client_address: Any) -> None:
        # Clients that leave in mid-sentence are part of the plan; anything else is a bug of this file.
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def handle(self) -> None:
        if self.server.service.fault("connect"):
            self._reset()
        else:
            super().handle()

    def do_POST(self) -> None:
        form = read_form(self.headers.get("Content-Type", ""), self._body())
        action = self._see(form)
        if self.path.split("?")[0].rstrip("/") != "/api":
            self._send(404, "<html>not found</html>")
            return
        fault = self.server.service.fault(action, form)
        if fault is None:
            self._send(200, to_json(self.server.service.reply(form)))
            return
        text = to_json(self.server.service.reply(form)) if fault.take else ""
        self.server.service.stopping.wait(fault.delay_s)
        if fault.reset:
            self._reset()
        else:
            text = text if fault.body is None else fault.body
            self._send(fault.status, text, headers=fault.headers, keep=fault.keep)

    def do_GET(self) -> None:
        self._see(Form())
        self._send(200, to_json(error_reply(ErrorText.INVALID_COMMAND)))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing: what arrived is in `seen`."""

    def _see(self, form: Form) -> str:
        action = form.fields.get("action", "")
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.service.seen.append(
            Seen(
                action,
                self.command,
                self.path,
                headers,
                form.fields,
                form.filename,
                self.client_address[1],
                time.monotonic(),
            )
        )
        return action

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            length = min(int(self.headers.get("Content-Length", 0)), MAX_UPLOAD_BYTES)
            body = self.rfile.read(length)
            if len(body) < length:
                raise ConnectionResetError("the client left in mid-body")
            return body
        chunks = bytearray()
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return bytes(chunks)

    def _send(
        self, status: int, text: str, *, headers: Mapping[str, str] | None = None, keep: int | None = None
    ) -> None:
        body = text.encode()
        # A planned Date stands for a service whose clock is wrong.
        (self.send_response_only if headers and "Date" in headers else self.send_response)(status)
        # The live service labels its JSON so.
        self.send_header("Content-Type", "text/html; charset=UTF-8")
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[:keep])
        self.close_connection = self.close_connection or keep is not None

    def _reset(self) -> None:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


def known_by_hash(known: Mapping[str, Sequence[Candidate]]) -> Lookup:
    """A lookup that knows probes by the SHA-256 of their PCM."""
    return lambda pcm: known.get(_sha256(pcm), ())


def _sha256(pcm: Pcm) -> str:
    return hashlib.sha256(pcm.astype("<i2").tobytes()).hexdigest()


def _is(sha256: str, pcm: Pcm) -> bool:
    return _sha256(pcm) == sha256


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--script", type=Path, help="the plan, a JSON file")
    parser.add_argument("--record", type=Path, help="receives every charge as a line of JSON")
    parser.add_argument(
        "--lookup", help="module:function, from PCM to candidates, instead of the plan's `known`"
    )
    arguments = parser.parse_args()
    plan = json.loads(arguments.script.read_text()) if arguments.script else {}
    lookup = known_by_hash({sha256: read_candidates(data) for sha256, data in plan.get("known", {}).items()})
    if arguments.lookup:
        module, _, function = arguments.lookup.partition(":")
        lookup = getattr(importlib.import_module(module), function)
    settings = {name: plan[name] for name in ("keys", "latency_s", "free_s", "credits_s") if name in plan}
    with AudioTagService(lookup, port=arguments.port, record=arguments.record, **settings) as service:
        for action, faults in plan.get("faults", {}).items():
            service.plan(action, *map(from_json, faults))
        for item in plan.get("about", []):
            about = partial(_is, item["sha256"])
            service.plan_about(
                about, item["action"], from_json(item["fault"]), times=item.get("times", FOR_EVER)
            )
        print(service.url, flush=True)
        service.stopping.wait()


if __name__ == "__main__":
    main()
