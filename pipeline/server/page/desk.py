"""What every part of the page shares: templates, errors in people's words, and forms that are the page's own."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import quote

from anyio.to_thread import run_sync
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.exceptions import HTTPException

from pipeline import __version__
from pipeline.errors import EarmarkError
from pipeline.server.app import is_of_the_api, no_such_address
from pipeline.server.door import ClientLeft, Door
from pipeline.server.form import Form
from pipeline.server.page.access import Access, Visitor, hand_out
from pipeline.server.page.answers import clock
from pipeline.server.refusal import Refusal
from pipeline.wire.audiotag_errors import ErrorText

FOLDER: Final = Path(__file__).parent

_HEADERS: Final = {
    # Everything from this service and nothing inline: a title that got past the escaping could still run nothing.
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "media-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "permissions-policy": "microphone=(self), camera=(), geolocation=()",
    # Without a referrer the browser would call the page's own forms' origin unknown.
    "referrer-policy": "same-origin",
    # As the service sets them on every reply; but that of a bug passes it by.
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}

_WORDS: Final = {
    ErrorText.TOO_SHORT: (422, "That is less than 5 seconds of sound.", "Try again with 10 to 15 seconds."),
    ErrorText.NO_AUDIO: (
        422,
        "No sound could be read from this file.",
        "It is empty, damaged, protected, too large, or no recording at all.",
    ),
    ErrorText.NOT_AVAILABLE: (503, "There is too much to do right now.", "Try again in a minute."),
    ErrorText.NOT_PROCESSED: (503, "The file could not be decoded in time.", "Try again in a minute."),
}

_log = logging.getLogger(__name__)

T = TypeVar("T")


class PageError(Exception):
    """Something a visitor is told on a page of its own."""

    def __init__(self, status: int, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.hint = hint


class Desk:
    """Where each request is received, and each reply is made."""

    def __init__(self, door: Door, access: Access) -> None:
        self.door = door
        self.access = access
        self._templates = Environment(
            loader=FileSystemLoader(FOLDER / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            finalize=_printable,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters |= {"clock": clock, "path": _quoted, "day": _day, "grouped": "{:,}".format}
        self._templates.globals |= {"version": __version__}

    def visitor(self, request: Request) -> Visitor:
        """Who asks."""
        return self.access.visitor(request)

    def admin(self, request: Request) -> Visitor:
        """Who asks, who is an admin. Raises PageError for anybody else."""
        visitor = self.visitor(request)
        if not visitor.admin:
            where = "Sign in first." if self.access.asks_password else "Open it there, by the name localhost."
            reason = "whoever runs it" if self.access.asks_password else "the machine it runs on"
            raise PageError(403, f"This part of the page is for {reason}.", where)
        return visitor

    def page(self, request: Request, template: str, *, status: int = 200, **shown: Any) -> HTMLResponse:
        """A page of a template; the visitor's session goes with it."""
        visitor = self.visitor(request)
        text = self._templates.get_template(template).render(
            visitor=visitor,
            mark=self.access.mark(visitor),
            asks_password=self.access.asks_password,
            here=request.url.path,
            **shown,
        )
        response = HTMLResponse(text, status, _HEADERS)
        if visitor.is_new:
            hand_out(response, visitor.session, secure=request.url.scheme == "https")
        return response

    def go(self, path: str) -> RedirectResponse:
        """Send the browser on to another page of ours."""
        return RedirectResponse(path, 303)

    @asynccontextmanager
    async def form(self, request: Request) -> AsyncIterator[Form]:
        """A form that was sent from the page. Raises PageError for any other; nothing of its file is kept then."""
        visitor = self.visitor(request)

        def ours(form: Form) -> bool:
            return self.access.is_ours(request, visitor, form.fields.get("mark", ""))

        try:
            async with self.door.received(request, ours) as form:
                if form.broken:
                    raise PageError(400, "That form could not be read.", "Load the page again.")
                if not ours(form):
                    raise PageError(
                        403,
                        "That form did not come from this page, or the page was too old.",
                        "Go back, load the page again, and repeat what you did. The page needs its cookie.",
                    )
                yield form
        except ClientLeft as error:
            raise PageError(408, "The upload broke off.") from error

    async def asked(self, question: Callable[[], T]) -> T:
        """The answer to a question that reads disk or database, from a thread."""
        return await run_sync(question)

    async def on_page_error(self, request: Request, error: Exception) -> Response:
        """The page that says what went wrong."""
        told = error if isinstance(error, PageError) else self._told(request, error)
        page = self.page(request, "error.html", status=told.status, message=told.message, hint=told.hint)
        if told.status == 408:
            page.headers["connection"] = "close"
        return page

    async def on_no_such_page(self, request: Request, error: Exception) -> Response:
        """The page for an address that there is not; the API and machines hear what they know."""
        if is_of_the_api(request.url.path):
            return await no_such_address(request, error)
        return await self.on_page_error(request, error)

    def _told(self, request: Request, error: Exception) -> PageError:
        if isinstance(error, HTTPException):
            if error.status_code == 405:
                return PageError(405, "That cannot be done here.", "Begin at the first page.")
            return PageError(
                error.status_code, "There is no such page.", "Look whether the address is right."
            )
        if isinstance(error, Refusal):
            return PageError(*_WORDS.get(error.error, (503, "That did not work.", "Try again in a minute.")))
        if isinstance(error, RequestValidationError):
            return PageError(
                422, "There is no such page.", "The address is not one that a link here leads to."
            )
        if isinstance(error, EarmarkError):
            _log.warning("the page could not be shown path=%s error=%s", request.url.path, error)
            if self.visitor(request).admin:
                return PageError(503, error.message, error.hint)
            return PageError(503, "The service cannot read its own files right now.")
        _log.error("a page set off a bug path=%s", request.url.path, exc_info=error)
        return PageError(500, "A fault of earmark's own.", "The log says more.")


def _printable(value: Any) -> Any:
    """Text that can be sent and shown: no half characters of odd file names, no control characters."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    text = (
        value.encode("utf-8", "surrogateescape").decode("utf-8", "replace") if not value.isascii() else value
    )
    return (
        text
        if text.isprintable()
        else "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    )


def _quoted(value: str) -> str:
    return quote(value.encode("utf-8", "surrogatepass"), safe="")


def _day(seconds: float | None) -> str:
    return "never" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")
