"""A dossier as plain text: wrapped and aligned for characters of two widths, without colour."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Any

from eduq.bulletins.blocks import Block
from eduq.bulletins.formats import format_value, say
from eduq.bulletins.render import section_number
from eduq.locale import Lang, text

__all__ = ["render_text"]

_WIDTH = 96
_GAP = "  "
_EMPHASIS = re.compile(r"\*\*(.+?)\*\*")
_NOT_FIRST = "，。；：、）」』”’！？%．,.;:)!?"
"""Signs that do not begin a line."""
_NOT_LAST = "（「『“‘《("


def cells_wide(shown: str) -> int:
    """Return how many columns of a terminal a text takes.

    Examples
    --------
    >>> cells_wide("同类 ab")
    7
    """
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 0 if unicodedata.combining(char) else 1 for char in shown)


def _pieces(shown: str) -> Iterator[str]:
    """Cut a text where a line may end: after spaces, and beside full-width characters."""
    piece = ""
    for place, char in enumerate(shown):
        piece += char
        after = shown[place + 1] if place + 1 < len(shown) else ""
        wide = unicodedata.east_asian_width(char) in "WF" or (after and unicodedata.east_asian_width(after) in "WF")
        if char == " " or (wide and after not in _NOT_FIRST and char not in _NOT_LAST):
            yield piece
            piece = ""
    if piece:
        yield piece


def wrap_text(shown: str, width: int, *, first: str = "", rest: str = "") -> list[str]:
    """Return lines of at most `width` columns; `first` leads the first line, `rest` the others."""
    lines, line = [], first
    for piece in _pieces(shown):
        if cells_wide(line) + cells_wide(piece.rstrip()) > width and line.strip() and line not in (first, rest):
            lines.append(line.rstrip())
            line = rest
        line += piece.lstrip() if line == rest and rest != first else piece
    return [*lines, line.rstrip()]


def _plain(said: Any, lang: Lang) -> str:
    shown = said if isinstance(said, str) else say(said, lang)
    return _EMPHASIS.sub(r"\1", " ".join(shown.replace("\u00a0", " ").split()))


def _capital(shown: str) -> str:
    return shown[:1].upper() + shown[1:]


def _cell(value: Any, kind: str, lang: Lang) -> str:
    if isinstance(value, (dict, list)) and kind == "words":
        return _capital(_plain(value, lang))
    return format_value(value, kind, lang).replace("\u00a0", " ")


def _pad(shown: str, width: int, right: bool) -> str:
    room = " " * max(width - cells_wide(shown), 0)
    return room + shown if right else shown + room


def _table(block: Block, lang: Lang) -> list[str]:
    """Return a table with aligned columns; what is too wide for a line is wrapped inside its cell."""
    heads = [_capital(_plain(one["label"], lang)) for one in block["columns"]]
    rows = [
        [_cell(value, one["kind"], lang) for value, one in zip(line["cells"], block["columns"], strict=True)]
        for line in block["rows"]
    ]
    title = text("bulletin.table_label", lang, n=block["number"]).replace("\u00a0", " ")
    lines = ["", f"{title}  {_capital(_plain(block['caption'], lang))}"]
    data = [max((cells_wide(row[place]) for row in rows), default=0) for place in range(len(heads))]
    widths = [max(cells_wide(head), width) for head, width in zip(heads, data, strict=True)]
    floors = [
        min(12, width) if one["kind"] == "words" else max(width, 6) for one, width in zip(block["columns"], data, strict=True)
    ]
    _shrink(widths, floors)
    right = [one["align"] == "right" for one in block["columns"]]
    rule = "─" * min(sum(widths) + len(_GAP) * (len(widths) - 1), _WIDTH)
    lines += [*_aligned(heads, widths, right), rule]
    for row in rows:
        lines += _aligned(row, widths, right)
    for remark in block["notes"]:
        lines += wrap_text(_capital(_plain(remark, lang)), _WIDTH, first="  ", rest="  ")
    return lines


def _shrink(widths: list[int], floors: list[int]) -> None:
    """Make the widest columns narrower until a row fits on a line: heads wrap, and cells of words down to a floor."""
    room = _WIDTH - len(_GAP) * (len(widths) - 1)
    while sum(widths) > room:
        wide = [place for place, floor in enumerate(floors) if widths[place] > floor]
        if not wide:
            return
        widths[max(wide, key=lambda place: widths[place] - floors[place])] -= 1


def _aligned(row: list[str], widths: list[int], right: list[bool]) -> list[str]:
    wrapped = [wrap_text(cell, width) if cells_wide(cell) > width else [cell] for cell, width in zip(row, widths, strict=True)]
    height = max(len(cell) for cell in wrapped)
    lines = []
    for number in range(height):
        parts = [
            _pad(cell[number] if number < len(cell) else "", width, side)
            for cell, width, side in zip(wrapped, widths, right, strict=True)
        ]
        lines.append(_GAP.join(parts).rstrip())
    return lines


def _block(block: Block, lang: Lang) -> list[str]:
    match block["type"]:
        case "table":
            return _table(block, lang)
        case "list":
            found = []
            for item in block["items"]:
                found += wrap_text(_capital(_plain(item, lang)), _WIDTH, first="  - ", rest="    ")
            return found
        case "figure":
            return []
        case _:
            return wrap_text(_capital(_plain(block["text"], lang)), _WIDTH)


def render_text(context: dict[str, Any]) -> str:
    """Return a dossier as plain text; figures are left out, their numbers stand in tables.

    Parameters
    ----------
    context
        What `eduq.bulletins.dossier.build_dossier` gives.
    """
    lang: Lang = context["meta"]["lang"]
    meta = context["meta"]
    lines = [f"{_plain(meta['audience'], lang)}  {text('bulletin.draft', lang)}", ""]
    lines += [*wrap_text(_capital(_plain(meta["title"], lang)), _WIDTH)]
    lines += [*wrap_text(_plain(meta["as_of"], lang) + "  " + _plain(meta["line"], lang), _WIDTH), ""]
    for figure in context["headline"]:
        lines += wrap_text(f"{_plain(figure['value'], lang)}  {_plain(figure['label'], lang)}", _WIDTH, first="  ", rest="    ")
    lines += [""] if context["headline"] else []
    for said in context["intro"]:
        lines += wrap_text(_capital(_plain(said, lang)), _WIDTH)
    for part in context["sections"]:
        lines += ["", section_number(part["number"], lang) + _plain(part["heading"], lang)]
        for block in part["blocks"]:
            lines += _block(block, lang)
    return "\n".join(line.rstrip() for line in lines) + "\n"
