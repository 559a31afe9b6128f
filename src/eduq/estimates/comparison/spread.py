"""How far apart the units of one cluster are, without the part that is chance among pupils."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eduq.estimates.ranks import pair_cut

__all__ = ["Spread", "measure_spread"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Spread:
    """SD between units (as it stands, and without chance) and the distance of the highest from the lowest."""

    sd_raw: float
    sd: float
    sd_lower: float
    sd_upper: float
    range: float
    range_lower: float
    range_upper: float


def measure_spread(x: Floats, std_error: Floats, *, level: float = 0.95) -> Spread:
    """Return the spread of units with known errors, weighted by their precision (with one SD of pupils: by their pupils).

    w = 1/s², x̄ = Σwx/Σw, Q = Σw(x − x̄)² ~ χ'²(S − 1, λ), λ = Σw(θ − θ̄)²; sd_raw² = Q/Σw, sd² = max(0, Q − (S − 1))/Σw, its
    bounds from the λ with P(χ'²(S − 1, λ) ≤ Q) = .975 and .025, 0 where none has it. The range is max − min; its bounds are the
    largest lower and upper bound of any pair's difference, which hold for all pairs together (`pair_cut`).

    Parameters
    ----------
    x, std_error
        Float arrays (units,), two or more, errors above 0.
    level
        Two-sided level of each interval.

    References
    ----------
    Hedges, L. V. and Pigott, T. D. (2001). The power of statistical tests in meta-analysis. Psychol. Methods 6, 203-217 (Q is
    noncentral χ² for fixed units). Hayter (1984) for the pairs.

    Examples
    --------
    >>> found = measure_spread(np.array([0.4, 0.0, -0.4]), np.full(3, 0.1))
    >>> round(found.sd_raw, 4), round(found.sd, 4), round(found.range, 2), round(found.range_lower, 4)
    (0.3266, 0.3162, 0.8, 0.4686)
    """
    weight = 1.0 / std_error**2
    total = float(weight.sum())
    q = float(weight @ (x - weight @ x / total) ** 2)
    df = len(x) - 1
    low, high = (_noncentrality(q, df, p) for p in ((1 + level) / 2, (1 - level) / 2))
    cut = pair_cut(len(x), level)
    apart, error = np.abs(x[:, None] - x), np.hypot(std_error[:, None], std_error)
    off = ~np.eye(len(x), dtype=np.bool_)
    return Spread(
        sd_raw=math.sqrt(q / total),
        sd=math.sqrt(max(0.0, q - df) / total),
        sd_lower=math.sqrt(low / total),
        sd_upper=math.sqrt(high / total),
        range=float(x.max() - x.min()),
        range_lower=max(0.0, float((apart - cut * error)[off].max())),
        range_upper=float((apart + cut * error)[off].max()),
    )


def _noncentrality(q: float, df: int, p: float) -> float:
    """Return λ with P(χ'²(df, λ) ≤ q) = p, 0 where even λ = 0 has less."""
    from scipy.special import chdtr, chndtrinc

    return float(chndtrinc(q, df, p)) if chdtr(df, q) > p else 0.0
