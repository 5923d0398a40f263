"""A piece published as MIDI, played by different players: the same notes at the same moments, not the same recording.

Needs fluidsynth and sound fonts (Debian's fluidsynth, fluid-soundfont-gm and timgm6mb-soundfont).
"""

from __future__ import annotations

import struct
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from pipeline.model import RATE_HZ, Pcm

FONTS: Final = ("/usr/share/sounds/sf2/FluidR3_GM.sf2", "/usr/share/sounds/sf2/TimGM6mb.sf2")
LENGTH_S: Final = 75
PLAYED_HZ: Final = 16_000
AS_PCM: Final = ("-ar", str(RATE_HZ), "-ac", "1", "-f", "s16le", "-")
MELODIC: Final = 112
"""Instruments of General MIDI that play notes; the rest are noises."""
DRUMS: Final = 9
"""The channel on which an instrument is a drum."""

_DATA_BYTES: Final = {0x8: 2, 0x9: 2, 0xA: 2, 0xB: 2, 0xC: 1, 0xD: 1, 0xE: 2}


def played(path: Path, font: str, players: int = 0) -> Pcm:
    """The first LENGTH_S of a piece; with `players` by others: other instruments, up to 10 % faster or slower."""
    piece = path.read_bytes()
    with tempfile.NamedTemporaryFile(suffix=".mid") as score:
        score.write(by_others(piece, players) if players else piece)
        score.flush()
        command = [
            "fluidsynth",
            "-niq",
            "-g",
            "0.5",
            "-r",
            str(PLAYED_HZ),
            "-T",
            "raw",
            "-O",
            "s16",
            "-F",
            "-",
        ]
        with subprocess.Popen(
            [*command, font, score.name], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as player:
            # Once ffmpeg has heard enough, nobody reads on, and the player stops.
            heard = subprocess.run(
                ["ffmpeg", "-v", "error", "-f", "s16le", "-ar", str(PLAYED_HZ), "-ac", "2", "-i", "-",
                 "-t", str(LENGTH_S), *AS_PCM],
                stdin=player.stdout, check=True, timeout=120, stdout=subprocess.PIPE,
            ).stdout  # fmt: skip
            if player.stdout is not None:
                player.stdout.close()
    return np.frombuffer(heard, "<i2")


def by_others(piece: bytes, players: int) -> bytes:
    """The same MIDI file with its instruments exchanged and its beats made shorter or longer."""
    rng = np.random.default_rng(players)
    instead, haste = rng.permutation(MELODIC), rng.uniform(0.9, 1.1)
    head, tracks, beats = struct.unpack(">4xI2x2H", piece[:14])
    made = bytearray(piece[: 8 + head])
    struct.pack_into(">H", made, 12, min(round(beats * haste), 0x7FFF))
    at = 8 + head
    for number in range(tracks):
        (size,) = struct.unpack(">I", piece[at + 4 : at + 8])
        track = bytearray(piece[at + 8 : at + 8 + size])
        for place, channel in _instruments(track):
            if channel != DRUMS:
                track[place] = instead[track[place] % MELODIC]
        if number == 0:
            # Who never names an instrument plays the piano, unless told otherwise before the first note.
            first = b"".join(bytes((0, 0xC0 | c, instead[0])) for c in range(16) if c != DRUMS)
            track = bytearray(first) + track
        made += b"MTrk" + struct.pack(">I", len(track)) + track
        at += 8 + size
    return bytes(made)


def _instruments(track: bytes) -> Iterator[tuple[int, int]]:
    """Where in a track an instrument is named, and for which channel."""
    at, status = 0, 0
    while at < len(track):
        at = _after_number(track, at)  # the time since the event before
        if track[at] & 0x80:
            status, at = track[at], at + 1
        if status == 0xFF:
            end = _after_number(track, at + 1)
            at = end + _number(track, at + 1, end)
        elif status in (0xF0, 0xF7):
            end = _after_number(track, at)
            at = end + _number(track, at, end)
        else:
            if status >> 4 == 0xC:
                yield at, status & 15
            at += _DATA_BYTES[status >> 4]


def _after_number(track: bytes, at: int) -> int:
    while track[at] & 0x80:
        at += 1
    return at + 1


def _number(track: bytes, start: int, end: int) -> int:
    value = 0
    for byte in track[start:end]:
        value = value << 7 | byte & 0x7F
    return value
