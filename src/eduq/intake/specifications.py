"""Sheets about items and papers, not pupils: 双向细目表 and full marks."""

from __future__ import annotations

import re
from collections.abc import Sequence

import polars as pl

from eduq.errors import DataFileError, Place
from eduq.intake.checks import CheckList
from eduq.intake.columns import TOTAL, AssignedColumn, assign_columns
from eduq.intake.exam_file import ExamFile
from eduq.intake.headers import Header, is_naming
from eduq.intake.item_headers import item_number
from eduq.intake.items import FEWEST_ITEMS, SpecRow
from eduq.intake.one_paper import name_paper, paper_of_sheet
from eduq.intake.readers import RawSheet
from eduq.intake.shapes import whole
from eduq.intake.synonyms import vocabulary

__all__ = [
    "FullMark",
    "is_full_marks",
    "is_specification",
    "item_line",
    "read_full_marks",
    "read_item_line",
    "read_specification",
]

FullMark = tuple[str, float, Place]
"""Paper code, full mark, and where it stands."""
_FIELDS = {
    "full_mark": "max_score",
    "item_type": "item_type",
    "module": "module",
    "knowledge_point": "knowledge_point",
    "ability": "ability",
    "literacy": "literacy",
    "expected_difficulty": "expected_difficulty",
    "answer_key": "key",
}
"""Field of the synonym file to column of the item specification."""
NUMBERS = ("max_score", "expected_difficulty")
_NUMBER = re.compile(r"^\d{1,5}(?:\.\d+)?$")
_FULL_WORDS = ("满分", "分值", "小题满分", "full_mark", "max_score")
_SUMS = ("合计", "总计", "总分", "全卷", "小计", "满分")


def _spec_columns(header: Header, exam: ExamFile, sheet: RawSheet) -> dict[str, AssignedColumn]:
    assigned = assign_columns(header, exam, sheet.layout)
    return {item.meaning.key: item for item in assigned if item.meaning is not None and item.meaning.kind == "spec"}


def _names_pupils(header: Header) -> bool:
    return any(is_naming(column.meaning) for column in header.columns)


def is_specification(sheet: RawSheet, header: Header, exam: ExamFile) -> bool:
    """Whether a sheet lists items: 题号 and what is known of each, no pupils."""
    columns = _spec_columns(header, exam, sheet)
    return not _names_pupils(header) and "item" in columns and bool(columns.keys() & _FIELDS.keys())


def read_specification(
    sheet: RawSheet, header: Header, stem: str, exam: ExamFile, checks: CheckList
) -> tuple[list[SpecRow], int]:
    """Return one line per item and the number of rows below the header; 合计 rows and blank rows are no items.

    Raises
    ------
    DataFileError
        ``paper_unclear``, ``item_twice``, ``spec_number``.
    """
    columns = _spec_columns(header, exam, sheet)
    start = header.first + header.depth
    body = sheet.body(start, len(header.columns)).with_columns(pl.all().str.strip_chars().fill_null(""))
    long = next((one for one in assign_columns(header, exam, sheet.layout) if _is_subject(one)), None)
    paper = None if long is not None else paper_of_sheet(sheet, header.titles, stem, exam, checks)
    if paper is None and long is None:
        raise name_paper(sheet)
    said: dict[tuple[str, str], SpecRow] = {}
    for place, row in enumerate(body.iter_rows(named=True)):
        item = item_number(row[f"c{columns['item'].column.position}"])
        if item is None:
            continue
        code = paper or vocabulary().subject(row[f"c{long.column.position}"] if long is not None else "") or ""
        where = Place(sheet.file, sheet.sheet, int(sheet.row_numbers(start + place, 1)[0]), columns["item"].column.written)
        if (code, item) in said:
            raise DataFileError("item_twice", where, item=item)
        line: SpecRow = {"paper": code, "item": item}
        for key, name in _FIELDS.items():
            text = row[f"c{columns[key].column.position}"] if key in columns else ""
            if text:
                line[name] = _value(text, name, Place(where.file, where.sheet, where.row, columns[key].column.written))
        said[code, item] = line
    for key, column in columns.items():
        checks.use(sheet.file, sheet.sheet, column.column.written, _FIELDS.get(key, key))
    return list(said.values()), body.height


def _is_subject(item: AssignedColumn) -> bool:
    return item.meaning is not None and item.meaning.kind == "field" and item.meaning.key == "subject_long"


def _value(text: str, name: str, place: Place) -> object:
    if name not in NUMBERS:
        return text
    plain = text.removesuffix("分")
    if not _NUMBER.match(plain):
        raise DataFileError("spec_number", place)
    return float(plain)


def item_line(sheet: RawSheet, header: Header | None) -> int | None:
    """Return the row of item numbers in a sheet that has only those and their full marks, None for other sheets."""
    if header is not None and _names_pupils(header):
        return None
    said = "满分" in (sheet.sheet or "") or "满分" in sheet.file
    for place, row in enumerate(sheet.head[:-1]):
        items = [column for column, cell in enumerate(row) if item_number(cell) is not None]
        below = sheet.head[place + 1]
        numbers = [column for column in items if column < len(below) and _NUMBER.match(below[column])]
        named = said or any(cell in _FULL_WORDS for cell in below[: items[0] if items else 0])
        rest = [line for line in sheet.head[place + 2 :] if any(line)]
        if len(items) >= FEWEST_ITEMS and len(numbers) == len(items) and named and not rest:
            return place
    return None


def read_item_line(sheet: RawSheet, place: int, stem: str, exam: ExamFile, checks: CheckList) -> tuple[list[SpecRow], int]:
    """Return items and full marks of a sheet whose items stand in one row and the full marks in the next.

    Raises
    ------
    DataFileError
        ``paper_unclear``, ``item_twice``.
    """
    titles = [cell for row in sheet.head[:place] for cell in row if cell]
    paper = paper_of_sheet(sheet, titles, stem, exam, checks)
    if paper is None:
        raise name_paper(sheet)
    said: dict[str, SpecRow] = {}
    for cell, mark in zip(sheet.head[place], sheet.head[place + 1], strict=False):
        item = item_number(cell)
        if item is None:
            continue
        if item in said:
            raise DataFileError("item_twice", Place(sheet.file, sheet.sheet, column=cell), item=item)
        said[item] = {"paper": paper, "item": item, "max_score": float(mark)}
        checks.use(sheet.file, sheet.sheet, cell, "max_score")
    return list(said.values()), 1


def is_full_marks(sheet: RawSheet, header: Header, exam: ExamFile) -> bool:
    """Whether a sheet says the full marks of papers: 科目 and 满分, or subjects over one row of full marks; no pupils."""
    return not _names_pupils(header) and (
        _full_mark_columns(sheet, header, exam) is not None or _full_mark_row(sheet, header, exam) is not None
    )


def _full_mark_columns(sheet: RawSheet, header: Header, exam: ExamFile) -> tuple[int, int] | None:
    assigned = assign_columns(header, exam, sheet.layout)
    subject = next((one.column.position for one in assigned if _is_subject(one)), None)
    mark = _spec_columns(header, exam, sheet).get("full_mark")
    return None if subject is None or mark is None else (subject, mark.column.position)


def _full_mark_row(sheet: RawSheet, header: Header, exam: ExamFile) -> list[AssignedColumn] | None:
    assigned = assign_columns(header, exam, sheet.layout)
    papers = [one for one in assigned if one.meaning is not None and one.meaning.kind == "score"]
    rows = [row for row in sheet.head[header.first + header.depth :] if any(row)]
    if not papers or len(rows) != 1:
        return None
    before = rows[0][: papers[0].column.position]
    named = any(cell in _FULL_WORDS for cell in before) or "满分" in (sheet.sheet or "") or "满分" in sheet.file
    return papers if named else None


def read_full_marks(sheet: RawSheet, header: Header, exam: ExamFile) -> tuple[list[FullMark], int]:
    """Return the full marks of papers and the number of rows they stand in.

    Raises
    ------
    DataFileError
        ``spec_subject``: a subject that is not known; ``spec_number``.
    """
    start = header.first + header.depth
    columns = _full_mark_columns(sheet, header, exam)
    found: list[FullMark] = []
    frame = whole(sheet, len(header.columns)).slice(start)
    if columns is None:
        row = frame.row(0)
        for one in _full_mark_row(sheet, header, exam) or ():
            place = Place(sheet.file, sheet.sheet, int(sheet.row_numbers(start, 1)[0]), one.column.written)
            if row[one.column.position] and one.meaning is not None:
                found.append(_full_mark(one.meaning.key, row[one.column.position], place))
        return _without_total(found), frame.height
    codes = {paper.code for paper in exam.papers}
    for number, row in enumerate(frame.iter_rows()):
        name, mark = row[columns[0]], row[columns[1]]
        if not mark or not name or name in _SUMS:
            continue
        place = Place(sheet.file, sheet.sheet, int(sheet.row_numbers(start + number, 1)[0]), header.columns[columns[1]].written)
        code = name if name in codes else vocabulary().subject(name)
        if code is None:
            raise DataFileError("spec_subject", place, found=name)
        found.append(_full_mark(code, mark, place))
    return _without_total(found), frame.height


def _full_mark(code: str, mark: str, place: Place) -> FullMark:
    value = _value(mark, "max_score", place)
    return code, float(str(value)), place


def _without_total(found: Sequence[FullMark]) -> list[FullMark]:
    return [one for one in found if one[0] != TOTAL]
