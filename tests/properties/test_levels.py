"""What must hold for any exam: order, file split and names of schools change nothing; counts add up."""

from __future__ import annotations

import dataclasses

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from tests.builders import build_scores

import eduq as eq
from eduq.estimates.levels import pass_cuts, unit_columns
from eduq.estimates.measures import load_measures
from eduq.settings import RunSettings
from eduq.summaries import gather_cells, summarise
from eduq.tables import NOT_EXPECTED

CELL = st.one_of(
    st.integers(0, 240).map(lambda half: half / 2),
    st.sampled_from(["absent", "exempt", "voided", "deferred", "not_chosen", "not_scanned", None]),
)
ROW = st.fixed_dictionaries(
    {"school_id": st.sampled_from("ABCD"), "sex": st.sampled_from(["female", "male", None]), "math": CELL, "chinese": CELL}
)
ROWS = st.lists(ROW, min_size=1, max_size=40)
FULL = {"chinese": 120, "math": 120}
POLICY = st.sampled_from(["exclude", "zero", "rate-only", "penalty"])
EVERY = ["area", "school", "sex"]


def describe(rows: list[dict[str, object]], policy: str) -> pl.DataFrame:
    return eq.describe(build_scores(rows, full=FULL, exam={"absence": {"policy": policy}}), by=EVERY).frame


@settings(max_examples=40)
@given(ROWS, POLICY, st.randoms(use_true_random=False))
def test_row_order_changes_nothing(rows: list[dict[str, object]], policy: str, random: object) -> None:
    shuffled = rows.copy()
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert_frame_equal(describe(rows, policy), describe(shuffled, policy), check_exact=True)


@settings(max_examples=30)
@given(ROWS, POLICY)
def test_other_names_for_schools_change_no_number(rows: list[dict[str, object]], policy: str) -> None:
    names = {"A": "z-last", "B": "m", "C": "k", "D": "a-first"}
    renamed = [{**row, "school_id": names[str(row["school_id"])]} for row in rows]
    back = pl.col("unit").replace({new: old for old, new in names.items()})
    keys = ["unit_type", "unit", "paper", "measure"]
    found = (
        describe(renamed, policy)
        .with_columns(pl.when(pl.col("unit_type") == "school").then(back).otherwise("unit").alias("unit"))
        .sort(keys)
    )
    # floating-point sums over schools (pooled variances) run in the order of the schools, hence not to the last bit
    assert_frame_equal(found, describe(rows, policy).sort(keys), abs_tol=1e-9, rel_tol=1e-9)


@settings(max_examples=40)
@given(ROWS)
def test_counts_of_schools_add_up_to_the_area_and_to_the_rows(rows: list[dict[str, object]]) -> None:
    scores = build_scores(rows, full=FULL)
    summary = summarise(
        scores, by=unit_columns(EVERY, []), settings=RunSettings(), pass_cuts=pass_cuts(scores.exam, load_measures())
    )
    schools = summary.by["school"]
    cells = gather_cells(
        schools.counts,
        summary.mapping(schools.units.select("unit_index", "stratum", pl.col("school_id").alias("unit"))),
        policy="exclude",
    )
    for paper in FULL:
        here, area = cells.rows["paper"].to_numpy() == paper, summary.area.rows["paper"].to_numpy() == paper
        statuses = [("present" if isinstance(row[paper], float) else row[paper]) for row in rows]
        expected = sum(status is not None and status not in NOT_EXPECTED for status in statuses)
        values = [row[paper] for row in rows if isinstance(row[paper], float)]
        for name, truth in (("n_expected", expected), ("n_present", len(values)), ("total", round(100 * sum(values)))):
            assert getattr(cells, name)[here].sum() == getattr(summary.area, name)[area].sum() == truth


@settings(max_examples=40)
@given(st.lists(st.integers(0, 30000), min_size=1, max_size=60), st.sampled_from([0.25, 0.5, 0.75]))
def test_moments_and_quantiles_equal_numpy(hundredths: list[int], q: float) -> None:
    rows = [{"school_id": "A", "math": value / 100} for value in hundredths]
    frame = eq.describe(build_scores(rows, full={"math": 300})).frame
    values = np.array(hundredths) / 100

    def estimate(measure: str) -> float | None:
        return frame.filter(pl.col("measure") == measure)["estimate"].item()  # type: ignore[no-any-return]

    assert estimate("mean_score") == pytest.approx(values.mean(), rel=1e-12)
    assert estimate({0.25: "q1", 0.5: "median", 0.75: "q3"}[q]) == pytest.approx(np.quantile(values, q), rel=1e-12, abs=1e-9)
    if len(values) > 1:
        assert estimate("sd") == pytest.approx(values.std(), rel=1e-9, abs=1e-9)


@settings(max_examples=30)
@given(ROWS, st.integers(0, 39))
def test_one_score_raised_never_lowers_its_school(rows: list[dict[str, object]], position: int) -> None:
    row = rows[position % len(rows)]
    if not isinstance(row["math"], float) or row["math"] >= 120:
        return
    raised = [dict(other) for other in rows]
    raised[position % len(rows)]["math"] = row["math"] + 0.5
    for measure in ("mean_score", "pass_rate", "excellent_rate", "median", "percentile_rank"):
        pair = [
            describe(version, "exclude")
            .filter((pl.col("measure") == measure) & (pl.col("paper") == "math") & (pl.col("unit") == row["school_id"]))[
                "estimate"
            ]
            .item()
            for version in (rows, raised)
        ]
        assert pair[0] is None or pair[1] >= pair[0] - 1e-9


def test_deviating_schools_are_a_group_of_their_own_and_said_to_be_incomparable() -> None:
    rows = [{"school_id": school, "math": 40 + 5 * i, "chinese": 60 - i} for school in "ABC" for i in range(8)]
    deviation = {"schools": ["C"], "change": {"papers": ["math"], "marking": "school", "reason": "未参加统一阅卷"}}
    scores = build_scores(rows, full=FULL, exam={"deviations": [deviation]})
    groups = eq.check_comparability(scores).frame
    math_groups = groups.filter(pl.col("paper") == "math")
    assert math_groups["n_schools"].to_list() == [2, 1]
    assert math_groups["reason"].to_list() == [None, "marking_not_shared"]
    assert groups.filter(pl.col("paper") == "chinese")["n_schools"].to_list() == [3]
    frame = eq.describe(scores).frame
    lines = frame.filter(
        (pl.col("unit") == "C") & pl.col("measure").is_in(["z_mean", "mean_ratio", "composite_z", "bottom30_share"])
    )
    by_paper = {key: set(part["reason"]) for (key,), part in lines.group_by(["paper"])}
    assert by_paper["math"] == by_paper["composite"] == {"marking_not_shared"}
    assert by_paper["chinese"] == {None}
    # the others' mean and SD do not know of school C
    alone = eq.describe(build_scores([row for row in rows if row["school_id"] != "C"], full=FULL)).frame
    wanted = (pl.col("unit") == "A") & (pl.col("paper") == "math") & (pl.col("measure") == "z_mean")
    assert frame.filter(wanted)["estimate"].item() == alone.filter(wanted)["estimate"].item()


def test_tracks_are_never_pooled() -> None:
    rows = [
        {"school_id": school, "track": track, "math": score}
        for school in "AB"
        for track, score in (("physics", 80.0), ("history", 40.0), ("physics", 90.0), ("history", 50.0))
    ]
    groups = eq.check_comparability(build_scores(rows)).frame
    assert groups.select("track", "n_expected").rows() == [("history", 4), ("physics", 4)]


def test_a_pace_that_was_not_shared_leaves_no_comparison() -> None:
    rows = [{"school_id": school, "math": 40 + i} for school in "AB" for i in range(5)]
    frame = eq.describe(build_scores(rows, exam={"attest": {"pace": "no"}})).frame
    assert set(frame.filter(pl.col("measure") == "z_mean")["reason"]) == {"pace_not_shared"}
    assert frame.filter(pl.col("measure") == "mean_score")["estimate"].null_count() == 0


def test_describe_does_not_change_its_input() -> None:
    scores = build_scores([{"school_id": "A", "math": 40 + i} for i in range(5)])
    before = scores.frame.clone()
    eq.describe(dataclasses.replace(scores), by=["area", "school"])
    assert_frame_equal(scores.frame, before)
