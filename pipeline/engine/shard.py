"""One immutable file of the catalogue: tracks, their landmarks by key, their peaks by time.

    bytes        holds
    0            "EARSHARD"
    8            format version, uint32 (all numbers little-endian)
    12           length of the header in bytes, uint32
    16           header, JSON: {"tracks": [[first_frame, frames, track row], ...],
                                "counts_bytes": n, "postings": n, "peaks": n, "blocks": n}
    to 64        zeros, here and after every array
    counts           zlib of uint32[KEYS]  how many postings each key has
    postings         uint8[postings, 3] frame of the shard at which a landmark begins, keys in order
    first_peak       uint32[blocks + 1] block b's peaks are first_peak[b] to before first_peak[b + 1]
    peaks            uint16[peaks]      see stored.py

Frames of a shard run on from track to track; GAP empty frames come before each, so that a probe that begins before
its track does not vote into the one before. A track begins on a block. An hour takes about 1.6 MB.

All but the counts stays in the file, mapped; an open shard adds 4.7 MB of memory for where each key's postings begin.

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
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pipeline.engine.fingerprint import Fingerprint
from pipeline.engine.landmarks import KEYS
from pipeline.engine.peaks import BLOCK
from pipeline.engine.stored import StoredPeaks, pack
from pipeline.engine.tracks import KnownTrack, from_row, to_row
from pipeline.errors import StorageError

MAGIC: Final = b"EARSHARD"
FORMAT: Final = 4
"""Raise it with every change of this layout, and with FRONT_END."""

GAP: Final = 34 * BLOCK
"""35 s: more frames than the longest probe (30 s) played 13 % too fast."""

MAX_FRAMES: Final = 1 << 24
"""Of a shard, gaps included: 149 hours, what a posting of three bytes can tell apart."""

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
    """An open shard: read-only arrays, memory-mapped but for one."""

    name: str
    tracks: tuple[StoredTrack, ...]
    first_posting: npt.NDArray[np.uint32]
    """Key k's postings are first_posting[k] to before first_posting[k + 1]; not mapped."""
    postings: npt.NDArray[np.uint32]
    """Posting p's frame is postings[p] >> 8: one load takes its three bytes and, below them, the one before."""
    peaks: StoredPeaks

    @property
    def frames(self) -> int:
        """All frames, gaps included."""
        return (len(self.peaks.first) - 1) * BLOCK

    @property
    def starts(self) -> npt.NDArray[np.int64]:
        """The first frame at which a probe of each track may begin: in the gap before it, which is its own."""
        return np.array([stored.first_frame - GAP for stored in self.tracks], np.int64)

    def fingerprints(self) -> Iterator[tuple[KnownTrack, Fingerprint]]:
        """The tracks as they were added, for merging shards without hearing the music again."""
        keys = np.repeat(np.arange(KEYS, dtype=np.uint32), np.diff(self.first_posting))
        frames = self.postings >> np.uint32(8)
        order = np.argsort(frames, kind="stable")
        keys, frames = keys[order], frames[order]
        for stored in self.tracks:
            start, end = stored.first_frame, stored.first_frame + stored.frames
            span = slice(*np.searchsorted(frames, (start, end)))
            first, last = start // BLOCK, -(-end // BLOCK)
            peaks = self.peaks.between(first, last)
            yield (
                stored.track,
                Fingerprint(
                    samples=0,
                    sha256=stored.track.pcm_sha256,
                    frames=stored.frames,
                    peak_frame=(peaks.frame - start).astype(np.int32),
                    peak_bin=peaks.bin.astype(np.uint16),
                    peak_class=peaks.rank_class.astype(np.uint8),
                    peak_level=peaks.level.astype(np.uint8),
                    keys=keys[span],
                    key_frame=(frames[span] - np.uint32(start)).astype(np.int32),
                ),
            )


def frames_taken(frames: int) -> int:
    """How many of a shard's MAX_FRAMES a track of so many frames needs."""
    return GAP + -(-frames // BLOCK) * BLOCK


def encode(tracks: Sequence[tuple[KnownTrack, Fingerprint]]) -> Iterator[bytes]:
    """The bytes of a shard that holds these tracks, in pieces."""
    stored, keys, frames, peak_frames, peaks = [], [], [], [], []
    end = 0
    for track, print_ in tracks:
        start = end + GAP
        stored.append([start, print_.frames, to_row(track)])
        keys.append(print_.keys)
        frames.append(print_.key_frame.astype(np.uint32) + np.uint32(start))
        packed, leads_to = pack(print_.peak_frame, print_.peak_bin, print_.peak_class, print_.peak_level)
        peak_frames.append(leads_to.astype(np.uint32) + np.uint32(start))
        peaks.append(packed)
        end += frames_taken(print_.frames)
    key, frame = np.concatenate(keys), np.concatenate(frames)
    peak = np.concatenate(peak_frames)
    order = np.argsort(key, kind="stable")
    counts = zlib.compress(np.bincount(key, minlength=KEYS).astype("<u4").tobytes())
    arrays = (
        np.frombuffer(counts, np.uint8),
        frame[order].astype("<u4").view(np.uint8).reshape(-1, 4)[:, :3],
        _bounds(peak // BLOCK, end // BLOCK),
        np.concatenate(peaks),
    )
    header = json.dumps(
        {
            "tracks": stored,
            "counts_bytes": len(counts),
            "postings": len(key),
            "peaks": len(peak),
            "blocks": end // BLOCK,
        },
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
    arrays, starts = [], []
    for kind, length in (
        ("u1", header["counts_bytes"]),
        ("u1", 3 * header["postings"]),
        ("<u4", header["blocks"] + 1),
        ("<u2", header["peaks"]),
    ):
        arrays.append(np.frombuffer(data, kind, length, offset))
        starts.append(offset)
        offset = _up(offset + arrays[-1].nbytes)
    tracks = tuple(StoredTrack(from_row(row), first, frames) for first, frames, row in header["tracks"])
    first_posting = np.zeros(KEYS + 1, np.uint32)
    np.cumsum(np.frombuffer(zlib.decompress(arrays[0].tobytes()), "<u4"), out=first_posting[1:])
    postings = np.ndarray(header["postings"], "<u4", data, starts[1] - 1, (3,))
    return Shard(name, tracks, first_posting, postings, StoredPeaks(*arrays[2:]))


def _bounds(places: npt.NDArray[np.uint32], count: int) -> npt.NDArray[np.uint32]:
    """Where each of `count` places begins in the sorted list: [count + 1]."""
    bounds = np.zeros(count + 1, np.uint32)
    np.cumsum(np.bincount(places, minlength=count), out=bounds[1:])
    return bounds


def _up(offset: int) -> int:
    return -(-offset // _ALIGN) * _ALIGN


def _padded(data: bytes) -> bytes:
    return data.ljust(_up(len(data)), b"\0")
