"""What the name of a sheet or file says: subject, class, track. Only where it says one thing."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import cache

from eduq.intake.synonyms import to_half_width, vocabulary

__all__ = ["class_in_name", "looks_like_school", "subject_in_name", "subject_of_names", "track_in_name"]

_TRACKS = {
    "物理": re.compile(r"^(?:首选物理|物理(?:类|方向|组))$"),
    "历史": re.compile(r"^(?:首选历史|历史(?:类|方向|组))$"),
    "文科": re.compile(r"^文(?:科|史)类?$"),
    "理科": re.compile(r"^理(?:科|工)类?$"),
}
_TRACK_WORDS = re.compile(r"(?:首选)?(?:物理|历史)(?:类|方向|组)|文科综合?班|理科综合?班")
_CLASS = re.compile(r"^[^-_/\\\s]{0,6}?(?:\d{1,4}|[一二三四五六七八九十]{1,3})\)?班$")
_SCHOOL = re.compile(
    r"(?:学校|中学|小学|附中|附小|学院|[一二三四五六七八九十\d]中|[一二三四五六七八九十\d]小|实验|书院)(?:校区|分校|部)?$"
)
_SCHOOL_WORDS = re.compile(r"[\u4e00-\u9fff]{0,8}(?:学校|中学|小学|学院|书院)")
_SHORTEST = 2


@cache
def _subject_words() -> tuple[tuple[str, str], ...]:
    words = vocabulary()
    found: dict[str, str] = {}
    for code in words.subjects:
        entry = words.raw["subjects"][code]
        for variant in [*entry.get("seen", []), *entry.get("extra", [])]:
            plain = to_half_width(variant)
            if len(plain) >= _SHORTEST and not plain.isascii() and code != "total":
                found.setdefault(plain, code)
    return tuple(sorted(found.items(), key=lambda item: -len(item[0])))


def subject_in_name(name: str) -> str | None:
    """Return the paper code of the one subject a name speaks of, None when it speaks of none or several.

    Examples
    --------
    >>> subject_in_name("小题分（语文）"), subject_in_name("语文数学成绩"), subject_in_name("物理类"), subject_in_name("英语2")
    ('chinese', None, None, 'english')
    """
    rest = _TRACK_WORDS.sub("|", to_half_width(unicodedata.normalize("NFC", name)))
    rest = _SCHOOL_WORDS.sub("|", rest) if _SCHOOL_WORDS.search(rest) else rest
    met = set()
    for word, code in _subject_words():
        if word in rest:
            met.add(code)
            rest = rest.replace(word, "|")
    return met.pop() if len(met) == 1 else None


def subject_of_names(names: Sequence[str | None]) -> tuple[str | None, str | None]:
    """Return the subject that names agree on, and the name that says so; None when none or two say different things."""
    said = {code: name for name in reversed(names) if name and (code := subject_in_name(name)) is not None}
    if len(said) != 1:
        return None, None
    code, name = next(iter(said.items()))
    return code, name


def class_in_name(name: str) -> str | None:
    """Return the class a sheet is named after.

    Examples
    --------
    >>> class_in_name("九（3）班"), class_in_name("3班"), class_in_name("成绩")
    ('九（3）班', '3班', None)
    """
    plain = name.strip()
    return plain if _CLASS.match(to_half_width(plain)) else None


def track_in_name(name: str) -> str | None:
    """Return the track a sheet is named after, as a word of the track column."""
    plain = to_half_width(name.strip())
    return next((word for word, form in _TRACKS.items() if form.match(plain)), None)


def looks_like_school(name: str) -> bool:
    """Whether a name ends as names of schools do."""
    return _SCHOOL.search(name.strip()) is not None
