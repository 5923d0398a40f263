"""Music into the catalogue while the page goes on: one addition at a time, in a thread of its own."""

from __future__ import annotations

import logging
import os
import secrets
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from pipeline.audio import Decoder
from pipeline.batch.enrol import enrol
from pipeline.batch.walk import walk
from pipeline.errors import EarmarkError
from pipeline.files import storage_errors
from pipeline.server.page.shelf import Shelf

MOST_NAME_BYTES: Final = 120
LOOK_S: Final = 10.0
"""Looking through a folder takes no longer: then its first part must tell."""

MOST_FAILED: Final = 20
"""So many failures are shown one by one; the rest is counted."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Addition:
    """An addition under way, or the last one."""

    what: str
    done: int = 0
    total: int = 0
    added: int = 0
    already_there: int = 0
    failed: tuple[tuple[str, str], ...] = ()
    """Shown path and reason, the first few."""
    failed_count: int = 0
    error: str = ""
    """Why it ended early."""
    finished: bool = False


@dataclass(frozen=True, slots=True)
class Preview:
    """What adding a folder would add."""

    files: int
    new: int
    first: tuple[str, ...]
    """Some of the new ones, relative to the folder."""
    whole: bool
    """Whether the folder was looked through to its end."""


class Adding:
    """Adds to the catalogue what an admin names or uploads."""

    def __init__(self, shelf: Shelf, decoder: Decoder) -> None:
        self._shelf = shelf
        self._decoder = decoder
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._current: Addition | None = None

    @property
    def current(self) -> Addition | None:
        """The addition under way, else the last one; None when there was none."""
        return self._current

    def look(self, folder: Path, *, show: int = 8) -> Preview:
        """What `add_folder` would do. Raises UsageError for a folder that cannot be read."""
        there = {(track.path, track.size_bytes, track.mtime_ns) for track in self._shelf.catalogue().tracks()}
        files, new, first = 0, 0, []
        ends = time.monotonic() + LOOK_S
        for source in walk([os.fsencode(folder)], on_trouble=lambda *_: None):
            files += 1
            if (source.fs_path, source.size_bytes, source.mtime_ns) not in there:
                new += 1
                first += [source.shown_path] if new <= show else []
            if time.monotonic() > ends:
                return Preview(files, new, tuple(first), whole=False)
        return Preview(files, new, tuple(first), whole=True)

    def add_folder(self, folder: Path) -> bool:
        """Begin to add a folder; False when an addition is under way."""
        return self._begin(str(folder), [os.fsencode(folder)])

    def add_upload(self, upload: Path, filename: str) -> bool:
        """Keep an uploaded file and begin to add it; False when an addition is under way. Raises StorageError."""
        folder = self._shelf.uploads / secrets.token_hex(8)
        kept = folder / safe_name(filename)
        with storage_errors(kept):
            folder.mkdir(parents=True)
            upload.rename(kept)
        if self._begin(kept.name, [os.fsencode(kept)]):
            return True
        self._shelf.discard(str(kept))
        return False

    def wait(self, timeout_s: float) -> None:
        """Wait for the addition under way, but no longer than that."""
        if (thread := self._thread) is not None:
            thread.join(timeout_s)

    def close(self) -> None:
        """End after the files being decoded; what was added stays."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _begin(self, what: str, roots: Sequence[bytes]) -> bool:
        with self._lock:
            if self._stop.is_set() or (self._current is not None and not self._current.finished):
                return False
            self._current = Addition(what)
            self._thread = threading.Thread(target=self._run, args=(self._current, roots), name="adding")
            self._thread.start()
            return True

    def _run(self, addition: Addition, roots: Sequence[bytes]) -> None:
        try:
            ended = self._enrolled(addition, roots)
        except EarmarkError as error:
            _log.warning("an addition to the catalogue failed error=%s", error)
            ended = replace(addition, error=error.message)
        except Exception:
            _log.exception("an addition to the catalogue set off a bug")
            ended = replace(addition, error="a fault of earmark's own; the log says more")
        if not ended.added:
            for root in roots:
                self._shelf.discard(os.fsdecode(root))
        self._current = replace(ended, finished=True)

    def _enrolled(self, addition: Addition, roots: Sequence[bytes]) -> Addition:
        def on_progress(done: int, total: int) -> None:
            self._current = replace(addition, done=done, total=total)

        result = enrol(
            roots,
            catalogue=self._shelf.catalogue(),
            decoder=self._decoder,
            workers=1,  # the cores belong to those who wait for an answer
            stop=self._stop,
            on_progress=on_progress,
        )
        return replace(
            addition,
            done=result.added + result.already_there + len(result.failed),
            total=result.added + result.already_there + len(result.failed),
            added=result.added,
            already_there=result.already_there,
            failed=tuple(result.failed[:MOST_FAILED]),
            failed_count=len(result.failed),
            error="earmark was stopped meanwhile" if result.interrupted else "",
        )


def safe_name(filename: str) -> str:
    """A file name that is nothing but a name, as like the given one as may be."""
    name = filename.replace("\\", "/").rpartition("/")[2]
    name = "".join(c for c in name if c.isprintable() and c not in '<>:"|?*').strip(". ")
    stem, dot, ending = name.rpartition(".")
    if not dot:
        stem, ending = name, ""
    room = MOST_NAME_BYTES - len((dot + ending[:8]).encode())
    stem = stem.encode("utf-8", "replace")[:room].decode("utf-8", "ignore")
    return (stem or "upload") + (dot + ending[:8] if dot else "")
