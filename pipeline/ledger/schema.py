"""The tables of the ledger, as they are on disk.

    runs ─┬─< run_files >── files ─┬─< answers ─┬─< segments     what was asked, of whom, what came back
          │        └───────────────┘            └─< plays        what was heard, when
          └─< uploads >── files                                  every upload: intent, token, reply, charge

    uploads.sha256 ─ prints ─┬─< print_keys                      what audio that was sent sounds like, and its index
                             └─< same_audio                      other audio that sounds the same: it costs nothing

An answer is never changed: a file that gets another one gets another row, so an earlier run can be reported as it was.
An upload row is written before the upload (`intended`), with its token before the wait (`sent`), with the reply before
anything else happens (`answered`). Paths are bytes, as the file system spells them.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)

SCHEMA_VERSION = 2
"""Raise it with every change of a table, and write in `migrations` how the version before becomes this one."""

metadata = MetaData()

meta = Table(
    "meta",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

runs = Table(
    "runs",
    metadata,
    Column("run_id", Integer, primary_key=True),
    Column("started_at", Text, nullable=False),
    Column("finished_at", Text),
    Column("manner", Text, nullable=False),
    Column("ended", Text, nullable=False, default=""),
)

files = Table(
    "files",
    metadata,
    Column("file_id", Integer, primary_key=True),
    Column("path", LargeBinary, nullable=False, unique=True),
)

answers = Table(
    "answers",
    metadata,
    Column("answer_id", Integer, primary_key=True),
    Column("file_id", ForeignKey("files.file_id"), nullable=False, index=True),
    Column("run_id", ForeignKey("runs.run_id"), nullable=False),
    Column("size_bytes", Integer, nullable=False),
    Column("mtime_ns", Integer, nullable=False),
    Column("manner", Text, nullable=False),
    Column("asked", JSON, nullable=False),
    Column("status", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("artist", Text, nullable=False),
    Column("album", Text, nullable=False),
    Column("year", Integer),
    Column("track_id", Text, nullable=False),
    Column("confidence", Float),
    Column("tag_title", Text, nullable=False),
    Column("tag_artist", Text, nullable=False),
    Column("tag_album", Text, nullable=False),
    Column("duration_s", Float),
    Column("matched_s", Float),
    Column("segments_agreeing", Integer, nullable=False),
    Column("recognizer", Text, nullable=False),
    Column("raw_score", Float),
    Column("tracks", Integer, nullable=False),
    Column("unnamed", Integer, nullable=False),
    Column("unanswered", Integer, nullable=False),
    Column("error", Text, nullable=False),
    Column("answered_at", Text, nullable=False),
    Column("content_id", Text, nullable=False),
)

run_files = Table(
    "run_files",
    metadata,
    Column("run_id", ForeignKey("runs.run_id"), primary_key=True),
    Column("shown_path", LargeBinary, primary_key=True),
    Column("file_id", ForeignKey("files.file_id"), primary_key=True),
    Column("answer_id", ForeignKey("answers.answer_id"), nullable=False),
    sqlite_with_rowid=False,
)

segments = Table(
    "segments",
    metadata,
    Column("answer_id", ForeignKey("answers.answer_id"), primary_key=True),
    Column("ordinal", Integer, primary_key=True),
    Column("start_s", Float, nullable=False),
    Column("length_s", Float, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("recognizer", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("matches", JSON, nullable=False),
    Column("error", Text, nullable=False, default=""),
)

plays = Table(
    "plays",
    metadata,
    Column("answer_id", ForeignKey("answers.answer_id"), primary_key=True),
    Column("ordinal", Integer, primary_key=True),
    Column("start_s", Float, nullable=False),
    Column("end_s", Float, nullable=False),
    Column("title", Text, nullable=False),
    Column("artist", Text, nullable=False),
    Column("album", Text, nullable=False),
    Column("year", Integer),
    Column("confidence", Float, nullable=False),
    Column("recognizer", Text, nullable=False),
    Column("track_id", Text, nullable=False),
    Column("raw_score", Float),
)

uploads = Table(
    "uploads",
    metadata,
    Column("upload_id", Integer, primary_key=True),
    Column("run_id", ForeignKey("runs.run_id"), nullable=False),
    Column("file_id", ForeignKey("files.file_id"), nullable=False, index=True),
    Column("recognizer", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("length_s", Float, nullable=False),
    Column("state", Text, nullable=False, index=True),
    Column("token", Text, nullable=False, default=""),
    Column("charged_s", Float, nullable=False, default=0.0),
    Column("intended_at", Text, nullable=False),
    Column("sent_at", Text),
    Column("settled_at", Text),
    Column("status", Text, nullable=False, default=""),
    Column("matches", JSON),
    Column("raw", JSON),
    Column("error", Text, nullable=False, default=""),
    Index("uploads_by_audio", "recognizer", "sha256"),
    Index("uploads_by_run", "run_id"),
    Index("uploads_by_time", "intended_at"),
)

prints = Table(
    "prints",
    metadata,
    Column("print_id", Integer, primary_key=True),
    Column("sha256", Text, nullable=False, unique=True),
    Column("format", Text, nullable=False),
    Column("frames", Integer, nullable=False),
    Column("peaks", LargeBinary, nullable=False),
)

print_keys = Table(
    "print_keys",
    metadata,
    # In this order, so that a key near a moment is found without reading where else it is.
    Column("key", Integer, primary_key=True),
    Column("frame", Integer, primary_key=True),
    Column("print_id", ForeignKey("prints.print_id"), primary_key=True),
    sqlite_with_rowid=False,
)

same_audio = Table(
    "same_audio",
    metadata,
    Column("sha256", Text, primary_key=True),
    Column("as_sha256", ForeignKey("prints.sha256"), primary_key=True),
    Column("offset_s", Float, nullable=False),
    Column("likeness", Float, nullable=False),
    Column("noted_at", Text, nullable=False),
    sqlite_with_rowid=False,
)
