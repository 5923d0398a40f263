"""A request that is answered with one of the document's errors."""

from __future__ import annotations

from pipeline.wire.audiotag_errors import ErrorText


class Refusal(Exception):
    """What a client is told instead of an answer. Not a failure of ours, so none of the error tree."""

    def __init__(self, error: ErrorText, why: str = "") -> None:
        super().__init__(why or error.value)
        self.error = error
        self.why = why
        """For the log; a client hears the documented text and nothing else."""
