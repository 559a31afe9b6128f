"""Open workbooks and Parquet files as columns of text; what their readers hide is put back as text that can be told."""

from __future__ import annotations

import io
import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from eduq.errors import DataFileError, Place
from eduq.intake.cells import CELL_ERRORS, FORMULA_WITHOUT_VALUE
from eduq.intake.checks import CheckList
from eduq.intake.delimited import trim_tail
from eduq.intake.files import SourceFile
from eduq.intake.headers import MergedRange
from eduq.intake.limits import MAX_CELLS, MAX_COLUMNS, MAX_TABLE_CELLS, too_large
from eduq.intake.ole_parts import check_old_workbook
from eduq.intake.synonyms import vocabulary
from eduq.intake.workbook_parts import WorkbookParts, column_letter

if TYPE_CHECKING:
    from python_calamine import CalamineSheet

__all__ = ["WorkbookSheet", "open_parquet", "open_workbook"]

_LONG = r"^\d{16,}(?:\.0)?$"
_ERROR_NAMES = {
    "Div0": "#DIV/0!",
    "NA": "#N/A",
    "Name": "#NAME?",
    "Null": "#NULL!",
    "Num": "#NUM!",
    "Ref": "#REF!",
    "Value": "#VALUE!",
}
_STDERR = threading.Lock()


@dataclass(frozen=True)
class WorkbookSheet:
    """One visible sheet: its name, its cells from the first row on as columns ``c0``, … of text, its merged ranges."""

    name: str
    frame: pl.DataFrame
    merged: Callable[[], list[MergedRange] | None]


@contextmanager
def _damage_is_ours(code: str, source: SourceFile, *kinds: type[Exception]) -> Iterator[None]:
    """Turn what a reader raises on a damaged file into our error; a panic of its native code included."""
    failed = False
    with _STDERR, _held_back(lambda: failed):
        try:
            yield
        except kinds as error:
            failed = True
            locked = "password" in str(error).lower()
            raise DataFileError("workbook_encrypted" if locked else code, source.place) from None
        except BaseException as error:
            failed = type(error).__name__ == "PanicException"
            if failed:
                raise DataFileError(code, source.place) from None
            raise


@contextmanager
def _held_back(dropped: Callable[[], bool]) -> Iterator[None]:
    """Hold back what native code writes to the process's stderr; it is written after all unless it is to be dropped."""
    try:
        saved = os.dup(2)
    except OSError:
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            if held.tell() and not dropped():
                held.seek(0)
                os.write(2, held.read())


def open_workbook(source: SourceFile, checks: CheckList) -> list[WorkbookSheet]:
    """Open the visible sheets of a workbook; pages of explanations are left out.

    Cells of errors hold the error as text, formulas whose result was not stored a text of their own, and numbers of more
    digits than a spreadsheet keeps are written as a spreadsheet shows them (``1.1E+17``), so that no id is made of them.

    Parameters
    ----------
    source
        The file.
    checks
        Gets a line for every sheet that is skipped and for formulas.

    Raises
    ------
    DataFileError
        ``workbook_unreadable``, ``workbook_encrypted``, ``file_too_large``, ``no_score_sheet``.
    """
    import fastexcel

    parts = None
    if source.kind == "xlsx":
        parts = WorkbookParts(source.data, source.place)
    else:
        check_old_workbook(source.data, source.place)
    skipped = vocabulary().words("summary_rows", "sheet_names_skip")
    sheets, passed_over, cells = [], [], 0
    with _damage_is_ours("workbook_unreadable", source, fastexcel.FastExcelError):
        reader = fastexcel.read_excel(source.data)
        names = reader.sheet_names
    for name in names:
        if name.strip() in skipped:
            checks.add("sheet_skipped", "info", file=source.name, sheet=name, found=name)
            passed_over.append(name)
            continue
        with _damage_is_ours("workbook_unreadable", source, fastexcel.FastExcelError):
            loaded = reader.load_sheet(name, header_row=None, skip_rows=0, dtypes="string")
            cells += loaded.total_height * loaded.width
            if loaded.width > MAX_COLUMNS:
                raise too_large(Place(source.name, name), "columns", MAX_COLUMNS, loaded.width)
            if cells > MAX_CELLS:
                raise too_large(source.place, "cells", MAX_CELLS, cells)
            if loaded.visible != "visible":
                checks.add("sheet_hidden", "notice", file=source.name, sheet=name, found=name)
                passed_over.append(name)
                continue
            frame = loaded.to_polars()
            frame = frame.rename({old: f"c{place}" for place, old in enumerate(frame.columns)})
            frame = _with_errors(frame, loaded, parts, name)
        frame = _with_formulas(source, name, frame, parts, checks)
        frame = _without_hidden(source, name, _with_cut_numbers(source, name, frame, parts), parts, checks)
        frame = trim_tail(frame)
        sheets.append(WorkbookSheet(name, frame, _merged_ranges(source, name)))
    if passed_over and not sheets:
        raise DataFileError("no_score_sheet", source.place, sheets=" / ".join(passed_over))
    return sheets


def _with_errors(frame: pl.DataFrame, loaded: Any, parts: WorkbookParts | None, name: str) -> pl.DataFrame:
    """Put ``#N/A`` and its like where the reader left nothing."""
    if not frame.width or (parts is not None and not parts.facts(name).errors):
        return frame
    _, errors = loaded.to_arrow_with_errors()
    marks: dict[tuple[int, int], str] = {}
    for error in errors.errors if errors is not None else ():
        kind = error.detail.partition("Error(")[2].partition(")")[0]
        marks[error.offset_position] = _ERROR_NAMES.get(kind, CELL_ERRORS[0])
    return _marked(frame, marks)


def _with_formulas(
    source: SourceFile, name: str, frame: pl.DataFrame, parts: WorkbookParts | None, checks: CheckList
) -> pl.DataFrame:
    """List the formulas of a sheet and mark those whose result was not stored."""
    facts = None if parts is None else parts.facts(name)
    if facts is None or not facts.formulas:
        return frame
    checks.add("formulas_used", "info", file=source.name, sheet=name, found=name, n=facts.formulas - len(facts.unvalued))
    if not facts.unvalued:
        return frame
    left = _first_column(source, name)
    return _marked(frame, {(row, column - left): FORMULA_WITHOUT_VALUE for row, column in facts.unvalued})


def _with_cut_numbers(source: SourceFile, name: str, frame: pl.DataFrame, parts: WorkbookParts | None) -> pl.DataFrame:
    """Write numbers of 16 digits and more in scientific notation: their last digits are lost. Texts of digits are whole."""
    long = [column for column in frame.columns if frame.get_column(column).str.contains(_LONG).any()]
    if not long:
        return frame
    if parts is not None:
        cells = parts.long_numbers(name)
        left = _first_column(source, name) if cells else 0
        cells = [(row, column - left) for row, column in cells]
    else:
        wanted = {int(column[1:]) for column in long}
        sheet = _typed_sheet(source, name)
        top = sheet.start[0] if sheet.start else 0
        rows = enumerate(sheet.to_python(skip_empty_area=True), top)
        cells = [(row, place) for row, values in rows for place in wanted if isinstance(values[place], float)]
    marks = {}
    for row, place in cells:
        if row < frame.height and 0 <= place < frame.width and (text := frame.item(row, place)) and len(text) > 15:
            marks[row, place] = f"{float(text):.5E}" if text.replace(".", "", 1).isdigit() else text
    return _marked(frame, marks)


def _marked(frame: pl.DataFrame, marks: dict[tuple[int, int], str]) -> pl.DataFrame:
    """Set cells, by row and column from 0, to texts; those outside the frame are passed over."""
    by_column: dict[int, dict[int, str]] = {}
    for (row, column), mark in marks.items():
        if 0 <= row < frame.height and 0 <= column < frame.width:
            by_column.setdefault(column, {})[row] = mark
    columns = []
    for place, cells in by_column.items():
        columns.append(frame.to_series(place).scatter(list(cells), list(cells.values())))
    return frame.with_columns(columns)


def _without_hidden(
    source: SourceFile, name: str, frame: pl.DataFrame, parts: WorkbookParts | None, checks: CheckList
) -> pl.DataFrame:
    """Blank the hidden columns of a sheet and list them: nobody who looks at the sheet sees what they hold."""
    hidden = parts.facts(name).hidden if parts is not None else []
    if not hidden:
        return frame
    first = _first_column(source, name)
    places = [place for place in range(frame.width) if any(low <= place + first <= high for low, high in hidden)]
    filled = [place for place in places if (frame[:, place].str.strip_chars().str.len_bytes() > 0).any()]
    for place in filled:
        letters = column_letter(place + first + 1)
        checks.add("column_hidden", "warning", file=source.name, sheet=name, column=letters, found=letters)
    return frame.with_columns(pl.lit(None, dtype=pl.String).alias(f"c{place}") for place in places)


def _typed_sheet(source: SourceFile, name: str) -> CalamineSheet:
    """Open a sheet with the reader that gives merged ranges and the kind of every cell."""
    import python_calamine

    with _damage_is_ours("workbook_unreadable", source, python_calamine.CalamineError):
        return python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(source.data)).get_sheet_by_name(name)


def _first_column(source: SourceFile, name: str) -> int:
    """Return the first used column, which is the first of the frame."""
    sheet = _typed_sheet(source, name)
    return sheet.start[1] if sheet.start else 0


def _merged_ranges(source: SourceFile, name: str) -> Callable[[], list[MergedRange] | None]:
    def merged() -> list[MergedRange] | None:
        sheet = _typed_sheet(source, name)
        left = sheet.start[1] if sheet.start else 0
        ranges: Sequence[Any] = sheet.merged_cell_ranges or []
        return [(top, first - left, bottom, last - left) for (top, first), (bottom, last) in ranges]

    return merged


def open_parquet(source: SourceFile) -> pl.DataFrame:
    """Return the columns of a Parquet file as text.

    Raises
    ------
    DataFileError
        ``parquet_unreadable``, ``file_too_large``.
    """
    with _damage_is_ours("parquet_unreadable", source, pl.exceptions.PolarsError, OSError):
        lazy = pl.scan_parquet(io.BytesIO(source.data))
        width, height = len(lazy.collect_schema()), int(lazy.select(pl.len()).collect().item())
        if width > MAX_COLUMNS:
            raise too_large(source.place, "columns", MAX_COLUMNS, width)
        if width * height > MAX_TABLE_CELLS:
            raise too_large(source.place, "cells", MAX_TABLE_CELLS, width * height)
        return pl.read_parquet(io.BytesIO(source.data)).select(pl.all().cast(pl.String))
