"""What was done, answered and paid, in one SQLite file of the state folder."""

from pipeline.ledger.ledger import Ledger
from pipeline.ledger.prints import Print, Prints
from pipeline.ledger.records import (
    Answer,
    AskedSegment,
    Baseline,
    KnownAnswer,
    RunInfo,
    Upload,
    UploadState,
)
from pipeline.ledger.rows import FileEvidence
from pipeline.ledger.spending import Spending
from pipeline.ledger.uploads import Uploads

__all__ = [
    "Answer",
    "AskedSegment",
    "Baseline",
    "FileEvidence",
    "KnownAnswer",
    "Ledger",
    "Print",
    "Prints",
    "RunInfo",
    "Spending",
    "Upload",
    "UploadState",
    "Uploads",
]
