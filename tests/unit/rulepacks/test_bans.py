"""A ban means the same on a single fact, as cases and lint hold it, and on what an archive holds."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import polars as pl
import pytest

from eduq.registers import Registers
from eduq.rulepacks.bans import breaks_ban
from eduq.rulepacks.forms import Ban
from eduq.rulepacks.guards import check_bans
from eduq.rulepacks.reading import load_rulepack

TARGETS = [
    ("T1", "school", "S001", "promotion_rate"),
    ("T2", "teacher", "T0001", "line_rate"),
    ("T3", "school", "S001", "pass_rate"),
    ("T4", "area", None, "line_completion"),
]
EXAMS = [
    (f"e{number:02}", year_group, scope, "mock" if year_group in ("G9", "S3") else "monitoring", "2025-2026")
    for number, (year_group, scope) in enumerate(
        (year_group, scope) for year_group in ("G1", "G2", "G6", "G8", "G9", "S2", "S3") for scope in ("school", "county", "city")
    )
]


@dataclass(frozen=True)
class Holds:
    """An archive reduced to its registers."""

    held: Registers

    def registers(self) -> Registers:
        return self.held


def bans(code: str) -> list[Ban]:
    national = load_rulepack("national", as_of=dt.date(2026, 8, 31))
    return [ban for rule in national.in_force() for ban in rule.walk() if isinstance(ban, Ban) and ban.of == code]


@pytest.fixture(scope="module")
def held() -> Holds:
    schema = {"target_id": pl.String, "unit_type": pl.String, "unit_id": pl.String, "measure": pl.String}
    targets = pl.DataFrame(TARGETS, schema=schema, orient="row").with_columns(pl.lit(None, pl.String).alias("subject"))
    return Holds(Registers(schools=pl.DataFrame(), targets=targets))


@pytest.fixture(scope="module")
def exams() -> pl.DataFrame:
    return pl.DataFrame(EXAMS, schema=["exam_id", "year_group", "scope", "purpose", "school_year"], orient="row")


def test_targets(held: Holds, exams: pl.DataFrame) -> None:
    (ban,) = bans("promotion_target")
    found = {one.thing: one.met for one in check_bans(ban, held, exams)}  # type: ignore[arg-type]
    assert found == {name: breaks_ban(ban, {"unit_type": kind, "measure": measure}) for name, kind, _, measure in TARGETS}
    assert found == {"T1": True, "T2": True, "T3": False, "T4": False}


@pytest.mark.parametrize("code", ["low_grade_paper_exam", "cross_school_exam"])
def test_exams(held: Holds, exams: pl.DataFrame, code: str) -> None:
    for ban in bans(code):
        found = {one.thing: one.met for one in check_bans(ban, held, exams)}  # type: ignore[arg-type]
        assert found == {row["exam_id"]: breaks_ban(ban, row) for row in exams.iter_rows(named=True)}
        assert 0 < sum(found.values()) < len(found)


def test_mocks(held: Holds, exams: pl.DataFrame) -> None:
    junior, senior = bans("too_many_mocks")
    broken = [[one.year_group for one in check_bans(ban, held, exams) if one.met] for ban in (junior, senior)]  # type: ignore[arg-type]
    assert broken == [["G9"], ["S3"]]
    assert [breaks_ban(junior, {"year_group": "G9", "mocks": number}) for number in (1, 2, 3)] == [False, False, True]
