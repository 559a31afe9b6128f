"""Lasting levels of units and the shocks of single years, by REML: what a coming value is forecast from.

y_st = x_st'β + α_s + u_st + e_st; Var α = τ², Var u = ω², Var e_st known. Units are independent, so V⁻¹ is closed form:
with w = 1/(ω² + v), W_s = Σ_t w, q_s = τ²/(1 + τ²W_s): log|V| = Σ log(ω² + v) + Σ log(1 + τ²W_s) and
a'V⁻¹b = Σ w a b − Σ_s q_s (Σ_t w a)(Σ_t w b).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["LevelFit", "fit_levels"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LevelFit:
    """A fit over a panel of units and years.

    Attributes
    ----------
    beta, beta_cov
        Fixed effects and their covariance.
    level, level_var
        (units,) shrunken levels α and their conditional variances; 0 and τ² for a unit without a value.
    drawn
        (units, effects): what a level takes off per unit of each fixed effect, level = q·Σwy − drawn·β; so the fixed effects
        add (x₀ − drawn)'·beta_cov·(x₀ − drawn) to the error of a coming value at x₀.
    var_level, var_shock
        τ² and ω².
    """

    beta: Floats
    beta_cov: Floats
    level: Floats
    level_var: Floats
    drawn: Floats
    var_level: float
    var_shock: float


def _moments(w: Floats, y: Floats, x: Floats, tau: float) -> tuple[Floats, Floats, float, Floats]:
    """Return X'V⁻¹X, X'V⁻¹y, y'V⁻¹y and W_s."""
    whole = w.sum(axis=1)
    q = tau / (1 + tau * whole)
    wx, wy = np.einsum("st,stp->sp", w, x), (w * y).sum(axis=1)
    xx = np.einsum("st,stp,str->pr", w, x, x) - np.einsum("s,sp,sr->pr", q, wx, wx)
    xy = np.einsum("st,stp,st->p", w, x, y) - np.einsum("s,sp,s->p", q, wx, wy)
    yy = float((w * y * y).sum() - (q * wy * wy).sum())
    return xx, xy, yy, whole


def fit_levels(y: Floats, variance: Floats, x: Floats) -> LevelFit:
    """Fit lasting levels and yearly shocks.

    Parameters
    ----------
    y, variance
        (units, years), nan where there is no value.
    x
        (units, years, effects); of cells without a value it does not matter.

    References
    ----------
    Searle, S. R., Casella, G. and McCulloch, C. E. (1992). Variance components, 6.6 (REML) and 7.4 (prediction).

    Examples
    --------
    >>> y = np.array([[0.4, 0.5, 0.6], [0.0, 0.1, -0.1], [-0.5, -0.4, -0.6]])
    >>> found = fit_levels(y, np.full((3, 3), 0.01), np.broadcast_to(np.eye(3), (3, 3, 3)))
    >>> found.level.round(1).tolist()
    [0.5, 0.0, -0.5]
    """
    from scipy.optimize import minimize

    known = ~np.isnan(y)
    filled, design = np.where(known, y, 0.0), np.where(known[..., None], x, 0.0)
    spread = float(np.nanvar(y)) or 1e-4

    def criterion(logs: Floats) -> float:
        tau, omega = np.exp(logs)
        total = np.where(known, omega + np.where(known, variance, 1.0), 1.0)
        w = known / total
        xx, xy, yy, whole = _moments(w, filled, design, tau)
        sign, logdet = np.linalg.slogdet(xx)
        if sign <= 0:
            return 1e30
        return float(np.log(total).sum() + np.log1p(tau * whole).sum() + logdet + yy - xy @ np.linalg.solve(xx, xy))

    starts = [np.log([share * spread, rest * spread]) for share, rest in ((0.7, 0.1), (0.1, 0.5))]
    options = {"xatol": 1e-6, "fatol": 1e-9, "maxiter": 2000}
    lowest = np.log(1e-10)
    limits = [(float(lowest), 8.0)] * 2
    fits: list[Any] = [
        minimize(criterion, start, method="Nelder-Mead", options=options, bounds=limits)  # type: ignore[call-overload]
        for start in starts
    ]
    found = min(fits, key=lambda fit: float(fit.fun))
    tau, omega = (0.0 if log < lowest + 1 else float(np.exp(log)) for log in found.x)
    w = known / np.where(known, omega + np.where(known, variance, 1.0), 1.0)
    xx, xy, _, whole = _moments(w, filled, design, tau)
    cov = np.linalg.inv(xx)
    beta = cov @ xy
    q = tau / (1 + tau * whole)
    level = np.asarray(q * (w * (filled - design @ beta)).sum(axis=1), dtype=np.float64)
    drawn = q[:, None] * np.einsum("st,stp->sp", w, design)
    level_var = np.asarray(q, dtype=np.float64)
    return LevelFit(beta, np.asarray(cov, dtype=np.float64), level, level_var, np.asarray(drawn, dtype=np.float64), tau, omega)
