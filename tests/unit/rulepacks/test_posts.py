"""Heads are judged by the days they held the post, under every id their school has had."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest

from eduq.registers import Registers
from eduq.registers.model import EVENT_COLUMNS, HEAD_COLUMNS, SCHOOL_COLUMNS
from eduq.rulepacks.posts import Posts

DATES = {("G9", "2022-2023"): dt.date(2023, 6, 7), ("G9", "2023-2024"): dt.date(2024, 6, 5)}


def registers(renamed_on: dt.date, *heads: tuple[str, str, dt.date, dt.date | None]) -> Registers:
    return Registers(
        schools=pl.DataFrame([{"school_id": code, "name": code} for code in "AB"], schema=SCHOOL_COLUMNS),
        events=pl.DataFrame([(renamed_on, "rename", ["A"], ["B"])], schema=EVENT_COLUMNS, orient="row"),
        heads=pl.DataFrame([(head, "某", *rest) for head, *rest in heads], schema=HEAD_COLUMNS, orient="row"),
    )


@pytest.mark.parametrize("renamed_on", [dt.date(2023, 9, 1), dt.date(2024, 7, 1)])
@pytest.mark.parametrize("listed", ["A", "B"])
def test_a_rename_does_not_break_a_tenure(renamed_on: dt.date, listed: str) -> None:
    posts = Posts(registers(renamed_on, ("H1", listed, dt.date(2020, 9, 1), None)), DATES, "2023-2024")
    for school in "AB":
        assert posts.head_of(school, "G9") == "H1"
        assert posts.held(school, "G9", "2022-2023")


def test_a_head_who_came_a_day_late_has_no_such_year() -> None:
    days = (dt.date(2022, 9, 2), dt.date(2022, 9, 1))
    held = [
        Posts(registers(dt.date(2023, 9, 1), ("H1", "A", day, None)), DATES, "2023-2024").held("B", "G9", "2022-2023")
        for day in days
    ]
    assert held == [False, True]
