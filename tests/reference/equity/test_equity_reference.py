"""Equity against independent references: base R from the formulas, lme4, metafor (answers.R), and figures worked by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import eduq as eq
from eduq.estimates.equity.course import fit_course

HERE = Path(__file__).parent
PUPILS = pl.read_csv(HERE / "pupils.csv")
ANSWERS: dict[str, dict[str, Any]] = json.loads((HERE / "answers.json").read_text())
CASES = ["wide", "narrow"]
PLAIN = [name for name, answer in ANSWERS["wide"].items() if len(answer) == 1]


def measured(case: str) -> Any:
    return eq.measure_equity(
        PUPILS.filter(pl.col("case") == case), unit="school", value="score", unit_attributes=["area"], pupil_attributes=["sex"]
    )


FOUND = {case: measured(case) for case in CASES}


def line(case: str, index: str, **where: str) -> dict[str, Any]:
    return FOUND[case].frame.filter(index=index, **where).row(0, named=True)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("index", PLAIN)
def test_point_values(case: str, index: str) -> None:
    assert line(case, index)["value"] == pytest.approx(ANSWERS[case][index][0], rel=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_variance_share_and_its_interval_by_the_noncentral_f(case: str) -> None:
    found, (value, low, high) = line(case, "between_school_share"), ANSWERS[case]["between_school_share"]
    assert found["value"] == pytest.approx(value, rel=1e-9)
    assert found["ci_lower"] == pytest.approx(low, rel=1e-6, abs=1e-12)
    assert found["ci_upper"] == pytest.approx(high, rel=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_intraclass_correlation_by_lme4_and_thomas_hultquist(case: str) -> None:
    found, (value, low, high) = line(case, "icc"), ANSWERS[case]["icc"]
    assert found["value"] == pytest.approx(value, rel=1e-6)
    assert (found["ci_lower"], found["ci_upper"]) == pytest.approx((low, high), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_theil_splits_between_and_within_kinds_of_schools(case: str) -> None:
    between, within = (line(case, f"theil_groups_{part}", attribute="area")["value"] for part in ("between", "within"))
    assert (between, within) == pytest.approx(tuple(ANSWERS[case]["theil_groups"]), rel=1e-9)
    assert between + within == pytest.approx(line(case, "theil_raw")["value"], abs=1e-12)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(
    ("index", "attribute", "answer"),
    [("gap", "area", "town_gap"), ("gap", "sex", "sex_gap"), ("gap_within_units", "sex", "sex_gap_within")],
)
def test_gaps(case: str, index: str, attribute: str, answer: str) -> None:
    sides = ("rural", "town") if attribute == "area" else ("female", "male")
    found = line(case, index, attribute=attribute, group=sides[0], reference=sides[1])
    figures = [found[name] for name in ("value", "std_error", "ci_lower", "ci_upper")]
    assert figures == pytest.approx(ANSWERS[case][answer], rel=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_lowest_part(case: str) -> None:
    bottom = FOUND[case].bottom
    assert bottom["threshold"].unique().to_list() == [ANSWERS[case]["bottom"][0]]
    assert line(case, "bottom_share")["value"] == pytest.approx(ANSWERS[case]["bottom"][1])


def test_course_equals_a_meta_regression() -> None:
    times, values = np.array([2019, 2020, 2021, 2023, 2024.0]), np.array([0.21, 0.16, 0.19, 0.12, 0.15])
    found = fit_course(times, values, np.array([0.02, 0.015, 0.02, 0.01, 0.02]))
    figures = [found.slope, found.std_error, found.ci_lower, found.ci_upper, found.p_value]
    assert figures == pytest.approx(ANSWERS["course"]["slope"], rel=1e-6)
    assert found.extra_variance == pytest.approx(ANSWERS["course"]["extra_variance"][0], rel=1e-6)


def test_published_resource_coefficient_is_a_census_without_interval() -> None:
    pupils, books = [45, 37, 89, 76, 55], [279, 137, 935, 160, 402]
    frame = pl.DataFrame({"school": list("ABCDE"), "pupils": pupils, "each": [b / p for b, p in zip(books, pupils, strict=True)]})
    found = eq.measure_equity(frame, unit="school", n="pupils", mean="each").frame
    row = found.filter(index="weighted_cv").row(0, named=True)
    assert (round(row["value"], 3), row["ci_lower"], row["method"], row["reason"]) == (0.515, None, "census", "census")
    assert row["n_units"] == 5
    assert set(found["index"]) == {"weighted_cv", "cv", "gini", "theil", "range_ratio", "range_rate"}
