"""A run: files flow from the walk through bounded queues to the ledger, and nothing waits for what it does not need.

    walk ──► local threads: decode, cut, ask the free recognizers ──► ledger
                      │ only what is left
                      └──► paying threads: upload, wait, collect ──► ledger
                                    │ uploads that broke off, answers that do not come
                                    └──► when all others are done, the last turn: one file after the other

The walk is paced by the local queue, decoding by the paying queue, so memory stays the same from ten files to ten
million. The ledger is written as each file ends; a run that is killed has lost what was in flight, and paid for nothing
that the next run cannot collect. A file of the last turn is decoded again, so nothing but its name waits in memory.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from itertools import islice

from pipeline.audio import Decoder
from pipeline.batch.ask import Asker, Patience
from pipeline.batch.backlog import Backlog
from pipeline.batch.budget import budget_of
from pipeline.batch.convert import Piece, convert
from pipeline.batch.identify import Desk, FileJob, Question
from pipeline.batch.keep import keep_segments
from pipeline.batch.options import Options
from pipeline.batch.record import Record
from pipeline.batch.services import Services
from pipeline.batch.standing import stands
from pipeline.batch.tally import Counts, Tally
from pipeline.batch.walk import walk
from pipeline.errors import CapReached, EarmarkError, MediaError, UsageError
from pipeline.ledger import Answer, Ledger
from pipeline.model import FileStatus, Metered, Recognizer, SourceFile
from pipeline.retry import SystemClock

ADMITTED_AT_ONCE = 200
"""Files looked up in the ledger by one transaction."""

MOST_PUT_OFF = 10_000
"""Files of the last turn, at most: bounds memory. If more uploads break off, the next run asks again."""

FAILED = {FileStatus.FAILED, FileStatus.UNREADABLE}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended. `stopped_by` is None when it did all it was asked to."""

    run_id: int
    exit_code: int
    stopped_by: EarmarkError | None
    interrupted: bool
    counts: Counts
    troubles: tuple[tuple[str, str], ...]
    """Folders that could not be read, and why."""


def identify(
    roots: Sequence[bytes | str],
    *,
    ledger: Ledger,
    recognizers: Sequence[Recognizer],
    decoder: Decoder,
    options: Options,
    tally: Tally,
    stop: threading.Event,
) -> Outcome:
    """Answer every file below `roots`, in the ledger; what stands from an earlier run is not asked again.

    Setting `stop` ends the run early: what is in flight is collected, the rest stays pending. Errors that end all paid
    asking (key, credits, caps, an unreachable service) are in the outcome; the free recognizers still answer the rest.
    """
    troubles: list[tuple[str, str]] = []
    # Where nothing can be walked, this raises before there is a run to report.
    sources = _sources(roots, options, troubles)
    run = _Run(ledger, recognizers, decoder, options, tally, stop, troubles)
    with run.working():
        run.count(roots)
        run.answer(sources)
    return run.outcome()


def _sources(
    roots: Sequence[bytes | str], options: Options, troubles: list[tuple[str, str]]
) -> Iterator[SourceFile]:
    return walk(
        roots,
        include=options.include,
        exclude=options.exclude,
        on_trouble=lambda path, message: troubles.append((path, message)),
    )


class _Run:
    """The threads and queues of one run."""

    def __init__(
        self,
        ledger: Ledger,
        recognizers: Sequence[Recognizer],
        decoder: Decoder,
        options: Options,
        tally: Tally,
        stop: threading.Event,
        troubles: list[tuple[str, str]],
    ) -> None:
        from pipeline.batch.reuse import Reuse  # noqa: PLC0415 -- half a second, only for who runs

        self._ledger = ledger
        self._recognizers = recognizers
        self._decoder = decoder
        self._options = options
        self._tally = tally
        self._stop = stop
        self._manner = options.manner
        self._run_id = ledger.begin_run(self._manner)
        self._record = Record(ledger, self._run_id, self._manner, tally)
        self._asker = Asker(
            ledger.uploads,
            self._run_id,
            budget=budget_of(options, ledger, self._run_id),
            patience=Patience(sending=SystemClock(stop), collecting=SystemClock()),
            stop=stop,
            tally=tally,
            reuse=Reuse(ledger.prints, ledger.uploads, enabled=options.reuse),
            services=Services(
                clock=SystemClock(),
                jobs=options.jobs,
                patience_s=options.patience_s,
                tell=tally.waiting_for,
            ),
        )
        self._desk = Desk(recognizers, self._asker)
        self._hear_all = any(not recognizer.paid for recognizer in recognizers)
        workers = options.workers or decoder.callers
        self._workers = workers
        self._local: queue.Queue[tuple[SourceFile, int] | None] = queue.Queue(2 * workers)
        self._paying: queue.Queue[Question | None] = queue.Queue(options.jobs)
        self._backlog = Backlog(
            ledger.uploads, recognizers, self._asker, jobs=options.jobs, guarded=self._guarded
        )
        self._put_off: list[tuple[SourceFile, int]] = []
        self._last_turn = False
        self._troubles = troubles
        self._capped: CapReached | None = None
        self._broken: BaseException | None = None

    # ---- the threads

    @contextmanager
    def working(self) -> Iterator[None]:
        """All threads, from before the walk until everything it put in is answered or pending."""
        local = [threading.Thread(target=self._answer_files, name=f"local-{n}") for n in range(self._workers)]
        paying = [threading.Thread(target=self._pay, name=f"paying-{n}") for n in range(self._options.jobs)]
        collecting = threading.Thread(target=self._backlog.collect, name="collect")
        for recognizer in self._recognizers:
            if isinstance(recognizer, Metered):
                recognizer.heed(self._stop)
        self._ledger.uploads.doubt_interrupted()
        for thread in (*local, *paying, collecting):
            thread.start()
        try:
            yield
        except BaseException:
            self._stop.set()
            raise
        finally:
            # The local threads may still hand questions to the paying ones: these end last.
            for _ in local:
                self._local.put(None)
            for thread in local:
                thread.join()
            for _ in paying:
                self._paying.put(None)
            for thread in paying:
                thread.join()
            with self._guarded():
                self._take_last_turn()
            self._backlog.end()
            collecting.join()
            self._end()

    def _answer_files(self) -> None:
        while (item := self._local.get()) is not None:
            source, file_id = item
            with self._guarded():
                self._answer_file(source, file_id)

    def _pay(self) -> None:
        self._backlog.collected.wait()
        while (question := self._paying.get()) is not None:
            with self._guarded():
                self._desk.carry_on(question, may_pay=True)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """A bug or a full disk in one thread stops the run; the queues are still emptied, so that nobody hangs."""
        try:
            yield
        except BaseException as error:
            if self._broken is None:
                self._broken = error
            self._stop.set()

    # ---- the stages

    def count(self, roots: Sequence[bytes | str]) -> None:
        """Find out aside how many files there are, for whoever shows progress."""
        threading.Thread(target=self._count, args=(roots,), name="count", daemon=True).start()

    def answer(self, walked: Iterable[SourceFile]) -> None:
        """Feed every file that needs an answer to the local threads, and write down those whose answer stands."""
        taken = 0
        for sources in in_batches(walked, ADMITTED_AT_ONCE):
            admitted = self._ledger.admit(sources)
            kept, later = [], []
            for source in sources:
                file_id, known = admitted[source.path]
                if known is not None and stands(
                    known, source, manner=self._manner, recognizers=self._recognizers
                ):
                    kept.append((source, file_id, known))
                elif self._options.max_files is not None and taken >= self._options.max_files:
                    later.append((source, file_id))
                else:
                    taken += 1
                    self._local.put((source, file_id))
                if self._stop.is_set():
                    break
            self._record.kept(kept)
            if later:
                self._capped = self._capped or CapReached(
                    f"the limit of {self._options.max_files} files is reached",
                    hint="run the same command again: it goes on where this one stopped",
                )
                self._record.postponed(later, self._capped.message)
            if self._stop.is_set():
                return

    def _count(self, roots: Sequence[bytes | str]) -> None:
        total = 0
        # What vanished since the run's own walk began is that walk's trouble to tell.
        with suppress(UsageError):
            for _ in _sources(roots, self._options, []):
                total += 1
                if self._stop.is_set():
                    return
            self._tally.counted(total)

    def _take_last_turn(self) -> None:
        """Ask once more about the files that were put off: nothing else is on its way now, and one goes at a time."""
        if not self._put_off:
            return
        self._last_turn = True
        _log.info(
            "All other files are done, what was put off is asked once more: files=%d", len(self._put_off)
        )
        for recognizer in self._recognizers:
            if recognizer.paid:
                self._asker.settle(recognizer)
        self._asker.begin_last_turn()
        for source, file_id in self._put_off:
            self._answer_file(source, file_id)

    def _answer_file(self, source: SourceFile, file_id: int) -> None:
        if (why := self._ended_early()) is not None:
            return self._record.postponed([(source, file_id)], why)
        try:
            converted = convert(source, self._decoder, self._options, hear_all=self._hear_all)
        except MediaError as error:
            return self._record.answered(source, file_id, Answer(status=error.status, error=str(error)))
        editions = {recognizer.name: recognizer.edition for recognizer in self._recognizers}
        job = FileJob(source, file_id, converted, self._finish, editions)
        # Closed when it is left early too: else the child that decodes it would wait for ever to go on.
        with closing(converted.pieces) as pieces:
            try:
                for question in _questions(job, pieces):
                    if (why := self._ended_early()) is not None:
                        job.not_asked(why)
                        break
                    keep_segments(question.pieces, source, self._options.keep_segments)
                    job.opened()
                    if not self._desk.carry_on(question, may_pay=self._last_turn):
                        self._paying.put(question)
            except MediaError as error:
                job.broken = error
        job.closed()
        return None

    def _ended_early(self) -> str | None:
        """Why nobody is to be asked any more; None while there is somebody."""
        if self._stop.is_set():
            return "the run was interrupted"
        if self._desk.stopped_by is not None and not self._hear_all:
            return self._desk.stopped_by.message
        return None

    def _finish(self, job: FileJob) -> None:
        if job.put_off and not self._last_turn and len(self._put_off) < MOST_PUT_OFF:
            self._put_off.append((job.source, job.file_id))
            return
        self._record.answered(job.source, job.file_id, job.answer())

    # ---- the ledger

    def _end(self) -> None:
        stopped_by = self._stopped_by()
        ended = "interrupted" if self._stop.is_set() else stopped_by.message if stopped_by else "done"
        self._ledger.end_run(self._run_id, ended)

    def _stopped_by(self) -> EarmarkError | None:
        return self._desk.stopped_by or self._capped

    def outcome(self) -> Outcome:
        """How it ended. Raises what broke the run: a bug, or a full disk."""
        if self._broken is not None:
            raise self._broken
        counts = self._tally.now()
        stopped_by = self._stopped_by()
        interrupted = self._stop.is_set()
        if interrupted:
            exit_code = 130
        elif stopped_by is not None:
            exit_code = stopped_by.exit_code
        else:
            exit_code = 3 if self._troubles or any(counts.by_status[status] for status in FAILED) else 0
        return Outcome(self._run_id, exit_code, stopped_by, interrupted, counts, tuple(self._troubles))


def _questions(job: FileJob, pieces: Iterable[Piece]) -> Iterator[Question]:
    if not job.converted.one_by_one:
        for piece in pieces:
            yield Question(job, [piece])
    elif tries := list(pieces):
        yield Question(job, tries)


def in_batches(sources: Iterable[SourceFile], size: int) -> Iterator[list[SourceFile]]:
    """The sources in lists of at most `size`, in their order, as a stream."""
    remaining = iter(sources)
    while batch := list(islice(remaining, size)):
        yield batch
