"""Services that answer as told."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pipeline.model import Recognition, Status
from tests.services.clock import FakeClock

PENDING = Recognition(Status.PENDING, token="t")
FOUND = Recognition(Status.FOUND, token="t")


def saying(*answers: Recognition | str | Exception) -> Callable[..., Recognition]:
    """A service that gives these answers, one a call."""
    rest: Iterator[Recognition | str | Exception] = iter(answers)

    def call(*_: object) -> Recognition:
        answer = next(rest)
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, Recognition)
        return answer

    return call


def ready_after(seconds: float, clock: FakeClock) -> tuple[Callable[[str], Recognition], list[float]]:
    """A service that needs `seconds` for a recognition, and the moments at which it was asked."""
    born = clock.now()
    asked: list[float] = []

    def result(_: str) -> Recognition:
        asked.append(clock.now() - born)
        return FOUND if clock.now() - born >= seconds else PENDING

    return result, asked
