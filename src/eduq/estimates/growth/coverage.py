"""What the growth methods of pupils share: rows in a fixed order, who is missing, means of units with their errors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from eduq.errors import NotAssessableError, UsageError
from eduq.estimates.growth.inputs import GrowthRows
from eduq.estimates.intervals import student_quantile
from eduq.estimates.ranks import shrink

__all__ = [
    "UnitMeans",
    "add_columns",
    "correlation",
    "count_coverage",
    "only_prior",
    "order_within",
    "refuse_no_spread",
    "refuse_unit_name",
    "reliabilities",
    "scatter",
    "unit_means",
]

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

RESULT_COLUMNS = (
    *("n", "estimate", "std_error", "ci_lower", "ci_upper", "reliability", "prior_mean", "n_listed", "match_rate"),
    *("unmatched_prior_z", "method", "conf_level", "reason"),
)
"""Columns of every frame of units."""
_FEW_GROUPS = 1 << 16
_LEAST = 3
"""Fewer pupils have no spread to speak of."""
OWN_SD = 10
"""Units with fewer pupils take the SD pooled over all units."""


@dataclass(frozen=True)
class UnitMeans:
    """Means of a value per unit, arrays (units,): n, mean, std_error, degrees of freedom (nan where there is no error)."""

    n: Places
    mean: Floats
    std_error: Floats
    df: Floats
    pooled: NDArray[np.bool_]

    def half_width(self, level: float) -> Floats:
        """Return the half width of the t interval."""
        return np.asarray(student_quantile(level, np.nan_to_num(self.df)) * self.std_error)


def only_prior(rows: GrowthRows, method: str) -> Floats:
    """Return the one prior a method takes.

    Raises
    ------
    UsageError
        ``growth_one_prior``: none, or several.
    """
    if len(rows.prior) != 1:
        raise UsageError("growth_one_prior", method=method, n=len(rows.prior))
    return rows.x[:, 0]


def order_within(group_of: Places, values: Floats) -> Places:
    """Return the order of rows by group, and by value within a group; rows equal in both in any order.

    Parameters
    ----------
    group_of
        Number of each row's group, from 0.
    values
        One value per row.

    Examples
    --------
    >>> order_within(np.array([1, 0, 1, 0]), np.array([2.0, 9.0, 1.0, 8.0])).tolist()
    [3, 1, 2, 0]
    """
    if not len(values) or int(group_of.max()) >= _FEW_GROUPS:
        return np.asarray(np.lexsort((values, group_of)), dtype=np.int64)
    by_value = np.argsort(values)
    # small whole numbers are put in order by counting, several times as fast as by comparing
    return np.asarray(by_value[np.argsort(group_of[by_value].astype(np.uint16), kind="stable")], dtype=np.int64)


def unit_means(unit_of: Places, values: Floats, n_units: int) -> UnitMeans:
    """Return the mean of each unit with SE s/√n: its own SD, or the one pooled within units where n < 10 or all are equal.

    Sums run over sorted values, so the order of rows changes nothing.
    """
    order = order_within(unit_of, values)
    starts = np.searchsorted(unit_of[order], np.arange(n_units))
    n = np.bincount(unit_of, minlength=n_units)
    overall = float(np.sort(values).mean())
    centred = values[order] - overall
    mean = np.add.reduceat(centred, starts) / n
    squares = np.add.reduceat((centred - np.repeat(mean, n)) ** 2, starts)
    pool_df = float(n.sum() - n_units)
    pool = float(squares.sum()) / pool_df if pool_df >= 1 else np.nan
    own = squares / np.maximum(n - 1, 1)
    pooled = (n < OWN_SD) | (own <= 0)
    variance = np.where(pooled, pool, own)
    known = variance > 0
    return UnitMeans(
        n=n.astype(np.int64),
        mean=mean + overall,
        std_error=np.where(known, np.sqrt(np.where(known, variance, 0.0) / n), np.nan),
        df=np.where(known, np.where(pooled, pool_df, n - 1.0), np.nan),
        pooled=pooled,
    )


def reliabilities(estimate: Floats, std_error: Floats) -> Floats:
    """Return τ²/(τ² + s²) with the Paule-Mandel variance between units; nan where there is no error, or one unit alone."""
    found = np.full(len(estimate), np.nan)
    known = np.isfinite(estimate) & (std_error > 0)
    if int(known.sum()) >= 2:
        found[known] = shrink(estimate[known], std_error[known]).reliability
    return found


def count_coverage(rows: GrowthRows) -> pl.DataFrame:
    """Return who is missing, per unit: the unit column, n_listed, n, match_rate, unmatched_prior_z.

    ``match_rate`` is n / n_listed, pupils with outcome and priors among all rows of the unit. ``unmatched_prior_z`` is the mean
    of the first prior among those of the unit who have it but are not used, in SDs of the used rows.
    """
    prior = pl.col(rows.prior[0])
    if rows.frame.schema[rows.prior[0]] == pl.String:
        prior = prior.str.strip_chars()
    used = np.zeros(rows.frame.height, dtype=np.bool_)
    used[rows.at] = True
    listed = rows.frame.select(
        pl.col(rows.unit).alias("_unit"),
        prior.cast(pl.Float64, strict=False).fill_nan(None).alias("_prior"),
        pl.Series("_used", used),
    ).filter(pl.col("_unit").is_not_null())
    if listed.schema["_unit"] == pl.String:
        listed = listed.filter(pl.col("_unit").str.strip_chars() != "")
    middle, spread = float(np.sort(rows.x[:, 0]).mean()), float(rows.x[:, 0].std())
    unmatched = pl.col("_prior").filter(~pl.col("_used")).sort().mean()
    z = (unmatched - middle) / spread if spread > 0 else pl.lit(None, dtype=pl.Float64)
    counted = listed.group_by("_unit").agg(
        pl.len().cast(pl.Int64).alias("n_listed"), pl.col("_used").sum().cast(pl.Int64).alias("n"), z.alias("unmatched_prior_z")
    )
    return (
        counted.sort("_unit")
        .with_columns((pl.col("n") / pl.col("n_listed")).alias("match_rate"))
        .select(pl.col("_unit").alias(rows.unit), "n_listed", "n", "match_rate", "unmatched_prior_z")
    )


def correlation(first: Floats, second: Floats) -> float | None:
    """Return Pearson's correlation, None where a side does not vary or fewer than three pairs are known."""
    known = np.isfinite(first) & np.isfinite(second)
    if int(known.sum()) < 3 or np.ptp(first[known]) == 0 or np.ptp(second[known]) == 0:
        return None
    return float(np.corrcoef(first[known], second[known])[0, 1])


def scatter(rows: GrowthRows, values: NDArray[np.generic], name: str, dtype: type[pl.DataType]) -> pl.Series:
    """Return values of the used rows as a column of the caller's rows, null elsewhere."""
    known = pl.Series(name, values, dtype=dtype)
    if len(known) == rows.frame.height:
        return known
    place = np.full(rows.frame.height, -1, dtype=np.int64)
    place[rows.at] = np.arange(len(known))
    found = pl.Series(place)
    return known.gather(found.set(found < 0, None)).alias(name)


def add_columns(rows: GrowthRows, columns: list[pl.Series]) -> pl.DataFrame:
    """Return the caller's frame with columns beside its own.

    Raises
    ------
    UsageError
        ``growth_column_taken``: the frame has a column of that name.
    """
    for column in columns:
        if column.name in rows.frame.columns:
            raise UsageError("growth_column_taken", column=column.name)
    return rows.frame.with_columns(columns)


def refuse_unit_name(rows: GrowthRows, names: Iterable[str]) -> None:
    """Stop where the unit column has the name of a column of the result.

    Raises
    ------
    UsageError
        ``growth_name_taken``.
    """
    if rows.unit in {*RESULT_COLUMNS, *names}:
        raise UsageError("growth_name_taken", column=rows.unit)


def refuse_no_spread(rows: GrowthRows) -> None:
    """Stop where all outcomes or all scores of a prior are equal: there is nothing to compare.

    Raises
    ------
    NotAssessableError
        ``growth_too_few_pupils``, ``growth_column_constant``.
    """
    if len(rows.y) < _LEAST:
        raise NotAssessableError("growth_too_few_pupils", n=len(rows.y), p=_LEAST - 1)
    for name, values in ((rows.outcome, rows.y), *((name, rows.x[:, place]) for place, name in enumerate(rows.prior))):
        if np.ptp(values) == 0:
            raise NotAssessableError("growth_column_constant", column=name)
