"""The one rule of selection, on arrays: the candidates of a county and those of simulated worlds are found by the same lines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eduq.estimates.awards.schemes import AwardMeasure, AwardScheme
from eduq.estimates.intervals import normal_quantile
from eduq.estimates.ranks import RANK_DECIMALS, Shrunken, shrink

__all__ = ["Contrasts", "Selection", "contrast_series", "select_units"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
LEAST = 5
"""Fewer units with values are not shrunken and not set beside each other."""


@dataclass(frozen=True)
class Selection:
    """What a scheme makes of units: arrays (..., units); measures stand in the order of the scheme.

    Attributes
    ----------
    chosen, eligible
        Candidates (in the places and with the evidence asked for; other places stay empty), and units with that evidence.
    index
        Weighted mean of the measures on the scale of the units' spread; nan where a unit has no values.
    shrunken, shrunken_se
        (measures, ..., units).
    tied
        At the last place with others.
    """

    chosen: Bools
    eligible: Bools
    index: Floats
    shrunken: Floats
    shrunken_se: Floats
    tied: Bools


@dataclass(frozen=True)
class Contrasts:
    """Level and progress as weighted sums of a unit's years: weights (units, years), 0 where there is no value."""

    weights: Floats
    usable: Bools

    def of(self, y: Floats) -> Floats:
        """Return the values of (..., units, years); nan where not usable."""
        return np.where(self.usable, (np.nan_to_num(y) * self.weights).sum(axis=-1), np.nan)

    def error(self, variance: Floats) -> Floats:
        """Return the standard errors, years being independent with variances (units, years)."""
        found = np.sqrt((np.nan_to_num(variance) * self.weights**2).sum(axis=-1))
        return np.where(self.usable, found, np.nan)


def contrast_series(known: Bools, measure: AwardMeasure) -> Contrasts:
    """Return the weights that make level or progress of the years a unit has.

    Level over all years is their mean, progress their least-squares slope (at least three years); of the last year alone
    the newest value, and its difference from the year before. Mean and slope of one series have independent errors where
    years weigh alike.

    Parameters
    ----------
    known
        (units, years); the newest year must be there.
    """
    units, years = known.shape
    newest = known[:, -1]
    weights = np.zeros((units, years))
    if measure.years == "last":
        weights[:, -1] = 1.0
        if measure.kind == "level":
            return Contrasts(weights, newest)
        if years < 2:
            return Contrasts(weights, np.zeros(units, dtype=bool))
        weights[:, -2] = -1.0
        return Contrasts(weights, newest & known[:, -2])
    counts = known.sum(axis=1)
    if measure.kind == "level":
        return Contrasts(known / np.maximum(counts, 1)[:, None], newest)
    times = np.arange(years, dtype=np.float64)
    centre = (known * times).sum(axis=1) / np.maximum(counts, 1)
    away = known * (times - centre[:, None])
    squares = (away**2).sum(axis=1)
    return Contrasts(away / np.where(squares > 0, squares, 1.0)[:, None], newest & (counts >= 3))


def _evident(measure: AwardMeasure, level: float, raw: Floats, error: Floats, found: Shrunken) -> Bools:
    """Return where the evidence a measure asks for is there; against the mean of the peers, so that equal units show none."""
    from scipy.special import ndtri

    if measure.evidence == "none":
        return np.ones(raw.shape, dtype=bool)
    middle = found.mean[..., None]
    if measure.evidence == "lower_bound":
        return np.asarray(raw - middle - normal_quantile(level) * error > measure.minimum)
    bound = float(ndtri(measure.probability))
    return np.asarray(found.estimate - middle - bound * np.sqrt(found.reliability) * error > measure.minimum)


def select_units(scheme: AwardScheme, values: Floats, errors: Floats, n: Floats, groups: NDArray[np.int64]) -> Selection:
    """Apply a scheme.

    Parameters
    ----------
    scheme
        Measures, evidence and places.
    values, errors
        (measures, ..., units), nan where there is no value; worlds along the middle axes.
    n, groups
        (units,): candidates, and the number of the peer group.
    """
    shape = values.shape[1:]
    able = ~np.isnan(values).any(axis=0) & ~np.isnan(errors).any(axis=0) & (n >= scheme.min_n)
    chosen, tied = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    eligible = np.zeros(shape, dtype=bool)
    index = np.full(shape, np.nan)
    shrunken, shrunken_se = np.full(values.shape, np.nan), np.full(values.shape, np.nan)
    weights = np.array([item.weight for item in scheme.measures])
    weights = weights / weights.sum()
    flat = able.reshape(-1, shape[-1])[0]  # who has values is the same in every world
    for group in np.unique(groups):
        inside = np.flatnonzero(flat & (groups == group))
        if len(inside) < LEAST:
            continue
        evident = np.ones((*shape[:-1], len(inside)), dtype=bool)
        total = np.zeros(evident.shape)
        for place, measure in enumerate(scheme.measures):
            x, error = values[place][..., inside], np.broadcast_to(errors[place][..., inside], evident.shape)
            found = shrink(x, error)
            shrunken[place][..., inside], shrunken_se[place][..., inside] = found.estimate, found.std_error
            evident &= _evident(measure, scheme.level, x, error, found)
            used = found.estimate if scheme.values == "shrunken" else x
            spread = used.std(axis=-1, keepdims=True)
            total += weights[place] * (used - used.mean(axis=-1, keepdims=True)) / np.where(spread > 1e-12, spread, 1.0)
        eligible[..., inside] = evident
        index[..., inside] = total
        picked, alike = _top(total, scheme.places_in(len(inside)))  # a place without evidence stays empty
        chosen[..., inside], tied[..., inside] = picked & evident, alike & evident
    return Selection(chosen, eligible, index, shrunken, shrunken_se, tied)


def _top(index: Floats, places: int) -> tuple[Bools, Bools]:
    """Return who is among the first places, all who tie for the last of them included, and who ties there."""
    shown = np.round(index, RANK_DECIMALS)
    places = min(places, shown.shape[-1])
    ordered = -np.sort(-shown, axis=-1)
    last = ordered[..., places - 1 : places]
    picked = (shown >= last) & np.isfinite(shown)
    at_last = picked & (shown == last)
    crowded = picked.sum(axis=-1, keepdims=True) > places
    return picked, at_last & crowded
