"""Find the header of a sheet: below title rows, one to three rows deep, with merged cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from eduq.intake.synonyms import Meaning, Vocabulary, normalise_header, vocabulary

__all__ = [
    "HEAD_ROWS",
    "NAMING",
    "PART_JOINER",
    "Header",
    "HeaderColumn",
    "MergedRange",
    "corner_word",
    "find_header",
    "is_naming",
    "turned_head",
    "words_understood",
]

MergedRange = tuple[int, int, int, int]
"""First row, first column, last row, last column, counted from 0 in the cells at hand."""

MAX_DEPTH = 3
HEAD_ROWS = 24
"""Rows that are looked at: title rows, header rows and a few below."""
PART_JOINER = "/"
NAMING = ("student_uid", "exam_no", "student_no", "name")
"""Fields that name a candidate."""
_DIVIDERS = ("\\", "/", "、", "|", "＼", "／")
_FEWEST_ITEMS = 3


@dataclass(frozen=True)
class HeaderColumn:
    """One column of a header.

    Attributes
    ----------
    position
        Column, from 0.
    written
        The header as written; parts of a deeper header joined by ``/``.
    meaning
        What it stands for, None when not recognised.
    full_mark
        Full mark named in the header.
    settled
        What it stands for by what stands around it (a subject beside it, the name of the sheet), None where that says nothing.
    """

    position: int
    written: str
    meaning: Meaning | None
    full_mark: float | None
    settled: Meaning | None = None


@dataclass(frozen=True)
class Header:
    """Where a header stands and what its columns mean.

    Attributes
    ----------
    first
        Row of its first line, from 0.
    depth
        Number of its lines.
    columns
        Its columns, left to right.
    titles
        Texts standing above it.
    hits
        How many different things were understood.
    joined
        How many columns got their meaning from two rows, such as 得分 under 语文.
    """

    first: int
    depth: int
    columns: tuple[HeaderColumn, ...]
    titles: tuple[str, ...]
    hits: int
    joined: int

    @property
    def width(self) -> int:
        """Number of columns up to the last one that has a header."""
        return max((column.position for column in self.columns), default=-1) + 1


def _compose(parts: Sequence[str], words: Vocabulary) -> tuple[Meaning | None, bool]:
    """Give the meaning of the cells that stand over one column, top to bottom, and whether it took two of them."""
    if len(parts) == 1:
        return words.recognise(parts[0]), False
    last, above = parts[-1], parts[:-1]
    for part in reversed(above):
        code = words.subject(part)
        if code is not None:
            found = words.combine(code, last)
            return _scaled_total(found, part), found is not None
    own = words.recognise(last)
    if own is not None and own.kind == "score":
        for part in reversed(above):
            if words.metric(part) is not None:
                return words.combine(own.key, part), True
    return own or words.recognise("".join(parts)), False


def _scaled_total(found: Meaning | None, part: str) -> Meaning | None:
    """``总分(赋分)`` over ``得分`` is a scaled total."""
    return replace(found, kind="scaled") if found is not None and found.kind == "score" and "赋分" in part else found


def _fill(cells: Sequence[Sequence[str]], first: int, depth: int, merged: Sequence[MergedRange] | None) -> list[list[str]]:
    """Give every header cell the text of the merged cell it lies in; without merged ranges fill metric columns from the left."""
    width = max(len(row) for row in cells[first : first + depth])
    rows = [[*row, *[""] * (width - len(row))] for row in cells[first : first + depth]]
    inside = [area for area in merged or () if area[0] >= first and area[0] < first + depth]
    for top, left, bottom, right in inside:
        text = rows[top - first][left] if left < width else ""
        for row in range(top - first, min(bottom - first, depth - 1) + 1):
            for column in range(left, min(right, width - 1) + 1):
                rows[row][column] = text
    if inside or depth == 1:
        return rows
    words = vocabulary()
    for upper, lower in pairwise(rows):
        for column in range(1, width):
            if not upper[column] and (words.metric(lower[column]) or lower is not rows[-1]):
                upper[column] = upper[column - 1]
    return rows


def _build(
    cells: Sequence[Sequence[str]], first: int, depth: int, merged: Sequence[MergedRange] | None, extra: set[str]
) -> Header:
    words = vocabulary()
    rows = _fill(cells, first, depth, merged)
    own = {place for row in cells[first : first + depth] for place, cell in enumerate(row) if cell}
    columns = []
    n_joined = 0
    for position in range(len(rows[0])):
        parts: list[str] = []
        for row in rows:
            if position in own and row[position] and (not parts or parts[-1] != row[position]):
                parts.append(row[position])
        meaning, joined = _compose(parts, words) if parts else (None, False)
        n_joined += joined
        marks = [mark for part in parts if (mark := normalise_header(part)[1]) is not None]
        written = PART_JOINER.join(" ".join(part.split()) for part in parts)
        columns.append(HeaderColumn(position, written, meaning, marks[-1] if marks else None))
    titles = tuple(text for row in cells[:first] for text in dict.fromkeys(row) if text)
    understood = {column.meaning for column in columns if column.meaning is not None}
    named = {column.written for column in columns if column.meaning is None and normalise_header(column.written)[0] in extra}
    return Header(first, depth, tuple(columns), titles, len(understood) + len(named), n_joined)


def find_header(
    cells: Sequence[Sequence[str]], merged: Sequence[MergedRange] | None = None, known: Sequence[str] = ()
) -> Header | None:
    """Return the header of a sheet, or None when no row has two columns that are understood.

    The header is the place and depth at which most columns are understood; of equals the one that joins most columns from
    two rows, then the shallower, then the upper.

    Parameters
    ----------
    cells
        The first rows as text, blank as ``""``.
    merged
        Merged ranges when they are known; asked for only when a deeper header is likely.
    known
        Further headers that are understood (those of exam.toml).
    """
    words = vocabulary()
    extra = {normalise_header(header)[0] for header in known}
    best: tuple[int, int, int, int] | None = None
    found: Header | None = None
    for first in range(min(len(cells), words.raw["normalise"]["header_scan_rows"] + 1)):
        if not any(cells[first]):
            continue
        for depth in range(1, min(MAX_DEPTH, len(cells) - first) + 1):
            header = _build(cells, first, depth, merged, extra)
            rank = (header.hits, header.joined, -depth, -first)
            if header.hits >= words.raw["normalise"]["min_hits_for_header"] and (best is None or rank > best):
                best, found = rank, header
    return found


def is_naming(meaning: Meaning | None) -> bool:
    """Whether a header names a column that names candidates."""
    return meaning is not None and meaning.kind == "field" and meaning.key in NAMING


def corner_word(text: str) -> str:
    """Return the part of a cell such as 成绩\\姓名 that names the row of pupils, else the text."""
    for joiner in _DIVIDERS:
        parts = text.split(joiner)
        named = [part for part in parts if is_naming(vocabulary().recognise(part))]
        if len(parts) > 1 and named:
            return named[0]
    return text


def turned_head(cells: Sequence[Sequence[str]]) -> list[list[str]]:
    """Return the first rows of a sheet with rows and columns exchanged, the words of a divided corner cell put right."""
    width = max((len(row) for row in cells), default=0)
    turned = [[row[place] if place < len(row) else "" for row in cells] for place in range(width)]
    if turned:
        turned[0] = [corner_word(text) for text in turned[0]]
    return turned[:HEAD_ROWS]


def words_understood(cells: Sequence[Sequence[str]], known: Sequence[str] = ()) -> int:
    """Return how much of a table's first rows is understood, pupils in rows or in columns or as a list of items."""
    from eduq.intake.item_headers import item_number

    found = [header.hits for header in (find_header(cells, known=known), find_header(turned_head(cells), known=known)) if header]
    items = max((sum(item_number(cell) is not None for cell in row) for row in cells), default=0)
    return max([*found, items if items >= _FEWEST_ITEMS else 0])
