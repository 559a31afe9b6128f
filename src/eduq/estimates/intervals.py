"""Standard errors and intervals of one paper's measures, for arrays of units at once.

All functions take and return float arrays of shape (units,); n = 0 gives nan, which leaves as null.
Quantiles of distributions come from scipy.special, which loads fast.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Interval",
    "binomial_ranks",
    "normal_quantile",
    "others_variance",
    "part_of_whole",
    "ratio_to_whole",
    "spread",
    "student",
    "student_quantile",
    "wilson",
]

Floats = NDArray[np.float64]
Interval = tuple[Floats, Floats, Floats]
"""std_error, ci_lower, ci_upper."""


def normal_quantile(conf_level: float) -> float:
    """Return z of a two-sided level."""
    from scipy.special import ndtri

    return float(ndtri(0.5 + conf_level / 2))


def student_quantile(conf_level: float, df: Floats) -> Floats:
    """Return t of a two-sided level; nan where df < 1."""
    from scipy.special import stdtrit

    safe = np.where(df >= 1, df, 1.0)
    return np.where(df >= 1, stdtrit(safe, 0.5 + conf_level / 2), np.nan)


def wilson(successes: Floats, n: Floats, conf_level: float) -> Interval:
    """Return √(p(1−p)/n) and the Wilson score interval of a proportion.

    References
    ----------
    Wilson, E. B. (1927). Probable inference, the law of succession, and statistical inference. JASA 22, 209-212.

    Examples
    --------
    >>> se, low, high = wilson(np.array([8.0]), np.array([10.0]), 0.95)
    >>> round(float(low[0]), 4), round(float(high[0]), 4)
    (0.4902, 0.9433)
    """
    z = normal_quantile(conf_level)
    with np.errstate(invalid="ignore", divide="ignore"):
        p = successes / n
        variance = p * (1 - p) / n
        middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z * np.sqrt(variance + z**2 / (4 * n**2)) / (1 + z**2 / n)
    low = np.where(successes == 0, 0.0, middle - half)
    high = np.where(successes == n, 1.0, middle + half)
    empty = n <= 0
    return np.where(empty, np.nan, np.sqrt(variance)), np.where(empty, np.nan, low), np.where(empty, np.nan, high)


def student(estimate: Floats, std_error: Floats, df: Floats, conf_level: float) -> Interval:
    """Return the symmetric t interval of an estimate."""
    half = student_quantile(conf_level, df) * std_error
    return std_error, estimate - half, estimate + half


def spread(sd: Floats, n: Floats, fourth: Floats, conf_level: float) -> Interval:
    """Return SE and interval of a standard deviation from the fourth central moment.

    Var(s²) = (m₄ − s⁴(n−3)/(n−1))/n needs no normal scores; the interval is taken on the log scale, so it stays positive.

    Parameters
    ----------
    sd
        Sample SD (divisor n − 1).
    n
        Candidates.
    fourth
        Fourth central moment, Σ(x−x̄)⁴/n.
    conf_level
        Two-sided level.

    References
    ----------
    Mood, Graybill & Boes (1974). Introduction to the Theory of Statistics, 3rd ed., VI.2.3 (variance of the sample variance).
    """
    z = normal_quantile(conf_level)
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = np.maximum((fourth - sd**4 * (n - 3) / (n - 1)) / n, 0.0)
        std_error = np.sqrt(variance) / (2 * sd)
        factor = np.exp(z * std_error / sd)
        low, high = sd / factor, sd * factor
    known = (n >= 2) & (sd > 0)
    return np.where(known, std_error, np.nan), np.where(known, low, np.nan), np.where(known, high, np.nan)


def others_variance(pool_squares: Floats, pool_df: Floats, own_squares: Floats, n: Floats) -> tuple[Floats, Floats]:
    """Return the variance within the other units of a comparison group, and its df; the whole pool's where there is no other.

    Parameters
    ----------
    pool_squares, pool_df
        Σ of squares within all units of the group and its degrees of freedom.
    own_squares, n
        Of the unit that is left out.
    """
    own_df = np.maximum(n - 1, 0)
    df = pool_df - own_df
    alone = df < 1
    squares = np.where(alone, pool_squares, np.maximum(pool_squares - own_squares, 0))
    df = np.where(alone, pool_df, df)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(df > 0, squares / df, np.nan), df


def part_of_whole(
    variance: Floats, df: Floats, n: Floats, others: Floats, others_df: Floats, whole_n: Floats
) -> tuple[Floats, Floats]:
    """Return SE and df of a unit's mean minus the mean of the whole that contains it.

    The difference is (1 − n/N) times the unit's mean minus the others', so its variance is
    (1 − n/N)²·(s_u²/n + s_r²/(N − n)); where both spread alike this is s²/n·(1 − n/N). Satterthwaite degrees of freedom.

    Parameters
    ----------
    variance, df, n
        Of the unit.
    others, others_df
        Variance within the other units and its df.
    whole_n
        Candidates of the whole, N.

    References
    ----------
    Welch, B. L. (1938). The significance of the difference between two means when the population variances are unequal.
    Biometrika 29, 350-362.
    """
    rest_n = whole_n - n
    with np.errstate(invalid="ignore", divide="ignore"):
        own_part = variance / n
        rest_part = np.where(rest_n > 0, others / np.maximum(rest_n, 1), 0.0)
        std_error = rest_n / whole_n * np.sqrt(own_part + rest_part)
        weight = own_part**2 / df + np.where(rest_part > 0, rest_part**2 / np.maximum(others_df, 1), 0.0)
        return std_error, np.where(weight > 0, (own_part + rest_part) ** 2 / weight, df)


def ratio_to_whole(
    mean: Floats, variance_of_mean: Floats, rest_mean: Floats, rest_variance: Floats, share: Floats
) -> tuple[Floats, Floats]:
    """Return R = unit mean / mean of the whole that contains the unit, and its SE by the delta method.

    The whole is share·unit + (1 − share)·rest with unit and rest independent.

    Parameters
    ----------
    mean, variance_of_mean
        Of the unit.
    rest_mean, rest_variance
        Of all others in the comparison group (0 when there are none).
    share
        n of the unit / n of the whole, in (0, 1].
    """
    whole = share * mean + (1 - share) * rest_mean
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = mean / whole
        slope_unit = (1 - share) * rest_mean / whole**2
        slope_rest = -(1 - share) * mean / whole**2
        std_error = np.sqrt(slope_unit**2 * variance_of_mean + slope_rest**2 * rest_variance)
    valid = whole > 0
    return np.where(valid, ratio, np.nan), np.where(valid, std_error, np.nan)


def binomial_ranks(
    n: NDArray[np.int64], probability: float, conf_level: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
    """Return the ranks (from 1) of the order statistics that bound a quantile, and the coverage they have.

    Lower = largest l with P(B ≤ l−1) ≤ α/2, upper = smallest u with P(B ≥ u) ≤ α/2, B ~ binomial(n, q); when no such
    rank exists (small n) the smallest or largest value stands in and the coverage says what is left.

    References
    ----------
    Conover, W. J. (1999). Practical Nonparametric Statistics, 3rd ed., section 3.2.
    """
    from scipy.special import bdtr, bdtrc, ndtri

    every_n, place = np.unique(n, return_inverse=True)
    if len(every_n) < len(n):
        low, high, coverage = binomial_ranks(every_n, probability, conf_level)
        return low[place], high[place], coverage[place]
    alpha = (1 - conf_level) / 2
    count = np.maximum(n, 1).astype(np.float64)
    half_width = -ndtri(alpha) * np.sqrt(count * probability * (1 - probability)) + 3
    lower = np.clip(np.floor(count * probability - half_width), 0, None)
    for _ in range(60):  # smallest start from below: step up while P(B <= lower) stays within alpha
        step = (bdtr(lower, n, probability) <= alpha) & (lower < n)
        if not step.any():
            break
        lower = lower + step
    upper = np.clip(np.ceil(count * probability + half_width), None, count)
    for _ in range(60):
        step = (bdtrc(upper - 2, n, probability) <= alpha) & (upper > 1)
        if not step.any():
            break
        upper = upper - step
    low = np.maximum(lower, 1).astype(np.int64)
    high = np.minimum(np.maximum(upper, 1), count).astype(np.int64)
    below = np.where(low >= 1, bdtr(low - 1.0, n, probability), 0.0)
    above = np.where(high >= 1, bdtrc(high - 1.0, n, probability), 0.0)
    return low, high, np.clip(1 - below - above, 0, 1)
