"""Pairs and clusters: gaps, courses, spreads, sentences."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import eduq as eq
from eduq.errors import DataFileError, NotAssessableError, UsageError
from eduq.estimates.comparison import compare_pairs
from eduq.estimates.comparison.contrasts import contrast_with_group
from eduq.estimates.comparison.spread import measure_spread
from eduq.estimates.equity.course import fit_course


def county(pairs: int = 6, periods: int = 5, gap: float = 0.5, change: float = 0.0, seed: int = 2) -> pl.DataFrame:
    """Town schools (even) and village schools, ``gap`` apart at first and ``change`` less every year."""
    rng = np.random.default_rng(seed)
    rows = []
    for year in range(periods):
        for school in range(2 * pairs):
            town = school % 2 == 0
            n = int(rng.integers(40, 200))
            level = (gap - change * year) * town + rng.normal(0, 0.9 / np.sqrt(n))
            rows.append(
                (f"S{school:02d}", f"P{school // 2}", f"C{school % 3}", town, f"{2020 + year}-{2021 + year}", level, 0.9, n)
            )
    columns = ["school_id", "pair_id", "cluster", "town", "period", "estimate", "sd", "n"]
    return pl.DataFrame(rows, schema=columns, orient="row")


NEWEST = county().filter(pl.col("period") == "2024-2025")


def test_a_gap_is_welchs() -> None:
    found = eq.compare_pairs(NEWEST, pair="pair_id", strong="town").frame
    assert found.height == 6
    for line in found.iter_rows(named=True):
        one, other = (NEWEST.row(by_predicate=pl.col("school_id") == line[name], named=True) for name in ("school_id", "partner"))
        known = stats.ttest_ind_from_stats(
            one["estimate"], one["sd"], one["n"], other["estimate"], other["sd"], other["n"], equal_var=False
        )
        assert line["p_value"] == pytest.approx(known.pvalue, rel=1e-9)
        assert line["gap"] / line["std_error"] == pytest.approx(known.statistic, rel=1e-12)
        half = stats.t.ppf(0.975, line["df"]) * line["std_error"]
        assert (line["ci_lower"], line["ci_upper"]) == pytest.approx((line["gap"] - half, line["gap"] + half))
        assert line["method"] == "welch"
    order = np.argsort(found["p_value"].to_numpy())
    p = found["p_value"].to_numpy()[order]
    q = np.minimum(np.minimum.accumulate((6 * p / np.arange(1, 7))[::-1])[::-1], 1)
    assert found["q_value"].to_numpy()[order] == pytest.approx(q)


def test_who_comes_first_is_declared_or_by_id_and_never_by_the_data() -> None:
    village = NEWEST.with_columns(~pl.col("town"))
    by_id, declared = compare_pairs(village, pair="pair_id").frame, compare_pairs(village, pair="pair_id", strong="town").frame
    assert by_id["school_id"].to_list() == [f"S{2 * pair:02d}" for pair in range(6)]
    assert declared["school_id"].to_list() == [f"S{2 * pair + 1:02d}" for pair in range(6)]
    assert declared["gap"].to_list() == (-by_id["gap"]).to_list()
    assert declared["strong"].all()
    assert not by_id["strong"].any()


def test_one_strong_school_may_help_several_and_others_say_why_not() -> None:
    frame = NEWEST.with_columns(
        pair_id=pl.when(pl.col("school_id").is_in(["S00", "S01", "S03"]))
        .then(pl.lit("A"))
        .when(pl.col("school_id").is_in(["S05", "S07", "S09"]))
        .then(pl.lit("B"))
        .when(pl.col("school_id") == "S02")
        .then(pl.lit("C"))
        .when(pl.col("school_id").is_in(["S04", "S06"]))
        .then(pl.lit("D")),
        estimate=pl.when(pl.col("school_id") == "S06").then(None).otherwise("estimate"),
    )
    found = compare_pairs(frame, pair="pair_id", strong="town")
    assert [(line[0], line[1], line[2], line[-1]) for line in found.frame.iter_rows()] == [
        ("A", "S00", "S01", None),
        ("A", "S00", "S03", None),
        ("B", "S05", None, "strong_unclear"),
        ("B", "S07", None, "strong_unclear"),
        ("B", "S09", None, "strong_unclear"),
        ("C", "S02", None, "partner_missing"),
        ("D", "S04", "S06", "no_estimate"),
    ]
    left = found.frame.filter(pl.col("reason").is_not_null())
    assert left.select("gap", "std_error", "p_value", "q_value").null_count().row(0) == (5,) * 4
    assert found.frame["family_size"].unique().to_list() == [2]
    assert "not compared: the other has no results" in found.sentences("en")["sentence"][5]


def test_four_periods_give_a_slope_and_fewer_the_difference_of_the_ends() -> None:
    found = compare_pairs(county(change=0.1), pair="pair_id", strong="town", period="period")
    gaps = found.frame.filter(pl.col("pair_id") == "P3")
    course = fit_course(np.arange(2020.0, 2025.0), gaps["gap"].to_numpy(), gaps["std_error"].to_numpy())
    line = found.course.row(by_predicate=pl.col("pair_id") == "P3", named=True)
    assert (line["change"], line["periods"], line["first"], line["last"]) == ("slope", 5, "2020-2021", "2024-2025")
    assert (line["estimate"], line["std_error"], line["p_value"]) == pytest.approx(
        (course.slope, course.std_error, course.p_value)
    )
    three = county(periods=3)
    short = compare_pairs(three, pair="pair_id", strong="town", period="period")
    line = short.course.row(0, named=True)
    ends = short.frame.filter(pl.col("pair_id") == "P0").filter(pl.col("period") != "2021-2022")
    assert line["change"] == "difference"
    assert line["estimate"] == pytest.approx(ends["gap"][1] - ends["gap"][0])
    assert line["std_error"] == pytest.approx(np.hypot(*ends["std_error"].to_list()))
    shocked = compare_pairs(three, pair="pair_id", strong="town", period="period", var_shock=0.01).course.row(0, named=True)
    assert shocked["std_error"] ** 2 == pytest.approx(line["std_error"] ** 2 + 4 * 0.01)
    once = compare_pairs(NEWEST, pair="pair_id", period="period").course
    assert once["reason"].unique().to_list() == ["one_period"]
    assert once["estimate"].null_count() == 6
    assert compare_pairs(NEWEST, pair="pair_id").course.is_empty()


def test_a_missing_year_keeps_its_place_in_time() -> None:
    frame = county(periods=6).filter(~((pl.col("period") == "2022-2023") & (pl.col("school_id") == "S01")))
    found = compare_pairs(frame, pair="pair_id", strong="town", period="period")
    gaps = found.frame.filter(pl.col("pair_id") == "P0", pl.col("gap").is_not_null())
    course = fit_course(np.array([2020.0, 2021, 2023, 2024, 2025]), gaps["gap"].to_numpy(), gaps["std_error"].to_numpy())
    assert found.course.row(0, named=True)["estimate"] == pytest.approx(course.slope)
    missing = found.frame.filter(pl.col("pair_id") == "P0", pl.col("period") == "2022-2023").row(0, named=True)
    assert (missing["partner"], missing["reason"]) == (None, "partner_missing")


def test_members_of_an_cluster_against_its_mean() -> None:
    found = compare_pairs(NEWEST, cluster="cluster")
    part = NEWEST.filter(pl.col("cluster") == "C1").sort("school_id")
    x, n = part["estimate"].to_numpy(), part["n"].to_numpy().astype(float)
    gap, error = contrast_with_group(x, 0.9 / np.sqrt(n), n)
    own = found.frame.filter(pl.col("cluster") == "C1")
    assert own["gap"].to_numpy() == pytest.approx(gap)
    assert own["std_error"].to_numpy() == pytest.approx(error)
    assert own["partner"].null_count() == own.height
    assert found.spread is not None
    line = found.spread.row(by_predicate=pl.col("cluster") == "C1", named=True)
    assert line["mean"] == pytest.approx(float(n @ x / n.sum()))
    assert line["sd_raw"] ** 2 == pytest.approx(float(n @ (x - line["mean"]) ** 2 / n.sum()))
    assert line["sd"] < line["sd_raw"]
    assert line["range_lower"] <= line["range"] <= line["range_upper"]
    assert "the mean of the cluster" in found.sentences("en")["sentence"][0]


def test_intervals_of_spread_and_range_cover() -> None:
    """1,500 clusters of 8 units: the SD within four Monte-Carlo standard errors of .95, the range at least .95."""
    rng = np.random.default_rng(5)
    n = np.array([30.0, 40, 60, 80, 100, 120, 200, 400])
    error, truth = 0.9 / np.sqrt(n), rng.normal(0, 0.25, 8)
    share = n / n.sum()
    sd, apart = np.sqrt(share @ (truth - share @ truth) ** 2), truth.max() - truth.min()
    hits = np.zeros(2)
    for _ in range(1500):
        found = measure_spread(truth + error * rng.normal(size=8), error)
        hits += (found.sd_lower <= sd <= found.sd_upper, found.range_lower <= apart <= found.range_upper)
    slack = 4 * np.sqrt(0.95 * 0.05 / 1500)
    assert hits[0] / 1500 == pytest.approx(0.95, abs=slack)
    assert hits[1] / 1500 >= 0.95 - slack


def test_equal_units_have_no_spread() -> None:
    found = measure_spread(np.zeros(6), np.full(6, 0.1))
    assert (found.sd, found.sd_lower, found.range, found.range_lower) == (0, 0, 0, 0)
    assert found.range_upper > 0


def test_rates_get_newcombes_interval() -> None:
    frame = pl.DataFrame({"school_id": ["A", "B"], "pair_id": ["P", "P"], "estimate": [56 / 70, 48 / 80], "n": [70, 80]})
    line = compare_pairs(frame, pair="pair_id", rate=True).frame.row(0, named=True)
    # Newcombe (1998), Statistics in Medicine 17, 873-890, table II, example (a), method 10
    assert (round(line["ci_lower"], 4), round(line["ci_upper"], 4)) == (0.0524, 0.3339)
    assert line["method"] == "newcombe"


@settings(max_examples=15)
@given(st.permutations(range(60)))
def test_order_of_rows_changes_nothing(order: list[int]) -> None:
    frame = county()
    for options in ({"pair": "pair_id", "strong": "town"}, {"cluster": "cluster"}):
        one, other = (compare_pairs(rows, period="period", **options) for rows in (frame, frame[order]))  # type: ignore[arg-type]
        assert one.frame.equals(other.frame)
        assert one.course.equals(other.course)


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_no_indistinguishable_gap_is_called_one(lang: Any) -> None:
    words = {"zh": ("高于", "低于"), "en": (" above ", " below ")}[lang]
    changed = {"zh": ("在缩小", "在扩大", "换位"), "en": ("narrowing", "widening", "changed sides")}[lang]
    seen = set()
    for change in (0.0, 0.1, 0.2):
        found = compare_pairs(county(pairs=12, change=change), pair="pair_id", strong="town", period="period")
        said = found.sentences(lang)
        newest = found.frame.filter(pl.col("period") == "2024-2025")
        for line, course, sentence in zip(
            newest.iter_rows(named=True), found.course.iter_rows(named=True), said["sentence"].to_list(), strict=True
        ):
            assert any(word in sentence for word in words) == (line["q_value"] <= 0.05)
            assert any(word in sentence for word in changed) == (course["q_value"] <= 0.05)
            seen |= {line["q_value"] <= 0.05, (course["q_value"] <= 0.05,)}
    assert seen == {True, False, (True,), (False,)}


def test_a_stable_gap_is_rarely_called_changing() -> None:
    """1,200 courses of four years without change, with a cohort shock that nobody told of: p ≤ .05 in about one of twenty."""
    rng = np.random.default_rng(6)
    rows = [
        (f"{world:03d}{side}", world, year, float(rng.normal(0.3 * side, 0.14)), 0.1)
        for world in range(1200)
        for side in (0, 1)
        for year in range(4)
    ]
    frame = pl.DataFrame(rows, schema=["school_id", "pair_id", "period", "estimate", "std_error"], orient="row")
    found = compare_pairs(frame, pair="pair_id", period="period").course
    assert (found["p_value"] <= 0.05).mean() <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 1200)


def test_it_shows_itself() -> None:
    found = compare_pairs(county(), pair="pair_id", strong="town", period="period")
    assert "6 pairs" in found.summary()
    assert found._repr_html_().count("<table") == 2
    assert found.plot().as_dict()["layers"]
    alone = compare_pairs(NEWEST, cluster="cluster")
    assert alone.plot().as_dict()["layers"]
    assert "members of clusters" in alone.summary()


@pytest.mark.parametrize(
    ("change", "options", "error", "code"),
    [
        ({}, {}, UsageError, "pairs_option"),
        ({}, {"pair": "pair_id", "cluster": "cluster"}, UsageError, "pairs_option"),
        ({}, {"cluster": "cluster", "strong": "town"}, UsageError, "pairs_option"),
        ({}, {"pair": "absent"}, UsageError, "compare_column_missing"),
        ({}, {"pair": "pair_id", "var_shock": -1.0}, UsageError, "compare_pool_option"),
        ({"pair_id": pl.lit(None, pl.String)}, {"pair": "pair_id"}, NotAssessableError, "pairs_none"),
        ({"school_id": pl.lit("S")}, {"pair": "pair_id"}, DataFileError, "compare_duplicate"),
        ({"town": pl.lit("yes")}, {"pair": "pair_id", "strong": "town"}, DataFileError, "compare_value"),
        ({"gap": pl.col("pair_id")}, {"pair": "gap"}, UsageError, "compare_name_taken"),
    ],
)
def test_what_does_not_fit_stops(change: dict[str, pl.Expr], options: dict[str, Any], error: type[Exception], code: str) -> None:
    with pytest.raises(error, match=code):
        compare_pairs(NEWEST.with_columns(**change), **options)
