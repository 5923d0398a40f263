"""The tracks the engine can name: add them, forget them, list them, look for them."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Final, Self

import numpy as np

from pipeline.engine import store
from pipeline.engine.fingerprint import Fingerprint, fingerprint
from pipeline.engine.heard import WORTH_A_LOOK, hear_there
from pipeline.engine.hits import Hit, find_candidates, find_hits
from pipeline.engine.query import make_query
from pipeline.engine.search import Part, search_plain
from pipeline.engine.shard import MAX_FRAMES, frames_taken
from pipeline.engine.tracks import Entry, KnownTrack
from pipeline.errors import MediaError
from pipeline.model import MIN_SEGMENT_S, RATE_HZ, Pcm

SHARD_LANDMARKS: Final = 4_000_000
"""A shard is committed at this many landmarks (about ten hours): what an interrupted `add` can lose at most."""
MERGED_LANDMARKS: Final = 64_000_000
"""Merging stops at this size (150 hours, a quarter of a gigabyte), which bounds the memory it needs to about 2 GB."""
MAX_SMALL_SHARDS: Final = 8
"""With more small shards than this they are merged, for every shard costs a search its own pass."""

_ONE_SEARCH: Final = threading.Lock()
"""Two searches in one process hand the interpreter's lock to and fro at every array operation: 144 took 1.8 s in two
threads, 1.3 s in one, 0.9 s in two processes."""

_ID_DIGITS: Final = 16


class Outcome(StrEnum):
    """What became of an entry."""

    ADDED = "added"
    KNOWN = "known"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Addition:
    """What `add` did with one entry: `track` is the one in the catalogue, or with FAILED the one offered."""

    outcome: Outcome
    track: KnownTrack
    error: str = ""


class Catalogue:
    """Known tracks, searchable from many threads while one writer, in this process or another, adds to them."""

    def __init__(self, folder: Path, state: store.State) -> None:
        self._folder = folder
        self._state = state

    @classmethod
    def open(cls, folder: Path, *, create: bool = False) -> Catalogue:
        """The catalogue in `folder`; StorageError if there is none (unless `create`) or a byte of it is damaged."""
        if create:
            store.create(folder)
        return cls(folder, store.load(folder))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the mapped files; the catalogue then holds nothing."""
        self._state = store.State(self._state.manifest, ())

    def __len__(self) -> int:
        return len(self._state.tracks)

    @property
    def generation(self) -> str:
        """A word that changes whenever the catalogue does, and differs between catalogues."""
        return f"{self._state.manifest.lineage}-{self._state.manifest.generation}"

    @property
    def parts(self) -> tuple[Part, ...]:
        """The open shards, for programs that measure the engine."""
        return self._state.parts

    def tracks(self) -> list[KnownTrack]:
        """Every track, in the order of adding."""
        return list(self._state.tracks.values())

    def holds(self, track_id: str) -> bool:
        """Whether a track of this id can still be named."""
        return track_id in self._state.tracks

    def refresh(self) -> None:
        """See what others have added or removed since this catalogue was opened."""
        self._state = store.load(self._folder, self._state)

    def search(self, pcm: Pcm) -> list[Hit]:
        """Name 8 kHz mono samples (5 to 30 s; the rest is not heard): best first, empty if the music is not known."""
        with _ONE_SEARCH:
            return find_hits(pcm, self._state.parts)

    def candidates(self, pcm: Pcm) -> list[Hit]:
        """The few likeliest tracks however unlikely, for people who ask why something was or was not found."""
        with _ONE_SEARCH:
            return find_candidates(pcm, self._state.parts)

    def warm_up(self) -> None:
        """Search for noise: an installation's first search compiles for seconds, and later ones find that kept."""
        noise = np.random.default_rng(0).integers(-9000, 9000, int(MIN_SEGMENT_S * RATE_HZ), np.int16)
        self.search(noise)
        if (query := make_query(noise)) is not None:
            for candidate in search_plain(query, self._state.parts)[:1]:
                # No track is likely enough under noise to have its levels looked at.
                hear_there(query, replace(candidate, log_odds=WORTH_A_LOOK))

    def add(self, entries: Iterable[Entry]) -> list[Addition]:
        """Fingerprint and add tracks, committed every SHARD_LANDMARKS and at the end; what became of each, in order.

        Audio that is there already is KNOWN, under the id it has; an id already taken by other audio is taken over.
        Samples that raise MediaError, or hold nothing to recognise, are FAILED and stop nothing. Any other exception
        passes, and what was committed before it stays.
        """
        done: list[Addition] = []
        with store.writer(self._folder):
            self.refresh()
            store.sweep(self._folder, self._state.manifest)
            for batch in _batches(entries, {track.pcm_sha256: track for track in self.tracks()}, done):
                taken = frozenset(track.track_id for track, _ in batch)
                self._state = store.commit(self._folder, self._state, new=[batch], removing=taken)
            if sum(_landmarks(part) < SHARD_LANDMARKS for part in self._state.parts) > MAX_SMALL_SHARDS:
                self._merge()
        return done

    def remove(self, track_ids: Iterable[str] = (), *, paths: Iterable[str] = ()) -> int:
        """Forget tracks, by id or by source path; how many there were. `compact` gives their space back."""
        ids, places = frozenset(track_ids), frozenset(paths)
        with store.writer(self._folder):
            self.refresh()
            doomed = {
                track.track_id for track in self.tracks() if track.track_id in ids or track.path in places
            }
            if doomed:
                self._state = store.commit(self._folder, self._state, removing=doomed)
        return len(doomed)

    def compact(self) -> None:
        """Merge shards and give back the space of removed tracks; answers stay, their odds by and large."""
        with store.writer(self._folder):
            self.refresh()
            self._merge()

    def _merge(self) -> None:
        for group in _mergeable(self._state.parts):
            merged = [pair for part in group for pair in _alive_fingerprints(part)]
            names = frozenset(part.shard.name for part in group)
            self._state = store.commit(
                self._folder, self._state, new=[merged] if merged else [], dropping=names
            )


def _batches(
    entries: Iterable[Entry], known: dict[str, KnownTrack], done: list[Addition]
) -> Iterator[list[tuple[KnownTrack, Fingerprint]]]:
    """New tracks in lots of one shard; writes what became of each entry into `done`, what is new into `known`."""
    batch: list[tuple[KnownTrack, Fingerprint]] = []
    for entry in entries:
        try:
            made = fingerprint(entry.pcm)
        except MediaError as error:
            done.append(Addition(Outcome.FAILED, entry.track, str(error)))
            continue
        if made.sha256 in known:
            done.append(Addition(Outcome.KNOWN, known[made.sha256]))
            continue
        if not len(made.keys):
            done.append(
                Addition(
                    Outcome.FAILED, entry.track, "it holds nothing to recognise (silence or a steady tone)"
                )
            )
            continue
        frames = frames_taken(made.frames)
        if frames > MAX_FRAMES:
            done.append(
                Addition(Outcome.FAILED, entry.track, "it is longer than 148 hours: cut it into parts")
            )
            continue
        track = replace(
            entry.track,
            track_id=entry.track.track_id or made.sha256[:_ID_DIGITS],
            duration_s=made.duration_s,
            pcm_sha256=made.sha256,
        )
        known[made.sha256] = track
        done.append(Addition(Outcome.ADDED, track))
        batch = [pair for pair in batch if pair[0].track_id != track.track_id]
        if sum(frames_taken(print_.frames) for _, print_ in batch) + frames > MAX_FRAMES:
            yield batch
            batch = []
        batch.append((track, made))
        if sum(len(print_.keys) for _, print_ in batch) >= SHARD_LANDMARKS:
            yield batch
            batch = []
    if batch:
        yield batch


def _mergeable(parts: Iterable[Part]) -> Iterator[list[Part]]:
    """Neighbouring shards in groups of up to MERGED_LANDMARKS; no group that a merge would leave as it is."""
    group: list[Part] = []
    for part in parts:
        grown = [*group, part]
        if group and (
            sum(map(_landmarks, grown)) > MERGED_LANDMARKS
            or sum(member.shard.frames for member in grown) > MAX_FRAMES
        ):
            yield from _worth_merging(group)
            group = []
        group.append(part)
    yield from _worth_merging(group)


def _worth_merging(group: list[Part]) -> Iterator[list[Part]]:
    if len(group) > 1 or any(part.removed.any() for part in group):
        yield group


def _landmarks(part: Part) -> int:
    return len(part.shard.postings)


def _alive_fingerprints(part: Part) -> Iterator[tuple[KnownTrack, Fingerprint]]:
    return (pair for pair, gone in zip(part.shard.fingerprints(), part.removed, strict=True) if not gone)
