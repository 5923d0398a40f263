"""Names and titles from strangers: nothing in them may run, break a file or get lost unseen."""

from __future__ import annotations

import csv
import json
import re
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import openpyxl
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl.utils.escape import unescape
from rich.console import Console

from pipeline.model import FileRow
from pipeline.report import file_table, write_reports
from pipeline.report.text import CUT_MARK, EXCEL_UNITS, for_spreadsheet, harmless, shown

RUNS = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "  =1",
    "\u00a0=1",
    "\ufeff=1",
    "\u200b=1",
    "\x00=1",
    "\x0b\x01-1",
    "＝1",
    "＋1",
    "－1",
    "＠1",
    "﹣1",
    "−1",
    '=HYPERLINK("http://x","y")',
    "-dash.mp3",
]
ANY_TEXT = st.text(st.characters(), max_size=40)  # lone surrogates and control characters included


@pytest.mark.parametrize("text", RUNS)
def test_a_cell_that_would_run_gets_an_apostrophe_in_csv(text: str) -> None:
    assert harmless(text) == "'" + re.sub("[\x00\x01\x0b]", "", text)


@pytest.mark.parametrize(
    "text", ["", "1-2", "MARCH7", "a=b", "'Til Tuesday", "…And Justice", "007", "(=)", "東京"]
)
def test_a_cell_that_cannot_run_stays_as_it_is(text: str) -> None:
    assert harmless(text) == text


def test_numbers_below_zero_are_not_escaped_in_csv(tmp_path: Path) -> None:
    row = FileRow("=x.mp3", "found", raw_score=-1.5)
    [target, _] = write_reports([tmp_path / "r.csv"], lambda: [row], list, finished_at="")
    with target.open(encoding="utf-8-sig", newline="") as handle:
        [cells] = csv.DictReader(handle)
    assert (cells["path"], cells["raw_score"]) == ("'=x.mp3", "-1.5")


@given(ANY_TEXT)
def test_dropping_one_apostrophe_gives_the_text_back(text: str) -> None:
    legal = for_spreadsheet(shown(text))
    escaped = harmless(shown(text))
    assert escaped in (legal, "'" + legal)
    if escaped == legal:
        assert not escaped.lstrip()[:1] or escaped.lstrip()[0] not in "=+-@"
    # A reader knows without the original: an apostrophe was added exactly where the rest asks for one.
    assert (escaped[:1] == "'" and harmless(escaped[1:]) == escaped) == (escaped != legal)


@given(st.lists(st.tuples(ANY_TEXT, ANY_TEXT), max_size=5))
@settings(max_examples=40, deadline=None)
def test_any_text_reads_back_in_every_format(texts: list[tuple[str, str]]) -> None:
    rows = [FileRow("/" + path, "found", title=title) for path, title in texts]
    expected = [(shown(row.path), shown(row.title)) for row in rows]
    with TemporaryDirectory() as folder:
        targets = [Path(folder) / f"r{ending}" for ending in (".csv", ".parquet", ".xlsx", ".jsonl")]
        write_reports(targets, lambda: rows, list, finished_at="")
        lines = targets[3].read_text(encoding="utf-8").split("\n")[:-1]
        assert [(row["path"], row["title"]) for row in map(json.loads, lines)] == expected
        table = pq.read_table(targets[1]).to_pylist()
        assert [(row["path"], row["title"]) for row in table] == expected
        with targets[0].open(encoding="utf-8-sig", newline="") as handle:
            cells = [(row["path"], row["title"]) for row in csv.DictReader(handle)]
        assert cells == [(harmless(path), harmless(title)) for path, title in expected]
        sheet = openpyxl.load_workbook(targets[2])["files"]
        read = [
            (_text(sheet.cell(line, 1).value), _text(sheet.cell(line, 3).value))
            for line in range(2, len(rows) + 2)
        ]
        assert read == [(_in_excel(path), _in_excel(title)) for path, title in expected]


@pytest.mark.parametrize("text", ["<r><t>x</t></r>", "<r></r>", "<r></t></is></c></row>&</r>"])
def test_markup_that_xlsxwriter_takes_for_its_own_stays_text(tmp_path: Path, text: str) -> None:
    write_reports([tmp_path / "r.xlsx"], lambda: [FileRow(text, "found")], list, finished_at="")
    assert openpyxl.load_workbook(tmp_path / "r.xlsx")["files"]["A2"].value == text


def test_xlsx_holds_no_formula_no_link_and_no_number_made_of_text(tmp_path: Path) -> None:
    rows = [
        FileRow(text, "found", title=text)
        for text in [*RUNS, "http://x.example/", "mailto:a@b", "007", "1e5"]
    ]
    write_reports([tmp_path / "r.xlsx"], lambda: rows, list, finished_at="")
    sheet = openpyxl.load_workbook(tmp_path / "r.xlsx")["files"]
    assert {sheet.cell(line, 3).data_type for line in range(2, len(rows) + 2)} == {"s"}
    assert sheet["C2"].value == "=1+1"
    with zipfile.ZipFile(tmp_path / "r.xlsx") as archive:
        xml = archive.read("xl/worksheets/sheet1.xml").decode()
    assert "<f>" not in xml
    assert "hyperlink" not in xml


def test_a_name_that_is_not_utf8_shows_its_bytes() -> None:
    assert shown(b"caf\xe9 \xff.mp3".decode("utf-8", errors="surrogateescape")) == r"caf\xe9 \xff.mp3"
    assert shown("\ud83d and é") == r"\ud83d and é"


def test_a_cell_too_long_for_excel_ends_with_a_mark_and_whole_characters() -> None:
    assert for_spreadsheet("x" * EXCEL_UNITS) == "x" * EXCEL_UNITS
    cut = for_spreadsheet("x" + "😀" * EXCEL_UNITS)
    assert cut.endswith("😀" + CUT_MARK)
    assert EXCEL_UNITS - 1 <= len(cut.encode("utf-16-le")) // 2 <= EXCEL_UNITS
    assert len(harmless("=" + "x" * EXCEL_UNITS)) == EXCEL_UNITS


def test_the_terminal_table_shows_hostile_text_as_plain_text() -> None:
    console = Console(width=200, color_system=None)
    with console.capture() as capture:
        console.print(
            file_table(
                [
                    FileRow(
                        "[red]a[/red]\x1b[2J\nb\u202egpj.mp3",
                        "found",
                        title="[link=x]t",
                        confidence=0.9999,
                        credits=15,
                    ),
                    FileRow("n\udcff.mp3", "unreadable", error="[/] no\x07 audio"),
                    FileRow("third.mp3", "found"),
                ],
                limit=2,
            )
        )
    text = capture.get()
    assert "[red]a[/red][2J bgpj.mp3" in text
    assert "[link=x]t" in text
    assert "0.99" in text
    assert r"n\xff.mp3" in text
    assert "[/] no audio" in text
    assert "third" not in text
    assert "the first 2 files; the report holds them all" in text
    assert not any(c in text for c in "\x1b\x07\u202e")


def _in_excel(text: str) -> str:
    return for_spreadsheet(text).replace("\r\n", "\n").replace("\r", "\n")


def _text(value: object) -> str:
    return "" if value is None else unescape(str(value))
