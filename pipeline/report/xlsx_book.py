"""Both tables as sheets of one Excel workbook: real dates and numbers, text that is never more than text."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import xlsxwriter

from pipeline.files import scratch_beside
from pipeline.report.columns import FILE_COLUMNS, PLAY_COLUMNS, Cell, Column, Kind, Row, cells, moment
from pipeline.report.text import for_spreadsheet

SHEET_ROWS = 1_048_576
"""Excel's limit, the header row included."""

NUMBER_FORMATS = {
    Kind.TEXT: {},
    Kind.PROBABILITY: {"num_format": "0.00%"},
    Kind.NUMBER: {},
    Kind.WHOLE: {"num_format": "0"},
    Kind.MOMENT: {"num_format": "yyyy-mm-dd hh:mm:ss"},
}
_EPOCH = datetime(1980, 1, 1)
"""What a workbook of no finished run says of its creation: the oldest date a zip archive knows."""


def write_xlsx(
    path: Path,
    files: Iterable[Row],
    plays: Iterable[Row],
    *,
    finished_at: str,
    sheet_rows: int = SHEET_ROWS,
) -> None:
    """Write the sheets `files` and `plays`; rows beyond Excel's limit go on in `files 2`, `plays 2`, …"""
    # XlsxWriter leaves its temporary files behind when it fails: it gets a folder that goes away with them.
    with scratch_beside(path) as scratch:
        book = xlsxwriter.Workbook(
            str(path),
            {"constant_memory": True, "tmpdir": str(scratch), "default_date_format": "yyyy-mm-dd hh:mm:ss"},
        )
        book.use_zip64()
        created = moment(finished_at)
        book.set_properties({"created": created.replace(tzinfo=None) if created else _EPOCH})
        try:
            sheets = _Sheets(book, sheet_rows)
            sheets.write("files", files, FILE_COLUMNS)
            sheets.write("plays", plays, PLAY_COLUMNS)
            _close(book)
        except BaseException:
            for sheet in book.worksheets():
                sheet.row_data_fh.close()
            raise


def _close(book: Any) -> None:
    try:
        book.close()
    except xlsxwriter.exceptions.FileCreateError as error:
        # It wraps the OSError of a full disk or a folder that has gone.
        raise error.args[0] from error


class _Sheets:
    """Writes tables to a workbook, opening as many sheets as each needs."""

    def __init__(self, book: Any, sheet_rows: int) -> None:
        self._book = book
        self._sheet_rows = sheet_rows
        self._header = book.add_format({"bold": True, "bg_color": "#E7E6E6", "bottom": 1, "valign": "top"})
        self._plain = book.add_format()
        self._formats = {
            kind: book.add_format({"valign": "top"} | options) for kind, options in NUMBER_FORMATS.items()
        }

    def write(self, name: str, rows: Iterable[Row], columns: tuple[Column, ...]) -> None:
        sheet, sheets, line = self._open(name, columns), 1, 0
        for row in rows:
            if line + 1 == self._sheet_rows:
                sheet.autofilter(0, 0, line, len(columns) - 1)
                sheets += 1
                sheet, line = self._open(f"{name} {sheets}", columns), 0
            line += 1
            for place, (column, cell) in enumerate(zip(columns, cells(row, columns), strict=True)):
                self._write_cell(sheet, line, place, cell, self._formats[column.kind])
        sheet.autofilter(0, 0, line, len(columns) - 1)

    def _open(self, name: str, columns: tuple[Column, ...]) -> Any:
        sheet = self._book.add_worksheet(name)
        sheet.freeze_panes(1, 1)
        # On paper, where the columns take several pages: which file and which column stands on each of them.
        sheet.set_landscape()
        sheet.repeat_rows(0)
        sheet.repeat_columns(0)
        for place, column in enumerate(columns):
            sheet.set_column(place, place, column.width, self._formats[column.kind])
            sheet.write_string(0, place, column.name, self._header)
        return sheet

    def _write_cell(self, sheet: Any, line: int, place: int, cell: Cell, cell_format: Any) -> None:
        # An empty text stays no cell at all, so that Excel counts and filters it as blank.
        if cell is None or cell == "":
            return
        if isinstance(cell, str):
            self._write_text(sheet, line, place, cell, cell_format)
        elif isinstance(cell, datetime):
            sheet.write_datetime(line, place, cell.replace(tzinfo=None), cell_format)
        else:
            sheet.write_number(line, place, cell, cell_format)

    def _write_text(self, sheet: Any, line: int, place: int, text: str, cell_format: Any) -> None:
        # XML readers turn CR and CRLF into LF anyway; doing it here keeps what is shown the same everywhere.
        text = for_spreadsheet(text).replace("\r\n", "\n").replace("\r", "\n")
        if text.startswith("<r>") and text.endswith("</r>"):
            # XlsxWriter takes such a string for its own markup and would write it into the sheet unescaped.
            # As rich text it is escaped piece by piece, and reads the same.
            sheet.write_rich_string(line, place, text[:1], self._plain, text[1:], cell_format)
        else:
            sheet.write_string(line, place, text, cell_format)
