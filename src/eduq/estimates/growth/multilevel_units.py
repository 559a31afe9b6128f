"""The table of units (and classes) of a multilevel model: effects with their conditional and prediction errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import ndtri

from eduq.errors import UsageError
from eduq.estimates.growth.multilevel_fits import Fit, ThreeLevels, TwoLevels

__all__ = ["lay_out_classes", "lay_out_units"]

Floats = NDArray[np.float64]


def lay_out_units(
    model: TwoLevels | ThreeLevels, fit: Fit, covariance: Floats, *, unit: str, level: float, reason: str | None
) -> pl.DataFrame:
    """Return one row per unit; ``covariance`` is that of the fixed effects in scaled columns."""
    products = model.products
    scale, units = float(products.scales[-1]), len(products.units)
    if isinstance(model, TwoLevels):
        n, raw, raw_error, found = _of_two_levels(model, fit, covariance)
    else:
        n, raw, raw_error, found = _of_three_levels(model, fit, covariance)
    nothing = found["variance"] == 0
    why = reason or ("no_difference" if nothing else None)
    estimate, error = found.pop("estimate"), found.pop("std_error")
    prediction, variance = found.pop("prediction_se"), found.pop("variance")
    half = float(ndtri((1 + level) / 2))
    reliability = np.zeros(units) if nothing else 1 - error**2 / variance
    columns: dict[str, Any] = {unit: products.units, "n": n.astype(np.int64)}
    numbers = {
        "estimate": estimate,
        "std_error": error,
        "ci_lower": estimate - half * error,
        "ci_upper": estimate + half * error,
        "reliability": reliability,
        "prediction_se": prediction,
        "centred": estimate - estimate.mean(),
        "centred_lower": estimate - estimate.mean() - half * error,
        "centred_upper": estimate - estimate.mean() + half * error,
        **found,
        "raw": scale * raw,
        "raw_se": scale * raw_error,
    }
    if unit in {"n", "method", "conf_level", "reason", "estimate_uncorrected", "n_classes", *numbers}:
        raise UsageError("growth_name_taken", column=unit)
    empty = np.full(units, np.nan)
    for name, values in numbers.items():
        if reason and not name.startswith("raw"):
            values = empty
        elif nothing and name not in ("estimate", "reliability", "centred", "raw", "raw_se"):
            # 0 ± 0 would be a claim: there is no difference to be seen, which is not the same
            values = empty
        columns[name] = pl.Series(values, dtype=pl.Float64).fill_nan(None)
    if isinstance(model, ThreeLevels):
        columns["n_classes"] = np.bincount(products.unit_of, minlength=units)
    return pl.DataFrame(columns).with_columns(
        pl.lit("multilevel_reml" if model.reml else "multilevel_ml").alias("method"),
        pl.lit(level).alias("conf_level"),
        pl.lit(why, dtype=pl.String).alias("reason"),
    )


def lay_out_classes(model: ThreeLevels, fit: Fit, *, unit: str, class_unit: str, level: float) -> pl.DataFrame:
    """Return one row per class: its effect within its unit."""
    if class_unit in {"n", "estimate", "std_error", "ci_lower", "ci_upper", "reason"}:
        raise UsageError("growth_name_taken", column=class_unit)
    products = model.products
    ratio_class, ratio_unit = fit.theta**2
    weight, shrunken, _, total, shrink = model.inside(fit.theta)
    contrast = np.append(-fit.beta, 1.0)
    pull = (ratio_unit * shrink)[products.unit_of]
    scale = float(products.scales[-1])
    estimate = scale * ratio_class * ((shrunken - (weight * pull)[:, None] * total[products.unit_of]) @ contrast)
    variance = ratio_class / (1 + products.sizes * ratio_class) + (ratio_class * weight) ** 2 * pull
    error = scale * np.sqrt(fit.sigma2 * variance)
    if ratio_class == 0:
        error = np.full(len(error), np.nan)
    half = float(ndtri((1 + level) / 2))
    return pl.DataFrame(
        {
            unit: products.units.gather(products.unit_of),
            class_unit: products.classes,
            "n": products.sizes.astype(np.int64),
            "estimate": estimate,
            "std_error": pl.Series(error).fill_nan(None),
            "ci_lower": pl.Series(estimate - half * error).fill_nan(None),
            "ci_upper": pl.Series(estimate + half * error).fill_nan(None),
            "reason": pl.Series([None if ratio_class else "no_difference"] * len(error), dtype=pl.String),
        }
    )


def _of_two_levels(model: TwoLevels, fit: Fit, covariance: Floats) -> tuple[Floats, Floats, Floats, dict[str, Any]]:
    """Return n, raw effects and their errors (scaled), and the effects of each unit in the caller's units."""
    products, p = model.products, model.products.p
    at = list(products.z_at)
    contrast = np.append(-fit.beta, 1.0)
    factor = model.factor(fit.theta)
    cov = factor @ factor.T
    zvz, zvt = model.inside(fit.theta)
    effects = (zvt @ contrast) @ cov
    inner = np.linalg.solve(np.eye(model.q) + factor.T @ model.ztz @ factor, np.broadcast_to(factor.T, zvz.shape))
    conditional = fit.sigma2 * (factor @ inner)
    reach = cov @ zvt[:, :, :p]
    predicted = conditional + reach @ covariance @ reach.transpose(0, 2, 1)
    ratio = products.scales[-1] / products.scales[at]
    turn = np.diag(ratio)
    turn[0, 1:] = -products.centres[at[1:]] * ratio[1:]
    own = effects @ turn.T
    errors = np.sqrt(np.maximum(np.diagonal(turn @ conditional @ turn.T, axis1=1, axis2=2), 0))
    predicted_errors = np.sqrt(np.maximum(np.diagonal(turn @ predicted @ turn.T, axis1=1, axis2=2), 0))
    found: dict[str, Any] = {
        "estimate": own[:, 0],
        "std_error": errors[:, 0],
        "prediction_se": predicted_errors[:, 0],
        "variance": float(fit.sigma2 * (turn @ cov @ turn.T)[0, 0]),
    }
    if model.q > 1:
        # columns are centred at whole steps: what is left to the mean itself
        mean = products.scales[-1] * products.all[0, at] / products.n
        found["at_mean"] = effects @ mean
        found["at_mean_se"] = np.sqrt(np.maximum(conditional @ mean @ mean, 0))
        for k in range(1, model.q):
            name = products.names[at[k]]
            found[f"slope_{name}"], found[f"slope_{name}_se"] = own[:, k], errors[:, k]
    n = products.sizes
    return n, products.groups[:, 0, :] @ contrast / n, np.sqrt(fit.sigma2 / n), found


def _of_three_levels(model: ThreeLevels, fit: Fit, covariance: Floats) -> tuple[Floats, Floats, Floats, dict[str, Any]]:
    products, p = model.products, model.products.p
    ratio_class, ratio_unit = fit.theta**2
    contrast = np.append(-fit.beta, 1.0)
    _, _, _, total, shrink = model.inside(fit.theta)
    scale = float(products.scales[-1])
    reach = (ratio_unit * shrink)[:, None] * total[:, :p]
    conditional = fit.sigma2 * ratio_unit * shrink
    predicted = conditional + np.einsum("gp,pk,gk->g", reach, covariance, reach)
    found: dict[str, Any] = {
        "estimate": scale * ratio_unit * shrink * (total @ contrast),
        "std_error": scale * np.sqrt(conditional),
        "prediction_se": scale * np.sqrt(predicted),
        "variance": float(scale**2 * fit.sigma2 * ratio_unit),
    }
    n = model.by_unit(products.sizes)
    raw = model.by_unit(products.groups[:, 0, :]) @ contrast / n
    raw_error = np.sqrt(fit.sigma2 * (ratio_class * model.by_unit(products.sizes**2) / n**2 + 1 / n))
    return n, raw, raw_error, found
