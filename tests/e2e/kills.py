"""Kill the command with -9 at chosen requests: a service that does it, and a scene with such a service."""

from __future__ import annotations

import contextlib
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from tests.e2e.scene import Scene, sing
from tests.music import named
from tests.services.audiotag import AudioTagService
from tests.services.uploads import Form


class Moment(StrEnum):
    """Where in a request the kill comes."""

    BEFORE = "before"
    """The request is here and nothing was done: nothing is charged."""
    CHARGED = "charged"
    """Done and charged, and the reply not yet begun."""
    REPLIED = "replied"
    """A given time after the reply was handed to the system."""


@dataclass
class Trap:
    """Kills a process at the n-th request of an action."""

    action: str
    number: int
    moment: Moment
    delay_s: float = 0.0
    victim: subprocess.Popen[str] | None = None
    sprung: bool = False
    _count: int = 0

    def due(self, action: str) -> bool:
        if action != self.action or self.sprung:
            return False
        self._count += 1
        return self._count == self.number

    def spring(self) -> None:
        self.sprung = True
        if self.victim is not None:
            self.victim.kill()


class DeadlyService(AudioTagService):
    """A scripted service that kills its client where a trap says so."""

    def __init__(self, **how: Any) -> None:
        super().__init__(named, **how)
        self.trap: Trap | None = None
        self.asked = threading.Event()
        """Set with every request, for who waits for the next."""
        self._trap_lock = threading.Lock()

    def reply(self, form: Form) -> dict[str, Any]:
        self.asked.set()
        trap = self.trap
        with self._trap_lock:
            due = trap is not None and trap.due(form.fields.get("action", ""))
        if trap is None or not due:
            return super().reply(form)
        if trap.moment is Moment.BEFORE:
            trap.spring()
            raise ConnectionResetError
        answer = super().reply(form)
        if trap.moment is Moment.CHARGED:
            trap.spring()
            raise ConnectionResetError
        # The reply is on its way as soon as this returns.
        threading.Timer(trap.delay_s, trap.spring).start()
        return answer


@contextlib.contextmanager
def scene(folder: Path, *, songs: int = 3, latency_s: float = 0.0) -> Iterator[Scene]:
    """A scene whose service can kill."""
    titles = sing(folder / "music", songs)
    with DeadlyService(latency_s=latency_s) as service:
        yield Scene(folder, folder / "music", titles, service)


def killed(scene: Scene, trap: Trap, *more: str) -> None:
    """Run the command into the trap; it must have been sprung."""
    service = scene.service
    assert isinstance(service, DeadlyService)
    service.trap = trap
    trap.victim = scene.start(*more)
    trap.victim.communicate(timeout=60)
    service.trap = None
    assert trap.sprung, f"never came to request {trap.number} of {trap.action}"
