"""How much of the variance lies between units: share of fixed units (校际差异率) and intraclass correlation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from eduq.estimates.equity.index_values import IndexValue

__all__ = ["UnitSums", "intraclass_correlation", "variance_share"]

Floats = NDArray[np.float64]
NODES = 61
"""The chance in the variance within units is integrated over its normal quantiles with this many Gauss-Hermite nodes."""
LARGE = 2e4
"""From this noncentrality on bounds by Sankaran's approximation are right to nine digits, and exact series are slow."""
_WORTH, _NEAR = 1000.0, 1e-3
"""From this noncentrality on the exact root is looked for within this share of the approximate one."""


@dataclass(frozen=True)
class UnitSums:
    """Sufficient statistics of S units: n ≥ 1, mean, squares = Σ(x − mean)²; float arrays (S,)."""

    n: Floats
    mean: Floats
    squares: Floats

    @property
    def size(self) -> int:
        """Number of units, S."""
        return len(self.n)

    @property
    def total(self) -> float:
        """Number of pupils, N."""
        return float(self.n.sum())

    @property
    def between(self) -> float:
        """SSB = Σn(x̄ − X)²."""
        centre = self.n @ self.mean / self.total
        return float(self.n @ (self.mean - centre) ** 2)

    @property
    def within(self) -> float:
        """SSW."""
        return float(self.squares.sum())

    @property
    def within_df(self) -> float:
        """N − S."""
        return self.total - self.size

    def lacking(self) -> str | None:
        """Return why variances cannot be split, or None."""
        if self.size < 2:
            return "single_unit"
        if self.within_df < 1:
            return "one_pupil_each"
        return "zero_spread" if not self.between + self.within > 0 else None


def _noncentral_cdf(x: Floats, df: float, noncentrality: float, rough: bool = False) -> Floats:
    """Return P(χ'²(df, λ) ≤ x), ``rough`` by approximation only.

    Sankaran, M. (1963). Approximations to the non-central chi-square. Biometrika 50, 199-204.
    """
    from scipy.special import chndtr, ndtr

    if noncentrality < LARGE and not rough:
        return np.asarray(chndtr(x, df, noncentrality))
    first, second, third = (df + times * noncentrality for times in (1, 2, 3))
    h = 1 - 2 * first * third / (3 * second**2)
    p, m = second / first**2, (h - 1) * (1 - 3 * h)
    standard = ((x / first) ** h - (1 + h * p * (h - 1 - (2 - h) * m * p / 2))) / (h * np.sqrt(2 * p) * (1 + m * p / 2))
    return np.asarray(ndtr(standard))


@cache
def _nodes() -> tuple[Floats, Floats]:
    nodes, weights = np.polynomial.hermite.hermgauss(NODES)
    return nodes, weights / weights.sum()


def _noncentrality(f: float, df1: float, df2: float, probability: float) -> float:
    """Return λ with P(F'(df1, df2, λ) ≤ f) = probability, 0 where even λ = 0 stays below."""
    from scipy.optimize import brentq
    from scipy.special import chdtri, ndtr

    nodes, weights = _nodes()
    reach = f * df1 * chdtri(df2, ndtr(-np.sqrt(2) * nodes)) / df2

    def excess(noncentrality: float, rough: bool = False) -> float:
        return float(weights @ _noncentral_cdf(reach, df1, noncentrality, rough)) - probability

    if excess(0.0) <= 0:
        return 0.0
    low, high = 0.0, max(1.0, f * df1)
    while excess(high, rough=True) > 0:
        high *= 2
    near = float(brentq(excess, low, high, args=(True,), xtol=1e-6 * high)) if excess(low, rough=True) > 0 else 0.0
    if near > _WORTH and excess(near * (1 - _NEAR)) > 0 > excess(near * (1 + _NEAR)):  # the exact series are slow far out
        low, high = near * (1 - _NEAR), near * (1 + _NEAR)
    while excess(high) > 0:
        high *= 2
    return float(brentq(excess, low, high, xtol=1e-9 * high, rtol=1e-12))


def variance_share(sums: UnitSums, *, conf_level: float = 0.95) -> list[IndexValue]:
    """Return between_school_share with its interval and between_school_share_raw (SSB/SST, too large by chance).

    The units are all there are; chance lies with the pupils. Point: (SSB − (S−1)·MSW)/(SSB + SSW), not below 0. Interval: the
    noncentrality λ = Σn_s(μ_s − μ)²/σ² from F = MSB/MSW with P(F'(S−1, N−S, λ) ≤ F) = .975 and .025; share = λ/(λ + N).

    Parameters
    ----------
    sums
        Of the units.
    conf_level
        Two-sided level.

    References
    ----------
    Steiger, J. H. (2004). Beyond the F test: effect size confidence intervals. Psychological Methods 9, 164-182.
    """
    names = ("between_school_share", "between_school_share_raw")
    reason = sums.lacking()
    if reason:
        return [IndexValue(name, None, reason=reason) for name in names]
    between, within, df1, df2 = sums.between, sums.within, sums.size - 1.0, sums.within_df
    point = max((between - df1 * within / df2) / (between + within), 0.0)
    raw = IndexValue(names[1], between / (between + within), method="raw", reason="inflated_by_chance")
    if within <= 0:
        return [IndexValue(names[0], point, method="noncentral_f", reason="zero_spread_within"), raw]
    f = between / df1 / (within / df2)
    tail = (1 - conf_level) / 2
    low, high = (
        noncentrality / (noncentrality + sums.total)
        for noncentrality in (_noncentrality(f, df1, df2, 1 - tail), _noncentrality(f, df1, df2, tail))
    )
    error = _half_width(low, high, conf_level)
    return [IndexValue(names[0], point, error, low, high, method="noncentral_f"), raw]


def _half_width(low: float, high: float, conf_level: float) -> float:
    """Half an interval over the normal quantile: what stands for a standard error where there is none."""
    from scipy.special import ndtri

    return float((high - low) / (2 * ndtri(0.5 + conf_level / 2)))


def _reml_correlation(sums: UnitSums) -> float:
    """Return the intraclass correlation where the restricted likelihood of the random-intercept model has slope 0, or 0."""
    from scipy.optimize import brentq

    n, mean = sums.n, sums.mean

    def slope(ratio: float) -> float:
        """Derivative of −2 log-likelihood by the ratio of the variances between and within."""
        weight = n / (1 + n * ratio)
        total = float(weight.sum())
        away = (mean - float(weight @ mean) / total) ** 2
        squares = sums.within + float(weight @ away)
        return total - float(weight @ weight) / total - (sums.total - 1) * float(weight**2 @ away) / squares

    if slope(0.0) >= 0:
        return 0.0
    high = 1.0
    while slope(high) < 0:
        high *= 4
    ratio = float(brentq(slope, 0.0, high, xtol=1e-15, rtol=1e-13))
    return ratio / (1 + ratio)


def intraclass_correlation(sums: UnitSums, *, conf_level: float = 0.95) -> IndexValue:
    """Return icc: the share of the variance between units, the units seen as a sample of units there could be.

    Point: REML. Interval from the unweighted means: n_h = S/Σ(1/n), F_h = n_h·Var(x̄)/MSW, bounds
    (F_h/F_q − 1)/(F_h/F_q − 1 + n_h), not below 0.

    Parameters
    ----------
    sums
        Of the units.
    conf_level
        Two-sided level.

    References
    ----------
    Thomas, J. D. and Hultquist, R. A. (1978). Interval estimation for the unbalanced case of the one-way random effects model.
    Annals of Statistics 6, 582-587. Patterson, H. D. and Thompson, R. (1971). Biometrika 58, 545-554.
    """
    from scipy.special import fdtri

    reason = sums.lacking()
    if reason:
        return IndexValue("icc", None, reason=reason)
    if sums.within <= 0:
        return IndexValue("icc", 1.0, method="thomas_hultquist", reason="zero_spread_within")
    harmonic = sums.size / float((1 / sums.n).sum())
    f = harmonic * float(sums.mean.var(ddof=1)) / (sums.within / sums.within_df)
    tail = (1 - conf_level) / 2
    quantiles = (float(fdtri(sums.size - 1, sums.within_df, p)) for p in (1 - tail, tail))
    excess = [f / quantile - 1 for quantile in quantiles]
    low, high = (max(each / (each + harmonic), 0.0) if each > 0 else 0.0 for each in excess)
    error = _half_width(low, high, conf_level)
    return IndexValue("icc", _reml_correlation(sums), error, low, high, method="thomas_hultquist")
