"""The one file that knows requests: a POST to an AudioTag service, and what can be said of it afterwards.

What money hangs on is whether a failed upload had begun. That is not guessed from the kind of failure (a
reset or a TLS fault can strike before and after): the body itself notes the moment its first byte is taken
for sending.

    connect ── TLS ── headers ─┬─ body ────── reply
      ServiceUnreachable       │  Answer, with `broken` saying why it is not whole
                               └─ from here on the service may have taken the upload
"""

from __future__ import annotations

import io
import ipaddress
import re
import time
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from urllib.parse import urlsplit, urlunsplit

import requests
import urllib3
from pydantic import SecretStr
from requests.adapters import HTTPAdapter

from pipeline.errors import ServiceUnreachable, UsageError
from pipeline.retry import retry_after_s
from pipeline.wire.foreign_json import shorten

MAX_REPLY_BYTES = 1 << 20
"""A reply of a hundred candidates takes some 50 kB; whatever is longer than this is not an answer."""

_CHUNK_BYTES = 1 << 16
_SHORTEST_SECRET = 8
"""A shorter key is part of too many words to be blotted out of replies."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int | None
    """The HTTP status; None when the connection broke before it."""
    text: str
    """The body, as far as it came, with the key blotted out."""
    broken: str = ""
    """Why the body is not whole; empty when it is."""
    retry_after_s: float | None = None
    location: str = ""
    """Where a redirect points; none is ever followed, since the key would go along."""


class AudioTagHttp:
    """A service's address and key, and the connections to it. May be used by many threads."""

    def __init__(
        self, url: str, key: str, *, connections: int, connect_s: float, insecure: bool = False
    ) -> None:
        self.url = service_url(url, insecure=insecure)
        self._key = SecretStr(_usable_key(key))
        self._connect_s = connect_s
        # A proxy of the environment has no business between us and our own machine.
        self._by_environment = not _is_loopback(urlsplit(self.url).hostname or "")
        self._asking = _session(connections, self._by_environment)

    def ask(self, action: str, *, read_s: float, **fields: str) -> Answer:
        """POST a request that costs nothing. ServiceUnreachable when no connection was made."""
        form = {"apikey": self._key.get_secret_value(), "action": action, **fields}
        request = self._asking.prepare_request(requests.Request("POST", self.url, data=form))
        return self._post(self._asking, request, action, read_s)

    def upload(self, action: str, filename: str, content: bytes, *, read_s: float, **fields: str) -> Answer:
        """POST a file, once. ServiceUnreachable only when not one byte of the body was sent."""
        form = {"apikey": self._key.get_secret_value(), "action": action, **fields}
        files = {"file": (filename, content, "audio/wav")}
        # Every upload has a connection of its own: a kept one may be closed by the service in the very
        # moment of writing, and then nobody knows whether the upload was taken.
        with _session(1, self._by_environment) as session:
            session.headers["Connection"] = "close"
            request = session.prepare_request(requests.Request("POST", self.url, data=form, files=files))
            return self._post(session, request, action, read_s)

    def close(self) -> None:
        """Close the connections."""
        self._asking.close()

    def _post(
        self, session: requests.Session, request: requests.PreparedRequest, action: str, read_s: float
    ) -> Answer:
        body = _WatchedBody(_as_bytes(request.body))
        request.body = body  # type: ignore[assignment]  # the stubs know no file, though requests streams one
        settings = session.merge_environment_settings(self.url, {}, True, True, None)
        try:
            response = session.send(
                request, timeout=(self._connect_s, read_s), allow_redirects=False, **settings
            )
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            # Only the words leave this block: the exception itself holds the request, and with it the key.
            broken = self._blot(_reason(error))
        else:
            with response:
                return self._answer(response, read_s)
        if not body.begun:
            raise ServiceUnreachable(
                f"{action} could not be sent to {self.url}: {broken}",
                hint="nothing was sent; check the network and the address, then run the same command again",
            )
        return Answer(status=None, text="", broken=broken)

    def _answer(self, response: requests.Response, read_s: float) -> Answer:
        received = bytearray()
        broken = ""
        deadline = time.monotonic() + read_s
        try:
            while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=True):
                received += chunk
                if len(received) > MAX_REPLY_BYTES:
                    broken = f"the reply is longer than {MAX_REPLY_BYTES} bytes"
                    break
                if time.monotonic() > deadline:
                    broken = f"the reply did not end within {read_s:.0f} s"
                    break
        except (urllib3.exceptions.HTTPError, OSError) as error:
            broken = self._blot(_reason(error))
        headers = response.headers
        return Answer(
            status=response.status_code,
            text=self._blot(received[:MAX_REPLY_BYTES].decode("utf-8", "replace")),
            broken=broken,
            retry_after_s=retry_after_s(headers.get("Retry-After"), date=headers.get("Date")),
            location=self._blot(shorten(headers.get("Location", ""))),
        )

    def _blot(self, text: str) -> str:
        key = self._key.get_secret_value()
        return text.replace(key, "***") if len(key) >= _SHORTEST_SECRET else text


class _WatchedBody(io.BytesIO):
    """A request's body that knows whether the first of it was taken for sending."""

    begun = False

    def read(self, size: int | None = -1, /) -> bytes:
        self.begun = True
        return super().read(size)


def service_url(url: str, *, insecure: bool = False) -> str:
    """The address in one spelling, with `/api` when it has no path; UsageError when it is unfit for a key."""
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise UsageError(f"the service's address cannot be read: {error}") from None
    if parts.scheme not in {"http", "https"} or not host:
        raise UsageError(
            f"the service's address must begin with https:// and name a host: {_without_secrets(url)!r}",
            hint="set AUDIOTAG_URL to something like https://audiotag.info/api",
        )
    if parts.username or parts.password or parts.query or parts.fragment:
        raise UsageError(
            f"the service's address may hold no user, password, query or fragment: {_without_secrets(url)!r}",
            hint="put the key into AUDIOTAG_API_KEY; addresses end up in logs and reports",
        )
    if parts.scheme == "http" and not (insecure or _is_loopback(host)):
        raise UsageError(
            f"{parts.scheme}://{host} would carry the key over the network for all to read",
            hint="use https, or say --insecure if you trust every machine in between",
        )
    netloc = f"[{host}]" if ":" in host else host
    if port and port != {"http": 80, "https": 443}[parts.scheme]:
        netloc = f"{netloc}:{port}"
    return urlunsplit((parts.scheme, netloc, parts.path.rstrip("/") or "/api", "", ""))


def _usable_key(key: str) -> str:
    trimmed = key.strip()
    if not trimmed:
        raise UsageError("no key for the service is set", hint="set AUDIOTAG_API_KEY")
    if not (trimmed.isascii() and trimmed.isprintable()) or " " in trimmed:
        raise UsageError(
            "the service's key holds characters that no key has", hint="copy AUDIOTAG_API_KEY again"
        )
    return trimmed


def _session(connections: int, by_environment: bool) -> requests.Session:
    session = requests.Session()
    session.trust_env = by_environment
    session.auth = _no_auth
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
    # One connection a thread: a pool too small closes and reopens, one that blocks makes a deadline a lie.
    adapter = HTTPAdapter(pool_connections=1, pool_maxsize=connections, max_retries=0)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    # A compressed reply that is cut tells nothing; a plain one may still tell the token.
    session.headers["Accept-Encoding"] = "identity"
    session.headers["Accept"] = "application/json, */*;q=0.1"
    return session


def _no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Keep requests from adding a password out of ~/.netrc."""
    return request


def _as_bytes(body: object) -> bytes:
    return body.encode() if isinstance(body, str) else bytes(body) if isinstance(body, bytes) else b""


def _reason(error: BaseException) -> str:
    """The innermost cause in its own words: the outer ones only say which library passed it on."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return shorten(str(error) or type(error).__name__)


def _without_secrets(url: str) -> str:
    """As much of an address as may be shown."""
    return shorten(re.split(r"[?#]", url, maxsplit=1)[0].rpartition("@")[2], 80)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.rstrip(".").lower() == "localhost"
