"""One error for everything of a kind that only a person can answer, with the lines to add to exam.toml."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from eduq.errors import DataFileError, Place
from eduq.intake.columns import IGNORE, UnknownColumn
from eduq.intake.parts import UnknownSymbol
from eduq.intake.synonyms import vocabulary
from eduq.locale import Lang, text
from eduq.tables import STATUSES

__all__ = ["Asked", "ask_about_columns", "ask_about_symbols", "paper_name"]

_SELDOM = 2
_NAME = re.compile(r"[\u4e00-\u9fff]{2,4}(?:·[\u4e00-\u9fff]{1,8})*")
_MARK = re.compile(r"[缺免缓弃违未扫考假病休退无零旷舞作不异删剔]")
_SCORE_IN_WORDS = re.compile(r"[零〇一二两三四五六七八九十百壹贰叁肆伍陆柒捌玖拾佰半点.\d]{2,}分?半?")
_SHOWN = 20
_LONGEST = 24


@dataclass(frozen=True)
class Asked:
    """One thing only a person can say; an error that asks carries all of its kind as ``params["asked"]``.

    Attributes
    ----------
    section, key
        Table and key of exam.toml that answer it.
    place
        Where it was met first.
    n
        How many cells or columns it concerns.
    about
        Codes of the papers it concerns.
    near
        A value that may be meant; never taken without being asked.
    """

    section: Literal["symbols", "columns"]
    key: str
    place: Place
    n: int
    about: tuple[str, ...] = ()
    near: str | None = None


def paper_name(code: str, lang: Lang) -> str:
    """Return the Chinese name of a paper's subject, or its code."""
    return vocabulary().subject_names.get(code, code) if lang == "zh" else code


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(char if char.isprintable() else " " for char in escaped) + '"'


def _shorten(lines: Sequence[str], lang: Lang) -> str:
    shown = list(lines[:_SHOWN])
    if len(lines) > _SHOWN:
        shown.append(text("questions.more", lang, n=len(lines) - _SHOWN))
    return "\n".join(shown)


def _is_private(symbol: str, met: Sequence[UnknownSymbol]) -> bool:
    """A score in words, and a word met once or twice that speaks of no absence (a name in a shifted row), are not repeated."""
    if _SCORE_IN_WORDS.fullmatch(symbol):
        return True
    return sum(one.n for one in met) <= _SELDOM and _NAME.fullmatch(symbol) is not None and _MARK.search(symbol) is None


def ask_about_symbols(symbols: Sequence[UnknownSymbol]) -> DataFileError:
    """Return the error that asks what cell texts mean: each with its count, papers and first place."""
    grouped: dict[str, list[UnknownSymbol]] = {}
    for symbol in symbols:
        grouped.setdefault(symbol.symbol, []).append(symbol)
    order = sorted(grouped, key=lambda symbol: (-sum(one.n for one in grouped[symbol]), symbol))

    def lines(lang: Lang) -> str:
        said = []
        for symbol in order:
            met = grouped[symbol]
            papers = text("place.joiner", lang).join(dict.fromkeys(paper_name(one.paper, lang) for one in met))
            shown = _quoted(symbol[:_LONGEST]) if symbol else text("questions.blank", lang)
            shown = text("questions.hidden", lang, n=len(symbol)) if _is_private(symbol, met) else shown
            n = sum(one.n for one in met)
            said.append(text("questions.symbol", lang, symbol=shown, n=n, papers=papers, place=met[0].place.describe(lang)))
        return _shorten(said, lang)

    statuses = ", ".join(status for status in STATUSES if status != "present")
    written = [symbol for symbol in order if not _is_private(symbol, grouped[symbol])]
    toml = [f'{_quoted(symbol)} = "?"   # {statuses}' for symbol in written[:_SHOWN]]
    asked = []
    for said in written:
        met = grouped[said]
        papers = tuple(dict.fromkeys(one.paper for one in met))
        asked.append(Asked("symbols", said, met[0].place, sum(one.n for one in met), papers))
    return _with_lists("unknown_symbols", lines, ["[symbols]", *toml], asked, n=len(order))


def ask_about_columns(columns: Sequence[UnknownColumn]) -> DataFileError:
    """Return the error that asks what columns of numbers mean."""
    unnamed = [column for column in columns if not column.written]
    if unnamed:
        return DataFileError("unnamed_column", unnamed[0].place, n=len(unnamed))
    first = {column.written: column for column in reversed(columns)}
    order = list(dict.fromkeys(column.written for column in columns))

    def lines(lang: Lang) -> str:
        said = []
        for written in order:
            column = first[written]
            near = text("questions.nearest", lang, near=column.nearest[0]) if column.nearest else ""
            said.append(text("questions.column", lang, place=column.place.describe(lang), near=near))
        return _shorten(said, lang)

    toml = []
    for written in order[:_SHOWN]:
        near = first[written].nearest
        toml.append(f'{_quoted(written)} = "{near[1] if near else "?"}"   # math, chinese, … / {IGNORE}')
    asked = []
    for written in order:
        near = first[written].nearest
        n = sum(column.written == written for column in columns)
        asked.append(Asked("columns", written, first[written].place, n, (), near[1] if near else None))
    return _with_lists("unknown_column", lines, ["[columns]", *toml], asked, n=len(order))


def _with_lists(code: str, lines: Callable[[Lang], str], toml: Sequence[str], asked: Sequence[Asked], *, n: int) -> DataFileError:
    return DataFileError(code, n=n, zh=lines("zh"), en=lines("en"), toml="\n".join(toml), asked=tuple(asked))
