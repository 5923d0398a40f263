"""The ledger: what is written stays, and comes back as it was."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from pipeline.errors import LedgerBusy, StorageError, UsageError
from pipeline.ledger import Answer, AskedSegment, Ledger
from pipeline.model import FileStatus, Match, Play, Segment, SourceFile, Status, Tags, Track

MANNER = "probe segment=15"


def source(name: bytes = b"a.mp3", size: int = 10) -> SourceFile:
    return SourceFile(b"/music/" + name, os.fsdecode(name), size, 123)


TRACK = Track("Greensleeves", "Trad.", "Airs", 1580, "t1")
FOUND = Answer(
    status=FileStatus.FOUND,
    track=TRACK,
    confidence=0.97,
    tags=Tags("greensleevs", "?", "", 2001),
    duration_s=180.0,
    matched_s=15.0,
    segments_agreeing=1,
    recognizer="catalogue",
    tracks=1,
    content_id="c" * 32,
    segments=(
        AskedSegment(
            Segment(82.5, 15.0),
            "f" * 64,
            "catalogue",
            Status.FOUND,
            (Match(TRACK, 0.97, 12.0, 0.0, 15.0, 30.5, (Track("Greensleeves (copy)"),), {"row": 1}),),
        ),
    ),
    plays=(Play(82.5, 97.5, TRACK, 0.97, "catalogue", 12.0),),
    asked={"catalogue": "g1"},
)


def test_an_answer_comes_back_as_a_row_with_its_evidence_and_plays(tmp_path: Path) -> None:
    with Ledger.open(tmp_path) as ledger:
        run = ledger.begin_run(MANNER)
        ((file_id, known),) = ledger.admit([source()]).values()
        assert known is None
        ledger.record(run, [(source(), file_id, FOUND)], manner=MANNER)
        (row,) = ledger.file_rows(run)
        assert (row.path, row.status, row.title, row.year, row.confidence) == (
            "a.mp3", "found", "Greensleeves", 1580, 0.97,
        )  # fmt: skip
        assert (row.tag_title, row.duration_s, row.tracks, row.duplicate_group) == (
            "greensleevs",
            180.0,
            1,
            "",
        )
        assert row.identified_at.endswith("Z")
        (play,) = ledger.play_rows(run)
        assert (play.path, play.start_s, play.title) == ("a.mp3", 82.5, "Greensleeves")
        evidence = ledger.evidence(b"/music/a.mp3")
        assert evidence is not None
        assert evidence.segments == FOUND.segments
        assert ledger.evidence(b"/music/other.mp3") is None


def test_a_later_run_keeps_what_stands_and_an_earlier_run_can_still_be_reported(tmp_path: Path) -> None:
    with Ledger.open(tmp_path) as ledger:
        first = ledger.begin_run(MANNER)
        ((file_id, _),) = ledger.admit([source()]).values()
        ledger.record(first, [(source(), file_id, FOUND)], manner=MANNER)
        second = ledger.begin_run(MANNER)
        ((same_id, known),) = ledger.admit([source()]).values()
        assert same_id == file_id
        assert known is not None
        assert (known.status, known.asked, known.named) == (
            FileStatus.FOUND,
            {"catalogue": "g1"},
            {("catalogue", "t1")},
        )
        ledger.keep(second, [(source(), file_id, known.answer_id)])
        third = ledger.begin_run(MANNER)
        ledger.record(third, [(source(), file_id, Answer(status=FileStatus.NOT_FOUND))], manner=MANNER)
        assert [row.status for row in ledger.file_rows(first)] == ["found"]
        assert list(ledger.file_rows(second)) == list(ledger.file_rows(first))
        assert [row.status for row in ledger.file_rows(third)] == ["not_found"]


def test_names_that_are_no_text_come_back_byte_for_byte_and_rows_are_sorted_by_them(tmp_path: Path) -> None:
    names = [b"z.mp3", b"\xff\xfe.mp3", b"new\nline.mp3", b"-dash.mp3", b"\xc3\xbc.mp3"]
    with Ledger.open(tmp_path) as ledger:
        run = ledger.begin_run(MANNER)
        for path, (file_id, _) in ledger.admit([source(name) for name in names]).items():
            name = path.removeprefix(b"/music/")
            ledger.record(run, [(source(name), file_id, FOUND)], manner=MANNER)
        shown = [os.fsencode(row.path) for row in ledger.file_rows(run)]
    assert shown == sorted(names)


def test_files_with_the_same_audio_share_a_group(tmp_path: Path) -> None:
    with Ledger.open(tmp_path) as ledger:
        run = ledger.begin_run(MANNER)
        other = Answer(status=FileStatus.NOT_FOUND, content_id="d" * 32)
        silent = Answer(status=FileStatus.SILENT, content_id="e" * 32)
        for name, answer in ((b"1", FOUND), (b"2", FOUND), (b"3", other), (b"4", silent), (b"5", silent)):
            ((file_id, _),) = ledger.admit([source(name)]).values()
            ledger.record(run, [(source(name), file_id, answer)], manner=MANNER)
        groups = [row.duplicate_group for row in ledger.file_rows(run)]
    assert groups == ["c" * 12, "c" * 12, "", "", ""]


def test_a_second_run_at_the_same_time_is_told_to_wait(tmp_path: Path) -> None:
    with Ledger.open(tmp_path), pytest.raises(LedgerBusy) as told:
        Ledger.open(tmp_path)
    assert "another run holds the ledger" in str(told.value)
    assert told.value.exit_code == 11
    Ledger.open(tmp_path).close()


def test_a_run_that_is_killed_leaves_the_ledger_free_and_whole(tmp_path: Path) -> None:
    killed = textwrap.dedent(
        f"""
        import os, pathlib
        from pipeline.ledger import Ledger
        ledger = Ledger.open(pathlib.Path({os.fspath(tmp_path)!r}))
        ledger.begin_run("m")
        os.kill(os.getpid(), 9)
        """
    )
    assert subprocess.run([sys.executable, "-c", killed], check=False, timeout=60).returncode == -9
    with Ledger.open(tmp_path) as ledger:
        last = ledger.last_run()
    assert last is not None
    assert (last.run_id, last.finished_at, last.ended) == (1, None, "")


def test_a_damaged_ledger_is_named_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(b"this is no database, it is a text of more than a hundred bytes" * 4)
    before = path.read_bytes()
    with pytest.raises(StorageError, match=r"ledger\.sqlite cannot be used"):
        Ledger.open(tmp_path)
    assert path.read_bytes() == before


def test_a_ledger_of_another_format_says_so(tmp_path: Path) -> None:
    from sqlalchemy import update

    from pipeline.database import Database
    from pipeline.ledger import schema

    Ledger.open(tmp_path).close()
    database = Database(tmp_path / "ledger.sqlite")
    with database.write() as connection:
        connection.execute(update(schema.meta).values(value="99"))
    database.close()
    for opened in (Ledger.open, Ledger.read):
        with pytest.raises(StorageError, match="has format 99"):
            opened(tmp_path)


def test_reading_a_ledger_that_is_not_there_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="earmark identify"):
        Ledger.read(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_report_can_be_read_while_a_run_writes(tmp_path: Path) -> None:
    with Ledger.open(tmp_path) as writing:
        run = writing.begin_run(MANNER)
        ((file_id, _),) = writing.admit([source()]).values()
        writing.record(run, [(source(), file_id, FOUND)], manner=MANNER)
        with Ledger.read(tmp_path) as reading:
            rows = reading.file_rows(run)
            assert next(rows).title == "Greensleeves"
            writing.record(run, [(source(b"b"), file_id, FOUND)], manner=MANNER)
            rows.close()


def test_a_failing_write_leaves_nothing_half_done(tmp_path: Path) -> None:
    with Ledger.open(tmp_path) as ledger:
        run = ledger.begin_run(MANNER)
        ((file_id, _),) = ledger.admit([source()]).values()
        with pytest.raises(StorageError):
            ledger.record(
                run, [(source(), file_id, FOUND), (source(b"b"), file_id + 99, FOUND)], manner=MANNER
            )
        assert list(ledger.file_rows(run)) == []
        assert list(ledger.play_rows(run)) == []


def test_an_unknown_run_is_a_usage_error(tmp_path: Path) -> None:
    with Ledger.open(tmp_path) as ledger, pytest.raises(UsageError, match="no run 7"):
        ledger.run(7)
