"""Everything that can go wrong, drawn once. A class exists only where a caller does something different.

EarmarkError                     exit  what the caller does
├── UsageError                     2   tells the user which setting to change
├── MediaError                     –   writes one file's row (`status`), goes on with the next
├── ServiceError                   5   the far service, in one of these ways:
│   ├── ServiceBusy                5   waits (`retry_after_s` if it said so), asks again
│   ├── ServiceUnreachable         5   nothing was sent: asks again
│   ├── ServiceDown                5   stops the run: it failed for everybody, for too long
│   ├── UploadInDoubt              –   the upload may have been charged: written down, never blindly resent
│   ├── SegmentRefused             –   this audio will never be taken: the segment failed, the run goes on
│   ├── TokenLost                  –   the answer behind a token is gone: the segment failed, the run goes on
│   ├── BadReply                   –   not the protocol: kept in the ledger, never taken for "not found"
│   ├── KeyRefused                 4   stops the run
│   └── CreditsExhausted           7   stops sending; what was paid for is still collected
├── CapReached                     6   stops sending: the user's own limit
├── LedgerBusy                    11   another run holds the ledger: leaves
└── StorageError                   2   ledger, catalogue or report cannot be read or written: stops, says which
"""

from __future__ import annotations

from pipeline.model import FileStatus


class EarmarkError(Exception):
    """A failure with one clear line for a person, a hint at what to do next, and the exit code it ends a run with."""

    exit_code = 70

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class UsageError(EarmarkError):
    """The command line, the environment or the configuration asks for something that cannot be done."""

    exit_code = 2


class MediaError(EarmarkError):
    """One source file cannot be heard. `status` is what its row in the report says."""

    def __init__(self, message: str, *, status: FileStatus = FileStatus.UNREADABLE, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status


class ServiceError(EarmarkError):
    """The far service did not give an answer. `raw` holds what it said, for the ledger."""

    exit_code = 5

    def __init__(self, message: str, *, hint: str = "", raw: str = "") -> None:
        super().__init__(message, hint=hint)
        self.raw = raw


class ServiceBusy(ServiceError):
    """The service cannot answer now and said so; nothing was charged."""

    def __init__(
        self, message: str, *, retry_after_s: float | None = None, hint: str = "", raw: str = ""
    ) -> None:
        super().__init__(message, hint=hint, raw=raw)
        self.retry_after_s = retry_after_s


class ServiceUnreachable(ServiceError):
    """No connection was made, so nothing was sent and nothing was charged."""


class ServiceDown(ServiceError):
    """The service was left alone again and again, and did not come back: it is given up for this run."""


class UploadInDoubt(ServiceError):
    """The connection broke after an upload began: the service may have taken and charged it."""


class SegmentRefused(ServiceError):
    """The service will not analyse this audio, however often it is asked."""


class TokenLost(ServiceError):
    """The service no longer knows a token: its five minutes are over, or it never gave it."""


class BadReply(ServiceError):
    """The service's reply is not what its protocol promises."""


class KeyRefused(ServiceError):
    """The service does not accept the key."""

    exit_code = 4


class CreditsExhausted(ServiceError):
    """The account has no credits left."""

    exit_code = 7


class CapReached(EarmarkError):
    """The user's own limit on credits or files is used up."""

    exit_code = 6


class LedgerBusy(EarmarkError):
    """Another run holds the ledger."""

    exit_code = 11


class StorageError(EarmarkError):
    """Something of ours on disk (ledger, catalogue, report) cannot be read or written."""

    exit_code = 2
