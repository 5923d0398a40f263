"""The ledger's questions for reports: rows as a stream, in an order that never varies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Table, and_, exists, false, func, or_, select

from pipeline.ledger import schema
from pipeline.ledger.coding import decoded_matches
from pipeline.ledger.records import AskedSegment, UploadState
from pipeline.model import FileRow, PlayRow, Segment, Status

GROUP_NAME_LENGTH = 12
"""Hex digits of the content id that name a group of equal files: 48 bits, enough for any one collection."""

FETCH = 1000
"""Rows held in memory at a time."""


@dataclass(frozen=True, slots=True)
class FileEvidence:
    """One answer and all it rests on."""

    row: FileRow
    segments: tuple[AskedSegment, ...]


def file_rows(connection: Connection, run_id: int) -> Iterator[FileRow]:
    """The rows of a run's report."""
    of_run, answers = schema.run_files, schema.answers
    copies = (
        select(answers.c.content_id)
        .join(of_run, of_run.c.answer_id == answers.c.answer_id)
        # All silence is the same audio, and no two files are copies for that.
        .where(of_run.c.run_id == run_id, answers.c.content_id != "", answers.c.status != "silent")
        .group_by(answers.c.content_id)
        .having(func.count() > 1)
    )
    query = (
        select(of_run.c.shown_path, *_answer_columns(), answers.c.content_id.in_(copies).label("is_copy"))
        .join(answers, of_run.c.answer_id == answers.c.answer_id)
        .where(of_run.c.run_id == run_id)
        .order_by(of_run.c.shown_path, of_run.c.file_id)
    )
    for row in connection.execution_options(yield_per=FETCH).execute(query):
        yield _file_row(row)


def play_rows(connection: Connection, run_id: int) -> Iterator[PlayRow]:
    """The rows of a run's second table."""
    of_run, plays = schema.run_files, schema.plays
    query = (
        select(of_run.c.shown_path, plays)
        .join(plays, of_run.c.answer_id == plays.c.answer_id)
        .where(of_run.c.run_id == run_id)
        .order_by(of_run.c.shown_path, of_run.c.file_id, plays.c.ordinal)
    )
    for row in connection.execution_options(yield_per=FETCH).execute(query):
        yield PlayRow(
            path=_shown(row.shown_path),
            start_s=row.start_s,
            end_s=row.end_s,
            title=row.title,
            artist=row.artist,
            album=row.album,
            year=row.year,
            confidence=row.confidence,
            recognizer=row.recognizer,
            raw_score=row.raw_score,
        )


def evidence(connection: Connection, path: bytes) -> FileEvidence | None:
    """The latest answer to the file at this absolute path, with the segments it rests on."""
    of_run, answers, files = schema.run_files, schema.answers, schema.files
    query = (
        select(of_run.c.shown_path, *_answer_columns(), answers.c.answer_id, false().label("is_copy"))
        .join(files, files.c.file_id == answers.c.file_id)
        .join(of_run, of_run.c.answer_id == answers.c.answer_id)
        .where(files.c.path == path)
        .order_by(of_run.c.run_id.desc(), answers.c.answer_id.desc())
        .limit(1)
    )
    row = connection.execute(query).first()
    if row is None:
        return None
    asked = connection.execute(
        select(schema.segments)
        .where(schema.segments.c.answer_id == row.answer_id)
        .order_by(schema.segments.c.ordinal)
    ).all()
    return FileEvidence(
        _file_row(row),
        tuple(
            AskedSegment(
                Segment(line.start_s, line.length_s),
                line.sha256,
                line.recognizer,
                Status(line.status) if line.status else None,
                decoded_matches(line.matches),
                line.error,
                _paid_with(connection, line, path) if line.status else "",
            )
            for line in asked
        ),
    )


def _paid_with(connection: Connection, line: Row[Any], path: bytes) -> str:
    """The file whose upload gave this answer; empty when it is the one at `path`, or nobody was paid."""
    uploads, files, same = schema.uploads, schema.files, schema.same_audio
    its_sound = select(same.c.as_sha256).where(same.c.sha256 == line.sha256)
    query = (
        select(files.c.path)
        .join(uploads, uploads.c.file_id == files.c.file_id)
        .where(
            uploads.c.recognizer == line.recognizer,
            or_(uploads.c.sha256 == line.sha256, uploads.c.sha256.in_(its_sound)),
            uploads.c.state == UploadState.ANSWERED.value,
        )
        .order_by((uploads.c.sha256 == line.sha256).desc(), uploads.c.upload_id)
        .limit(1)
    )
    found = connection.execute(query).scalar()
    return _shown(found) if found is not None and found != path else ""


def _answer_columns() -> tuple[Table, ColumnElement[float], ColumnElement[int]]:
    answers, uploads, segments = schema.answers, schema.uploads, schema.segments
    # What an answer cost: what was charged for the file in the run that gave it, and what earlier ones, cut short
    # perhaps, paid for its segments. Other audio at the same path, or another coverage of it, was another answer's.
    its_segment = (
        exists()
        .where(
            segments.c.answer_id == answers.c.answer_id,
            segments.c.recognizer == uploads.c.recognizer,
            segments.c.sha256 == uploads.c.sha256,
        )
        .correlate(answers, uploads)
    )
    its_own = and_(
        uploads.c.file_id == answers.c.file_id,
        uploads.c.run_id <= answers.c.run_id,
        or_(uploads.c.run_id == answers.c.run_id, its_segment),
    )
    charged = select(func.coalesce(func.sum(uploads.c.charged_s), 0.0)).where(its_own)
    sent = select(func.count()).where(its_own, uploads.c.charged_s > 0)
    return (
        answers,
        charged.scalar_subquery().label("credits"),
        sent.scalar_subquery().label("segments_sent"),
    )


def _file_row(row: Row[Any]) -> FileRow:
    return FileRow(
        path=_shown(row.shown_path),
        status=row.status,
        title=row.title,
        artist=row.artist,
        album=row.album,
        year=row.year,
        confidence=row.confidence,
        tag_title=row.tag_title,
        tag_artist=row.tag_artist,
        tag_album=row.tag_album,
        duration_s=row.duration_s,
        matched_s=row.matched_s,
        duplicate_group=row.content_id[:GROUP_NAME_LENGTH] if row.is_copy else "",
        segments_sent=row.segments_sent,
        segments_agreeing=row.segments_agreeing,
        recognizer=row.recognizer,
        raw_score=row.raw_score,
        credits=row.credits,
        tracks=row.tracks,
        error=row.error,
        identified_at=row.answered_at if row.status != "pending" else "",
        content_id=row.content_id,
    )


def _shown(stored: bytes) -> str:
    return stored.decode("utf-8", "surrogateescape")
