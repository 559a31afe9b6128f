"""`read_scores`: files and exam.toml to a ScoreTable."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from eduq.errors import DataFileError, Place, SettingsError
from eduq.intake.assemble import FileFacts, assemble
from eduq.intake.cells import SymbolReader
from eduq.intake.checks import CheckList
from eduq.intake.columns import UnknownColumn, assign_columns, check_column_settings, plan_columns
from eduq.intake.exam_file import ExamFile
from eduq.intake.files import EXAM_FILE_NAME, FoundFiles, find_files, read_source
from eduq.intake.headers import Header, find_header
from eduq.intake.parts import PaperLimits, Part, UnknownSymbol, read_part
from eduq.intake.questions import ask_about_columns, ask_about_symbols
from eduq.intake.readers import RawSheet, open_file
from eduq.intake.rows import RejectList
from eduq.intake.score_table import ScoreTable
from eduq.settings import validate_toml

__all__ = ["read_scores"]

Progress = Callable[[str, int, int], None]
_GROUP_FIELDS = 3
_MAY_BE_SKIPPED = ("no_header", "no_paper", "no_id_column", "group_table")
"""What lets a sheet be left out, with a warning, when another sheet of the workbook is a score table."""


@dataclass
class _OpenFile:
    """A file between opening and reading: its sheets with their headers, and what has become of them."""

    name: str
    stem: str
    sha256: str
    size: int
    encoding: str | None
    sheets: list[tuple[RawSheet, Header | None]]
    rows: int = 0
    read: int = 0
    left_out: list[tuple[RawSheet, DataFileError]] = field(default_factory=list)

    def facts(self) -> FileFacts:
        """Return what is kept of the file."""
        return FileFacts(self.name, self.stem, self.sha256, self.size, self.encoding, self.rows)


@dataclass
class _Reading:
    """What is gathered while files are read."""

    exam: ExamFile
    checks: CheckList = field(default_factory=CheckList)
    rejects: RejectList = field(default_factory=RejectList)
    parts: list[Part] = field(default_factory=list)
    unknown_columns: list[UnknownColumn] = field(default_factory=list)
    unknown_symbols: list[UnknownSymbol] = field(default_factory=list)


def read_scores(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    exam: str | os.PathLike[str] | ExamFile | None = None,
    *,
    progress: Progress | None = None,
) -> ScoreTable:
    """Read the score files of one exam.

    Parameters
    ----------
    paths
        A file, a folder (its data files), or several.
    exam
        exam.toml or its content; when left out, the exam.toml in the folder or beside the file, if there is one.
    progress
        Called with the name of the stage (open, read, join), what is done and how much there is.

    Returns
    -------
    ScoreTable
        One row per candidate; every other row of the files is in ``.rejected``, what was dropped or assumed in ``.checks``.

    Raises
    ------
    DataFileError
        A file cannot be read, a column or symbol is not understood, or files contradict each other.
    SettingsError
        exam.toml is not understood or speaks of something the files do not have.
    NotAssessableError
        No row can be used.

    Examples
    --------
    >>> table = read_scores("2025-2-g9-final")                      # doctest: +SKIP
    >>> table.frame.select("school_id", "math", "math_status")      # doctest: +SKIP
    """
    tell = progress or _tell_nobody
    found = find_files(paths)
    reading = _Reading(_read_exam(exam, found))
    check_column_settings(reading.exam)
    for name in found.ignored:
        reading.checks.add("file_ignored", "notice", file=name, found=name)
    files = []
    for done, path in enumerate(found.data):
        tell("open", done, len(found.data))
        files.append(_open(path, reading))
    full_marks = _full_marks(files, reading.exam)
    _refuse_unused_settings(files, reading.exam)
    reader = SymbolReader(dict(reading.exam.symbols))
    for done, file in enumerate(files):
        tell("read", done, len(files))
        _read_file(file, _limits(reading.exam, full_marks), reader, reading)
    if reading.unknown_columns:
        raise ask_about_columns(reading.unknown_columns)
    if reading.unknown_symbols:
        raise ask_about_symbols(reading.unknown_symbols)
    tell("join", 0, 1)
    facts = [file.facts() for file in files]
    return assemble(reading.parts, reading.exam, facts, found, full_marks, reading.checks, reading.rejects)


def _tell_nobody(stage: str, done: int, total: int) -> None:
    return None


def _read_exam(exam: str | os.PathLike[str] | ExamFile | None, found: FoundFiles) -> ExamFile:
    if isinstance(exam, ExamFile):
        return exam
    path = Path(exam) if exam is not None else found.exam
    return ExamFile(schema=1) if path is None else validate_toml(path, ExamFile)


def _open(path: Path, reading: _Reading) -> _OpenFile:
    """Open a file and find the headers of its sheets; its bytes are let go where the sheets do not need them."""
    source = read_source(path)
    known = tuple(reading.exam.columns)
    opened = open_file(source, reading.checks, known)
    sheets = []
    for sheet in opened.sheets:
        header = find_header(sheet.head, known=known)
        if header is None or header.depth > 1:
            merged = sheet.merged()
            header = find_header(sheet.head, merged, known) if merged else header
        sheet.merged = _no_merged
        sheets.append((sheet, header))
    return _OpenFile(source.name, source.stem, source.sha256, len(source.data), opened.encoding, sheets)


def _no_merged() -> None:
    return None


def _full_marks(files: list[_OpenFile], exam: ExamFile) -> dict[str, float]:
    """Collect the full marks named in headers such as 数学(120分).

    Raises
    ------
    DataFileError
        ``max_score_contradiction`` between two headers, or between a header and exam.toml.
    """
    marks: dict[str, float] = {paper.code: paper.max_score for paper in exam.papers if paper.max_score is not None}
    for file in files:
        for sheet, header in file.sheets:
            for item in assign_columns(header, exam) if header is not None else ():
                mark = item.column.full_mark
                if mark is None or item.meaning is None or item.meaning.kind != "score":
                    continue
                before = marks.setdefault(item.meaning.key, mark)
                if before != mark:
                    place = Place(sheet.file, sheet.sheet, column=item.column.written)
                    raise DataFileError(
                        "max_score_contradiction", place, code=item.meaning.key, one=f"{mark:g}", other=f"{before:g}"
                    )
    return marks


def _limits(exam: ExamFile, full_marks: dict[str, float]) -> PaperLimits:
    steps = {paper.code: paper.step_hundredths for paper in exam.papers}
    codes = {*steps, *full_marks}
    return {code: (round(full_marks[code] * 100) if code in full_marks else None, steps.get(code)) for code in codes}


def _refuse_unused_settings(files: list[_OpenFile], exam: ExamFile) -> None:
    headers = [header for file in files for _, header in file.sheets if header is not None]
    met = {item.setting for header in headers for item in assign_columns(header, exam)}
    for key in exam.columns:
        if key not in met and headers:
            written = sorted({column.written for header in headers for column in header.columns if column.written})
            close = difflib.get_close_matches(key, written, n=1, cutoff=0.3)
            raise SettingsError("columns_key_unused", Place(file=EXAM_FILE_NAME, column=key), near=close[0] if close else "-")


def _read_file(file: _OpenFile, limits: PaperLimits, reader: SymbolReader, reading: _Reading) -> None:
    """Read the sheets of a file one after the other, letting each go when it is read."""
    while file.sheets:
        sheet, header = file.sheets.pop(0)
        if not any(any(row) for row in sheet.head) and not sheet.body(0, 0).height:
            reading.checks.add("sheet_blank", "info", file=sheet.file, sheet=sheet.sheet, found=sheet.sheet)
            continue
        try:
            file.rows += _read_sheet(sheet, header, limits, reader, reading)
            file.read += 1
        except DataFileError as error:
            if error.code not in _MAY_BE_SKIPPED:
                raise
            file.left_out.append((sheet, error))
    if not file.read:
        raise file.left_out[0][1] if file.left_out else DataFileError("file_empty", Place(file=file.name))
    for sheet, reason in file.left_out:
        reading.checks.add("sheet_not_read", "warning", file=sheet.file, sheet=sheet.sheet, found=reason.code)


def _read_sheet(sheet: RawSheet, header: Header | None, limits: PaperLimits, reader: SymbolReader, reading: _Reading) -> int:
    """Read one sheet and return its number of rows."""
    if header is None:
        raise DataFileError("no_header", sheet.place)
    body = sheet.body(header.first + header.depth, len(header.columns))
    plan = plan_columns(sheet, header, body, reading.exam, reading.checks)
    if plan.unknown and (plan.all("score") or any(column.written for column in plan.unknown)):
        reading.unknown_columns += plan.unknown
        return body.height
    if not plan.all("score"):
        raise DataFileError("group_table" if plan.group_fields >= _GROUP_FIELDS else "no_paper", sheet.place)
    one_school = reading.exam.exam.scope == "school"
    part, unknown = read_part(sheet, header, body, plan, limits, reader, one_school, reading.checks, reading.rejects)
    reading.unknown_symbols += unknown
    reading.parts.append(part)
    return part.rows
