"""One sheet, from rows of text to scores: what `eduq.intake.assemble` joins into a ScoreTable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from eduq.errors import DataFileError, Place
from eduq.intake.cells import BLANK, SYMBOL, CellGrid, SymbolReader, read_cells, status_series
from eduq.intake.checks import CheckList
from eduq.intake.columns import ID_FIELDS, TOTAL, ColumnPlan, PlannedColumn
from eduq.intake.headers import Header
from eduq.intake.readers import ItemBlock, RawSheet
from eduq.intake.rows import RejectList, RowBins, bin_cells, bin_structure, is_blank
from eduq.intake.synonyms import vocabulary
from eduq.tables import status_column

__all__ = ["OWN_IDS", "PaperLimits", "Part", "Places", "UnknownSymbol", "read_part"]

Places = Literal["needed", "elsewhere", "one_school"]
"""Whether rows need a school: yes; another file may have it; no, the exam is one school's."""
OWN_IDS = ("student_uid", "exam_no")
"""Ids that name a candidate without the school."""
_MANY_WITHOUT_SCHOOL, _MOST_WITHOUT_SCHOOL = 10, 0.2
PaperLimits = dict[str, tuple[int | None, int | None]]
"""Paper code to full mark and score step in hundredths, None where not known."""


@dataclass(frozen=True)
class UnknownSymbol:
    """A cell text nobody has explained: how often it stands in a paper, and where first."""

    symbol: str
    paper: str
    n: int
    place: Place


@dataclass
class Part:
    """The rows of one sheet that can still be used.

    Attributes
    ----------
    file, sheet
        Where they are from.
    frame
        row_no, ids under their field names (``name`` only where it must serve as id), places and groups as text,
        per paper score, status, scaled score, teaching class.
    papers
        Paper codes in the order of the sheet; a paper blank in every row is not among them.
    rows
        Number of rows below the header.
    titles
        Texts above the header.
    id_kinds
        Id columns it has, the best first.
    headers
        The papers' columns as written.
    spoilt
        Ids and places of rows rejected for a score that is none: another row of the same candidate contradicts them.
    items
        What its candidates got in single items.
    speaks_of
        Its text columns that are filled in some row; the others say nothing.
    """

    file: str
    sheet: str | None
    frame: pl.DataFrame
    papers: list[str]
    rows: int
    titles: tuple[str, ...] = ()
    id_kinds: tuple[str, ...] = ()
    headers: dict[str, str] = field(default_factory=dict)
    spoilt: pl.DataFrame = field(default_factory=pl.DataFrame)
    items: ItemBlock | None = None
    speaks_of: frozenset[str] = frozenset()


@dataclass
class _Work:
    sheet: RawSheet
    plan: ColumnPlan
    bins: RowBins
    checks: CheckList

    def note(self, code: str, level: str, column: str | None = None, found: str | None = None, n: int | None = None) -> None:
        self.checks.add(code, level, file=self.sheet.file, sheet=self.sheet.sheet, column=column, found=found, n=n)  # type: ignore[arg-type]


def read_part(
    sheet: RawSheet,
    header: Header,
    body: pl.DataFrame,
    plan: ColumnPlan,
    limits: PaperLimits,
    reader: SymbolReader,
    places: Places,
    checks: CheckList,
    rejects: RejectList,
) -> tuple[Part, list[UnknownSymbol]]:
    """Read one sheet; also return the symbols nobody has explained.

    Parameters
    ----------
    sheet, header, body, plan
        The sheet, its header, its rows and what its columns are.
    limits
        Full mark and score step of the papers.
    reader
        Says what each cell text means.
    places
        Whether rows need a school.
    checks, rejects
        Get what was found.
    """
    numbers = sheet.row_numbers(header.first + header.depth, body.height)
    work = _Work(sheet, plan, RowBins(sheet.file, sheet.sheet, numbers, rejects), checks)
    ids = _id_columns(work, body)
    graded = [*plan.all("score"), *plan.all("scaled")]
    grid = read_cells(body, [column.source for column in graded], reader)
    texts = body.select(pl.col(column.source).str.strip_chars().alias(column.key) for column in _text_columns(plan, ids))
    lines = sheet.head[header.first : header.first + header.depth]
    headings = {f"c{place}": {line[place] for line in lines if place < len(line)} for place in _places(body)}
    good = bin_structure(work.bins, body, texts, plan, ids, grid, headings)
    grid = grid.keep(good)
    texts = texts if good.all() else texts.filter(pl.Series(good))
    for rule in (_drop_not_counted, _drop_without_school):
        good = rule(work, texts, places)
        if not good.all():
            texts, grid = texts.filter(pl.Series(good)), grid.keep(good)
            work.bins.keep(good)
    papers = _filled_papers(work, grid)
    problems = {column.source: grid.table.problems_under(*limits.get(column.key, (None, None))) for column in papers}
    good, left = bin_cells(work.bins, grid, papers, problems)
    spoilt = texts.filter(pl.Series(~good & ~left))
    grid, texts = grid.keep(good), texts if good.all() else texts.filter(pl.Series(good))
    unknown = [symbol for column in papers for symbol in _unknown_symbols(work, grid, column, problems[column.source])]
    part = Part(
        file=sheet.file,
        sheet=sheet.sheet,
        frame=pl.DataFrame([*_score_frame(work, grid, papers), *texts.get_columns()]),
        papers=[column.key for column in papers],
        rows=_count_rows(sheet, body),
        titles=header.titles,
        id_kinds=tuple(column.key for column in ids),
        headers={column.key: column.written for column in papers},
        spoilt=spoilt,
        items=sheet.items,
        speaks_of=frozenset(column.name for column in texts if not is_blank(column).all()),
    )
    return part, unknown


def _count_rows(sheet: RawSheet, body: pl.DataFrame) -> int:
    """Return how many rows of the file (columns of a turned sheet) stand below the header."""
    own = body.height if sheet.sources is None else int(sheet.sources.get_column("rows").list.len().sum())
    return own + sum(len(one.numbers) for one in sheet.refused)


def _places(body: pl.DataFrame) -> list[int]:
    return [int(name.removeprefix("c")) for name in body.columns]


def _id_columns(work: _Work, body: pl.DataFrame) -> list[PlannedColumn]:
    """Return the filled id columns, the best first; the name where there is none."""
    found = []
    for key in ID_FIELDS:
        column = work.plan.find("field", key)
        if column is None:
            continue
        if not (body.get_column(column.source).str.strip_chars() != "").any():
            work.note("id_column_blank", "notice", column.written, column.written)
        else:
            found.append(column)
    name = work.plan.find("field", "name")
    if not found and name is not None:
        found.append(name)
    if not found:
        raise DataFileError("no_id_column", work.sheet.place)
    return found


def _text_columns(plan: ColumnPlan, ids: Sequence[PlannedColumn]) -> list[PlannedColumn]:
    used = [column for column in plan.all("field") if column in ids or column.key not in (*ID_FIELDS, "name")]
    classes = [PlannedColumn(column.position, column.written, "class", f"{column.key}_class") for column in plan.all("class")]
    return [*used, *plan.all("subgroup"), *classes]


def _drop_not_counted(work: _Work, texts: pl.DataFrame, places: Places) -> npt.NDArray[np.bool_]:
    good = np.ones(texts.height, dtype=bool)
    column = work.plan.find("field", "counted")
    if column is None:
        return good
    flags = vocabulary().raw["flags"]
    text = texts.get_column("counted").fill_null("").str.to_lowercase()
    known = {*flags["true_values"], *flags["false_values"], ""}
    for value in text.unique().sort():
        if value not in known:
            raise DataFileError("flag_unknown", Place(work.sheet.file, work.sheet.sheet, column=column.written), value=value)
    blank = int((text == "").sum())
    if blank and blank < texts.height:
        work.note("counted_blank", "notice", column.written, column.written, blank)
    excluded = text.is_in([value for value in flags["false_values"] if value]).to_numpy()
    work.bins.reject(excluded, "not_counted", column.written)
    return ~excluded


def _drop_without_school(work: _Work, texts: pl.DataFrame, places: Places) -> npt.NDArray[np.bool_]:
    columns = [column for key in ("school_code", "school") if (column := work.plan.find("field", key)) is not None]
    elsewhere = places == "elsewhere" and not columns and any(kind in texts.columns for kind in OWN_IDS)
    if places == "one_school" or elsewhere:
        return np.ones(texts.height, dtype=bool)
    missing = np.ones(texts.height, dtype=bool)
    for column in columns:
        missing &= is_blank(texts.get_column(column.key)).to_numpy()
    if missing.all() and (texts.height or not columns):
        raise DataFileError("no_school_column", work.sheet.place)
    if missing.sum() >= max(_MANY_WITHOUT_SCHOOL, _MOST_WITHOUT_SCHOOL * texts.height):
        raise DataFileError(
            "school_mostly_blank", Place(work.sheet.file, work.sheet.sheet, column=columns[-1].written), n=int(missing.sum())
        )
    work.bins.reject(missing, "missing_school", columns[-1].written)
    return ~missing


def _filled_papers(work: _Work, grid: CellGrid) -> list[PlannedColumn]:
    """Return the papers of the sheet: columns with any content; the total only where nothing else is there."""
    scores = work.plan.all("score")
    filled = [column for column in scores if not grid.height or not grid.blank(column.source).all()]
    for column in scores:
        if column not in filled:
            work.note("no_such_paper", "notice", column.written, column.key)
    return [column for column in filled if column.key != TOTAL] or filled


def _score_frame(work: _Work, grid: CellGrid, papers: Sequence[PlannedColumn]) -> list[pl.Series]:
    """Turn the grid into score and status columns; a total beside other papers is compared and dropped."""
    made = [pl.Series("row_no", work.bins.numbers, dtype=pl.Int64)]
    for column in papers:
        made += _score_columns(column.key, grid, grid.codes[column.source])
    for column in work.plan.all("scaled"):
        if column.key in {paper.key for paper in papers}:
            made.append(_numbers(f"{column.key}_scaled", grid, grid.codes[column.source]))
            unread = int((grid.table.problems[grid.codes[column.source]] > BLANK).sum())
            if unread:
                work.note("scaled_unread", "notice", column.written, column.written, unread)
        elif not grid.blank(column.source).all():
            place = Place(work.sheet.file, work.sheet.sheet, column=column.written)
            raise DataFileError("scaled_without_score", place, key=column.key)
    total = work.plan.find("score", TOTAL)
    if total is not None and total not in papers:
        _compare_total(work, grid, papers, total)
    return made


def _numbers(name: str, grid: CellGrid, codes: npt.NDArray[np.uint32]) -> pl.Series:
    table = pl.Series(name, grid.table.values, dtype=pl.Int32)
    return table.set(table < 0, None).gather(pl.Series(codes))


def _score_columns(code: str, grid: CellGrid, codes: npt.NDArray[np.uint32]) -> list[pl.Series]:
    return [_numbers(code, grid, codes), status_series(status_column(code), grid.table.statuses).gather(pl.Series(codes))]


def _unknown_symbols(work: _Work, grid: CellGrid, column: PlannedColumn, problems: npt.NDArray[np.uint8]) -> list[UnknownSymbol]:
    codes = grid.codes[column.source]
    asked = (problems == BLANK) | (problems == SYMBOL)
    if not asked[codes].any():
        return []
    found = []
    for place in np.flatnonzero(asked):
        rows = np.flatnonzero(codes == place)
        if len(rows):
            where = work.sheet.cell_place(int(work.bins.numbers[rows[0]]), column.position, column.written)
            found.append(UnknownSymbol(grid.table.tokens[place].strip(), column.key, len(rows), where))
    return found


def _compare_total(work: _Work, grid: CellGrid, papers: Sequence[PlannedColumn], total: PlannedColumn) -> None:
    """Compare the total column with its parts, as raw scores and with scaled scores in their place; then it is dropped."""
    stated = grid.table.values[grid.codes[total.source]]
    raw = np.zeros(grid.height, dtype=np.int64)
    scaled = np.zeros(grid.height, dtype=np.int64)
    for column in papers:
        value = np.maximum(grid.table.values[grid.codes[column.source]], 0)
        raw += value
        other = work.plan.find("scaled", column.key)
        scaled += value if other is None else np.maximum(grid.table.values[grid.codes[other.source]], 0)
    wrong = (stated >= 0) & (stated != raw) & (stated != scaled)
    row = int(work.bins.numbers[np.argmax(wrong)]) if wrong.any() else None
    work.checks.add(
        "total_mismatch" if wrong.any() else "total_checked",
        "warning" if wrong.any() else "info",
        file=work.sheet.file,
        sheet=work.sheet.sheet,
        row=row,
        column=total.written,
        found=total.written,
        n=int(wrong.sum()) if wrong.any() else int((stated >= 0).sum()),
    )
