"""What a run would send and cost at most, file by file, before a second is spent."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from pipeline.audio import Decoder, cores
from pipeline.batch.budget import charged_seconds
from pipeline.batch.options import Coverage, Options
from pipeline.batch.run import ADMITTED_AT_ONCE, in_batches
from pipeline.batch.segment import paid_step, plan_cover, plan_probes, plan_stride
from pipeline.batch.standing import stands
from pipeline.batch.tally import Tally
from pipeline.batch.walk import walk
from pipeline.errors import MediaError
from pipeline.ledger import Ledger
from pipeline.model import MIN_SEGMENT_S, Recognizer, Segment, SourceFile


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """What one file may cost. Silence, copies and what the free catalogue knows make it less, never more."""

    path: str
    segments_at_most: int
    credits_at_most: float
    note: str = ""
    """Why a file costs nothing, in words; empty when it may cost something."""


def estimate(
    roots: Sequence[bytes | str],
    *,
    ledger: Ledger,
    recognizers: Sequence[Recognizer],
    decoder: Decoder,
    options: Options,
    tally: Tally,
    stop: threading.Event,
) -> Iterator[PlannedFile]:
    """The files of a run in their order, each with what it would send at most. Headers are read, nothing is decoded."""
    paid = any(recognizer.paid for recognizer in recognizers)
    hear_all = any(not recognizer.paid for recognizer in recognizers)

    def look_at(source: SourceFile) -> PlannedFile:
        if not paid:
            return PlannedFile(source.shown_path, 0, 0.0, "no paid service is asked")
        return _planned(source, decoder, options, hear_all=hear_all)

    sources = walk(
        roots, include=options.include, exclude=options.exclude, on_trouble=lambda path, message: None
    )
    taken = 0
    with ThreadPoolExecutor(options.workers or cores() + 1) as pool:
        ahead: deque[Future[PlannedFile]] = deque()
        for batch in in_batches(sources, ADMITTED_AT_ONCE):
            admitted = ledger.admit(batch)
            for source in batch:
                known = admitted[source.path][1]
                if stands(known, source, manner=options.manner, recognizers=recognizers):
                    ahead.append(_now(PlannedFile(source.shown_path, 0, 0.0, "answered and unchanged since")))
                elif options.max_files is not None and taken >= options.max_files:
                    ahead.append(_now(PlannedFile(source.shown_path, 0, 0.0, "beyond --max-files")))
                else:
                    taken += 1
                    ahead.append(pool.submit(look_at, source))
            while ahead and (len(ahead) > ADMITTED_AT_ONCE or ahead[0].done()):
                yield ahead.popleft().result()
            if stop.is_set():
                return
        while ahead:
            yield ahead.popleft().result()
    tally.counted(taken)


def segments_of(duration_s: float, options: Options, *, hear_all: bool) -> list[Segment]:
    """The segments of a file of this length that may be sent; `hear_all` as in `convert`."""
    if options.coverage is Coverage.FULL:
        return plan_cover(duration_s, length_s=options.segment_s)
    if duration_s > options.mix_after_s:
        if hear_all:
            step = paid_step(length_s=options.segment_s, every_s=options.mix_every_s)
            return plan_cover(duration_s, length_s=options.segment_s)[::step]
        return plan_stride(duration_s, length_s=options.segment_s, every_s=options.mix_every_s)
    return plan_probes(duration_s, count=options.probes, length_s=options.segment_s)


def _planned(source: SourceFile, decoder: Decoder, options: Options, *, hear_all: bool) -> PlannedFile:
    try:
        if source.size_bytes == 0:
            raise MediaError("it is empty (0 bytes)")
        duration_s = decoder.inspect(source.fs_path).duration_s
        if duration_s is None or duration_s < MIN_SEGMENT_S:
            duration_s = decoder.measure(source.fs_path)
    except MediaError as error:
        return PlannedFile(source.shown_path, 0, 0.0, error.message)
    segments = segments_of(duration_s, options, hear_all=hear_all)
    if not segments:
        return PlannedFile(source.shown_path, 0, 0.0, f"{duration_s:.1f} s is too short")
    credits = sum(charged_seconds(segment.length_s) for segment in segments)
    return PlannedFile(source.shown_path, len(segments), credits)


def _now(planned: PlannedFile) -> Future[PlannedFile]:
    done: Future[PlannedFile] = Future()
    done.set_result(planned)
    return done
