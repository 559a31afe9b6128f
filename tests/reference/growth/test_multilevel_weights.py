"""Co-teaching against lme4 with the shares as its Z, and against dense generalised least squares."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.optimize import minimize_scalar

from eduq.errors import DataFileError, NotAssessableError, UsageError
from eduq.estimates.growth import GrowthResult, estimate_growth, multilevel_weights

HERE = Path(__file__).parent
ROWS = pl.read_csv(HERE / "multilevel_weights.csv")
ANSWERS: dict[str, dict[str, Any]] = json.loads((HERE / "multilevel_weights.json").read_text())
CALL: dict[str, Any] = {"outcome": "y", "prior": "x1", "unit": "teacher", "covariates": ["sex"]}
SHARED = {"weights": "share", "pupil": "pupil"}


def _grow(frame: pl.DataFrame = ROWS, **options: Any) -> GrowthResult:
    return estimate_growth(frame, **(CALL | SHARED | options))


@pytest.mark.parametrize("kind", ["reml", "ml"])
def test_equal_to_lme4(kind: str) -> None:
    found, said = _grow(reml=kind == "reml"), ANSWERS[kind]
    model = found.model
    assert model is not None
    assert model.deviance == pytest.approx(said["deviance"], rel=1e-9)
    np.testing.assert_allclose(list(model.fixed.values()), said["fixed"], rtol=1e-6)
    np.testing.assert_allclose(list(model.fixed_se.values()), said["fixed_se"], rtol=1e-6)
    assert model.var_unit == pytest.approx(said["var_unit"], rel=2e-6)
    assert model.var_residual == pytest.approx(said["var_residual"], rel=1e-6)
    assert found.frame["teacher"].to_list() == said["units"]
    np.testing.assert_allclose(found.frame["estimate"].to_numpy(), said["blup"], rtol=2e-6, atol=1e-6)
    np.testing.assert_allclose(found.frame["std_error"].to_numpy(), said["cond_se"], rtol=1e-6)


def test_equal_to_dense_least_squares() -> None:
    """β, u and the REML criterion from V = σ²(I + λZZ') written out."""
    found = _grow()
    pupils = ROWS.unique("pupil", keep="first").sort("pupil")
    units = sorted(ROWS["teacher"].unique())
    z = np.zeros((pupils.height, len(units)))
    for pupil, teacher, share in ROWS.select("pupil", "teacher", "share").iter_rows():
        z[pupils["pupil"].to_list().index(pupil), units.index(teacher)] += share
    x = np.column_stack([np.ones(pupils.height), pupils["x1"], (pupils["sex"] == "male").cast(pl.Float64)])
    y = pupils["y"].to_numpy()
    free = len(y) - x.shape[1]

    def criterion(log_ratio: float) -> float:
        v = np.eye(len(y)) + np.exp(log_ratio) * z @ z.T
        inverse = np.linalg.inv(v)
        information = x.T @ inverse @ x
        left = y - x @ np.linalg.solve(information, x.T @ inverse @ y)
        rss = left @ inverse @ left
        dets = np.linalg.slogdet(v)[1] + np.linalg.slogdet(information)[1]
        return float(dets + free * (1 + np.log(2 * np.pi * rss / free)))

    lowest = minimize_scalar(criterion, bounds=(-6, 3), method="bounded", options={"xatol": 1e-9})
    model = found.model
    assert model is not None
    assert model.deviance == pytest.approx(lowest.fun, abs=1e-6)
    assert isinstance(model.var_unit, float)
    ratio = model.var_unit / model.var_residual
    assert np.log(ratio) == pytest.approx(lowest.x, abs=1e-4)
    inverse = np.linalg.inv(np.eye(len(y)) + ratio * z @ z.T)
    beta = np.linalg.solve(x.T @ inverse @ x, x.T @ inverse @ y)
    np.testing.assert_allclose(list(model.fixed.values()), beta, rtol=1e-8)
    np.testing.assert_allclose(found.frame["estimate"].to_numpy(), ratio * z.T @ inverse @ (y - x @ beta), atol=1e-8)
    conditional = model.var_residual * (ratio * np.eye(len(units)) - ratio**2 * z.T @ inverse @ z)
    np.testing.assert_allclose(found.frame["std_error"].to_numpy(), np.sqrt(np.diag(conditional)), rtol=1e-8)


def test_whole_shares_are_the_plain_model() -> None:
    alone = ROWS.sort("pupil", "share", descending=[False, True]).unique("pupil", keep="first").with_columns(share=pl.lit(1.0))
    plain = estimate_growth(alone, **CALL)
    found = _grow(alone)
    for name in ("estimate", "std_error", "prediction_se", "reliability", "centred_lower"):
        np.testing.assert_allclose(found.frame[name].to_numpy(), plain.frame[name].to_numpy(), rtol=1e-7, atol=1e-9)
    assert found.frame["n"].to_list() == plain.frame["n"].to_list()
    assert found.model is not None
    assert plain.model is not None
    assert found.model.deviance == pytest.approx(plain.model.deviance, rel=1e-12)


def test_row_order_changes_nothing_and_rows_of_one_pair_add_up() -> None:
    found = _grow()
    turned = _grow(ROWS.sample(fraction=1.0, shuffle=True, seed=3))
    assert turned.frame.equals(found.frame)
    halves = pl.concat([ROWS.with_columns(pl.col("share") / 2)] * 2)
    np.testing.assert_allclose(_grow(halves).frame["estimate"].to_numpy(), found.frame["estimate"].to_numpy(), atol=1e-9)


def test_shares_count_and_n_is_pupils() -> None:
    frame = _grow().frame
    assert frame["n_shares"].sum() == pytest.approx(ROWS["pupil"].n_unique())
    assert frame["n"].sum() == ROWS.height


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (pl.lit(0.7).alias("share"), "growth_weights_sum"),
        ((-pl.col("share")).alias("share"), "growth_weights_value"),
        (pl.col("share").cast(pl.String), "growth_weights_value"),
        ((pl.col("x1") + pl.int_range(pl.len())).alias("x1"), "growth_weights_differ"),
    ],
)
def test_shares_that_make_no_sense_stop(change: pl.Expr, code: str) -> None:
    with pytest.raises(DataFileError) as caught:
        _grow(ROWS.with_columns(change))
    assert caught.value.code == code


@pytest.mark.parametrize("options", [{"pupil": None}, {"weights": None}, {"random_slopes": ["x1"]}, {"reliability": 0.8}])
def test_shares_stand_alone(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as caught:
        _grow(**options)
    assert caught.value.code == "growth_weights_alone"
    with pytest.raises(UsageError) as unused:
        estimate_growth(ROWS, outcome="y", prior="x1", unit="teacher", method="bands", weights="share")
    assert unused.value.code == "growth_option_unused"


def test_too_many_units_joined_by_pupils_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multilevel_weights, "LARGEST_BLOCK", 5)
    with pytest.raises(NotAssessableError) as caught:
        _grow()
    assert caught.value.code == "growth_weights_units"


def test_no_difference_and_few_units_are_said() -> None:
    chance = pl.col("x1") + (pl.col("pupil").str.slice(1).cast(pl.Int64) * 37 % 11)
    found = _grow(ROWS.with_columns(chance.alias("y")), covariates=[])
    assert found.model is not None
    assert found.model.var_unit == 0
    assert found.model.sd_unit_upper is not None
    assert found.frame["reason"].unique().to_list() == ["no_difference"]
    assert found.frame["std_error"].null_count() == found.frame.height
    few = ROWS.filter(pl.col("share") == 1.0, pl.col("teacher").is_in(["T00", "T01", "T02"]))
    assert _grow(few).frame["reason"].unique().to_list() == ["too_few_units"]
