"""A source file becomes pieces: the segments worth asking about, decoded, silence left out."""

from __future__ import annotations

import hashlib
import heapq
import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from pipeline.audio import Decoder, is_silent, level_dbfs
from pipeline.batch.options import Coverage, Options
from pipeline.batch.segment import cut, paid_step, plan_probes, plan_stride
from pipeline.errors import MediaError
from pipeline.model import MIN_SEGMENT_S, RATE_HZ, FileStatus, Pcm, Probe, Segment, SourceFile, Tags

SHORTFALL_S = 1.0
"""A probe this much shorter than planned means that the header lied about the duration (seeking is exact to 0.5 s), or
that reading broke off.
"""

PROMISE_S = 2 * MIN_SEGMENT_S
"""A file whose header states this much, and of which less than `MIN_SEGMENT_S` can be heard, is damaged, not short."""

SPANS_AT_ONCE = 8
"""Probes of a mix decoded by one child process: bounds memory (8 x 240 kB) however long the mix is."""


CONTENT_ID_LENGTH = 32
"""Hex digits: 128 bits, so that two different files of one collection never share an id by chance."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A segment with its audio, ready to be asked about."""

    segment: Segment
    probe: Probe
    for_paid: bool = True
    """Whether paid services may be asked about it too, or only the free catalogue."""


@dataclass(slots=True)
class Converted:
    """A source file on its way through the recognizers. `pieces` may be a stream: take it once."""

    duration_s: float
    tags: Tags
    pieces: Generator[Piece]
    """To be closed when no more are wanted: it may hold a child process."""
    one_by_one: bool
    """True: pieces are tries for one answer, asked until it is settled. False: every piece is asked, as in a mix."""
    step_s: float
    """Distance between neighbouring pieces."""
    hashes: list[str] = field(default_factory=list)
    """The audio met so far, silence too: together, the file's content."""
    nothing: FileStatus | None = None
    """Why there are no pieces: too short, or silent; `note` says it in words."""
    note: str = ""

    @property
    def content_id(self) -> str:
        """The same for files whose decoded audio is the same at every place that was heard; "" if none was."""
        return (
            hashlib.sha256("\n".join(self.hashes).encode()).hexdigest()[:CONTENT_ID_LENGTH]
            if self.hashes
            else ""
        )


def convert(source: SourceFile, decoder: Decoder, options: Options, *, hear_all: bool) -> Converted:
    """Decode what has to be heard of a file.

    `hear_all` says that a free recognizer hears mixes in whole. Raises MediaError when there is nothing to hear.
    """
    if source.size_bytes == 0:
        raise MediaError("the file is empty (0 bytes)", status=FileStatus.UNREADABLE)
    path = source.fs_path
    info = decoder.inspect(path)
    duration_s = info.duration_s
    if duration_s is None or duration_s < MIN_SEGMENT_S:
        # No header, or one that may be wrong in the way that would skip a whole file.
        duration_s = decoder.measure(path)
    if duration_s < MIN_SEGMENT_S:
        return _nothing(duration_s, info.tags, FileStatus.TOO_SHORT, _too_short(duration_s))
    mix = duration_s > options.mix_after_s
    if options.coverage is Coverage.FULL or (mix and hear_all):
        every_s = options.segment_s if options.coverage is Coverage.FULL else options.mix_every_s
        return _covered(path, decoder, options.segment_s, every_s, duration_s, info.tags)
    if mix:
        plan = plan_stride(duration_s, length_s=options.segment_s, every_s=options.mix_every_s)
        return _strided(path, decoder, plan, options.mix_every_s, duration_s, info.tags)
    return _probed(path, decoder, options, duration_s, info.tags)


def unchanged(source: SourceFile) -> bool:
    """Whether the file is still what the walk saw."""
    try:
        found = os.stat(source.path)  # noqa: PTH116 -- a name may hold any bytes
    except OSError:
        return False
    return (found.st_size, found.st_mtime_ns) == (source.size_bytes, source.mtime_ns)


def _covered(
    path: str, decoder: Decoder, length_s: float, every_s: float, duration_s: float, tags: Tags
) -> Converted:
    every = paid_step(length_s=length_s, every_s=every_s)
    converted = Converted(duration_s, tags, _each(()), one_by_one=False, step_s=length_s)

    def pieces() -> Generator[Piece]:
        end_s = 0.0
        for number, (segment, pcm) in enumerate(cut(decoder.whole(path), length_s=length_s)):
            end_s = segment.end_s
            probe = Probe(pcm)
            converted.hashes.append(probe.sha256)
            if segment.length_s >= MIN_SEGMENT_S and not is_silent(pcm):
                yield Piece(segment, probe, for_paid=number % every == 0)
        _check_promise(end_s, duration_s)
        converted.duration_s = end_s

    converted.pieces = pieces()
    return converted


def _strided(
    path: str, decoder: Decoder, plan: Sequence[Segment], step_s: float, duration_s: float, tags: Tags
) -> Converted:
    converted = Converted(duration_s, tags, _each(()), one_by_one=False, step_s=step_s)

    def pieces() -> Generator[Piece]:
        heard_s = 0.0
        for first in range(0, len(plan), SPANS_AT_ONCE):
            some = plan[first : first + SPANS_AT_ONCE]
            placed = _placed(some, decoder.spans(path, some))
            if _falls_short(some, placed):
                placed = _placed(some, decoder.spans(path, some))
            heard_s += sum(segment.length_s for segment, _ in placed)
            yield from _audible(placed, converted.hashes)
        _check_promise(heard_s, duration_s)

    converted.pieces = pieces()
    return converted


def _probed(path: str, decoder: Decoder, options: Options, duration_s: float, tags: Tags) -> Converted:
    stated_s = duration_s
    plan = plan_probes(duration_s, count=options.probes, length_s=options.segment_s)
    placed = _placed(plan, decoder.spans(path, plan))
    if _falls_short(plan, placed):
        true_s = decoder.measure(path)
        if abs(true_s - duration_s) > SHORTFALL_S:
            duration_s = true_s
            plan = plan_probes(duration_s, count=options.probes, length_s=options.segment_s)
        # Also where the header was right: a disk or a network may fail to read once.
        placed = _placed(plan, decoder.spans(path, plan)) if plan else []
    if all(segment.length_s < MIN_SEGMENT_S for segment, _ in placed):
        heard_s = sum(segment.length_s for segment, _ in placed) if placed else duration_s
        _check_promise(heard_s, stated_s)
        return _nothing(duration_s, tags, FileStatus.TOO_SHORT, _too_short(heard_s))
    starts = sorted(segment.start_s for segment, _ in placed)
    step_s = max((later - start for start, later in pairwise(starts)), default=duration_s)
    converted = Converted(duration_s, tags, _each(()), one_by_one=True, step_s=step_s)
    audible = list(_audible(placed, converted.hashes))
    if not audible:
        audible = _loudest(path, decoder, options.segment_s, len(plan))
        converted.hashes.extend(piece.probe.sha256 for piece in audible)
    if not audible:
        converted.nothing, converted.note = FileStatus.SILENT, "nothing but silence"
    converted.pieces = _each(audible)
    return converted


def _each(pieces: Iterable[Piece]) -> Generator[Piece]:
    yield from pieces


def _nothing(duration_s: float, tags: Tags, status: FileStatus, note: str) -> Converted:
    return Converted(
        duration_s, tags, _each(()), one_by_one=True, step_s=duration_s, nothing=status, note=note
    )


def _check_promise(heard_s: float, stated_s: float) -> None:
    """Raise MediaError where next to nothing came out of a file that should hold much more."""
    if heard_s < MIN_SEGMENT_S and stated_s >= PROMISE_S:
        raise MediaError(
            f"only {heard_s:.1f} s of it can be decoded, where its header promises {stated_s:.0f} s",
            hint="the file is damaged or cut short: copy it again from where it came from",
        )


def _too_short(heard_s: float) -> str:
    return f"{heard_s:.1f} s of audio; at least {MIN_SEGMENT_S:.0f} s are needed"


def _placed(plan: Sequence[Segment], decoded: Sequence[Pcm]) -> list[tuple[Segment, Pcm]]:
    """The segments as they came out: what is asked, and paid, is never longer than what was heard."""
    return [
        (Segment(segment.start_s, Probe(pcm).length_s), pcm)
        for segment, pcm in zip(plan, decoded, strict=True)
    ]


def _falls_short(plan: Sequence[Segment], placed: Sequence[tuple[Segment, Pcm]]) -> bool:
    return any(
        came.length_s < planned.length_s - SHORTFALL_S
        for planned, (came, _) in zip(plan, placed, strict=True)
    )


def _audible(placed: Sequence[tuple[Segment, Pcm]], hashes: list[str]) -> Iterator[Piece]:
    for segment, pcm in placed:
        probe = Probe(pcm)
        hashes.append(probe.sha256)
        if segment.length_s >= MIN_SEGMENT_S and not is_silent(pcm):
            yield Piece(segment, probe)


def _loudest(path: str, decoder: Decoder, length_s: float, count: int) -> list[Piece]:
    """The planned places were silent: hear the whole file, and keep as many of its loudest segments, no longer."""
    best: list[tuple[float, float, Piece]] = []
    for segment, pcm in cut(decoder.whole(path), length_s=length_s):
        if segment.length_s >= MIN_SEGMENT_S and not is_silent(pcm):
            level = level_dbfs(pcm)
            probe = Probe(pcm[: round(length_s * RATE_HZ)])
            # The start breaks ties: pieces themselves have no order.
            piece = Piece(Segment(segment.start_s, probe.length_s), probe)
            heapq.heappush(best, (level, -segment.start_s, piece))
            if len(best) > count:
                heapq.heappop(best)
    return [piece for _, _, piece in sorted(best, key=lambda item: (-item[0], -item[1]))]
