"""Open a data file as sheets: first rows as text, merged ranges, and the body as columns of text."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
        Gives the rows from a row on (counted from 0), as wide as the header, as columns ``c0``, ``c1``, … of text; blank is
        null or ``""``.
    merged
        Gives the merged ranges, or None where a format has none.
    row_offset
        What is added to a row counted from 0 to get the number a spreadsheet shows.
    """

    file: str
    sheet: str | None
    head: list[list[str]]
    body: Callable[[int, int], pl.DataFrame]
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


@contextmanager
def _damage_is_ours(code: str, source: SourceFile, *kinds: type[Exception]) -> Iterator[None]:
    """Turn what a reader raises on a damaged file into our error; a panic of its native code included."""
    try:
        yield
    except kinds:
        raise DataFileError(code, source.place) from None
    except BaseException as error:
        if type(error).__name__ == "PanicException":
            raise DataFileError(code, source.place) from None
        raise


def _text(value: str | None) -> str:
    return (value or "").strip()


def _open_workbook(source: SourceFile, checks: CheckList) -> list[RawSheet]:
    import fastexcel

    skipped = vocabulary().words("summary_rows", "sheet_names_skip")
    sheets = []
    with _damage_is_ours("workbook_unreadable", source, fastexcel.FastExcelError):
        reader = fastexcel.read_excel(source.data)
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
    return sheets


def _workbook_sheet(source: SourceFile, name: str, frame: pl.DataFrame) -> RawSheet:
    frame = trim_tail(frame.rename({old: f"c{place}" for place, old in enumerate(frame.columns)}))
    head = [[_text(value) for value in row] for row in frame.head(HEAD_ROWS).iter_rows()]

    def merged() -> list[MergedRange] | None:
        import python_calamine

        with _damage_is_ours("workbook_unreadable", source, python_calamine.CalamineError):
            book = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(source.data))
            sheet = book.get_sheet_by_name(name)
        left = sheet.start[1] if sheet.start else 0
        ranges = sheet.merged_cell_ranges or []
        return [(top, first - left, bottom, last - left) for (top, first), (bottom, last) in ranges]

    return RawSheet(source.name, name, head, lambda start, width: frame.slice(start), merged)


def _open_parquet(source: SourceFile) -> RawSheet:
    with _damage_is_ours("parquet_unreadable", source, pl.exceptions.PolarsError, OSError):
        frame = pl.read_parquet(io.BytesIO(source.data)).select(pl.all().cast(pl.String))
    names = frame.columns
    body = frame.rename({old: f"c{place}" for place, old in enumerate(names)})
    return RawSheet(source.name, None, [list(names)], lambda start, width: body.slice(start - 1), row_offset=0)
