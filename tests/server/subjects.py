"""Two services that are one to a client: ours, and the scripted one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from pipeline.audio import wav_bytes
from pipeline.model import Probe
from pipeline.wire.audiotag import Candidate, Row
from tests.server.ears import KNOWN
from tests.server.running import serving, settled
from tests.services.audiotag import KEY, AudioTagService, known_by_hash


@dataclass(frozen=True)
class Subject:
    """A service that knows KNOWN, and keys of every kind."""

    url: str
    key: str
    expired: str
    inactive: str
    poor_url: str
    poor: str
    """A key with 20 free seconds, at `poor_url`."""

    def ask(self, action: str, *, key: str | None = None, url: str = "", **arguments: Any) -> dict[str, Any]:
        data = {"apikey": self.key if key is None else key, "action": action, **arguments.pop("data", {})}
        reply = requests.post(url or self.url, data=data, timeout=30, **arguments)
        assert reply.status_code == 200
        parsed: dict[str, Any] = reply.json()
        return parsed

    def upload(self, content: bytes | Probe, name: str = "x.wav", **arguments: Any) -> dict[str, Any]:
        wav = wav_bytes(content.pcm) if isinstance(content, Probe) else content
        return self.ask("identify", files={"file": (name, wav)}, **arguments)

    def result(self, token: str) -> dict[str, Any]:
        return settled(lambda: self.ask("get_result", data={"token": token}))


@contextmanager
def ours(folder: Path) -> Iterator[Subject]:
    with serving(folder / "state") as running:
        accounts = running.service.accounts
        expired, _ = accounts.add(expires_at=1.0)
        inactive, account = accounts.add()
        accounts.revoke(account.key_id)
        poor, _ = accounts.add(credits=0, free_s=20)
        yield Subject(running.url, running.key, expired, inactive, running.url, poor)


@contextmanager
def scripted(folder: Path) -> Iterator[Subject]:
    rows = (
        Row("Hello Mr. Monkey", "Arabesque", "Grand Collection", 2001),
        Row("Hello Mr. Monkey", "Arabesque", "All Stars Disco (3 & 4)", 0),
    )
    lookup = known_by_hash({KNOWN.sha256: [Candidate(rows, 119, (0, 15), 4711)]})
    keys = {KEY: "active", "e" * 32: "expired", "i" * 32: "inactive"}
    with ExitStack() as services:
        rich = services.enter_context(AudioTagService(lookup, keys=keys))
        poor = services.enter_context(AudioTagService(lookup, free_s=20))
        yield Subject(rich.url, KEY, "e" * 32, "i" * 32, poor.url, KEY)
