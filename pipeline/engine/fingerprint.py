"""A whole recording to its fingerprint, as a stream: what a catalogue stores of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from pipeline.engine.landmarks import Frames, Keys, landmarks
from pipeline.engine.peaks import AROUND_FRAMES, BLOCK, Peaks, find_peaks, salience
from pipeline.engine.spectrum import BINS, HOP, WINDOW, Level, log_spectrum
from pipeline.engine.stored import LEVEL_MASK, LEVEL_STEP
from pipeline.model import RATE_HZ, Pcm

FRONT_END: Final = 3
"""Raise it when the same audio gives other peaks or keys (but for some in a hundred thousand, as rounding may do):
fingerprints kept from before then say nothing of it."""

STORED_PER_BLOCK: Final = 64
"""Peaks kept for verification: the matched filter gains from every one."""
CLASSES: Final = (8, 21, 40)
"""Ranks at which the next class of stored peaks begins; verification believes the first class most."""
TIED_PER_BLOCK: Final = 21
FAN_OUT: Final = 5
"""Peaks that become landmarks, and pairs for each of them: about 102 postings a second."""

CHUNK: Final = 32 * BLOCK
"""Frames (33 s) worked on at a time: what bounds the memory of a fingerprint, whatever the recording's length."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """A recording as the catalogue keeps it; frames count from its start. About 4 MB an hour."""

    samples: int
    sha256: str
    """Of the PCM, int16 little-endian: the recording's name for `already there`."""
    frames: int
    peak_frame: Frames
    """In order of time, [peaks]."""
    peak_bin: npt.NDArray[np.uint16]
    peak_class: npt.NDArray[np.uint8]
    """By salience, 0 for the strongest of a block: CLASSES."""
    peak_level: npt.NDArray[np.uint8]
    """How far below the loudest of its block, in steps of LEVEL_STEP, the last of which has no end."""
    keys: Keys
    key_frame: Frames
    """The first peak's frame of each landmark: [landmarks]."""

    @property
    def duration_s(self) -> float:
        return self.samples / RATE_HZ


def fingerprint(blocks: Iterable[Pcm]) -> Fingerprint:
    """Fingerprint 8 kHz mono int16 samples given in blocks of any size; the cuts between blocks change nothing."""
    digest, samples = hashlib.sha256(), 0

    def counted() -> Iterator[Pcm]:
        nonlocal samples
        for block in blocks:
            digest.update(np.ascontiguousarray(block, "<i2").data)
            samples += len(block)
            yield block

    peaks, frames = recording_peaks(counted())
    return fingerprint_of(peaks, frames, samples=samples, sha256=digest.hexdigest())


def recording_peaks(blocks: Iterable[Pcm]) -> tuple[Peaks, int]:
    """The peaks of a whole recording, in order of time, and how many frames it has."""
    nothing = np.empty(0, np.float32)
    none = Peaks(np.empty(0, np.int32), np.empty(0, np.int32), nothing, nothing)
    parts, frames = [none], 0
    for part, frames in _peaks_by_chunk(blocks):  # noqa: B007 - the last count is the recording's
        parts.append(part)
    peaks = Peaks(
        np.concatenate([part.frame for part in parts]),
        np.concatenate([part.bin for part in parts]),
        np.concatenate([part.salience for part in parts]),
        np.concatenate([part.level for part in parts]),
    )
    return peaks, frames


def fingerprint_of(peaks: Peaks, frames: int, *, samples: int, sha256: str) -> Fingerprint:
    """The fingerprint of a recording that has these peaks."""
    stored = peaks.strongest(STORED_PER_BLOCK)
    ranks = stored.ranks()
    keys, key_frame = landmarks(stored.only(ranks < TIED_PER_BLOCK), FAN_OUT)
    return Fingerprint(
        samples,
        sha256,
        frames,
        stored.frame,
        stored.bin.astype(np.uint16),
        np.searchsorted(CLASSES, ranks, side="right").astype(np.uint8),
        _below_the_loudest(stored),
        keys,
        key_frame,
    )


def _below_the_loudest(peaks: Peaks) -> npt.NDArray[np.uint8]:
    block = peaks.frame // BLOCK
    loudest = np.full(block.max(initial=0) + 1, -np.inf, np.float32)
    np.maximum.at(loudest, block, peaks.level)
    below: npt.NDArray[np.float32] = (loudest[block] - peaks.level) / np.float32(LEVEL_STEP)
    return np.minimum(below, LEVEL_MASK).astype(np.uint8)


def _peaks_by_chunk(blocks: Iterable[Pcm]) -> Iterator[tuple[Peaks, int]]:
    """The peaks of each CHUNK of frames, and how many frames there were up to its end."""
    before, held = np.empty((0, BINS), np.float32), np.empty((0, BINS), np.float32)
    done = 0
    for level in _levels(blocks):
        if len(held):
            yield _chunk_peaks(before, held, level, done), done + CHUNK
            before, done = held[-AROUND_FRAMES:], done + CHUNK
        held = level
    if len(held):
        yield _chunk_peaks(before, held, held[:0], done), done + len(held)


def _chunk_peaks(before: Level, level: Level, following: Level, done: int) -> Peaks:
    seen = np.concatenate([before, level, following[:AROUND_FRAMES]])
    context = len(before)
    found = find_peaks(seen, salience(seen), context, context + len(level), STORED_PER_BLOCK)
    return found.later(done - context)


def _levels(blocks: Iterable[Pcm]) -> Iterator[Level]:
    """The spectrogram in pieces of CHUNK frames, the last one shorter and never empty."""
    waiting: list[Pcm] = []
    held = 0
    needed = (CHUNK - 1) * HOP + WINDOW
    for block in blocks:
        waiting.append(block)
        held += len(block)
        if held < needed:
            continue
        pcm = np.concatenate(waiting)
        while len(pcm) >= needed:
            yield log_spectrum(pcm[:needed])
            pcm = pcm[CHUNK * HOP :]
        waiting, held = [pcm], len(pcm)
    if held >= WINDOW:
        yield log_spectrum(np.concatenate(waiting))
