"""Comparison of units given estimates and standard errors: shrinkage, simultaneous rank sets, who could be last, who probably is.

All functions take float arrays (..., units), sorted or not; families stand along the leading axes. Input estimates are
independent with known standard errors above 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["Ranks", "Shrunken", "could_be_first", "could_be_last", "last_place_p", "pair_cut"]
__all__ += ["probability_last", "rank_sets", "shrink"]

Floats = NDArray[np.float64]
NODES = 141
"""Trapezoid nodes of the integrals over a unit's own error: right to 5e-4 while it is below ten times the others'."""
DIRECT = 256
"""Families up to this size take every standard error as it is; in larger ones could-be-last puts them on ``CELLS`` values."""
CELLS = 24
BLOCKS = 24
"""Large families count the clearly higher and lower units by blocks of like standard errors."""
RANK_DECIMALS = 4
"""Ranks are taken on values rounded to printing precision, so that ties share."""


@dataclass(frozen=True)
class Shrunken:
    """Empirical-Bayes estimates, arrays (..., units), and the family's mean and variance (...)."""

    estimate: Floats
    std_error: Floats
    reliability: Floats
    mean: Floats
    variance: Floats


@dataclass(frozen=True)
class Ranks:
    """Competition ranks (1 = highest) and the bounds of simultaneous rank sets."""

    rank: NDArray[np.int64]
    lower: NDArray[np.int64]
    upper: NDArray[np.int64]


def _paule_mandel(x: Floats, squared: Floats) -> Floats:
    """Return τ² (...): Σ(x − m)²/(τ² + s²) = S − 1, by bisection, 0 if the left side at 0 is below."""
    wanted = x.shape[-1] - 1

    def excess(variance: Floats) -> Floats:
        weight = 1.0 / (variance[..., None] + squared)
        mean = (weight * x).sum(axis=-1, keepdims=True) / weight.sum(axis=-1, keepdims=True)
        return np.asarray((weight * (x - mean) ** 2).sum(axis=-1) - wanted)

    low = np.zeros(x.shape[:-1])
    at_zero = excess(low) <= 0
    high = ((x - x.mean(axis=-1, keepdims=True)) ** 2).sum(axis=-1) / wanted + 1e-12
    for _ in range(60):
        middle = (low + high) / 2
        above = excess(middle) > 0
        low, high = np.where(above, middle, low), np.where(above, high, middle)
        if bool((high - low <= 1e-13 + 1e-11 * high).all()):
            break
    return np.where(at_zero, 0.0, (low + high) / 2)


def shrink(x: Floats, std_error: Floats) -> Shrunken:
    """Return empirical-Bayes estimates with the Paule-Mandel variance between units.

    λ_j = τ²/(τ² + s_j²), shrunken = m + λ_j(x_j − m), its SE = √(λ_j s_j² + (1 − λ_j)²/Σ(τ² + s_k²)⁻¹).

    Parameters
    ----------
    x, std_error
        Float arrays (..., units), no nan, at least two units.

    References
    ----------
    Paule, R. C. and Mandel, J. (1982). Consensus values and weighting factors. J. Res. Natl. Bur. Stand. 87, 377-385.

    Examples
    --------
    >>> found = shrink(np.array([0.0, 1.0, 2.0]), np.array([0.5, 0.5, 0.5]))
    >>> float(found.variance.round(6)), found.estimate.round(6).tolist()
    (0.75, [0.25, 1.0, 1.75])
    """
    squared = std_error**2
    between = _paule_mandel(x, np.broadcast_to(squared, x.shape))
    weight = 1.0 / (between[..., None] + squared)
    total = weight.sum(axis=-1, keepdims=True)
    mean = (weight * x).sum(axis=-1, keepdims=True) / total
    reliability = between[..., None] * weight
    se = np.sqrt(reliability * squared + (1 - reliability) ** 2 / total)
    return Shrunken(mean + reliability * (x - mean), se, reliability, mean[..., 0], between)


def rank_sets(x: Floats, std_error: Floats, *, level: float = 0.95) -> Ranks:
    """Return competition ranks (1 = highest) and rank sets that hold for all units together.

    j is above k when (x_j − x_k)/√(s_j² + s_k²) > q(level; S, ∞)/√2, the studentised range quantile; rank_lower = 1 + number
    above, rank_upper = S − number below.

    Parameters
    ----------
    x, std_error
        Float arrays (units,), no nan.
    level
        Simultaneous confidence level.

    References
    ----------
    Hayter, A. J. (1984). A proof of the conjecture that the Tukey-Kramer procedure is conservative. Ann. Statist. 12, 61-75.
    Mogstad, M., Romano, J., Shaikh, A. and Wilhelm, D. (2024). Inference for ranks. Rev. Econ. Stud. 91, 476-518.

    Examples
    --------
    >>> found = rank_sets(np.array([1.0, 0.9, 0.9, -1.0]), np.full(4, 0.1))
    >>> found.rank.tolist(), found.lower.tolist(), found.upper.tolist()
    ([1, 2, 2, 4], [1, 1, 1, 4], [3, 3, 3, 4])
    """
    rounded, size = np.round(x, RANK_DECIMALS), len(x)
    rank = size - np.searchsorted(np.sort(rounded), rounded, side="right") + 1
    cut = pair_cut(size, level)
    if size <= DIRECT:
        apart = x[:, None] - x
        clear = apart**2 > cut**2 * (std_error[:, None] ** 2 + std_error**2)
        above, below = (clear & (apart < 0)).sum(axis=1), (clear & (apart > 0)).sum(axis=1)
    else:
        above, below = _count_below(-x, std_error, cut), _count_below(x, std_error, cut)
    return Ranks(rank.astype(np.int64), 1 + above, size - below)


def _count_below(x: Floats, std_error: Floats, cut: float) -> NDArray[np.int64]:
    """Return how many units k are clearly below j: x_j − x_k > cut·√(s_j² + s_k²).

    Units are blocked by standard error and sorted by x: the block's largest and smallest error decide all but a few pairs,
    which are looked at one by one.
    """
    result = np.zeros(len(x), dtype=np.int64)
    order = np.argsort(x)
    own_x, own_s = x[order], std_error[order]
    by_error = np.argsort(std_error, kind="stable")
    for block in np.array_split(by_error, BLOCKS):
        inside = block[np.argsort(x[block], kind="stable")]
        values, errors = x[inside], std_error[inside]
        surely = np.searchsorted(values, own_x - cut * np.hypot(own_s, errors.max()) * (1 + 1e-12))
        maybe = np.searchsorted(values, own_x - cut * np.hypot(own_s, errors.min()) * (1 - 1e-12), side="right")
        open_ = maybe - surely
        unit = np.repeat(np.arange(len(x)), open_)
        start = np.cumsum(open_) - open_
        other = np.arange(len(unit)) - np.repeat(start - surely, open_)
        clear = own_x[unit] - values[other] > cut * np.sqrt(own_s[unit] ** 2 + errors[other] ** 2)
        result += surely + np.bincount(unit[clear], minlength=len(x))
    counts = np.empty_like(result)
    counts[order] = result
    return counts


@lru_cache(maxsize=64)
def pair_cut(size: int, level: float) -> float:
    """Return q(level; S, ∞)/√2, 0 for a single unit; P(range ≤ q) = S ∫ φ(z) [Φ(z) − Φ(z − q)]^(S−1) dz."""
    from scipy.special import ndtr

    if size < 2:
        return 0.0
    z = np.linspace(-8.0, 8.0, 1601)
    density = np.exp(-z * z / 2) / np.sqrt(2 * np.pi) * (z[1] - z[0])
    at, low, high = ndtr(z), 0.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        reached = size * float((density * (at - ndtr(z - middle)) ** (size - 1)).sum())
        low, high = (middle, high) if reached < level else (low, middle)
    return (low + high) / 2 / float(np.sqrt(2.0))


def last_place_p(x: Floats, std_error: Floats, unit: NDArray[np.intp], *, places: int = 1) -> Floats:
    """Return p of "this unit is the last", or among the last few, one unit per family.

    T_j = max_k (x_j − x_k)/D_jk, p_j = 1 − E_z Π_{k≠j} Φ((T_j D_jk − s_j z)/s_k), z standard normal. For the last K places T_j
    is the K-th largest lead: a unit truly among them leads at most K − 1 others truly, so the same p holds, a little too large.

    Parameters
    ----------
    x, std_error
        Float arrays (families, units), or (1, units) when all units asked for are of one family.
    unit
        Column of the unit asked for, per family (or of the one family).
    places
        1 for the last place, K for the last K places.

    References
    ----------
    Gupta, S. S. (1965). On some multiple decision (selection and ranking) rules. Technometrics 7, 225-245.
    Hsu, J. C. (1996). Multiple Comparisons: Theory and Methods. Chapman and Hall.
    """
    from scipy.special import log_ndtr

    nodes, weights = _normal_nodes()
    size, result = x.shape[-1], np.empty(len(unit))
    step = max(1, 1_500_000 // (size * NODES))
    for first in range(0, len(unit), step):
        chosen = unit[first : first + step]
        rows = np.zeros(len(chosen), dtype=np.intp) if x.shape[0] == 1 else np.arange(first, first + len(chosen))
        own_x, own_s = x[rows, chosen][:, None], std_error[rows, chosen][:, None]
        other_s = std_error[rows]
        apart = np.sqrt(own_s**2 + other_s**2)
        gap = (own_x - x[rows]) / apart
        gap[np.arange(len(chosen)), chosen] = -np.inf
        reach = _nth_largest(gap, places)[:, None] * apart
        logs = log_ndtr((reach[:, :, None] - own_s[:, :, None] * nodes) / other_s[:, :, None])
        logs[np.arange(len(chosen)), chosen] = 0.0
        result[first : first + step] = 1.0 - np.exp(logs.sum(axis=1)) @ weights
    return result


def _normal_nodes() -> tuple[Floats, Floats]:
    """Return nodes and weights of an expectation over the standard normal distribution."""
    weights = np.exp(-((nodes := np.linspace(-7.0, 7.0, NODES)) ** 2) / 2)
    return nodes, weights / weights.sum()


def _nth_largest(values: Floats, n: int) -> Floats:
    """Return the n-th largest value of every row; the smallest where there are fewer."""
    if n == 1:
        return np.asarray(values.max(axis=1))
    place = max(values.shape[1] - n, 0)
    return np.asarray(np.partition(values, place, axis=1)[:, place])


def could_be_last(x: Floats, std_error: Floats, *, alpha: float = 0.05, places: int = 1) -> NDArray[np.bool_]:
    """Return which units could be the last: each truly last unit is kept with probability at least 1 − ``alpha``.

    The observed last is always in the set: membership cannot confirm anything, it can only clear others.

    Parameters
    ----------
    x, std_error
        Float arrays (units,), no nan.
    alpha
        A unit whose p (`last_place_p`) is above this stays in the set.
    places
        1 for the last place, K for the last K places.

    Examples
    --------
    >>> could_be_last(np.array([1.0, 0.0, 0.1]), np.array([0.1, 0.1, 0.1])).tolist()
    [False, True, True]
    """
    from scipy.special import ndtr

    size = len(x)
    if size <= places:
        return np.ones(size, dtype=np.bool_)
    reach = _largest_lead(x, std_error) if places == 1 else _later_lead(x, std_error, places)
    # Bonferroni bounds p from above, so what it clears is cleared
    open_ = np.flatnonzero((size - 1) * ndtr(-reach) > alpha)
    member = np.zeros(size, dtype=np.bool_)
    if size <= DIRECT:
        member[open_] = last_place_p(x[None, :], std_error[None, :], open_, places=places) > alpha
    else:
        member[open_] = _last_place_p_by_cells(std_error, open_, reach[open_]) > alpha
    member[np.argmin(x)] = True
    return member


def could_be_first(x: Floats, std_error: Floats, *, alpha: float = 0.05, places: int = 1) -> NDArray[np.bool_]:
    """Return which units could be the first: `could_be_last` from the other end."""
    return could_be_last(-x, std_error, alpha=alpha, places=places)


def _largest_lead(x: Floats, std_error: Floats) -> Floats:
    """Return T_j = max_k (x_j − x_k)/D_jk over k ≠ j; only units that no other beats in both respects can hold the maximum."""
    order = np.lexsort((std_error, x))
    smallest = np.minimum.accumulate(std_error[order])
    frontier = order[np.concatenate([[True], std_error[order][1:] < smallest[:-1]])]
    lowest = order[0]
    result = np.empty(len(x))
    step = max(1, 2_000_000 // len(frontier))
    for first in range(0, len(x), step):
        rows = slice(first, first + step)
        result[rows] = ((x[rows, None] - x[frontier]) / np.sqrt(std_error[rows, None] ** 2 + std_error[frontier] ** 2)).max(
            axis=1, where=frontier != np.arange(len(x))[rows, None], initial=-np.inf
        )
    others = np.arange(len(x)) != lowest
    result[lowest] = ((x[lowest] - x[others]) / np.sqrt(std_error[lowest] ** 2 + std_error[others] ** 2)).max()
    return result


def _later_lead(x: Floats, std_error: Floats, places: int) -> Floats:
    """Return the K-th largest of (x_j − x_k)/D_jk over k ≠ j."""
    result, step = np.empty(len(x)), max(1, 2_000_000 // len(x))
    for first in range(0, len(x), step):
        rows = np.arange(first, min(first + step, len(x)))
        gap = (x[rows, None] - x) / np.sqrt(std_error[rows, None] ** 2 + std_error**2)
        gap[rows - first, rows] = -np.inf
        result[rows] = _nth_largest(gap, places)
    return result


def _last_place_p_by_cells(std_error: Floats, unit: NDArray[np.intp], reach: Floats) -> Floats:
    """Return p as `last_place_p`, with the others' standard errors put on a grid (log-spaced, shared linearly)."""
    from scipy.special import log_ndtr

    (nodes, weights), logs = _normal_nodes(), np.log(std_error)
    low, high = float(logs.min()), float(logs.max())
    cells = CELLS if high > low else 1
    grid = np.exp(np.linspace(low, high, cells))
    place = (logs - low) / max(high - low, 1e-300) * (cells - 1)
    left = np.minimum(np.floor(place).astype(np.intp), max(cells - 2, 0))
    share = place - left
    counts = np.bincount(left, 1 - share, cells) + (np.bincount(left + 1, share, cells) if cells > 1 else 0)
    own = std_error[unit][:, None, None]
    inside = (reach[:, None, None] * np.sqrt(own**2 + grid[:, None] ** 2) - own * nodes) / grid[:, None]
    all_units = np.einsum("jcn,c->jn", log_ndtr(inside), counts)
    itself = log_ndtr(reach[:, None] * np.sqrt(2.0) - nodes)
    return np.asarray(1.0 - np.exp(all_units - itself) @ weights)


def probability_last(x: Floats, std_error: Floats, *, places: int = 1) -> Floats:
    """Return P(unit is truly the last, or among the last few) given the data: θ_j ~ N(shrunken_j, λ_j s_j²), independent.

    P_j = ∫ f_j(θ) P(fewer than K others below θ) dθ on one grid for the family; for K = 1 that is ∫ f_j Π_{k≠j} (1 − F_k) dθ.
    Without any variance between the units it is K/S.

    Parameters
    ----------
    x, std_error
        Float arrays (..., units), no nan. For a clause about the unit, not one cohort of it, s² = σ²/n + ω².
    places
        1 for the last place, K for the last K places.

    Examples
    --------
    >>> probability_last(np.array([1.0, 0.0, 0.0]), np.array([0.1, 0.1, 0.1])).round(3).tolist()
    [0.0, 0.5, 0.5]
    """
    size = x.shape[-1]
    if places >= size:
        return np.ones(x.shape)
    found = shrink(x, std_error)
    centre = np.reshape(found.estimate, (-1, size))
    width = np.reshape(np.sqrt(found.reliability) * std_error, centre.shape)
    result = np.full(centre.shape, places / size)
    spread = np.flatnonzero(width.max(axis=1) > 0)
    if len(spread) == 0:
        return result.reshape(x.shape)
    centre, width = centre[spread], width[spread]
    low = (centre - 8 * width).min(axis=1)
    # beyond the point that `places` units lie below for certain nobody else is among them
    high = np.partition(centre + 8 * width, places - 1, axis=1)[:, places - 1]
    points = int(np.clip(np.ceil(((high - low) / (0.6 * width.min(axis=1))).max()), 64, 600))
    step = max(1, 1_500_000 // (points * size * places))
    for first in range(0, len(spread), step):
        part = slice(first, first + step)
        result[spread[part]] = _integrate_last(centre[part], width[part], low[part], high[part], points, places)
    return result.reshape(x.shape)


def _integrate_last(centre: Floats, width: Floats, low: Floats, high: Floats, points: int, places: int) -> Floats:
    """Return the probabilities by the trapezoid rule, which converges fast for such smooth integrands."""
    from scipy.special import log_ndtr, ndtr

    grid = low[:, None] + (high - low)[:, None] * np.linspace(0, 1, points)
    z = (grid[:, :, None] - centre[:, None, :]) / width[:, None, :]
    spacing = (high - low)[:, None] / (points - 1)
    if places == 1:
        survive = log_ndtr(-z)
        density = np.exp(survive.sum(axis=2, keepdims=True) - survive - z * z / 2)
    else:
        density = _few_below(ndtr(z), places) * np.exp(-z * z / 2)
    return np.asarray(density.sum(axis=1) * spacing / (width * np.sqrt(2 * np.pi)))


def _few_below(below: Floats, places: int) -> Floats:
    """Return P(fewer than K of the other units are below), leaving each unit out in turn (families, points, units).

    Products of (1 − F + F·t), cut at t^K, from the left and from the right: no division, so nothing is lost in the tails.
    """
    size = below.shape[2]
    counts = np.zeros((places, size + 1, *below.shape[:2]))
    counts[0, 0] = 1.0
    for unit in range(size):
        chance = below[:, :, unit]
        counts[:, unit + 1] = counts[:, unit] * (1 - chance)
        counts[1:, unit + 1] += counts[:-1, unit] * chance
    after = np.zeros((places, *below.shape[:2]))
    after[0] = 1.0
    result = np.empty_like(below)
    for unit in range(size - 1, -1, -1):
        few_after = np.cumsum(after, axis=0)
        result[:, :, unit] = (counts[:, unit] * few_after[::-1]).sum(axis=0)
        chance = below[:, :, unit]
        shifted = after[:-1] * chance
        after = after * (1 - chance)
        after[1:] += shifted
    return result
