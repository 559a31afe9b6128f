"""What the parts of an xlsx say before its cells are read: whether it is safe to read, and where its formulas stand.

The reader of cells makes a full rectangle of memory from the first to the last used cell, unpacks whatever a part holds, and
gives neither formulas nor what kind a cell was. So the parts are looked through once, a piece at a time.
"""

from __future__ import annotations

import io
import posixpath
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from xml.etree import ElementTree

import numpy as np
import polars as pl

from eduq.errors import DataFileError, Place
from eduq.intake.containers import check_sizes, unpack
from eduq.intake.limits import MAX_CELLS, MAX_COLUMNS, MAX_SHEETS, MAX_TEXT_BYTES, too_large

__all__ = ["SheetFacts", "WorkbookParts", "column_letter"]

Cell = tuple[int, int]
"""Row and column of a cell, counted from 0."""

_PREFIX = rb"<(?:\w+:)?"
_FILLED = re.compile(_PREFIX + rb"""c\s(?:[^>]*?\s)?r=["']([A-Za-z]+)(\d+)["'][^>/]*>(?!</)""")
_PLACED = re.compile(_PREFIX + rb"""c\s(?:[^>]*?\s)?r=["'][A-Za-z]+\d""")
_ANY = re.compile(rb"""r\s*=\s*["']\s*([A-Za-z]+)(\d+)""")
_UNPLACED = re.compile(_PREFIX + rb"""c(?:\s+(?!r=)\w+=["'][^"']*["'])*\s*>""")
_ROW = re.compile(_PREFIX + rb"""row[\s>/](?:[^>]*?\s?r=["'](\d+)["'])?""")
_FORMULA = re.compile(
    _PREFIX + rb"""c\s(?P<attributes>[^>]*)>\s*<(?:\w+:)?f[\s>/](?P<rest>.*?)</(?:\w+:)?c>""",
    re.DOTALL,
)
_REFERENCE = re.compile(rb"""(?:^|\s)r=["']([A-Za-z]+)(\d+)["']""")
_TYPE = re.compile(rb"""(?:^|\s)t=["'](\w+)["']""")
_VALUE = re.compile(rb"<(?:\w+:)?v(?:\s[^>]*)?>[^<]")
_LONG_NUMBER = re.compile(
    _PREFIX + rb"""c\s(?P<attributes>[^>]*)>(?:<(?:\w+:)?f[^>]*>[^<]*</(?:\w+:)?f>)?"""
    rb"""<(?:\w+:)?v>(?:\d{16,}(?:\.\d*)?|\d(?:\.\d+)?[eE]\+?(?:1[5-9]|[2-9]\d|\d{3,}))</"""
)
_STRING_CELL = re.compile(rb"""\st=["']s["'][^>]*>\s*<(?:\w+:)?v>(\d+)<""")
_COL = re.compile(_PREFIX + rb"col\s[^>]*>")
_MIN, _MAX = re.compile(rb"""\smin=["'](\d+)["']"""), re.compile(rb"""\smax=["'](\d+)["']""")
_HIDDEN = re.compile(rb"""\shidden=["'](?:1|true)["']""")
_STRING = re.compile(_PREFIX + rb"si[\s>/]")
_WIDER = ((26, "[A-Za-z]{2}"), (702, "[A-Za-z]{3}"), (18_278, "[A-Za-z]{4}"), (1 << 30, "[A-Za-z]{99}"))
"""Columns there are at most while no column name is as long as the pattern."""
_HIGHER = (
    *((10**n - 1, f"[0-9]{{{n + 1}}}") for n in range(1, 7)),
    (1_099_999, "(?:1[1-9][0-9]{5}|[2-9][0-9]{6}|[0-9]{8})"),
    (10**9, "[0-9]{99}"),
)
"""Rows there are at most while no row number is as long, or as high, as the pattern."""
_LONGEST_TAIL = 8 << 20
_TAIL = 64 << 10
_EXCEL_TEXT = 33_000


@dataclass
class SheetFacts:
    """What one sheet's part says.

    Attributes
    ----------
    rows, columns
        No used row and column is beyond them, counted from 1. Exact, and without formatted blank cells, after `measure`;
        before, only the numbers of their digits and letters are looked at.
    strings
        Cells that point to a shared text.
    errors
        Whether a cell holds an error such as ``#N/A``.
    formulas
        Number of formulas.
    unvalued
        Formulas whose result was not stored.
    hidden
        Hidden columns as ranges (first, last), counted from 0.
    """

    rows: int = 0
    columns: int = 0
    strings: int = 0
    errors: bool = False
    formulas: int = 0
    unvalued: list[Cell] = field(default_factory=list)
    hidden: list[tuple[int, int]] = field(default_factory=list)
    _wide: int = 0
    _high: int = 0

    def add(self, part: bytes) -> None:
        """Look through a piece of the part that ends with a whole row."""
        self._bound(part)
        self.hidden += [(int(low[:9]) - 1, int(high[:9]) - 1) for low, high in _hidden_columns(part)]
        self.strings += part.count(b't="s"') + part.count(b"t='s'")
        self.errors = self.errors or b't="e"' in part or b"t='e'" in part
        if b"<f" in part or b":f" in part:
            self._add_formulas(part)

    def _bound(self, part: bytes) -> None:
        """Bound the used area by the longest row number and column name in it: much faster than reading all of them."""
        cells = part.count(b'<c r="')
        others = part.count(b"<c") - cells
        if others and others == part.count(b"<co") + part.count(b"<cu"):
            others = 0
        try:
            text = pl.Series([part.decode("utf-8")])
        except UnicodeDecodeError:
            others += 1
        if others or b":c" in part or part.count(b'r="') != cells + part.count(b'<row r="') or b"r='" in part:
            self.measure(part)
            return
        while self._wide < len(_WIDER) - 1 or self._high < len(_HIGHER) - 1:
            pattern = rf'<c r="(?:{_WIDER[self._wide][1]}|[A-Za-z]+{_HIGHER[self._high][1]})'
            if not cells or not text.str.contains(pattern).any():
                break
            if self._wide < len(_WIDER) - 1 and text.str.contains(rf'<c r="{_WIDER[self._wide][1]}').any():
                self._wide += 1
            else:
                self._high += 1
        if cells:
            self.rows = max(self.rows, _HIGHER[self._high][0])
            self.columns = max(self.columns, _WIDER[self._wide][0])

    def measure(self, part: bytes) -> None:
        """Read where the last used row and column are; where cells are written oddly, the last that is named at all."""
        found = _FILLED.findall(part)
        every = _ANY.findall(part)
        if len(every) != len(_PLACED.findall(part)):
            found = every
        self.columns = max([self.columns, *(_column(column) + 1 for column in {column for column, _ in found})])
        self.rows = max([self.rows, *(int(row[:9]) for row in {row for _, row in found})])
        if _UNPLACED.search(part):
            self._add_unplaced(part)

    def _add_unplaced(self, part: bytes) -> None:
        """Cells that do not say where they stand follow each other."""
        pieces = re.split(rb"<(?:\w+:)?row[\s>]", part)
        self.columns = max(self.columns, *(len(re.findall(_PREFIX + rb"c[\s>]", piece)) for piece in pieces))
        stated = [int(row[:9]) for row in _ROW.findall(part) if row]
        self.rows = max(self.rows + len(pieces), *stated, 0)

    def _add_formulas(self, part: bytes) -> None:
        for match in _FORMULA.finditer(part):
            self.formulas += 1
            attributes = match["attributes"]
            kind, place = _TYPE.search(attributes), _REFERENCE.search(attributes)
            stored = (kind is not None and kind[1] in (b"str", b"s", b"e")) or _VALUE.search(match["rest"]) is not None
            if place is not None and not stored:
                self.unvalued.append((int(place[2][:9]) - 1, _column(place[1])))


def _hidden_columns(part: bytes) -> Iterator[tuple[bytes, bytes]]:
    for found in _COL.finditer(part) if b"hidden=" in part else ():
        low, high = _MIN.search(found[0]), _MAX.search(found[0])
        if low and high and _HIDDEN.search(found[0]):
            yield low[1], high[1]


def column_letter(number: int) -> str:
    """Return what a spreadsheet calls a column, counted from 1.

    Examples
    --------
    >>> column_letter(28)
    'AB'
    """
    letters = ""
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(65 + rest) + letters
    return letters


def _column(letters: bytes) -> int:
    number = 0
    for letter in letters.upper()[:8]:
        number = number * 26 + letter - 64
    return number - 1


def _target(target: str) -> str:
    """Return the name of a part that the workbook points to."""
    plain = target.replace("\\", "/")
    if plain.startswith("/"):
        return plain.lstrip("/").lower()
    return posixpath.normpath(plain if plain.lower().startswith("xl/") else posixpath.join("xl", plain)).lower()


class WorkbookParts:
    """The parts of an xlsx.

    Parameters
    ----------
    data
        The file.
    place
        The file as a place.

    Raises
    ------
    DataFileError
        ``workbook_unreadable``: cut off, damaged, two parts of one name, a document type (no spreadsheet program writes one);
        ``workbook_encrypted``; ``file_too_large``.
    """

    def __init__(self, data: bytes, place: Place) -> None:
        self._file = io.BytesIO(data)
        self._place = place
        self._bad = DataFileError("workbook_unreadable", place)
        infos = self._list()
        self._parts = {info.orig_filename.replace("\\", "/").lower(): info for info in infos}
        if len(self._parts) != len(infos):
            raise self._bad
        if any(info.flag_bits & 0x1 for info in infos):
            raise DataFileError("workbook_encrypted", place)
        check_sizes(infos, place)
        self._paths = self._sheet_paths()
        self._facts = self._scan()

    def _list(self) -> list[zipfile.ZipInfo]:
        try:
            with zipfile.ZipFile(self._file) as archive:
                return archive.infolist()
        except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError):
            raise self._bad from None

    def _read(self, name: str) -> Iterator[bytes]:
        """Unpack one part; a document type, which could define endless text, is refused."""
        start = b""
        for piece in unpack(self._file, self._parts[name], self._place, "workbook_unreadable"):
            if len(start) < _TAIL:
                start += piece[:_TAIL]
                if b"<!DOCTYPE" in start or b"<!ENTITY" in start:
                    raise self._bad
            yield piece

    def _tree(self, name: str) -> ElementTree.Element | None:
        if name not in self._parts:
            return None
        content = b"".join(self._read(name))
        if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
            raise self._bad
        try:
            return ElementTree.fromstring(content)
        except (ElementTree.ParseError, LookupError, ValueError):
            raise self._bad from None

    def _sheet_paths(self) -> list[tuple[str, str]]:
        """Return name and part of every sheet."""
        book, links = self._tree("xl/workbook.xml"), self._tree("xl/_rels/workbook.xml.rels")
        if book is None or links is None:
            raise self._bad
        targets = {link.get("Id"): _target(link.get("Target") or "") for link in links}
        sheets = [item for item in book.iter() if item.tag.rsplit("}", 1)[-1] == "sheet"]
        if len(sheets) > MAX_SHEETS:
            raise too_large(self._place, "sheets", MAX_SHEETS, len(sheets))
        named = []
        for item in sheets:
            link = next((value for key, value in item.items() if key.rsplit("}", 1)[-1] == "id"), None)
            named.append((item.get("name") or "", targets.get(link, "")))
        return named

    def _scan(self) -> dict[str, SheetFacts]:
        facts: dict[str, SheetFacts] = {}
        longest = 0
        for name in self._parts:
            if name.endswith("sharedstrings.xml"):
                longest = max(longest, max(self._text_lengths(name), default=0))
            elif name.startswith("xl/") and name.endswith(".xml"):
                facts[name] = self._scan_part(name)
        sheets = [facts[path] for _, path in self._paths if path in facts]
        if sum(one.rows * one.columns for one in sheets) > MAX_CELLS or any(one.columns > MAX_COLUMNS for one in sheets):
            self._measure(facts)
        self._bound_texts(facts, longest)
        return facts

    def _area(self, facts: dict[str, SheetFacts], path: str) -> int:
        return facts[path].rows * facts[path].columns if path in facts else 0

    def _measure(self, facts: dict[str, SheetFacts]) -> None:
        """Read exactly how large the sheets are and refuse those that are too large."""
        for path in {path for _, path in self._paths if path in facts}:
            facts[path].rows = facts[path].columns = 0
            for piece in self._whole_rows(path):
                facts[path].measure(piece)
        cells = 0
        for sheet, path in self._paths:
            place = Place(self._place.file, sheet)
            if path in facts and facts[path].columns > MAX_COLUMNS:
                raise too_large(place, "columns", MAX_COLUMNS, facts[path].columns)
            cells += self._area(facts, path)
            if cells > MAX_CELLS:
                raise too_large(place, "cells", MAX_CELLS, cells)

    def _scan_part(self, name: str) -> SheetFacts:
        facts = SheetFacts()
        for piece in self._whole_rows(name):
            facts.add(piece)
        return facts

    def _whole_rows(self, name: str) -> Iterator[bytes]:
        """Give a part in pieces that end with a row."""
        rest = b""
        for piece in self._read(name):
            rest += piece
            end = rest.rfind(b"row>") + 4
            if end > 4:
                yield rest[:end]
                rest = rest[end:]
            elif len(rest) > _LONGEST_TAIL:
                yield rest
                rest = rest[-_TAIL:]
        if rest:
            yield rest

    def _text_lengths(self, name: str) -> list[int]:
        """Return the length of every shared text with its tags."""
        lengths: list[int] = []
        rest = b""
        for piece in self._read(name):
            rest += piece
            starts = [match.start() for match in _STRING.finditer(rest)]
            lengths += [later - one for one, later in pairwise(starts)]
            rest = rest[starts[-1] :] if starts else rest
        return [*lengths, len(rest)] if rest else lengths

    def _bound_texts(self, facts: dict[str, SheetFacts], longest: int) -> None:
        """Refuse a workbook whose cells repeat long texts until they fill the memory."""
        strings = sum(facts[path].strings for _, path in self._paths if path in facts)
        if longest < _EXCEL_TEXT and strings * longest <= MAX_TEXT_BYTES:
            return
        lengths = np.zeros(1, dtype=np.int64)
        for name in self._parts:
            if name.endswith("sharedstrings.xml"):
                lengths = np.array(self._text_lengths(name), dtype=np.int64)
        total = 0
        for _, path in self._paths:
            for piece in self._whole_rows(path) if path in facts else ():
                indices = np.array([int(index[:9]) for index in _STRING_CELL.findall(piece)], dtype=np.int64)
                total += int(lengths[indices[indices < len(lengths)]].sum())
                if total > MAX_TEXT_BYTES:
                    raise too_large(self._place, "texts", MAX_TEXT_BYTES, total)

    def facts(self, sheet: str) -> SheetFacts:
        """Return what is known of a sheet by its name."""
        path = next((path for name, path in self._paths if name == sheet), "")
        return self._facts.get(path, SheetFacts())

    def long_numbers(self, sheet: str) -> list[Cell]:
        """Return the cells of a sheet that hold numbers of 16 digits and more, of which a spreadsheet keeps only 15."""
        path = next((path for name, path in self._paths if name == sheet), "")
        found = []
        for piece in self._whole_rows(path) if path in self._facts else ():
            for match in _LONG_NUMBER.finditer(piece):
                kind, place = _TYPE.search(match["attributes"]), _REFERENCE.search(match["attributes"])
                if place is not None and (kind is None or kind[1] == b"n"):
                    found.append((int(place[2][:9]) - 1, _column(place[1])))
        return found
