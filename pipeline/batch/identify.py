"""One file on its way through the recognizers, from its first piece to its answer in the ledger.

A file is one question when its pieces are tries for one answer (a song), and a question for each piece when it is
heard piece by piece (a mix). A question is carried from recognizer to recognizer in their order; where it reaches a
paid one it changes from the thread that decodes to a thread that may wait.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.batch.ask import Asker, PaidInVain, PutOff, Stopped, Unanswered
from pipeline.batch.collect import Verdict, verdict
from pipeline.batch.convert import Converted, Piece, unchanged
from pipeline.errors import EarmarkError, MediaError
from pipeline.ledger import Answer, AskedSegment
from pipeline.model import FileStatus, Recognizer, SourceFile, Status


@dataclass(slots=True)
class FileJob:
    """A file being answered, shared by the threads that ask about its pieces."""

    source: SourceFile
    file_id: int
    converted: Converted
    finish: Callable[[FileJob], None]
    """Called once, by the thread that settles the last question."""
    editions: Mapping[str, str]
    """Of every recognizer, from before the asking: if one changes meanwhile, the answer counts as older than it is."""
    asked: list[AskedSegment] = field(default_factory=list)
    unasked: str = ""
    """Why some question was not asked to the end; empty when all were."""
    put_off: bool = False
    """Whether some piece is better asked about when all other files are done."""
    broken: MediaError | None = None
    """What ended the decoding early."""
    _open: int = 1
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def gap_s(self) -> float:
        """Hearings this far apart may be one play: one piece in between may have failed to match."""
        longest_s = max((line.segment.length_s for line in self.asked), default=0.0)
        return max(2 * self.converted.step_s - longest_s, 0.0) + 0.5

    def opened(self) -> None:
        """One more question is on its way."""
        with self._lock:
            self._open += 1

    def closed(self) -> None:
        """A question is settled; the last one, after all pieces were decoded, finishes the file."""
        with self._lock:
            self._open -= 1
            last = self._open == 0
        if last:
            self.finish(self)

    def heard(self, line: AskedSegment) -> None:
        with self._lock:
            self.asked.append(line)

    def not_asked(self, why: str) -> None:
        with self._lock:
            self.unasked = self.unasked or why

    def put_off_for(self, why: str) -> None:
        self.not_asked(why)
        self.put_off = True

    def answer(self) -> Answer:
        """What is known of the file now that nothing is open."""
        lines = tuple(sorted(self.asked, key=lambda line: (line.segment.start_s, line.recognizer)))
        found = verdict(lines, gap_s=self.gap_s)
        status, error = self._status(found, lines)
        match = found.match if status is FileStatus.FOUND else None
        unnamed, unanswered = (0, 0) if self.converted.one_by_one else _left_open(lines)
        return Answer(
            status=status,
            track=match.track if match else None,
            confidence=found.confidence if match else None,
            tags=self.converted.tags,
            duration_s=self.converted.duration_s,
            matched_s=found.matched_s if match else None,
            segments_agreeing=found.agreeing if match else 0,
            recognizer=found.recognizer if match else "",
            raw_score=match.raw_score if match else None,
            tracks=found.tracks if match else 0,
            unnamed=unnamed,
            unanswered=unanswered,
            error=error,
            content_id=self.converted.content_id,
            segments=lines,
            plays=found.plays if match else (),
            asked=self.editions,
        )

    def _status(self, found: Verdict, lines: Sequence[AskedSegment]) -> tuple[FileStatus, str]:
        if not unchanged(self.source):
            return FileStatus.FAILED, "the file changed while it was read; run the same command again"
        if self.converted.nothing is not None:
            return self.converted.nothing, self.converted.note
        if self.unasked:
            return FileStatus.PENDING, self.unasked
        failures = [line for line in lines if line.status is None]
        note = (
            f"{len(failures)} of {len(lines)} segments got no answer: {failures[0].error}" if failures else ""
        )
        dear = [line for line in lines if line.status is not None and line.error]
        if dear and not note:
            note = f"{len(dear)} of {len(lines)} segments cost more than their answer; {dear[0].error}"
        if self.broken is not None:
            note = self.broken.message
        if found.match is not None:
            return FileStatus.FOUND, note
        if self.broken is not None:
            return self.broken.status, note
        if failures:
            return FileStatus.FAILED, note
        if not lines:
            return FileStatus.SILENT, "nothing but silence"
        return FileStatus.NOT_FOUND, note


def _left_open(lines: Sequence[AskedSegment]) -> tuple[int, int]:
    """How many pieces nobody could name, and how many got no answer from someone who might have."""
    named = {line.segment.start_s for line in lines if line.status is Status.FOUND}
    unanswered = {line.segment.start_s for line in lines if line.status is None} - named
    return len({line.segment.start_s for line in lines} - named - unanswered), len(unanswered)


@dataclass(slots=True)
class Question:
    """Pieces of one file that are asked one after the other until their answer is settled."""

    job: FileJob
    pieces: Sequence[Piece]
    next_recognizer: int = 0
    lines: list[AskedSegment] = field(default_factory=list)


class Desk:
    """Carries questions through the recognizers, in their order."""

    def __init__(self, recognizers: Sequence[Recognizer], asker: Asker) -> None:
        self._recognizers = recognizers
        self._asker = asker
        self._lock = threading.Lock()
        self._stopped_by: EarmarkError | None = None

    @property
    def stopped_by(self) -> EarmarkError | None:
        """What ended all paid asking in this run; None while it may go on."""
        return self._stopped_by

    def carry_on(self, question: Question, *, may_pay: bool) -> bool:
        """Ask on. False: the next to be asked costs money, and this thread was not to pay."""
        while question.next_recognizer < len(self._recognizers):
            recognizer = self._recognizers[question.next_recognizer]
            for_paid = [piece for piece in question.pieces if piece.for_paid]
            if recognizer.paid and not may_pay and for_paid:
                self._asker.prepare(for_paid[0].probe)
                return False
            self._ask(question, recognizer)
            if verdict(question.lines, gap_s=question.job.gap_s).match is not None:
                break
            question.next_recognizer += 1
        question.job.closed()
        return True

    def _ask(self, question: Question, recognizer: Recognizer) -> None:
        job = question.job
        lines: list[AskedSegment] = []
        for piece in question.pieces:
            if recognizer.paid and not piece.for_paid:
                continue
            if recognizer.paid and self._stopped_by is not None:
                job.not_asked(self._stopped_by.message)
                return
            try:
                line, in_vain = self._line(recognizer, piece, job.file_id)
            except Stopped:
                job.not_asked("the run was interrupted")
                return
            except PutOff as why:
                job.put_off_for(str(why))
                return
            except EarmarkError as error:
                with self._lock:
                    self._stopped_by = self._stopped_by or error
                job.not_asked(error.message)
                return
            lines.append(line)
            question.lines.append(line)
            job.heard(line)
            # A free recognizer hears every piece: a second track in a file is worth some milliseconds.
            if recognizer.paid and (in_vain or verdict(lines, gap_s=job.gap_s).settled):
                return

    def _line(self, recognizer: Recognizer, piece: Piece, file_id: int) -> tuple[AskedSegment, bool]:
        """What came of asking, and whether it cost so much in vain that its question is to cost no more."""
        sha256 = piece.probe.sha256
        try:
            recognition = self._asker.ask(recognizer, piece.probe, file_id)
        except Unanswered as error:
            line = AskedSegment(piece.segment, sha256, recognizer.name, None, error=str(error))
            return line, isinstance(error, PaidInVain)
        matches = recognition.matches if recognition.status is Status.FOUND else ()
        beyond = self._asker.cost_beyond(recognizer, piece.probe) if recognizer.paid else ""
        return AskedSegment(
            piece.segment, sha256, recognizer.name, recognition.status, matches, error=beyond
        ), False
