"""What stands beside a slope: falls in a row, stagnation, severe drop, minimum detectable decline, robust slopes."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from eduq.estimates.declines.bounds import POWER

__all__ = [
    "STAGNATION",
    "count_falls",
    "detectable_fall",
    "drop_from_before",
    "kendall_tau",
    "stagnation_state",
    "theil_sen",
]

Floats = NDArray[np.float64]
STAGNATION = (None, "stagnant", "moving", "undecided")
"""States of the equivalence test by their code."""
ROBUST_FROM = 7
"""Robust companions need this many periods: Kendall cannot go below p = 1/6 on 3 periods, 1/24 on 4."""


def count_falls(values: Floats, times: Floats) -> NDArray[np.int64]:
    """Return how many falls in a row end at the last period (S,); a missing or skipped period breaks the chain.

    Parameters
    ----------
    values
        (S, T), nan = missing.
    times
        (T,), periods as numbers; neighbours are as far apart as the closest two periods.

    Examples
    --------
    >>> count_falls(np.array([[3.0, 2.0, 1.0], [1.0, 2.0, 1.5], [3.0, np.nan, 1.0]]), np.arange(3.0)).tolist()
    [2, 1, 0]
    """
    steps = np.diff(times)
    with np.errstate(invalid="ignore"):
        falls = (np.diff(values, axis=1) < 0) & (steps <= steps.min() * (1 + 1e-9))
    return np.asarray(np.cumprod(falls[:, ::-1], axis=1).sum(axis=1), dtype=np.int64)


def detectable_fall(std_error: Floats, df: Floats, alpha: Floats, *, least: float) -> Floats:
    """Return the yearly fall that a one-sided test at ``alpha`` finds with probability .8: (t_{1−α}(df) + .842)·SE.

    The slope must also reach ``least``, which decides where standard errors are very small: then least + .842·SE.
    """
    from scipy.special import ndtri, stdtrit

    known = ~np.isnan(std_error) & ~np.isnan(df) & (alpha > 0)
    tail = np.where(known, alpha, 0.5)
    finite = np.isfinite(df) & known
    quantile = np.where(np.isfinite(df), -stdtrit(np.where(finite, df, 1.0), tail), -ndtri(tail))
    return np.where(known, np.maximum(quantile * std_error, least) + ndtri(POWER) * std_error, np.nan)


def stagnation_state(slope: Floats, std_error: Floats, df: Floats, band: float) -> NDArray[np.int8]:
    """Return codes of `STAGNATION`: two one-sided tests of |slope| < band at .05 each, read from the 90 % interval.

    ``stagnant``: the interval lies inside (−band, band); ``moving``: wholly outside; ``undecided``: neither.

    References
    ----------
    Schuirmann, D. J. (1987). A comparison of the two one-sided tests procedure and the power approach. J. Pharmacokinet.
    Biopharm. 15, 657-680.
    """
    low, high = t_bounds(slope, std_error, df, 0.90)
    with np.errstate(invalid="ignore"):
        stagnant = (low > -band) & (high < band)
        moving = (low >= band) | (high <= -band)
    return np.select([np.isnan(slope) | np.isnan(std_error), stagnant, moving], [0, 1, 2], default=3).astype(np.int8)


def t_bounds(estimate: Floats, std_error: Floats, df: Floats, level: float) -> tuple[Floats, Floats]:
    """Return the two-sided t interval; infinite df give the normal one, nan stays nan."""
    half = t_quantile(df, level) * std_error
    return estimate - half, estimate + half


def t_quantile(df: Floats, level: float) -> Floats:
    """Return t of a two-sided level; the normal quantile where df are infinite or nan."""
    from scipy.special import ndtri, stdtrit

    finite = np.isfinite(df)
    return np.asarray(np.where(finite, stdtrit(np.where(finite, df, 1.0), 0.5 + level / 2), ndtri(0.5 + level / 2)))


def drop_from_before(relative: Floats, covariance: Floats, present: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Return last − mean of the earlier periods and its standard error (S,); nan where the last period is missing.

    SE² = a'Va with a = (−1/(T−1), …, 1); for independent shocks (v̄ + ω²)(1 + 1/(T−1)) with the actual v.

    Parameters
    ----------
    relative
        (S, T), period effects taken out.
    covariance
        (S, T, T) of shocks and sampling errors.
    present
        (S, T).
    """
    earlier = present[:, :-1].sum(axis=1)
    there = present[:, -1] & (earlier > 0)
    weights = np.where(present[:, :-1], -1.0 / np.maximum(earlier, 1)[:, None], 0.0)
    weights = np.concatenate([weights, np.ones((len(weights), 1))], axis=1)
    weights = np.where(there[:, None], weights, 0.0)
    drop = (weights * np.where(present, relative, 0.0)).sum(axis=1)
    variance = np.einsum(
        "st,stu,su->s", weights, np.where(weights[:, :, None] * weights[:, None, :] != 0, covariance, 0.0), weights
    )
    return np.where(there, drop, np.nan), np.where(there, np.sqrt(variance), np.nan)


def theil_sen(values: Floats, times: Floats) -> Floats:
    """Return the median of the slopes between all pairs of periods (S,), for units with at least seven periods.

    References
    ----------
    Sen, P. K. (1968). Estimates of the regression coefficient based on Kendall's tau. JASA 63, 1379-1389.
    """
    first, second = np.triu_indices(len(times), 1)
    slopes = (values[:, second] - values[:, first]) / (times[second] - times[first])
    enough = (~np.isnan(values)).sum(axis=1) >= ROBUST_FROM
    result = np.full(len(values), np.nan)
    if enough.any():
        chosen = slopes[enough]
        result[enough] = (np.nanmedian if np.isnan(chosen).any() else np.median)(chosen, axis=1)
    return result


def kendall_tau(values: Floats) -> tuple[Floats, Floats]:
    """Return Kendall's τ of values with time and its exact one-sided p of "no fall", for units with at least seven periods.

    With equal values in a series there is no exact distribution: p is nan.

    Parameters
    ----------
    values
        (S, T), nan = missing.

    References
    ----------
    Kendall, M. G. (1938). A new measure of rank correlation. Biometrika 30, 81-93.
    """
    first, second = np.triu_indices(values.shape[1], 1)
    signs = np.sign(values[:, second] - values[:, first])
    n = (~np.isnan(values)).sum(axis=1)
    pairs = n * (n - 1) / 2
    tied = (signs == 0).any(axis=1)
    score = np.nansum(signs, axis=1)
    enough = n >= ROBUST_FROM
    tau, p = np.full(len(values), np.nan), np.full(len(values), np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        untied = np.nansum(np.abs(signs), axis=1)
        tau[enough] = (score / np.sqrt(pairs * untied))[enough]
    for count in np.unique(n[enough & ~tied]):
        chosen = enough & ~tied & (n == count)
        concordant = ((score[chosen] + pairs[chosen]) / 2).round().astype(np.int64)
        p[chosen] = _concordant_tail(int(count))[concordant]
    return tau, p


@lru_cache(maxsize=32)
def _concordant_tail(n: int) -> Floats:
    """Return P(concordant pairs ≤ c) for c = 0 … n(n−1)/2 under independence: permutations by number of inversions."""
    counts = np.ones(1)
    for size in range(2, n + 1):
        counts = np.convolve(counts, np.ones(size)) / size
    return np.cumsum(counts)
