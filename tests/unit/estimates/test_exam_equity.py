"""Equity of an exam from its counts: same figures as from the rows, small units kept out, course from a series."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.builders import build_scores

import eduq as eq
from eduq.disclosure import History, protect_equity
from eduq.errors import UsageError
from eduq.estimates.equity import EquityLimit
from eduq.estimates.equity.variation import _bootstrap, _correct_spread, _cv, _draws, _weighted_cv, theil
from eduq.estimates.exam_equity import ExamEquity, add_school_cells, follow_exams, measure_exam_equity
from eduq.estimates.levels import estimate_levels, unit_columns
from eduq.estimates.measures import load_measures
from eduq.intake import ScoreTable
from eduq.pipeline.equities import collect_equity
from eduq.settings import RunSettings
from eduq.summaries import Summary, summarise, sweeps
from eduq.tables import EQUITY, EQUITY_COURSE

RUN = RunSettings()
LIMIT = EquityLimit(index="between_school_share", value=0.15, source="《文件》")


def build_county(schools: int = 9, *, small: int = 0, seed: int = 5, **exam: Any) -> ScoreTable:
    """Schools of 20 to 40 pupils, the last `small` of them with four; one in eight pupils in a bilingual class."""
    rng = np.random.default_rng(seed)
    rows = []
    for school in range(schools):
        level = 60 + 7 * rng.standard_normal()
        for _ in range(4 if school >= schools - small else int(rng.integers(20, 41))):
            marks = np.clip(np.round(2 * (level + 13 * rng.standard_normal(2))) / 2, 0, 100)
            row = {"school_id": f"S{school:02d}", "sex": str(rng.choice(["female", "male"])), "math": float(marks[0])}
            rows.append(row | {"english": "absent" if rng.random() < 0.05 else float(marks[1]), "sub_class": _group(rng)})
    facts = {"exam": {"id": "test-exam", "year_group": "G9", "scope": "county", "school_year": "2025-2026", **exam}}
    scores = build_scores(rows, full={"math": 100, "english": 100}, exam=facts)
    kind = pl.when(pl.col("school_id").str.tail(1).str.to_integer() % 3 == 0).then(pl.lit("urban")).otherwise(pl.lit("rural"))
    return type(scores)(**{**vars(scores), "schools": scores.schools.with_columns(kind.alias("area_type"))})


def _group(rng: np.random.Generator) -> str:
    return "双语" if rng.random() < 0.12 else "普通"


def count(scores: ScoreTable) -> Summary:
    by = add_school_cells(unit_columns(("school", "sex"), scores.frame.columns), scores.frame)
    return summarise(scores, by=by, settings=RUN)


def measure(scores: ScoreTable, **options: Any) -> pl.DataFrame:
    found = measure_exam_equity(count(scores), scores, settings=RUN, **options)
    assert found is not None
    return found[0]


@pytest.mark.parametrize("policy", ["exclude", "zero"])
def test_the_counts_give_what_the_rows_give(policy: str) -> None:
    scores = build_county()
    absence = scores.exam.absence.model_copy(update={"policy": policy})
    scores = type(scores)(**{**vars(scores), "exam": scores.exam.model_copy(update={"absence": absence})})
    of_exam = measure(scores)
    references = {"area_type": "urban", "sex": "male", "sub_class": "普通"}
    of_rows = eq.measure_equity(scores, references=references).frame.rename({"group": "level"})
    keys = ["paper", "index", "attribute", "level", "reference"]
    both = of_rows.join(of_exam, on=keys, how="inner", nulls_equal=True, suffix="_exam")
    ratios_of_composite = of_rows.filter((pl.col("paper") == "composite") & (pl.col("reason") == "not_ratio_scale")).height
    assert both.height == of_exam.height == of_rows.height - ratios_of_composite
    for name in ("value", "ci_lower", "ci_upper"):
        assert both[name].is_null().eq(both[f"{name}_exam"].is_null()).all()
        assert (both[name] - both[f"{name}_exam"]).abs().max() < 1e-9  # type: ignore[operator]
    assert both["n"].eq(both["n_exam"]).all()
    assert of_exam.schema == pl.Schema(EQUITY)


def test_a_school_too_small_counts_in_the_share_but_shows_in_no_range() -> None:
    scores = build_county(small=1)
    found = measure_exam_equity(count(scores), scores, settings=RUN)
    assert found is not None
    frame, n_small = found
    assert n_small == 1
    math = frame.filter(pl.col("paper") == "math")
    assert math.filter(index="between_school_share")["n_units"].to_list() == [9]
    for index in ("weighted_cv", "range_ratio", "range_rate_raw", "gini", "theil_raw"):
        assert math.filter(index=index)["n_units"].to_list() == [8], index
    means = scores.frame.group_by("school_id").agg(pl.len().alias("n"), pl.col("math").mean() / 100).filter(pl.col("n") >= 10)
    ratio = means["math"].max() / means["math"].min()  # type: ignore[operator]
    assert math.filter(index="range_ratio_raw")["value"].item() == pytest.approx(ratio, rel=1e-12)


def test_a_subgroup_below_the_least_number_gets_no_number() -> None:
    scores = build_county()
    few = pl.when(pl.int_range(pl.len()) < 9).then(pl.lit("双语")).otherwise(pl.lit("普通")).alias("sub_class")
    frame = measure(type(scores)(**{**vars(scores), "frame": scores.frame.with_columns(few)}))
    gaps = frame.filter(attribute="sub_class")
    assert set(gaps["reason"]) == {"below_min_n"}
    assert gaps["value"].null_count() == gaps.height > 0


def test_a_subgroup_of_many_values_is_left_alone() -> None:
    scores = build_county()
    many = pl.format("g{}", pl.int_range(pl.len()) % 13).alias("sub_class")
    frame = scores.frame.with_columns(many)
    assert "sub_class" not in add_school_cells({"school": ["school_id"]}, frame)
    asked = add_school_cells({"school": ["school_id"], "sub_class": ["sub_class"]}, frame)
    assert asked["sub_class"] == ["school_id", "sub_class"]
    whole = type(scores)(**{**vars(scores), "frame": frame})
    found = measure_exam_equity(summarise(whole, by=asked, settings=RUN), whole, settings=RUN)
    assert found is not None
    assert "sub_class" not in found[0]["attribute"].to_list()


def test_counting_groups_of_pupils_within_schools_changes_no_estimate() -> None:
    scores = build_county()
    by = unit_columns(("school", "sex", "sub_class"), scores.frame.columns)
    measures = load_measures()
    plain, within = (
        estimate_levels(
            summarise(scores, by=counted, settings=RUN),
            scores,
            by=("school", "sex", "sub_class"),
            settings=RUN,
            measures=measures,
        )
        for counted in (by, add_school_cells(by, scores.frame))
    )
    assert within.equals(plain)


def test_units_of_several_columns_are_the_same_by_array_and_by_join(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = build_county()
    holes = pl.when(pl.int_range(pl.len()) % 7 == 0).then(None).otherwise(pl.col("sex")).alias("sex")
    frame = scores.frame.with_columns(holes, stratum=pl.int_range(pl.len()) % 2)
    by_array = sweeps._index_units(frame, "unit", ["school_id", "sex"])
    monkeypatch.setattr(sweeps, "_PLACES_PER_ROW", 0)
    monkeypatch.setattr(sweeps, "_PLACES_ALWAYS", 0)
    by_join = sweeps._index_units(frame, "unit", ["school_id", "sex"])
    assert by_array[0].to_list() == by_join[0].to_list()
    assert by_array[1].to_dicts() == by_join[1].to_dicts()


def test_only_the_share_of_variance_is_set_against_its_limit() -> None:
    frame = measure(build_county(), limits=[LIMIT])
    judged = frame.filter(pl.col("limit_state").is_not_null())
    assert set(judged["index"]) == {"between_school_share"}
    assert set(judged["limit_source"]) == {"《文件》"}
    for row in judged.iter_rows(named=True):
        side = "below" if row["ci_upper"] < 0.15 else "above" if row["ci_lower"] >= 0.15 else "undecided"
        assert row["limit_state"] == side


def test_one_school_has_no_equity() -> None:
    scores = build_county(1)
    assert measure_exam_equity(count(scores), scores, settings=RUN) is None


def test_sums_give_the_draws_of_coefficients_of_variation() -> None:
    rng = np.random.default_rng(8)
    means, errors, share = 60 + 5 * rng.standard_normal(30), rng.uniform(0.5, 3, 30), rng.dirichlet(np.ones(30))
    for index, weights in ((_weighted_cv, share), (_cv, np.full(30, 1 / 30))):
        ((value, drawn),) = _bootstrap(means, errors, weights, [index])
        corrected = _correct_spread(means, errors**2, weights)
        simulated = _correct_spread(corrected + _draws(30)[0] * errors, errors**2, weights)
        assert value == pytest.approx(float(index(corrected, weights)))
        np.testing.assert_allclose(drawn, index(simulated, weights), atol=1e-9)


def build_series(years: int, *, seed: int = 2, elsewhere: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    rows = []
    for year in range(years):
        period = f"{2020 + year}-{2021 + year}"
        for school in range(12):
            n, level = int(rng.integers(30, 90)), rng.standard_normal() * (0.3 + 0.05 * year)
            facts = {"unit": f"S{school:02d}", "period": period, "exam_id": f"e{year}", "comparison_group": f"e{year}.math"}
            facts |= {"n": n, "n_elsewhere": elsewhere if year == 0 else 0}
            rows.append(facts | {"measure": "z_mean", "subject": "math", "estimate": level, "sd": 0.9})
            rows.append(facts | {"measure": "mean_score", "subject": "math", "estimate": 60 + 15 * level, "sd": 13.5})
    return pl.DataFrame(rows)


SCHOOLS = pl.DataFrame({"school_id": [f"S{n:02d}" for n in range(12)], "area_type": ["urban", "rural"] * 6})


def test_the_course_is_that_of_the_estimator() -> None:
    series = build_series(5)
    years, course = follow_exams(series, SCHOOLS, settings=RUN)
    assert years.schema == pl.Schema(EQUITY)
    assert course.schema == pl.Schema(EQUITY_COURSE)
    z = series.filter(measure="z_mean").join(SCHOOLS.rename({"school_id": "unit"}), on="unit")
    options: dict[str, Any] = {"unit": "unit", "n": "n", "mean": "estimate", "sd": "sd", "period": "period"}
    whole = eq.measure_equity(z, **options, unit_attributes=["area_type"], references={"area_type": "urban"})
    for index in ("between_school_share", "icc", "gap"):
        own, other = course.filter(index=index).row(0, named=True), whole.course.filter(index=index).row(0, named=True)
        assert own["slope"] == pytest.approx(other["slope"], rel=1e-12)
        assert own["ci_lower"] == pytest.approx(other["ci_lower"], rel=1e-12)
    marks = eq.measure_equity(series.filter(measure="mean_score"), **options)
    assert course.filter(index="weighted_cv")["slope"].item() == pytest.approx(
        marks.course.filter(index="weighted_cv")["slope"].item(), rel=1e-9
    )


def test_the_share_of_variance_does_not_depend_on_the_scale() -> None:
    series = build_series(1)
    years, _ = follow_exams(series, SCHOOLS, settings=RUN)
    marks = series.filter(measure="mean_score")
    raw = eq.measure_equity(marks, unit="unit", n="n", mean="estimate", sd="sd").frame.filter(index="between_school_share")
    assert years.filter(index="between_school_share")["value"].item() == pytest.approx(raw["value"].item(), rel=1e-9)


def test_three_years_have_values_and_no_slope() -> None:
    years, course = follow_exams(build_series(3), SCHOOLS, settings=RUN)
    assert years.filter(index="between_school_share")["value"].count() == 3
    assert set(course["reason"]) == {"too_few_periods"}
    assert course["slope"].null_count() == course.height


def test_a_year_with_schools_in_several_groups_is_left_out() -> None:
    years, _ = follow_exams(build_series(5, elsewhere=3), SCHOOLS, settings=RUN)
    assert years["school_year"].unique().sort().to_list() == ["2021-2022", "2022-2023", "2023-2024", "2024-2025"]


def test_of_a_year_the_largest_group_counts() -> None:
    apart = pl.when((pl.col("period") == "2020-2021") & (pl.col("unit") == "S03")).then(pl.lit("e0.math.d1"))
    series = build_series(2).with_columns(apart.otherwise(pl.col("comparison_group")).alias("comparison_group"))
    years, _ = follow_exams(series, SCHOOLS, settings=RUN)
    assert years.filter(index="between_school_share").sort("school_year")["n_units"].to_list() == [11, 12]


def test_what_is_published_rests_on_enough_pupils() -> None:
    years, course = follow_exams(build_series(4), SCHOOLS, settings=RUN)
    found = ExamEquity(measure(build_county(), limits=[LIMIT]), years, course, (LIMIT,))
    shown = protect_equity(found, 10)
    assert shown.frame.equals(found.frame)
    hidden = protect_equity(found, 100_000)
    for frame in (hidden.frame, hidden.years):
        assert frame["value"].null_count() == frame.height
        assert frame["ci_lower"].null_count() == frame.height
        assert frame["limit_state"].drop_nulls().is_empty()
    assert "below_min_n" in hidden.frame["reason"].to_list()


def test_national_limits_are_those_of_the_day() -> None:
    assert eq.national_limits(dt.date(2017, 12, 31)) == ()
    (limit,) = eq.national_limits(dt.date(2018, 1, 1))
    assert (limit.index, limit.value, limit.reaching, limit.valid_from) == (
        "between_school_share",
        0.15,
        "above",
        dt.date(2018, 1, 1),
    )
    assert "优质均衡" in limit.source
    primary, junior = (eq.national_limits(dt.date(2026, 1, 1), resources=stage)[0] for stage in ("primary", "junior"))
    assert [(each.index, each.value, each.reaching) for each in (primary, junior)] == [
        ("weighted_cv", 0.5, "below"),
        ("weighted_cv", 0.45, "below"),
    ]
    with pytest.raises(UsageError) as refused:
        eq.national_limits(dt.date(2026, 1, 1), resources="senior")  # type: ignore[arg-type]
    assert refused.value.code == "equity_resources"


def test_a_limit_of_resources_judges_resources() -> None:
    books = pl.DataFrame({"school_id": list("ABCDE"), "pupils": [45, 37, 89, 76, 55], "books": [279, 137, 935, 160, 402]})
    frame = books.with_columns(each=pl.col("books") / pl.col("pupils"))
    limits = eq.national_limits(dt.date(2026, 1, 1), resources="primary")
    found = eq.measure_equity(frame, n="pupils", mean="each", limits=limits, as_of=dt.date(2026, 1, 1))
    assert found.limits["state"].to_list() == ["above"]


@pytest.mark.parametrize(
    ("facts", "unlimited", "elsewhere"),
    [
        ({"date": "2026-01-15"}, None, {"resource_cv_junior", "retention_rate"}),
        ({"date": "2026-01-15", "year_group": "G4"}, None, {"resource_cv_primary"}),
        ({"date": "2017-06-20"}, "none_in_force", set()),
        ({"date": "2026-01-15", "year_group": "S2"}, "senior", set()),
        ({"date": "2026-01-15", "year_group": None}, "year_group_unknown", set()),
        ({}, "date_unknown", set()),
    ],
)
def test_the_day_and_the_stage_of_an_exam_say_which_limits_hold(
    facts: dict[str, Any], unlimited: str | None, elsewhere: set[str]
) -> None:
    scores = build_county(4, **facts)
    history = History(archive_version=1, origin="archived", series=build_series(5))
    found = collect_equity(count(scores), scores, settings=RUN, registers=None, history=history)
    assert found is not None
    assert found.unlimited == unlimited
    assert {item["measure"] for item in found.elsewhere} == elsewhere
    assert bool(found.limits) == (unlimited is None)
    assert (found.frame["limit_state"].count() > 0) == (unlimited is None)
    assert found.years["school_year"].n_unique() == 5
    assert found.course.filter(index="between_school_share")["slope"].count() == 1


def test_equal_means_have_a_theil_index_of_zero() -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        share = rng.dirichlet(np.ones(40))
        assert theil(np.full(40, float(rng.uniform(40, 90))), share) < 1e-30
