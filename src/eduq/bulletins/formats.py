"""Raw numbers of the bulletin context to printed words: signs, decimals, intervals, dates, sentences.

Every printed number passes here, so that all documents and both languages agree.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from eduq.locale import Lang, has_text, text

__all__ = [
    "MINUS",
    "NUMBER_FORMS",
    "STATE_SIGNS",
    "STATE_WORDS",
    "clauses",
    "counted",
    "format_date",
    "format_number",
    "format_value",
    "joined",
    "measure_kind",
    "phrase",
    "round_half_up",
    "say",
    "typed",
]

MINUS = "\u2212"
_DASH = "\u00a0\u2014\u00a0"
_EN_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)

NUMBER_FORMS: dict[str, tuple[int, bool, float]] = {
    "count": (0, False, 1),
    "score": (1, False, 1),
    "full": (0, False, 1),
    "percent": (1, False, 100),
    "rate": (1, False, 100),
    "change": (1, True, 100),
    "gap": (2, True, 1),
    "gap3": (3, True, 1),
    "number2": (2, False, 1),
    "number1": (1, False, 1),
    "number3": (3, False, 1),
    "number4": (4, False, 1),
    "level": (0, False, 100),
}
"""Kind of a number: decimals, always signed, factor. ``percent`` is followed by the sign %; of ``rate`` the head has it."""

STATE_WORDS = {"target": "bulletin.targets.state", "direction": "bulletin.direction"}
"""Kinds of cells that hold a state, and where the words of their states stand."""
STATE_SIGNS = {
    "reached": "●",
    "undecided": "◎",
    "not_reached": "○",
    "rising": "↑",
    "falling": "↓",
    "unclear": "◇",
    "too_little": "□",
}
"""The sign before the word of a state where no icon is drawn: in Word, PDF, Markdown and tables; all are in GB 2312."""

_MEASURE_KINDS = {
    "mean_score": "score",
    "median": "score",
    "q1": "score",
    "q3": "score",
    "sd": "score",
    "score_rate": "rate",
    "cv": "number3",
    "school_cv": "number3",
    "mean_ratio": "number3",
    "above_mean_ratio": "change",
    "t_mean": "number1",
    "percentile_rank": "number1",
    "z_mean": "gap",
    "composite_z": "gap",
    "composite_penalised": "gap",
}
_DIGITS = 12
"""Significant digits of a computed number that are meant; what lies beyond is the machine's and must not decide a rounding."""


def measure_kind(measure: str, definition: Mapping[str, Any] | None = None) -> str:
    """Return how values of a measure are printed; a local measure follows the kind of its definition."""
    if measure in _MEASURE_KINDS:
        return _MEASURE_KINDS[measure]
    kind = (definition or {}).get("kind", "proportion")
    kinds = {"proportion": "rate", "mean": "score", "spread": "score", "quantile": "score", "standardised": "gap"}
    return kinds.get(kind, "number2")


def round_half_up(value: float | int, decimals: int = 0) -> Decimal:
    """Return a number rounded half away from zero on its decimal value (四舍五入).

    Examples
    --------
    >>> str(round_half_up(100 / 80, 1)), str(round_half_up(100 * 23 / 80, 1)), str(round_half_up(-0.125, 2))
    ('1.3', '28.8', '-0.13')
    """
    meant = Decimal(value) if isinstance(value, int) else Decimal(f"{value:.{_DIGITS}g}")
    return meant.quantize(Decimal(1).scaleb(-decimals), rounding=ROUND_HALF_UP)


def format_number(value: float | int, decimals: int = 0, *, signed: bool = False) -> str:
    """Return a number, rounded half away from zero, with thousands separators and a true minus sign.

    A signed zero carries no sign.

    Examples
    --------
    >>> format_number(-1234.56, 1)
    '−1,234.6'
    >>> format_number(0.004, 2, signed=True)
    '0.00'
    """
    body = f"{abs(round_half_up(value, decimals)):,.{decimals}f}"
    if not any(digit in body for digit in "123456789"):
        return body
    if value < 0:
        return MINUS + body
    return "+" + body if signed else body


def _one(value: float | int, kind: str) -> str:
    decimals, signed, factor = NUMBER_FORMS[kind]
    scaled = value * factor
    if kind == "full" and not float(scaled).is_integer():
        decimals = 1
    shown = format_number(scaled, decimals, signed=signed)
    return shown + "%" if kind in ("percent", "level") else shown


def _bound(value: float, kind: str) -> str:
    """Print a bound so that one beside zero does not look like zero: it says on which side it lies."""
    decimals, signed, factor = NUMBER_FORMS[kind]
    scaled = value * factor
    if signed and 0 < abs(scaled) < 0.5 * 10**-decimals:
        decimals = next((more for more in (decimals + 1, decimals + 2) if abs(scaled) >= 0.5 * 10**-more), decimals)
        return format_number(scaled, decimals, signed=True)
    return _one(value, kind)


def format_date(value: str | dt.date, lang: Lang) -> str:
    """Return an ISO date as it is written in the language.

    Examples
    --------
    >>> format_date("2026-01-05", "zh")
    '2026年1月5日'
    >>> format_date("2026-01-05", "en")
    '5 January 2026'
    """
    date = dt.date.fromisoformat(value) if isinstance(value, str) else value
    if lang == "zh":
        return f"{date.year}年{date.month}月{date.day}日"
    return f"{date.day} {_EN_MONTHS[date.month - 1]} {date.year}"


def typed(value: Any, kind: str) -> dict[str, Any]:
    """Return a raw value together with how it is to be printed."""
    return {"value": value, "kind": kind}


def phrase(key: str, **params: Any) -> dict[str, Any]:
    """Return a sentence of the wording files with raw parameters, to be said by `say`."""
    return {"key": key, "params": params}


def counted(noun: str, n: int) -> dict[str, Any]:
    """Return a number with its noun, in the number the language asks for: 1 file, 2 files."""
    return phrase(f"bulletin.count.{noun}{'_one' if n == 1 else ''}", n=n)


def joined(said: list[Any], by: str) -> dict[str, Any]:
    """Return parts that `say` joins by a sign of their own."""
    return {"joined": said, "by": by}


def clauses(said: list[Any]) -> dict[str, Any]:
    """Return sentences that `say` joins as clauses (with ；) rather than as words of a list."""
    return {"clauses": said}


def format_value(value: Any, kind: str, lang: Lang) -> str:
    """Return one raw value as printed.

    Parameters
    ----------
    value
        A number, text, a pair (interval), a phrase, None, or ``{"reason": code}`` for a number that cannot be given.
    kind
        ``text``, ``date``, ``words``, ``judged`` (above, below, same), ``target`` (state of a target), ``direction`` (of a
        course), ``base`` (present and expected), one of the number kinds, or ``interval_<number kind>``.
    lang
        Language of the document.
    """
    if value is None:
        return text("bulletin.cell.nothing", lang)
    if isinstance(value, Mapping):
        if "reason" in value:
            key = f"bulletin.cell.reason.{value['reason']}"
            return text(key if has_text(key) else "bulletin.cell.nothing", lang)
        return say(value, lang)
    if kind == "judged" and value:
        return text(f"bulletin.judged.{value}", lang)
    if kind in STATE_WORDS:
        word = text(f"{STATE_WORDS[kind]}.{value}", lang)
        return f"{STATE_SIGNS[value]} {word}" if value in STATE_SIGNS else word
    if kind == "date":
        return format_date(value, lang)
    if kind in ("text", "words") or isinstance(value, str):
        return str(value)
    if kind == "base":
        return " / ".join(format_number(part) for part in value)
    if kind.startswith("interval_"):
        return _DASH.join(_bound(part, kind[9:]) for part in value)
    if isinstance(value, float) and not math.isfinite(value):
        return text("bulletin.cell.nothing", lang)
    return _one(value, kind)


def say(said: Any, lang: Lang, escape: Callable[[str], str] = str) -> str:
    """Return a phrase as a sentence.

    Parameters
    ----------
    said
        Plain text, a phrase, a typed value, a number (printed as a count) or a list of these (joined as the language does).
    lang
        Language of the document.
    escape
        Applied to every text that comes from data, not to the wording itself, whose ``**words**`` are emphasis.
    """
    if isinstance(said, Mapping):
        if "key" in said:
            params = {name: say(value, lang, escape) for name, value in said["params"].items()}
            return text(said["key"], lang, **params)
        if "joined" in said:
            return str(said["by"]).join(say(part, lang, escape) for part in said["joined"])
        if "clauses" in said:
            return text("bulletin.clause_joiner", lang).join(say(part, lang, escape) for part in said["clauses"])
        return escape(format_value(said["value"], said["kind"], lang))
    if isinstance(said, (list, tuple)):
        return text("bulletin.list_joiner", lang).join(say(part, lang, escape) for part in said)
    if isinstance(said, (int, float)):
        return format_value(said, "count", lang)
    return escape(str(said))
