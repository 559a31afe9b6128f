"""Multilevel growth where the textbook breaks, and what the result says of itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.optimize import minimize_scalar

import eduq as eq
from eduq.errors import DataFileError, EduqError, NotAssessableError, UsageError
from eduq.estimates.growth import GrowthModel, GrowthResult, estimate_growth
from eduq.estimates.growth import multilevel_search as search


def pupils(sizes: Any = 30, units: int = 20, *, sd: float = 4.0, seed: int = 1, per_class: int = 10) -> pl.DataFrame:
    """Return marks in steps of .5; the schools' true effects stand in ``truth``."""
    rng = np.random.default_rng(seed)
    unit = np.repeat(np.arange(units), sizes)
    truth = sd * rng.standard_normal(units)
    before = np.rint(2 * (70 + 12 * rng.standard_normal(len(unit)))) / 2
    after = np.rint(2 * (15 + 0.8 * before + truth[unit] + 8 * rng.standard_normal(len(unit)))) / 2
    return pl.DataFrame(
        {
            "school": [f"S{k:05d}" for k in unit],
            "class": [f"C{k % per_class}" for k in range(len(unit))],
            "before": before,
            "after": after,
            "truth": truth[unit],
        }
    )


def grow(frame: pl.DataFrame, **options: Any) -> tuple[GrowthResult, GrowthModel]:
    result = estimate_growth(frame, **{"outcome": "after", "prior": "before", "unit": "school", **options})
    assert result.model is not None
    return result, result.model


def dense_deviance(frame: pl.DataFrame, model: GrowthModel, *, reml: bool) -> float:
    """Return the criterion from the whole covariance matrix, at the variances and by definition."""
    unit = frame["school"].rank("dense").to_numpy()
    same = unit[:, None] == unit[None, :]
    cov = model.var_residual * np.eye(frame.height) + float(np.asarray(model.var_unit)) * same
    if model.var_class is not None:
        cov += model.var_class * (same & (frame["class"].to_numpy()[:, None] == frame["class"].to_numpy()[None, :]))
    x = np.column_stack([np.ones(frame.height), frame["before"].to_numpy()])
    y = frame["after"].to_numpy()
    inverse = np.linalg.inv(cov)
    beta = np.linalg.solve(x.T @ inverse @ x, x.T @ inverse @ y)
    left = y - x @ beta
    free = frame.height - 2 if reml else frame.height
    found = np.linalg.slogdet(cov)[1] + left @ inverse @ left + free * np.log(2 * np.pi)
    return float(found + (np.linalg.slogdet(x.T @ inverse @ x)[1] if reml else 0))


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("class_unit", [None, "class"])
def test_the_criterion_is_that_of_the_whole_covariance_matrix(reml: bool, class_unit: str | None) -> None:
    frame = pupils([1, 2, 3, 9, 17, 30], 6, per_class=3)
    _, model = grow(frame, reml=reml, class_unit=class_unit)
    assert model.deviance == pytest.approx(dense_deviance(frame, model, reml=reml), rel=1e-10)


def test_the_order_of_rows_changes_nothing_at_all() -> None:
    frame = pupils()
    first, model = grow(frame, random_slopes=["before"])
    again, other = grow(frame.sample(fraction=1, shuffle=True, seed=3), random_slopes=["before"])
    assert first.frame.equals(again.frame)
    assert (model.deviance, model.fixed) == (other.deviance, other.fixed)


def test_scores_without_steps_depend_on_the_order_by_rounding_alone() -> None:
    frame = pupils().with_columns(pl.col("before") / 3)
    first, _ = grow(frame)
    again, _ = grow(frame.reverse())
    np.testing.assert_allclose(first.frame["estimate"], again.frame["estimate"], rtol=1e-8)


def test_scale_and_origin_of_the_scores_change_only_the_scale() -> None:
    frame = pupils()
    result, model = grow(frame, random_slopes=["before"])
    far = frame.with_columns(pl.col("before") * 100 + 1e6, pl.col("after") * 10 + 1e5)
    other_result, other = grow(far, random_slopes=["before"])
    assert other.fixed["before"] == pytest.approx(model.fixed["before"] / 10, rel=1e-8)
    np.testing.assert_allclose(other_result.frame["at_mean"], 10 * result.frame["at_mean"], rtol=1e-5, atol=1e-6)
    shift = frame.height * 2 * np.log(10) - 2 * 2 * np.log(10)
    assert other.deviance is not None
    assert model.deviance is not None
    assert other.deviance == pytest.approx(model.deviance + shift + 2 * np.log(100), rel=1e-9)


def test_units_of_one_pupil_stand_beside_the_others() -> None:
    frame = pupils([1] * 60 + [40] * 20, 80)
    result, model = grow(frame)
    assert np.asarray(model.var_unit) > 0
    single = result.frame.filter(pl.col("n") == 1)
    assert single.height == 60
    assert single["reliability"].max() < result.frame.filter(pl.col("n") == 40)["reliability"].min()
    assert single["std_error"].null_count() == 0


def test_two_thousand_units_of_one_pupil_have_fixed_effects_and_no_variance() -> None:
    result, model = grow(pupils(1, 2000))
    assert model.var_unit is None
    assert model.fixed["before"] == pytest.approx(0.8, abs=0.1)
    assert result.frame["estimate"].null_count() == 2000
    assert set(result.frame["reason"]) == {"one_pupil_each"}


def test_thirty_thousand_pupils_in_two_thousand_schools_find_the_truth() -> None:
    frame = pupils(15, 2000)
    result, model = grow(frame)
    assert model.var_unit == pytest.approx(16, rel=0.12)
    assert model.var_residual == pytest.approx(64, rel=0.03)
    truth = frame.group_by("school").agg(pl.col("truth").first()).sort("school")["truth"].to_numpy()
    error = result.frame["estimate"].to_numpy() - truth
    inside = np.abs(error - error.mean()) < 1.96 * result.frame["std_error"].to_numpy()
    assert 0.93 < inside.mean() < 0.97


def test_fewer_than_five_units_have_fixed_effects_only() -> None:
    result, model = grow(pupils(50, 4))
    assert model.var_unit is None
    assert not model.singular
    assert set(result.frame["reason"]) == {"too_few_units"}
    assert result.frame["raw"].null_count() == 0


def test_no_difference_is_not_zero_plus_or_minus_zero() -> None:
    frame = pupils(12, 12, sd=0.0, seed=3)
    mean = pl.col("after") - 0.8 * pl.col("before")
    frame = frame.with_columns(pl.col("after") - (mean.mean().over("school") - mean.mean()))
    result, model = grow(frame)
    assert model.var_unit == 0
    assert model.singular
    assert set(result.frame["estimate"]) == {0.0}
    for name in ("std_error", "ci_lower", "ci_upper", "prediction_se"):
        assert result.frame[name].null_count() == 12
    assert set(result.frame["reliability"]) == {0.0}
    assert "no difference between units" in result.summary()
    # at the limit the criterion has risen by 2.71
    assert model.sd_unit_upper is not None
    low = dense_deviance(frame, model, reml=True)
    ratio = (model.sd_unit_upper**2) / model.var_residual

    def rise(residual: float) -> float:
        return dense_deviance(frame, replace(model, var_unit=ratio * residual, var_residual=residual), reml=True) - low

    lowest = minimize_scalar(rise, bounds=(0.8 * model.var_residual, 1.2 * model.var_residual), method="bounded")
    assert lowest.fun == pytest.approx(2.71, abs=1e-4)


def test_predictors_that_follow_from_others_are_dropped_by_name() -> None:
    frame = pupils().with_columns(
        twice=2 * pl.col("before") + 1, same=pl.lit(3.0), other=pl.col("before") ** 2, sex=pl.col("class") > "C4"
    )
    _, plain = grow(frame, covariates=["other", "sex"])
    _, model = grow(frame, covariates=["twice", "same", "other", "sex"])
    assert model.dropped == ("twice", "same")
    assert model.fixed == pytest.approx(plain.fixed, rel=1e-9)
    with pytest.raises(UsageError) as stopped:
        grow(frame, covariates=["twice"], random_slopes=["twice"])
    assert stopped.value.code == "growth_slope_dropped"


def test_no_prior_at_all_compares_the_units_as_they_are() -> None:
    result, model = grow(pupils(), prior=[])
    assert list(model.fixed) == ["(Intercept)"]
    assert result.frame["estimate"].null_count() == 0


def test_text_makes_one_predictor_for_each_value_but_the_first() -> None:
    frame = pupils().with_columns(area=pl.col("class").replace_strict({"C0": "镇", "C1": "乡"}, default="城"))
    _, model = grow(frame, covariates=["area"])
    assert set(model.fixed) == {"(Intercept)", "before", "area=城", "area=镇"}


def test_rows_that_lack_something_are_counted_by_what_they_lack() -> None:
    frame = pupils().with_row_index()
    at = pl.col("index")
    holes = frame.with_columns(
        pl.when(at == 0).then(None).otherwise("school").alias("school"),
        pl.when(at == 0).then(None).when(at == 1).then(float("nan")).otherwise("after").alias("after"),
        pl.when(at.is_between(2, 4)).then(None).otherwise("before").alias("before"),
    )
    result, model = grow(holes.lazy())
    assert dict(result.left_out.iter_rows()) == {"no_unit": 1, "no_outcome": 1, "no_prior": 3, "no_covariate": 0, "no_class": 0}
    assert model.n == frame.height - 5
    whole, _ = grow(frame.slice(5))
    assert result.frame["estimate"].to_list() == whole.frame["estimate"].to_list()


def test_effects_are_shrunken_residuals_and_centred_by_their_mean() -> None:
    result, model = grow(pupils([5, 10, 20, 40, 80, 160], 6))
    table = result.frame
    np.testing.assert_allclose(table["estimate"], table["raw"] * table["reliability"], rtol=1e-9)
    np.testing.assert_allclose(table["raw_se"], np.sqrt(model.var_residual / table["n"].to_numpy()), rtol=1e-12)
    assert table["centred"].sum() == pytest.approx(0, abs=1e-9)
    assert (table["prediction_se"] > table["std_error"]).all()
    np.testing.assert_allclose(table["ci_upper"] - table["estimate"], 1.959964 * table["std_error"], rtol=1e-6)


def noisy(seed: int, units: int = 100) -> pl.DataFrame:
    """Return pupils whose prior has reliability .85 and whose schools differ in intake (true slope .70)."""
    rng = np.random.default_rng(seed)
    unit = np.repeat(np.arange(units), 60)
    intake, effect = 0.5 * rng.standard_normal(units), 0.3 * rng.standard_normal(units)
    true = intake[unit] + np.sqrt(0.75) * rng.standard_normal(len(unit))
    return pl.DataFrame(
        {
            "school": unit,
            "class": rng.integers(0, 3, len(unit)),
            "before": true + np.sqrt(0.15 / 0.85) * rng.standard_normal(len(unit)),
            "after": 0.7 * true + effect[unit] + 0.6 * rng.standard_normal(len(unit)),
            "intake": intake[unit],
            "effect": effect[unit],
        }
    )


@pytest.mark.parametrize("class_unit", [None, "class"])
def test_measurement_error_is_taken_out_of_the_slope_and_of_what_intake_buys(class_unit: str | None) -> None:
    frame = noisy(5)
    reliability = 1 - 0.15 / 0.85 / float(frame["before"].var())  # type: ignore[arg-type]
    result, model = grow(frame, reliability=reliability, class_unit=class_unit)
    assert model.fixed_uncorrected is not None
    assert model.fixed_uncorrected["before"] < 0.63
    assert abs(model.fixed["before"] - 0.7) < 3 * model.fixed_se["before"] < 0.12
    assert model.deviance is None
    truth = frame.group_by("school").agg(pl.col("intake").first(), pl.col("effect").first()).sort("school")
    true = np.corrcoef(truth["intake"], truth["effect"])[0, 1]
    corrected, plain = (np.corrcoef(truth["intake"], result.frame[name])[0, 1] for name in ("estimate", "estimate_uncorrected"))
    assert plain > true + 0.1
    assert abs(corrected - true) < 0.06
    again, _ = grow(frame, reliability=reliability, class_unit=class_unit)
    assert again.frame.equals(result.frame)


def test_the_bootstrap_error_is_the_spread_over_samples() -> None:
    found = [grow(noisy(seed, 60), reliability=0.86, draws=200)[1] for seed in range(40)]
    spread = np.std([model.fixed["before"] for model in found], ddof=1)
    said = np.mean([model.fixed_se["before"] for model in found])
    assert 0.7 < said / spread < 1.4


def test_full_reliability_corrects_nothing() -> None:
    frame = pupils()
    result, model = grow(frame, reliability=1.0)
    _, plain = grow(frame)
    assert model.fixed == pytest.approx(plain.fixed, rel=1e-8)
    np.testing.assert_allclose(result.frame["estimate"], result.frame["estimate_uncorrected"], rtol=1e-6)


def test_more_error_than_spread_stops() -> None:
    frame = pupils().with_columns(nearly=pl.col("before") + pl.Series(np.resize([0.0, 0.5, -0.5], 600)))
    with pytest.raises(NotAssessableError) as stopped:
        grow(frame, prior=["before", "nearly"], reliability={"nearly": 0.8})
    assert (stopped.value.code, stopped.value.params["name"]) == ("growth_reliability", "nearly")


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"outcome": "nothing"}, "growth_column_missing"),
        ({"prior": ["before", "after"]}, "growth_column_twice"),
        ({"method": "magic"}, "growth_method"),
        ({"level": 95}, "growth_option"),
        ({"draws": 3}, "growth_option"),
        ({"reliability": 1.5}, "growth_option"),
        ({"reliability": {"class": 0.8}}, "growth_option"),
        ({"n_bands": 7}, "growth_option_unused"),
        ({"method": "gain", "reml": False}, "growth_option_unused"),
        ({"random_slopes": ["truth"]}, "growth_slope"),
        ({"random_slopes": ["before"], "class_unit": "class"}, "growth_slopes_and_classes"),
        ({"random_slopes": ["before"], "reliability": 0.8}, "growth_reliability_slope"),
        ({"prior": "class"}, "growth_value"),
        ({"outcome": "empty"}, "growth_no_rows"),
        ({"outcome": "constant"}, "growth_no_spread"),
        ({"outcome": "copy"}, "growth_no_spread"),
        ({"class_unit": "row"}, "growth_classes"),
        ({"class_unit": "constant"}, "growth_classes"),
        ({"unit": "pair", "random_slopes": ["before"]}, "growth_too_many_effects"),
        ({"unit": "estimate"}, "growth_name_taken"),
        ({"class_unit": "reason"}, "growth_name_taken"),
        ({"covariates": ["school"], "unit": "pair"}, "growth_many_values"),
        ({"covariates": ["born"]}, "growth_value"),
    ],
)
def test_what_cannot_be_done_stops_with_its_code(options: dict[str, Any], code: str) -> None:
    frame = pupils(5, 120).with_columns(
        reason=pl.int_range(pl.len()) % 2,
        born=pl.lit("2010-01-01").str.to_date(),
        pair=pl.int_range(pl.len()) // 2,
        empty=pl.lit(None, dtype=pl.Float64),
        constant=pl.lit(0.1),
        copy=pl.col("before") * 2,
        estimate=pl.col("school"),
    )
    with pytest.raises(EduqError) as stopped:
        grow(frame.with_row_index("row"), **options)
    assert stopped.value.code == code
    assert stopped.value.message("en") != stopped.value.message("zh")


def test_a_search_that_ends_nowhere_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "_polish", lambda model, fit, beta: fit)
    monkeypatch.setattr(search, "_starts", lambda model, beta: [np.full(model.n_theta, 3.0)] * 2)
    with pytest.raises(NotAssessableError) as stopped:
        grow(pupils())
    assert stopped.value.code == "growth_not_converged"


def test_infinite_scores_and_other_sources_stop() -> None:
    with pytest.raises(DataFileError):
        grow(pupils().with_columns(pl.lit(float("inf")).alias("before")))
    with pytest.raises(UsageError):
        grow({"before": [1]})  # type: ignore[arg-type]


def test_the_result_shows_and_writes_itself(tmp_path: Path) -> None:
    result = eq.estimate_growth(pupils(), outcome="after", prior="before", unit="school", class_unit="class")
    assert "20 units, 600 pupils" in result.summary()
    assert result.summary() in result._repr_html_()
    assert pl.read_parquet(result.write(tmp_path / "growth.parquet")).equals(result.frame)
    assert result.plot(["S00001", "S00002"]) is not None
    assert result.tables["classes"].height == 200
    assert result.frame["n_classes"].to_list() == [10] * 20
    with pytest.raises(UsageError):
        grow(pupils(3, 300))[0].plot()


def test_random_slopes_of_small_counties_are_never_worse_than_none() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        frame = pupils(rng.integers(1, 12, 8), 8, sd=float(rng.choice([0, 0.5, 3])), seed=seed)
        _, model = grow(frame, random_slopes=["before"], reml=bool(seed % 2))
        _, less = grow(frame, reml=bool(seed % 2))
        assert model.deviance is not None
        assert less.deviance is not None
        # the model with slopes holds the other one
        assert model.deviance <= less.deviance + 1e-6
