"""How unequal unit means are: coefficients of variation, Gini, Theil and ranges, with the sampling noise taken off."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eduq.estimates.equity.index_values import IndexValue

__all__ = [
    "BOOTSTRAP_DRAWS",
    "BOOTSTRAP_SEED",
    "VARIATION_INDICES",
    "CorrectedCV",
    "corrected_cv",
    "gini",
    "measure_variation",
    "theil",
    "theil_parts",
    "weighted_cv",
]

Floats = NDArray[np.float64]
BOOTSTRAP_DRAWS = 1000
BOOTSTRAP_SEED = 20_171
_DRAWN_CELLS, _FEWEST_DRAWS = 200_000, 200
"""From 200 units on, indices that need every drawn value (Gini, Theil, ranges) get as many draws as make so many values, at
least 200; coefficients of variation need sums only and always get all."""


def weighted_cv(values: ArrayLike, weights: ArrayLike) -> float:
    """Return the weighted coefficient of variation √(Σ(p_i/P)(x_i − X)²)/X with X = Σp_i x_i/P.

    Parameters
    ----------
    values
        One value per unit, such as books per pupil or a school mean.
    weights
        Pupils of each unit.

    References
    ----------
    县域义务教育优质均衡发展督导评估办法 (2017), 校际差异系数.

    Examples
    --------
    >>> pupils = np.array([45, 37, 89, 76, 55])
    >>> books = np.array([279, 137, 935, 160, 402])
    >>> round(weighted_cv(books / pupils, pupils), 3)
    0.515
    """
    x, p = np.asarray(values, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    return float(_weighted_cv(x, p / p.sum()))


def gini(values: ArrayLike, weights: ArrayLike) -> float:
    """Return the Gini coefficient ΣΣp_i p_j|x_i − x_j|/(2X), shares p.

    Examples
    --------
    >>> round(gini([1, 2, 3, 4], [1, 1, 1, 1]), 12)
    0.25
    """
    x, p = np.asarray(values, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    return float(_gini(x, p / p.sum()))


def theil(values: ArrayLike, weights: ArrayLike) -> float:
    """Return Theil's T, Σp(x/X)ln(x/X) with 0·ln 0 = 0; values ≥ 0.

    References
    ----------
    Theil, H. (1967). Economics and Information Theory, chapter 4.

    Examples
    --------
    >>> round(theil([1, 1, 4], [1, 1, 1]), 6)
    0.231049
    """
    x, p = np.asarray(values, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    return float(_theil(x, p / p.sum()))


def theil_parts(values: ArrayLike, weights: ArrayLike, groups: ArrayLike) -> tuple[float, float]:
    """Return the parts of Theil's T between and within groups of units; their sum is the whole.

    Between = Σ_g s_g ln(X_g/X), within = Σ_g s_g T_g, s_g = the group's share of Σp x.

    References
    ----------
    Theil, H. (1967), as above.
    """
    x, p = np.asarray(values, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    _, place = np.unique(np.asarray(groups), return_inverse=True)
    size = np.bincount(place, weights=p)
    total = np.bincount(place, weights=p * x)
    between = float(_theil(total / size, size / size.sum()))
    within = 0.0
    for group in range(len(size)):
        if total[group] > 0:
            within += float(total[group] / total.sum()) * theil(x[place == group], p[place == group])
    return between, within


def _weighted_cv(x: Floats, share: Floats) -> Floats:
    mean = (x * share).sum(axis=-1)
    return np.asarray(np.sqrt(((x - mean[..., None]) ** 2 * share).sum(axis=-1)) / mean)


def _cv(x: Floats, share: Floats) -> Floats:
    return np.asarray(x.std(axis=-1, ddof=1) / x.mean(axis=-1))


def _gini(x: Floats, share: Floats) -> Floats:
    order = np.argsort(x, axis=-1, kind="stable")
    value = np.take_along_axis(x, order, axis=-1)
    p = np.take_along_axis(np.broadcast_to(share, x.shape), order, axis=-1)
    before = np.cumsum(p, axis=-1) - p
    # pairs below a unit less pairs above it; taken from the lowest value up, so that equal values give exactly 0
    spread = ((value - value[..., :1]) * p * (2 * before + p - 1)).sum(axis=-1)
    return np.asarray(np.maximum(spread, 0.0) / (value * p).sum(axis=-1))


def _theil(x: Floats, share: Floats) -> Floats:
    part = np.maximum(x, 0.0) / x.max(axis=-1, keepdims=True)
    ratio = part / (part * share).sum(axis=-1, keepdims=True)
    logs = np.log(np.where(ratio > 0, ratio, 1.0))
    # shares of the ratios add up to 1: taken off term by term, equal values give 0 and not what rounding leaves
    return np.asarray(np.maximum((share * (ratio * logs - (ratio - 1.0))).sum(axis=-1), 0.0))


def _range_ratio(x: Floats, share: Floats) -> Floats:
    low = x.min(axis=-1)
    with np.errstate(divide="ignore"):
        return np.where(low > 0, x.max(axis=-1) / np.where(low > 0, low, 1.0), np.inf)


def _range_rate(x: Floats, share: Floats) -> Floats:
    return np.asarray((x.max(axis=-1) - x.min(axis=-1)) / (x * share).sum(axis=-1))


_Index = Callable[[Floats, Floats], Floats]
VARIATION_INDICES: dict[str, tuple[_Index, bool]] = {
    "weighted_cv": (_weighted_cv, True),
    "cv": (_cv, False),
    "gini": (_gini, True),
    "theil": (_theil, True),
    "range_ratio": (_range_ratio, False),
    "range_rate": (_range_rate, False),
}
"""Index of unit means and whether units count by their pupils. ``cv`` has the divisor S − 1."""


_SUMS_ONLY = (_weighted_cv, _cv)


@dataclass(frozen=True)
class CorrectedCV:
    """A weighted CV of unit means after correction, with its interval."""

    estimate: float
    std_error: float
    ci_lower: float
    ci_upper: float


@lru_cache(maxsize=2)
def _draws(units: int) -> tuple[Floats, Floats]:
    """The seeded standard normal draws and their squares: the same for every paper with as many units."""
    drawn = np.random.default_rng(BOOTSTRAP_SEED).standard_normal((BOOTSTRAP_DRAWS, units))
    return drawn, drawn**2


def _correct_spread(means: Floats, noise: Floats, share: Floats) -> Floats:
    """Return means X + (x̄ − X)·√(v_c/v), v_c = v − Σp(1 − p)·SE², v the weighted variance; arrays end in units."""
    centre = (means * share).sum(axis=-1, keepdims=True)
    raw = ((means - centre) ** 2 * share).sum(axis=-1, keepdims=True)
    corrected = np.maximum(raw - (share * (1 - share) * noise).sum(axis=-1), 0.0)
    factor = np.sqrt(np.divide(corrected, raw, out=np.zeros_like(raw), where=raw > 0))
    return np.asarray(centre + (means - centre) * factor)


def _sorted_units(means: ArrayLike, std_errors: ArrayLike, weights: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Return the units in an order that does not depend on their names: it decides which draw a unit gets."""
    x, se, p = (np.asarray(values, dtype=np.float64) for values in (means, std_errors, weights))
    order = np.lexsort((p, se, x))
    return x[order], se[order], p[order]


def _bootstrap(x: Floats, se: Floats, share: Floats, indices: list[_Index]) -> list[tuple[float, Floats]]:
    """Return each index of the spread-corrected means and its draws, corrected inside."""
    corrected = _correct_spread(x, se**2, share)
    drawn: dict[_Index, Floats] = {}
    others = [index for index in indices if index not in _SUMS_ONLY]
    if len(others) < len(indices):
        centre, variance = _drawn_moments(corrected, se, share)
        noise = float((share * (1 - share)) @ se**2)
        spread = np.sqrt(np.maximum(variance - noise, 0.0)) / centre
        drawn |= {_weighted_cv: spread, _cv: spread * np.sqrt(len(x) / (len(x) - 1))}
    if others:
        most = max(_DRAWN_CELLS // len(x), _FEWEST_DRAWS)
        simulated = _correct_spread(corrected + _draws(len(x))[0][:most] * se, se**2, share)
        drawn |= {index: index(simulated, share) for index in others}
    return [(float(index(corrected, share)), drawn[index]) for index in indices]


def _drawn_moments(means: Floats, se: Floats, share: Floats) -> tuple[Floats, Floats]:
    """Return mean and variance (weights `share`) of every draw means + SE·z, from sums of products."""
    z, squared = _draws(len(means))
    centre = float(means @ share)
    away = means - centre
    shift, along = (z @ np.stack([share * se, share * se * away], axis=1)).T
    variance = float(share @ away**2) + 2 * along + squared @ (share * se**2) - shift**2
    return centre + shift, variance


def corrected_cv(means: ArrayLike, std_errors: ArrayLike, weights: ArrayLike, *, conf_level: float = 0.95) -> CorrectedCV:
    """Return the weighted CV of unit means without the part that is sampling noise.

    The variance of the means loses Σp_s(1 − p_s)·SE_s²; the interval is a parametric bootstrap from means whose spread
    has been corrected the same way (percentiles of 1,000 seeded draws, corrected inside).

    Parameters
    ----------
    means, std_errors, weights
        One entry per unit.
    conf_level
        Two-sided level.
    """
    x, se, p = _sorted_units(means, std_errors, weights)
    ((estimate, drawn),) = _bootstrap(x, se, p / p.sum(), [_weighted_cv])
    low, high = np.quantile(drawn, [(1 - conf_level) / 2, (1 + conf_level) / 2])
    return CorrectedCV(estimate, float(drawn.std(ddof=1)), float(low), float(high))


def measure_variation(
    means: ArrayLike, std_errors: ArrayLike | None, weights: ArrayLike, *, conf_level: float = 0.95
) -> list[IndexValue]:
    """Return every index of `VARIATION_INDICES` of unit means, corrected for sampling noise, and as it stands (``_raw``).

    Parameters
    ----------
    means, std_errors, weights
        One entry per unit, at least two; without standard errors the values are counts and not samples (``census``):
        the plain ids hold the values as they stand, without interval.
    conf_level
        Two-sided level.

    Notes
    -----
    An index f of noisy means is too large. Corrected value = f(m), m_s = X + (x̄_s − X)·√(v_c/v) with v the variance of the
    means and v_c = v − Σp_s(1 − p_s)·SE_s² (not below 0), p = shares of pupils (1/S for indices that do not weight). Interval:
    percentiles of 1,000 seeded draws m + SE·z, corrected inside (Gini, Theil and ranges of more than 200 units: 200,000/S
    draws, at least 200).
    """
    if std_errors is None:
        x, p = np.asarray(means, dtype=np.float64), np.asarray(weights, dtype=np.float64)
        se = np.zeros_like(x)
    else:
        x, se, p = _sorted_units(means, std_errors, weights)
    if (x < 0).any() or not x.sum() > 0:
        names = [name + ending for ending in (("",) if std_errors is None else ("", "_raw")) for name in VARIATION_INDICES]
        return [IndexValue(name, None, reason="not_ratio_scale") for name in names]
    shares = {True: p / p.sum(), False: np.full(len(p), 1 / len(p))}
    raw = {name: float(index(x, shares[weighs])) for name, (index, weighs) in VARIATION_INDICES.items()}
    if std_errors is None:
        return [_plain(name, value, "census", "census") for name, value in raw.items()]
    found: dict[str, IndexValue] = {}
    for weighs, share in shares.items():
        names = [name for name, (_, by_pupils) in VARIATION_INDICES.items() if by_pupils == weighs]
        results = _bootstrap(x, se, share, [VARIATION_INDICES[name][0] for name in names])
        found |= {name: _with_interval(name, *result, conf_level) for name, result in zip(names, results, strict=True)}
    plain = [_plain(f"{name}_raw", value, "raw", "inflated_by_chance") for name, value in raw.items()]
    return [found[name] for name in VARIATION_INDICES] + plain


def _plain(name: str, value: float, method: str, reason: str) -> IndexValue:
    if not np.isfinite(value):
        return IndexValue(name, None, reason="zero_minimum")
    return IndexValue(name, value, method=method, reason=reason)


def _with_interval(name: str, value: float, drawn: Floats, conf_level: float) -> IndexValue:
    if not np.isfinite(value):
        return IndexValue(name, None, reason="zero_minimum")
    if not np.isfinite(drawn).all():
        return IndexValue(name, value, method="parametric_bootstrap", reason="zero_minimum")
    low, high = np.quantile(drawn, [(1 - conf_level) / 2, (1 + conf_level) / 2])
    error = float(drawn.std(ddof=1))
    return IndexValue(name, value, error, float(low), float(high), method="parametric_bootstrap")
