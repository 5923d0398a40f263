"""What can go wrong with one request, as a plan for the scripted service."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Fault:
    """How one request is mistreated."""

    take: bool = False
    """Do the work first, and charge for it, as if all were well."""
    reset: bool = False
    """Answer with a TCP reset."""
    delay_s: float = 0.0
    """Wait before answering."""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: str | None = None
    """Say this; None: what would have been said."""
    keep: int | None = None
    """Send only so many bytes of the body, having announced them all."""


def refused(error: str) -> Fault:
    """An error of the API, with HTTP 200, as the service does it."""
    return Fault(body=json.dumps({"success": False, "error": error}))


def reset_before() -> Fault:
    """The connection breaks once the request was read; nothing is taken."""
    return Fault(reset=True)


def reset_after() -> Fault:
    """The request is taken and charged; the connection breaks before the reply."""
    return Fault(reset=True, take=True)


def throttled(retry_after: str = "") -> Fault:
    """HTTP 429."""
    return Fault(status=429, body="slow down", headers={"Retry-After": retry_after} if retry_after else {})


def http(status: int, body: str = "", *, take: bool = False, headers: dict[str, str] | None = None) -> Fault:
    """An HTTP status with a body that is none of the API's."""
    return Fault(status=status, body=body, take=take, headers=headers or {})


def cut(keep: int) -> Fault:
    """The request is taken and charged; only the first `keep` bytes of the reply arrive."""
    return Fault(take=True, keep=keep)


def html(body: str = "<html><body>Down for maintenance</body></html>") -> Fault:
    """The request is taken and charged; a page for people comes back."""
    return Fault(take=True, body=body)


def slow(delay_s: float) -> Fault:
    """All is well, only late."""
    return Fault(take=True, delay_s=delay_s)


def waits() -> Fault:
    """A recognition that is not ready yet."""
    return Fault(body='{"success":true,"error":null,"result":"wait"}')


def forgotten() -> Fault:
    """A token that the service does not know, said as it says it: in `result`, as a success."""
    return Fault(
        body='{"success":true,"error":null,"result":"invalid token or no recognition results found for the token"}'
    )


def says(body: str) -> Fault:
    """Any body, word for word, with nothing taken."""
    return Fault(body=body)


KINDS = {
    kind.__name__: kind
    for kind in (refused, reset_before, reset_after, throttled, http, cut, html, slow, waits, forgotten, says)
}


def from_json(item: dict[str, Any]) -> Fault:
    """A fault of a plan file: `{"kind": "throttled", "retry_after": "3"}`."""
    arguments = {name: value for name, value in item.items() if name != "kind"}
    fault: Fault = KINDS[item["kind"]](**arguments)
    return fault
