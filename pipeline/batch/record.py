"""What becomes of the files of a run: written into the ledger, and counted for whoever watches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pipeline.batch.tally import Tally
from pipeline.ledger import Answer, KnownAnswer, Ledger
from pipeline.model import FileStatus, SourceFile


class Record:
    """The files of one run, each written down as it ends. May be used from several threads."""

    def __init__(self, ledger: Ledger, run_id: int, manner: str, tally: Tally) -> None:
        self._ledger = ledger
        self._run_id = run_id
        self._manner = manner
        self._tally = tally

    def answered(self, source: SourceFile, file_id: int, answer: Answer) -> None:
        """A file has its answer."""
        self._ledger.record(self._run_id, [(source, file_id, answer)], manner=self._manner)
        self._tally.file_done(answer.status)

    def postponed(self, later: Iterable[tuple[SourceFile, int]], why: str) -> None:
        """These files are left to the next run."""
        pending = [
            (source, file_id, Answer(status=FileStatus.PENDING, error=why)) for source, file_id in later
        ]
        self._ledger.record(self._run_id, pending, manner=self._manner)
        for _ in pending:
            self._tally.file_done(FileStatus.PENDING)

    def kept(self, kept: Sequence[tuple[SourceFile, int, KnownAnswer]]) -> None:
        """The answers of an earlier run to these files still stand."""
        self._ledger.keep(
            self._run_id, [(source, file_id, known.answer_id) for source, file_id, known in kept]
        )
        for _, _, known in kept:
            self._tally.file_done(known.status, unchanged=True)
