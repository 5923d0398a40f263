"""What was done, answered and paid, in one SQLite file of the state folder."""

from pipeline.ledger.ledger import Ledger
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
from pipeline.ledger.uploads import Uploads

__all__ = [
    "Answer",
    "AskedSegment",
    "Baseline",
    "FileEvidence",
    "KnownAnswer",
    "Ledger",
    "RunInfo",
    "Upload",
    "UploadState",
    "Uploads",
]
