"""HTTP: requests in, replies out. What they mean is `api`'s business."""

from __future__ import annotations

import asyncio
import functools
import logging
import shutil
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar

import anyio
from anyio.to_thread import run_sync
from fastapi import Request, Response
from starlette.requests import ClientDisconnect

from pipeline.server.api import Api
from pipeline.server.form import Form, read_form
from pipeline.server.gate import Pace, is_here
from pipeline.server.jobs import Jobs
from pipeline.server.metrics import CONTENT_TYPE, Metrics
from pipeline.server.workers import Readiness
from pipeline.wire.audiotag_errors import ErrorText
from pipeline.wire.audiotag_replies import error_reply, to_json

SILENCE_S: Final = 20.0
"""A client that sends nothing of its body for so long has gone."""

UPLOAD_S: Final = 900.0
"""100 MB at 1 Mbit/s take 840 s; whoever is slower holds a place for nothing."""

SLOWEST_BYTES_S: Final = 8000
"""After `SILENCE_S` a body must have come at this pace, on average: a byte now and then holds no place either."""

HOLD_S: Final = 1.0
"""`get_result` waits so long for a job that is about to be answered: it saves most clients their second question,
and brakes those that ask without a pause. Under load a question costs as much as a tenth of an answer."""

MOST_DELAY_S: Final = 2.0
"""What a client that asks too often waits, at most, before it is answered all the same."""

SPARE_BYTES: Final = 500_000_000
"""Uploads are not kept when the disk has less left than this: the accounts must always have room."""

_log = logging.getLogger(__name__)

T = TypeVar("T")


class ClientLeft(Exception):
    """A client went away, or fell silent, before its request was whole."""


class Door:
    """What the routes share: the API, and the limits before it."""

    def __init__(
        self,
        api: Api,
        jobs: Jobs,
        metrics: Metrics,
        *,
        welcome: Callable[[str, bool], bool],
        readiness: Callable[[], Readiness],
        folder: Path,
        most_bytes: int,
        most_uploads: int,
        uploads_at_once: int,
        per_key: Pace,
        per_address: Pace,
        open_metrics: bool,
    ) -> None:
        """`welcome`: whether a key, from this machine or not, may ask. `folder` receives uploads; so many of them are
        decoded and accepted at once.
        """
        self._welcome = welcome
        self._api = api
        self._jobs = jobs
        self._metrics = metrics
        self._readiness = readiness
        self._folder = folder
        self.most_bytes = most_bytes
        self._most_uploads = most_uploads
        self.uploads: Counter[str] = Counter()
        """Uploads being received or decoded, by address."""
        # Questions have threads of their own: they never wait behind an upload that is being decoded.
        self._decoding = anyio.CapacityLimiter(uploads_at_once)
        self._asking = anyio.CapacityLimiter(8)
        self._per_key = per_key
        self._per_address = per_address
        self._open_metrics = open_metrics

    async def api(self, request: Request) -> Response:
        """Any request to `/api`: always HTTP 200, for many clients give up on anything else before they read it."""
        if request.method != "POST":
            return json_reply(to_json(error_reply(ErrorText.INVALID_COMMAND)))
        address = request.client.host if request.client else ""
        from_here = is_here(address)

        def welcome(form: Form) -> bool:
            # A key that came before the file and is not let in saves the disk the upload; `api` says why.
            key = form.fields.get("apikey")
            return key is None or self._welcome(key, from_here)

        try:
            async with self.received(request, welcome) as form:
                return await self._reply(address, form, from_here=from_here)
        except ClientLeft:
            return json_reply(to_json(error_reply(ErrorText.INVALID_COMMAND)), close=True)

    @asynccontextmanager
    async def received(self, request: Request, welcome: Callable[[Form], bool]) -> AsyncIterator[Form]:
        """What a request holds; its file is on the disk for as long as the block lasts, if it is `welcome` when it
        begins. Raises ClientLeft.
        """
        with Form() as form, _Place(self, request.client.host if request.client else "") as place:
            try:
                await self._read(request, form, lambda: welcome(form) and place.take())
            except (ClientDisconnect, TimeoutError) as error:
                _log.info("a client left in mid-request reason=%s", type(error).__name__)
                raise ClientLeft from error
            except OSError as error:
                _log.error("an upload could not be kept error=%s", error.strerror)
                form.lost = True
            yield form

    async def decoded(self, decode: Callable[[], T]) -> T:
        """What `decode` returns, in its turn among all that is being decoded."""
        return await run_sync(decode, limiter=self._decoding)

    async def _reply(self, address: str, form: Form, *, from_here: bool) -> Response:
        began = time.monotonic()
        await self.brake(address, form.fields.get("apikey", "").strip()[:64])
        action = form.fields.get("action", "")
        if action == "get_result":
            await self.hold(form.fields.get("token", ""), HOLD_S)
        limiter = self._decoding if action == "identify" else self._asking
        answer = functools.partial(self._api.reply, form, from_here=from_here)
        text, outcome = await run_sync(answer, limiter=limiter)
        self._metrics.replied(action, outcome, time.monotonic() - began, form.size_bytes)
        return json_reply(text, close=form.lost)

    async def health(self) -> Response:
        """200 `serving` when jobs are being answered, else 503 with `loading`, `failed` or `broken`."""
        state = self._readiness()
        return Response(state + "\n", 200 if state is Readiness.SERVING else 503, media_type="text/plain")

    async def metrics(self, request: Request) -> Response:
        """The numbers, for this machine only unless the settings say otherwise."""
        if not self._open_metrics and not is_here(request.client.host if request.client else None):
            return Response(status_code=404)
        return Response(self._metrics.text(), media_type=CONTENT_TYPE)

    async def _read(self, request: Request, form: Form, keep: Callable[[], bool]) -> None:
        await read_form(
            form,
            request.headers.get("content-type", ""),
            _patient(request.stream()),
            folder=self._folder,
            most_bytes=self.most_bytes,
            keep=keep,
        )

    def has_place(self, address: str) -> bool:
        """Whether one more upload may be kept: half of the places are the most that one other machine gets."""
        if self.uploads.total() >= self._most_uploads:
            return False
        if not is_here(address) and self.uploads[address] >= max(self._most_uploads // 2, 1):
            return False
        return shutil.disk_usage(self._folder).free > SPARE_BYTES + self.most_bytes

    async def brake(self, address: str, key: str | None = None) -> None:
        """Keep a request waiting whose address, or key, asks too often."""
        delay_s = max(self._per_address.delay_s(address), 0.0 if key is None else self._per_key.delay_s(key))
        if delay_s:
            await asyncio.sleep(min(delay_s, MOST_DELAY_S))

    async def hold(self, token: str, timeout_s: float) -> None:
        """Wait until the job of a token is answered, but no longer than `timeout_s`."""
        if (pending := self._jobs.pending(token)) is not None:
            await asyncio.wait([asyncio.wrap_future(pending)], timeout=timeout_s)


class _Place:
    """One upload's right to be on the disk; there are as many as `most_uploads`."""

    def __init__(self, door: Door, address: str) -> None:
        self._door = door
        self._address = address
        self._taken = False

    def take(self) -> bool:
        """Whether there is a place, and room on the disk: else the file is read and let go."""
        self._taken = self._door.has_place(self._address)
        self._door.uploads[self._address] += self._taken
        return self._taken

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._door.uploads[self._address] -= self._taken
        self._door.uploads += Counter()  # forgets the addresses that hold none


async def _patient(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The body as it comes. Raises TimeoutError when it stalls, trickles, or takes longer than any honest client."""
    began, received = time.monotonic(), 0
    step: Callable[[], Awaitable[bytes]] = body.__anext__
    while True:
        took_s = time.monotonic() - began
        if took_s > UPLOAD_S or received < (took_s - SILENCE_S) * SLOWEST_BYTES_S:
            raise TimeoutError
        try:
            async with asyncio.timeout(SILENCE_S):
                chunk = await step()
        except StopAsyncIteration:
            return
        received += len(chunk)
        yield chunk


def json_reply(text: str, *, close: bool = False) -> Response:
    """A reply of the API, which may be the last of its connection."""
    # What is left of a body that was not read to its end would be taken for the next request.
    headers = {"connection": "close"} if close else None
    return Response(text, media_type="application/json", headers=headers)
