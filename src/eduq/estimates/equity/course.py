"""The course of an index over the years: a weighted line through yearly values with known errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["LEAST_PERIODS", "Course", "fit_course"]

Floats = NDArray[np.float64]
LEAST_PERIODS = 4


@dataclass(frozen=True)
class Course:
    """Change a year, its error and interval, and the variance from year to year beyond the known errors."""

    slope: float
    std_error: float
    df: int
    ci_lower: float
    ci_upper: float
    p_value: float
    extra_variance: float


def _line(times: Floats, values: Floats, variance: Floats) -> tuple[float, float, float]:
    """Return slope, its variance, and Σ of the weighted squared residuals."""
    weight = 1 / variance
    centre, level = weight @ times / weight.sum(), weight @ values / weight.sum()
    spread = float(weight @ (times - centre) ** 2)
    slope = float(weight @ ((times - centre) * (values - level))) / spread
    rest = values - level - slope * (times - centre)
    return slope, 1 / spread, float(weight @ rest**2)


def fit_course(times: Floats, values: Floats, std_errors: Floats, *, conf_level: float = 0.95) -> Course:
    """Fit a line through yearly values whose sampling errors are known, with a variance from year to year besides.

    Weights 1/(SE_t² + τ²); τ² such that the weighted squared residuals are T − 2 (Paule-Mandel; 0 where they are fewer); t with
    T − 2 degrees of freedom.

    Parameters
    ----------
    times, values, std_errors
        One entry per year, at least four; errors > 0, or all 0 (counts): then a plain least-squares line.
    conf_level
        Two-sided level.

    References
    ----------
    Paule, R. C. and Mandel, J. (1982). J. Res. Natl. Bur. Stand. 87, 377-385. Knapp, G. and Hartung, J. (2003). Statistics in
    Medicine 22, 2693-2710 (t instead of the normal distribution; the variance factor is not taken below 1).

    Examples
    --------
    >>> found = fit_course(np.arange(4.0), np.array([0.10, 0.12, 0.14, 0.16]), np.full(4, 0.01))
    >>> round(found.slope, 6), round(found.std_error, 6), found.df
    (0.02, 0.004472, 2)
    """
    from scipy.optimize import brentq
    from scipy.special import stdtr, stdtrit

    df = len(times) - 2
    known = std_errors**2

    def excess(extra: float) -> float:
        return _line(times, values, known + extra)[2] - df

    extra = 0.0
    if not known.any():
        extra = max(_line(times, values, np.ones(len(times)))[2] / df, np.finfo(np.float64).eps ** 2)
    elif excess(0.0) > 0:
        high = float(values.var()) + float(known.max())
        while excess(high) > 0:
            high *= 2
        extra = float(brentq(excess, 0.0, high, xtol=1e-15, rtol=1e-13))
    slope, variance, _ = _line(times, values, known + extra)
    error = float(np.sqrt(variance))
    half = float(stdtrit(df, 0.5 + conf_level / 2)) * error
    p = 2 * float(stdtr(df, -abs(slope) / error))
    return Course(slope, error, df, slope - half, slope + half, p, extra)
