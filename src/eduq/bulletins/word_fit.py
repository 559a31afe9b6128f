"""Tables on paper: how wide their columns are, which turn the page, which are set in pieces. Never by cutting."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from eduq.bulletins.drawing import text_width

__all__ = ["ACROSS", "UPRIGHT", "Piece", "break_title", "fit_table"]

UPRIGHT, ACROSS = 442.2, 637.8
"""Width of the text in points: 156 mm on a page as it stands, 225 mm on a page turned."""
_SIZES = {False: (10.5, 9.0, 8.0), True: (10.5, 9.0)}
"""Sizes of type that are tried, upright and turned: small type disturbs less than a turned page."""
_PADDING = 7.0
_FULL_WIDTH = re.compile(r"[\u2e80-\u9fff\uff00-\uffef]")
_HEAD_LINES = 3
_AFTER = re.compile(r"(?:学年|学期|季度|月份?|[县市区的：、]|(?<=\d) ?年(?!级))(?=.)|(?=（)")
"""After these a title may be broken without cutting a word in two."""
_NAME_EMS, _TEXT_EMS, _WIDEST_EMS = 8, 5, 26


def break_title(shown: str, size: float, width: float) -> list[str]:
    """Return the lines of a title: two of like length where one is not enough, none of them a leftover of a word or two.

    GB/T 9704 wants lines that are whole in meaning and lie evenly; a title that finds no such place is left as it is.

    Parameters
    ----------
    shown
        The title.
    size, width
        Of its type and of the text, in points.

    Examples
    --------
    >>> break_title("关于2025—2026学年教学质量考评情况的通报", 22, 442)
    ['关于2025—2026学年', '教学质量考评情况的通报']
    >>> break_title("关于第四季度的通报", 22, 442)
    ['关于第四季度的通报']
    """
    if text_width(shown, size) <= width or not _FULL_WIDTH.search(shown):
        return [shown]
    pairs = [(shown[: found.end()].rstrip(), shown[found.end() :].lstrip()) for found in _AFTER.finditer(shown)]
    whole = [pair for pair in pairs if pair[0].count("（") == pair[0].count("）")]
    widths = [(abs(text_width(one, size) - text_width(other, size)), one, other) for one, other in whole]
    fitting = [found for found in widths if max(text_width(line, size) for line in found[1:]) <= width]
    return list(min(fitting)[1:]) if fitting else [shown]


class Piece(NamedTuple):
    """Columns of a table that stand side by side: places, widths in points, size of type, and whether the page turns."""

    places: list[int]
    widths: list[float]
    size: float
    turned: bool


def _least(shown: str, size: float, *, whole: bool, ems: int) -> float:
    """Return the least width of a cell: a number is never broken, Chinese breaks anywhere, other words between them."""
    width = text_width(shown, size)
    if _FULL_WIDTH.search(shown):
        return min(width, ems * size)
    if whole and len(shown) <= 24:
        return width
    return max((text_width(word, size) for word in shown.split(" ")), default=0.0)


def _needs(columns: Sequence[dict[str, Any]], rows: Sequence[Sequence[str]], size: float) -> tuple[list[float], list[float]]:
    """Return the least and the natural width of every column."""
    least, natural = [], []
    for place, column in enumerate(columns):
        head = column["label"]
        ems = _TEXT_EMS if place else _NAME_EMS
        whole = column["align"] == "right"
        words = max((text_width(word, size) for word in re.split(r"[ /]", head) if not _FULL_WIDTH.search(word)), default=0.0)
        need = max(words, text_width(head, size) / _HEAD_LINES, 2 * size)
        wide = text_width(head, size)
        for row in rows:
            need = max(need, _least(row[place], size, whole=whole, ems=ems))
            wide = max(wide, text_width(row[place], size))
        least.append(need + _PADDING)
        natural.append(max(need, min(wide, _WIDEST_EMS * size)) + _PADDING)
    return least, natural


def _spread(least: list[float], natural: list[float], width: float) -> list[float]:
    """Return widths that fill the page: each column its least, what is left in proportion to what it would like."""
    wanted = [most - need for most, need in zip(natural, least, strict=True)]
    left = width - sum(least)
    if sum(wanted) <= left:
        scale = width / sum(natural)
        return [most * scale for most in natural]
    return [need + left * more / sum(wanted) for need, more in zip(least, wanted, strict=True)]


def _group(places: Sequence[int], least: Sequence[float], room: float, most: int) -> list[list[int]]:
    """Return columns in groups that fit, none of more than ``most`` columns."""
    groups: list[list[int]] = [[]]
    for place in places:
        full = len(groups[-1]) >= most or sum(least[held] for held in groups[-1]) + least[place] > room
        if groups[-1] and full:
            groups.append([])
        groups[-1].append(place)
    return groups


def fit_table(
    columns: Sequence[dict[str, Any]], rows: Sequence[Sequence[str]], *, upright: float = UPRIGHT, across: float = ACROSS
) -> list[Piece]:
    """Return how a table is set on paper.

    Parameters
    ----------
    columns
        ``label`` and ``align`` of every column.
    rows
        Printed cells.
    upright, across
        Width of the text in points, on a page as it stands and turned.

    Returns
    -------
    list of Piece
        One piece where the table fits upright or across; else several across, each led by the first column.
    """
    places = list(range(len(columns)))
    for width, turned in ((upright, False), (across, True)):
        for size in _SIZES[turned]:
            least, natural = _needs(columns, rows, size)
            if sum(least) <= width:
                return [Piece(places, _spread(least, natural, width), size, turned)]
    size = _SIZES[True][-1]
    least, natural = _needs(columns, rows, size)
    room = across - least[0]
    groups = _group(places[1:], least, room, len(places))
    groups = _group(places[1:], least, room, -(-(len(places) - 1) // len(groups)))
    pieces = []
    for group in groups:
        held = [0, *group]
        needed = [least[place] for place in held]
        widths = _spread(needed, [natural[place] for place in held], max(across, sum(needed)))
        scale = min(1.0, across / sum(widths))
        pieces.append(Piece(held, [width * scale for width in widths], size, True))
    return pieces
