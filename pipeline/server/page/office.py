"""Jobs, keys and health; and the way in for an admin who is elsewhere."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Path, Request, Response

from pipeline.audio import Decoder
from pipeline.server.accounts import UNLIMITED, Account, Accounts
from pipeline.server.form import Form
from pipeline.server.jobs import Jobs
from pipeline.server.page.access import hand_out
from pipeline.server.page.answers import answer_of
from pipeline.server.page.desk import Desk, PageError
from pipeline.server.page.shelf import Shelf
from pipeline.server.workers import Readiness

PAGE_JOBS: Final = 100
MOST_PAGES: Final = 1_000_000
"""A page's number may be anything; SQLite skips no more rows than fit into 64 bits."""

_READINESS: Final = {
    Readiness.SERVING: "Ready: recordings are being named.",
    Readiness.LOADING: "Loading the catalogue. What is sent now is answered in a moment.",
    Readiness.FAILED: "Not working: the engine could not be started. It is tried again all the time.",
    Readiness.BROKEN: "Not working: the engine stopped and could not be started again. It is tried all the time.",
}


class Office:
    """Routes that show how the service does; all but health and the way in are for admins."""

    def __init__(
        self,
        desk: Desk,
        accounts: Accounts,
        jobs: Jobs,
        shelf: Shelf,
        decoder: Decoder,
        *,
        readiness: Callable[[], Readiness],
        restarts: Callable[[], int],
    ) -> None:
        self._desk = desk
        self._accounts = accounts
        self._jobs = jobs
        self._shelf = shelf
        self._decoder = decoder
        self._readiness = readiness
        self._restarts = restarts

    def router(self) -> APIRouter:
        router = APIRouter(include_in_schema=False)
        router.add_api_route("/jobs", self.jobs, methods=["GET"], response_class=Response)
        router.add_api_route("/keys", self.keys, methods=["GET"], response_class=Response)
        router.add_api_route("/keys/add", self.add_key, methods=["POST"], response_class=Response)
        router.add_api_route(
            "/keys/{key_id}/revoke", self.revoke_key, methods=["POST"], response_class=Response
        )
        router.add_api_route("/health", self.health, methods=["GET"], response_class=Response)
        router.add_api_route("/sign-in", self.sign_in_form, methods=["GET"], response_class=Response)
        router.add_api_route("/sign-in", self.sign_in, methods=["POST"], response_class=Response)
        router.add_api_route("/sign-out", self.sign_out, methods=["POST"], response_class=Response)
        return router

    async def jobs(self, request: Request, page: int = 1) -> Response:
        """The jobs of the last five minutes; older ones are forgotten, as the API promises."""
        self._desk.admin(request)
        number = min(max(page, 1), MOST_PAGES)
        skip = (number - 1) * PAGE_JOBS
        records, count = await self._desk.asked(lambda: self._jobs.recent(PAGE_JOBS, skip=skip))
        accounts = await self._desk.asked(self._accounts.all)
        return self._desk.page(
            request,
            "jobs.html",
            jobs=[(record.key_id, answer_of(record)) for record in records],
            hints={account.key_id: f"{account.hint}…" for account in accounts},
            count=count,
            number=number,
            pages=max(-(-count // PAGE_JOBS), 1),
        )

    async def keys(self, request: Request) -> Response:
        """Every key, with what it has used and what it has left."""
        self._desk.admin(request)
        return await self._keys(request)

    async def add_key(self, request: Request) -> Response:
        """Make a key and show it, this once."""
        self._desk.admin(request)
        async with self._desk.form(request) as form:
            label = form.fields.get("label", "").strip()[:100]
            seconds, expires_at = _credits(form), _end_of_day(form)
        key, _ = await self._desk.asked(
            lambda: self._accounts.add(credits=seconds, expires_at=expires_at, label=label)
        )
        return await self._keys(request, made=key)

    async def revoke_key(self, request: Request, key_id: Annotated[int, Path(ge=1, le=2**31)]) -> Response:
        """Make a key inactive for good."""
        self._desk.admin(request)
        async with self._desk.form(request):
            await self._desk.asked(lambda: self._accounts.revoke(key_id))
        return self._desk.go("/keys")

    async def health(self, request: Request) -> Response:
        """Whether recordings are being named; for an admin also the figures behind that."""
        readiness = self._readiness()
        figures: dict[str, str] = {}
        if self._desk.visitor(request).admin:
            tracks = await self._desk.asked(lambda: len(self._shelf.catalogue()))
            free_gb = shutil.disk_usage(self._shelf.uploads.parent).free / 1e9
            figures = {
                "Tracks in the catalogue": f"{tracks:,}",
                "Jobs waiting": f"{len(self._jobs):,}",
                "Uploads being received": f"{self._desk.door.uploads.total():,}",
                "Workers that had to be replaced": f"{self._restarts():,}",
                "Free disk space": f"{free_gb:,.1f} GB",
                "Decoder": self._decoder.name,
            }
        return self._desk.page(
            request,
            "health.html",
            words=_READINESS[readiness],
            good=readiness is Readiness.SERVING,
            figures=figures,
        )

    async def sign_in_form(self, request: Request) -> Response:
        """Where an admin says the password."""
        return self._desk.page(request, "sign_in.html")

    async def sign_in(self, request: Request) -> Response:
        """Become an admin."""
        if self._desk.access.too_often(request.client.host if request.client else ""):
            raise PageError(429, "Too many tries.", "Wait a minute before the next one.")
        async with self._desk.form(request) as form:
            session = self._desk.access.sign_in(form.fields.get("password", ""))
        if session is None:
            raise PageError(
                403, "That is not the password.", "It is server.page_password in the configuration."
            )
        response = self._desk.go("/catalogue")
        hand_out(response, session, secure=request.url.scheme == "https")
        return response

    async def sign_out(self, request: Request) -> Response:
        """Be an admin no longer."""
        async with self._desk.form(request):
            self._desk.access.sign_out(self._desk.visitor(request))
        return self._desk.go("/")

    async def _keys(self, request: Request, made: str = "") -> Response:
        accounts = await self._desk.asked(self._accounts.all)
        return self._desk.page(
            request, "keys.html", accounts=accounts, left={a.key_id: _left(a) for a in accounts}, made=made
        )


def _left(account: Account) -> str:
    if account.credits + account.credits_spent >= UNLIMITED:
        return "any number"
    return f"{account.credits + account.free_s:,} s"


def _credits(form: Form) -> int:
    text = form.fields.get("credits", "").strip()
    if not text:
        return UNLIMITED
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= UNLIMITED):
        raise PageError(422, "Credits are a whole number of seconds.", "Leave it empty for any number.")
    return int(text)


def _end_of_day(form: Form) -> float | None:
    text = form.fields.get("expires", "").strip()
    if not text:
        return None
    try:
        ends = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC) + timedelta(days=1)
    except (ValueError, OverflowError) as error:
        raise PageError(422, "The last day is a date such as 2027-12-31.") from error
    return math.floor(ends.timestamp()) - 1.0
