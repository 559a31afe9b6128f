"""Medians of units: order-statistic intervals and the standard error of a median."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eduq.estimates.intervals import binomial_ranks

__all__ = ["median_errors", "median_intervals"]

Floats = NDArray[np.float64]
Places = NDArray[np.int64]


def median_intervals(values: Floats, starts: Places, n: Places, level: float) -> tuple[Floats, Floats, Floats, Floats]:
    """Return medians, both bounds and the coverage of the bounds, one per unit.

    Parameters
    ----------
    values
        Values sorted within each unit, units one after another.
    starts, n
        Where each unit begins, and its size (at least 1).
    level
        Two-sided level; the ranks of the bounds come from the binomial distribution.

    References
    ----------
    Conover, W. J. (1999). Practical Nonparametric Statistics, 3rd ed., section 3.2.
    """
    low, high, coverage = binomial_ranks(n, 0.5, level)
    median = (values[starts + (n - 1) // 2] + values[starts + n // 2]) / 2
    return median, values[starts + low - 1], values[starts + high - 1], coverage


def median_errors(values: Floats, starts: Places, n: Places) -> Floats:
    """Return the standard error of each median: the SD of the median of a resample, without draws; nan where it is 0.

    The chance that the k-th of n resampled values is at most the i-th smallest is I(i/n; k, n − k + 1). For even n this is
    averaged over the two middle places, which errs a little to the safe side.

    Parameters
    ----------
    values, starts, n
        As in `median_intervals`.

    References
    ----------
    Maritz, J. S. and Jarrett, R. G. (1978). A note on estimating the variance of the sample median. JASA 73, 194-196.

    Examples
    --------
    >>> round(float(median_errors(np.arange(1.0, 10.0), np.array([0]), np.array([9]))[0]), 4)
    1.3871
    """
    from scipy.special import betainc

    found = np.full(len(n), np.nan)
    for size in np.unique(n):
        units = np.flatnonzero(n == size)
        upto = np.arange(size + 1) / size
        middles = {(int(size) + 1) // 2, int(size) // 2 + 1}
        chance = np.mean([np.diff(betainc(k, size - k + 1, upto)) for k in middles], axis=0)
        drawn = values[starts[units, None] + np.arange(size)]
        centre = (drawn @ chance)[:, None]
        variance = (drawn - centre) ** 2 @ chance
        found[units] = np.where(variance > 0, np.sqrt(np.where(variance > 0, variance, 0.0)), np.nan)
    return found
