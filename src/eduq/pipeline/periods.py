"""Periods of the cadence: a month, two months, a quarter, a term, a school year, as they are written and as days."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from typing import Literal

from eduq.disclosure.outward import refuse_product
from eduq.disclosure.products import PRODUCTS, Product
from eduq.errors import UsageError

__all__ = ["PERIOD_KINDS", "Period", "PeriodKind", "current_period", "parse_period"]

PeriodKind = Literal["month", "two_months", "quarter", "term", "year"]

PERIOD_KINDS: dict[Product, tuple[PeriodKind, ...]] = {
    "check": ("month",),
    "dispatch": ("two_months",),
    "quarterly": ("quarter",),
    "term": ("term",),
    "annual": ("year",),
    "government": ("year",),
    "research": ("year", "term", "quarter"),
    "school": ("term", "year", "quarter"),
    "school-packs": ("term", "year", "quarter"),
    "teacher": ("term", "year", "quarter"),
    "subject": ("term", "year", "quarter"),
}
"""Kinds of period a product can be made for, the usual one first."""

_YEAR_STARTS, _TERM_TWO_STARTS = 9, 2
"""Months in which the school year and its second term begin."""
_MONTH = re.compile(r"(\d{4})-(\d{2})")
_QUARTER = re.compile(r"(\d{4})Q([1-4])")
_YEAR = re.compile(r"(\d{4})-(\d{4})(?:-([12]))?")
_EXAMPLES = {"month": "2025-11", "two_months": "2025-10", "quarter": "2025Q4", "term": "2025-2026-1", "year": "2025-2026"}


@dataclass(frozen=True)
class Period:
    """A stretch of days that a product speaks about.

    Attributes
    ----------
    kind
        month, two_months, quarter, term or year (school year).
    text
        As it is written: ``2025-11`` (of two months the later one), ``2025Q4``, ``2025-2026-1``, ``2025-2026``.
    first, last
        Its first and its last day.
    """

    kind: PeriodKind
    text: str
    first: dt.date
    last: dt.date


def _shift(year: int, month: int, by: int) -> tuple[int, int]:
    months = 12 * year + month - 1 + by
    return months // 12, months % 12 + 1


def _span(kind: PeriodKind, text: str, start: tuple[int, int], months: int) -> Period:
    """Return the period of so many months from a month on."""
    end = dt.date(*_shift(*start, months), 1) - dt.timedelta(days=1)
    return Period(kind, text, dt.date(*start, 1), end)


def _month(kind: PeriodKind, year: int, month: int) -> Period:
    length = 2 if kind == "two_months" else 1
    return _span(kind, f"{year:04}-{month:02}", _shift(year, month, 1 - length), length)


def _quarter(year: int, number: int) -> Period:
    return _span("quarter", f"{year:04}Q{number}", (year, 3 * number - 2), 3)


def _school_year(start: int) -> Period:
    return _span("year", f"{start:04}-{start + 1:04}", (start, _YEAR_STARTS), 12)


def _term(start: int, number: int) -> Period:
    first = 12 - _YEAR_STARTS + _TERM_TWO_STARTS
    month, length = ((start, _YEAR_STARTS), first) if number == 1 else ((start + 1, _TERM_TWO_STARTS), 12 - first)
    return _span("term", f"{start:04}-{start + 1:04}-{number}", month, length)


def _read(text: str, product: Product) -> Period | None:
    kinds = PERIOD_KINDS[product]
    if (found := _MONTH.fullmatch(text)) and 1 <= int(found[2]) <= 12:
        kind: PeriodKind = "two_months" if "two_months" in kinds else "month"
        return _month(kind, int(found[1]), int(found[2])) if int(found[1]) > 1 else None
    if found := _QUARTER.fullmatch(text):
        return _quarter(int(found[1]), int(found[2])) if int(found[1]) else None
    if (found := _YEAR.fullmatch(text)) and int(found[2]) == int(found[1]) + 1 and 0 < int(found[1]) < 9998:
        return _school_year(int(found[1])) if found[3] is None else _term(int(found[1]), int(found[3]))
    return None


def parse_period(text: str, product: Product) -> Period:
    """Return the period that is meant by what is written.

    Parameters
    ----------
    text
        ``2025-11`` for check (that month) and dispatch (the two months that end with it), ``2025Q4`` for quarterly,
        ``2025-2026-1`` for term, ``2025-2026`` (1 September to 31 August) for annual and government. Research and
        the products for schools, teachers and subjects take a quarter, a term or a school year.
    product
        What is made.

    Returns
    -------
    Period
        The first term lasts from 1 September to the end of January, the second to 31 August.

    Raises
    ------
    UsageError
        ``product_unknown``; ``period_unfit``: not a period, or not one of that product.

    Examples
    --------
    >>> parse_period("2025-11", "dispatch").first
    datetime.date(2025, 10, 1)
    >>> parse_period("2025-2026-1", "term").last
    datetime.date(2026, 1, 31)
    """
    _refuse_unknown(product)
    kinds = PERIOD_KINDS[product]
    try:
        found = _read(text.strip(), product)
    except ValueError:  # the calendar of dates ends with the year 9999
        found = None
    if found is None or found.kind not in kinds:
        examples = ", ".join(_EXAMPLES[kind] for kind in kinds)
        raise UsageError("period_unfit", product=product, period=text, examples=examples)
    return found


def current_period(product: Product, today: dt.date) -> Period:
    """Return the last complete period of a product before a day.

    Of the months in pairs each ends with an even month (双月), so that the pairs of a year neither overlap nor leave a gap.

    Raises
    ------
    UsageError
        ``product_unknown``.

    Examples
    --------
    >>> current_period("quarterly", dt.date(2026, 1, 1)).text, current_period("dispatch", dt.date(2026, 1, 1)).text
    ('2025Q4', '2025-12')
    """
    _refuse_unknown(product)
    kind = PERIOD_KINDS[product][0]
    year, month = today.year, today.month
    if kind in ("month", "two_months"):
        back = -1 if kind == "month" or month % 2 else -2
        return _month(kind, *_shift(year, month, back))
    if kind == "quarter":
        before = _shift(year, 3 * ((month - 1) // 3) + 1, -1)
        return _quarter(before[0], before[1] // 3)
    start = year if month >= _YEAR_STARTS else year - 1
    if kind == "year":
        return _school_year(start - 1)
    return _term(start, 1) if _TERM_TWO_STARTS <= month < _YEAR_STARTS else _term(start - 1, 2)


def _refuse_unknown(product: str) -> None:
    if product not in PRODUCTS:
        refuse_product(product)
        raise UsageError("product_unknown", product=product, known=", ".join(PRODUCTS))
