"""Growth percentiles against R quantreg (answers.R) and the linear program of HiGHS."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from eduq.estimates.growth import estimate_growth
from eduq.estimates.growth.percentile import PercentileGrowth
from eduq.estimates.growth.percentile_basis import choose_basis, design_columns, independent_columns
from eduq.estimates.growth.percentile_process import QUANTILES, fit_process, pinball, solve_linear_program
from eduq.estimates.growth.percentile_units import median_errors

HERE = Path(__file__).parent
PUPILS = pl.read_csv(HERE / "pupils.csv").with_columns((pl.int_range(pl.len()) % 30).alias("school"))
ANSWERS: dict[str, dict[str, Any]] = json.loads((HERE / "answers.json").read_text())


def fit(case: str) -> PercentileGrowth:
    answer = ANSWERS[case]
    declared: dict[str, Any] = {}
    if case == "declared":
        declared = {"knots": answer["knots"], "boundaries": answer["boundaries"]}
    if case == "top":
        declared = {"obtainable": (0, 100)}
    found = estimate_growth(
        PUPILS, outcome="outcome", prior=list(answer["knots"]), unit="school", method="percentile", **declared
    )
    assert isinstance(found, PercentileGrowth)
    return found


@pytest.mark.parametrize("case", ["one", "top", "declared", "two"])
def test_percentiles_objectives_and_knots_are_those_of_quantreg(case: str) -> None:
    found, answer = fit(case), ANSWERS[case]
    assert found.settings["knots"] == {name: pytest.approx(at) for name, at in answer["knots"].items()}
    assert found.settings["boundaries"] == {name: pytest.approx(at) for name, at in answer["boundaries"].items()}
    quantiles = found.tables["quantiles"]
    np.testing.assert_allclose(quantiles["objective"].to_numpy(), answer["objective"], rtol=1e-9)
    assert quantiles["gap"].abs().max() < 1e-9
    assert found.tables["checks"]["n_by_program"].item() == 0
    assert found.candidates is not None
    difference = np.abs(found.candidates["growth_percentile"].to_numpy() - np.array(answer["percentile"]))
    # optima that are not unique are legal
    assert (difference == 0).mean() >= 0.99
    assert difference.max() <= 1


def test_highest_obtainable_score_counts_its_equals() -> None:
    plain, top = fit("one").candidates, fit("top").candidates
    assert plain is not None
    assert top is not None
    at_top = PUPILS["outcome"] == 100
    assert 20 < at_top.sum() < 200
    assert (top.filter(at_top)["growth_percentile"] > plain.filter(at_top)["growth_percentile"]).any()
    assert top.filter(~at_top).equals(plain.filter(~at_top))


@pytest.mark.parametrize("decimals", [0, 6])
def test_objective_equals_the_linear_program(decimals: int) -> None:
    rng = np.random.default_rng(7)
    prior = np.round(rng.normal(50, 10, 900), decimals)
    outcome = np.round(0.8 * prior + rng.normal(0, 8, 900) * (1 + prior / 100), decimals)
    weights = rng.integers(1, 5, 900).astype(float)
    design = design_columns(prior[:, None], (choose_basis("prior", prior),))
    process = fit_process(design, outcome, weights)
    assert process.n_by_program == 0
    for place in range(0, 100, 11):
        beta, optimum = solve_linear_program(design, outcome, weights, float(QUANTILES[place]))
        assert process.objectives[place] == pytest.approx(optimum, rel=1e-9)
        assert pinball(outcome - design @ beta, weights, float(QUANTILES[place])) == pytest.approx(optimum, rel=1e-9)


def test_weighted_cells_are_the_rows_they_stand_for() -> None:
    rows = PUPILS.select("first", "outcome").to_numpy().astype(float)
    cells, counts = np.unique(rows, axis=0, return_counts=True)
    basis = (choose_basis("first", rows[:, 0]),)
    by_row = fit_process(design_columns(rows[:, :1], basis), rows[:, 1], np.ones(len(rows)))
    by_cell = fit_process(design_columns(cells[:, :1], basis), cells[:, 1], counts.astype(float))
    np.testing.assert_allclose(by_row.objectives, by_cell.objectives, rtol=1e-12)


def test_the_linear_program_takes_over_where_the_walk_does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    from eduq.estimates.growth import percentile_process

    prior = PUPILS["first"].to_numpy().astype(float)
    design = design_columns(prior[:, None], (choose_basis("first", prior),))
    outcome, weights = PUPILS["outcome"].to_numpy().astype(float), np.ones(PUPILS.height)
    few = np.array([0.25, 0.5, 0.75])
    walked = fit_process(design, outcome, weights, few)
    monkeypatch.setattr(percentile_process._Walk, "_line_search", staticmethod(lambda *_: None))
    solved = fit_process(design, outcome, weights, few)
    assert (walked.n_by_program, solved.n_by_program) == (0, 3)
    np.testing.assert_allclose(walked.objectives, solved.objectives, rtol=1e-9)


def test_dependent_columns_are_left_out() -> None:
    prior = np.repeat([1.0, 2.0, 3.0], 40)
    design = design_columns(prior[:, None], (choose_basis("prior", prior),))
    kept = independent_columns(design, np.ones(120))
    assert kept[0] == 0
    assert len(kept) == np.linalg.matrix_rank(design) == 3


def test_standard_error_of_a_median() -> None:
    answer = ANSWERS["median_error"]
    found = median_errors(np.sort(np.array(answer["x"], dtype=float)), np.array([0]), np.array([len(answer["x"])]))
    assert found[0] == pytest.approx(answer["se"], rel=1e-9)
