"""Order of names as a person reads them: numbers as numbers, Chinese numerals too."""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ["natural_key"]

_DIGITS = {sign: value for value, sign in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
_UNITS = {"十": 10, "百": 100}
_PART = re.compile("([0-9]+)|([零〇一二两三四五六七八九十百]+)")


def _chinese_number(shown: str) -> int:
    """Return 12 for 十二, 23 for 二十三 and for 二三, 105 for 一百零五."""
    if not any(sign in _UNITS for sign in shown):
        return int("".join(str(_DIGITS[sign]) for sign in shown))
    whole = last = 0
    for sign in shown:
        if sign in _UNITS:
            whole, last = whole + (last or 1) * _UNITS[sign], 0
        else:
            last = _DIGITS[sign]
    return whole + last


@lru_cache(maxsize=100_000)
def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Return a key that sorts 第二 before 第三 before 第十, and 2 before 10.

    Examples
    --------
    >>> sorted(["第三中学", "第十一中学", "第一中学", "第二中学"], key=natural_key)
    ['第一中学', '第二中学', '第三中学', '第十一中学']
    """
    parts = []
    for text in _PART.split(name):
        if not text:
            continue
        if text.isascii() and text.isdigit():
            parts.append((0, int(text), ""))
        elif _PART.fullmatch(text):
            parts.append((0, _chinese_number(text), ""))
        else:
            parts.append((1, 0, text))
    return tuple(parts)
