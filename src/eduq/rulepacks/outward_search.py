"""Barred words found however they are written: full width, spaced out, behind mark-up or invisible characters."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from html import unescape

from eduq.rulepacks.outward_words import OUTWARD_EDITIONS, BarredWord, OutwardWords, read_outward

__all__ = ["Found", "Search", "find_barred", "prepare_search", "read_plainly"]

_INLINE = re.compile(
    r"</?(?:a|abbr|b|big|bdi|bdo|code|del|em|font|i|ins|kbd|mark|q|s|small|span|strong|sub|sup|tspan|u|wbr)\b[^>]*>|<!--.*?-->",
    re.IGNORECASE | re.DOTALL,
)
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>")
_HAN = "\u3400-\u9fff\uf900-\ufaff"
_BLANK_LINE = re.compile(r"[^\S\n]*\n[^\S\n]*\n\s*")
_INSIDE = re.compile(rf"(?<=[{_HAN}])\s+(?=[{_HAN}\d])|(?<=\d)\s+(?=[{_HAN}])")
_BETWEEN = re.compile(rf"(?<=[{_HAN}])[.\-·•・‧∙⋅]+(?=[{_HAN}])")
_LETTERS = re.compile(r"(?<![^\W\d_])[a-z](?:[\s\-]{1,3}[a-z]){2,}(?![^\W\d_])")
_FILLERS = "\u115f\u1160\u2800\u3164\uffa0"
_MARKUP = "*_~`\\"
_NEAR = 100
"""Characters before and after a word in which a phrase that makes it lawful can begin or end."""
_WORD_GAP = r"[\s\-_]*"


@dataclass(frozen=True)
class Found:
    """A barred word in a text.

    Attributes
    ----------
    entry
        What kind of word it is.
    word
        As it reads once nothing hides it.
    """

    entry: BarredWord
    word: str


def read_plainly(text: str) -> str:
    """Return a text as a reader takes it: one width and case, nothing invisible, no mark-up inside words.

    Examples
    --------
    >>> read_plainly("中考 状\\u200b **元**，ＴＯＰ  Ｓcorer")
    '中考状元,top scorer'
    """
    shown = unicodedata.normalize("NFKC", text).casefold()
    hidden = dict.fromkeys(ord(one) for one in set(shown) if one not in "\n\t" and _is_hidden(one))
    shown = shown.translate(hidden).translate(_same())
    shown = _BLANK_LINE.sub("\x1e", shown)
    shown = _BETWEEN.sub("", _INSIDE.sub("", shown))
    shown = re.sub(r"[^\S\x1e]+", " ", shown)
    return _LETTERS.sub(lambda found: re.sub(r"[^a-z]", "", found[0]), shown).replace("\x1e", "\n")


def _is_hidden(one: str) -> bool:
    """Say whether a character shows nothing, or is mark-up."""
    return unicodedata.category(one) in ("Cf", "Cc", "Mn", "Me") or one in _FILLERS + _MARKUP


@cache
def _same() -> dict[int, str]:
    return {ord(one): other for one, other in read_outward().same.items()}


def _readings(text: str) -> Iterator[str]:
    """Return a text as written and, where it has mark-up, as a page shows it."""
    yield read_plainly(text)
    if "<" in text or "&" in text:
        yield read_plainly(unescape(_TAG.sub("\n\n", _INLINE.sub("", text))))


@dataclass(frozen=True)
class _EntrySearch:
    """One entry made ready: words by parts that must be there, patterns, and what they are passed over in."""

    entry: BarredWord
    words: tuple[tuple[tuple[str, ...], re.Pattern[str]], ...]
    patterns: tuple[re.Pattern[str], ...]
    exceptions: tuple[re.Pattern[str], ...]

    def hits(self, shown: str) -> Iterator[re.Match[str]]:
        for needed, pattern in self.words:
            if all(part in shown for part in needed):
                yield from pattern.finditer(shown)
        for pattern in self.patterns:
            yield from pattern.finditer(shown)

    def excepted(self, hit: re.Match[str], shown: str) -> bool:
        return any(first < hit.end() and hit.start() < last for first, last in _around(hit, self.exceptions, shown))


def _search_word(word: str) -> tuple[tuple[str, ...], re.Pattern[str]]:
    plain = read_plainly(word)
    if not plain.isascii():
        return (plain,), re.compile(re.escape(plain))
    parts = re.split(r"[\s\-_]+", plain)
    first = rf"{re.escape(parts[0])}(?<![a-z]{re.escape(parts[0])})"  # the literal leads: far quicker than looking back first
    return tuple(parts), re.compile(rf"{_WORD_GAP.join((first, *(re.escape(part) for part in parts[1:])))}(?![a-z])")


@dataclass(frozen=True)
class Search:
    """The words of a file made ready to be looked for."""

    entries: tuple[_EntrySearch, ...]
    lawful: tuple[re.Pattern[str], ...]


def prepare_search(words: OutwardWords) -> Search:
    """Return words made ready to be looked for."""
    entries = tuple(
        _EntrySearch(
            entry,
            tuple(_search_word(word) for word in (*entry.zh, *entry.en)),
            tuple(re.compile(pattern) for pattern in entry.patterns),
            tuple(re.compile(pattern) for pattern in entry.except_),
        )
        for entry in words.words
    )
    return Search(entries, tuple(re.compile(pattern) for entry in words.lawful for pattern in entry.patterns))


@cache
def _shipped() -> Search:
    return prepare_search(read_outward())


def _around(hit: re.Match[str], patterns: Iterable[re.Pattern[str]], shown: str) -> Iterator[tuple[int, int]]:
    """Return where patterns match near a hit."""
    first, last = max(0, hit.start() - _NEAR), hit.end() + _NEAR
    return (found.span() for pattern in patterns for found in pattern.finditer(shown, first, last))


def _covers(hit: re.Match[str], spans: Iterable[tuple[int, int]]) -> bool:
    return any(first <= hit.start() and hit.end() <= last for first, last in spans)


def _named(hit: re.Match[str], shown: str, names: Iterable[str]) -> bool:
    """Say whether a hit is part of a longer name, such as that of a school."""
    for name in names:
        plain = read_plainly(name).strip()
        if hit[0] in plain and len(plain) > len(hit[0]):
            start = shown.find(plain, max(0, hit.end() - len(plain)), hit.start() + len(plain))
            if start >= 0:
                return True
    return False


def find_barred(text: str, *, edition: str, names: Iterable[str] = (), search: Search | None = None) -> list[Found]:
    """Return the words of a text that may not stand in an edition, each kind once.

    Parameters
    ----------
    text
        Plain text or mark-up.
    edition
        The audience; in the bureau's own edition nothing is barred.
    names
        Names of schools and places as registers have them: a word that is part of one is a fact, not a slogan.
    search
        What to look for (`prepare_search`); the shipped words by default.

    Examples
    --------
    >>> [found.word for found in find_barred("我区中考喜报：升 学 率 98%", edition="public")]
    ['喜报', '升学率']
    >>> find_barred("状元中学", edition="public", names=["状元中学"]), find_barred("不排名、不公布", edition="public")
    ([], [])
    """
    if edition not in OUTWARD_EDITIONS:
        return []
    wanted = _shipped() if search is None else search
    known = list(names)
    found: dict[str, Found] = {}
    for shown in _readings(text):
        for one in wanted.entries:
            if edition not in one.entry.barred or one.entry.id in found:
                continue
            for hit in one.hits(shown):
                inside = _around(hit, wanted.lawful, shown)
                if not (_covers(hit, inside) or one.excepted(hit, shown) or _named(hit, shown, known)):
                    found[one.entry.id] = Found(one.entry, hit[0])
                    break
    return list(found.values())
