"""Reports in every format, read back with the libraries their readers use."""

from __future__ import annotations

import csv
import dataclasses
import json
import resource
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import StorageError, UsageError
from pipeline.model import FileRow, PlayRow
from pipeline.report import ENDINGS, check_targets, write_reports
from pipeline.report.columns import FILE_COLUMNS, PLAY_COLUMNS
from pipeline.report.xlsx_book import write_xlsx

FINISHED_AT = "2026-11-21T03:10:00Z"

FOUND = FileRow(
    path="Mixes/café.mp3",
    status="found",
    title="Ode to Joy",
    artist="Ludwig van Beethoven",
    album="Symphony No. 9",
    year=1824,
    confidence=0.987654,
    verdict="ok",
    tag_title="ode",
    tag_artist="lvb",
    tag_album="9",
    duration_s=61.23456,
    matched_s=45.0,
    duplicate_group="d1",
    segments_sent=2,
    segments_agreeing=2,
    recognizer="audiotag",
    raw_score=321.0,
    credits=30.0,
    tracks=1,
    error="",
    identified_at="2026-11-21T03:00:00Z",
    content_id="00012345678901234567890",
)
UNREADABLE = FileRow(path="broken.mp3", status="unreadable", error="no audio in it")
PLAY = PlayRow(
    "Mixes/café.mp3", 0.0, 45.00049, "Ode to Joy", "Ludwig van Beethoven", "", None, 0.9, "a", None
)


def write(target: Path, files: list[FileRow], plays: list[PlayRow] | None = None) -> list[Path]:
    return write_reports([target], lambda: files, lambda: plays or [], finished_at=FINISHED_AT)


def test_the_columns_are_those_of_the_rows_in_their_order() -> None:
    assert [column.name for column in FILE_COLUMNS] == [field.name for field in dataclasses.fields(FileRow)]
    assert [column.name for column in PLAY_COLUMNS] == [field.name for field in dataclasses.fields(PlayRow)]


def test_csv_has_a_byte_order_mark_crlf_and_a_second_table_beside_it(tmp_path: Path) -> None:
    written = write(tmp_path / "report.csv", [FOUND, UNREADABLE], [PLAY])
    assert written == [tmp_path / "report.csv", tmp_path / "report.plays.csv"]
    raw = written[0].read_bytes()
    assert raw.startswith(b"\xef\xbb\xbfpath,status,title,artist,album,year,confidence,verdict,")
    assert raw.count(b"\r\n") == raw.count(b"\n") == 3
    frame = pd.read_csv(
        written[0], encoding="utf-8-sig", dtype={"content_id": str}, parse_dates=["identified_at"]
    )
    first = frame.iloc[0]
    assert (first["path"], first["year"], first["confidence"]) == ("Mixes/café.mp3", 1824, 0.9877)
    assert first["duration_s"] == 61.235
    assert first["identified_at"] == datetime(2026, 11, 21, 3, tzinfo=UTC)
    assert first["content_id"] == FOUND.content_id
    assert frame.iloc[1].dropna().to_dict() == {
        "path": "broken.mp3",
        "status": "unreadable",
        "segments_sent": 0,
        "segments_agreeing": 0,
        "credits": 0.0,
        "tracks": 0,
        "error": "no audio in it",
    }
    assert pd.read_csv(written[1])["end_s"].tolist() == [45.0]


def test_parquet_is_typed(tmp_path: Path) -> None:
    written = write(tmp_path / "report.parquet", [FOUND, UNREADABLE], [PLAY])
    assert [path.name for path in written] == ["report.parquet", "report.plays.parquet"]
    table = pq.read_table(written[0])
    types = {field.name: field.type for field in table.schema}
    assert types["path"] == types["content_id"] == pa.string()
    assert types["year"] == types["tracks"] == types["segments_sent"] == pa.int32()
    assert types["confidence"] == types["raw_score"] == types["credits"] == pa.float64()
    assert types["identified_at"].tz == "UTC"
    rows = table.to_pylist()
    assert rows[0] == dataclasses.asdict(FOUND) | {
        "confidence": 0.9877,
        "duration_s": 61.235,
        "identified_at": datetime(2026, 11, 21, 3, tzinfo=UTC),
    }
    assert (rows[1]["year"], rows[1]["identified_at"], rows[1]["title"]) == (None, None, "")
    assert pq.read_table(written[1]).column_names == [column.name for column in PLAY_COLUMNS]


def test_jsonl_is_one_whole_object_a_line(tmp_path: Path) -> None:
    written = write(tmp_path / "report.jsonl", [FOUND, UNREADABLE], [PLAY])
    assert [path.name for path in written] == ["report.jsonl", "report.plays.jsonl"]
    lines = written[0].read_text(encoding="utf-8").splitlines()
    assert json.loads(lines[0]) == dataclasses.asdict(FOUND) | {"confidence": 0.9877, "duration_s": 61.235}
    assert json.loads(lines[1]) == dataclasses.asdict(UNREADABLE) | {"identified_at": None}
    assert json.loads(written[1].read_text())["end_s"] == 45.0


def test_xlsx_has_two_sheets_with_real_dates_and_numbers(tmp_path: Path) -> None:
    written = write(tmp_path / "report.xlsx", [FOUND, UNREADABLE], [PLAY])
    assert written == [tmp_path / "report.xlsx"]
    book = openpyxl.load_workbook(written[0])
    assert book.sheetnames == ["files", "plays"]
    sheet = book["files"]
    assert sheet.freeze_panes == "B2"
    assert (sheet.page_setup.orientation, sheet.print_title_rows) == ("landscape", "$1:$1")
    assert sheet.print_title_cols == "$A:$A"
    assert sheet.auto_filter.ref == "A1:W3"
    cell = {name.value: value for name, value in zip(sheet[1], sheet[2], strict=True)}
    assert cell["identified_at"].value == datetime(2026, 11, 21, 3)
    assert cell["identified_at"].is_date
    assert (cell["confidence"].value, cell["confidence"].number_format) == (0.9877, "0.00%")
    assert (cell["raw_score"].value, cell["raw_score"].number_format) == (321, "General")
    assert (cell["year"].value, cell["year"].data_type) == (1824, "n")
    assert (cell["content_id"].value, cell["content_id"].data_type) == (FOUND.content_id, "s")
    assert sheet["C3"].value is None
    assert sheet.column_dimensions["A"].width > 40
    assert book["plays"]["C2"].value == 45.0
    assert book.properties.created == datetime(2026, 11, 21, 3, 10)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_report_of_nothing_still_has_its_columns(tmp_path: Path, ending: str) -> None:
    written = write(tmp_path / f"report{ending}", [])
    match ending:
        case ".csv":
            assert list(pd.read_csv(written[0]).columns) == [column.name for column in FILE_COLUMNS]
        case ".parquet":
            assert pq.read_table(written[1]).num_columns == len(PLAY_COLUMNS)
        case ".xlsx":
            assert openpyxl.load_workbook(written[0])["plays"].max_row == 1
        case ".jsonl":
            assert [path.read_text() for path in written] == ["", ""]


@pytest.mark.parametrize("ending", ENDINGS)
def test_equal_rows_give_equal_bytes(tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    once = write(tmp_path / f"once{ending}", [FOUND, UNREADABLE], [PLAY])
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    again = write(tmp_path / f"again{ending}", [FOUND, UNREADABLE], [PLAY])
    assert [path.read_bytes() for path in once] == [path.read_bytes() for path in again]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_failure_in_the_middle_leaves_the_old_report_and_no_other_file(tmp_path: Path, ending: str) -> None:
    target = tmp_path / f"report{ending}"
    old = {path: path.read_bytes() for path in write(target, [FOUND], [PLAY])}

    def plays_that_fail() -> Iterator[PlayRow]:
        yield PLAY
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        write_reports([target], lambda: [UNREADABLE], plays_that_fail, finished_at=FINISHED_AT)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == old


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_disk_that_fills_up_leaves_the_old_report_and_is_named(tmp_path: Path, ending: str) -> None:
    target = tmp_path / f"report{ending}"
    old = {path: path.read_bytes() for path in write(target, [FOUND], [PLAY])}
    rows = [
        dataclasses.replace(FOUND, path=f"{number}/{number * 7919 % 10007}.mp3") for number in range(3000)
    ]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, hard))
    try:
        with pytest.raises(StorageError) as caught:
            write(target, rows)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert str(caught.value).startswith(f"cannot write {target}: ")
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == old


def test_an_unknown_ending_is_refused_with_the_list_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        write_reports(
            [tmp_path / "a.csv", tmp_path / "b.docx"], lambda: [FOUND], list, finished_at=FINISHED_AT
        )
    assert str(caught.value) == (
        f"no report format goes with the name {tmp_path / 'b.docx'}; "
        "its ending must be one of .csv, .parquet, .xlsx, .jsonl"
    )
    assert list(tmp_path.iterdir()) == []


def test_two_targets_that_would_write_the_same_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"would both write .*a\.plays\.csv; give one another name"):
        check_targets([tmp_path / "a.csv", tmp_path / "a.plays.csv"])


def test_a_target_named_twice_is_written_once(tmp_path: Path) -> None:
    target = tmp_path / "REPORT.CSV"
    written = write_reports([target, target], lambda: [FOUND], list, finished_at=FINISHED_AT)
    assert [path.name for path in written] == ["REPORT.CSV", "REPORT.plays.CSV"]


def test_targets_are_checked_before_the_work(tmp_path: Path) -> None:
    check_targets([tmp_path / "new" / "report.xlsx"])
    (tmp_path / "report.plays.csv").mkdir()
    with pytest.raises(StorageError, match=r"report\.plays\.csv: it is a folder"):
        check_targets([tmp_path / "report.csv"])


def test_numbers_no_table_can_hold_are_empty_cells(tmp_path: Path) -> None:
    odd = dataclasses.replace(
        FOUND, raw_score=float("nan"), duration_s=float("inf"), year=10**12, credits=-0.0
    )
    targets = [tmp_path / f"report{ending}" for ending in ENDINGS]
    write_reports(targets, lambda: [odd], list, finished_at="")
    row = json.loads((tmp_path / "report.jsonl").read_text())
    assert (row["raw_score"], row["duration_s"], row["year"], str(row["credits"])) == (
        None,
        None,
        None,
        "0.0",
    )
    assert pq.read_table(tmp_path / "report.parquet")["raw_score"].null_count == 1
    assert pd.read_csv(tmp_path / "report.csv")["year"].isna().all()
    assert openpyxl.load_workbook(tmp_path / "report.xlsx")["files"]["R2"].value is None


def test_what_is_nearly_certain_is_not_reported_as_certain(tmp_path: Path) -> None:
    rows = [dataclasses.replace(FOUND, confidence=value) for value in (0.99999, 1.0, 0.5)]
    write(tmp_path / "r.csv", rows)
    assert pd.read_csv(tmp_path / "r.csv")["confidence"].tolist() == [0.9999, 1.0, 0.5]


def test_rows_beyond_a_sheet_go_on_in_the_next(tmp_path: Path) -> None:
    rows = [dataclasses.replace(UNREADABLE, path=f"{number}.mp3") for number in range(25)]
    write_xlsx(tmp_path / "r.xlsx", rows, [PLAY] * 10, finished_at=FINISHED_AT, sheet_rows=11)
    book = openpyxl.load_workbook(tmp_path / "r.xlsx")
    assert book.sheetnames == ["files", "files 2", "files 3", "plays"]
    seen = [
        sheet.cell(line, 1).value for sheet in book.worksheets[:3] for line in range(2, sheet.max_row + 1)
    ]
    assert seen == [row.path for row in rows]
    assert [sheet["A1"].value for sheet in book.worksheets] == ["path"] * 4
    assert [sheet.auto_filter.ref for sheet in book.worksheets] == ["A1:W11", "A1:W11", "A1:W6", "A1:J11"]


def test_a_row_that_fills_its_cells_survives_a_csv_reader(tmp_path: Path) -> None:
    awkward = dataclasses.replace(FOUND, title='a "b", c\r\nd\ne;f\tg', album=" blanks ")
    [target, _] = write(tmp_path / "r.csv", [awkward])
    with target.open(encoding="utf-8-sig", newline="") as handle:
        [row] = csv.DictReader(handle)
    assert (row["title"], row["album"]) == (awkward.title, awkward.album)


@pytest.mark.slow
@pytest.mark.parametrize("ending", ENDINGS)
def test_memory_does_not_grow_with_the_rows(tmp_path: Path, ending: str) -> None:
    def peak_bytes(rows: int) -> int:
        def files() -> Iterator[FileRow]:
            for number in range(rows):
                yield dataclasses.replace(FOUND, path=f"{number}.mp3")

        tracemalloc.start()
        try:
            write_reports([tmp_path / f"r{ending}"], files, list, finished_at=FINISHED_AT)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak_bytes(10)  # imports
    assert peak_bytes(35_000) < 1.2 * peak_bytes(12_000) + 500_000
