"""The catalogue's commit point: which shards count, and which of their tracks no longer do.

    {"earmark_catalogue": FORMAT, "generation": n, "lineage": "...",
     "shards": [[name, size_bytes, crc32], ...],
     "removed": {shard name: [track number, ...]},
     "crc32": of the JSON of all the rest}

It is replaced as a whole; a shard that it does not name does not exist.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pipeline.engine.shard import FORMAT, REBUILD
from pipeline.errors import StorageError

NAME: Final = "manifest.json"
UNFINISHED: Final = ".part"
"""The ending of a file being written: what a crash leaves, and the next writer sweeps away."""


@dataclass(frozen=True, slots=True)
class ShardRecord:
    """A shard as the manifest vouches for it."""

    name: str
    size_bytes: int
    crc32: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """One state of the catalogue."""

    generation: int = 0
    lineage: str = ""
    """A random word given at creation: two catalogues of the same generation still differ."""
    shards: tuple[ShardRecord, ...] = ()
    removed: Mapping[str, frozenset[int]] = field(default_factory=dict)
    """By shard name the numbers of its removed tracks."""


def read(folder: Path) -> Manifest:
    """The manifest of a catalogue folder; StorageError if it is missing, damaged or of another format."""
    path = folder / NAME
    try:
        content: Any = json.loads(path.read_bytes())
        crc32 = content.pop("crc32")
        version = content["earmark_catalogue"]
    except FileNotFoundError as error:
        raise StorageError(f"{folder} holds no catalogue", hint="add music to it first") from error
    except OSError as error:
        raise StorageError(f"catalogue manifest {path} cannot be read: {error}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StorageError(f"catalogue manifest {path} is damaged: {error!r}", hint=REBUILD) from error
    if zlib.crc32(_canonical(content)) != crc32:
        raise StorageError(f"catalogue manifest {path} is damaged: wrong checksum", hint=REBUILD)
    if version != FORMAT:
        raise StorageError(
            f"catalogue {folder} has format {version}, this program reads {FORMAT}", hint=REBUILD
        )
    return Manifest(
        content["generation"],
        content["lineage"],
        tuple(ShardRecord(*row) for row in content["shards"]),
        {name: frozenset(numbers) for name, numbers in content["removed"].items()},
    )


def write(folder: Path, manifest: Manifest) -> None:
    """Make this the catalogue's state; whoever reads meanwhile gets the old one or the new one."""
    content = {
        "earmark_catalogue": FORMAT,
        "generation": manifest.generation,
        "lineage": manifest.lineage,
        "shards": [[shard.name, shard.size_bytes, shard.crc32] for shard in manifest.shards],
        "removed": {name: sorted(numbers) for name, numbers in sorted(manifest.removed.items())},
    }
    content["crc32"] = zlib.crc32(_canonical(content))
    put(folder / NAME, [json.dumps(content, indent=1).encode("ascii")])


def put(path: Path, pieces: Iterable[bytes]) -> ShardRecord:
    """Write a file beside its name, make it durable, and give it its name; StorageError if the disk refuses."""
    unfinished = path.with_name(path.name + UNFINISHED)
    size, crc = 0, 0
    try:
        with unfinished.open("wb") as file:
            for piece in pieces:
                file.write(piece)
                size, crc = size + len(piece), zlib.crc32(piece, crc)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
        _make_names_durable(path.parent)
    except OSError as error:
        raise StorageError(
            f"catalogue file {path} cannot be written: {(error.strerror or str(error)).lower()}",
            hint="free some space, or move the state folder with --state DIR",
        ) from error
    return ShardRecord(path.name, size, crc)


def _make_names_durable(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _canonical(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode("ascii")
