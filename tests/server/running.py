"""The service in a thread of the test's process, behind a real socket; its workers are real processes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from pipeline.audio import open_decoder, wav_bytes
from pipeline.config import ServerSettings
from pipeline.engine.catalogue import Catalogue
from pipeline.model import Probe
from pipeline.server.service import Service, listen
from pipeline.server.worker import OpenEar
from tests.server import ears


@dataclass(frozen=True)
class Running:
    """A service that serves."""

    service: Service
    port: int
    state: Path
    key: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api"

    def ask(self, action: str, *, key: str = "", **arguments: Any) -> dict[str, Any]:
        """The reply to an action; `files` and `data` as requests takes them."""
        data = {"apikey": key or self.key, "action": action, **arguments.pop("data", {})}
        reply = requests.post(self.url, data=data, timeout=60, **arguments)
        assert reply.status_code == 200
        parsed: dict[str, Any] = reply.json()
        return parsed

    def upload(
        self, content: bytes | Probe, name: str = "x.wav", *, key: str = "", **fields: Any
    ) -> dict[str, Any]:
        wav = wav_bytes(content.pcm) if isinstance(content, Probe) else content
        return self.ask("identify", key=key, data=fields, files={"file": (name, wav)})

    def result(self, token: str, *, key: str = "") -> dict[str, Any]:
        """What is behind a token, once it is no longer `wait`."""
        return settled(lambda: self.ask("get_result", key=key, data={"token": token}))


def settled(ask: Callable[[], dict[str, Any]], *, limit_s: float = 30.0) -> dict[str, Any]:
    """The first reply that is not `wait`."""
    ends = time.monotonic() + limit_s
    while (reply := ask()).get("result") == "wait":
        assert time.monotonic() < ends, "still waiting"
    return reply


@contextmanager
def serving(
    state: Path,
    open_ear: OpenEar = ears.scripted,
    *,
    open_catalogue: Callable[[], Catalogue] | None = None,
    **settings: Any,
) -> Iterator[Running]:
    state.mkdir(parents=True, exist_ok=True)
    chosen = ServerSettings(**{"workers": 1, **settings})
    with (
        listen("127.0.0.1", 0) as listener,
        open_decoder(workers=2) as decoder,
        Service(state, chosen, decoder=decoder, open_ear=open_ear, open_catalogue=open_catalogue) as service,
    ):
        key, _ = service.accounts.add(label="test")
        thread = threading.Thread(target=service.run, args=(listener,), name="service")
        thread.start()
        try:
            yield Running(service, listener.getsockname()[1], state, key)
        finally:
            service.stop()
            thread.join(60)
            assert not thread.is_alive()
