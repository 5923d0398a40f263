"""Small music made on the spot, and a folder of it."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest

from pipeline.model import RATE_HZ, Pcm


def melody(seed: int, seconds: float = 40.0) -> Pcm:
    """A tune of plucked notes that no other seed plays."""
    random = np.random.default_rng(seed)
    note_s = 0.25
    notes = []
    for _ in range(round(seconds / note_s)):
        t = np.arange(round(note_s * RATE_HZ)) / RATE_HZ
        pitch_hz = 220.0 * 2.0 ** (random.integers(0, 30) / 12)
        tone = sum(np.sin(2 * np.pi * pitch_hz * n * t) / n for n in (1, 2, 3))
        notes.append(tone * np.exp(-6 * t))
    return (np.concatenate(notes) * 9000).astype(np.int16)


def write_wav(path: Path, pcm: Pcm) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(pcm.tobytes())
    return path


@pytest.fixture
def music(tmp_path: Path) -> Path:
    """A folder with two tunes, a file that is none, and one that is too short."""
    folder = tmp_path / "music"
    write_wav(folder / "first tune.wav", melody(1))
    write_wav(folder / "second tune.wav", melody(2))
    write_wav(folder / "blip.wav", melody(3, 2.0))
    (folder / "letter.mp3").write_text("Dear all, this is no music at all. " * 40)
    return folder


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"
