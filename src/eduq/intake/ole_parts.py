"""What an old workbook (.xls, .et) says before its cells are read: its chains of sectors end, its sheets are not too large.

The reader of cells follows a chain of sectors that leads back into itself for ever, and makes a full rectangle of memory up to
the last used cell of every sheet.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from eduq.errors import DataFileError, Place
from eduq.intake.limits import MAX_CELLS, MAX_COLUMNS, MAX_SHEETS, too_large

__all__ = ["check_old_workbook"]

_HEADER = 512
_LAST_SECTOR = 0xFFFFFFFA
"""Sector numbers from here on are marks: end of the chain, not used."""
_ENTRY = 128
_IN_HEADER = 109
_BOF, _PASSWORD = 0x0809, 0x002F
_CELLS = (0x0203, 0x027E, 0x00FD, 0x0204, 0x0006, 0x0205, 0x00D6)
"""Records of one cell: number, packed number, text, formula, truth value or error. Formatted blanks are not among them."""
_CELL_RUN = 0x00BD


class _DamagedError(Exception):
    pass


class _LockedError(Exception):
    pass


class _Sectors:
    """The sectors of a compound file and how they follow each other."""

    def __init__(self, data: bytes) -> None:
        if len(data) < _HEADER:
            raise _DamagedError
        shift, self.mini_shift = struct.unpack_from("<HH", data, 30)
        if shift not in (9, 12) or self.mini_shift != 6:
            raise _DamagedError
        self.size = 1 << shift
        self.data = data
        (self.directory, _, self.cutoff, self.first_mini) = struct.unpack_from("<IIII", data, 48)
        self.table = self._table()
        self.mini_table = self.numbers(self.chain(self.first_mini, self.table))

    def _table(self) -> npt.NDArray[np.uint32]:
        (first,) = struct.unpack_from("<I", self.data, 68)
        lists = [np.frombuffer(self.data, "<u4", _IN_HEADER, 76)]
        seen = 0
        while first < _LAST_SECTOR:
            seen += 1
            if seen > len(self.data) // self.size:
                raise _DamagedError
            numbers = np.frombuffer(self.sector(first), "<u4")
            lists.append(numbers[:-1])
            first = int(numbers[-1])
        wanted = np.concatenate(lists)
        wanted = wanted[wanted < _LAST_SECTOR]
        if len(wanted) > len(self.data) // self.size + 1:
            raise _DamagedError
        return self.numbers([int(number) for number in wanted])

    def sector(self, number: int) -> bytes:
        """Return one sector; the last may be cut short."""
        start = (number + 1) * self.size
        if start >= len(self.data):
            raise _DamagedError
        return self.data[start : start + self.size].ljust(self.size, b"\0")

    def numbers(self, sectors: list[int]) -> npt.NDArray[np.uint32]:
        """Return sectors as numbers."""
        return np.frombuffer(b"".join(self.sector(number) for number in sectors), "<u4")

    def chain(self, first: int, table: npt.NDArray[np.uint32]) -> list[int]:
        """Follow a chain to its end; one that leads back into itself never ends."""
        found: list[int] = []
        while first < _LAST_SECTOR:
            if first >= len(table) or len(found) > len(table):
                raise _DamagedError
            found.append(first)
            first = int(table[first])
        return found

    def streams(self) -> Iterator[tuple[str, bytes]]:
        """Return the name of every stream and, of the workbook, its content; every chain is followed once."""
        directory = b"".join(self.sector(number) for number in self.chain(self.directory, self.table))
        mini: bytes | None = None
        for at in range(0, len(directory) - _ENTRY + 1, _ENTRY):
            entry = directory[at : at + _ENTRY]
            (length,) = struct.unpack_from("<H", entry, 64)
            name = entry[: max(0, min(length, 64) - 2)].decode("utf-16-le", "replace")
            kind = entry[66]
            first, size = struct.unpack_from("<II", entry, 116)
            if kind not in (2, 5):
                continue
            if kind == 5 or size >= self.cutoff:
                content = b"".join(self.sector(number) for number in self.chain(first, self.table))
                mini = content if kind == 5 else mini
            else:
                parts = (number << self.mini_shift for number in self.chain(first, self.mini_table))
                content = b"".join((mini or b"")[start : start + (1 << self.mini_shift)] for start in parts)
            yield name, content[:size] if kind == 2 else b""


def _sheet_areas(book: bytes) -> Iterator[tuple[int, int]]:
    """Return last used row and column, counted from 1, of every sheet of a workbook stream."""
    at, rows, columns, sheet = 0, 0, 0, 0
    while at + 4 <= len(book):
        kind, length = struct.unpack_from("<HH", book, at)
        at += 4
        if kind in _CELLS or kind == _CELL_RUN:
            if length >= 4 and at + length <= len(book):
                row, column = struct.unpack_from("<HH", book, at)
                if kind == _CELL_RUN and length >= 6:
                    (column,) = struct.unpack_from("<H", book, at + length - 2)
                rows, columns = max(rows, row + 1), max(columns, column + 1)
        elif kind == _PASSWORD and sheet == 1:
            raise _LockedError
        elif kind == _BOF:
            sheet += 1
            if sheet > 1:
                yield rows, columns
            rows, columns = 0, 0
        at += length
    yield rows, columns


def check_old_workbook(data: bytes, place: Place) -> None:
    """Refuse an old workbook that would not be read in bounded time and memory.

    Parameters
    ----------
    data
        The file.
    place
        The file as a place.

    Raises
    ------
    DataFileError
        ``workbook_unreadable``, ``workbook_encrypted``, ``file_too_large``.
    """
    try:
        books = [content for name, content in _Sectors(data).streams() if name.lower() in ("workbook", "book")]
        areas = [area for book in books for area in _sheet_areas(book)]
    except (_DamagedError, struct.error, ValueError):
        raise DataFileError("workbook_unreadable", place) from None
    except _LockedError:
        raise DataFileError("workbook_encrypted", place) from None
    if len(areas) > MAX_SHEETS:
        raise too_large(place, "sheets", MAX_SHEETS, len(areas))
    widest = max((columns for _, columns in areas), default=0)
    if widest > MAX_COLUMNS:
        raise too_large(place, "columns", MAX_COLUMNS, widest)
    cells = sum(rows * columns for rows, columns in areas)
    if cells > MAX_CELLS:
        raise too_large(place, "cells", MAX_CELLS, cells)
