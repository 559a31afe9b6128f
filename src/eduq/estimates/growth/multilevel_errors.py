"""Measurement error in the priors taken out of the fixed effects; their standard errors by a bootstrap over units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from eduq.errors import NotAssessableError
from eduq.estimates.growth.multilevel_fits import Fit, ThreeLevels, TwoLevels
from eduq.estimates.growth.multilevel_products import Products
from eduq.estimates.growth.multilevel_search import find_fit

__all__ = ["bootstrap_fixed", "correct_fit", "error_variances"]

Floats = NDArray[np.float64]

CELLS = 4_000_000
"""Draws × units held at a time."""
ROUNDS = 200
CLOSE = 1e-9
LEAST = 1e-6
"""Less than this share of a prior's spread left beside the other predictors is nothing left."""
FAILED = 0.05
"""More bootstrap draws than this share without a solution: the correction is beyond what the data carry."""


def error_variances(whole: Floats, names: Sequence[str], reliability: Mapping[str, float]) -> Floats:
    """Return (…, p) the variance of measurement error of each predictor, (1 − r)·Var(x), from (…, p + 1, p + 1) products."""
    places = np.arange(len(names))
    n = whole[..., :1, 0]
    variance = whole[..., places, places] / n - (whole[..., 0, :-1] / n) ** 2
    return np.asarray(variance * [1 - reliability.get(name, 1.0) for name in names])


def correct_fit(model: TwoLevels | ThreeLevels, fit: Fit, errors: Floats, reliability: Mapping[str, float]) -> Fit:
    """Return the fit in which β solves (X'V⁻¹X − diag(σ_m²)·tr V⁻¹)β = X'V⁻¹y and the variances are those of its residuals.

    Raises
    ------
    NotAssessableError
        ``growth_reliability``: no information would be left; ``growth_not_converged``.
    """
    for _ in range(ROUNDS):
        plain = model.at(fit.theta)
        left = plain.information - np.diag(errors * model.trace_inverse(fit.theta).sum())
        _refuse_indefinite(plain.information, left, model.products, reliability)
        beta: Floats = np.asarray(np.linalg.solve(left, plain.information @ plain.beta), dtype=np.float64)
        found = find_fit(model, beta)
        if np.abs(found.theta - fit.theta).max() < CLOSE:
            return found
        fit = found
    raise NotAssessableError("growth_not_converged", first=f"{fit.theta[0]:.6f}", second=f"{found.theta[0]:.6f}")


def bootstrap_fixed(
    model: TwoLevels | ThreeLevels, fit: Fit, reliability: Mapping[str, float], *, draws: int, seed: int
) -> tuple[Floats, float]:
    """Return (draws, p) corrected fixed effects of resampled units, and the share of draws without a solution.

    The ratio of variances is held: the corrected β is consistent at any ratio, so its error does not reach β to first order.
    The error variance is that of each draw, as it follows from the spread of its prior.
    """
    by_unit, traces, own = model.weighted(fit.theta), model.trace_inverse(fit.theta), model.own_of_units()
    units, width = len(traces), model.products.p + 1
    flat = np.column_stack([by_unit.reshape(units, -1), own.reshape(units, -1), traces])
    rng, share = np.random.default_rng(seed), np.full(units, 1 / units)
    step = max(1, CELLS // units)
    parts = [rng.multinomial(units, share, size=min(step, draws - k)).astype(np.float64) @ flat for k in range(0, draws, step)]
    drawn: Floats = np.vstack(parts)
    tables = drawn[:, : width**2].reshape(draws, width, width)
    whole = drawn[:, width**2 : 2 * width**2].reshape(draws, width, width)
    errors = error_variances(whole, model.products.names, reliability) * drawn[:, -1:]
    left = tables[:, :-1, :-1] - np.eye(width - 1) * errors[:, None, :]
    sound = np.linalg.eigvalsh(left).min(axis=1) > LEAST * np.abs(left).max(axis=(1, 2))
    found = np.linalg.solve(left[sound], tables[sound, :-1, -1:])[:, :, 0]
    return found, float(1 - sound.mean())


def _refuse_indefinite(whole: Floats, left: Floats, products: Products, reliability: Mapping[str, float]) -> None:
    """Stop where the error of some prior is all that distinguishes it from the other predictors."""
    if np.linalg.eigvalsh(left).min() > LEAST * np.diag(whole).min():
        return
    remaining = {}
    for k, name in enumerate(products.names):
        if name in reliability:
            others = [place for place in range(products.p) if place != k]
            explained = whole[k, others] @ np.linalg.solve(whole[np.ix_(others, others)], whole[others, k])
            remaining[name] = (left[k, k] - explained) / whole[k, k]
    worst = min(remaining, key=lambda name: remaining[name])
    raise NotAssessableError("growth_reliability", name=worst, reliability=f"{reliability[worst]:g}")
