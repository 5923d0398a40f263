"""Tracks that browsers do not play, decoded for them; the last few are kept, so that one can seek in them."""

from __future__ import annotations

import hashlib
import shutil
import threading
import wave
from pathlib import Path
from typing import Final

from pipeline.audio import Decoder
from pipeline.engine.tracks import KnownTrack
from pipeline.files import storage_errors
from pipeline.model import RATE_HZ
from pipeline.server.page.shelf import Source

KEPT: Final = 4
"""An hour of telephone sound is 58 MB."""


class Played:
    """WAV files in a folder of their own, made when they are first asked for, one at a time."""

    def __init__(self, folder: Path, decoder: Decoder) -> None:
        self._folder = folder
        self._decoder = decoder
        self._lock = threading.Lock()
        self._made: list[Path] = []

    def wav(self, track: KnownTrack, source: Source) -> Path:
        """The sound of a track's file as 8 kHz WAV. Raises MediaError and StorageError."""
        name = f"{track.pcm_sha256}-{source.status.st_mtime_ns}".encode()
        path = self._folder / f"{hashlib.sha256(name).hexdigest()[:32]}.wav"
        with self._lock, storage_errors(path):
            if path in self._made:
                self._made.remove(path)
            else:
                if not self._made:
                    # Those of an earlier process are nobody's.
                    shutil.rmtree(self._folder, ignore_errors=True)
                    self._folder.mkdir(parents=True)
                self._decode(source.path, path)
            self._made.append(path)
            if len(self._made) > KEPT:
                self._made.pop(0).unlink(missing_ok=True)
        return path

    def _decode(self, source: str, path: Path) -> None:
        try:
            with wave.open(str(path), "wb") as file:
                file.setnchannels(1)
                file.setsampwidth(2)
                file.setframerate(RATE_HZ)
                for pcm in self._decoder.whole(source):
                    file.writeframes(pcm.astype("<i2", copy=False).tobytes())
        except BaseException:
            path.unlink(missing_ok=True)
            raise
