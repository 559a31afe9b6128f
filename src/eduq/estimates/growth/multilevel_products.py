"""Predictors of a multilevel model and their cross-products by unit: all that the fit needs of the pupils."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from eduq.errors import DataFileError, NotAssessableError, UsageError
from eduq.estimates.growth.inputs import GrowthRows, number_labels

__all__ = ["INTERCEPT", "Products", "collect_products"]

Floats = NDArray[np.float64]

INTERCEPT = "(Intercept)"
COLLINEAR = 1e-10
"""A predictor of which less than this share is left beside the ones before it follows from them."""
MOST_VALUES = 100
"""A text column with more values than this is an id and not a covariate."""
GRID = 100
"""Scores in steps of 1/100 are summed as integers: exact, whatever the order of the rows."""


@dataclass(frozen=True)
class Products:
    """Cross-products of [X y], each column less its centre and divided by its scale; the intercept is the first column.

    Attributes
    ----------
    names
        Predictors kept, p of them.
    dropped
        Predictors that follow from others.
    centres, scales
        Of the columns of [X y] (p + 1).
    all
        (p + 1, p + 1) over all pupils.
    groups
        (C, q, p + 1): Z'[X y] of each group; groups are the units, or the classes where there are any.
    sizes
        (C,) pupils of each group.
    unit_of
        (C,) the unit of each group.
    z_at
        Columns of X that are random, the intercept first.
    units, classes
        Labels; classes in the order of the groups, None without.
    own
        (C, p + 1, p + 1) cross-products within each group; only where a bootstrap needs them.
    """

    names: tuple[str, ...]
    dropped: tuple[str, ...]
    centres: Floats
    scales: Floats
    all: Floats
    groups: Floats
    sizes: Floats
    unit_of: NDArray[np.int64]
    z_at: tuple[int, ...]
    units: pl.Series
    classes: pl.Series | None
    own: Floats | None

    @property
    def n(self) -> int:
        """Number of pupils."""
        return int(self.sizes.sum())

    @property
    def p(self) -> int:
        """Number of fixed effects."""
        return len(self.names)


def collect_products(
    rows: GrowthRows, *, covariates: Sequence[str], random_slopes: Sequence[str], class_unit: str | None, own: bool
) -> Products:
    """Return the cross-products of the rows.

    Raises
    ------
    UsageError
        ``growth_slope``, ``growth_slope_dropped``, ``growth_many_values``.
    DataFileError
        ``growth_value``: a covariate that is neither a number nor text.
    NotAssessableError
        ``growth_too_few_pupils``, ``growth_no_spread``, ``growth_classes``.
    """
    named = _predictors(rows, covariates)
    for name in random_slopes:
        if name not in named:
            raise UsageError("growth_slope", name=name)
    columns, centres, steps = [np.ones(rows.n)], [0.0], [1.0]
    for values in [*named.values(), rows.y]:
        column, centre, step = _centre(values)
        columns.append(column)
        centres.append(centre)
        steps.append(step)
    table = np.array(columns)
    whole = table @ table.T
    scales = np.sqrt(np.diag(whole) / rows.n)
    scales[0] = 1.0
    if scales[-1] * steps[-1] <= 1e-12 * abs(centres[-1]):
        raise NotAssessableError("growth_no_spread")
    kept = _independent(whole, scales)
    names = (INTERCEPT, *named)
    dropped = tuple(names[k] for k in range(len(names)) if k not in kept)
    for name in random_slopes:
        if name in dropped:
            raise UsageError("growth_slope_dropped", name=name)
    names = tuple(names[k] for k in kept)
    if rows.n <= len(names):
        raise NotAssessableError("growth_too_few_pupils", n=rows.n, p=len(names))
    at = [*kept, len(scales) - 1]
    z_at = (0, *(names.index(name) for name in random_slopes))
    group_of, unit_of, classes = _groups(rows, class_unit)
    groups = len(unit_of)
    scaled = scales[at]
    sizes: Floats = np.bincount(group_of, minlength=groups).astype(np.float64)
    by_group = _sum_by(group_of, sizes, table, [at[k] for k in z_at], at) / scaled / scaled[list(z_at), None]
    return Products(
        names,
        dropped,
        np.asarray(centres)[at],
        scaled * np.asarray(steps)[at],
        whole[np.ix_(at, at)] / scaled / scaled[:, None],
        by_group,
        sizes,
        unit_of,
        z_at,
        rows.units,
        classes,
        _sum_by(group_of, sizes, table, at, at) / scaled / scaled[:, None] if own else None,
    )


def _predictors(rows: GrowthRows, covariates: Sequence[str]) -> dict[str, Floats]:
    """Return the priors and covariates as columns; text makes one column for each value but the first."""
    named = {name: rows.x[:, k] for k, name in enumerate(rows.prior)}
    for name in covariates:
        given = rows.frame[name].gather(rows.at)
        if given.dtype.is_numeric() or given.dtype == pl.Boolean:
            values = given.cast(pl.Float64).to_numpy()
            if not np.isfinite(values).all():
                raise DataFileError("growth_value", column=name)
            named[name] = values
            continue
        if given.dtype not in (pl.String, pl.Categorical, pl.Enum):
            raise DataFileError("growth_value", column=name)
        labels, place = number_labels(given.cast(pl.String))
        if len(labels) > MOST_VALUES:
            raise UsageError("growth_many_values", column=name, n=len(labels), most=MOST_VALUES)
        for k, label in enumerate(labels.to_list()[1:], start=1):
            named[f"{name}={label}"] = (place == k).astype(np.float64)
    return named


def _centre(values: Floats) -> tuple[Floats, float, float]:
    """Return a column less its mean, that mean, and the step of the column; scores in steps of 1/100 as whole hundredths.

    Whole numbers add up exactly below 2^53, so the products do not depend on the order of the rows.
    """
    whole = np.rint(values * GRID)
    if max(whole.max(), -whole.min()) < 2**40 and np.array_equal(whole / GRID, values):
        middle = np.rint(whole.sum() / len(whole))
        whole -= middle
        return whole, float(middle) / GRID, 1 / GRID
    middle = values.mean()
    return values - middle, float(middle), 1.0


def _independent(whole: Floats, scales: Floats) -> list[int]:
    """Return the places of the predictors that do not follow from the ones before them (Cholesky, column by column)."""
    size = len(scales) - 1
    safe = np.where(scales[:size] > 0, scales[:size], 1.0)
    left = whole[:size, :size] / safe / safe[:, None]
    full = np.diag(left).copy()
    kept = []
    for k in range(size):
        if full[k] <= 0 or left[k, k] <= COLLINEAR * full[k]:
            continue
        kept.append(k)
        left = left - np.outer(left[:, k], left[k]) / left[k, k]
    return kept


def _groups(rows: GrowthRows, class_unit: str | None) -> tuple[NDArray[np.int64], NDArray[np.int64], pl.Series | None]:
    """Return the group of each pupil, the unit of each group, and the labels of the groups that are classes."""
    if class_unit is None:
        return rows.unit_of, np.arange(len(rows.units)), None
    labels, place = number_labels(rows.frame[class_unit].gather(rows.at))
    pair = rows.unit_of * len(labels) + place
    distinct, group_of = np.unique(pair, return_inverse=True)
    if len(distinct) in (len(rows.units), rows.n):
        raise NotAssessableError("growth_classes", classes=len(distinct), units=len(rows.units))
    return group_of, distinct // len(labels), labels.gather(distinct % len(labels))


def _sum_by(group_of: NDArray[np.int64], sizes: Floats, table: Floats, left_at: Sequence[int], right_at: Sequence[int]) -> Floats:
    """Return (groups, left, right) sums of products of the rows of a table, the first of which is ones."""
    found = np.empty((len(sizes), len(left_at), len(right_at)))
    known = {(0, 0): sizes}
    for a, k in enumerate(left_at):
        for b, m in enumerate(right_at):
            pair = (min(k, m), max(k, m))
            if pair not in known:
                weights = table[pair[1]] if pair[0] == 0 else table[k] * table[m]
                known[pair] = np.asarray(np.bincount(group_of, weights=weights, minlength=len(sizes)), dtype=np.float64)
            found[:, a, b] = known[pair]
    return found
