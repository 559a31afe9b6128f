"""Equity of an area: what goes in, what cannot be given, limits, course, and that nothing depends on order or names."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.builders import build_scores

import eduq as eq
from eduq.errors import DataFileError, EduqError, NotAssessableError, UsageError
from eduq.estimates.equity import INDICES, EquityLimit, EquityResult
from eduq.estimates.equity.variation import VARIATION_INDICES, gini, theil, theil_parts, weighted_cv
from eduq.locale import text


def draw_pupils(schools: int = 12, *, spread: float = 6.0, seed: int = 3) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    rows = []
    for school in range(schools):
        level = 66 + spread * rng.standard_normal()
        for sex in rng.choice(["female", "male"], int(rng.integers(12, 40))):
            score = round(float(np.clip(level + 12 * rng.standard_normal(), 0, 100)) * 2) / 2
            rows.append((f"S{school:02d}", "town" if school % 3 else "rural", str(sex), score))
    return pl.DataFrame(rows, schema=["school_id", "area", "sex", "score"], orient="row")


PUPILS = draw_pupils()


def measure(frame: pl.DataFrame = PUPILS, **options: Any) -> EquityResult:
    return eq.measure_equity(frame, **{"value": "score", "unit_attributes": ["area"], "pupil_attributes": ["sex"], **options})


def row(result: EquityResult, index: str, **where: str) -> dict[str, Any]:
    return result.frame.filter(index=index, **where).row(0, named=True)


def units_of(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.group_by("school_id").agg(
        pl.len().alias("n_pupils"),
        pl.col("score").mean().alias("average"),
        pl.col("score").std().alias("spread"),
        pl.col("area").first(),
    )


def test_pupils_and_units_give_the_same_figures() -> None:
    units = eq.measure_equity(units_of(PUPILS), n="n_pupils", mean="average", sd="spread", unit_attributes=["area"])
    columns = ["index", "value", "std_error", "ci_lower", "ci_upper", "n_units", "n", "method", "reason"]
    of_pupils = measure(pupil_attributes=[]).frame.filter(~pl.col("index").str.contains("pupils|bottom")).select(columns)
    for one, other in zip(of_pupils.iter_rows(), units.frame.select(columns).iter_rows(), strict=True):
        assert one[0] == other[0]
        assert one[5:] == other[5:]
        for a, b in zip(one[1:5], other[1:5], strict=True):
            assert (a is None and b is None) or a == pytest.approx(b, rel=1e-6, abs=1e-9)


def test_an_exam_gives_what_its_pupils_give() -> None:
    rows = [{"school_id": s, "sex": sex, "math": score} for s, _, sex, score in PUPILS.iter_rows()]
    absent = {"school_id": "S00", "sex": "male", "math": "absent"}
    scores = build_scores([*rows, absent])
    kinds = PUPILS.select("school_id", pl.col("area").alias("area_type")).unique()
    exam = eq.measure_equity(replace(scores, schools=scores.schools.drop("area_type").join(kinds, on="school_id")))
    frame = exam.frame.filter(paper="math").drop("paper", "comparison_group")
    plain = measure(PUPILS.rename({"area": "area_type"}), unit_attributes=["area_type"])
    assert frame.select("index", "attribute", "group", "n", "n_units", "reason").equals(
        plain.frame.select("index", "attribute", "group", "n", "n_units", "reason")
    )
    for name in ("value", "ci_lower", "ci_upper"):
        assert np.allclose(frame[name].to_numpy(), plain.frame[name].to_numpy(), rtol=1e-9, equal_nan=True)
    bottom = exam.bottom.filter(paper="math")
    assert bottom.select("unit", "n", "n_bottom", "threshold").equals(plain.bottom.select("unit", "n", "n_bottom", "threshold"))


def test_every_paper_the_total_and_the_composite_of_an_exam() -> None:
    rng = np.random.default_rng(8)
    rows = [
        {"school_id": f"S{s}", "math": float(m), "english": float(e)}
        for s in range(6)
        for m, e in zip(rng.integers(30 + 3 * s, 90, 30), rng.integers(20, 100, 30), strict=True)
    ]
    scores = build_scores(rows, full={"math": 100, "english": 100})
    found = eq.measure_equity(scores)
    assert found.frame["paper"].unique(maintain_order=True).to_list() == ["math", "english", "total", "composite"]
    composite = found.frame.filter(paper="composite")
    assert composite.filter(index="between_school_share")["ci_upper"].null_count() == 0
    assert composite.filter(index="weighted_cv")["reason"].to_list() == ["not_ratio_scale"]
    assert eq.measure_equity(scores, papers=["english"]).frame["paper"].unique().to_list() == ["english"]
    described = eq.describe(scores, by="school").frame.filter(measure="bottom30_share")
    shares = found.bottom.join(described, left_on=["paper", "unit"], right_on=["paper", "unit"])
    assert shares.height == 18
    assert (shares["share"] == shares["estimate"]).all()


@given(st.randoms(use_true_random=False))
def test_order_of_rows_and_names_of_units_change_nothing(random: Any) -> None:
    order = list(range(PUPILS.height))
    random.shuffle(order)
    names = [f"U{i}" for i in range(12)]
    random.shuffle(names)
    renamed = PUPILS[order].with_columns(pl.col("school_id").replace_strict([f"S{i:02d}" for i in range(12)], names))
    first, second = BASE.frame, measure(renamed).frame
    assert first.select("index", "n", "reason").equals(second.select("index", "n", "reason"))
    for name in ("value", "ci_lower", "ci_upper"):
        assert np.allclose(first[name].to_numpy(), second[name].to_numpy(), rtol=1e-9, atol=1e-12, equal_nan=True)


BASE = measure()


def test_a_number_without_interval_always_has_its_reason_and_both_languages_have_the_words() -> None:
    frame = BASE.frame
    assert (frame["ci_lower"].is_null() == frame["reason"].is_not_null()).all()
    assert (frame["method"].is_null() == frame["value"].is_null()).all()
    assert set(frame["index"]) == set(INDICES)
    inside = frame.filter(pl.col("ci_lower").is_not_null())
    assert (inside["ci_lower"] <= inside["ci_upper"]).all()
    for lang in ("zh", "en"):
        for part, names in (
            ("index", INDICES),
            ("method", frame["method"].drop_nulls()),
            ("reason", frame["reason"].drop_nulls()),
        ):
            assert all(text(f"equity.{part}.{name}", lang) for name in names)  # type: ignore[arg-type]


def test_chance_is_taken_off_and_theil_adds_up() -> None:
    for name in VARIATION_INDICES:
        assert row(BASE, name)["value"] < row(BASE, f"{name}_raw")["value"]
    assert row(BASE, "between_school_share")["value"] < row(BASE, "between_school_share_raw")["value"]
    parts = [row(BASE, f"theil_pupils_{part}")["value"] for part in ("between", "within")]
    assert sum(parts) == pytest.approx(row(BASE, "theil_pupils")["value"], abs=1e-12)
    assert row(BASE, "theil_pupils")["value"] == pytest.approx(theil(PUPILS["score"], np.ones(PUPILS.height)), abs=1e-12)


@given(
    st.lists(
        st.tuples(st.integers(0, 200).map(lambda score: score / 2), st.integers(1, 50), st.sampled_from("abc")),
        min_size=2,
        max_size=20,
    )
)
def test_theil_and_gini_hold_their_laws(units: list[tuple[float, int, str]]) -> None:
    x, p, g = (np.array(part) for part in zip(*units, strict=True))
    assume(x.max() > 0)
    between, within = theil_parts(x, p, g)
    assert between + within == pytest.approx(theil(x, p), abs=1e-9)
    assert 0 <= gini(x, p) < 1
    assert gini(3 * x, p) == pytest.approx(gini(x, p), abs=1e-9)
    pairs = float((p[:, None] * p * np.abs(x[:, None] - x)).sum() / p.sum() ** 2 / (2 * (p @ x) / p.sum()))
    assert gini(x, p) == pytest.approx(pairs, abs=1e-9)
    assert weighted_cv(np.repeat(x, p), np.ones(p.sum())) == pytest.approx(weighted_cv(x, p), abs=1e-9)


def test_equal_schools_are_equal() -> None:
    found = measure(pl.concat([PUPILS.with_columns(pl.lit(f"U{i}").alias("school_id")) for i in range(8)]), unit_attributes=[])
    for name in ("between_school_share", "icc", "weighted_cv", "cv", "gini", "theil", "range_rate"):
        assert row(found, name)["value"] == pytest.approx(0, abs=1e-12)
        assert row(found, name)["ci_lower"] == pytest.approx(0, abs=1e-9)
    assert row(found, "range_ratio")["value"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("frame", "index", "reason", "has_value"),
    [
        (PUPILS.filter(school_id="S00"), "between_school_share", "single_unit", False),
        (PUPILS.unique("school_id"), "icc", "one_pupil_each", False),
        (PUPILS.unique("school_id"), "weighted_cv", "one_pupil_each", False),
        (PUPILS.with_columns(score=pl.lit(5.0)), "between_school_share", "zero_spread", False),
        (PUPILS.with_columns(score=pl.col("school_id").str.slice(1).cast(pl.Float64)), "icc", "zero_spread_within", True),
        (PUPILS.with_columns(score=pl.col("score") - 80), "gini", "not_ratio_scale", False),
        (PUPILS.with_columns(score=pl.col("score") * (pl.col("school_id") != "S00")), "range_ratio_raw", "zero_minimum", False),
        (PUPILS.with_columns(score=pl.lit(None, dtype=pl.Float64)), "icc", "no_values", False),
    ],
)
def test_where_no_number_can_be_given(frame: pl.DataFrame, index: str, reason: str, has_value: bool) -> None:
    found = row(measure(frame, unit_attributes=[], pupil_attributes=[]), index)
    assert (found["reason"], found["value"] is not None, found["ci_lower"]) == (reason, has_value, None)


def test_small_sides_of_a_gap_get_no_number_and_single_units_no_interval() -> None:
    few = PUPILS.with_columns(area=pl.when(pl.col("school_id") == "S01").then(pl.lit("island")).otherwise("area"))
    gap = row(measure(few), "gap", attribute="area", group="island", reference="town")
    assert (gap["value"] is not None, gap["reason"], gap["ci_lower"]) == (True, "single_unit_on_a_side", None)
    small = row(measure(few, min_n=300), "gap", attribute="sex")
    assert (small["value"], small["reason"]) == (None, "below_min_n")
    split = PUPILS.with_columns(sex=pl.when(pl.col("school_id") < "S06").then(pl.lit("female")).otherwise(pl.lit("male")))
    assert row(measure(split), "gap_within_units")["reason"] == "no_shared_unit"
    withheld = measure(PUPILS.vstack(PUPILS[:3].with_columns(school_id=pl.lit("tiny")))).bottom.filter(unit="tiny")
    assert withheld.select("n", "n_bottom", "share", "reason").row(0) == (3, None, None, "below_min_n")


def test_a_reference_level_limits_the_pairs() -> None:
    three = PUPILS.with_columns(area=pl.col("school_id").str.slice(2).cast(pl.Int64) % 3).cast({"area": pl.String})
    pairs = measure(three).frame.filter(index="gap", attribute="area").select("group", "reference").rows()
    assert pairs == [("0", "1"), ("0", "2"), ("1", "2")]
    pairs = (
        measure(three, references={"area": "2"}).frame.filter(index="gap", attribute="area").select("group", "reference").rows()
    )
    assert pairs == [("0", "2"), ("1", "2")]


def test_three_states_against_dated_limits() -> None:
    share = row(BASE, "between_school_share")
    at = {"below": 0.9, "above": 0.0001, "undecided": share["value"]}
    limits = [EquityLimit(index="between_school_share", value=value, source=state) for state, value in at.items()]
    old = EquityLimit(index="between_school_share", value=0.2, valid_to=dt.date(2020, 1, 1))
    found = measure(limits=[*limits, old])
    assert found.limits.select("source", "state").rows() == [(state, state) for state in at]
    assert "between" in found.sentences("en")["sentence"][0]
    assert "尚不能判定" in found.sentences("zh")["sentence"][2]
    assert measure(limits=[old], as_of=dt.date(2019, 5, 1)).limits.height == 1
    assert measure(limits=[old], as_of=dt.date(2020, 1, 2)).limits.height == 0
    assert "limits: above 1, below 1, undecided 1" in found.summary()


@pytest.mark.parametrize(("reaching", "state"), [("below", "below"), ("above", "above")])
def test_counts_are_compared_as_they_are(reaching: Any, state: str) -> None:
    frame = pl.DataFrame({"school_id": ["a", "b"], "pupils": [10, 10], "books": [1.0, 3.0]})
    limits = [EquityLimit(index="weighted_cv", value=0.5, reaching=reaching)]
    found = eq.measure_equity(frame, n="pupils", mean="books", limits=limits)
    assert found.limits["state"].to_list() == [state]
    assert "0.500" in found.sentences("zh")["sentence"][0]


def test_course_over_the_years_needs_four() -> None:
    years = [
        draw_pupils(40, spread=spread, seed=i).with_columns(year=pl.lit(f"{2019 + i}-{2020 + i}"))
        for i, spread in enumerate((9, 7, 5, 3, 1))
    ]
    found = measure(pl.concat(years), period="year").course.filter(index="between_school_share").row(0, named=True)
    assert (found["n_periods"], found["first"], found["last"], found["spacing"]) == (5, "2019-2020", "2023-2024", "years")
    assert found["ci_upper"] < 0
    short = measure(pl.concat(years[:3]), period="year").course
    assert short["reason"].unique().to_list() == ["too_few_periods"]
    assert BASE.course.is_empty()


def test_counts_have_a_plain_line_as_their_course() -> None:
    books = pl.DataFrame(
        [
            (year, name, 10, each + (year - 2020) * step)
            for year in range(2020, 2025)
            for name, each, step in (("a", 5.0, 0.1), ("b", 9.0, -0.3))
        ],
        schema=["year", "school_id", "pupils", "each"],
        orient="row",
    )
    found = eq.measure_equity(books, n="pupils", mean="each", period="year")
    line = found.course.filter(index="weighted_cv").row(0, named=True)
    values = found.frame.filter(index="weighted_cv")["value"].to_numpy()
    slope, intercept = np.polyfit(np.arange(5.0), values, 1)
    rest = values - intercept - slope * np.arange(5.0)
    assert line["slope"] == pytest.approx(slope)
    assert line["std_error"] == pytest.approx(np.sqrt(rest @ rest / 3 / 10), rel=1e-6)


def exam_of(year: int, spread: float, **facts: Any) -> Any:
    pupils = draw_pupils(20, spread=spread, seed=year)
    rows = [{"school_id": school, "math": score} for school, _, _, score in pupils.iter_rows()]
    known = {"id": f"exam-{year}", "school_year": f"{year}-{year + 1}", "term": 2, "year_group": "G9", **facts}
    return build_scores(rows, exam={"exam": known})


def test_exams_of_several_years_make_a_course() -> None:
    exams = [exam_of(2019 + i, spread) for i, spread in enumerate((8, 7, 4, 2))]
    found = eq.measure_equity(exams)
    course = found.course.filter(paper="math", index="between_school_share").row(0, named=True)
    assert (course["comparison_group"], course["n_periods"], course["first"], course["last"]) == (
        "math",
        4,
        "2019-2020",
        "2022-2023",
    )
    assert course["slope"] < 0
    alone = eq.measure_equity(exams[1]).frame.filter(paper="math").drop("paper", "comparison_group")
    assert (
        found.frame.filter(paper="math", school_year="2020-2021").drop("paper", "comparison_group", "school_year").equals(alone)
    )


def test_families_make_separate_tables_of_their_own_type() -> None:
    both = pl.concat([PUPILS.with_columns(grade=pl.lit(number)) for number in (7, 8)])
    found = measure(both, family=["grade"])
    assert found.frame["grade"].dtype == pl.Int32
    for number in (7, 8):
        assert found.frame.filter(grade=number).drop("grade").equals(BASE.frame)


ERRORS: list[tuple[str, type[EduqError], Callable[[], object]]] = [
    ("equity_source", UsageError, lambda: eq.measure_equity([1, 2])),  # type: ignore[arg-type]
    ("equity_columns", UsageError, lambda: eq.measure_equity(PUPILS)),
    ("equity_columns", UsageError, lambda: measure(mean="score")),
    ("equity_column_missing", UsageError, lambda: measure(value="points")),
    ("equity_column_twice", UsageError, lambda: measure(unit_attributes=["sex"])),
    ("equity_name_taken", UsageError, lambda: measure(PUPILS.with_columns(index=pl.lit(1)), family=["index"])),
    ("equity_option", UsageError, lambda: measure(bottom=1.5)),
    ("equity_limit_unknown", UsageError, lambda: measure(limits=[EquityLimit(index="cv2", value=1)])),
    (
        "equity_paper_unknown",
        UsageError,
        lambda: eq.measure_equity(build_scores([{"school_id": "A", "math": 3.0}]), papers=["art"]),
    ),
    ("equity_too_many_levels", UsageError, lambda: measure(draw_pupils(13).with_columns(area=pl.col("school_id")))),
    ("equity_value", DataFileError, lambda: measure(PUPILS.with_columns(score=pl.lit("12分")))),
    ("equity_value", DataFileError, lambda: measure(PUPILS.with_columns(score=pl.lit(float("inf"))))),
    ("equity_value", DataFileError, lambda: measure(PUPILS.with_columns(school_id=pl.lit(None, dtype=pl.String)))),
    (
        "equity_duplicate",
        DataFileError,
        lambda: eq.measure_equity(units_of(PUPILS).vstack(units_of(PUPILS)), n="n_pupils", mean="average", sd="spread"),
    ),
    ("equity_attribute_varies", DataFileError, lambda: measure(unit_attributes=["sex"], pupil_attributes=[])),
    ("equity_no_values", NotAssessableError, lambda: measure(PUPILS.clear())),
    ("equity_exams", UsageError, lambda: eq.measure_equity([exam_of(2020, 3), exam_of(2020, 3)])),
    ("equity_exams", UsageError, lambda: eq.measure_equity([exam_of(2020, 3), exam_of(2021, 3, year_group="G8")])),
    ("equity_nothing_to_draw", UsageError, lambda: BASE.plot("resource")),
]


@pytest.mark.parametrize(("code", "kind", "call"), ERRORS, ids=[f"{number}-{item[0]}" for number, item in enumerate(ERRORS)])
def test_what_does_not_fit_stops(code: str, kind: type[EduqError], call: Callable[[], object]) -> None:
    with pytest.raises(kind) as caught:
        call()
    assert caught.value.code == code
    assert "12分" not in str(caught.value)


def test_blank_values_are_left_out_and_counted() -> None:
    some = PUPILS.with_columns(score=pl.when(pl.int_range(pl.len()) % 50 == 0).then(None).otherwise("score"))
    found = measure(some)
    assert found.settings["n_left_out"] == some["score"].null_count()
    assert row(found, "icc")["n"] == some.height - some["score"].null_count()


def test_the_result_shows_itself(tmp_path: Path) -> None:
    found = measure(limits=[EquityLimit(index="between_school_share", value=0.15)])
    assert found.summary().startswith(f"{len(INDICES)} indices of 1 tables of units, 0 without a number")
    assert found._repr_html_().startswith("<p>")
    assert pl.read_parquet(found.write(tmp_path / "equity.parquet")).equals(found.frame)
    assert "geom" in str(found.plot().as_dict())
    assert found.plot("gap").as_dict()["kind"] == "plot"
    assert eq.measure_equity(PUPILS.lazy(), value="score").frame.height > 0
