"""A worksheet whose body is a whole frame.

Cell by cell, 2,000 schools × 10 papers (about 900,000 cells) take xlsxwriter some four seconds; here the rows are put
together column-wise and handed to the worksheet as text, in a fraction of that. Everything else is xlsxwriter's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
from xlsxwriter.format import Format
from xlsxwriter.utility import xl_col_to_name
from xlsxwriter.worksheet import Worksheet

__all__ = ["FrameSheet", "SheetColumn"]

_CHUNK = 20_000
_CONTROL = "[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]"


@dataclass(frozen=True)
class SheetColumn:
    """A column of a sheet: column of the frame, head, number format (None for text) and width in characters."""

    name: str
    head: str
    format: Format | None = None
    width: float = 11


def _text_cell(name: str) -> pl.Expr:
    shown = pl.col(name).cast(pl.String).str.replace_all(_CONTROL, "")
    for sign, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        shown = shown.str.replace_all(sign, entity, literal=True)
    return shown


def _cells(column: SheetColumn, letter: str) -> pl.Expr:
    place = pl.concat_str(pl.lit(f'<c r="{letter}'), pl.col("_row"))
    if column.format is None:
        whole = pl.concat_str(
            place, pl.lit('" t="inlineStr"><is><t xml:space="preserve">'), _text_cell(column.name), pl.lit("</t></is></c>")
        )
    else:
        style = column.format._get_xf_index()
        whole = pl.concat_str(place, pl.lit(f'" s="{style}"><v>'), pl.col(column.name).cast(pl.String), pl.lit("</v></c>"))
    return whole.fill_null("").alias(letter)


class FrameSheet(Worksheet):  # type: ignore[misc]
    """An xlsxwriter worksheet with a frozen head, a filter and a frame below it; texts stay texts, whatever they begin with."""

    def __init__(self) -> None:
        super().__init__()
        self.dim_rowmax: int
        self._frame = pl.DataFrame()
        self._columns: Sequence[SheetColumn] = ()

    def set_frame(self, frame: pl.DataFrame, columns: Sequence[SheetColumn], head: Format, *, fixed: int) -> None:
        """Write the head and keep the frame for the body.

        Parameters
        ----------
        frame
            Has every column named; numbers may be null, which leaves the cell empty.
        columns
            What is shown, in order.
        head
            Format of the head.
        fixed
            Number of columns that stay when the sheet is scrolled.
        """
        self._columns = columns
        finite = [
            pl.when(pl.col(name).is_finite()).then(pl.col(name).round(6))
            for name, kind in frame.schema.items()
            if kind.is_float()
        ]
        self._frame = frame.with_columns(finite)
        for number, column in enumerate(columns):
            self.write_string(0, number, column.head, head)
            self.set_column(number, number, column.width)
        self.freeze_panes(1, fixed)
        self.autofilter(0, 0, max(len(frame), 1), len(columns) - 1)

    def _write_dimension(self) -> None:
        head = self.dim_rowmax
        self.dim_rowmax = len(self._frame)
        super()._write_dimension()
        self.dim_rowmax = head

    def _write_rows(self) -> None:
        super()._write_rows()
        letters = [xl_col_to_name(number) for number in range(len(self._columns))]
        for start in range(0, len(self._frame), _CHUNK):
            part = (
                self._frame.slice(start, _CHUNK)
                .with_row_index("_row", offset=start + 2)
                .with_columns(pl.col("_row").cast(pl.String))
            )
            cells: list[Any] = [_cells(column, letter) for column, letter in zip(self._columns, letters, strict=True)]
            lines = part.select("_row", *cells).select(
                pl.concat_str(
                    pl.lit('<row r="'), pl.col("_row"), pl.lit('">'), *(pl.col(letter) for letter in letters), pl.lit("</row>")
                ).alias("line")
            )
            self.fh.write(lines["line"].str.join("").item())
