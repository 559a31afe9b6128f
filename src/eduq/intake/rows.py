"""Every input row ends in exactly one bin: used, or rejected with one reason code."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl

from eduq.errors import DataFileError, Place
from eduq.intake.cells import FRACTION, LEFT, REJECT_CODES, SYMBOL, CellGrid
from eduq.intake.columns import ColumnPlan, PlannedColumn
from eduq.intake.synonyms import vocabulary
from eduq.intake.workbook_parts import column_letter
from eduq.tables import REJECTED

__all__ = ["RejectList", "RowBins", "bin_cells", "bin_structure", "is_blank"]

_SUMMARY = re.compile(
    r"(?:平均分?|均分|小计|合计|总计|人数|最高分?|最低分?|标准差|中位数|(?:及格|优秀|优良|良好|低分|参考|得分|合格|满分|超均|比均)率)"
    r"\s*[%％]?\s*[:：]?\s*$"
)
"""How the name of a row of figures ends: 一中平均, 本班均分：, 及格率%. No pupil's name ends so."""


_FRACTION_SHARE = 0.5


@dataclass
class RejectList:
    """Rows that are not used, in the order found.

    Attributes
    ----------
    frames
        What was added.
    sources, turned
        Sheets whose rows are made of several (``row``, ``rows``), and those whose rows are columns of the file.
    """

    frames: list[pl.DataFrame] = field(default_factory=list)
    sources: dict[tuple[str, str | None], pl.DataFrame] = field(default_factory=dict)
    turned: set[tuple[str, str | None]] = field(default_factory=set)

    def add(
        self,
        file: str,
        sheet: str | None,
        rows: npt.NDArray[np.int64] | pl.Series,
        code: str,
        column: str | None = None,
        values: Sequence[str | None] | None = None,
    ) -> None:
        """Add rows of one file, sheet and code."""
        if not len(rows):
            return
        frame = pl.DataFrame({"row": pl.Series(rows, dtype=pl.Int64)}).with_columns(
            pl.lit(file, pl.String).alias("file"),
            pl.lit(sheet, pl.String).alias("sheet"),
            pl.lit(column, pl.String).alias("column"),
            pl.lit(code, pl.String).alias("code"),
            pl.Series("value", values if values is not None else [None] * len(rows), dtype=pl.String),
        )
        self.frames.append(frame.select(list(REJECTED)))

    def frame(self) -> pl.DataFrame:
        """Return the rows as `eduq.tables.REJECTED`, by file, sheet and row."""
        if not self.frames:
            return pl.DataFrame(schema=REJECTED)
        frames = [self._placed(frame) for frame in self.frames]
        return pl.concat(frames).sort("file", "sheet", "row", "code", nulls_last=False)

    def _placed(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Name all rows a row is made of; in a turned sheet its column in place of a row."""
        key = (str(frame.item(0, "file")), frame.item(0, "sheet"))
        if key in self.turned:
            letters = [column_letter(number) for number in frame.get_column("row")]
            return frame.with_columns(pl.Series("column", letters, dtype=pl.String), pl.lit(None, pl.Int64).alias("row"))
        if key not in self.sources:
            return frame
        several = frame.join(self.sources[key].select("row", "rows"), on="row", how="left", maintain_order="left")
        rows = several.with_columns(pl.coalesce("rows", pl.concat_list("row")).alias("row")).explode("row")
        return rows.select(list(REJECTED))


@dataclass
class RowBins:
    """The rows of one sheet on their way: numbers as a spreadsheet shows them, and which are still used."""

    file: str
    sheet: str | None
    numbers: npt.NDArray[np.int64]
    rejects: RejectList

    def reject(
        self, bad: npt.NDArray[np.bool_], code: str, column: str | None = None, values: Sequence[str | None] | None = None
    ) -> None:
        """Put rows into the bin of a code."""
        self.rejects.add(self.file, self.sheet, self.numbers[bad], code, column, values)

    def keep(self, good: npt.NDArray[np.bool_]) -> None:
        """Go on with some of the rows."""
        self.numbers = self.numbers[good]


def is_blank(column: pl.Series) -> pl.Series:
    """Return which cells of a text column without spaces at the ends are blank."""
    return column.str.len_bytes().fill_null(0) == 0


def _mask(column: pl.Series) -> npt.NDArray[np.bool_]:
    return column.fill_null(False).to_numpy().astype(bool, copy=False)


def bin_structure(
    bins: RowBins,
    body: pl.DataFrame,
    texts: pl.DataFrame,
    plan: ColumnPlan,
    ids: Sequence[PlannedColumn],
    grid: CellGrid,
    headings: Mapping[str, set[str]],
) -> npt.NDArray[np.bool_]:
    """Reject what is no candidate's row: blank, repeated header, summary, note; and rows without any id.

    Parameters
    ----------
    bins
        Gets the rejected rows.
    body, texts, plan
        The rows, their text columns under our names, and the used columns.
    ids
        The columns that can name a candidate.
    grid
        The score columns.
    headings
        Per column of the body, what stands in the header above it.

    Returns
    -------
    numpy.ndarray
        Which rows go on.

    Raises
    ------
    DataFileError
        ``header_changes``.
    """
    no_id = np.ones(body.height, dtype=bool)
    named = np.zeros(body.height, dtype=bool)
    words = vocabulary().words("summary_rows", "first_cell_or_name")
    for column in ids:
        text = texts.get_column(column.key)
        speaks = text.str.contains(_SUMMARY.pattern).fill_null(False)
        odd = is_blank(text) | text.is_in(sorted({*headings[column.source], *words})) | speaks
        no_id &= _mask(odd)
        named |= _mask(speaks)
    for column in plan.columns:
        if column.role == "field" and column.key == "name":
            named |= _mask(body.get_column(column.source).str.contains(_SUMMARY.pattern).fill_null(False))
    no_scores = grid.all_blank()
    suspects = np.flatnonzero(no_id | no_scores | named)
    good = np.ones(body.height, dtype=bool)
    if not len(suspects):
        return good
    codes = _judge(body[suspects], plan, ids, no_scores[suspects], headings)
    repeated = suspects[[code == "repeated_header" for code in codes]]
    _refuse_other_headers(bins, body[repeated], repeated, plan, headings)
    for code in dict.fromkeys(code for code in codes if code):
        bad = np.zeros(body.height, dtype=bool)
        bad[suspects[[one == code for one in codes]]] = True
        bins.reject(bad, code)
        good &= ~bad
    bins.keep(good)
    return good


def _refuse_other_headers(
    bins: RowBins, rows: pl.DataFrame, places: npt.NDArray[np.int64], plan: ColumnPlan, headings: Mapping[str, set[str]]
) -> None:
    """A header that comes again with other words over a column begins another table: reading on would mix up papers."""
    words = vocabulary()
    for column in plan.columns if rows.height else ():
        here = words.recognise(column.written.rpartition("/")[2]) or words.recognise(column.written)
        for place, cell in zip(places, rows.get_column(column.source), strict=True):
            text = (cell or "").strip()
            if not text or text in headings[column.source]:
                continue
            there = words.recognise(text)
            if there is not None and there != here:
                at = Place(bins.file, bins.sheet, row=int(bins.numbers[place]), column=column.written)
                raise DataFileError("header_changes", at, found=text)


def _judge(
    rows: pl.DataFrame,
    plan: ColumnPlan,
    ids: Sequence[PlannedColumn],
    no_scores: npt.NDArray[np.bool_],
    headings: Mapping[str, set[str]],
) -> list[str | None]:
    """Give the code of each suspicious row, None for a row that is a candidate's after all."""
    words = set(vocabulary().words("summary_rows", "first_cell_or_name"))
    places = {name: place for place, name in enumerate(rows.columns)}
    headers = {places[column.source]: headings[column.source] - {""} for column in plan.columns}
    id_places = [places[column.source] for column in ids]
    names = [places[column.source] for column in plan.columns if column.role == "field" and column.key in ("name", *_NAMING)]
    others = [place for place in headers if place not in id_places and place not in names]
    codes: list[str | None] = []
    for row, blank_scores in zip(rows.iter_rows(), no_scores, strict=True):
        cells = [(value or "").strip() for value in row]
        filled = [cell for cell in cells if cell]
        first = next(iter(filled), "")
        id_cells = [cells[place] for place in id_places if cells[place]]
        no_id = all(cell in words or _SUMMARY.search(cell) for cell in id_cells)
        told = any(_SUMMARY.search(cells[place]) for place in (*id_places, *names))
        if not filled:
            codes.append("blank_row")
        elif sum(cells[place] in written for place, written in headers.items()) >= max(2, len(headers) // 2):
            codes.append("repeated_header")
        elif told or (no_id and (id_cells or first in words or any(cells[place] in words for place in names))):
            codes.append("summary_row")
        elif blank_scores and _is_note(cells, first, id_cells) and not any(cells[place] for place in others):
            codes.append("note_row")
        else:
            codes.append(None if id_cells else "missing_id")
    return codes


_NAMING = ("school", "admin_class", "township", "track")


def _is_note(cells: Sequence[str], first: str, id_cells: Sequence[str]) -> bool:
    """A note starts with a known word, stands (almost) alone in its row or is spread over it, and no id stands beside it."""
    prefixes = vocabulary().words("summary_rows", "footer_prefixes")
    alone = all(cell in ("", first) for cell in cells) or sum(bool(cell) for cell in cells) <= 2
    return alone and first.startswith(prefixes) and all(cell.startswith(prefixes) for cell in id_cells)


def bin_cells(
    bins: RowBins, grid: CellGrid, columns: Sequence[PlannedColumn], problems: dict[str, npt.NDArray[np.uint8]]
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Reject rows of pupils who have left, then rows with a score that is none; the first column that has one gives the code.

    Parameters
    ----------
    bins
        Gets the rejected rows.
    grid, columns
        The score columns.
    problems
        Per column, what is the matter with each text (see `eduq.intake.cells`).

    Returns
    -------
    tuple of numpy.ndarray
        Which rows go on; which belong to pupils who have left.

    Raises
    ------
    DataFileError
        ``fraction_column``.
    """
    good = np.ones(grid.height, dtype=bool)
    left = np.zeros(grid.height, dtype=bool)
    for column in columns:
        _refuse_fractions(bins, grid, column, problems[column.source])
    for found in ((LEFT,), tuple(problem for problem in REJECT_CODES if problem != LEFT)):
        for column in columns:
            codes = grid.codes[column.source]
            cells = problems[column.source][codes]
            for problem in found if (cells > SYMBOL).any() else ():
                bad = (cells == problem) & good
                if bad.any():
                    bins.reject(bad, REJECT_CODES[problem], column.written, [grid.table.tokens[place] for place in codes[bad]])
                    good &= ~bad
                    left |= bad & (problem == LEFT)
    bins.keep(good)
    return good, left


def _refuse_fractions(bins: RowBins, grid: CellGrid, column: PlannedColumn, problems: npt.NDArray[np.uint8]) -> None:
    """Cells such as 10/12 throughout a column are a way of writing scores that a layout must state, not rows to reject."""
    cells = problems[grid.codes[column.source]]
    n = int((cells == FRACTION).sum())
    if n and n > _FRACTION_SHARE * int((~grid.blank(column.source)).sum()):
        raise DataFileError("fraction_column", Place(bins.file, bins.sheet, column=column.written), n=n)
