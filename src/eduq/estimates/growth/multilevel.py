"""The multilevel method: from rows to the fitted model and the table of units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eduq.errors import NotAssessableError, UsageError
from eduq.estimates.frames import FrameLike
from eduq.estimates.growth.inputs import read_rows
from eduq.estimates.growth.multilevel_errors import FAILED, bootstrap_fixed, correct_fit, error_variances
from eduq.estimates.growth.multilevel_fits import Fit, ThreeLevels, TwoLevels, choose_likelihood
from eduq.estimates.growth.multilevel_products import INTERCEPT, Products, collect_products
from eduq.estimates.growth.multilevel_search import find_fit, is_singular, upper_limit
from eduq.estimates.growth.multilevel_units import lay_out_classes, lay_out_units
from eduq.estimates.growth.results import GrowthModel, GrowthResult

__all__ = ["fit_multilevel"]

Floats = NDArray[np.float64]

FEWEST_UNITS = 5
FEWEST_DRAWS = 50


@dataclass(frozen=True)
class _Fixed:
    """Fixed effects in the caller's units, and their covariance in scaled columns."""

    values: dict[str, float]
    errors: dict[str, float]
    covariance: Floats


def fit_multilevel(
    frame: FrameLike,
    *,
    outcome: str,
    prior: Sequence[str],
    unit: str,
    level: float,
    reml: bool,
    random_slopes: Sequence[str],
    covariates: Sequence[str],
    class_unit: str | None,
    reliability: float | Mapping[str, float] | None,
    draws: int,
    seed: int,
    weights: str | None,
    pupil: str | None,
) -> GrowthResult:
    """Return the multilevel model of the frame (see `eduq.estimates.growth.estimate_growth`)."""
    random_slopes = (random_slopes,) if isinstance(random_slopes, str) else tuple(random_slopes)
    covariates = (covariates,) if isinstance(covariates, str) else tuple(covariates)
    trusted = _reliabilities(reliability, prior)
    if random_slopes and class_unit:
        raise UsageError("growth_slopes_and_classes")
    if random_slopes and trusted:
        raise UsageError("growth_reliability_slope", name=random_slopes[0])
    if draws < FEWEST_DRAWS:
        raise UsageError("growth_option", option="draws")
    if weights is not None or pupil is not None:
        if weights is None or pupil is None or random_slopes or class_unit or reliability is not None:
            raise UsageError("growth_weights_alone")
        from eduq.estimates.growth.multilevel_weights import fit_weighted

        shared = {"weights": weights, "pupil": pupil, "level": level, "reml": reml, "covariates": covariates}
        return fit_weighted(frame, outcome=outcome, prior=prior, unit=unit, **shared)  # type: ignore[arg-type]
    rows = read_rows(frame, unit=unit, outcome=outcome, prior=prior, covariates=covariates, class_unit=class_unit)
    products = collect_products(
        rows, covariates=covariates, random_slopes=random_slopes, class_unit=class_unit, own=bool(trusted)
    )
    model = choose_likelihood(products, reml=reml)
    reason = _no_variance(products)
    plain = model.at(np.zeros(model.n_theta)) if reason else find_fit(model)
    fit, fixed, uncorrected = plain, _fixed(products, plain), None
    trusted = {name: value for name, value in trusted.items() if name in products.names}
    if trusted:
        if reason:
            raise NotAssessableError("growth_reliability_units", n=len(products.units))
        errors = error_variances(products.all, products.names, trusted)
        fit = correct_fit(model, plain, errors, trusted)
        found, failed = bootstrap_fixed(model, fit, trusted, draws=draws, seed=seed)
        if failed > FAILED:
            worst = min(trusted, key=lambda name: trusted[name])
            raise NotAssessableError("growth_reliability", name=worst, reliability=f"{trusted[worst]:g}")
        fixed, uncorrected = _fixed(products, fit, np.cov(found.T)), fixed.values
    said = _model(model, fit, fixed, reason=reason, trusted=trusted, uncorrected=uncorrected)
    table = lay_out_units(model, fit, fixed.covariance, unit=unit, level=level, reason=reason)
    if trusted:
        before = lay_out_units(model, plain, _fixed(products, plain).covariance, unit=unit, level=level, reason=reason)
        place = table.columns.index("method")
        table = table.insert_column(place, before["estimate"].alias("estimate_uncorrected"))
    tables = {}
    if isinstance(model, ThreeLevels) and not reason and class_unit:
        tables["classes"] = lay_out_classes(model, fit, unit=unit, class_unit=class_unit, level=level)
    settings: dict[str, Any] = {
        "method": "multilevel",
        "outcome": outcome,
        "prior": list(prior),
        "unit": unit,
        "level": level,
        "reml": reml,
        "random_slopes": list(random_slopes),
        "covariates": list(covariates),
        "class_unit": class_unit,
        "reliability": trusted or None,
        "draws": draws if trusted else None,
        "seed": seed if trusted else None,
    }
    return GrowthResult(table, settings, unit, rows.left_out, model=said, tables=tables)


def _reliabilities(given: float | Mapping[str, float] | None, prior: Sequence[str]) -> dict[str, float]:
    """Return the reliability of each prior that has one below 1."""
    if given is None:
        return {}
    named = dict(given) if isinstance(given, Mapping) else dict.fromkeys(prior, given)
    for name, value in named.items():
        if name not in prior or not 0 < value <= 1:
            raise UsageError("growth_option", option="reliability")
    return {name: float(value) for name, value in named.items()}


def _no_variance(products: Products) -> str | None:
    """Return why the variance of units cannot be told, or None."""
    if len(products.units) < FEWEST_UNITS:
        return "too_few_units"
    if products.n == len(products.units):
        return "one_pupil_each"
    if products.n <= len(products.sizes) * len(products.z_at):
        raise NotAssessableError("growth_too_many_effects", n=products.n, effects=len(products.sizes) * len(products.z_at))
    return None


def back_transform(products: Products, at: Sequence[int]) -> Floats:
    """Return T with which effects of scaled columns become effects of the caller's columns (the intercept first)."""
    scale = products.scales[-1] / products.scales[list(at)]
    found = np.diag(scale)
    found[0, 1:] = -products.centres[list(at[1:])] * scale[1:]
    return found


def _fixed(products: Products, fit: Fit, covariance: Floats | None = None) -> _Fixed:
    own = fit.sigma2 * np.linalg.inv(fit.information) if covariance is None else np.atleast_2d(covariance)
    spread: Floats = np.asarray(own, dtype=np.float64)
    turn = back_transform(products, range(products.p))
    values = turn @ fit.beta
    values[0] += products.centres[-1]
    errors = np.sqrt(np.diag(turn @ spread @ turn.T))
    names = products.names
    return _Fixed(dict(zip(names, values.tolist(), strict=True)), dict(zip(names, errors.tolist(), strict=True)), spread)


def _model(
    model: TwoLevels | ThreeLevels,
    fit: Fit,
    fixed: _Fixed,
    *,
    reason: str | None,
    trusted: dict[str, float],
    uncorrected: dict[str, float] | None,
) -> GrowthModel:
    """Return the model in the caller's units."""
    products = model.products
    scale = float(products.scales[-1]) ** 2 * fit.sigma2
    var_unit: float | Floats | None
    var_class = upper = None
    if isinstance(model, ThreeLevels):
        var_class, var_unit = (scale * fit.theta**2).tolist()
    elif model.q == 1:
        var_unit = scale * float(fit.theta[0]) ** 2
    else:
        turn = back_transform(products, products.z_at) @ model.factor(fit.theta)
        var_unit = fit.sigma2 * turn @ turn.T
    if reason:
        var_unit = var_class = None
    elif isinstance(var_unit, float) and var_unit == 0 and not trusted:
        upper = upper_limit(model, fit, model.n_theta - 1) * float(np.sqrt(scale))
    return GrowthModel(
        fixed=fixed.values,
        fixed_se=fixed.errors,
        var_unit=var_unit,
        var_residual=scale,
        deviance=None if trusted else fit.deviance,
        method="REML" if model.reml else "ML",
        n=products.n,
        n_units=len(products.units),
        random=(INTERCEPT, *(products.names[k] for k in products.z_at[1:])),
        var_class=var_class,
        n_classes=None if products.classes is None else len(products.classes),
        singular=not reason and is_singular(model, fit),
        sd_unit_upper=upper,
        dropped=products.dropped,
        reliability=trusted,
        fixed_uncorrected=uncorrected,
    )
