"""The other end of `workers`: a process that holds the recognizer and answers one job after the other."""

from __future__ import annotations

import contextlib
import json
import logging
import signal
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

import numpy as np

from pipeline.errors import EarmarkError
from pipeline.model import Recognizer
from pipeline.server.analysis import analyse
from pipeline.wire.audiotag_replies import result_reply, to_json

REFRESH_S: Final = 1.0
"""How old the view of the catalogue may be: what `earmark catalogue add` commits is heard a second later."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ear:
    """A recognizer, and what makes it see what was added since it was opened."""

    recognizer: Recognizer
    refresh: Callable[[], None]


OpenEar = Callable[[], Ear]
"""Opens the recognizer inside the worker; it travels to another process, so a function of a module, or a partial."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a worker says of a job: a reply, or why there is none."""

    reply: str = ""
    """To `get_result`, word for word."""
    places: str = ""
    """JSON: a list of `analysis.Place`, one for each candidate of the reply."""
    why_not: str = ""


READY: Final = Answer("ready")


def work(connection: Connection, open_ear: OpenEar) -> None:
    """Say READY, then answer jobs until the other side hangs up."""
    # A terminal's Ctrl-C and systemd's SIGTERM reach every process of the group; when to end is the parent's to say.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(EOFError, ConnectionError):  # it hung up, or was killed: nobody waits any more
        _serve(connection, open_ear)


def _serve(connection: Connection, open_ear: OpenEar) -> None:
    try:
        ear = open_ear()
    except EarmarkError as error:
        connection.send(Answer(why_not=str(error)))
        return
    connection.send(READY)
    refreshed = time.monotonic()
    while True:
        path, start_s = connection.recv()
        if time.monotonic() - refreshed >= REFRESH_S:
            _refresh(ear)
            refreshed = time.monotonic()
        connection.send(_answer(ear.recognizer, path, start_s))


def _answer(recognizer: Recognizer, path: Path, start_s: float) -> Answer:
    try:
        pcm = np.memmap(path, "<i2", mode="r")
        outcome, places = analyse(recognizer, pcm, start_s=start_s)
        return Answer(to_json(result_reply(outcome)), json.dumps([asdict(place) for place in places]))
    except Exception as error:
        # Whatever one job sets off costs that job only; it is logged by the parent, who knows whose it was.
        return Answer(why_not=" ".join(f"{type(error).__name__}: {error}".split())[:300])


def _refresh(ear: Ear) -> None:
    try:
        ear.refresh()
    except EarmarkError as error:
        # What is open stays open: better yesterday's catalogue than none.
        _log.warning("the catalogue could not be looked at again error=%s", error)
