"""Multilevel growth against lme4: the London schools, and simulated pupils with answers of every kind of model."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from eduq.estimates.growth import GrowthResult, estimate_growth

HERE = Path(__file__).parent
PUPILS = pl.read_csv(HERE / "multilevel.csv")
ANSWERS: dict[str, dict[str, Any]] = json.loads((HERE / "multilevel.json").read_text())
LONDON: dict[str, dict[str, Any]] = json.loads((HERE / "london.json").read_text())
CALLS: dict[str, dict[str, Any]] = {
    "intercept": {"outcome": "y", "prior": ["x1"]},
    "priors": {"outcome": "y", "prior": ["x1", "x2"], "covariates": ["sex"]},
    "slope": {"outcome": "y", "prior": ["x1"], "random_slopes": ["x1"]},
    "slopes": {"outcome": "y", "prior": ["x1", "x2"], "random_slopes": ["x1", "x2"]},
    "three": {"outcome": "y", "prior": ["x1", "x2"], "class_unit": "class"},
    "alike": {"outcome": "alike", "prior": ["x1"]},
    "alike_slope": {"outcome": "alike", "prior": ["x1"], "random_slopes": ["x1"]},
}
SHARED = Path(os.environ.get("EDUQ_SHARED", HERE.parents[3] / "shared")) / "data" / "exam_london_4059.csv"


def grow(case: str) -> tuple[GrowthResult, dict[str, Any]]:
    name, _, kind = case.rpartition("_")
    return estimate_growth(PUPILS, unit="school", reml=kind == "reml", **CALLS[name]), ANSWERS[case]


def effects(result: GrowthResult, *, errors: bool) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return (units, random effects), in lme4's order."""
    first = "std_error" if errors else "estimate"
    assert result.model is not None
    rest = [f"slope_{name}{'_se' if errors else ''}" for name in result.model.random[1:]]
    return result.frame.select(first, *rest).to_numpy()


def compare(result: GrowthResult, said: dict[str, Any]) -> None:
    model = result.model
    assert model is not None
    assert model.deviance == pytest.approx(said["deviance"], rel=1e-9)
    assert list(model.fixed) == [{"sexmale": "sex=male"}.get(name, name) for name in said["names"]]
    np.testing.assert_allclose(list(model.fixed.values()), said["fixed"], rtol=1e-6)
    np.testing.assert_allclose(list(model.fixed_se.values()), said["fixed_se"], rtol=1e-6)
    # with three random effects lme4's search, which has no derivatives, stops a millionth away
    close = 3e-6 if len(model.random) == 3 else 1e-6
    np.testing.assert_allclose(np.ravel(np.asarray(model.var_unit)), said["var_unit"], rtol=close)
    assert model.var_residual == pytest.approx(said["var_residual"], rel=1e-6)
    assert [str(unit) for unit in result.frame["school"]] == said["units"]
    blup = np.reshape(said["blup"], effects(result, errors=False).shape)
    np.testing.assert_allclose(effects(result, errors=False), blup, rtol=1e-6, atol=1e-6 * np.abs(blup).max())
    np.testing.assert_allclose(effects(result, errors=True), np.reshape(said["cond_se"], blup.shape), rtol=1e-6)
    if "classes" in said:
        assert model.var_class == pytest.approx(said["var_class"], rel=1e-6)
        classes = result.tables["classes"].with_columns(room=pl.col("school") + " " + pl.col("class")).sort("room")
        assert classes["room"].to_list() == said["classes"]
        np.testing.assert_allclose(classes["estimate"], said["class_blup"], rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(classes["std_error"], said["class_se"], rtol=1e-6)


@pytest.mark.parametrize("case", [case for case in ANSWERS if not case.startswith("alike")])
def test_every_model_equals_lme4(case: str) -> None:
    compare(*grow(case))


@pytest.mark.parametrize("kind", ["ml", "reml"])
def test_schools_that_do_not_differ_are_a_boundary_and_not_a_failure(kind: str) -> None:
    result, said = grow(f"alike_{kind}")
    model = result.model
    assert model is not None
    assert model.var_unit == 0
    assert model.singular
    assert model.deviance == pytest.approx(said["deviance"], rel=1e-9)
    np.testing.assert_allclose(list(model.fixed.values()), said["fixed"], rtol=1e-6)
    assert result.frame["estimate"].to_list() == [0.0] * result.frame.height
    assert result.frame["std_error"].null_count() == result.frame.height
    assert set(result.frame["reason"]) == {"no_difference"}
    assert model.sd_unit_upper is not None
    assert 0 < model.sd_unit_upper < 3


@pytest.mark.parametrize("kind", ["ml", "reml"])
def test_a_slope_that_does_not_vary_is_found_at_its_boundary(kind: str) -> None:
    result, said = grow(f"alike_slope_{kind}")
    assert result.model is not None
    assert result.model.singular
    assert result.model.deviance == pytest.approx(said["deviance"], rel=1e-9)
    np.testing.assert_allclose(np.asarray(result.model.var_unit), 0, atol=1e-9)


@pytest.mark.parametrize(
    ("case", "published"),
    [("intercept_ml", 9357.24), ("slope_ml", 9316.87), ("intercept_reml", 9368.76529), ("slope_reml", 9327.60035)],
)
def test_the_london_schools(case: str, published: float) -> None:
    if not SHARED.exists():
        pytest.skip(f"no {SHARED.name} beside the project (set EDUQ_SHARED)")
    slopes = ["standLRT"] if case.startswith("slope") else []
    pupils = pl.read_csv(SHARED)
    reml = case.endswith("_reml")
    result = estimate_growth(pupils, outcome="normexam", prior="standLRT", unit="school", reml=reml, random_slopes=slopes)
    compare(result, LONDON[case])
    assert result.model is not None
    assert result.model.deviance == pytest.approx(published, rel=1e-6)
    if case == "intercept_reml":
        assert result.frame["std_error"][0] == pytest.approx(0.0846175, abs=5e-8)
