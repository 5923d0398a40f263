"""The catalogue as the page shows it: always as it is on the disk now, and playable."""

from __future__ import annotations

import logging
import os
import shutil
import stat
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Final

from pipeline.engine.catalogue import Catalogue
from pipeline.engine.tracks import KnownTrack

PLAYABLE: Final = {
    ".mp3": "audio/mpeg",
    ".wav": "audio/wav",
    ".flac": "audio/flac",
    ".ogg": "audio/ogg",
    ".oga": "audio/ogg",
    ".opus": "audio/ogg",
    ".m4a": "audio/mp4",
    ".aac": "audio/aac",
    ".webm": "audio/webm",
}
"""What browsers play as it is; everything else is decoded for them."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Source:
    """The file a track came from."""

    path: str
    status: os.stat_result
    media_type: str | None
    """None: browsers do not play it."""


class Shelf:
    """The catalogue of one state folder, opened when it is first needed."""

    def __init__(self, open_catalogue: Callable[[], Catalogue], uploads: Path) -> None:
        """`uploads`: where files that came through the page are kept, so that they can be played."""
        self._open = open_catalogue
        self._lock = threading.Lock()
        self._catalogue: Catalogue | None = None
        self.uploads = uploads
        # What lies there now was brought by earlier processes; whether a track needs it is seen with the catalogue.
        self._left = list(uploads.glob("*")) if uploads.is_dir() else []

    def catalogue(self) -> Catalogue:
        """The catalogue as it is now. Raises StorageError."""
        with self._lock:
            if self._catalogue is None:
                self._catalogue = self._open()
                self._sweep(self._catalogue)
            self._catalogue.refresh()
            return self._catalogue

    def search(self, words: str) -> list[KnownTrack]:
        """The tracks that hold every one of the words somewhere in their names, the last one added first."""
        wanted = words.casefold().split()
        return [
            track
            for track in reversed(self.catalogue().tracks())
            if all(word in _text(track) for word in wanted)
        ]

    def track(self, track_id: str) -> KnownTrack | None:
        """The track of this id."""
        return next((track for track in self.catalogue().tracks() if track.track_id == track_id), None)

    def remove(self, track: KnownTrack) -> None:
        """Forget a track. Its file is left alone, but for one that came through the page."""
        catalogue = self.catalogue()
        catalogue.remove([track.track_id])
        if not any(other.path == track.path for other in catalogue.tracks()):
            self.discard(track.path)

    def discard(self, path: str) -> None:
        """Delete a file that came through the page; leave any other alone."""
        folder = PurePath(path).parent
        if folder.parent == self.uploads and Path(path).is_file():
            Path(path).unlink()
            Path(folder).rmdir()

    def _sweep(self, catalogue: Catalogue) -> None:
        """Delete what a process that was killed had kept of an addition and never added."""
        # By the folder's own name, which no other has: the state folder may have been moved since.
        needed = {PurePath(track.path).parent.name for track in catalogue.tracks()}
        for folder in self._left:
            if folder.name not in needed:
                _log.info("an upload that never came into the catalogue is deleted")
                shutil.rmtree(folder, ignore_errors=True)
        self._left.clear()

    def source(self, track: KnownTrack) -> Source | None:
        """The file a track came from; None when it is gone, or is not the one that was added."""
        try:
            status = os.stat(track.path)  # noqa: PTH116 -- a name may hold any bytes
        except (OSError, ValueError):
            return None
        # Only the very file: what lies at the path by now may be anything, and none of a listener's business.
        same = (status.st_size, status.st_mtime_ns) == (track.size_bytes, track.mtime_ns)
        if not same or not stat.S_ISREG(status.st_mode):
            return None
        return Source(track.path, status, PLAYABLE.get(PurePath(track.path).suffix.lower()))


def _text(track: KnownTrack) -> str:
    name = PurePath(track.path).name
    return " ".join((track.title, track.artist, track.album, str(track.year or ""), name)).casefold()
