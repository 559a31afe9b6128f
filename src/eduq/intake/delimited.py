"""Text tables: encoding, delimiter, and the body in one pass."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import polars as pl

from eduq.errors import DataFileError, Place
from eduq.intake.files import SourceFile, decode_text
from eduq.intake.headers import HEAD_ROWS, words_understood
from eduq.intake.limits import MAX_COLUMNS, MAX_LINE_BYTES, too_large

__all__ = ["DELIMITERS", "TextTable", "open_text", "trim_tail"]

DELIMITERS = (",", "\t", ";", "|", "，")
_MAX_FIELD = 1 << 20
_FILLED = re.compile(rb"\S")


@dataclass(frozen=True)
class TextTable:
    """A text file as a table: first rows, a loader of the body, the encoding."""

    head: list[list[str]]
    body: Callable[[int, int], pl.DataFrame]
    encoding: str


def trim_tail(frame: pl.DataFrame) -> pl.DataFrame:
    """Drop blank rows at the end of a sheet."""
    if frame.height == 0 or any(value and value.strip() for value in frame.row(-1)):
        return frame
    filled = frame.select(pl.any_horizontal(pl.all().str.strip_chars().str.len_bytes().fill_null(0) > 0)).to_series()
    used = filled.arg_true()
    return frame.head(int(used[-1]) + 1 if len(used) else 0)


def _split_records(data: bytes, limit: int) -> tuple[list[str], list[int]]:
    """Return the first records (a quoted cell may hold line ends) and the byte after each; none beyond one that is too long."""
    records: list[str] = []
    ends: list[int] = []
    start = position = 0
    while len(records) < limit and position < len(data):
        newline = data.find(b"\n", position)
        position = len(data) if newline < 0 else newline + 1
        if data.count(b'"', start, position) % 2 and position < len(data) and position - start < _MAX_FIELD:
            continue
        if position - start > MAX_LINE_BYTES:
            break
        records.append(data[start:position].decode("utf-8").rstrip("\r\n"))
        ends.append(position)
        start = position
    return records, ends


def _cells(record: str, delimiter: str) -> list[str]:
    try:
        return [cell.strip() for row in csv.reader(io.StringIO(record, newline=""), delimiter=delimiter) for cell in row]
    except csv.Error:
        return []


def _without_blank_columns(head: list[list[str]]) -> list[list[str]]:
    """Cut off the columns at the right that are blank in all first rows."""
    used = max((place for row in head for place, cell in enumerate(row, 1) if cell), default=0)
    return [row[:used] for row in head]


def open_text(source: SourceFile, known: Sequence[str] = ()) -> TextTable:
    """Open a text file as a table.

    The delimiter is the one under which the header is understood best, so it is decided by the file, not guessed.

    Raises
    ------
    DataFileError
        ``encoding_unknown``, ``no_header``, ``file_too_large``; while the body is read ``row_too_long``, ``quotes_unbalanced``.
    """
    data, encoding = decode_text(source.data, source.place)
    if b"\n" not in data and b"\r" in data:
        data = data.replace(b"\r", b"\n")
    records, ends = _split_records(data, HEAD_ROWS)
    if not records and data:
        raise too_large(source.place, "line", MAX_LINE_BYTES, len(data) if b"\n" not in data else data.index(b"\n"))
    best, chosen = 0, None
    for delimiter in DELIMITERS:
        if not any(delimiter in record for record in records):
            continue
        head = _without_blank_columns([_cells(record, delimiter) for record in records])
        hits = words_understood(head, known)
        if hits > best:
            best, chosen = hits, delimiter
    if chosen is None:
        raise DataFileError("no_header", source.place)
    head = [_cells(record, chosen) for record in records]
    widest = max(len(row) for row in head)
    if widest > MAX_COLUMNS:
        raise too_large(source.place, "columns", MAX_COLUMNS, widest)
    head = _without_blank_columns(head)

    def body(start: int, width: int) -> pl.DataFrame:
        offset = ends[start - 1] if 0 < start <= len(ends) else 0 if start == 0 else len(data)
        frame = _read_body(source, data, offset, start, chosen, max(widest, width))
        return trim_tail(_drop_beyond(source, frame, start, width))

    return TextTable(head, body, encoding)


def _read_body(source: SourceFile, data: bytes, offset: int, start: int, delimiter: str, width: int) -> pl.DataFrame:
    names = [f"c{place}" for place in range(width)]
    schema: dict[str, pl.DataType] = {name: pl.String() for name in names}
    if _FILLED.search(data, offset) is None:
        return pl.DataFrame(schema=schema)
    if len(delimiter.encode()) == 1:
        text = delimiter.join(names).encode() + b"\n" + memoryview(data)[offset:]
        try:
            frame = pl.read_csv(text, schema=schema, separator=delimiter)
        except pl.exceptions.PolarsError:
            frame = _read_slowly(source, data[offset:], start, delimiter, width)
    else:
        frame = _read_slowly(source, data[offset:], start, delimiter, width)
    return frame


def _drop_beyond(source: SourceFile, frame: pl.DataFrame, start: int, width: int) -> pl.DataFrame:
    """Drop blank columns to the right of the header; a filled cell there belongs to no column, so its row is named."""
    for name in frame.columns[width:]:
        rows = (frame.get_column(name).str.strip_chars().str.len_bytes() > 0).arg_true()
        if len(rows):
            n = max(place + 1 for place, cell in enumerate(frame.row(int(rows[0]))) if cell)
            raise DataFileError("row_too_long", Place(file=source.name, row=start + int(rows[0]) + 1), n=n, expected=width)
    return frame[:, :width]


def _read_slowly(source: SourceFile, data: bytes, start: int, delimiter: str, width: int) -> pl.DataFrame:
    """Read row by row: takes blank cells beyond the header, names the row that has too many cells or an open quote."""
    reader = csv.reader(io.StringIO(data.decode("utf-8"), newline=""), delimiter=delimiter, strict=True)
    rows: list[list[str]] = []
    number = start
    try:
        for row in reader:
            number += 1
            if any(cell.strip() for cell in row[width:]):
                raise DataFileError("row_too_long", Place(file=source.name, row=number), n=len(row), expected=width)
            rows.append([*row[:width], *[""] * (width - len(row))])
    except csv.Error:
        raise DataFileError("quotes_unbalanced", Place(file=source.name, row=number + 1)) from None
    return pl.DataFrame(rows, schema={f"c{place}": pl.String() for place in range(width)}, orient="row")
