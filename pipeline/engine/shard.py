"""One immutable file of the catalogue: tracks, their landmarks by key, their peaks by time.

    bytes        holds
    0            "EARSHARD"
    8            format version, uint32 (all numbers little-endian)
    12           length of the header in bytes, uint32
    16           header, JSON: {"tracks": [[first_frame, frames, track row], ...],
                                "postings": n, "peaks": n, "blocks": n}
    to 64        zeros, here and after every array
    first_posting    uint32[KEYS + 1]   key k's postings are first_posting[k] to before first_posting[k + 1]
    postings         uint32[postings]   frame of the shard at which a landmark begins
    first_peak       uint32[blocks + 1] block b's peaks are first_peak[b] to before first_peak[b + 1]
    peak_frame       uint8[peaks]       frame within the block of 32
    peak_bin         uint8[peaks]

Frames of a shard run on from track to track; GAP empty frames come before each, so that a probe that begins before
its track does not vote into the one before. A track begins on a block. An hour takes about 2.2 MB, a shard 3.5 MB more.

The manifest holds the CRC-32 of the whole file, and it is checked whenever a shard is opened: about 1 ms for each
hour of catalogue, and the file is then in the page cache, where the search wants it.
"""

from __future__ import annotations

import json
import mmap
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pipeline.engine.fingerprint import Fingerprint
from pipeline.engine.landmarks import KEYS
from pipeline.engine.peaks import BLOCK
from pipeline.engine.tracks import KnownTrack, from_row, to_row
from pipeline.engine.verify import StoredPeaks
from pipeline.errors import StorageError

MAGIC: Final = b"EARSHARD"
FORMAT: Final = 2
"""Raise it with every change of this layout, of the front end or of the keys."""

GAP: Final = 34 * BLOCK
"""35 s: more frames than the longest probe (30 s) played 13 % too fast."""

_HEAD: Final = struct.Struct("<8sII")
_ALIGN: Final = 64
_CRC_STEP: Final = 1 << 22

REBUILD: Final = "add the music again to a new, empty catalogue folder"


@dataclass(frozen=True, slots=True)
class StoredTrack:
    """A track's place in its shard."""

    track: KnownTrack
    first_frame: int
    frames: int


@dataclass(frozen=True, eq=False)
class Shard:
    """An open shard: read-only arrays, memory-mapped."""

    name: str
    tracks: tuple[StoredTrack, ...]
    first_posting: npt.NDArray[np.uint32]
    postings: npt.NDArray[np.uint32]
    peaks: StoredPeaks

    @property
    def frames(self) -> int:
        """All frames, gaps included."""
        return (len(self.peaks.first) - 1) * BLOCK

    @cached_property
    def _starts(self) -> npt.NDArray[np.int64]:
        return np.array([stored.first_frame - GAP for stored in self.tracks], np.int64)

    def owners(self, frames: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Which of `tracks` a probe that begins at each frame belongs to; a gap belongs to the track after it."""
        return np.maximum(np.searchsorted(self._starts, frames, side="right") - 1, 0)

    def fingerprints(self) -> Iterator[tuple[KnownTrack, Fingerprint]]:
        """The tracks as they were added, for merging shards without hearing the music again."""
        keys = np.repeat(np.arange(KEYS, dtype=np.uint32), np.diff(self.first_posting))
        order = np.argsort(self.postings, kind="stable")
        keys, frames = keys[order], self.postings[order]
        for stored in self.tracks:
            start, end = stored.first_frame, stored.first_frame + stored.frames
            span = slice(*np.searchsorted(frames, (start, end)))
            first, last = start // BLOCK, -(-end // BLOCK)
            bounds = self.peaks.first[first : last + 1].astype(np.int64)
            block = np.repeat(np.arange(last - first) * BLOCK, np.diff(bounds))
            held = slice(int(bounds[0]), int(bounds[-1]))
            yield (
                stored.track,
                Fingerprint(
                    samples=0,
                    sha256=stored.track.pcm_sha256,
                    frames=stored.frames,
                    peak_frame=(block + self.peaks.frame_in_block[held]).astype(np.int32),
                    peak_bin=np.asarray(self.peaks.bin[held]),
                    keys=keys[span],
                    key_frame=(frames[span] - np.uint32(start)).astype(np.int32),
                ),
            )


def encode(tracks: Sequence[tuple[KnownTrack, Fingerprint]]) -> Iterator[bytes]:
    """The bytes of a shard that holds these tracks, in pieces."""
    stored, keys, frames, peak_frames, peak_bins = [], [], [], [], []
    end = 0
    for track, print_ in tracks:
        start = end + GAP
        stored.append([start, print_.frames, to_row(track)])
        keys.append(print_.keys)
        frames.append(print_.key_frame.astype(np.uint32) + np.uint32(start))
        peak_frames.append(print_.peak_frame.astype(np.uint32) + np.uint32(start))
        peak_bins.append(print_.peak_bin)
        end = start + -(-print_.frames // BLOCK) * BLOCK
    key, frame = np.concatenate(keys), np.concatenate(frames)
    peak = np.concatenate(peak_frames)
    order = np.argsort(key, kind="stable")
    arrays = (
        _bounds(key, KEYS),
        frame[order],
        _bounds(peak // BLOCK, end // BLOCK),
        (peak % BLOCK).astype(np.uint8),
        np.concatenate(peak_bins),
    )
    header = json.dumps(
        {"tracks": stored, "postings": len(key), "peaks": len(peak), "blocks": end // BLOCK},
        separators=(",", ":"),
    ).encode("ascii")
    yield _padded(_HEAD.pack(MAGIC, FORMAT, len(header)) + header)
    for array in arrays:
        yield _padded(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())


def open_shard(path: Path, *, size_bytes: int, crc32: int) -> Shard:
    """Map a shard whose size and checksum the manifest vouches for; StorageError naming it if they differ."""
    try:
        with path.open("rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:  # ValueError: an empty file cannot be mapped
        raise StorageError(f"catalogue shard {path} cannot be read: {error}", hint=REBUILD) from error
    if len(data) != size_bytes:
        raise StorageError(
            f"catalogue shard {path} is damaged: {len(data)} bytes, its manifest says {size_bytes}",
            hint=REBUILD,
        )
    found = checksum(data)
    if found != crc32:
        raise StorageError(
            f"catalogue shard {path} is damaged: checksum {found:08x}, its manifest says {crc32:08x}",
            hint=REBUILD,
        )
    magic, version, header_bytes = _HEAD.unpack_from(data)
    if magic != MAGIC or version != FORMAT:
        raise StorageError(
            f"catalogue shard {path} has format {version}, this program reads format {FORMAT}", hint=REBUILD
        )
    return _decode(path.name, data, json.loads(data[_HEAD.size : _HEAD.size + header_bytes]), header_bytes)


def checksum(data: mmap.mmap | bytes) -> int:
    """CRC-32, a few megabytes at a time: it catches every flipped byte."""
    crc = 0
    with memoryview(data) as view:
        for start in range(0, len(view), _CRC_STEP):
            crc = zlib.crc32(view[start : start + _CRC_STEP], crc)
    return crc


def _decode(name: str, data: mmap.mmap, header: dict[str, Any], header_bytes: int) -> Shard:
    offset = _up(_HEAD.size + header_bytes)
    arrays = []
    for kind, length in (
        ("<u4", KEYS + 1),
        ("<u4", header["postings"]),
        ("<u4", header["blocks"] + 1),
        ("u1", header["peaks"]),
        ("u1", header["peaks"]),
    ):
        arrays.append(np.frombuffer(data, kind, length, offset))
        offset = _up(offset + arrays[-1].nbytes)
    tracks = tuple(StoredTrack(from_row(row), first, frames) for first, frames, row in header["tracks"])
    return Shard(name, tracks, arrays[0], arrays[1], StoredPeaks(*arrays[2:]))


def _bounds(places: npt.NDArray[np.uint32], count: int) -> npt.NDArray[np.uint32]:
    """Where each of `count` places begins in the sorted list: [count + 1]."""
    bounds = np.zeros(count + 1, np.uint32)
    np.cumsum(np.bincount(places, minlength=count), out=bounds[1:])
    return bounds


def _up(offset: int) -> int:
    return -(-offset // _ALIGN) * _ALIGN


def _padded(data: bytes) -> bytes:
    return data.ljust(_up(len(data)), b"\0")
