"""Open a data file as sheets: first rows as text, merged ranges, and the body as columns of text."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field

import polars as pl

from eduq.errors import DataFileError, Place
from eduq.intake.checks import CheckList
from eduq.intake.delimited import open_text, trim_tail
from eduq.intake.files import SourceFile
from eduq.intake.headers import HEAD_ROWS, MergedRange
from eduq.intake.synonyms import vocabulary

__all__ = ["OpenedFile", "RawSheet", "open_file"]


@dataclass
class RawSheet:
    """One sheet before anything in it is understood.

    Attributes
    ----------
    file, sheet
        Base name of the file; name of the sheet (None where a file is one table).
    head
        The first rows as text; blank is ``""``.
    body
        Gives the rows from a row on (counted from 0) as columns ``c0``, ``c1``, … of text; blank is null or ``""``.
    merged
        Gives the merged ranges, or None where a format has none.
    row_offset
        What is added to a row counted from 0 to get the number a spreadsheet shows.
    """

    file: str
    sheet: str | None
    head: list[list[str]]
    body: Callable[[int], pl.DataFrame]
    merged: Callable[[], list[MergedRange] | None] = field(default=lambda: None)
    row_offset: int = 1

    @property
    def place(self) -> Place:
        """The sheet as a place."""
        return Place(file=self.file, sheet=self.sheet)


@dataclass(frozen=True)
class OpenedFile:
    """The sheets of one file and the encoding of its text."""

    sheets: list[RawSheet]
    encoding: str | None


def open_file(source: SourceFile, checks: CheckList, known: tuple[str, ...] = ()) -> OpenedFile:
    """Open a file by what its first bytes say it is.

    Parameters
    ----------
    source
        The file.
    checks
        Gets a line for every sheet that is skipped.
    known
        Headers of exam.toml, which help to find the delimiter of a text file.

    Raises
    ------
    DataFileError
        ``workbook_unreadable``, ``parquet_unreadable``, and those of `eduq.intake.delimited.open_text`.
    """
    if source.kind == "text":
        table = open_text(source, known)
        return OpenedFile([RawSheet(source.name, None, table.head, table.body)], table.encoding)
    if source.kind == "parquet":
        return OpenedFile([_open_parquet(source)], None)
    return OpenedFile(_open_workbook(source, checks), None)


def _text(value: str | None) -> str:
    return (value or "").strip()


def _open_workbook(source: SourceFile, checks: CheckList) -> list[RawSheet]:
    import fastexcel

    skipped = vocabulary().words("summary_rows", "sheet_names_skip")
    try:
        reader = fastexcel.read_excel(source.data)
        sheets = []
        for name in reader.sheet_names:
            if name.strip() in skipped:
                checks.add("sheet_skipped", "info", file=source.name, sheet=name, found=name)
                continue
            loaded = reader.load_sheet(name, header_row=None, skip_rows=0, dtypes="string")
            if loaded.visible != "visible":
                checks.add("sheet_hidden", "notice", file=source.name, sheet=name, found=name)
                continue
            frame = loaded.to_polars()
            sheets.append(_workbook_sheet(source, name, frame))
    except fastexcel.FastExcelError:
        raise DataFileError("workbook_unreadable", source.place) from None
    return sheets


def _workbook_sheet(source: SourceFile, name: str, frame: pl.DataFrame) -> RawSheet:
    frame = trim_tail(frame.rename({old: f"c{place}" for place, old in enumerate(frame.columns)}))
    head = [[_text(value) for value in row] for row in frame.head(HEAD_ROWS).iter_rows()]

    def merged() -> list[MergedRange] | None:
        import python_calamine

        try:
            book = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(source.data))
            sheet = book.get_sheet_by_name(name)
        except python_calamine.CalamineError:
            return None
        left = sheet.start[1] if sheet.start else 0
        ranges = sheet.merged_cell_ranges or []
        return [(top, first - left, bottom, last - left) for (top, first), (bottom, last) in ranges]

    return RawSheet(source.name, name, head, frame.slice, merged)


def _open_parquet(source: SourceFile) -> RawSheet:
    try:
        frame = pl.read_parquet(io.BytesIO(source.data))
        frame = frame.select(pl.all().cast(pl.String))
    except (pl.exceptions.PolarsError, OSError):
        raise DataFileError("parquet_unreadable", source.place) from None
    names = frame.columns
    body = frame.rename({old: f"c{place}" for place, old in enumerate(names)})
    return RawSheet(source.name, None, [list(names)], lambda start: body.slice(start - 1), row_offset=0)
