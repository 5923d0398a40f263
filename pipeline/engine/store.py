"""A catalogue's folder: loading, locking, committing and sweeping. What the tracks mean is not its business."""

from __future__ import annotations

import contextlib
import logging
import secrets
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import filelock
import numpy as np

from pipeline.engine import manifest as manifests
from pipeline.engine.fingerprint import Fingerprint
from pipeline.engine.manifest import Manifest
from pipeline.engine.search import Part
from pipeline.engine.shard import Shard, encode, open_shard
from pipeline.engine.tracks import KnownTrack
from pipeline.errors import StorageError

log = logging.getLogger(__name__)

LOCK_WAIT_S: Final = 5.0
"""A commit takes less; whoever holds the lock longer is adding music and will be at it for minutes."""

LOAD_TRIES: Final = 3
"""A reader can read the manifest just before a merge takes its shards away; twice in a row is nearly impossible."""

Tracks = Sequence[tuple[KnownTrack, Fingerprint]]

_LOCK: Final = "writer.lock"
_SHARD_GLOB: Final = "shard-*.fp"


@dataclass(frozen=True, eq=False)
class State:
    """One state of a catalogue, open: replaced as a whole, so that a search under way keeps what it began with."""

    manifest: Manifest
    parts: tuple[Part, ...]

    @cached_property
    def tracks(self) -> dict[str, KnownTrack]:
        """What counts, by id, in the order of adding."""
        return {
            stored.track.track_id: stored.track
            for part in self.parts
            for stored, gone in zip(part.shard.tracks, part.removed, strict=True)
            if not gone
        }


def create(folder: Path) -> None:
    """Make an empty catalogue in `folder` unless it holds one."""
    if (folder / manifests.NAME).exists():
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"catalogue folder {folder} cannot be made: {error}") from error
    with writer(folder):
        if not (folder / manifests.NAME).exists():
            manifests.write(folder, Manifest(lineage=secrets.token_hex(4)))


def load(folder: Path, before: State | None = None) -> State:
    """Open the catalogue as its manifest has it now, taking shards already open from `before`."""
    for attempt in range(LOAD_TRIES):
        manifest = manifests.read(folder)
        try:
            return _open_parts(folder, manifest, before)
        except StorageError:
            if attempt + 1 == LOAD_TRIES or manifests.read(folder) == manifest:
                raise
    raise AssertionError("unreachable")


@contextlib.contextmanager
def writer(folder: Path) -> Iterator[None]:
    """Be the only process and thread that changes the catalogue; StorageError if another one is at it."""
    try:
        with filelock.FileLock(folder / _LOCK, timeout=LOCK_WAIT_S):
            yield
    except filelock.Timeout as error:
        raise StorageError(
            f"another process is changing the catalogue {folder}",
            hint="wait for it to finish, then try again",
        ) from error


def sweep(folder: Path, manifest: Manifest) -> None:
    """Delete what a crash left unfinished and what no longer counts. Only for the writer."""
    named = {record.name for record in manifest.shards}
    stale = [path for path in folder.glob(_SHARD_GLOB) if path.name not in named]
    for path in [*stale, *folder.glob(f"*{manifests.UNFINISHED}")]:
        log.info("sweeping the catalogue file=%s", path.name)
        path.unlink(missing_ok=True)


def commit(
    folder: Path,
    state: State,
    *,
    new: Sequence[Tracks] = (),
    removing: Set[str] = frozenset(),
    dropping: Set[str] = frozenset(),
) -> State:
    """Write a shard for each of `new`, then the manifest by which it counts; the state after it. Only for the writer.

    With the same stroke the tracks with the ids `removing` no longer count, nor do the shards named in `dropping`.
    """
    generation = state.manifest.generation + 1
    written = [
        manifests.put(folder / f"shard-{generation:06d}-{secrets.token_hex(4)}.fp", encode(tracks))
        for tracks in new
    ]
    kept = [part for part in state.parts if part.shard.name not in dropping]
    removed = {part.shard.name: frozenset(_numbers_gone(part, removing)) for part in kept}
    after = Manifest(
        generation,
        state.manifest.lineage,
        (*(record for record in state.manifest.shards if record.name not in dropping), *written),
        {name: numbers for name, numbers in removed.items() if numbers},
    )
    manifests.write(folder, after)
    sweep(folder, after)
    return load(folder, state)


def _numbers_gone(part: Part, removing: Set[str]) -> Iterator[int]:
    for number, stored in enumerate(part.shard.tracks):
        if part.removed[number] or stored.track.track_id in removing:
            yield number


def _open_parts(folder: Path, manifest: Manifest, before: State | None) -> State:
    opened = {part.shard.name: part.shard for part in before.parts} if before else {}
    return State(
        manifest,
        tuple(
            _part(
                opened.get(record.name)
                or open_shard(folder / record.name, size_bytes=record.size_bytes, crc32=record.crc32),
                manifest.removed.get(record.name, frozenset()),
            )
            for record in manifest.shards
        ),
    )


def _part(shard: Shard, removed: Set[int]) -> Part:
    gone = np.zeros(len(shard.tracks), np.bool_)
    gone[list(removed)] = True
    return Part(shard, gone)
