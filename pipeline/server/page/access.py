"""Who is at the page, and whether a form comes from the page or from somebody else's."""

from __future__ import annotations

import hmac
import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from fastapi import Request, Response

from pipeline.server.gate import Pace, is_here

COOKIE: Final = "earmark_page"
SIGNED_IN_S: Final = 12 * 3600.0
MOST_SESSIONS: Final = 1000

_SESSION = re.compile(r"[0-9a-f]{32}")
_OWN_NAME = re.compile(r"(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?", re.ASCII | re.IGNORECASE)
_FORWARDED: Final = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")


@dataclass(frozen=True, slots=True)
class Visitor:
    """Whoever sent a request."""

    session: str
    is_new: bool
    """Whether the session is to be handed out with the reply."""
    here: bool
    """At this machine, by its own name for itself."""
    admin: bool
    """May see and change the catalogue, jobs and keys."""


class Access:
    """Sessions, the password, and the mark that only the page's own forms bear."""

    def __init__(self, password: str | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Without a password whoever is at this machine is the admin, and nobody else can become it."""
        self._password = password
        self._clock = clock
        self._secret = secrets.token_bytes(32)
        self._lock = threading.Lock()
        self._signed_in: OrderedDict[str, float] = OrderedDict()
        # Ten tries at once, then one in ten seconds: a guesser gets nowhere, a person hardly notices.
        self._tries = Pace(per_s=0.1, burst=10, clock=clock)

    @property
    def asks_password(self) -> bool:
        return self._password is not None

    def visitor(self, request: Request) -> Visitor:
        """Who sent this request."""
        session = request.cookies.get(COOKIE, "")
        is_new = not _SESSION.fullmatch(session)
        if is_new:
            session = secrets.token_hex(16)
        here = _is_at_this_machine(request)
        # With a password even this machine is asked for it: a proxy that hides its clients looks like this machine.
        admin = self._is_signed_in(session) if self.asks_password else here
        return Visitor(session, is_new, here, admin)

    def mark(self, visitor: Visitor) -> str:
        """What each of the page's forms carries, and no other site can know."""
        return hmac.digest(self._secret, visitor.session.encode(), "sha256").hex()

    def is_ours(self, request: Request, visitor: Visitor, mark: str) -> bool:
        """Whether a form was sent from the page in this visitor's own session."""
        if visitor.is_new or request.headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
            return False
        return hmac.compare_digest(mark.encode("utf-8", "replace"), self.mark(visitor).encode())

    def too_often(self, address: str) -> bool:
        """Whether this address has tried too many passwords; asking counts as a try."""
        return self._tries.delay_s(address) > 0

    def sign_in(self, password: str) -> str | None:
        """A session of an admin, or None when the password is another."""
        if self._password is None or not hmac.compare_digest(
            password.encode("utf-8", "replace"), self._password.encode("utf-8", "replace")
        ):
            return None
        session = secrets.token_hex(16)  # a new one: the old one may have been planted
        with self._lock:
            self._signed_in[session] = self._clock() + SIGNED_IN_S
            if len(self._signed_in) > MOST_SESSIONS:
                self._signed_in.popitem(last=False)
        return session

    def sign_out(self, visitor: Visitor) -> None:
        """The visitor is no admin any more."""
        with self._lock:
            self._signed_in.pop(visitor.session, None)

    def _is_signed_in(self, session: str) -> bool:
        with self._lock:
            return self._signed_in.get(session, -1.0) > self._clock()


def hand_out(response: Response, session: str, *, secure: bool) -> None:
    """Let the browser keep a session; scripts cannot read it, and other sites' forms do not send it."""
    response.set_cookie(COOKIE, session, httponly=True, samesite="lax", secure=secure)


def _is_at_this_machine(request: Request) -> bool:
    """Whether the client is on this machine, speaks to it by a name of its own, and for nobody else.

    The name matters: another site's script can point a name of its own at 127.0.0.1 and then read what it gets.
    """
    if any(name in request.headers for name in _FORWARDED):
        return False
    # The header itself: `request.url` makes this machine's address of a name that it finds malformed.
    named = _OWN_NAME.fullmatch(request.headers.get("host", ""))
    return named is not None and is_here(request.client.host if request.client else None)
