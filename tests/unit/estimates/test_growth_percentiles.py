"""Growth percentiles per pupil and unit: order of rows, small units, options, projections."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eduq.errors import EduqError, NotAssessableError, UsageError
from eduq.estimates.growth import estimate_growth
from eduq.estimates.growth.percentile import PercentileGrowth
from eduq.estimates.growth.percentile_units import median_intervals

COLUMNS = {"outcome": "after", "prior": ["before"], "unit": "school"}


def pupils(n: int = 600, seed: int = 1, schools: int = 12) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    ability = rng.normal(size=n)
    school = rng.integers(0, schools, n)
    return pl.DataFrame(
        {
            "name": [f"p{place}" for place in range(n)],
            "school": [f"S{place:02d}" for place in school],
            "before": np.rint(60 + 15 * ability + 6 * rng.normal(size=n)),
            "after": np.rint(60 + 15 * ability + 6 * rng.normal(size=n) + school - schools / 2),
        }
    )


def fit(frame: pl.DataFrame, **options: Any) -> PercentileGrowth:
    found = estimate_growth(frame, method="percentile", **{**COLUMNS, **options})
    assert isinstance(found, PercentileGrowth)
    assert found.candidates is not None
    return found


def test_percentiles_are_uniform_over_all_pupils_and_follow_the_school() -> None:
    found = fit(pupils(3000))
    given = found.candidates["growth_percentile"]
    assert given.min() >= 1
    assert given.max() <= 99
    assert given.mean() == pytest.approx(50, abs=1.5)
    assert given.std() == pytest.approx(29, abs=1.5)
    # schools S00 to S11 add one mark more each
    assert found.frame.select(pl.corr("estimate", pl.int_range(pl.len()), method="spearman")).item() > 0.9
    assert found.frame["reliability"].min() > 0.8


def test_candidates_keep_the_callers_rows_and_blank_scores_have_no_percentile() -> None:
    frame = pupils().with_columns(
        before=pl.when(pl.int_range(pl.len()) % 50 == 0).then(None).otherwise("before"),
        after=pl.when(pl.int_range(pl.len()) % 70 == 3).then(float("nan")).otherwise("after"),
    )
    found = fit(frame)
    assert found.candidates.drop("growth_percentile").equals(frame)
    blank = frame["before"].is_null() | frame["after"].is_nan()
    assert found.candidates["growth_percentile"].is_null().equals(blank.alias("growth_percentile"))
    coverage = found.tables["coverage"]
    assert coverage["n_listed"].sum() == frame.height
    assert coverage["n"].sum() == frame.height - blank.sum() == found.frame["n"].sum()


def test_order_of_rows_changes_nothing() -> None:
    frame = pupils()
    order = np.random.default_rng(5).permutation(frame.height)
    first, second = fit(frame), fit(frame[order])
    assert first.frame.equals(second.frame)
    assert first.candidates[order].equals(second.candidates)


def test_median_its_interval_and_error_per_school() -> None:
    frame = pupils()
    found = fit(frame)
    line = found.frame.row(3, named=True)
    own = np.sort(found.candidates.filter(pl.col("school") == line["school"])["growth_percentile"].to_numpy())
    assert line["n"] == len(own)
    assert line["estimate"] == np.median(own)
    assert line["ci_lower"] in own
    assert line["ci_lower"] < line["estimate"] < line["ci_upper"]
    assert 0.95 <= line["coverage"] < 0.99
    assert line["mean"] == pytest.approx(own.mean())
    assert line["mean_se"] == pytest.approx(own.std(ddof=1) / np.sqrt(len(own)))
    assert line["std_error"] == pytest.approx(line["mean_se"] * 1.25, rel=0.6)


def test_order_statistic_ranks_are_those_of_the_sign_test() -> None:
    # n = 10: the 2nd and 9th values, coverage .9785
    values = np.arange(1.0, 11.0)
    median, low, high, coverage = median_intervals(values, np.array([0]), np.array([10]), 0.95)
    assert (median[0], low[0], high[0]) == (5.5, 2.0, 9.0)
    assert coverage[0] == pytest.approx(1 - 22 / 1024)


def test_small_schools_have_no_numbers() -> None:
    frame = pupils().with_columns(
        school=pl.when(pl.int_range(pl.len()) < 9)
        .then(pl.lit("small"))
        .when(pl.int_range(pl.len()) < 19)
        .then(pl.lit("ten"))
        .otherwise("school")
    )
    rows = {line["school"]: line for line in fit(frame).frame.iter_rows(named=True)}
    small = rows["small"]
    assert (small["n"], small["reason"]) == (9, "n_below_min")
    hidden = ("estimate", "std_error", "ci_lower", "ci_upper", "coverage", "reliability", "mean", "mean_se", "prior_mean")
    assert all(small[name] is None for name in (*hidden, "unmatched_prior_z"))
    assert rows["ten"]["estimate"] is not None
    assert rows["ten"]["reason"] is None
    assert fit(frame, min_n=9).frame.filter(pl.col("school") == "small")["estimate"].item() is not None


def test_defaults_and_declared_knots() -> None:
    frame = pupils()
    before = frame["before"].to_numpy()
    found = fit(frame)
    assert found.settings["knots"]["before"] == sorted({*np.quantile(before, [0.2, 0.4, 0.6, 0.8])})
    spread = np.ptp(before) / 10
    assert found.settings["boundaries"]["before"] == [before.min() - spread, before.max() + spread]
    declared = fit(frame, knots={"before": [50, 70]}, boundaries={"before": [-50, 200]})
    assert declared.tables["knots"].row(0) == ("before", [50.0, 70.0], -50.0, 200.0)
    assert declared.tables["checks"]["n_columns"].item() == 6


def test_a_prior_with_few_scores_and_a_repeated_prior_still_work() -> None:
    frame = pupils().with_columns(third=(pl.col("before") / 25).floor(), again=pl.col("before"))
    few = fit(frame, prior=["third"])
    assert few.tables["checks"]["n_dropped"].item() > 0
    assert few.tables["quantiles"]["gap"].abs().max() < 1e-9
    one, twice = fit(frame), fit(frame, prior=["before", "again"])
    assert twice.tables["checks"]["n_dropped"].item() == 7
    assert one.candidates.equals(twice.candidates)


def test_two_priors_explain_more_than_one() -> None:
    frame = pupils(1500)
    frame = frame.with_columns(earlier=(pl.col("before") + pl.col("after")) // 2)
    one, two = fit(frame), fit(frame, prior=["before", "earlier"])
    assert two.tables["quantiles"]["objective"].sum() < 0.7 * one.tables["quantiles"]["objective"].sum()


def test_projection_is_the_fan_of_the_fitted_quantiles() -> None:
    frame = pupils()
    found = fit(frame)
    ahead = pl.DataFrame({"who": ["a", "b", "c"], "before": [40.0, None, 80.0]})
    fan = found.project(ahead, percentiles=[10, 50, 90])
    assert fan.columns == ["who", "before", "projected_10", "projected_50", "projected_90"]
    assert fan["projected_50"].is_null().to_list() == [False, True, False]
    low, _, high = fan.drop("who", "before").rows()
    assert low[0] < low[1] < low[2] < high[2]
    assert low[1] < high[1]
    # about half of this cohort's pupils are above their own projected median
    own = found.project(frame, percentiles=[50])
    assert (own["after"] > own["projected_50"]).mean() == pytest.approx(0.5, abs=0.03)
    with pytest.raises(UsageError, match="growth_option"):
        found.project(ahead, percentiles=[0])
    with pytest.raises(UsageError, match="growth_column_missing"):
        found.project(ahead.drop("before"))


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"knots": {"other": [50]}}, "growth_knots"),
        ({"knots": {"before": [50, 50]}}, "growth_knots"),
        ({"knots": {"before": [5000]}}, "growth_knots"),
        ({"boundaries": {"before": [50, 60]}}, "growth_knots"),
        ({"obtainable": (0, 50)}, "growth_option"),
        ({"min_n": 0}, "growth_option"),
        ({"prior": []}, "growth_option"),
        ({"unit": "estimate"}, "growth_name_taken"),
    ],
)
def test_what_makes_no_sense_stops(options: dict[str, Any], code: str) -> None:
    with pytest.raises(EduqError) as error:
        fit(pupils().with_columns(estimate="school"), **options)
    assert error.value.code == code


def test_too_few_pupils_no_spread_and_taken_names_stop() -> None:
    with pytest.raises(NotAssessableError, match="growth_too_few_for_quantiles"):
        fit(pupils(70))
    with pytest.raises(NotAssessableError, match="growth_column_constant"):
        fit(pupils().with_columns(after=pl.lit(60)))
    with pytest.raises(NotAssessableError, match="growth_no_spread"):
        fit(pupils().with_columns(after=pl.col("before") * 2))
    with pytest.raises(UsageError, match="growth_column_taken"):
        fit(pupils().with_columns(growth_percentile=pl.lit(1)))


def test_result_shows_itself(tmp_path: Any) -> None:
    found = fit(pupils())
    assert "percentile" in found.summary()
    assert "<table" in found._repr_html_()
    assert pl.read_parquet(found.write(tmp_path / "growth.parquet")).equals(found.frame)


@settings(max_examples=15)
@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(1, 40))
def test_any_marks_are_fitted_to_the_proven_optimum(seed: int, levels: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    before, noise = rng.integers(0, width + 1, 150), rng.integers(0, levels + 1, 150)
    before[:2], noise[:2] = (0, width), (0, levels)
    frame = pl.DataFrame({"school": "A", "before": before, "after": before // 2 + noise})
    found = fit(frame)
    optimum = found.tables["quantiles"]
    assert (optimum["gap"] * optimum["objective"]).abs().max() < 1e-7
    assert found.candidates["growth_percentile"].is_between(1, 99).all()
