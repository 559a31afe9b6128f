"""One register file: its columns under their own names, and cells as typed values, with the place of what is not understood."""

from __future__ import annotations

import datetime as dt
import io
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import polars as pl

from eduq.errors import Place, SettingsError
from eduq.intake.synonyms import normalise_header
from eduq.resources import read_toml

__all__ = ["RegisterFile", "read_file"]

_OF_FIELD = {
    "school_code": "school_id", "school": "name", "location_type": "area_type", "school_kind": "kind",
    "admin_class": "class_id", "subject_long": "subject", "teacher": "name",
}  # fmt: skip
_FIRST_ROW = 2
Value = TypeVar("Value")


def _canonical(header: str, allowed: Collection[str]) -> str | None:
    """Return the register column a header stands for: its own name, a register word or a field of the synonym file."""
    plain, _ = normalise_header(header)
    if plain in allowed:
        return plain
    synonyms = read_toml("intake", "header_synonyms.toml")
    for name, words in synonyms["register_fields"].items():
        if plain in words and name in allowed:
            return str(name)
    for name, entry in synonyms["fields"].items():
        if plain in [*entry.get("seen", []), *entry.get("extra", [])]:
            column = _OF_FIELD.get(name, name)
            return column if column in allowed else None
    return None


@dataclass(frozen=True)
class RegisterFile:
    """A register as text: blank cells are null, columns bear their own names.

    Attributes
    ----------
    name
        Base name of the file.
    table
        Every column the register can have, String.
    """

    name: str
    table: pl.DataFrame

    def place(self, row: int, column: str | None) -> Place:
        """Return where a cell stands, its row counted as a spreadsheet does."""
        return Place(self.name, row=row + _FIRST_ROW, column=column)

    def refuse(self, code: str, row: int, column: str | None, **params: object) -> NoReturn:
        """Raise a SettingsError at a cell."""
        raise SettingsError(code, self.place(row, column), **params)

    def parse(self, column: str, convert: Callable[[str], Value | None], code: str, **params: object) -> list[Value | None]:
        """Return a column's values; a cell that `convert` gives no value for is an error with its text."""
        known: dict[str, Value | None] = {}
        values: list[Value | None] = []
        for row, cell in enumerate(self.table[column]):
            if cell is None:
                values.append(None)
                continue
            if cell not in known:
                known[cell] = convert(cell)
            if known[cell] is None:
                self.refuse(code, row, column, value=cell, **params)
            values.append(known[cell])
        return values

    def words(self, column: str, meanings: Mapping[str, Value]) -> list[Value | None]:
        """Return what the words of a column mean; another word is an error that lists those there are."""
        return self.parse(column, meanings.get, "register_value", known=", ".join(meanings))

    def dates(self, column: str) -> pl.Series:
        """Return a column of dates written as 2024-09-01."""
        return pl.Series(column, self.parse(column, _date, "register_date"), dtype=pl.Date)

    def numbers(self, column: str, *, low: float = -math.inf, high: float = math.inf) -> pl.Series:
        """Return a column of numbers within bounds; ``68%`` is .68."""

        def convert(cell: str) -> float | None:
            number = _number(cell)
            return number if number is not None and low <= number <= high else None

        return pl.Series(
            column, self.parse(column, convert, "register_number", low=f"{low:g}", high=f"{high:g}"), dtype=pl.Float64
        )

    def known(self, column: str, ids: Collection[str], *, register: str) -> None:
        """Refuse an id that another register does not have."""
        for row, cell in enumerate(self.table[column]):
            if cell is not None and cell not in ids:
                self.refuse("register_id_unknown", row, column, value=cell, register=register)

    def in_order(self, first: str, last: str) -> None:
        """Refuse a last day before the first; both columns are ISO dates already checked."""
        for row, (start, end) in enumerate(zip(self.table[first], self.table[last], strict=True)):
            if start is not None and end is not None and end < start:
                self.refuse("register_dates_reversed", row, last, first=start, last=end)

    def lists(self, column: str) -> list[list[str]]:
        """Return a column of lists (``;`` between entries); blank is an empty list."""
        return [_split(cell) for cell in self.table[column]]

    def distinct(self, column: str, code: str) -> None:
        """Refuse a value that stands twice, at the first of its rows."""
        row = self.table[column].is_duplicated().arg_true()
        if len(row):
            self.refuse(code, int(row[0]), column, value=self.table[column][int(row[0])])


def _split(cell: str | None) -> list[str]:
    return [part.strip() for part in (cell or "").replace("；", ";").split(";") if part.strip()]


def _date(cell: str) -> dt.date | None:
    try:
        return dt.date.fromisoformat(cell) if len(cell) == len("2024-09-01") else None
    except ValueError:
        return None


def _number(cell: str) -> float | None:
    text, scale = (cell[:-1], 100.0) if cell.endswith(("%", "％")) else (cell, 1.0)
    try:
        number = float(text) / scale
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _rows(path: Path) -> pl.DataFrame:
    try:
        content = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise SettingsError("settings_encoding", Place(file=path.name)) from None
    try:
        return pl.read_csv(io.StringIO(content), infer_schema=False)
    except pl.exceptions.PolarsError:
        raise SettingsError("register_unreadable", Place(file=path.name)) from None


def read_file(path: Path, columns: Mapping[str, Any], required: Sequence[str]) -> RegisterFile:
    """Read one register as text.

    Parameters
    ----------
    path
        UTF-8 CSV, with or without a byte order mark.
    columns
        The columns it may have, in their order.
    required
        Those it must have, without a blank cell.

    Raises
    ------
    SettingsError
        ``settings_encoding``, ``register_unreadable``, ``register_column_unknown``, ``register_column_twice``,
        ``register_column_missing`` or ``register_blank``.
    """
    raw = _rows(path)
    names = {header: _canonical(header, columns) for header in raw.columns}
    for header, name in names.items():
        if name is None:
            place = Place(path.name, column=header)
            raise SettingsError("register_column_unknown", place, column=header, known=", ".join(columns))
    given = [name for name in names.values() if name]
    place = Place(file=path.name)
    twice = next((name for name in given if given.count(name) > 1), None)
    if twice:
        raise SettingsError("register_column_twice", place, column=twice)
    for name in required:
        if name not in given:
            raise SettingsError("register_column_missing", place, column=name)
    table = raw.rename({header: name for header, name in names.items() if name}).with_columns(pl.all().str.strip_chars())
    table = table.with_columns(pl.when(pl.all() != "").then(pl.all()))
    table = table.with_columns([pl.lit(None, dtype=pl.String).alias(name) for name in columns if name not in table.columns])
    found = RegisterFile(path.name, table.select(list(columns)))
    for name in required:
        blank = found.table[name].is_null().arg_true()
        if len(blank):
            found.refuse("register_blank", int(blank[0]), name)
    return found
