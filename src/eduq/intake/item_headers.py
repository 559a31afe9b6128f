"""Headers of item columns: 1, 第3题, 17(1)(2), 26-1, 23作文; exact forms of the synonym file, never substrings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

from eduq.intake.synonyms import normalise_header, to_half_width, vocabulary

__all__ = ["item_full_mark", "item_number", "main_number", "subtotals"]

_BLANKS = re.compile(r"[\s\u3000\ufeff\u200b-\u200f\u2060]+")
_NAMED = re.compile(r"^(?:第|[TtQq题])?(\d.*?)题?$")
_NOT_ITEMS = ("班", "届", "级", "科", "名", "分")
_LEADING = re.compile(r"^\d{1,3}")


@cache
def _forms() -> tuple[re.Pattern[str], ...]:
    raw = vocabulary().raw["item_headers"]
    return tuple(re.compile(form) for name, form in raw.items() if isinstance(form, str) and name != "notes")


def _plain(header: str) -> str:
    return to_half_width(_BLANKS.sub("", header)).strip("*:!.。、'")


@cache
def item_number(header: str) -> str | None:
    """Return the number of an item from its header, None when the header names no item.

    Examples
    --------
    >>> item_number("第3题"), item_number("17（1）（2）"), item_number("12.0"), item_number("23作文"), item_number("语文")
    ('3', '17(1)(2)', '12', '23作文', None)
    """
    for text in dict.fromkeys((_plain(header), normalise_header(header)[0])):
        found = _NAMED.match(text)
        bare = re.sub(r"\.0$", "", found[1]) if found else ""
        if bare and not bare.endswith(_NOT_ITEMS) and any(form.match(bare) for form in _forms()):
            return bare
    return None


def item_full_mark(header: str) -> float | None:
    """Return the full mark an item's header names, such as 3 of ``第1题(3分)``."""
    plain = _plain(header)
    return normalise_header(header)[1] if plain.endswith("分)") else None


def main_number(item: str) -> str:
    """Return the number of the question an item is part of: 17 of ``17(2)``."""
    found = _LEADING.match(item)
    return found[0] if found else item


def _bounds(item: str) -> tuple[int, int] | None:
    found = re.match(r"^(\d{1,3})[-~—～至](\d{1,3})$", item)
    return (int(found[1]), int(found[2])) if found and int(found[2]) > int(found[1]) else None


def subtotals(items: Sequence[str]) -> dict[str, list[str]]:
    """Return the items that have parts beside them: 26 beside 26(1), 56-65 beside 56; each with its parts.

    Examples
    --------
    >>> subtotals(["1", "26", "26(1)", "26(2)", "30-31"])
    {'26': ['26(1)', '26(2)']}
    """
    found = {}
    for item in items:
        bounds = _bounds(item)
        if item.isdigit():
            parts = [one for one in items if one != item and main_number(one) == item and _bounds(one) is None]
        elif bounds is not None:
            between = {str(number) for number in range(bounds[0], bounds[1] + 1)}
            parts = [one for one in items if one != item and main_number(one) in between]
            parts = parts if str(bounds[1]) in {main_number(one) for one in parts} else []
        else:
            parts = []
        if parts:
            found[item] = parts
    return found
