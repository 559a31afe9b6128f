"""Comparison against independent references: metafor and base R (answers.R)."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from eduq.estimates.comparison import ComparisonResult, compare_units
from eduq.estimates.comparison.funnel import binomial_limit, fit_funnel
from eduq.estimates.ranks import last_place_p

HERE = Path(__file__).parent
UNITS = pl.read_csv(HERE / "units.csv")
ANSWERS: dict[str, dict[str, Any]] = json.loads((HERE / "answers.json").read_text())
CASES = list(ANSWERS)


def rows_of(case: str) -> pl.DataFrame:
    return UNITS.filter(pl.col("case") == case)


def compared(case: str) -> ComparisonResult:
    rate = case == "rates"
    rows = rows_of(case).drop("std_error") if rate else rows_of(case)
    return compare_units(rows, unit="unit", n="n", rate=rate)


def same(found: object, answer: object, *, rel: float = 1e-6) -> None:
    got, expected = (np.atleast_1d(np.array(values, dtype=np.float64)) for values in (found, answer))
    assert got.shape == expected.shape
    assert np.allclose(got, expected, rtol=rel, atol=1e-8, equal_nan=True)


@pytest.mark.parametrize("case", CASES)
def test_shrinkage_equals_metafor(case: str) -> None:
    result, answer = compared(case), ANSWERS[case]
    same(result.model.var_between, answer["tau2"])
    same(result.model.mean, answer["mean"])
    for name in ("std_error", "shrunken", "shrunken_se"):
        same(result.frame[name], answer[name])


@pytest.mark.parametrize("case", CASES)
def test_contrasts_equal_the_full_matrix_and_q_equals_p_adjust(case: str) -> None:
    result, answer = compared(case), ANSWERS[case]
    for name in ("contrast", "contrast_se", "p_value", "q_value"):
        same(result.frame[name], answer[name])


@pytest.mark.parametrize("case", CASES)
def test_rank_sets_and_who_could_be_last_equal_pairs_and_integrals(case: str) -> None:
    result, answer = compared(case), ANSWERS[case]
    same(result.model.pair_cut, answer["cut"])
    assert result.frame["rank_lower"].to_list() == answer["rank_lower"]
    assert result.frame["rank_upper"].to_list() == answer["rank_upper"]
    ranked = result.frame.filter(pl.col("rank").is_not_null())
    if case == "rates":
        assert ranked["could_be_last"].to_list() == (ranked["rank_upper"] == ranked["n_units"]).to_list()
        return
    p = np.array([value for value in answer["p_could_be_last"] if value is not None])
    x, s = ranked["estimate"].to_numpy(), ranked["std_error"].to_numpy()
    assert last_place_p(x[None, :], s[None, :], np.arange(len(x))) == pytest.approx(p, abs=1e-6)
    assert (np.abs(p - 0.05) > 1e-4).all()
    assert ranked["could_be_last"].to_list() == (p > 0.05).tolist()


@pytest.mark.parametrize("case", CASES)
def test_funnel_equals_the_formulas_and_metafor(case: str) -> None:
    result, answer = compared(case), ANSWERS[case]
    same(result.model.funnel_target, answer["target"])
    same(result.model.var_overdispersion, answer["overdispersion"])
    if answer["phi"][0] is None:
        assert result.model.dispersion is None
    else:
        same(result.model.dispersion, answer["phi"])
    n = result.frame["n"].to_numpy().astype(np.float64)
    if case == "rates":
        target = result.model.funnel_target
        null_error = np.sqrt(target * (1 - target) / n)
        same(result.frame["ci_lower"], answer["ci_lower"])
        same(result.frame["ci_upper"], answer["ci_upper"])
        same(np.clip(binomial_limit(n, target, 0.025), 0, 1), np.clip(answer["binomial_lower"], 0, 1))
        same(binomial_limit(n, target, 0.999), np.clip(answer["binomial_upper"], 0, 1))
    else:
        null_error = (result.model.sd_within or 0.0) / np.sqrt(n)
        same(result.frame["funnel_lower"], answer["funnel_lower"])
        same(result.frame["funnel_upper_998"], answer["funnel_upper_998"])
    if len(n) >= 10:
        plain = fit_funnel(result.frame["estimate"].to_numpy(), null_error, result.model.funnel_target, tail=0.0)
        same(plain.variance, answer["unwinsorised"])


@pytest.mark.r
def test_r_still_gives_the_committed_answers() -> None:
    rscript = shutil.which("Rscript")
    if rscript is None:
        pytest.skip("R is not installed; the committed answers are used")
    run = subprocess.run(
        [rscript, "--vanilla", str(HERE / "answers.R"), str(HERE / "units.csv")], capture_output=True, text=True, check=True
    )
    again = json.loads(run.stdout)
    for case, answer in ANSWERS.items():
        for name, values in answer.items():
            same(again[case][name], values)
