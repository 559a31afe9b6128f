"""Periods of the cadence as days, and which one is the last complete one."""

from __future__ import annotations

import datetime as dt
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eduq.disclosure.products import PRODUCTS, Product
from eduq.errors import UsageError
from eduq.pipeline.periods import PERIOD_KINDS, current_period, parse_period

DAYS = st.dates(dt.date(2000, 1, 1), dt.date(2100, 12, 31))


@pytest.mark.parametrize(
    ("product", "text", "first", "last"),
    [
        ("check", "2025-11", "2025-11-01", "2025-11-30"),
        ("check", "2024-02", "2024-02-01", "2024-02-29"),
        ("dispatch", "2025-11", "2025-10-01", "2025-11-30"),
        ("dispatch", "2026-01", "2025-12-01", "2026-01-31"),
        ("quarterly", "2025Q4", "2025-10-01", "2025-12-31"),
        ("quarterly", "2026Q1", "2026-01-01", "2026-03-31"),
        ("term", "2025-2026-1", "2025-09-01", "2026-01-31"),
        ("term", "2025-2026-2", "2026-02-01", "2026-08-31"),
        ("annual", "2025-2026", "2025-09-01", "2026-08-31"),
        ("government", "2025-2026", "2025-09-01", "2026-08-31"),
        ("research", "2025Q4", "2025-10-01", "2025-12-31"),
    ],
)
def test_a_period_is_its_days(product: Product, text: str, first: str, last: str) -> None:
    found = parse_period(text, product)
    assert (found.text, found.first.isoformat(), found.last.isoformat()) == (text, first, last)


@pytest.mark.parametrize(
    ("product", "text"),
    [
        ("quarterly", "2025Q5"), ("quarterly", "2025-11"), ("check", "2025-13"), ("check", "2025-00"), ("check", "2025-1"),
        ("check", "2025Q4"), ("term", "2025-2026"), ("term", "2025-2026-3"), ("annual", "2025-2027"), ("annual", "2025"),
        ("annual", "9999-10000"), ("dispatch", "0000-01"), ("dispatch", "0001-01"), ("check", "9999-12"), ("quarterly", ""),
    ],
)  # fmt: skip
def test_what_is_no_period_of_a_product_stops(product: Product, text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_period(text, product)
    assert caught.value.code == "period_unfit"


@given(DAYS, st.sampled_from(PRODUCTS))
def test_the_last_complete_period_ended_before_the_day_and_the_next_has_not(today: dt.date, product: Product) -> None:
    found = current_period(product, today)
    assert found.last < today
    assert found.kind == PERIOD_KINDS[product][0]
    assert parse_period(found.text, product) == found
    following = current_period(product, found.last + dt.timedelta(days=1))
    assert following == found
    assert today - found.last <= dt.timedelta(
        days={"month": 31, "two_months": 62, "quarter": 92, "term": 213, "year": 366}[found.kind]
    )


@given(st.sampled_from(PRODUCTS), st.integers(2001, 2090))
def test_periods_follow_each_other_without_gap_or_overlap(product: Product, year: int) -> None:
    days = [dt.date(year, 1, 1) + dt.timedelta(days=7 * week) for week in range(130)]
    found = list(dict.fromkeys(current_period(product, day) for day in days))
    assert len(found) > 1
    for one, following in pairwise(found):
        assert following.first == one.last + dt.timedelta(days=1)


def test_an_unknown_product_stops() -> None:
    with pytest.raises(UsageError) as caught:
        current_period("weekly", dt.date(2026, 1, 1))  # type: ignore[arg-type]
    assert caught.value.code == "product_unknown"
