"""Small units pooled over periods: the inverse-variance mean of their gaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from eduq.errors import UsageError
from eduq.estimates.comparison.inputs import Cell, Columns, choose_columns, read_cells
from eduq.estimates.frames import FrameLike, as_frame
from eduq.estimates.intervals import normal_quantile
from eduq.estimates.results import EstimateResult

__all__ = [
    "POOLED_PERIODS",
    "PooledPeriods",
    "check_pooling",
    "hide_small_units",
    "pool_gaps",
    "pool_periods",
    "pool_small_units",
]

Floats = NDArray[np.float64]
POOLED_PERIODS = 3
"""How many of the newest periods are pooled when nobody says."""
_NUMBERS = ("estimate", "std_error", "ci_lower", "ci_upper")


@dataclass(frozen=True, repr=False)
class PooledPeriods(EstimateResult):
    """Units with their periods pooled.

    Attributes
    ----------
    frame
        One row per family and unit, sorted: the family and unit columns, first, last (periods pooled), periods (how many), n
        (pupils in all of them, null where not given), estimate, std_error, ci_lower, ci_upper, conf_level, method (pooled;
        normal for a single period), reason (no_estimate, no_n, no_std_error: in none of the periods).
    settings
        What it depends on.
    """

    def summary(self) -> str:
        """Return one line: units, and how many have several periods."""
        several = int((self.frame["periods"] > 1).sum())
        return f"{self.frame.height} units, {several} pooled over several periods, {self.frame['estimate'].null_count()} without"


def pool_gaps(estimate: Floats, std_error: Floats, *, var_shock: float = 0.0) -> tuple[float, float]:
    """Return the inverse-variance mean of a unit's gaps over periods and its standard error.

    w_t = 1/(s_t² + ω²), estimate = Σwx/Σw, Var = Σw²(s_t² + ω²)/(Σw)² = 1/Σw.

    Parameters
    ----------
    estimate, std_error
        Float arrays (periods,), independent (each cohort once).
    var_shock
        ω², the variance of what moves a whole cohort; 0 speaks of these cohorts only.

    References
    ----------
    Hedges, L. V. and Vevea, J. L. (1998). Fixed- and random-effects models in meta-analysis. Psychol. Methods 3, 486-504.

    Examples
    --------
    >>> estimate, error = pool_gaps(np.array([0.2, 0.5]), np.array([0.1, 0.2]))
    >>> round(estimate, 6), round(error, 6)
    (0.26, 0.089443)
    """
    weight = 1.0 / (std_error**2 + var_shock)
    return float(weight @ estimate / weight.sum()), float(1.0 / np.sqrt(weight.sum()))


def pool_periods(
    frame: FrameLike,
    *,
    unit: str = "school_id",
    period: str = "period",
    estimate: str = "estimate",
    std_error: str | None = None,
    sd: str | None = None,
    n: str | None = None,
    family: Sequence[str] = (),
    last: int = POOLED_PERIODS,
    var_shock: float = 0.0,
    centre: bool = False,
    level: float = 0.95,
) -> PooledPeriods:
    """Pool the gaps of units over the newest periods, for units too small to be judged by one.

    Parameters
    ----------
    frame
        One row per unit and period (and family). Estimates are gaps on one scale (standardised), of different pupils every
        period; raw means of different papers cannot be pooled, nor can rates.
    unit, period, estimate, std_error, sd, n
        Columns, as in `compare_units`.
    family
        Columns that make separate series (``["year_group", "subject"]``).
    last
        How many of the newest periods of the family count; one that a unit misses is not made up by an older one.
    var_shock
        ω² of `pool_gaps`: as `detect_declines` estimates it (``.model.var_shock``).
    centre
        Estimates are levels: take the period's mean (of all pupils where n is known) out first.
    level
        Level of the intervals.

    Returns
    -------
    PooledPeriods

    Raises
    ------
    UsageError, DataFileError, NotAssessableError
        As `compare_units`; ``compare_pool_option``: last below 1, a negative or infinite var_shock.

    Examples
    --------
    >>> years = pl.DataFrame({
    ...     "school_id": ["A", "A"], "period": ["2023", "2024"], "estimate": [0.2, 0.5], "std_error": [0.1, 0.2], "n": [8, 6],
    ... })
    >>> pool_periods(years).frame.select("school_id", "periods", "n", "estimate", "method").rows()
    [('A', 2, 14, 0.26, 'pooled')]
    """
    given = as_frame(frame, error="compare_source")
    family = (family,) if isinstance(family, str) else tuple(family)
    check_pooling(last, var_shock)
    if not 0.5 < level < 1:
        raise UsageError("compare_option")
    columns = choose_columns(given, Columns(unit, estimate, std_error, sd, n, (*family, period), None, False))
    cells = _newest(read_cells(given, columns), last)
    pooled = _pool(cells, var_shock, centre=centre)
    schema = {name: given.schema[name] for name in (*family, unit)} | {
        "first": given.schema[period],
        "last": given.schema[period],
    }
    rows = [(*key, *line.values()) for key, line in sorted(pooled.items(), key=lambda item: item[0])]
    schema |= {
        "periods": pl.Int64(),
        "n": pl.Float64(),
        "estimate": pl.Float64(),
        "std_error": pl.Float64(),
        "reason": pl.String(),
    }
    found = pl.DataFrame(rows, schema=schema, orient="row")
    half = normal_quantile(level) * pl.col("std_error")
    found = found.with_columns(
        pl.col("n").cast(pl.Int64) if columns.n is not None else pl.lit(None, pl.Int64).alias("n"),
        (pl.col("estimate") - half).alias("ci_lower"),
        (pl.col("estimate") + half).alias("ci_upper"),
        pl.lit(level).alias("conf_level"),
        pl.when(pl.col("periods") > 1).then(pl.lit("pooled")).otherwise(pl.lit("normal")).alias("method"),
    )
    order = [*family, unit, "first", "last", "periods", "n", *_NUMBERS, "conf_level", "method", "reason"]
    settings: dict[str, Any] = {
        "unit": unit, "period": period, "estimate": estimate, "std_error": columns.std_error, "sd": columns.sd, "n": columns.n,
        "family": list(family), "last": last, "var_shock": var_shock, "centre": centre, "level": level,
    }  # fmt: skip
    return PooledPeriods(frame=found.select(order), settings=settings)


def check_pooling(last: int, var_shock: float) -> None:
    """Stop at a number of periods or a variance that means nothing.

    Raises
    ------
    UsageError
        ``compare_pool_option``.
    """
    if last < 1 or not (0 <= var_shock < np.inf):
        raise UsageError("compare_pool_option")


def _newest(cells: list[Cell], last: int) -> list[Cell]:
    """Return the cells of the newest periods of each family; the period is the last value of a key."""
    periods: dict[tuple[Any, ...], list[Any]] = {}
    for cell in cells:
        periods.setdefault(cell.key[:-1], []).append(cell.key[-1])
    return [cell for cell in cells if cell.key[-1] in sorted(periods[cell.key[:-1]])[-last:]]


def _group_mean(cell: Cell) -> float:
    used = np.array([reason is None for reason in cell.reason])
    return float(cell.weight[used] @ cell.estimate[used] / cell.weight[used].sum()) if used.any() else 0.0


def _pool(cells: list[Cell], var_shock: float, *, centre: bool) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Return first, last, periods, n, estimate, std_error and reason by family and unit."""
    lines: dict[tuple[Any, ...], list[tuple[Any, float, float, float]]] = {}
    missing: dict[tuple[Any, ...], str] = {}
    for cell in sorted(cells, key=lambda item: item.key):
        mean = _group_mean(cell) if centre else 0.0
        for place, (label, reason) in enumerate(zip(cell.units.to_list(), cell.reason, strict=True)):
            key = (*cell.key[:-1], label)
            if reason is None:
                values = (float(cell.estimate[place]) - mean, float(cell.std_error[place]), float(cell.n[place]))
                lines.setdefault(key, []).append((cell.key[-1], *values))
            else:
                missing[key] = reason
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for key, reason in missing.items():
        empty = dict.fromkeys(("first", "last"), None) | {"periods": 0} | dict.fromkeys(("n", "estimate", "std_error"), None)
        found[key] = empty | {"reason": reason}
    for key, years in lines.items():
        x, s = np.array([year[1] for year in years]), np.array([year[2] for year in years])
        estimate, error = pool_gaps(x, s, var_shock=var_shock)
        total = float(np.sum([year[3] for year in years]))
        known = {"n": None if np.isnan(total) else total, "estimate": estimate, "std_error": error, "reason": None}
        found[key] = {"first": years[0][0], "last": years[-1][0], "periods": len(years), **known}
    return found


def pool_small_units(cells: list[Cell], *, last: int, var_shock: float, min_n: int) -> list[Cell]:
    """Return the newest period of each family, its units below ``min_n`` with their pooled gap on top of the newest mean.

    Parameters
    ----------
    cells
        One per family and period, the period last in the key, numbers of pupils known.
    last, var_shock
        As in `pool_periods`.
    min_n
        Units with fewer pupils in the newest period are pooled; they keep their pupils of that period as weight in the mean.
    """
    window = _newest(cells, last)
    pooled = _pool(window, var_shock, centre=True)
    result = []
    for cell in _newest(cells, 1):
        x, s, n, periods = (np.array(values) for values in (cell.estimate, cell.std_error, cell.n, cell.periods))
        mean = _group_mean(cell)
        for place, label in enumerate(cell.units.to_list()):
            line = pooled[*cell.key[:-1], label]
            if cell.reason[place] is None and n[place] < min_n and line["periods"] > 1:
                x[place], s[place] = mean + line["estimate"], line["std_error"]
                n[place], periods[place] = line["n"], line["periods"]
        result.append(replace(cell, key=cell.key[:-1], estimate=x, std_error=s, n=n, periods=periods))
    return result


def hide_small_units(
    frame: pl.DataFrame,
    *,
    unit: str = "unit",
    period: str = "period",
    estimate: str = "estimate",
    n: str = "n",
    family: Sequence[str] = (),
    last: int = POOLED_PERIODS,
    least: int = 10,
) -> pl.DataFrame:
    """Blank the estimates of units that no pooling makes large enough to be shown.

    A unit below ``least`` in the newest period may be shown pooled only where its small periods of the window have ``least``
    pupils together: larger periods are published on their own and can be taken off the pooled value again.

    Parameters
    ----------
    frame, unit, period, estimate, n, family, last
        As in `pool_periods`.
    least
        Fewer pupils are not shown; give `compare_units` a ``min_n`` no smaller, so that who is not hidden is pooled.

    Examples
    --------
    >>> years = pl.DataFrame({
    ...     "unit": ["A", "A", "B", "B"], "period": [1, 2, 1, 2], "estimate": [0.1, 0.2, 0.3, 0.4], "n": [30, 6, 8, 7],
    ... })
    >>> hide_small_units(years)["estimate"].to_list()
    [None, None, 0.3, 0.4]
    """
    keys = [*family, unit]
    ranks = frame.select(*family, period).unique()
    place = pl.col(period).rank("dense", descending=True)
    ranks = ranks.with_columns((place.over(list(family)) if family else place).alias("_place"))
    window = frame.join(ranks, on=[*family, period], how="left", maintain_order="left").filter(pl.col("_place") <= last)
    small = pl.col(n) < least
    thin = window.group_by(keys).agg(
        (small & (pl.col("_place") == 1)).any().alias("_now"),
        pl.col(n).filter(small & pl.col(estimate).is_not_null()).sum().alias("_n"),
    )
    hidden = thin.filter(pl.col("_now"), pl.col("_n") < least).select(keys).with_columns(pl.lit(True).alias("_hidden"))
    marked = frame.join(hidden, on=keys, how="left", maintain_order="left")
    shown = pl.when(pl.col("_hidden").is_null()).then(pl.col(estimate)).alias(estimate)
    return marked.with_columns(shown).drop("_hidden")
