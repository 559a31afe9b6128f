"""Open a data file as sheets: first rows as text, merged ranges, and the body as columns of text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl

from eduq.errors import Place
from eduq.intake.checks import CheckList
from eduq.intake.delimited import open_text
from eduq.intake.files import SourceFile
from eduq.intake.headers import HEAD_ROWS, MergedRange
from eduq.intake.layouts import Layout
from eduq.intake.workbook_parts import column_letter
from eduq.intake.workbooks import WorkbookSheet, open_parquet, open_workbook

__all__ = ["ItemBlock", "OpenedFile", "RawSheet", "RefusedRows", "open_file"]


SMALL_TEXT = 8 << 20
"""A text file up to this size is searched for further headers below the first."""


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
    numbers
        In a sheet made by a shape: the number a spreadsheet shows for each of its rows (of its columns when ``turned``).
    turned
        Its rows are the columns of the file's sheet.
    loaded
        Its body costs little to ask for twice.
    sources
        Where one row is made of several: ``row`` and ``rows``, all numbers it is made of; beside them per column ``c0``, … the
        number of the row its cell stands in.
    items
        The item columns that stand beside its columns.
    refused
        Rows that a shape could not use.
    layout
        The layout it was recognised as.
    """

    file: str
    sheet: str | None
    head: list[list[str]]
    body: Callable[[int, int], pl.DataFrame]
    merged: Callable[[], list[MergedRange] | None] = field(default=lambda: None)
    row_offset: int = 1
    numbers: npt.NDArray[np.int64] | None = None
    turned: bool = False
    loaded: bool = False
    sources: pl.DataFrame | None = None
    items: ItemBlock | None = None
    refused: list[RefusedRows] = field(default_factory=list)
    layout: Layout | None = None

    @property
    def place(self) -> Place:
        """The sheet as a place."""
        return Place(file=self.file, sheet=self.sheet)

    def row_numbers(self, first: int, height: int) -> npt.NDArray[np.int64]:
        """Return the numbers of rows as a spreadsheet shows them (of columns in a turned sheet)."""
        if self.numbers is not None:
            return self.numbers[first : first + height]
        return np.arange(height, dtype=np.int64) + first + self.row_offset

    def cell_place(self, number: int, position: int, written: str) -> Place:
        """Return where a cell stands: its row and the header of its column; in a turned sheet its column and its row's header."""
        if self.turned:
            return Place(self.file, self.sheet, column=f"{column_letter(number)} / {written}")
        if self.sources is not None and f"c{position}" in self.sources.columns:
            exact = self.sources.filter(pl.col("row") == number).get_column(f"c{position}")
            number = int(exact[0]) if len(exact) and exact[0] is not None else number
        return Place(self.file, self.sheet, number, written)


@dataclass(frozen=True)
class RefusedRows:
    """Rows of a sheet, by the numbers a spreadsheet shows, that a shape could not use, with the reason."""

    numbers: npt.NDArray[np.int64]
    code: str
    column: str | None = None


@dataclass(frozen=True)
class ItemBlock:
    """Item columns of a sheet.

    Attributes
    ----------
    paper
        The paper they belong to.
    labels
        Column of ``frame`` to item number, in the order of the sheet.
    frame
        ``row`` (number of the row) and per item ``s<n>`` (score in hundredths) or ``a<n>`` (answer as text).
    """

    paper: str
    labels: dict[str, str]
    frame: pl.DataFrame


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
        Those of `eduq.intake.workbooks` and `eduq.intake.delimited.open_text`.
    """
    if source.kind == "text":
        table = open_text(source, known)
        sheet = RawSheet(source.name, None, table.head, table.body, loaded=len(source.data) <= SMALL_TEXT)
        return OpenedFile([sheet], table.encoding)
    if source.kind == "parquet":
        return OpenedFile([_open_parquet(source)], None)
    return OpenedFile(_open_workbook(source, checks), None)


def _text(value: str | None) -> str:
    return (value or "").strip()


def _open_workbook(source: SourceFile, checks: CheckList) -> list[RawSheet]:
    return [_workbook_sheet(source.name, sheet) for sheet in open_workbook(source, checks)]


def _workbook_sheet(file: str, sheet: WorkbookSheet) -> RawSheet:
    frame = sheet.frame
    head = [[_text(value) for value in row] for row in frame.head(HEAD_ROWS).iter_rows()]
    return RawSheet(file, sheet.name, head, lambda start, width: frame.slice(start), sheet.merged, loaded=True)


def _open_parquet(source: SourceFile) -> RawSheet:
    frame = open_parquet(source)
    names = frame.columns
    body = frame.rename({old: f"c{place}" for place, old in enumerate(names)})
    return RawSheet(source.name, None, [list(names)], lambda start, width: body.slice(start - 1), row_offset=0)
