"""Music made on the spot, and every decoder this machine has."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from pipeline.audio import Decoder, encode, open_decoder
from pipeline.model import Tags

MUSIC_RATE_HZ = 44_100
MUSIC_S = 48.0


@pytest.fixture(scope="session")
def music() -> npt.NDArray[np.float32]:
    """48 s of stereo: notes of random pitch, 0.2 s each, so that no two places sound alike."""
    rng = np.random.default_rng(7)
    note = np.arange(MUSIC_RATE_HZ // 5) / MUSIC_RATE_HZ
    left = [np.sin(2 * np.pi * rng.uniform(150, 2500) * note) for _ in range(int(MUSIC_S * 5))]
    right = [np.sin(2 * np.pi * rng.uniform(150, 2500) * note) for _ in range(int(MUSIC_S * 5))]
    samples = 0.3 * np.stack([np.concatenate(left), np.concatenate(right)], axis=1)
    return samples.astype(np.float32)


TAGS = Tags(title="Größe & Maß", artist="Øystein", album="Köln", year=1998)

FORMATS = ["wav", "aiff", "flac", "alac", "m4a", "aac", "3gp", "mp3", "mp2", "ogg", "opus", "wma", "mka"]


@pytest.fixture(scope="session")
def album(tmp_path_factory: pytest.TempPathFactory, music: npt.NDArray[np.float32]) -> dict[str, Path]:
    """The music in every format this machine can encode, by extension."""
    folder = tmp_path_factory.mktemp("album")
    files = {extension: folder / f"song.{extension}" for extension in FORMATS}
    for path in files.values():
        encode(path, music, MUSIC_RATE_HZ, tags=TAGS)
    for extension, same in {"aif": "aiff", "3gpp": "3gp", "mp4": "m4a"}.items():
        files[extension] = folder / f"song.{extension}"
        os.link(files[same], files[extension])
    return files


@pytest.fixture(scope="session")
def patchwork(tmp_path_factory: pytest.TempPathFactory, music: npt.NDArray[np.float32]) -> Path:
    """MP3 frames of other rates and fewer channels, one after the other: a valid file of 32 s."""
    folder = tmp_path_factory.mktemp("patchwork")
    content = b""
    for rate_hz, channels in ((44_100, 2), (44_100, 1), (32_000, 1), (48_000, 2)):
        piece = folder / f"{rate_hz}-{channels}.mp3"
        plain = {"write_xing": "0", "id3v2_version": "0", "ar": str(rate_hz), "ac": str(channels)}
        encode(piece, music[: MUSIC_RATE_HZ * 8], MUSIC_RATE_HZ, options=plain)
        content += piece.read_bytes()
    (folder / "patchwork.mp3").write_bytes(content)
    return folder / "patchwork.mp3"


@pytest.fixture(scope="session")
def tags() -> Tags:
    return TAGS


def _installed(which: str) -> bool:
    if which == "av":
        return importlib.util.find_spec("av") is not None
    return which == "wheel" or shutil.which("ffmpeg") is not None


@pytest.fixture(scope="session", params=["system", "wheel", "av"])
def decoder(request: pytest.FixtureRequest) -> Iterator[Decoder]:
    """Each back end in turn: the system's ffmpeg, the wheel's, PyAV."""
    if not _installed(request.param):
        pytest.skip(f"{request.param} is not installed here")
    opened = (
        open_decoder(backend="av", workers=2)
        if request.param == "av"
        else open_decoder(backend="ffmpeg", ffmpeg=request.param, workers=2)
    )
    with opened:
        yield opened
