"""Collects what intake recognised, dropped knowingly, assumed or found odd."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import polars as pl

from eduq.tables import CHECKS

__all__ = ["COLUMNS", "SHEETS", "CheckList"]

COLUMNS: dict[str, pl.DataType] = {
    "file": pl.String(),
    "sheet": pl.String(),
    "column": pl.String(),
    "became": pl.String(),
}
"""What became of the columns that are used: a field, a paper code (with ``_scaled``, ``_class``) or ``sub_<name>``."""
SHEETS: dict[str, pl.DataType] = {
    "file": pl.String(),
    "sheet": pl.String(),
    "header_from": pl.Int64(),
    "header_to": pl.Int64(),
    "rows": pl.Int64(),
}
"""The sheets that are read: rows of the header as a spreadsheet counts them, and how many rows lie below it."""

Level = Literal["info", "notice", "warning"]


@dataclass
class CheckList:
    """Lines of the checks frame, in the order found."""

    _lines: list[dict[str, object]] = field(default_factory=list)
    _used: list[tuple[str, str | None, str, str]] = field(default_factory=list)
    _sheets: list[tuple[str, str | None, int, int, int]] = field(default_factory=list)

    def add(
        self,
        code: str,
        level: Level,
        *,
        file: str | None = None,
        sheet: str | None = None,
        row: int | None = None,
        column: str | None = None,
        found: str | None = None,
        n: int | None = None,
    ) -> None:
        """Add one line; ``found`` is a header, symbol or setting, never a pupil's value."""
        self._lines.append(
            {"code": code, "level": level, "file": file, "sheet": sheet, "row": row, "column": column, "found": found, "n": n}
        )

    def use(self, file: str, sheet: str | None, column: str, became: str) -> None:
        """Note what a column that is used becomes."""
        self._used.append((file, sheet, column, became))

    def columns(self) -> pl.DataFrame:
        """Return the used columns as `COLUMNS`, in the order met."""
        return pl.DataFrame(self._used, schema=COLUMNS, orient="row")

    def read(self, file: str, sheet: str | None, header_from: int, header_to: int, rows: int) -> None:
        """Note where the header of a sheet stands and how many rows lie below it."""
        self._sheets.append((file, sheet, header_from, header_to, rows))

    def sheets(self) -> pl.DataFrame:
        """Return the sheets that were read as `SHEETS`, in the order met."""
        return pl.DataFrame(self._sheets, schema=SHEETS, orient="row")

    def frame(self) -> pl.DataFrame:
        """Return the lines as `eduq.tables.CHECKS`."""
        return pl.DataFrame(self._lines, schema=CHECKS, orient="row")
