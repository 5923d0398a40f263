"""The first page: drop a recording, see what it is."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Final

from fastapi import APIRouter, Request, Response

from pipeline.audio import Decoder
from pipeline.files import storage_errors
from pipeline.server.accounts import Accounts
from pipeline.server.intake import Span, take_in
from pipeline.server.jobs import Jobs
from pipeline.server.page.answers import answer_of
from pipeline.server.page.desk import Desk, PageError
from pipeline.server.page.shelf import Shelf
from pipeline.server.refusal import Refusal
from pipeline.wire.audiotag_errors import ErrorText

MOST_S: Final = 600.0
"""Of a longer recording the first ten minutes are heard: a whole mix is `earmark identify`'s business."""

HOLD_S: Final = 8.0
"""A result's page is held back so long for its answer; without a script it then looks again by itself."""


class Home:
    """Routes that everybody may use who reaches the service."""

    def __init__(self, desk: Desk, accounts: Accounts, jobs: Jobs, shelf: Shelf, decoder: Decoder) -> None:
        self._desk = desk
        self._accounts = accounts
        self._jobs = jobs
        self._shelf = shelf
        self._decoder = decoder
        self._account = functools.cache(accounts.page)

    def router(self) -> APIRouter:
        router = APIRouter(include_in_schema=False)
        router.add_api_route("/", self.home, methods=["GET"], response_class=Response)
        router.add_api_route("/identify", self.identify, methods=["POST"], response_class=Response)
        router.add_api_route("/result/{token}", self.result, methods=["GET"], response_class=Response)
        return router

    async def home(self, request: Request) -> Response:
        """The drop zone."""
        count = await self._desk.asked(lambda: len(self._shelf.catalogue()))
        return self._desk.page(request, "home.html", tracks=count)

    async def identify(self, request: Request) -> Response:
        """Take a recording in; its answer is on the page that follows."""
        async with self._desk.form(request) as form:
            if not form.has_file or not form.filename:
                raise PageError(400, "No file was chosen.", "Choose a recording, then press the button.")
            if form.size_bytes > self._desk.door.most_bytes:
                raise PageError(
                    413,
                    "This file is too large.",
                    f"{self._desk.door.most_bytes // 1_048_576} MB are the most.",
                )
            if form.upload is None or form.lost:
                raise Refusal(ErrorText.NOT_AVAILABLE)
            upload, size_bytes = form.upload, form.size_bytes
            token = await self._desk.door.decoded(lambda: self._accept(upload, size_bytes))
        return self._desk.go(f"/result/{token}")

    async def result(self, request: Request, token: str) -> Response:
        """What a recording is, or that it is not known yet."""
        account = await self._desk.asked(self._account)
        await self._desk.door.hold(token, HOLD_S)
        record = await self._desk.asked(lambda: self._jobs.record(account.key_id, token))
        if record is None:
            raise PageError(
                404, "This answer is gone.", "Answers are kept for five minutes. Drop the file again."
            )
        answer = answer_of(record)
        lengths = {}
        for found in answer.found:
            track = await self._desk.asked(functools.partial(self._shelf.track, found.track_id))
            if track is not None:
                lengths[track.track_id] = track.duration_s
        return self._desk.page(request, "result.html", answer=answer, lengths=lengths)

    def _accept(self, upload: Path, size_bytes: int) -> str:
        account = self._account()
        if not self._jobs.has_room(account.key_id):
            raise Refusal(ErrorText.NOT_AVAILABLE)
        token, place = self._jobs.new_place()
        try:
            with storage_errors(place):
                heard_s = take_in(upload, place, Span(), decoder=self._decoder, most_s=MOST_S)
            self._jobs.accept(
                token, account.key_id, start_s=0, length_s=round(heard_s), size_bytes=size_bytes
            )
        except BaseException:
            place.unlink(missing_ok=True)
            raise
        return token
