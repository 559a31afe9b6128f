"""Scores whose subject stands beside their column or in a name: a sheet per subject, 分数 repeated after each subject."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from eduq.errors import DataFileError
from eduq.intake.checks import CheckList
from eduq.intake.columns import HEADING, TOTAL, AssignedColumn, assign_columns
from eduq.intake.exam_file import ExamFile
from eduq.intake.headers import PART_JOINER, Header, HeaderColumn
from eduq.intake.names import subject_of_names
from eduq.intake.readers import RawSheet
from eduq.intake.synonyms import Meaning

__all__ = ["name_paper", "paper_of_sheet", "settle_header"]


def paper_of_sheet(sheet: RawSheet, titles: Sequence[str], stem: str, exam: ExamFile, checks: CheckList) -> str | None:
    """Return the paper a sheet of one subject belongs to: by its name, the file's, a title; else the one of exam.toml.

    Subjects of exam.toml that have a paper of another code are given by that code.
    """
    for names in ([sheet.sheet], [stem], list(titles)):
        subject, name = subject_of_names(names)
        if subject is not None:
            codes = [paper.code for paper in exam.papers if paper.subject_code == subject] or [subject]
            if len(codes) == 1:
                checks.add("assumed_paper", "notice", file=sheet.file, sheet=sheet.sheet, column=name, found=codes[0])
                return codes[0]
    return exam.papers[0].code if len(exam.papers) == 1 else None


def name_paper(sheet: RawSheet) -> DataFileError:
    """Return the error that asks which paper a sheet belongs to."""
    return DataFileError("paper_unclear", sheet.place)


def settle_header(sheet: RawSheet, header: Header, stem: str, exam: ExamFile, checks: CheckList) -> Header:
    """Give score columns without subject the one that stands before them, or the one of the sheet's or file's name."""
    assigned = assign_columns(header, exam, sheet.layout)
    bare = [item for item in assigned if item.setting is None and item.meaning is not None and item.meaning.kind == "bare_score"]
    if not bare:
        return header
    settled = _by_neighbour(sheet, header, assigned)
    papers = [item for item in assigned if item.meaning is not None and item.meaning.kind == "score"]
    keys = [item.meaning.key for item in bare if item.meaning is not None]
    if not settled and len(keys) == len(set(keys)) and all(item.meaning == Meaning("score", TOTAL) for item in papers):
        code = paper_of_sheet(sheet, header.titles, stem, exam, checks)
        settled = {item.column.position: _meaning(item, code) for item in bare} if code is not None else {}
    if not settled:
        return header
    made: list[HeaderColumn] = []
    above = ""
    for column in header.columns:
        meaning = settled.get(column.position)
        if meaning == HEADING:
            above = column.written
        elif meaning is not None and above:
            column = replace(column, written=f"{above}{PART_JOINER}{column.written}")
        made.append(column if meaning is None else replace(column, settled=meaning))
    return replace(header, columns=tuple(made))


def _meaning(item: AssignedColumn, code: str) -> Meaning:
    assert item.meaning is not None
    return Meaning("scaled" if item.meaning.key == "scaled" else "score", code)


def _by_neighbour(sheet: RawSheet, header: Header, assigned: Sequence[AssignedColumn]) -> dict[int, Meaning]:
    """Return what 分数 means after a blank column headed by a subject: the subject's score; the blank column means nothing."""
    rows = sheet.head[header.first + header.depth :]

    def is_blank(column: HeaderColumn) -> bool:
        return not any(column.position < len(row) and row[column.position] for row in rows)

    settled: dict[int, Meaning] = {}
    code = None
    for item in assigned:
        meaning = item.meaning
        if meaning is not None and meaning.kind in ("score", "field", "scaled"):
            code = meaning.key if meaning.kind == "score" and rows and is_blank(item.column) else None
            if code is not None:
                settled[item.column.position] = HEADING
        elif meaning is not None and meaning.kind == "bare_score" and code is not None:
            settled[item.column.position] = _meaning(item, code)
    named = {meaning.key for meaning in settled.values() if meaning.kind == "score"}
    return settled if named else {}
