"""What the scripted service remembers: charges, requests, jobs, and whom it is to mistreat."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.model import Pcm
from pipeline.wire.audiotag import Candidate
from tests.services.faults import Fault


@dataclass(frozen=True)
class Charge:
    """One upload the service took and charged for."""

    token: str
    sha256: str
    """Of the PCM that was uploaded, as `Probe.sha256` names it."""
    seconds: int
    at: float


@dataclass(frozen=True)
class Seen:
    """One request as it arrived."""

    action: str
    method: str
    target: str
    headers: Mapping[str, str]
    fields: Mapping[str, str]
    filename: str
    client_port: int
    """Tells connections apart."""
    at_s: float
    """When it arrived, on a clock that never goes back."""


@dataclass(frozen=True)
class Job:
    born: float
    candidates: Sequence[Candidate]
    pcm: Pcm


@dataclass
class Rule:
    """A fault for every request about some audio."""

    action: str
    about: Callable[[Pcm], bool]
    fault: Fault
    times: int
