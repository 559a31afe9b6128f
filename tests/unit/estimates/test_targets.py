"""Targets: states, completion, refusals, the exam a value comes from, and forecasts."""

from __future__ import annotations

import dataclasses
import datetime as dt
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import eduq as eq
from eduq.errors import SettingsError, UsageError
from eduq.estimates.exam_source import EXAM_FACTS, ExamSource, sources_from_scores
from eduq.estimates.targets.levels import fit_levels
from eduq.estimates.targets.reviews import judge_target, review_rows, share_done
from eduq.estimates.targets.values import ExamValues, newest_exams
from eduq.registers import Registers, read_registers
from eduq.registers.model import TARGET_COLUMNS
from eduq.rulepacks.refusals import cite_rule
from eduq.tables import ESTIMATE_COLUMNS, TARGET_REVIEWS

SAMPLE = Path(__file__).parents[3] / "sample_data"
AS_OF = dt.date(2026, 8, 1)


def targets(*rows: tuple[object, ...]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=TARGET_COLUMNS, orient="row")


def exam(estimate: float | None, low: float | None, high: float | None, *, n: int = 100, reason: str | None = None) -> ExamValues:
    line = dict.fromkeys(ESTIMATE_COLUMNS) | {
        "unit_type": "school",
        "unit": "S1",
        "exam_id": "e1",
        "comparison_group": "g",
        "subject": "math",
        "paper": "math",
        "measure": "pass_rate",
        "n_expected": n,
        "n_present": n,
        "n": n,
        "estimate": estimate,
        "ci_lower": low,
        "ci_upper": high,
        "reason": reason,
    }
    return ExamValues("e1", dt.date(2026, 6, 1), "2025-2026", {"g": "G9"}, pl.DataFrame([line], schema=ESTIMATE_COLUMNS))


def review(values: ExamValues, direction: str = "up", refused: dict[str, str] | None = None) -> dict[str, object]:
    rows = targets(("T1", "school", "S1", "pass_rate", "math", 0.5, 0.6, direction, dt.date(2026, 7, 1), None))
    frame = review_rows(rows, lambda row: [values], refused=refused or {}, as_of=AS_OF, min_n=10)
    assert frame.schema == pl.Schema(TARGET_REVIEWS)
    return frame.row(0, named=True)


@pytest.fixture(scope="module")
def county() -> ExamSource:
    names = [f"{year}-2-{group}-final" for year in (2023, 2024, 2025) for group in ("g8", "g9")]
    return sources_from_scores([eq.read_scores(SAMPLE / name) for name in names], read_registers(SAMPLE / "registers"))


@pytest.mark.parametrize(
    ("estimate", "low", "high", "up", "down"),
    [
        (0.70, 0.61, 0.80, "reached", "not_reached"),
        (0.70, 0.60, 0.80, "reached", "undecided"),
        (0.62, 0.55, 0.70, "undecided", "undecided"),
        (0.50, 0.40, 0.60, "undecided", "reached"),
        (0.50, 0.40, 0.59, "not_reached", "reached"),
    ],
)
def test_a_target_is_judged_by_the_whole_interval(estimate: float, low: float, high: float, up: str, down: str) -> None:
    assert review(exam(estimate, low, high))["state"] == up
    assert review(exam(estimate, low, high), "down")["state"] == down


@given(st.floats(-1, 1), st.floats(0, 1), st.floats(0, 1), st.floats(-1, 1))
def test_direction_is_a_mirror(estimate: float, below: float, above: float, target: float) -> None:
    here = judge_target(target, "up", estimate, estimate - below, estimate + above)
    assert here == judge_target(-target, "down", -estimate, -estimate - above, -estimate + below)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_completion_is_one_at_the_target_and_nought_at_the_baseline(value: float, baseline: float, target: float) -> None:
    if abs(target - baseline) < 1e-6:
        assert share_done(value, target, target) is None
        return
    assert share_done(target, baseline, target) == pytest.approx(1)
    assert share_done(baseline, baseline, target) == 0
    mirrored = share_done(-value, -baseline, -target)
    assert mirrored == pytest.approx(share_done(value, baseline, target))


@pytest.mark.parametrize(
    ("low", "high", "completion"),
    [(0.56, 0.64, 1.0), (0.51, 0.71, 1.0), (0.48, 0.72, None), (None, None, None)],
)
def test_no_completion_where_the_way_to_the_target_is_within_the_margin(
    low: float | None, high: float | None, completion: float | None
) -> None:
    line = review(exam(0.6, low, high))
    assert line["completion"] == (None if completion is None else pytest.approx(completion))
    blurred = completion is None and low is not None
    assert line["reason"] == ("target_near_baseline" if blurred else "no_interval" if low is None else None)
    assert line["state"] == ("not_assessable" if low is None else "undecided")


def test_what_cannot_be_assessed_says_why_and_has_no_number() -> None:
    for values, reason in (
        (exam(None, None, None, reason="below_min_n"), "below_min_n"),
        (exam(0.7, 0.6, 0.8, n=9), "below_min_n"),
        (exam(0.7, None, None), "no_interval"),
    ):
        line = review(values)
        assert (line["state"], line["reason"], line["estimate"], line["completion"]) == ("not_assessable", reason, None, None)


def test_a_refused_target_never_gets_a_value() -> None:
    line = review(exam(0.7, 0.65, 0.75), refused={"T1": "national.document.promotion_target"})
    assert line["state"] == "refused"
    assert line["reason"] == "national.document.promotion_target"
    assert {name for name, value in line.items() if value is not None} == {
        *("target_id", "unit_type", "unit", "measure", "subject", "direction", "due", "state", "reason")
    }


def test_the_newest_exam_of_each_year_group_by_the_day() -> None:
    rows = [
        ("a", "2024-2025", 2, dt.date(2025, 6, 1), "G9", "county", "monitoring"),
        ("b", "2025-2026", 1, dt.date(2026, 1, 10), "G9", "county", "monitoring"),
        ("c", "2025-2026", 2, dt.date(2026, 5, 1), "G9", "county", "monitoring"),
        ("d", "2025-2026", 2, dt.date(2026, 5, 20), "G9", "county", "mock"),
        ("e", "2025-2026", 2, dt.date(2026, 6, 20), "G8", "county", "monitoring"),
        ("f", "2025-2026", 2, dt.date(2026, 6, 21), "G8", "school", "monitoring"),
    ]
    exams = pl.DataFrame(rows, schema=EXAM_FACTS, orient="row")
    assert newest_exams(exams, AS_OF) == ["c", "e"]
    assert newest_exams(exams, dt.date(2026, 2, 1)) == ["b"]
    assert newest_exams(exams, dt.date(2025, 7, 1)) == ["a"]
    assert newest_exams(exams, dt.date(2020, 1, 1)) == []


def test_the_review_of_a_county_agrees_with_its_estimates(county: ExamSource) -> None:
    found = eq.review_targets(county, as_of=AS_OF)
    estimates = eq.describe(county.scores("2025-2-g9-final")).frame
    line = found.frame.filter(target_id="T003", year_group="G9").row(0, named=True)
    same = estimates.filter(unit_type="school", unit="S013", paper="chinese", measure="pass_rate").row(0, named=True)
    assert line["exam_id"] == "2025-2-g9-final"
    assert [line[name] for name in ("n", "estimate", "ci_lower", "ci_upper")] == [
        same[name] for name in ("n", "estimate", "ci_lower", "ci_upper")
    ]
    early = found.frame.filter(target_id="T001")
    assert early["date"].max() <= dt.date(2025, 7, 31)  # type: ignore[operator]
    assert early["overdue"].all()


def test_a_promotion_target_is_refused_for_a_school_and_stays_out_of_reach_for_the_area(county: ExamSource) -> None:
    known = county.registers()
    assert known is not None
    due = dt.date(2026, 7, 31)
    rows = targets(
        ("P1", "school", "S001", "promotion_rate", None, 0.5, 0.6, "up", due, None),
        ("P2", "teacher", "T1", "line_rate", None, 0.5, 0.6, "up", due, None),
        ("P3", "area", None, "promotion_rate", None, 0.5, 0.6, "up", due, None),
    )
    found = eq.review_targets(county, as_of=AS_OF, registers=dataclasses.replace(known, targets=rows)).frame
    assert found["state"].to_list() == ["refused", "refused", "not_assessable"]
    assert cite_rule(found["reason"][0]).title == "深化新时代教育评价改革总体方案"  # type: ignore[union-attr]
    assert found["estimate"].null_count() == 3
    with pytest.raises(SettingsError) as stopped:
        eq.propose_targets(county, measure="promotion_rate", as_of=AS_OF)
    assert stopped.value.exit_status == 10
    assert "深化新时代教育评价改革总体方案" in stopped.value.message("zh")


def test_results_show_themselves(county: ExamSource) -> None:
    from lets_plot.plot.core import PlotSpec

    review, proposed = eq.review_targets(county, as_of=AS_OF), eq.propose_targets(county, as_of=AS_OF, intake=False)
    for found, said in ((review, "8 targets"), (proposed, "without a proposal")):
        assert said in found.summary()
        assert said in found._repr_html_()
        assert isinstance(found.plot(), PlotSpec)


def test_no_register_of_targets_is_said() -> None:
    with pytest.raises(UsageError, match="targets_missing"):
        eq.review_targets(sources_from_scores([]), as_of=AS_OF)
    with pytest.raises(UsageError, match="targets_missing"):
        eq.review_targets(sources_from_scores([], Registers(pl.DataFrame())), as_of=AS_OF)


def test_levels_equal_the_dense_likelihood() -> None:
    """REML and BLUP from the closed form against dense matrices."""
    rng = np.random.default_rng(3)
    y = rng.normal(0, 0.4, (15, 1)) + rng.normal(0, 0.15, (15, 4))
    v = rng.uniform(0.004, 0.03, (15, 4))
    y[2, 1] = y[7, 0] = np.nan
    x = np.broadcast_to(np.eye(4), (15, 4, 4))
    found = fit_levels(y, v, x)
    rows = [(s, t) for s in range(15) for t in range(4) if not np.isnan(y[s, t])]
    design, values = np.array([x[s, t] for s, t in rows]), np.array([y[s, t] for s, t in rows])
    same = np.array([[float(a == b) for b, _ in rows] for a, _ in rows])

    def dense(tau: float, omega: float) -> tuple[float, np.ndarray, np.ndarray]:
        cov = tau * same + np.diag([omega + v[s, t] for s, t in rows])
        inverse = np.linalg.inv(cov)
        xx = design.T @ inverse @ design
        beta = np.linalg.solve(xx, design.T @ inverse @ values)
        rest = values - design @ beta
        fit = np.linalg.slogdet(cov)[1] + np.linalg.slogdet(xx)[1] + rest @ inverse @ rest
        return float(fit), beta, tau * same @ inverse @ rest

    best, beta, blup = dense(found.var_level, found.var_shock)
    np.testing.assert_allclose(found.beta, beta, rtol=1e-8)
    np.testing.assert_allclose(found.level[[s for s, _ in rows]], blup, rtol=1e-7, atol=1e-10)
    for tau, omega in ((1.05, 1.0), (0.95, 1.0), (1.0, 1.05), (1.0, 0.95)):
        assert dense(found.var_level * tau, found.var_shock * omega)[0] > best


def test_a_forecast_covers_as_it_says() -> None:
    """80 % intervals of the next value, from simulated counties of 40 schools and four years."""
    from eduq.estimates.targets.proposals import _Panel

    inside = []
    for seed in range(15):
        rng = np.random.default_rng(seed)
        level, n = rng.normal(0, 0.4, 40), rng.integers(30, 200, 40)
        means = level[:, None] + rng.normal(0, 0.12, (40, 5)) + rng.normal(0, 0.9, (40, 5)) / np.sqrt(n)[:, None]
        frame = pl.DataFrame(
            [
                {"unit": f"S{s:02}", "period": f"{2020 + t}-{2021 + t}", "estimate": means[s, t], "n": int(n[s]), "sd": 0.9}
                for s in range(40)
                for t in range(4)
            ]
        )
        panel = _Panel(frame, None, 1, standardised=True, intake=False, rate=False)
        _, expected, variance, _ = panel.forecast(range(4), last_known=None)
        half = 1.2816 * np.sqrt(variance + panel.v[:, -1])
        inside.append((np.abs(means[:, 4] - expected) <= half).mean())
    assert 0.75 <= np.mean(inside) <= 0.85


def test_the_error_of_a_forecast_equals_the_dense_one() -> None:
    """With intake: level, shock and the uncertainty of all fixed effects, against dense best linear unbiased prediction."""
    from eduq.estimates.targets.proposals import _Panel

    rng = np.random.default_rng(8)
    units, years = 8, 4
    intake = rng.normal(0, 0.4, (units, years + 1))
    means = 0.8 * intake[:, :years] + rng.normal(0, 0.3, (units, 1)) + rng.normal(0, 0.15, (units, years))
    n = rng.integers(30, 200, units)

    def frame(values: np.ndarray, first: int) -> pl.DataFrame:
        return pl.DataFrame(
            [
                {"unit": f"S{s}", "period": f"{first + t}-{first + t + 1}", "estimate": values[s, t], "n": int(n[s]), "sd": 0.9}
                for s in range(units)
                for t in range(values.shape[1])
            ]
        )

    panel = _Panel(frame(means, 2020), frame(intake, 2019), 1, standardised=True, intake=True, rate=False)
    fit, expected, variance, _ = panel.forecast(range(years), last_known=panel.next_intake)
    assert panel.next_intake is not None
    unit = np.repeat(np.arange(units), years)
    same = (unit[:, None] == unit).astype(float)
    cov = fit.var_level * same + np.diag(fit.var_shock + panel.v.ravel())
    x = np.column_stack([np.tile(np.eye(years), (units, 1)), intake[:, :years].ravel()])
    weight = np.linalg.inv(cov)
    cov_beta = np.linalg.inv(x.T @ weight @ x)
    beta = cov_beta @ x.T @ weight @ means.ravel()
    for s in range(units):
        coming = np.array([1 / years] * years + [intake[s, -1]])
        shared = fit.var_level * (unit == s)
        away = coming - x.T @ weight @ shared
        assert expected[s] == pytest.approx(coming @ beta + shared @ weight @ (means.ravel() - x @ beta), rel=1e-6)
        wanted = fit.var_level - shared @ weight @ shared + away @ cov_beta @ away + fit.var_shock
        assert variance[s] == pytest.approx(wanted, rel=1e-6)


def test_proposals_stand_by_code_between_expectation_and_the_far_bound(county: ExamSource) -> None:
    up = eq.propose_targets(county, as_of=AS_OF)
    assert up.frame["unit"].is_sorted()
    assert up.model.intake is not None
    assert "rank" not in " ".join(up.frame.columns)
    given = up.frame.filter(pl.col("proposed").is_not_null())
    assert ((given["proposed"] > given["expected"]) & (given["proposed"] < given["ci_upper"])).all()
    down = eq.propose_targets(county, measure="low_score_rate", subject="english", as_of=AS_OF)
    given = down.frame.filter(pl.col("proposed").is_not_null())
    assert ((given["proposed"] < given["expected"]) & (given["ci_lower"] > 0) & (given["ci_upper"] < 1)).all()
    assert down.settings["direction"] == "down"
    named = down.frame.filter(pl.col("target").is_not_null())
    assert named["unit"].to_list() == ["S007", "S025"]
    easier = eq.propose_targets(county, chance=0.4, as_of=AS_OF).frame
    both = up.frame.join(easier, on="unit", suffix="_easier").filter(pl.col("proposed").is_not_null())
    assert (both["proposed_easier"] < both["proposed"]).all()


@pytest.mark.parametrize("option", [{"chance": 0.5}, {"horizon": 4}, {"level": 0.4}, {"direction": "left"}])
def test_options_out_of_range_stop(county: ExamSource, option: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="target_option"):
        eq.propose_targets(county, as_of=AS_OF, **option)  # type: ignore[arg-type]


def test_a_measure_without_a_yearly_series_stops(county: ExamSource) -> None:
    with pytest.raises(UsageError, match="target_measure"):
        eq.propose_targets(county, measure="mean_score", subject="math", as_of=AS_OF)
