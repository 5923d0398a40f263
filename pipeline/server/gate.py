"""Who is let in, and how fast: limits on connections and on requests, before any of them costs much."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Any, ClassVar, Final

from uvicorn.protocols.http.h11_impl import H11Protocol

HEADERS_S: Final = 10.0
"""A client that has not finished its headers by then is not going to: slow-loris holds no connection longer."""

MOST_CONNECTIONS: Final = 1000
"""Well below the usual 1024 files a process may have open would be safer still; `serve` raises that limit."""

MOST_PER_ADDRESS: Final = 100
"""Of addresses that are not this machine's, where a reverse proxy may speak for everybody."""

MOST_REMEMBERED: Final = 10_000


class Pace:
    """A token bucket for each name: how long a request must wait so that nobody exceeds `per_s` for long."""

    def __init__(self, *, per_s: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_s = per_s
        self._burst = burst
        self._clock = clock
        # When each bucket is full again, least recently used first.
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def delay_s(self, name: str) -> float:
        """Seconds this request has to wait; asking counts as a request."""
        now = self._clock()
        full_at = max(self._full_at.pop(name, now), now) + 1 / self._per_s
        self._full_at[name] = full_at
        if len(self._full_at) > MOST_REMEMBERED:
            self._full_at.popitem(last=False)
        return max(full_at - now - self._burst / self._per_s, 0.0)


def is_here(address: str | None) -> bool:
    """Whether a client's address is this machine's own."""
    try:
        return address is not None and ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


class GuardedProtocol(H11Protocol):
    """uvicorn's HTTP with bounds it does not have: connections in all and by address, and time for the headers."""

    _open: ClassVar[Counter[str]]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # asyncio does this only for sockets that name their protocol, which a listener handed to it does not: without
        # it every second answer on a connection waits 40 ms for the client's acknowledgement.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._address = self.client[0] if self.client else ""
        self._open[self._address] += 1
        crowded = self._open[self._address] > MOST_PER_ADDRESS and not is_here(self._address)
        if crowded or self._open.total() > MOST_CONNECTIONS:
            transport.abort()
        self._waited = self.loop.call_later(HEADERS_S, self._too_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        self._waited.cancel()
        self._open[self._address] -= 1
        if not self._open[self._address]:
            del self._open[self._address]
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before:
            # A request began: its body has a time limit of its own.
            self._waited.cancel()
        elif self.cycle is not None and self.cycle.response_complete and self._waited.cancelled():
            # The next request on this connection began and is not whole yet.
            self._waited = self.loop.call_later(HEADERS_S, self._too_slow)

    def _too_slow(self) -> None:
        self.transport.abort()


def guarded() -> dict[str, Any]:
    """Arguments for uvicorn's Config that put the guards in place, with a count of their own."""

    class Guarded(GuardedProtocol):
        _open: ClassVar[Counter[str]] = Counter()

    return {"http": Guarded, "ws": "none", "h11_max_incomplete_event_size": 16_384}
