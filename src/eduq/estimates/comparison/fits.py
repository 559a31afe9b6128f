"""One comparison as arrays: contrasts, shrinkage, rank sets, the last place and the funnel of the units of one family cell."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eduq.estimates.comparison.contrasts import contrast_units, contrast_with_group, part_groups
from eduq.estimates.comparison.funnel import FUNNEL_LEVELS, Funnel, fit_funnel, funnel_limits
from eduq.estimates.comparison.inputs import Cell
from eduq.estimates.comparison.peers import ALL, NEAREST, SMALLEST_PEERS
from eduq.estimates.intervals import normal_quantile, wilson
from eduq.estimates.ranks import could_be_first, could_be_last, pair_cut, probability_last, rank_sets, shrink

__all__ = [
    "SMALLEST_SHRUNKEN",
    "ComparisonModel",
    "FittedCell",
    "PeerGroup",
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
class PeerGroup:
    """A peer group: its units, those ranked, their mean (weighted as the comparison's) and the cut between two of them."""

    n_units: int
    n_ranked: int
    mean: float
    pair_cut: float


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
    reference_se
        Standard error of the reference, in the contrasts.
    peer_groups
        By their label; ``all`` where there are none.
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
    reference_se: float
    peer_groups: dict[str, PeerGroup]

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


def fit_cell(
    cell: Cell, *, level: float, rate: bool, has_n: bool, min_n: int, high_is_first: bool, neighbours: int | None = None
) -> FittedCell:
    """Return all columns of one comparison but q, which needs the other comparisons too."""
    size = len(cell.estimate)
    used = np.flatnonzero([reason is None for reason in cell.reason])
    found: dict[str, NDArray[Any]] = _intervals(cell, rate=rate, level=level)
    reason = np.array(cell.reason, dtype=object)
    if len(used) == 0:
        return FittedCell(cell, None, found | {"reason": reason, "n_units": np.zeros(size)})
    x, error, n, weight = cell.estimate[used], cell.std_error[used], cell.n[used], cell.weight[used]
    groups = part_groups(cell, used)
    contrasts, without = contrast_units(cell, used, groups, neighbours=neighbours, min_n=min_n, level=level)
    reason[used] = np.array(without, dtype=object)[used]
    part: dict[str, NDArray[Any]] = {}
    between = None
    if len(used) >= SMALLEST_SHRUNKEN:
        between = shrink(x, error)
        part |= {"shrunken": between.estimate, "shrunken_se": between.std_error, "reliability": between.reliability}
    funnel, null_error, sd_within = _fit_funnel(x, error, n if has_n else None, weight, cell.reference, rate=rate)
    part |= _funnel_columns(x, funnel, null_error, n if rate else None)
    whole = {name: _spread(values, used, size) for name, values in part.items()}
    able = used[~(cell.n[used] < min_n)] if has_n else used
    few = np.setdiff1d(used, able)
    reason[few] = [said or "below_min_n" for said in reason[few]]
    places, peers = _places_by_group(cell, groups, able, level, rate=rate, high_is_first=high_is_first)
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
        reference_se=cell.reference_se,
        peer_groups=peers,
    )
    return FittedCell(cell, model, found | contrasts | whole | places | {"reason": reason})


def _places_by_group(
    cell: Cell, groups: dict[str, NDArray[np.intp]], able: NDArray[np.intp], level: float, *, rate: bool, high_is_first: bool
) -> tuple[dict[str, NDArray[Any]], dict[str, PeerGroup]]:
    """Return ranks and what can be said of the last place within each peer group that is large enough, and the groups."""
    size = len(cell.estimate)
    laid: dict[str, NDArray[Any]] = {"n_units": np.full(size, np.nan)}
    peers: dict[str, PeerGroup] = {}
    labels = np.array([ALL if label == NEAREST or cell.covariates.shape[1] else label for label in cell.peer], dtype=object)
    for label, group in groups.items():
        ranked = np.intersect1d(group, able)
        weight = cell.weight[group]
        mean = float(weight @ cell.estimate[group] / weight.sum())
        peers[label] = PeerGroup(len(group), len(ranked), mean, pair_cut(len(ranked), level))
        if label != ALL and len(group) - 1 < SMALLEST_PEERS:
            continue
        laid["n_units"][labels == label] = len(ranked)
        size_of = cell.n[ranked] if rate else None
        own = _places(cell.estimate[ranked], cell.std_error[ranked], size_of, level, high_is_first=high_is_first)
        for name, values in own.items():
            spread = _spread(values, ranked, size)
            if name in laid:
                laid[name][ranked] = spread[ranked]
            else:
                laid[name] = spread
    return laid, peers


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
    from scipy.special import ndtr

    above, below = np.zeros(len(p), dtype=np.int64), np.zeros(len(p), dtype=np.int64)
    _, lower, upper = wilson(p * n, n, float(1 - 2 * ndtr(-cut)))
    down, up = (p - lower) ** 2, (upper - p) ** 2
    step = max(1, 1_000_000 // max(len(p), 1))
    for first in range(0, len(p), step):  # the lower bound of `rate_difference` is above 0
        rows = slice(first, first + step)
        apart = p[rows, None] - p
        clear = (apart > 0) & (apart**2 > down[rows, None] + up)
        above[rows] = clear.sum(axis=1)
        below += clear.sum(axis=0)
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
