"""Writes small tables as the files of tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import xlsxwriter

from eduq.intake import ScoreTable, read_scores
from eduq.intake.exam_file import ExamFile

Rows = Sequence[Sequence[Any]]
HEADER = ("考号", "姓名", "学校", "班级", "语文", "数学")
PUPILS = (
    ("0001", "甲", "一中", "1班", "100", "90.5"),
    ("0002", "乙", "一中", "2班", "80", "缺考"),
    ("0003", "丙", "二中", "1班", "0", "61"),
)


def write_csv(path: Path, rows: Rows, *, encoding: str = "utf-8", delimiter: str = ",") -> Path:
    """Write rows as delimited text, as they stand."""
    path.write_bytes("".join(delimiter.join(map(str, row)) + "\r\n" for row in rows).encode(encoding))
    return path


def write_xlsx(path: Path, sheets: dict[str, Rows], *, merged: Sequence[str] = (), hidden: Sequence[str] = ()) -> Path:
    """Write rows as a workbook; `merged` are ranges of the first sheet, filled with what stands in their first cell."""
    book = xlsxwriter.Workbook(str(path))
    for name, rows in sheets.items():
        sheet = book.add_worksheet(name)
        if name in hidden:
            sheet.hide()
        for place, row in enumerate(rows):
            for column, value in enumerate(row):
                if value is not None:
                    sheet.write(place, column, value)
    first = book.worksheets()[0]
    rows = next(iter(sheets.values()))
    for area in merged:
        top, left, _, _ = xlsxwriter_range(area)
        first.merge_range(area, rows[top][left])
    book.close()
    return path


def xlsxwriter_range(area: str) -> tuple[int, int, int, int]:
    """Return the rows and columns of a range such as A1:C2, from 0."""
    corners = [xlsxwriter.utility.xl_cell_to_rowcol(cell) for cell in area.split(":")]
    return (*corners[0], *corners[1])


def exam_file(**keys: Any) -> ExamFile:
    """Return an exam.toml with these keys."""
    return ExamFile.model_validate({"schema": 1, **keys})


def read_rows(folder: Path, rows: Rows, **keys: Any) -> ScoreTable:
    """Write rows as a CSV and read it."""
    return read_scores(write_csv(folder / "scores.csv", rows), exam_file(**keys))


def codes(table: ScoreTable) -> list[tuple[int, str]]:
    """Return row and code of every rejected row."""
    return [(row, code) for row, code in table.rejected.sort("row").select("row", "code").iter_rows()]


def found(table: ScoreTable, code: str) -> list[dict[str, Any]]:
    """Return the checks of a code."""
    return [line for line in table.checks.iter_rows(named=True) if line["code"] == code]
