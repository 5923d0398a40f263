"""A visitor of the page without a browser: keeps cookies, fills in forms, reads what it is shown."""

from __future__ import annotations

import functools
import html
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import requests

from pipeline.audio import encode, wav_bytes
from pipeline.engine.catalogue import Catalogue
from pipeline.model import RATE_HZ, Tags
from tests.engine.melodies import cut, tune
from tests.server import ears
from tests.server.running import Running, serving

CLIP = wav_bytes(cut(tune(1), 12, 15))
HOSTILE = "<script>alert(1)</script> & \"Co\" 'x'"


class Visitor:
    """Somebody at the page."""

    def __init__(self, running: Running, **headers: str) -> None:
        self.root = f"http://127.0.0.1:{running.port}"
        self._session = requests.Session()
        self._session.headers.update(headers)

    def get(self, path: str, **arguments: Any) -> requests.Response:
        return self._session.get(self.root + path, timeout=60, **arguments)

    def post(self, path: str, *, seen: str = "/", **arguments: Any) -> requests.Response:
        """Send a form as it is found on the page `seen`, with its mark."""
        found = re.search(r'name="mark" value="([0-9a-f]+)"', self.get(seen).text)
        data = {**({"mark": found[1]} if found else {}), **arguments.pop("data", {})}
        return self._session.post(self.root + path, data=data, timeout=60, **arguments)

    def bare_post(self, path: str, **arguments: Any) -> requests.Response:
        """Send a form that was not found anywhere."""
        return self._session.post(self.root + path, timeout=60, **arguments)


def identify(visitor: Visitor, clip: bytes = CLIP, name: str = "clip.wav") -> requests.Response:
    return settled(visitor, visitor.post("/identify", files={"file": (name, clip)}))


def settled(visitor: Visitor, reply: requests.Response) -> requests.Response:
    for _ in range(30):
        if "Listening…" not in reply.text:
            return reply
        reply = visitor.get(reply.url.removeprefix(visitor.root))
    raise AssertionError("still listening")


def track_path(visitor: Visitor, title: str) -> str:
    found = re.search(r'href="(/catalogue/[^"?]+)"', visitor.get("/catalogue", params={"q": title}).text)
    assert found is not None
    return found[1]


def upload(visitor: Visitor, name: str, content: bytes) -> str:
    """Add a file through the page; what the catalogue's page says of it in the end."""
    reply = visitor.post("/catalogue/upload", seen="/catalogue", files={"file": (name, content)})
    return added(visitor, reply)


def added(visitor: Visitor, reply: requests.Response) -> str:
    """What the catalogue's page says when nothing is being added any more."""
    ends = time.monotonic() + 60
    while "This page looks again" in (said := words(reply)):
        assert time.monotonic() < ends, "still adding"
        reply = visitor.get("/catalogue")
    return said


def words(reply: requests.Response) -> str:
    """What a page says to a person: the text of its main part."""
    main = reply.text.partition("<main")[2].partition("</main>")[0]
    text = re.sub(r"<[^>]*>", " ", main.partition(">")[2])
    return " ".join(html.unescape(text).split())


def write_music(folder: Path) -> None:
    """Three tracks: an ordinary one, one with a hostile title, one that browsers do not play."""
    folder.mkdir()
    for seed, name, tags in (
        (1, "one.flac", Tags("First Tune", "The Tests", "Album", 1999)),
        (2, "two.mp3", Tags(HOSTILE, "The <b>Bold</b>", "Al&bum", 2001)),
        (3, "three.aiff", Tags()),
    ):
        encode(folder / name, tune(seed).astype(np.float32) / 32768, RATE_HZ, tags=tags)


@contextmanager
def page(folder: Path, **settings: Any) -> Iterator[Running]:
    """A service with its page, over a catalogue of its own and the real engine."""
    place = folder / "state" / "catalogue"
    Catalogue.open(place, create=True).close()
    with serving(
        folder / "state",
        functools.partial(ears.engine, place),
        open_catalogue=functools.partial(Catalogue.open, place),
        **settings,
    ) as running:
        yield running
