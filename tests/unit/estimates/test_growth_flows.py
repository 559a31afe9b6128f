"""Flows between bands, low groups, cohorts and retention: by hand, and what holds for any data."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import eduq as eq
from eduq.errors import DataFileError, NotAssessableError, UsageError
from eduq.estimates.exam_growth_flows import exam_flows, exam_low_group
from eduq.estimates.growth.transitions import cut_strata
from eduq.estimates.intervals import wilson
from eduq.summaries import AREA_UNIT
from eduq.tables import FLOWS


def _pupils(n: int = 400, seed: int = 3, schools: int = 5) -> pl.DataFrame:
    draw = np.random.default_rng(seed)
    before = np.round(draw.normal(70, 12, n))
    after = np.round(0.7 * before + draw.normal(25, 8, n))
    school = [f"S{k}" for k in draw.integers(0, schools, n)]
    return pl.DataFrame({"school": school, "before": before, "after": after})


def test_the_nine_cells_count_everyone_once_and_rates_follow_from_them() -> None:
    found = eq.measure_flows(_pupils(), outcome="after", prior="before", unit="school")
    cells = found.frame.filter(flow="cell")
    assert cells["count"].sum() == 400
    assert cells.height == 5 * 9
    of_school = cells.filter(school="S0")
    upper = of_school.filter(band_from="upper")
    kept = found.frame.filter(school="S0", flow="band_retention").row(0, named=True)
    assert kept["count"] == upper.filter(band_to="upper")["count"].item()
    assert kept["n"] == upper["count"].sum() == upper["n"].to_list()[0]
    lower = of_school.filter(band_from="lower")
    risen = found.frame.filter(school="S0", flow="conversion", band_from="lower").row(0, named=True)
    assert risen["count"] == lower.filter(pl.col("band_to") != "lower")["count"].sum()
    low, high = wilson(np.array([float(risen["count"])]), np.array([float(risen["n"])]), 0.95)[1:]
    assert (risen["ci_lower"], risen["ci_upper"]) == (low[0], high[0])
    assert risen["difference"] == pytest.approx(risen["estimate"] - risen["expected"], abs=1e-12)
    assert risen["difference_lower"] < risen["difference"] < risen["difference_upper"]


def test_difference_bounds_are_newcombes_against_the_others_scaled_by_their_share() -> None:
    # unit 20 of 40, others 30 of 120: Newcombe method 10 for 0.5 - 0.25
    frame = pl.DataFrame(
        {
            "school": ["A"] * 40 + ["B"] * 120 + ["C"] * 160,
            "before": [1.0] * 160 + [2.0] * 80 + [3.0] * 80,
            "after": [2.0] * 20 + [1.0] * 20 + [2.0] * 30 + [1.0] * 90 + [3.0] * 160,
        }
    )
    found = eq.measure_flows(
        frame, outcome="after", prior="before", unit="school", prior_cuts=(1.5, 2.5), outcome_cuts=(1.5, 2.5)
    )
    item = found.frame.filter(school="A", flow="conversion", band_from="lower").row(0, named=True)
    (low_1,), (high_1,) = wilson(np.array([20.0]), np.array([40.0]), 0.95)[1:]
    (low_2,), (high_2,) = wilson(np.array([30.0]), np.array([120.0]), 0.95)[1:]
    lower = 0.25 - math.hypot(0.5 - low_1, high_2 - 0.25)
    upper = 0.25 + math.hypot(high_1 - 0.5, 0.25 - low_2)
    assert item["difference"] == pytest.approx(0.75 * 0.25)
    assert item["difference_lower"] == pytest.approx(0.75 * lower)
    assert item["difference_upper"] == pytest.approx(0.75 * upper)


def test_expected_is_the_mean_over_pupils_of_the_areas_rate_in_their_stratum() -> None:
    # two strata of the lower band: in the first 10 of 40 rise, in the second 30 of 40; A has 4 and 16 of them
    frame = pl.DataFrame(
        {
            "school": ["A"] * 4 + ["B"] * 36 + ["A"] * 16 + ["B"] * 24 + ["C"] * 80,
            "before": [1.0] * 40 + [2.0] * 40 + [3.0] * 40 + [4.0] * 40,
            "after": [2.0] * 2
            + [1.0] * 2
            + [2.0] * 8
            + [1.0] * 28
            + [2.0] * 14
            + [1.0] * 2
            + [2.0] * 16
            + [1.0] * 8
            + [3.0] * 80,
        }
    )
    found = eq.measure_flows(
        frame, outcome="after", prior="before", unit="school", prior_cuts=(2.5, 3.5), outcome_cuts=(1.5, 2.5)
    )
    item = found.frame.filter(school="A", flow="conversion", band_from="lower").row(0, named=True)
    assert (item["count"], item["n"]) == (16, 20)
    assert item["expected"] == pytest.approx((4 * 0.25 + 16 * 0.75) / 20)
    assert item["difference"] == pytest.approx(0.8 - 0.65)
    weights = np.array([4 * 36 / 40, 16 * 24 / 40])
    share = weights / weights.sum()
    own, rest = share @ [2 / 4, 14 / 16], share @ [8 / 36, 16 / 24]
    variance = np.array([0.1875, 0.1875]) * 40 / 39
    middle = share @ [0.25, 0.75]
    sizes = [middle * (1 - middle) * 80 / 79 / (share**2 / n * variance).sum() for n in (np.array([4, 16]), np.array([36, 24]))]
    sizes = [max(size, 1 / (share**2 / n).sum()) for size, n in zip(sizes, (np.array([4, 16]), np.array([36, 24])), strict=True)]
    low_1, high_1 = (float(bound[0]) for bound in wilson(np.array([own * sizes[0]]), np.array([sizes[0]]), 0.95)[1:])
    low_2, high_2 = (float(bound[0]) for bound in wilson(np.array([rest * sizes[1]]), np.array([sizes[1]]), 0.95)[1:])
    factor = weights.sum() / 20
    assert factor * (own - rest) == pytest.approx(item["difference"])
    assert item["difference_lower"] == pytest.approx(factor * (own - rest - math.hypot(own - low_1, high_2 - rest)))
    assert item["difference_upper"] == pytest.approx(factor * (own - rest + math.hypot(high_1 - own, rest - low_2)))


@given(st.lists(st.integers(0, 60), min_size=1, max_size=700), st.integers(0, 60))
def test_strata_keep_ties_and_bands_and_thirty_pupils(scores: list[int], cut: int) -> None:
    values = np.array(scores, dtype=np.float64)
    bands = (values > cut).astype(np.int64)
    found = cut_strata(values, bands)
    assert (found.band[found.of] == bands).all()
    order = np.argsort(values, kind="stable")
    assert (np.diff(found.of[order]) >= 0).all()
    for score in np.unique(values):
        assert len(np.unique(found.of[values == score])) == 1
    n = np.bincount(found.of, minlength=len(found.band))
    for band in np.unique(bands):
        own = n[found.band == band]
        assert len(own) <= 20
        assert len(own) == 1 or own.min() >= 30
        assert own.sum() == (bands == band).sum()


def test_a_unit_that_is_a_whole_stratum_has_no_interval_there() -> None:
    frame = pl.DataFrame(
        {"school": ["A"] * 60 + ["B"] * 60, "before": [1.0] * 60 + [2.0] * 60, "after": ([1.0] * 30 + [2.0] * 30) * 2}
    )
    found = eq.measure_flows(
        frame, outcome="after", prior="before", unit="school", prior_cuts=(1.5, 2.5), outcome_cuts=(1.5, 2.5)
    )
    item = found.frame.filter(school="A", flow="conversion", band_from="lower").row(0, named=True)
    assert (item["difference"], item["difference_lower"], item["difference_upper"]) == (0.0, None, None)


def test_ties_at_a_cut_stay_together_and_the_actual_share_is_said() -> None:
    frame = pl.DataFrame({"school": ["A"] * 10, "before": [1, 2, 2, 2, 2, 3, 4, 5, 5, 6], "after": range(10)})
    bands = eq.measure_flows(frame, outcome="after", prior="before", unit="school").bands.filter(exam="prior")
    assert bands.select("band", "lowest", "highest", "n", "share").rows() == [
        ("upper", 5.0, 6.0, 3, 0.3),
        ("middle", 3.0, 4.0, 2, 0.2),
        ("lower", 1.0, 2.0, 5, 0.5),
    ]


def test_no_bands_can_be_made_where_nearly_all_share_a_score() -> None:
    frame = pl.DataFrame({"school": ["A"] * 10, "before": [5] * 10, "after": range(10)})
    with pytest.raises(NotAssessableError) as caught:
        eq.measure_flows(frame, outcome="after", prior="before", unit="school")
    assert caught.value.code == "flow_no_bands"
    with pytest.raises(NotAssessableError):
        eq.measure_low_groups(frame, subjects={"math": ("before", "after")}, unit="school")


@pytest.mark.parametrize(
    "options", [{"cuts": (0.7, 0.3)}, {"cuts": (0.0, 0.5)}, {"prior_cuts": (3.0, 3.0)}, {"outcome_cuts": (4.0, 1.0)}]
)
def test_cuts_out_of_order_are_refused(options: dict[str, tuple[float, float]]) -> None:
    with pytest.raises(UsageError) as caught:
        eq.measure_flows(_pupils(), outcome="after", prior="before", unit="school", **options)  # type: ignore[arg-type]
    assert caught.value.code == "flow_cuts"


def test_who_is_missing_is_counted_by_school_and_prior_band() -> None:
    frame = _pupils()
    gone = frame.with_columns(pl.when(pl.int_range(pl.len()) % 10 == 0).then(None).otherwise(pl.col("after")).alias("after"))
    found = eq.measure_flows(gone, outcome="after", prior="before", unit="school")
    assert found.missing["n_listed"].sum() == 400
    assert found.missing["n_missing"].sum() == 40
    assert (found.missing["n_listed"] - found.missing["n_linked"] == found.missing["n_missing"]).all()
    assert found.left_out.filter(reason="no_outcome")["n"].item() == 40
    assert found.missing.columns == ["school", "prior_band", "n_listed", "n_linked", "n_missing"]
    assert set(found.missing["prior_band"]) == {"upper", "middle", "lower"}
    assert found.candidates is not None
    assert found.candidates["before"].equals(gone["before"])
    assert (found.candidates["prior_band"].is_null() == gone["after"].is_null()).all()
    counted = found.candidates.filter(pl.col("prior_band") == "upper")
    assert counted.height == found.area.filter(flow="band_retention")["n"].item()


def test_the_missing_may_be_counted_by_their_school_of_the_prior_exam() -> None:
    frame = pl.DataFrame(
        {
            "school": ["A", "B", None, "A", "B", "A"],
            "home": ["X", "X", "Y", "Y", "Y", "X"],
            "before": [1, 2, 3, 4, 5, 6],
            "after": [1, 2, None, 4, 5, 6],
        }
    )
    found = eq.measure_flows(
        frame, outcome="after", prior="before", unit="school", prior_unit="home", prior_cuts=(2.5, 4.5), outcome_cuts=(2.5, 4.5)
    )
    assert found.missing.filter(home="Y").rows() == [("Y", "upper", 1, 1, 0), ("Y", "middle", 2, 1, 1)]


def test_a_unit_without_pupils_in_a_band_has_no_rate_and_says_why() -> None:
    frame = pl.DataFrame({"school": ["A"] * 5 + ["B"] * 5, "before": range(10), "after": range(10)})
    item = eq.measure_flows(frame, outcome="after", prior="before", unit="school").frame.filter(school="A", flow="band_retention")
    assert item.select("count", "n", "estimate", "expected", "reason").row(0) == (0, 0, None, None, "no_pupils")


@given(st.integers(0, 10_000), st.integers(2, 6))
def test_row_order_and_scale_change_nothing_and_expected_flows_add_up_to_the_area(seed: int, schools: int) -> None:
    frame = _pupils(120, seed, schools)
    found = eq.measure_flows(frame, outcome="after", prior="before", unit="school")
    turned = frame.sample(fraction=1.0, shuffle=True, seed=seed).with_columns(pl.col("before") * 2.5 - 7)
    again = eq.measure_flows(turned, outcome="after", prior="before", unit="school")
    assert again.frame.equals(found.frame)
    assert again.area.equals(found.area)
    cells = found.frame.filter(flow="cell").with_columns((pl.col("expected") * pl.col("n")).alias("e"))
    sums = cells.group_by("band_from", "band_to").agg(pl.col("e", "count").sum())
    assert np.allclose(sums["e"], sums["count"])
    known = found.frame.filter(pl.col("estimate").is_not_null())
    assert ((known["ci_lower"] <= known["estimate"]) & (known["estimate"] <= known["ci_upper"])).all()


def test_regression_to_the_mean_is_in_the_expectation_so_chance_alone_gives_no_difference() -> None:
    """Ability and two error-prone scores, no school does anything: intervals of the differences hold 0 about 95 times in 100."""
    draw = np.random.default_rng(11)
    ability = draw.normal(0, 1, 20_000)
    frame = pl.DataFrame(
        {
            "school": [f"S{k:03d}" for k in draw.integers(0, 200, 20_000)],
            "before": ability + draw.normal(0, 0.6, 20_000),
            "after": ability + draw.normal(0, 0.6, 20_000),
        }
    )
    found = eq.measure_flows(frame, outcome="after", prior="before", unit="school")
    assert found.area.filter(flow="band_retention")["estimate"].item() < 0.8
    for flow in ("band_retention", "conversion"):
        items = found.frame.filter(flow=flow)
        held = (items["difference_lower"] <= 0) & (items["difference_upper"] >= 0)
        assert 0.92 <= held.cast(pl.Float64).to_numpy().mean() <= 0.99


def test_low_group_enters_stays_and_leaves() -> None:
    frame = pl.DataFrame({"school": ["A"] * 5 + ["B"] * 5, "m1": range(10), "m2": [2, 0, 6, 1, 4, 9, 8, 3, 7, 5]})
    frame = frame.with_columns(pl.col("m1").alias("c1"), pl.col("m1").reverse().alias("c2"))
    found = eq.measure_low_groups(frame, subjects={"math": ("m1", "m2"), "chinese": ("c1", "c2")}, unit="school")
    rows = found.frame.filter(school="A", subject="math").select("flow", "count", "n").rows()
    assert rows == [("entering", 1, 2), ("staying", 2, 3), ("leaving", 1, 3)]
    area = found.area.filter(subject="chinese").select("flow", "count", "n").rows()
    assert area == [("entering", 3, 7), ("staying", 0, 3), ("leaving", 3, 3)]
    shares = found.bands.filter(subject="math", band="low")["share"].to_list()
    assert shares == [0.3, 0.3]
    for subjects, code in (({}, "flow_subjects"), ({"math": ("m1", "nowhere")}, "growth_column_missing")):
        with pytest.raises(UsageError) as caught:
            eq.measure_low_groups(frame, subjects=subjects, unit="school")
        assert caught.value.code == code


def test_a_cohort_is_ranked_among_the_same_pupils_in_every_exam() -> None:
    draw = np.random.default_rng(5)
    n = 300
    start = draw.normal(0, 1, n)
    school = np.array(["A", "B", "C"])[np.arange(n) % 3]
    frame = pl.DataFrame(
        {
            "school": school,
            "intake": start,
            "mock": start + draw.normal(0, 0.3, n) + 0.4 * (school == "A"),
            "exit": start + draw.normal(0, 0.3, n) + 0.9 * (school == "A"),
        }
    )
    frame = frame.with_columns(pl.when(pl.int_range(pl.len()) < 6).then(None).otherwise("mock").alias("mock"))
    found = eq.trace_cohort(frame, exams=["intake", "mock", "exit"], unit="school", lines={"first": {"exit": 1.0, "mock": 1.0}})
    means = found.frame.group_by("exam").agg((pl.col("estimate") * pl.col("n")).sum() / pl.col("n").sum())
    assert np.allclose(means["estimate"], 50)
    of_a = found.frame.filter(school="A")
    assert of_a["n"].to_list() == [98, 98, 98]
    assert of_a["change"].to_list()[0] is None
    assert of_a["change_lower"].to_list()[2] > 0
    assert of_a["change"].to_list()[2] == pytest.approx(of_a["estimate"].to_list()[2] - of_a["estimate"].to_list()[0])
    assert found.flows.area.filter(flow="cell")["count"].sum() == 294
    assert found.lines.select("line", "exam", "n").rows() == [("first", "mock", 294), ("first", "exit", 294)]
    assert "school" not in found.lines.columns
    used = frame.drop_nulls()
    assert found.lines.filter(exam="exit")["count"].item() == used.filter(pl.col("exit") >= 1.0).height


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"exams": ["before"]}, "cohort_exams"),
        ({"lines": {"x": {"nowhere": 1.0}}}, "cohort_line"),
        ({"level": 1.5}, "growth_option"),
    ],
)
def test_a_cohort_needs_two_exams_and_known_lines(options: dict[str, object], code: str) -> None:
    given_options = {"exams": ["before", "after"], "unit": "school", **options}
    with pytest.raises(UsageError) as caught:
        eq.trace_cohort(_pupils(), **given_options)  # type: ignore[arg-type]
    assert caught.value.code == code


def test_results_show_themselves() -> None:
    flows = eq.measure_flows(_pupils(), outcome="after", prior="before", unit="school")
    assert "400 of 400 pupils" in flows.summary()
    assert "<table" in flows._repr_html_()
    assert flows.plot("conversion", "lower").as_dict()["kind"] == "plot"
    low = eq.measure_low_groups(_pupils(), subjects={"math": ("before", "after")}, unit="school")
    assert low.plot("entering", "other", subject="math").as_dict()["kind"] == "plot"
    cohort = eq.trace_cohort(_pupils(), exams=["before", "after"], unit="school")
    assert "2 exams" in cohort.summary()
    assert cohort.plot().as_dict()["kind"] == "plot"
    with pytest.raises(UsageError) as caught:
        flows.plot("cell", "lower")
    assert caught.value.code == "flow_unknown"


def test_any_arrow_table_will_do() -> None:
    frame = _pupils()
    found = eq.measure_flows(frame.to_arrow(), outcome="after", prior="before", unit="school")
    assert found.frame.equals(eq.measure_flows(frame, outcome="after", prior="before", unit="school").frame)


def test_retention_by_hand_and_its_reasons() -> None:
    frame = pl.DataFrame(
        {
            "school": ["A", "B", "C", "D", "E"],
            "graduated": [188, 90, None, 120, 5],
            "transferred_in": [10, 0, 1, 0, 0],
            "transferred_out": [14, 2, 1, 0, 0],
            "entered": [201, 100, 50, 100, 0],
            "deceased": [1, 0, 0, 0, 0],
        }
    )
    found = eq.measure_retention(frame, unit="school", limit=0.95).frame
    assert found.select("school", "n", "estimate", "limit_state", "reason").rows() == [
        ("A", 200, 0.96, "met", None),
        ("B", 100, 0.92, "not_met", None),
        ("C", 50, None, None, "missing_input"),
        ("D", 100, None, None, "counts_disagree"),
        ("E", 0, None, None, "nobody_entered"),
    ]
    assert "ci_lower" not in found.columns
    assert eq.measure_retention(frame, unit="school").frame["limit_state"].null_count() == 5
    for bad in (-1, 0.5):
        broken = frame.with_columns(pl.Series("entered", [bad] * 5))
        with pytest.raises(DataFileError) as caught:
            eq.measure_retention(broken, unit="school")
        assert caught.value.code == "retention_count"


def test_lines_of_an_exam_have_the_shared_columns_with_the_area_first() -> None:
    of = {
        "unit_type": "school",
        "exam_id": "e2",
        "comparison_group": "g",
        "subject": "math",
        "paper": "math",
        "prior_exam": "e1",
    }
    frame = _pupils().rename({"school": "unit", "after": "y"})
    flows = exam_flows(frame, "before", of)
    low = exam_low_group(frame, "before", of)
    for lines in (flows, low):
        assert dict(lines.schema) == FLOWS
        assert lines["unit"].to_list()[0] == AREA_UNIT
        assert set(lines["unit_type"]) == {"area", "school"}
    shares = flows.filter(flow="prior_band")
    assert shares["band_from"].to_list() == ["upper", "middle", "lower"]
    assert shares["count"].sum() == 400
    assert flows.filter(unit_type="school").height == 5 * 12
    assert low.filter(unit_type="school").height == 5 * 3
