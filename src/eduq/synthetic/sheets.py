"""Sheets as cells, and the columns that layouts are put together from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from eduq.intake.exam_file import ExamFile

if TYPE_CHECKING:
    from eduq.synthetic.samples import SampleExam

__all__ = [
    "IDENTITY", "Cell", "Grid", "Made", "Row", "as_cell", "as_score", "columns_to_rows", "rank_cells", "score_cells",
    "stated_facts", "subjects_of", "text_columns", "total_cells", "two_row_header", "wide_rows",
]  # fmt: skip

Cell = str | float
Row = list[Cell]
Made = tuple[ExamFile, list["Grid"]]
"""What exam.toml states, and the sheets."""
IDENTITY = ("准考证号", "学籍号", "姓名", "学校代码", "学校", "班级", "性别")


@dataclass(frozen=True)
class Grid:
    """One sheet.

    Attributes
    ----------
    file, sheet
        Names without suffix.
    rows
        Cells; a blank is ``""``, a number a number.
    merged
        First row, first column, last row, last column of merged cells, from 0.
    plain
        One header row and rows of candidates below it: it can be a Parquet file.
    says_something
        The sheet's name is part of the data.
    """

    file: str
    sheet: str
    rows: list[Row]
    merged: tuple[tuple[int, int, int, int], ...] = ()
    plain: bool = False
    says_something: bool = False


def subjects_of(exam: SampleExam) -> list[str]:
    """Return the subjects' names, in the order of the exam's papers."""
    beside = (*IDENTITY, "选考科目")
    return [column for column in exam.frame.columns if column not in beside and not column.endswith("赋分")]


def as_cell(text: str | None) -> Cell:
    """Return a score as a number, a word as it is."""
    try:
        return float(text or "")
    except ValueError:
        return text or ""


def as_score(text: Cell) -> float | None:
    found = as_cell(str(text))
    return found if isinstance(found, float) else None


def stated_facts(exam: SampleExam, coded: bool = False, **keys: Any) -> ExamFile:
    """Return what exam.toml states beside a layout: the sample's own facts, but no symbols of other files.

    Without school codes in the files the schools of deviations could not be named.
    """
    update: dict[str, Any] = {"symbols": {}} | ({} if coded else {"deviations": ()}) | keys
    return exam.facts.model_copy(update=update)


def rank_cells(frame: pl.DataFrame, subject: str, over: Sequence[str] = ()) -> list[Cell]:
    """Return ranks of a subject as a vendor prints them; nothing for a candidate without score."""
    rank = pl.col(subject).cast(pl.Float64, strict=False).rank("min", descending=True)
    ranks = frame.select((rank.over(over) if over else rank).cast(pl.Int64)).to_series().to_list()
    return ["" if one is None else one for one in ranks]


def total_cells(frame: pl.DataFrame, subjects: Sequence[str]) -> list[Cell]:
    """Return the sum of the scores there are, nothing where there is none."""
    made: list[Cell] = []
    for row in frame.select(subjects).iter_rows():
        scores = [score for cell in row if (score := as_score(cell)) is not None]
        made.append(sum(scores) if scores else "")
    return made


def columns_to_rows(*columns: Sequence[Cell]) -> list[Row]:
    return [list(row) for row in zip(*columns, strict=True)]


def text_columns(frame: pl.DataFrame, *names: str) -> list[list[Cell]]:
    return [frame[name].to_list() for name in names]


def score_cells(frame: pl.DataFrame, subject: str) -> list[Cell]:
    return [as_cell(text) for text in frame[subject]]


def wide_rows(frame: pl.DataFrame, fields: Sequence[str], subjects: Sequence[str]) -> list[Row]:
    rows = columns_to_rows(*text_columns(frame, *fields), *(score_cells(frame, subject) for subject in subjects))
    return [[*fields, *subjects], *rows]


def two_row_header(fields: Sequence[str], groups: Sequence[tuple[str, Sequence[str]]], top: int) -> tuple[list[Row], list[Any]]:
    """Return a header of two rows, fields merged downwards and group names merged over their columns."""
    upper: Row = [*fields]
    lower: Row = [""] * len(fields)
    merged = [(top, place, top + 1, place) for place in range(len(fields))]
    for name, columns in groups:
        if len(columns) > 1:
            merged.append((top, len(upper), top, len(upper) + len(columns) - 1))
        upper += [name, *[""] * (len(columns) - 1)]
        lower += columns
    return [upper, lower], merged
