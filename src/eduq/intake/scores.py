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
from eduq.intake.files import EXAM_FILE_NAME, DataFile, FoundFiles, find_files, read_source
from eduq.intake.headers import Header
from eduq.intake.item_tables import add_full_marks, build_spec
from eduq.intake.layouts import Layout, choose_layout
from eduq.intake.parts import PaperLimits, Part, Places, UnknownSymbol, read_part
from eduq.intake.questions import ask_about_columns, ask_about_symbols
from eduq.intake.readers import RawSheet, open_file
from eduq.intake.recognition import Shelf
from eduq.intake.rows import RejectList
from eduq.intake.score_table import ScoreTable
from eduq.intake.synonyms import Meaning
from eduq.intake.unfold import Findings, unfold_file
from eduq.settings import parse_toml, validate_toml

__all__ = ["read_scores", "stated_exam"]

Progress = Callable[[str, int, int], None]
_GROUP_FIELDS = 3
_SCHOOL = (Meaning("field", "school"), Meaning("field", "school_code"))
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
    shelf: Shelf = field(default_factory=Shelf)
    findings: Findings = field(default_factory=Findings)
    places: Places = "needed"
    rejects: RejectList = field(default_factory=RejectList)
    parts: list[Part] = field(default_factory=list)
    unknown_columns: list[UnknownColumn] = field(default_factory=list)
    unknown_symbols: list[UnknownSymbol] = field(default_factory=list)


def read_scores(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] | FoundFiles,
    exam: str | os.PathLike[str] | ExamFile | None = None,
    *,
    layout: str | os.PathLike[str] | Layout | None = None,
    progress: Progress | None = None,
    checks: CheckList | None = None,
) -> ScoreTable:
    """Read the score files of one exam.

    Parameters
    ----------
    paths
        A file, a folder (its data files), or several.
    exam
        exam.toml or its content; when left out, the exam.toml in the folder or beside the file, if there is one.
    layout
        Id of a shipped layout, or a layout file; when left out, layouts are recognised by what the sheets look like.
    progress
        Called with the name of the stage (open, read, join), what is done and how much there is.
    checks
        Gets what is recognised while reading, so that it is there even when the reading stops.

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
    found = paths if isinstance(paths, FoundFiles) else find_files(paths)
    shelf = Shelf(None if layout is None else choose_layout(layout))
    reading = _Reading(stated_exam(exam, found), CheckList() if checks is None else checks, shelf)
    check_column_settings(reading.exam)
    found.note(reading.checks)
    files = []
    for done, data_file in enumerate(found.data):
        tell("open", done, len(found.data))
        files.append(_open(data_file, reading))
    _refuse_unfit_layout(reading)
    reading.places = "elsewhere" if _schools_somewhere(files, reading.exam) else "needed"
    full_marks = _full_marks(files, reading.exam)
    findings = reading.findings
    spec = build_spec(findings.spec, reading.checks)
    add_full_marks(full_marks, findings.full_marks, spec, {str(line["paper"]): place for line, place in findings.spec})
    _refuse_unused_settings(files, reading.exam, findings)
    for done, file in enumerate(files):
        tell("read", done, len(files))
        _read_file(file, _limits(reading.exam, full_marks), reading)
    if reading.unknown_columns:
        raise ask_about_columns(reading.unknown_columns)
    if reading.unknown_symbols:
        raise ask_about_symbols(reading.unknown_symbols)
    tell("join", 0, 1)
    facts = [file.facts() for file in files]
    return assemble(reading.parts, reading.exam, facts, found, full_marks, findings, spec, reading.checks, reading.rejects)


def _tell_nobody(stage: str, done: int, total: int) -> None:
    return None


def stated_exam(exam: str | os.PathLike[str] | ExamFile | None, found: FoundFiles) -> ExamFile:
    """Return what a person states about the exam: as given, else as found beside the files, else nothing."""
    if isinstance(exam, ExamFile):
        return exam
    if exam is not None:
        return validate_toml(Path(exam), ExamFile)
    return ExamFile(schema=1) if found.exam is None else parse_toml(found.exam.read_bytes(), found.exam.name, ExamFile)


def _open(file: DataFile, reading: _Reading) -> _OpenFile:
    """Open a file as tables of candidates; its bytes are let go where the sheets do not need them."""
    source = read_source(file)
    known = (*reading.exam.columns, *reading.shelf.headers)
    opened = open_file(source, reading.checks, known)
    blank = [sheet for sheet in opened.sheets if not any(any(row) for row in sheet.head) and not sheet.body(0, 0).height]
    for sheet in blank:
        reading.checks.add("sheet_blank", "info", file=sheet.file, sheet=sheet.sheet, found=sheet.sheet)
    sheets = [sheet for sheet in opened.sheets if sheet not in blank]
    if not sheets:
        raise DataFileError("file_empty", Place(file=source.name))
    tables = unfold_file(sheets, source.stem, reading.exam, reading.shelf, reading.checks, reading.findings)
    return _OpenFile(source.name, source.stem, source.sha256, len(source.data), opened.encoding, tables)


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
            for item in assign_columns(header, exam, sheet.layout) if header is not None else ():
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


def _refuse_unfit_layout(reading: _Reading) -> None:
    named = reading.shelf.named
    if named is not None and named.id not in reading.findings.recognised:
        raise DataFileError("layout_does_not_fit", layout=named.id)


def _schools_somewhere(files: list[_OpenFile], exam: ExamFile) -> bool:
    """Whether there are several tables and one of them names schools: the others may leave it out."""
    tables = [(sheet, header) for file in files for sheet, header in file.sheets if header is not None]
    return len(tables) > 1 and any(
        item.meaning in _SCHOOL for sheet, header in tables for item in assign_columns(header, exam, sheet.layout)
    )


def _symbol_reader(sheet: RawSheet, exam: ExamFile) -> SymbolReader:
    """Return what reads the cells of a sheet: exam.toml first, then what its layout says of symbols."""
    layout = sheet.layout
    own: dict[str, str] = {} if layout is None else dict(layout.symbols)
    return SymbolReader({**own, **exam.symbols}, fractions=layout is not None and layout.items.cells == "score/full")


def _limits(exam: ExamFile, full_marks: dict[str, float]) -> PaperLimits:
    steps = {paper.code: paper.step_hundredths for paper in exam.papers}
    codes = {*steps, *full_marks}
    return {code: (round(full_marks[code] * 100) if code in full_marks else None, steps.get(code)) for code in codes}


def _refuse_unused_settings(files: list[_OpenFile], exam: ExamFile, findings: Findings) -> None:
    headers = [header for file in files for _, header in file.sheets if header is not None]
    met = {item.setting for header in headers for item in assign_columns(header, exam)} | findings.settings
    for key in exam.columns:
        if key not in met and headers:
            written = sorted({column.written for header in headers for column in header.columns if column.written})
            close = difflib.get_close_matches(key, written, n=1, cutoff=0.3)
            raise SettingsError("columns_key_unused", Place(file=EXAM_FILE_NAME, column=key), near=close[0] if close else "-")


def _read_file(file: _OpenFile, limits: PaperLimits, reading: _Reading) -> None:
    """Read the tables of a file one after the other, letting each go when it is read."""
    for place, sheet, one in ((one[0], one[1], one[2]) for one in reading.findings.refused if one[0] == file.name):
        reading.rejects.add(place, sheet, one.numbers, one.code, one.column)
    others = reading.findings.rows.get(file.name)
    file.rows += others or 0
    while file.sheets:
        table, header = file.sheets.pop(0)
        before = len(reading.rejects.frames)
        try:
            file.rows += _read_sheet(table, header, limits, reading)
            file.read += 1
        except DataFileError as error:
            if error.code not in _MAY_BE_SKIPPED:
                raise
            del reading.rejects.frames[before:]
            file.left_out.append((table, error))
    if not file.read and others is None:
        raise file.left_out[0][1] if file.left_out else DataFileError("file_empty", Place(file=file.name))
    for table, reason in file.left_out:
        reading.checks.add("sheet_not_read", "warning", file=table.file, sheet=table.sheet, found=reason.code)


def _read_sheet(sheet: RawSheet, header: Header | None, limits: PaperLimits, reading: _Reading) -> int:
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
    places: Places = "one_school" if reading.exam.exam.scope == "school" else reading.places
    for one in sheet.refused:
        reading.rejects.add(sheet.file, sheet.sheet, one.numbers, one.code, one.column)
    if sheet.sources is not None:
        reading.rejects.sources[sheet.file, sheet.sheet] = sheet.sources
    if sheet.turned:
        reading.rejects.turned.add((sheet.file, sheet.sheet))
    first = header.first + sheet.row_offset
    reading.checks.read(sheet.file, sheet.sheet, first, first + header.depth - 1, body.height)
    part, unknown = read_part(
        sheet, header, body, plan, limits, _symbol_reader(sheet, reading.exam), places, reading.checks, reading.rejects
    )
    reading.unknown_symbols += unknown
    reading.parts.append(part)
    return part.rows
