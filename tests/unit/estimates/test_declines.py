"""Declines: what the estimator promises, on frames small enough to think through."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from benchmarks.calibration.counties import County, draw_counties
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

import eduq as eq
from eduq.errors import DataFileError, NotAssessableError, UsageError
from eduq.estimates.declines import DeclineBounds, DeclineResult, detect_declines, fit_worlds
from eduq.estimates.declines.bounds import LETTERS

NUMBERS = ["slope", "std_error", "df", "ci_lower", "ci_upper", "p_value", "q_value", "holm_p", "slope_shrunken", "min_detectable"]
ORDER = ["D", "C", "B", "A"]


def frame_of(means: np.ndarray[Any, Any], variances: np.ndarray[Any, Any], **columns: Any) -> pl.DataFrame:
    """One world (S, T) as rows of unit, period, estimate, std_error; nan = no row."""
    rows = [
        {
            "unit": f"S{s:03d}",
            "period": f"{2020 + t}-{2021 + t}",
            "estimate": means[s, t],
            "std_error": math.sqrt(variances[s, t]),
        }
        for s in range(means.shape[0])
        for t in range(means.shape[1])
        if not np.isnan(means[s, t])
    ]
    return pl.DataFrame(rows).with_columns(**{name: pl.lit(value) for name, value in columns.items()})


def county(seed: int = 1, **options: Any) -> pl.DataFrame:
    drawn = draw_counties(County(**options), worlds=1, seed=seed)
    return frame_of(drawn.means[0], drawn.variances[0])


def line(result: DeclineResult, unit: str = "S000") -> dict[str, Any]:
    return result.frame.row(by_predicate=pl.col("unit") == unit, named=True)


# ---- one implementation -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("years", "last_place", "last_k"), [(2, False, 1), (3, True, 1), (4, True, 2), (5, False, 1), (6, True, 1)]
)
def test_worlds_equal_single_counties(years: int, last_place: bool, last_k: int) -> None:
    rng = np.random.default_rng(years)
    drawn = draw_counties(County(years=years, schools=17, falls=(-0.25, -0.15)), worlds=6, seed=years)
    means, variances = drawn.means.copy(), drawn.variances[0]
    for cell in rng.choice(17 * years, 3, replace=False):
        means[:, cell // years, cell % years] = np.nan
    fits = fit_worlds(means, variances, last_place=last_place, last_k=last_k)
    bare = np.broadcast_to(variances, means.shape)
    for world in range(len(means)):
        found = detect_declines(frame_of(means[world], variances), last_place=last_place, last_k=last_k)
        assert found.frame["evidence_grade"].to_list() == [LETTERS[code] for code in fits.letter[world]]
        for name, ours in (
            ("slope", fits.slope),
            ("p_value", fits.p),
            ("q_value", fits.q),
            ("holm_p", fits.holm),
            ("df", fits.df),
        ):
            theirs = found.frame[name].fill_null(np.nan).to_numpy()
            finite = np.isfinite(ours[world]) & np.isfinite(theirs)
            assert np.allclose(theirs[finite], ours[world][finite], rtol=1e-6, atol=1e-9), name
        assert found.model.var_shock == pytest.approx(fits.var_shock[world], abs=1e-9)
        assert found.model.shock_correlation == fits.correlation[world]
        asked = ~np.isnan(fits.p_last[world])
        assert np.allclose(found.frame["p_last"].to_numpy()[asked], fits.p_last[world][asked], atol=1e-7)
    again = fit_worlds(means, bare, last_place=last_place, last_k=last_k)
    assert np.array_equal(again.letter, fits.letter)


def test_worlds_refuse_shapes_that_do_not_fit() -> None:
    means = np.zeros((3, 6, 4))
    with pytest.raises(UsageError, match="declines_worlds_shape"):
        fit_worlds(means, np.ones((6, 3)))
    means[1, 2, 3] = np.nan
    with pytest.raises(UsageError, match="declines_worlds_shape"):
        fit_worlds(means, np.ones((6, 4)))


# ---- what must hold for any data --------------------------------------------------------------------------------------


@settings(max_examples=12)
@given(seed=st.integers(0, 10_000), years=st.integers(2, 6), factor=st.sampled_from([0.5, 10.0, 49.0]))
def test_period_shifts_scale_and_row_order_change_nothing(seed: int, years: int, factor: float) -> None:
    rows = county(seed, years=years, schools=12, falls=(-0.2,))
    before = detect_declines(rows)
    rng = np.random.default_rng(seed)
    shift = dict(zip(rows["period"].unique().sort().to_list(), rng.normal(0, 1, years), strict=True))
    moved = rows.with_columns(pl.col("estimate") + pl.col("period").replace_strict(shift, return_dtype=pl.Float64))
    scaled = moved.with_columns(pl.col("estimate", "std_error") * factor).sample(fraction=1, shuffle=True, seed=seed)
    after = detect_declines(scaled, scale=factor)
    assert np.allclose(before.frame.select(NUMBERS), after.frame.select(NUMBERS), rtol=1e-5, atol=1e-8, equal_nan=True)
    assert before.frame["evidence_grade"].to_list() == after.frame["evidence_grade"].to_list()


@settings(max_examples=10)
@given(seed=st.integers(0, 10_000))
def test_a_steeper_fall_is_never_graded_worse(seed: int) -> None:
    drawn = draw_counties(County(schools=15), worlds=1, seed=seed)
    grades = []
    for fall in (0.1, 0.3, 0.6):
        means = drawn.means[0].copy()
        # along the line of the school only: the residuals, and with them the shock variance, stay
        means[0] -= fall * np.arange(4)
        grades.append(line(detect_declines(frame_of(means, drawn.variances[0])))["evidence_grade"])
    assert [ORDER.index(grade) for grade in grades] == sorted(ORDER.index(grade) for grade in grades)


def test_slopes_are_relative_and_their_weighted_sum_is_zero() -> None:
    result = detect_declines(county(3, years=5))
    weight = 1 / result.frame["std_error"].to_numpy() ** 2
    assert abs(float((weight * result.frame["slope"].to_numpy()).sum() / weight.sum())) < 0.005
    assert result.settings["relative_to"] == "other units of the same periods"


def test_a_scale_that_moves_is_pointed_out() -> None:
    drawn = draw_counties(County(years=6), worlds=1, seed=2)
    stretch = drawn.means[0] * np.linspace(0.6, 1.4, 6)
    assert detect_declines(frame_of(stretch, drawn.variances[0])).model.scale_moved
    assert not detect_declines(frame_of(drawn.means[0], drawn.variances[0])).model.scale_moved


def test_all_schools_identical() -> None:
    result = detect_declines(frame_of(np.tile(np.array([0.1, 0.3, -0.2, 0.0]), (12, 1)), np.full((12, 4), 0.01)), last_place=True)
    assert set(result.frame["evidence_grade"]) == {"D"}
    assert result.frame["could_be_last"].all()
    assert result.frame["p_last"].to_numpy() == pytest.approx(np.full(12, 1 / 12))
    assert set(result.frame["rank"]) == {1}
    assert result.model.var_shock == 0


def test_same_data_same_bytes(tmp_path: Path) -> None:
    rows = county(5, years=5)
    first = detect_declines(rows).write(tmp_path / "a.csv").read_bytes()
    again = detect_declines(rows.lazy()).write(tmp_path / "b.csv").read_bytes()
    assert first == again


@settings(max_examples=30)
@given(seed=st.integers(0, 100_000))
def test_whatever_is_missing_there_are_numbers_or_reasons(seed: int) -> None:
    rng = np.random.default_rng(seed)
    schools, years = int(rng.integers(1, 12)), int(rng.integers(2, 9))
    y = rng.normal(0, 0.3, (schools, years)) * rng.choice([0, 1, 1, 1])
    y[rng.random(y.shape) < rng.choice([0, 0.2, 0.6])] = np.nan
    y[0, :2] = 0.1, 0.2
    rows = frame_of(y, rng.choice([0.0, 0.003, 0.01, 0.09], y.shape)).with_columns(
        half=pl.col("unit").str.slice(-1).cast(pl.Int64) % 2
    )
    options: dict[str, Any] = {
        "last_place": bool(rng.random() < 0.5),
        "last_k": int(rng.integers(1, 4)),
        "overlap": int(rng.integers(1, 4)),
    }
    bounds = DeclineBounds(window=8, severe_drop=0.1, stagnation_band=0.1)
    try:
        result = detect_declines(rows, family=["half"] if rng.random() < 0.4 else [], bounds=bounds, **options)
    except NotAssessableError:
        reject()
    assert sorted(result.frame["unit"]) == sorted(rows["unit"].unique())
    floats = result.frame.select(pl.col(pl.Float64))
    assert not floats.select(pl.all_horizontal(pl.all().is_finite().fill_null(True))).to_series().not_().any()
    assert (result.frame["std_error"].drop_nulls() > 0).all()
    assert result.frame.filter(pl.col("evidence_grade").is_null() & pl.col("evidence_reason").is_null()).is_empty()
    assert result.sentences("zh").height == result.sentences("en").height == rows["unit"].n_unique()


# ---- grades -----------------------------------------------------------------------------------------------------------


def test_multiplicity_is_over_all_series_of_the_call() -> None:
    both = pl.concat(
        [county(7).with_columns(subject=pl.lit("math")), county(8, falls=(-0.3,)).with_columns(subject=pl.lit("english"))]
    )
    result = detect_declines(both, family=["subject"])
    p = result.frame["p_value"].to_numpy()
    assert result.frame["q_value"].to_numpy() == pytest.approx(multipletests(p, method="fdr_bh")[1])
    assert result.frame["holm_p"].to_numpy() == pytest.approx(multipletests(p, method="holm")[1])
    assert set(result.frame["family_size"]) == {80}
    # each family of series has period effects and shocks of its own
    alone = detect_declines(county(8, falls=(-0.3,)))
    assert result.frame.filter(subject="english")["p_value"].to_list() == pytest.approx(alone.frame["p_value"].to_list())
    assert set(result.models) == {("english",), ("math",)}
    with pytest.raises(UsageError, match="declines_several_models"):
        _ = result.model


def test_three_periods_give_b_at_best_and_say_so() -> None:
    result = detect_declines(county(2, years=3, shock=0.02, falls=(-0.8,)))
    found = line(result)
    assert (found["evidence_grade"], found["evidence_reason"]) == ("B", "three_periods")
    assert found["holm_p"] < 0.01


def test_a_unit_with_three_of_six_periods_gives_b_at_best() -> None:
    drawn = draw_counties(County(years=6, shock=0.02, falls=(-0.8,)), worlds=1, seed=3)
    drawn.means[0, 0, :3] = np.nan
    found = line(detect_declines(frame_of(drawn.means[0], drawn.variances[0])))
    assert (found["n_periods"], found["evidence_grade"], found["evidence_reason"]) == (3, "B", "three_periods")


def test_grade_a_over_four_years_must_hold_at_the_second_correlation() -> None:
    rows = county(1, falls=(-0.3,))
    strict = detect_declines(rows, bounds=DeclineBounds(second_rho=0.8))
    plain = detect_declines(rows, bounds=DeclineBounds(second_rho=0.0))
    assert (strict.frame["q_second"] > plain.frame["q_second"]).sum() > 0
    assert plain.frame["q_second"].to_list() == plain.frame["q_value"].to_list()
    for result in (strict, plain):
        for found in result.frame.iter_rows(named=True):
            is_a = found["holm_p"] <= 0.05 and found["q_second"] <= 0.1 and found["slope"] <= -0.05
            assert (found["evidence_grade"] == "A") == is_a


def test_a_small_fall_of_a_large_school_is_not_material() -> None:
    drawn = draw_counties(County(years=6, shock=0.001, within=1e-4), worlds=1, seed=4)
    drawn.means[0, 0] += -0.04 * np.arange(6)
    found = line(detect_declines(frame_of(drawn.means[0], drawn.variances[0])))
    assert found["q_value"] < 1e-6
    assert found["evidence_grade"] == "D"


def test_last_place_takes_the_lowest_third_as_family_and_lowers_grades() -> None:
    low = detect_declines(county(6, falls=(-0.35,), level_of_first=-1.2), last_place=True)
    found = line(low)
    assert found["lowest_third"]
    assert low.frame["lowest_third"].sum() == math.ceil(40 / 3)
    third = low.frame.filter("lowest_third")
    assert third["q_value"].to_numpy() == pytest.approx(multipletests(third["p_value"].to_numpy(), method="fdr_bh")[1])
    assert set(third["family_size"]) == {14}
    assert (found["evidence_grade"], found["p_last"] > 0.5) == ("A", True)
    high = line(detect_declines(county(6, falls=(-0.35,), level_of_first=1.2), last_place=True))
    assert (high["could_be_last"], high["evidence_grade"], high["evidence_reason"]) == (False, "C", "not_among_last")
    assert line(detect_declines(county(6, falls=(-0.35,), level_of_first=1.2)))["evidence_grade"] == "B"


def test_grade_a_with_last_place_asks_for_the_probability() -> None:
    drawn = draw_counties(County(falls=(-0.35, -0.35)), worlds=1, seed=9)
    drawn.means[0, :2] -= 1.0
    twins = detect_declines(frame_of(drawn.means[0], drawn.variances[0]), last_place=True)
    for found in (line(twins), line(twins, "S001")):
        sure = found["p_last"] >= 0.5
        assert (found["evidence_grade"], found["evidence_reason"]) == (("A", None) if sure else ("B", "not_confirmed_as_last"))
    assert {line(twins)["evidence_grade"], line(twins, "S001")["evidence_grade"]} == {"A", "B"}
    both = detect_declines(frame_of(drawn.means[0], drawn.variances[0]), last_place=True, last_k=2)
    assert (line(both)["evidence_grade"], line(both, "S001")["evidence_grade"]) == ("A", "A")
    years = detect_declines(frame_of(drawn.means[0], drawn.variances[0]), last_place=True, last_periods=4)
    assert line(years)["p_last"] <= line(twins)["p_last"]


@pytest.mark.parametrize("schools", [1, 2, 4])
def test_small_families_get_intervals_and_no_grade(schools: int) -> None:
    result = detect_declines(county(4, schools=schools))
    assert result.frame["evidence_grade"].null_count() == schools
    assert result.frame["q_value"].null_count() == schools
    assert set(result.frame["evidence_reason"]) == {"one_unit" if schools == 1 else "family_too_small"}
    assert result.frame["ci_lower"].null_count() == (1 if schools == 1 else 0)


# ---- two periods ------------------------------------------------------------------------------------------------------


def test_two_periods_declare_the_shock_and_give_c_at_best() -> None:
    drawn = draw_counties(County(years=2, falls=(-1.5,)), worlds=1, seed=2)
    result = detect_declines(frame_of(drawn.means[0], drawn.variances[0]))
    assert (result.model.shock_source, result.model.var_shock, result.model.var_shock_lower) == (
        "declared",
        pytest.approx(0.01),
        None,
    )
    found = line(result)
    assert (found["evidence_grade"], found["evidence_reason"]) == ("C", "two_periods")
    v = drawn.variances[0, 0]
    assert found["std_error"] == pytest.approx(math.sqrt(v.sum() + 0.02))
    change = drawn.means[0, :, 1] - drawn.means[0, :, 0]
    weight = 1 / (drawn.variances[0].sum(axis=1) + 0.02)
    assert found["slope"] == pytest.approx(change[0] - (weight * change).sum() / weight.sum())
    shown = result.declared.filter(pl.col("unit") == "S000")
    assert shown["shock_sd"].to_list() == [0.05, 0.10, 0.15]
    assert shown["std_error"].to_list() == pytest.approx([math.sqrt(v.sum() + 2 * shock**2) for shock in (0.05, 0.1, 0.15)])
    assert found["min_detectable"] == pytest.approx((stats.norm.ppf(0.9) + stats.norm.ppf(0.8)) * found["std_error"])


def test_one_period_is_not_assessable() -> None:
    with pytest.raises(NotAssessableError, match="declines_one_period"):
        detect_declines(county(1, years=4).filter(period="2020-2021"))


# ---- companions -------------------------------------------------------------------------------------------------------


def test_min_detectable_by_hand() -> None:
    found = line(detect_declines(county(1)))
    t = stats.t.ppf(1 - 0.10 / 40, found["df"])
    assert found["min_detectable"] == pytest.approx((t + stats.norm.ppf(0.8)) * found["std_error"])


def test_stagnation_has_three_states() -> None:
    drawn = draw_counties(County(years=6, shock=0.02, within=0.05), worlds=1, seed=5)
    drawn.means[0, 0] += 0.5 * np.arange(6)
    drawn.variances[0, 1] = 4.0
    result = detect_declines(frame_of(drawn.means[0], drawn.variances[0]), bounds=DeclineBounds(stagnation_band=0.1))
    states = result.frame["stagnation"]
    assert (states[0], states[1], states[2]) == ("moving", "undecided", "stagnant")
    for found in result.frame.iter_rows(named=True):
        half = stats.t.ppf(0.95, found["df"]) * found["std_error"]
        inside = found["slope"] - half > -0.1 and found["slope"] + half < 0.1
        assert (found["stagnation"] == "stagnant") == inside
        assert found["stagnation_literal"] == (found["slope"] <= 0.1)
        assert found["stagnation_band"] == pytest.approx(2.93 * found["std_error"])
    assert set(detect_declines(county(1)).frame["stagnation"]) == {None}


def test_severe_drop_by_hand() -> None:
    drawn = draw_counties(County(), worlds=1, seed=6)
    drawn.means[0, 0, 3] -= 1.5
    result = detect_declines(frame_of(drawn.means[0], drawn.variances[0]), bounds=DeclineBounds(severe_drop=0.3))
    found, shock, v = line(result), result.model.var_shock, drawn.variances[0, 0]
    assert found["drop_se"] == pytest.approx(math.sqrt(v[3] + shock + (v[:3] + shock).sum() / 9))
    relative = result.series.filter(unit="S000")["relative"].to_numpy()
    assert found["drop"] == pytest.approx(relative[3] - relative[:3].mean())
    p = stats.t.cdf((result.frame["drop"].to_numpy() + 0.3) / result.frame["drop_se"].to_numpy(), result.frame["df"].to_numpy())
    assert result.frame["drop_p"].to_numpy() == pytest.approx(p)
    assert result.frame["drop_q"].to_numpy() == pytest.approx(multipletests(p, method="fdr_bh")[1])
    assert found["drop_q"] < 0.01
    assert set(detect_declines(county(1)).frame["drop_q"]) == {None}


def test_falls_in_a_row_stop_at_a_missing_year() -> None:
    rows = county(1, schools=6)
    mine = {"2020-2021": 0.9, "2021-2022": 0.5, "2022-2023": 0.3, "2023-2024": 0.1}
    own = pl.col("period").replace_strict(mine, return_dtype=pl.Float64)
    rows = rows.with_columns(pl.when(pl.col("unit") == "S000").then(own).otherwise("estimate").alias("estimate"))
    assert line(detect_declines(rows))["run_declines"] == 3
    gap = rows.filter(~((pl.col("unit") == "S000") & (pl.col("period") == "2021-2022")))
    assert line(detect_declines(gap))["run_declines"] == 1
    everybody = rows.filter(pl.col("period") != "2022-2023")
    result = detect_declines(everybody)
    assert line(result)["run_declines"] == 0
    assert result.model.spacing == "years"


def test_changes_between_neighbouring_years() -> None:
    result = detect_declines(county(1, schools=8))
    first = result.changes.filter(unit="S000").row(0, named=True)
    series = result.series.filter(unit="S000")
    assert first["change"] == pytest.approx(series["estimate"][1] - series["estimate"][0])
    assert first["relative_change"] == pytest.approx(series["relative"][1] - series["relative"][0])
    expected = math.sqrt(series["std_error"][0] ** 2 + series["std_error"][1] ** 2 + 2 * result.model.var_shock)
    assert first["std_error"] == pytest.approx(expected)
    assert result.changes.height == 8 * 3


def test_robust_companions_from_seven_periods_only() -> None:
    six, seven = (detect_declines(county(1, years=years, schools=8), bounds=DeclineBounds(window=9)) for years in (6, 7))
    assert six.frame["theil_sen"].null_count() == six.frame["kendall_p"].null_count() == 8
    assert seven.frame["theil_sen"].null_count() == seven.frame["kendall_p"].null_count() == 0


# ---- overlap ----------------------------------------------------------------------------------------------------------


def test_overlap_uses_the_covariance_of_shared_cohorts() -> None:
    drawn = draw_counties(County(schools=30), worlds=1, seed=3)
    result = detect_declines(frame_of(drawn.means[0], drawn.variances[0]), overlap=2)
    assert result.model.correlation_source == "overlap"
    # dense: (ω² + v)·C, C one half between neighbours
    total = drawn.variances[0, 0] + result.model.var_shock
    matrix = np.sqrt(np.outer(total, total)) * np.array([[max(0, 1 - abs(k - m) / 2) for m in range(4)] for k in range(4)])
    design = np.column_stack([np.ones(4), np.arange(4)])
    alone = math.sqrt(np.linalg.inv(design.T @ np.linalg.inv(matrix) @ design)[1, 1])
    assert line(result)["std_error"] == pytest.approx(alone, rel=0.05)
    assert line(result)["std_error"] < alone


# ---- what people read -------------------------------------------------------------------------------------------------


def test_sentences_say_what_the_grade_does_not_mean() -> None:
    result = detect_declines(county(1, schools=60, falls=(-0.4, -0.16)))
    zh, en = result.sentences("zh"), result.sentences("en")
    assert zh.columns == ["unit", "evidence_grade", "sentence"]
    by_grade = {
        grade: (zh.filter(evidence_grade=grade)["sentence"], en.filter(evidence_grade=grade)["sentence"]) for grade in "ACD"
    }
    assert all("每十所也会有一所" in said for said in by_grade["C"][0])
    assert all("one stable school in ten" in said for said in by_grade["C"][1])
    assert len(by_grade["C"][0]) > 0
    for found, said_zh, said_en in zip(
        result.frame.filter(evidence_grade="D").iter_rows(named=True), *by_grade["D"], strict=True
    ):
        assert "不等于“稳定”" in said_zh
        assert "does not mean “stable”" in said_en
        assert f"{found['min_detectable']:.2f}" in said_zh
        assert f"{found['min_detectable']:.2f}" in said_en
    assert "证据等级 A" in by_grade["A"][0][0]
    few = detect_declines(county(1, schools=3)).sentences("en")["sentence"][0]
    assert "no evidence grade: too few comparable units" in few
    alone = detect_declines(county(1, schools=1)).sentences("zh")["sentence"][0]
    assert "没有可比的其他单位" in alone


def test_the_result_shows_writes_and_draws_itself(tmp_path: Path) -> None:
    result = eq.detect_declines(county(1, schools=12))
    assert result.summary().startswith("12 series of up to 4 periods: A ")
    assert "<table" in result._repr_html_()
    assert pl.read_parquet(result.write(tmp_path / "declines.parquet")).equals(result.frame)
    assert "svg" in result.plot().to_svg()
    with pytest.raises(UsageError, match="declines_too_many_panels"):
        detect_declines(county(1, schools=70)).plot()
    assert "svg" in detect_declines(county(1, schools=70)).plot(units=["S001", "S002"]).to_svg()


# ---- doors ------------------------------------------------------------------------------------------------------------


def test_errors_name_what_is_wrong() -> None:
    rows = county(1, schools=6)
    cases: list[tuple[type[Exception], str, Any]] = [
        (UsageError, "declines_column_missing", lambda: detect_declines(rows, unit="school")),
        (UsageError, "declines_no_error", lambda: detect_declines(rows.drop("std_error"))),
        (UsageError, "declines_source", lambda: detect_declines([1, 2])),
        (UsageError, "declines_option", lambda: detect_declines(rows, overlap=0)),
        (DataFileError, "declines_duplicate", lambda: detect_declines(pl.concat([rows, rows.head(1)]))),
        (DataFileError, "declines_value", lambda: detect_declines(rows.with_columns(-pl.col("std_error")))),
        (DataFileError, "declines_value", lambda: detect_declines(rows.with_columns(pl.col("estimate") / 0))),
        (NotAssessableError, "declines_no_estimates", lambda: detect_declines(rows.with_columns(estimate=pl.lit(None)))),
    ]
    for kind, code, call in cases:
        with pytest.raises(kind, match=code):
            call()
    with pytest.raises(DataFileError) as caught:
        detect_declines(pl.concat([rows, rows.head(1)]))
    assert "S000 2020-2021" in caught.value.message("en")


def test_null_estimates_are_skipped_and_counted() -> None:
    rows = county(1, schools=8)
    gone = (pl.col("unit") == "S003") & (pl.col("period") == "2021-2022")
    result = detect_declines(rows.with_columns(pl.when(gone).then(None).otherwise("estimate").alias("estimate")))
    found = line(result, "S003")
    assert (found["n_periods"], found["n_left_out"]) == (3, 1)
    assert result.series.filter(gone).select("used", "reason").row(0) == (False, "no_estimate")
    dropped = detect_declines(rows.filter(~gone))
    assert dropped.frame.select(NUMBERS).equals(result.frame.select(NUMBERS))
    never = detect_declines(
        rows.with_columns(pl.when(pl.col("unit") == "S003").then(None).otherwise("estimate").alias("estimate"))
    )
    lost = line(never, "S003")
    assert (lost["n_periods"], lost["slope"], lost["evidence_grade"], lost["evidence_reason"]) == (0, None, None, "no_estimate")


def test_breaks_split_and_the_window_cuts() -> None:
    rows = county(1, years=8, schools=8).with_columns(segment=pl.lit(0))
    result = detect_declines(rows, segment="segment")
    assert result.model.periods == tuple(f"{year}-{year + 1}" for year in range(2022, 2028))
    assert set(result.series.filter(~pl.col("used"))["reason"]) == {"outside_window"}
    after = (pl.col("unit") == "S002") & (pl.col("period") >= "2024-2025")
    broken = detect_declines(rows.with_columns(after.cast(pl.Int64).alias("segment")), segment="segment")
    found = line(broken, "S002")
    assert (found["n_periods"], found["first"], found["n_left_out"]) == (4, "2024-2025", 4)
    assert set(broken.series.filter(unit="S002").filter(~pl.col("used"))["reason"]) == {"before_break"}


def test_sd_and_n_are_pooled_over_a_units_years() -> None:
    rows = county(1, schools=6).with_columns(n=pl.lit(50), sd=pl.lit(0.9)).drop("std_error")
    alone = (pl.col("unit") == "S001") & (pl.col("period") == "2022-2023")
    rows = rows.with_columns(
        pl.when(alone).then(1).otherwise("n").alias("n"),
        pl.when(alone).then(None).otherwise("sd").alias("sd"),
    ).with_columns(pl.when(pl.col("unit") == "S004").then(0.0).otherwise("sd").alias("sd"))
    result = detect_declines(rows)
    error = {(unit, period): value for unit, period, value in result.series.select("unit", "period", "std_error").iter_rows()}
    assert error["S000", "2020-2021"] == pytest.approx(0.9 / math.sqrt(50))
    # one candidate has no SD of its own: the school's other years tell it
    assert error["S001", "2022-2023"] == pytest.approx(0.9)
    # all alike in every year: the family's variance, never certainty
    assert 0.1 < error["S004", "2020-2021"] < 0.9 / math.sqrt(50)
    assert result.model.n_replaced == 4
    assert line(result, "S001")["n_min"] == 1


def test_a_unit_below_the_minimum_for_accountability_gives_c_at_best() -> None:
    falling = [
        {"unit": f"S{unit:03}", "period": 2021 + t, "estimate": 0.01 * ((unit + t) % 3) - (0.6 * t if unit == 0 else 0.0),
         "sd": 0.9, "n": 29 if unit == 0 else 120}
        for unit in range(12) for t in range(5)
    ]  # fmt: skip
    found = line(detect_declines(pl.DataFrame(falling)))
    assert (found["evidence_grade"], found["evidence_reason"]) == ("C", "below_min_n")
    assert found["holm_p"] < 0.05
    lowered = line(detect_declines(pl.DataFrame(falling), bounds=DeclineBounds(min_n=29)))
    assert (lowered["evidence_grade"], lowered["evidence_reason"]) == ("A", None)


def test_a_zero_standard_error_is_not_certainty() -> None:
    rows = county(1, schools=6)
    zero = (pl.col("unit") == "S001") & (pl.col("period") == "2022-2023")
    result = detect_declines(rows.with_columns(pl.when(zero).then(0.0).otherwise("std_error").alias("std_error")))
    own = rows.filter((pl.col("unit") == "S001") & ~zero)["std_error"].to_numpy()
    assert result.series.filter(zero)["std_error"][0] == pytest.approx(math.sqrt((own**2).mean()))


def test_periods_may_be_years_labels_or_terms() -> None:
    rows = county(1, schools=8)
    years = rows.with_columns(pl.col("period").str.slice(0, 4).cast(pl.Int64))
    spread = rows.with_columns((pl.col("period").str.slice(0, 4).cast(pl.Int64) - 2020) * 2)
    labels = rows.with_columns(pl.format("x{}", "period").alias("period"))
    base = detect_declines(rows).frame["slope"].to_numpy()
    assert detect_declines(years).frame["slope"].to_numpy() == pytest.approx(base)
    assert detect_declines(labels).frame["slope"].to_numpy() == pytest.approx(base)
    assert detect_declines(spread).frame["slope"].to_numpy() == pytest.approx(base / 2)
    assert detect_declines(labels).model.spacing == "order"


# ---- from exams -------------------------------------------------------------------------------------------------------


class Exams:
    """Stands where an archive stands; only its face is looked at here."""

    def exams(self) -> pl.DataFrame:
        return pl.DataFrame()


def test_an_archive_gives_its_series_by_year_group_in_one_family(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = []
    for seed, year_group in ((1, "G8"), (2, "G9")):
        rows = county(seed, schools=9).with_columns(n=(0.85 / pl.col("std_error") ** 2).round().cast(pl.Int64))
        frames.append(rows.with_columns(sd=pl.col("std_error") * pl.col("n").sqrt(), year_group=pl.lit(year_group)))
    frame = pl.concat(frames).with_columns(measure=pl.lit("composite_z"), subject=pl.lit("composite"), segment=pl.lit(0))
    left_out = pl.DataFrame({"exam_id": ["x"], "reason": ["other_term"]})
    asked: dict[str, Any] = {}

    def collect(source: object, **options: Any) -> Any:
        asked.update(options, source=source)
        return type("Table", (), {"frame": frame, "left_out": left_out})

    monkeypatch.setattr("eduq.estimates.series.collect_series", collect)
    source = Exams()
    result = detect_declines(source, year_groups=["G8", "G9"], term=2)
    assert (asked["source"], asked["measures"], asked["term"], asked["unit_type"]) == (source, ["composite_z"], 2, "school")
    assert set(result.models) == {("composite_z", "composite", "G8"), ("composite_z", "composite", "G9")}
    assert set(result.frame["family_size"]) == {18}
    assert result.left_out is left_out
    # rates are put on the pupils' scale of each year
    frame = frame.with_columns(measure=pl.lit("pass_rate"), estimate=0.6 + pl.col("estimate") / 10, sd=pl.lit(0.49))
    rates = detect_declines(source, measure="pass_rate")
    assert rates.series["estimate"].max() == pytest.approx(frame["estimate"].max() / 0.49, rel=1e-9)  # type: ignore[operator]
