"""Cells of score columns: text to hundredths and status.

The few different texts of a sheet are read one by one, strictly and exactly; the rows only look them up.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import numpy.typing as npt
import polars as pl

from eduq.intake.synonyms import vocabulary
from eduq.tables import STATUS_TYPE, STATUSES

__all__ = [
    "ABOVE_MAX",
    "BLANK",
    "CELL_ERROR",
    "CELL_ERRORS",
    "DATE",
    "FINE",
    "FORMULA_WITHOUT_VALUE",
    "FRACTION",
    "LEFT",
    "NEGATIVE",
    "NOT_NUMBER",
    "NO_PAPER",
    "NO_VALUE",
    "OFF_HUNDREDTH",
    "REJECT_CODES",
    "REMARK",
    "SYMBOL",
    "CellGrid",
    "SymbolReader",
    "TokenTable",
    "read_cells",
]

FINE, BLANK, SYMBOL, LEFT, NOT_NUMBER, NEGATIVE, OFF_HUNDREDTH, ABOVE_MAX = range(8)
CELL_ERROR, NO_VALUE, DATE, FRACTION, REMARK = range(8, 13)
"""What is the matter with a cell: nothing; blank or a symbol nobody has explained; the pupil has left; it is no usable score."""
REJECT_CODES = {
    LEFT: "left_school",
    NOT_NUMBER: "score_not_a_number",
    NEGATIVE: "score_negative",
    OFF_HUNDREDTH: "score_off_step",
    ABOVE_MAX: "score_above_max",
    CELL_ERROR: "cell_error",
    NO_VALUE: "formula_without_value",
    DATE: "score_is_a_date",
    FRACTION: "score_is_a_fraction",
    REMARK: "score_with_remark",
}
CELL_ERRORS = (
    "#N/A",
    "#DIV/0!",
    "#NAME?",
    "#NULL!",
    "#NUM!",
    "#REF!",
    "#VALUE!",
    "#GETTING_DATA",
    "#SPILL!",
    "#CALC!",
    "#FIELD!",
)
"""What a spreadsheet shows in the cell of a formula that failed."""
NO_PAPER = "\ue000"
"""Stands in a cell that a shape made where the file has none: the row has no such paper."""
FORMULA_WITHOUT_VALUE = "#FORMULA?"
"""What stands for a formula whose result was not stored in the file."""
PRESENT = STATUSES.index("present")
NO_STATUS = len(STATUSES)

_NUMBER = re.compile(r"[+-]?(?:\d{1,6}(?:\.\d+)?|\.\d+)")
_TAIL = re.compile(r"[，,;；（(\s]")
_INVISIBLE = re.compile(r"[\u200b-\u200f\u2060\ufeff\xad]")
_FRACTION = re.compile(r"(\d{1,4}(?:\.\d{1,2})?)/(\d{1,4}(?:\.\d{1,2})?)")
_MONTHS = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_DATE = re.compile(
    r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}(?:[ t]\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?)?|\d{1,2}:\d{2}(?::\d{2})?|"
    rf"(?:\d{{4}}年)?\d{{1,2}}月(?:\d{{1,2}}日)?|\d{{1,2}}-(?:{_MONTHS})|(?:{_MONTHS})-\d{{1,2}}"
)
_WORD = re.compile(r"[^\W\d_]")
_TOLERANCE = Decimal("1e-6")
_FILLER = 999_00
"""999 stands for something else in some files: it is asked about unless the paper's full mark reaches it."""
_MARKS = {"absent": "absent", "exempt": "exempt", "not_chosen": "not_chosen", "void": "voided", "not_scanned": "not_scanned"}
_MORE_WORDS = {"缓考": "deferred", "未扫": "not_scanned"}


@dataclass(frozen=True)
class Cell:
    """What one text means: hundredths where it is a number, its status, what is the matter, the full mark it names."""

    value: int | None
    status: int
    problem: int
    full: int | None = None


_HALF_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20, 0xA0: 0x20}
"""Full-width forms only: compatibility folding would make 92 of 9² and 12 of ①②."""


def _clean(text: str) -> str:
    plain = text.translate(_HALF_WIDTH)
    return (plain if plain.isascii() else _INVISIBLE.sub("", plain)).strip().strip("'").strip().lower()


def _hundredths(text: str) -> tuple[int, bool] | None:
    """Return a number in hundredths and whether it is exact (float noise of spreadsheets aside); None when it is none."""
    if not _NUMBER.fullmatch(text):
        return None
    exact = Decimal(text) * 100
    rounded = int(exact.to_integral_value())
    return rounded, abs(exact - rounded) < _TOLERANCE


class SymbolReader:
    """Reads one text after another by exam.toml and the known words.

    Parameters
    ----------
    symbols
        ``[symbols]`` of exam.toml: cell text to status; wins over the known words.
    fractions
        ``10/12`` is a score and the full mark; only where a layout says so. Such a full mark must be that of the paper.
    """

    def __init__(self, symbols: dict[str, str], fractions: bool = False) -> None:
        self._fractions = fractions
        self._stated = {_clean(text): STATUSES.index(status) for text, status in symbols.items()}
        self._stated_numbers = {
            found[0]: status for text, status in self._stated.items() if (found := _hundredths(text)) is not None and found[1]
        }
        words = vocabulary()
        self._known: dict[str, int] = {}
        for mark, status in _MARKS.items():
            for word in words.words("marks", mark):
                self._known[_clean(word)] = STATUSES.index(status)
        for word, status in _MORE_WORDS.items():
            self._known[word] = STATUSES.index(status)
        self._left = {_clean(word) for word in words.words("marks", "left")}

    def read(self, text: str) -> Cell:
        """Return what a cell text means."""
        if text == NO_PAPER:
            return Cell(None, NO_STATUS, FINE)
        plain = _clean(text)
        if plain in self._stated:
            return Cell(None, self._stated[plain], FINE)
        if not plain:
            return Cell(None, NO_STATUS, BLANK)
        number = _hundredths(plain)
        if number is not None:
            return self._read_number(plain, *number)
        head = _TAIL.split(plain, maxsplit=1)[0]
        for word in (plain, head):
            if word in self._known:
                return Cell(None, self._known[word], FINE)
            if word in self._left:
                return Cell(None, NO_STATUS, LEFT)
        if head in self._stated and not any(char.isdigit() for char in head):
            return Cell(None, self._stated[head], FINE)
        return self._read_other(plain, head)

    def _read_other(self, plain: str, head: str) -> Cell:
        """Tell apart what is neither a number nor a word."""
        if plain.upper() in CELL_ERRORS:
            return Cell(None, NO_STATUS, CELL_ERROR)
        if plain.upper() == FORMULA_WITHOUT_VALUE:
            return Cell(None, NO_STATUS, NO_VALUE)
        if _DATE.fullmatch(plain):
            return Cell(None, NO_STATUS, DATE)
        if fraction := _FRACTION.fullmatch(plain):
            return self._read_fraction(fraction[1], fraction[2])
        if head != plain and _NUMBER.fullmatch(head) and _WORD.search(plain[len(head) :]):
            return Cell(None, NO_STATUS, REMARK)
        digits = any(char.isdigit() for char in plain)
        return Cell(None, NO_STATUS, NOT_NUMBER if digits else SYMBOL)

    def _read_fraction(self, score: str, full: str) -> Cell:
        if not self._fractions:
            return Cell(None, NO_STATUS, FRACTION)
        value, most = round(Decimal(score) * 100), round(Decimal(full) * 100)
        return Cell(value, PRESENT, FINE, most) if value <= most else Cell(None, NO_STATUS, ABOVE_MAX)

    def _read_number(self, plain: str, value: int, exact: bool) -> Cell:
        if exact and value in self._stated_numbers:
            return Cell(None, self._stated_numbers[value], FINE)
        if value == -100 and exact:
            return Cell(None, NO_STATUS, SYMBOL)
        if value < 0:
            return Cell(None, NO_STATUS, NEGATIVE)
        return Cell(value, PRESENT, FINE) if exact else Cell(None, NO_STATUS, OFF_HUNDREDTH)


@dataclass(frozen=True)
class TokenTable:
    """The different texts of a sheet's score columns; the last entry is the blank.

    ``values`` holds -1 where a text is no score, ``fulls`` -1 where a text names no full mark.
    """

    tokens: list[str]
    values: npt.NDArray[np.int32]
    statuses: npt.NDArray[np.uint8]
    problems: npt.NDArray[np.uint8]
    fulls: npt.NDArray[np.int32]

    def problems_under(self, max_score: int | None, step: int | None) -> npt.NDArray[np.uint8]:
        """Return what is the matter with each text in a paper of this full mark and score step (hundredths)."""
        problems = self.problems.copy()
        if step:
            problems[(self.values > 0) & (self.values % step != 0)] = OFF_HUNDREDTH
        if max_score is None or max_score < _FILLER:
            problems[self.values == _FILLER] = SYMBOL
        if max_score is not None:
            problems[(self.values != _FILLER) & (self.values > max_score)] = ABOVE_MAX
            problems[(self.fulls >= 0) & (self.fulls != max_score)] = FRACTION
        return problems


@dataclass(frozen=True)
class CellGrid:
    """The score columns of a sheet as indices into a table of texts."""

    table: TokenTable
    codes: dict[str, npt.NDArray[np.uint32]]
    height: int

    def blank(self, column: str) -> npt.NDArray[np.bool_]:
        """Return which cells of a column are blank (as text, whatever exam.toml says of blanks)."""
        return self._is_blank()[self.codes[column]]

    def _is_blank(self) -> npt.NDArray[np.bool_]:
        return np.array([not _clean(token) for token in self.table.tokens], dtype=bool)

    def all_blank(self) -> npt.NDArray[np.bool_]:
        """Return which rows are blank in all columns."""
        blank = np.ones(self.height, dtype=bool)
        empty = self._is_blank()
        for codes in self.codes.values():
            blank &= empty[codes]
        return blank

    def keep(self, rows: npt.NDArray[np.bool_]) -> CellGrid:
        """Return the grid of some rows."""
        if rows.all():
            return self
        return CellGrid(self.table, {name: codes[rows] for name, codes in self.codes.items()}, int(rows.sum()))


def read_cells(body: pl.DataFrame, columns: list[str], reader: SymbolReader) -> CellGrid:
    """Read the score columns of a sheet.

    Parameters
    ----------
    body
        Columns of text.
    columns
        Names of the score columns.
    reader
        Says what each different text means.
    """
    shared = pl.Categorical(pl.Categories.random())
    coded = body.select(pl.col(columns).cast(shared))
    met = [coded.get_column(name).unique() for name in columns]
    different = pl.concat([pl.Series([], dtype=shared), *met]).unique().drop_nulls()
    places = different.to_physical().to_list()
    blank = max(places, default=-1) + 1
    tokens = [""] * (blank + 1)
    for place, token in zip(places, different.cast(pl.String).to_list(), strict=True):
        tokens[place] = token
    cells = [reader.read(token) for token in tokens]
    table = TokenTable(
        tokens,
        np.array([-1 if cell.value is None else cell.value for cell in cells], dtype=np.int32),
        np.array([cell.status for cell in cells], dtype=np.uint8),
        np.array([cell.problem for cell in cells], dtype=np.uint8),
        np.array([-1 if cell.full is None else cell.full for cell in cells], dtype=np.int32),
    )
    codes = {name: coded.get_column(name).to_physical().fill_null(blank).rechunk().to_numpy() for name in columns}
    return CellGrid(table, codes, body.height)


def status_series(name: str, indices: npt.NDArray[np.uint8]) -> pl.Series:
    """Return a status column from indices into `eduq.tables.STATUSES`; other indices are null."""
    lookup = pl.Series([*STATUSES, None], dtype=STATUS_TYPE)
    return lookup.gather(pl.Series(indices, dtype=pl.UInt32)).alias(name)
