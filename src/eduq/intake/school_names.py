"""School names that may mean one school: found by taking the usual ways of writing a name back to one, never merged."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

__all__ = ["find_variants"]

_DIGITS = {digit: str(value) for value, digit in enumerate("〇一二三四五六七八九")} | {"零": "0", "两": "2"}
_NUMBER = re.compile(r"第?([〇零一二三四五六七八九十百\d]+)(?=[中小校初高])")
_BRACKETS = re.compile(r"\(.*?\)|（.*?）|[\s·.。、\-—_]")
_KINDS = (
    (re.compile(r"(?:初级中学|初级中|初中学校)"), "初中"),
    (re.compile(r"(?:高级中学|高级中|普通高中)"), "高中"),
    (re.compile(r"(?:九年一贯制学校|九年制学校|九年一贯制)"), "九年"),
    (re.compile(r"(?:中心完全小学|中心完小|中心小学校|中心小学|中心校)"), "中心小"),
    (re.compile(r"(?:完全小学|完小|小学校|小学)"), "小"),
    (re.compile(r"(?:完全中学|完中|中学校|中学)"), "中"),
    (re.compile(r"实验学校$"), "实验"),
    (re.compile(r"学校$"), ""),
)
_PLACE_WORD = re.compile(r"(?<=[\u4e00-\u9fff]{2})(?:自治县|[省市县区镇乡])(?=[\u4e00-\u9fff\d])")
_PLACE_BEFORE = re.compile(r"^(?:[\u4e00-\u9fff]{0,8}[省市县区州])+$")
_SHORTEST = 2


def _arabic(number: str) -> str:
    """Return a number up to 99 in digits."""
    if number.isdigit():
        return str(int(number))
    if "十" not in number:
        return "".join(_DIGITS.get(digit, digit) for digit in number)
    tens, _, ones = number.partition("十")
    return (_DIGITS.get(tens, tens) or "1") + (_DIGITS.get(ones, ones) or "0")


def _plain(name: str) -> tuple[str, str]:
    """Return a name with its number, kind and marks taken back to one form, with the place words in it and without."""
    text = _BRACKETS.sub("", unicodedata.normalize("NFKC", name))
    text = _NUMBER.sub(lambda found: _arabic(found[1]), text)
    for pattern, word in _KINDS:
        text = pattern.sub(word, text)
    return text, _PLACE_WORD.sub("", text)


def _alike(one: tuple[str, str], other: tuple[str, str]) -> bool:
    if one[0] == other[0] or (one[1] == other[1] and len(one[1]) > _SHORTEST):
        return True
    for short, long in ((one, other), (other, one)):
        for shorter, longer in zip(short, (long[0], long[0]), strict=True):
            before = longer.removesuffix(shorter)
            if len(shorter) >= _SHORTEST and before != longer and before and _PLACE_BEFORE.match(before):
                return True
    return False


def find_variants(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Return groups of school names that may be one school's; what they are is for a person to say.

    Parameters
    ----------
    names
        School names; those used most often first, so that the first of a group is the one to keep.

    Examples
    --------
    >>> find_variants(["城关一中", "二中", "城关第一中学", "县城关一中"])
    [('城关一中', '城关第一中学', '县城关一中')]
    """
    order = list(dict.fromkeys(names))
    place = {name: number for number, name in enumerate(order)}
    forms = {name: _plain(name) for name in order}
    having: dict[str, list[str]] = {}  # form → the names that come to it
    ending: dict[str, list[str]] = {}  # last characters of a form → the names longer than them
    for name in order:
        for form in dict.fromkeys(forms[name]):
            having.setdefault(form, []).append(name)
        for tail in _tails(forms[name][0]):
            ending.setdefault(tail, []).append(name)
    groups: list[list[str]] = []
    taken: set[str] = set()
    for name in order:
        if name in taken:
            continue
        near = {other for form in forms[name] for other in (*having[form], *ending.get(form, ()))}
        near.update(other for tail in _tails(forms[name][0]) for other in having.get(tail, ()))
        fresh = sorted(near - taken - {name}, key=place.__getitem__)
        group = [name, *(other for other in fresh if _alike(forms[name], forms[other]))]
        if len(group) > 1:
            groups.append(group)
            taken.update(group)
    return [tuple(group) for group in groups]


def _tails(form: str) -> list[str]:
    """Return the endings of a form that are shorter than itself and long enough to name a school."""
    return [form[start:] for start in range(1, len(form) - _SHORTEST + 1)]
