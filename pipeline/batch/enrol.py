"""Known music becomes part of the catalogue: walked, decoded ahead, fingerprinted, with the tags of its files."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import PurePath

from pipeline.audio import Decoder, cores
from pipeline.batch.walk import walk
from pipeline.engine.catalogue import Catalogue, Outcome
from pipeline.engine.tracks import Entry, KnownTrack
from pipeline.model import Pcm, SourceFile, Tags

BLOCKS_AHEAD = 4
"""Blocks (30 s, 480 kB) decoded ahead of the fingerprinting, for each file being decoded."""


@dataclass(frozen=True, slots=True)
class EnrolResult:
    """What became of the files."""

    added: int = 0
    already_there: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    """Shown path and reason."""
    interrupted: bool = False


def enrol(
    roots: Sequence[bytes | str],
    *,
    catalogue: Catalogue,
    decoder: Decoder,
    workers: int | None = None,
    stop: threading.Event,
    on_progress: Callable[[int, int], None],
) -> EnrolResult:
    """Add every file below `roots` to the catalogue; files it holds already, untouched since, are not decoded.

    `on_progress` is told how many files are done and how many there are. Setting `stop` ends it after the files being
    decoded; what was added stays.
    """
    failed: list[tuple[str, str]] = []
    sources = list(walk(roots, on_trouble=lambda path, message: failed.append((path, message))))
    there = {(track.path, track.size_bytes, track.mtime_ns) for track in catalogue.tracks()}
    new = [s for s in sources if (s.fs_path, s.size_bytes, s.mtime_ns) not in there]
    done = len(sources) - len(new)
    on_progress(done, len(sources))
    taken: list[SourceFile] = []

    def entries(decoded: Iterable[tuple[SourceFile, _Ahead]]) -> Iterator[Entry]:
        nonlocal done
        for source, ahead in decoded:
            if stop.is_set():
                return
            taken.append(source)
            yield Entry(_track(source, ahead.tags()), ahead.blocks())
            done += 1
            on_progress(done, len(sources))

    added = already_there = 0
    # Closed here, whatever is raised: a thread that decodes ahead for nobody would keep the program from ending.
    with closing(_decoded_ahead(new, decoder, workers or cores() + 1)) as decoded:
        additions = catalogue.add(entries(decoded))
    for source, addition in zip(taken, additions, strict=True):
        added += addition.outcome is Outcome.ADDED
        already_there += addition.outcome is Outcome.KNOWN
        if addition.outcome is Outcome.FAILED:
            failed.append((source.shown_path, addition.error))
    return EnrolResult(added, already_there + len(sources) - len(new), failed, stop.is_set())


def _track(source: SourceFile, tags: Tags) -> KnownTrack:
    name = PurePath(source.shown_path).name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return KnownTrack(
        track_id="",
        # An untagged reference track still has a name: the one its owner gave the file.
        title=tags.title or PurePath(name).stem,
        artist=tags.artist,
        album=tags.album,
        year=tags.year,
        path=source.fs_path,
        size_bytes=source.size_bytes,
        mtime_ns=source.mtime_ns,
    )


class _Ahead:
    """One file being decoded by a thread of its own, a few blocks ahead of whoever takes them."""

    def __init__(self, source: SourceFile, decoder: Decoder) -> None:
        self._source = source
        self._decoder = decoder
        self._tags: queue.Queue[Tags] = queue.Queue(1)
        self._blocks: queue.Queue[Pcm | Exception | None] = queue.Queue(BLOCKS_AHEAD)
        self._unwanted = threading.Event()
        self._thread = threading.Thread(target=self._decode, name=f"decode {source.shown_path!a}")
        self._thread.start()

    def tags(self) -> Tags:
        """What the file says of itself; nothing when it cannot be read, which `blocks` then says."""
        return self._tags.get()

    def blocks(self) -> Iterator[Pcm]:
        """The decoded file. Raises MediaError where it cannot be decoded on."""
        while (block := self._blocks.get()) is not None:
            if isinstance(block, Exception):
                raise block
            yield block

    def close(self) -> None:
        """Stop decoding what nobody will take."""
        self._unwanted.set()
        while self._thread.is_alive():
            with suppress(queue.Empty):
                self._blocks.get(timeout=0.05)

    def _decode(self) -> None:
        try:
            self._tags.put(self._decoder.inspect(self._source.fs_path).tags)
            for block in self._decoder.whole(self._source.fs_path):
                self._blocks.put(block)
                if self._unwanted.is_set():
                    return
            self._blocks.put(None)
        except Exception as error:  # whatever it is, it belongs to the thread that waits for the blocks
            if self._tags.empty():
                self._tags.put(Tags())
            self._blocks.put(error)


def _decoded_ahead(
    sources: Sequence[SourceFile], decoder: Decoder, workers: int
) -> Generator[tuple[SourceFile, _Ahead]]:
    """The files in their order, `workers` of them being decoded at any time."""
    waiting = iter(sources)
    ahead = deque((source, _Ahead(source, decoder)) for source in islice(waiting, workers))
    try:
        while ahead:
            yield ahead[0]
            ahead.popleft()[1].close()
            ahead.extend((source, _Ahead(source, decoder)) for source in islice(waiting, 1))
    finally:
        for _, left in ahead:
            left.close()
