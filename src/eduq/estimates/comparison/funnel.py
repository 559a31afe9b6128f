"""Funnel limits with over-dispersion: how far from a target a unit of its size falls by chance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eduq.estimates.intervals import normal_quantile

__all__ = ["FUNNEL_LEVELS", "SMALLEST_FUNNEL", "Funnel", "binomial_limit", "fit_funnel", "funnel_limits"]

Floats = NDArray[np.float64]
FUNNEL_LEVELS = (0.95, 0.998)
"""Two-sided levels of the inner and the outer limits."""
SMALLEST_FUNNEL = 10
"""Fewer units say nothing of over-dispersion."""
TAIL = 0.1
"""Standardised values beyond these quantiles of both tails are drawn in to them before the over-dispersion is estimated."""


@dataclass(frozen=True)
class Funnel:
    """What a funnel rests on: its target, and the variance between units beyond chance.

    Attributes
    ----------
    target
        Value the limits stand around.
    dispersion
        φ, mean square of the Winsorised standardised values; nan with fewer than ten units.
    variance
        τ² added to every unit's sampling variance; 0 where φ is within chance or unknown.
    """

    target: float
    dispersion: float
    variance: float


def fit_funnel(x: Floats, null_error: Floats, target: float, *, tail: float = TAIL) -> Funnel:
    """Return the additive over-dispersion around a target.

    z_j = (x_j − t)/s_0j, drawn in to their ``tail`` and 1 − ``tail`` quantiles; φ = Σz²/S; where Sφ > S − 1,
    τ² = (Sφ − (S − 1))/(Σw − Σw²/Σw) with w = 1/s_0j².

    Parameters
    ----------
    x, null_error
        Float arrays (units,), no nan: estimates, and the standard errors they would have at the target.
    target
        The value compared with.
    tail
        0 leaves the standardised values as they are (DerSimonian and Laird's moment estimate).

    References
    ----------
    Spiegelhalter, D. J. (2005). Handling over-dispersion of performance indicators. Qual. Saf. Health Care 14, 347-351.

    Examples
    --------
    >>> x = np.array([-3.0, -2.0, -1.0, -1.0, 0.0, 0.0, 1.0, 1.0, 2.0, 3.0])
    >>> found = fit_funnel(x, np.ones(10), 0.0, tail=0.0)
    >>> round(found.dispersion, 6), round(found.variance, 6)
    (3.0, 2.333333)
    """
    size = len(x)
    if size < SMALLEST_FUNNEL:
        return Funnel(target, float("nan"), 0.0)
    z = (x - target) / null_error
    low, high = np.quantile(z, [tail, 1 - tail])
    total = float((np.clip(z, low, high) ** 2).sum())
    weight = 1.0 / null_error**2
    spread = float(weight.sum() - (weight**2).sum() / weight.sum())
    return Funnel(target, total / size, max(0.0, (total - (size - 1)) / spread))


def binomial_limit(n: Floats, target: float, p: float) -> Floats:
    """Return the p-quantile of a rate of n pupils at the target, interpolated between the neighbouring counts.

    Smallest r with P(X ≤ r) ≥ p; limit = (r − a)/n, a = (P(X ≤ r) − p)/P(X = r).

    References
    ----------
    Spiegelhalter, D. J. (2005). Funnel plots for comparing institutional performance. Statist. Med. 24, 1185-1202, A.1.1.

    Examples
    --------
    >>> binomial_limit(np.array([20.0]), 0.5, 0.025).round(6).tolist()
    [0.255824]
    """
    from scipy.special import bdtr

    if target <= 0 or target >= 1:
        return np.full(len(n), float(np.clip(target, 0.0, 1.0)))
    count = np.round(n).astype(np.int64)
    low, high = np.zeros_like(count), count.copy()
    while bool((low < high).any()):
        middle = (low + high) // 2
        reached = bdtr(middle, count, target) >= p
        low, high = np.where(reached, low, middle + 1), np.where(reached, middle, high)
    at = bdtr(low, count, target)
    below = np.where(low > 0, bdtr(np.maximum(low - 1, 0), count, target), 0.0)
    return np.asarray(np.clip((low - (at - p) / (at - below)) / count, 0.0, 1.0))


def funnel_limits(funnel: Funnel, null_error: Floats, level: float, n: Floats | None = None) -> tuple[Floats, Floats]:
    """Return lower and upper limits of every unit.

    target ± z·√(s_0² + τ²); for rates (``n`` given) within 0 and 1, and the exact binomial quantiles where τ² = 0.
    """
    if n is not None and funnel.variance == 0:
        return binomial_limit(n, funnel.target, (1 - level) / 2), binomial_limit(n, funnel.target, (1 + level) / 2)
    half = normal_quantile(level) * np.sqrt(null_error**2 + funnel.variance)
    low, high = funnel.target - half, funnel.target + half
    return (low, high) if n is None else (np.clip(low, 0.0, 1.0), np.clip(high, 0.0, 1.0))
