"""One comparison as arrays: contrasts, shrinkage, rank sets, the last place and the funnel of the units of one family cell."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eduq.estimates.comparison.funnel import FUNNEL_LEVELS, Funnel, fit_funnel, funnel_limits
from eduq.estimates.comparison.inputs import Cell
from eduq.estimates.intervals import normal_quantile, wilson
from eduq.estimates.ranks import could_be_first, could_be_last, pair_cut, probability_last, rank_sets, shrink

__all__ = [
    "SMALLEST_SHRUNKEN",
    "ComparisonModel",
    "FittedCell",
    "clear_rates",
    "contrast_with_group",
    "fit_cell",
    "rate_difference",
]

Floats = NDArray[np.float64]
SMALLEST_SHRUNKEN = 5
"""Fewer units are not shrunken: the variance between them cannot be told."""
SIDES = np.array(["low", "in", "high"])


@dataclass(frozen=True)
class ComparisonModel:
    """What was estimated for the units of one comparison together.

    Attributes
    ----------
    n_units, n_ranked
        Units with an estimate and its error, and those of them that take part in the ranking.
    group_mean
        Mean of the group (weighted by n where known, else every unit alike).
    reference
        Outside value the contrasts are made with; None where that is the group mean.
    mean, var_between
        Empirical-Bayes mean and Paule-Mandel variance between units (null below five units).
    pair_cut
        Two units differ where their difference exceeds this many standard errors of it.
    funnel_target, dispersion, var_overdispersion
        Of the funnel: the value it stands around, φ (null below ten units) and τ².
    sd_within
        Pupil SD behind the funnel of means with n; null without n and for rates.
    rate
        Whether the estimates are rates.
    """

    n_units: int
    n_ranked: int
    group_mean: float
    reference: float | None
    mean: float | None
    var_between: float | None
    pair_cut: float
    funnel_target: float
    dispersion: float | None
    var_overdispersion: float
    sd_within: float | None
    rate: bool

    def limits(self, null_error: Floats, level: float, n: Floats | None = None) -> tuple[Floats, Floats]:
        """Return funnel limits at given standard errors (and numbers of pupils, for rates)."""
        funnel = Funnel(self.funnel_target, math.nan, self.var_overdispersion)
        return funnel_limits(funnel, null_error, level, n if self.rate else None)


@dataclass(frozen=True)
class FittedCell:
    """A cell, its model, and columns of the result by name: (units,) arrays, nan or None where there is nothing."""

    cell: Cell
    model: ComparisonModel | None
    columns: dict[str, NDArray[Any]]


def contrast_with_group(x: Floats, std_error: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Return x_j − Σw_k x_k and its standard error, the unit being part of the group.

    Var = (1 − w_j)² s_j² + Σ_{k≠j} w_k² s_k²; with s² = σ²/n and w = n/N that is σ²/n·(1 − n/N).

    Parameters
    ----------
    x, std_error, weight
        Float arrays (units,); the weights need not sum to 1.

    Examples
    --------
    >>> n = np.array([300.0, 700.0])
    >>> found = contrast_with_group(np.array([0.7, -0.3]), 1 / np.sqrt(n), n)
    >>> (found[1] * np.sqrt(n)).round(3).tolist()
    [0.837, 0.548]
    """
    share = weight / weight.sum()
    spread = (share**2 * std_error**2).sum() + (1 - 2 * share) * std_error**2
    return x - share @ x, np.sqrt(np.maximum(spread, 0.0))


def fit_cell(cell: Cell, *, level: float, rate: bool, has_n: bool, min_n: int, high_is_first: bool) -> FittedCell:
    """Return all columns of one comparison but q, which needs the other comparisons too."""
    size = len(cell.estimate)
    whole: dict[str, NDArray[Any]] = {}
    used = np.flatnonzero([reason is None for reason in cell.reason])
    found: dict[str, NDArray[Any]] = _intervals(cell, rate=rate, level=level)
    reason = np.array(cell.reason, dtype=object)
    if len(used) == 0:
        return FittedCell(cell, None, found | {"reason": reason})
    x, error, n = cell.estimate[used], cell.std_error[used], cell.n[used]
    weight = n if has_n else np.ones(len(used))
    part = _contrasts(x, error, weight, cell.reference, level)
    if len(used) == 1 and cell.reference is None:
        reason[used] = "one_unit"
    between = None
    if len(used) >= SMALLEST_SHRUNKEN:
        between = shrink(x, error)
        part |= {"shrunken": between.estimate, "shrunken_se": between.std_error, "reliability": between.reliability}
    funnel, null_error, sd_within = _fit_funnel(x, error, n if has_n else None, weight, cell.reference, rate=rate)
    part |= _funnel_columns(x, funnel, null_error, n if rate else None)
    for name, values in part.items():
        whole[name] = _spread(values, used, size)
    able = used[~(cell.n[used] < min_n)] if has_n else used
    reason[np.setdiff1d(used, able)] = "below_min_n"
    size_of = cell.n[able] if rate else None
    for name, values in _places(cell.estimate[able], cell.std_error[able], size_of, level, high_is_first=high_is_first).items():
        whole[name] = _spread(values, able, size)
    model = ComparisonModel(
        n_units=len(used),
        n_ranked=len(able),
        group_mean=float(weight @ x / weight.sum()),
        reference=cell.reference,
        mean=None if between is None else float(between.mean),
        var_between=None if between is None else float(between.variance),
        pair_cut=pair_cut(len(able), level),
        funnel_target=funnel.target,
        dispersion=None if math.isnan(funnel.dispersion) else funnel.dispersion,
        var_overdispersion=funnel.variance,
        sd_within=sd_within,
        rate=rate,
    )
    return FittedCell(cell, model, found | whole | {"reason": reason})


def _spread(values: NDArray[Any], at: NDArray[np.intp], size: int) -> NDArray[Any]:
    """Return values laid out over all units; floats have nan and others None elsewhere."""
    result = np.full(size, np.nan) if values.dtype.kind == "f" else np.full(size, None, dtype=object)
    result[at] = values if values.dtype.kind == "f" else values.tolist()
    return result


def _intervals(cell: Cell, *, rate: bool, level: float) -> dict[str, NDArray[Any]]:
    known = np.array([reason is None for reason in cell.reason])
    if rate:
        # nan leaves a unit out, and the Wilson formula compares with 0
        n = np.where(known, cell.n, 1.0)
        _, low, high = wilson(np.where(known, cell.estimate, 0.5) * n, n, level)
        low, high = np.where(known, low, np.nan), np.where(known, high, np.nan)
    else:
        half = normal_quantile(level) * cell.std_error
        low, high = cell.estimate - half, cell.estimate + half
    error = np.where(np.isnan(cell.estimate), np.nan, cell.std_error)
    return {"n": cell.n, "estimate": cell.estimate, "std_error": error, "ci_lower": low, "ci_upper": high}


def _contrasts(x: Floats, error: Floats, weight: Floats, reference: float | None, level: float) -> dict[str, NDArray[Any]]:
    from scipy.special import ndtr

    if reference is not None:
        contrast, se = x - reference, error
    elif len(x) < 2:
        return {}
    else:
        contrast, se = contrast_with_group(x, error, weight)
    half = normal_quantile(level) * se
    return {
        "contrast": contrast,
        "contrast_se": se,
        "contrast_lower": contrast - half,
        "contrast_upper": contrast + half,
        "p_value": 2 * ndtr(-np.abs(contrast) / se),
    }


def _places(x: Floats, error: Floats, n: Floats | None, level: float, *, high_is_first: bool) -> dict[str, NDArray[Any]]:
    """Return ranks, rank sets and what can be said of the last place; nothing for a single unit.

    Rates (``n`` given) are told apart by `clear_rates`; who could be the last is then who has no unit clearly below.
    """
    if len(x) < 2:
        return {}
    ordered = x if high_is_first else -x
    ranks = rank_sets(ordered, error, level=level)
    found: dict[str, NDArray[Any]] = {"rank": ranks.rank}
    if n is None:
        found |= {"rank_lower": ranks.lower, "rank_upper": ranks.upper}
        found["could_be_last"] = could_be_last(ordered, error, alpha=1 - level)
        found["could_be_first"] = could_be_first(ordered, error, alpha=1 - level)
    else:
        more, fewer = clear_rates(x, n, pair_cut(len(x), level))
        above, below = (fewer, more) if high_is_first else (more, fewer)
        found |= {
            "rank_lower": 1 + above,
            "rank_upper": len(x) - below,
            "could_be_last": below == 0,
            "could_be_first": above == 0,
        }
    if len(x) >= SMALLEST_SHRUNKEN:
        found["p_last"] = probability_last(ordered, error)
    return found


def rate_difference(one: Floats, n_one: Floats, other: Floats, n_other: Floats, cut: float) -> tuple[Floats, Floats]:
    """Return the interval of one − other by Newcombe's hybrid of Wilson intervals at ±``cut`` standard errors.

    d − √((p₁ − l₁)² + (u₂ − p₂)²), d + √((u₁ − p₁)² + (p₂ − l₂)²).

    References
    ----------
    Newcombe, R. G. (1998). Interval estimation for the difference between independent proportions. Statist. Med. 17, 873-890.

    Examples
    --------
    >>> low, high = rate_difference(np.array([56 / 70]), np.array([70.0]), np.array([48 / 80]), np.array([80.0]), 1.959964)
    >>> round(float(low[0]), 4), round(float(high[0]), 4)
    (0.0524, 0.3339)
    """
    from scipy.special import ndtr

    level = float(1 - 2 * ndtr(-cut))
    _, low_one, high_one = wilson(one * n_one, n_one, level)
    _, low_other, high_other = wilson(other * n_other, n_other, level)
    apart = one - other
    return apart - np.hypot(one - low_one, high_other - other), apart + np.hypot(high_one - one, other - low_other)


def clear_rates(p: Floats, n: Floats, cut: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return how many units each rate is clearly above, and clearly below: pairs whose interval leaves out 0."""
    above, below = np.zeros(len(p), dtype=np.int64), np.zeros(len(p), dtype=np.int64)
    for unit in range(len(p)):
        low, high = rate_difference(p[unit : unit + 1], n[unit : unit + 1], p, n, cut)
        above[unit], below[unit] = (low > 0).sum(), (high < 0).sum()
    return above, below


def _fit_funnel(
    x: Floats, error: Floats, n: Floats | None, weight: Floats, reference: float | None, *, rate: bool
) -> tuple[Funnel, Floats, float | None]:
    """Return the funnel, the standard errors at its target, and the pupil SD behind them.

    With n the target is the mean of all pupils and s_0 = σ_w/√n (rates: √(t(1 − t)/n)); without n the precision-weighted mean
    and the unit's own standard error.
    """
    sd_within = None
    if n is None:
        target = float((x / error**2).sum() / (1 / error**2).sum()) if reference is None else reference
        return fit_funnel(x, error, target), error, None
    target = float(weight @ x / weight.sum()) if reference is None else reference
    if rate:
        spread = math.sqrt(target * (1 - target))
        if spread == 0:
            return Funnel(target, math.nan, 0.0), np.zeros(len(x)), None
    else:
        df = np.maximum(n - 1, 0)
        df = df if df.sum() > 0 else n
        spread = sd_within = math.sqrt(float((df * n * error**2).sum() / df.sum()))
    null_error = spread / np.sqrt(n)
    return fit_funnel(x, null_error, target), null_error, sd_within


def _funnel_columns(x: Floats, funnel: Funnel, null_error: Floats, n: Floats | None) -> dict[str, NDArray[Any]]:
    found: dict[str, NDArray[Any]] = {}
    for level, suffix in zip(FUNNEL_LEVELS, ("", "_998"), strict=True):
        low, high = funnel_limits(funnel, null_error, level, n)
        side = np.where(x < low, 0, np.where(x > high, 2, 1))
        found |= {f"funnel{suffix}": SIDES[side], f"funnel_lower{suffix}": low, f"funnel_upper{suffix}": high}
    return found
