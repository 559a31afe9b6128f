"""The course of gaps over the periods: a line where there are four, the change from the first to the last where fewer."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl

from eduq.estimates.comparison.pair_results import COURSE
from eduq.estimates.declines.multiplicity import adjust_bh
from eduq.estimates.declines.periods import number_periods
from eduq.estimates.equity.course import LEAST_PERIODS, fit_course
from eduq.estimates.intervals import normal_quantile

__all__ = ["follow_gaps"]

_Year = tuple[Any, float, float]
"""A period with its gap and standard error."""


def follow_gaps(
    gaps: pl.DataFrame, keys: list[str], period: str | None, *, var_shock: float, level: float, both: bool
) -> pl.DataFrame:
    """Return the course of every pair or member: keys, unit, partner, then `COURSE`.

    Parameters
    ----------
    gaps
        keys, unit, partner, the period and gap, std_error.
    keys
        Family and group columns.
    period
        Column of periods, or None: no course.
    var_shock
        ω² of a cohort, added for each unit of a gap to each end of a difference.
    level
        Level of the intervals.
    both
        The gap is of two units, else of one and the mean of its group.
    """
    schema = {name: gaps.schema[name] for name in (*keys, "unit", "partner")}
    schema |= {
        name: gaps.schema[period] if kind is None and period is not None else kind or pl.String() for name, kind in COURSE.items()
    }
    if period is None:
        return pl.DataFrame(schema=schema)
    distinct = gaps[period].unique().sort().to_list()
    times = dict(zip(distinct, number_periods(distinct)[0].tolist(), strict=True))
    lines = []
    paired = (gaps.filter(pl.col("partner").is_not_null()) if both else gaps).sort(period)
    yearly: dict[tuple[Any, ...], list[_Year]] = {}
    for *key, when, gap, error in paired.select(*keys, "unit", "partner", period, "gap", "std_error").iter_rows():
        years = yearly.setdefault(tuple(key), [])
        if gap is not None:
            years.append((when, gap, error))
    for of_gap, known in yearly.items():
        line: dict[str, Any] = dict(zip(schema, of_gap, strict=False)) | {"periods": len(known), "conf_level": level}
        lines.append(line | _change(known, times, var_shock * (2 if both else 1), level))
    rows = [{name: line.get(name) for name in schema} for line in lines]
    found = pl.DataFrame(rows, schema=schema, orient="row").sort([*keys, "unit", "partner"])
    p = found["p_value"].fill_null(math.nan).to_numpy()
    q = pl.Series("q_value", adjust_bh(p), dtype=pl.Float64).fill_nan(None)
    return found.with_columns(q, pl.lit(int((~np.isnan(p)).sum()), pl.Int64).alias("family_size"))


def _change(known: list[_Year], times: dict[Any, float], shock: float, level: float) -> dict[str, Any]:
    from scipy.special import ndtr

    if not known:
        return {"reason": "no_gap"}
    gap, error = (np.array([year[place] for year in known]) for place in (1, 2))
    ends = {"first": known[0][0], "last": known[-1][0], "gap_first": float(gap[0]), "gap_last": float(gap[-1])}
    if len(known) == 1:
        return ends | {"reason": "one_period"}
    at = np.array([times[year[0]] for year in known])
    if len(known) >= LEAST_PERIODS:
        course = fit_course(at, gap, error, conf_level=level)
        return ends | {
            "change": "slope",
            "estimate": course.slope,
            "std_error": course.std_error,
            "df": float(course.df),
            "ci_lower": course.ci_lower,
            "ci_upper": course.ci_upper,
            "p_value": course.p_value,
            "extra_variance": course.extra_variance,
            "method": "paule_mandel_t",
        }
    apart = float(gap[-1] - gap[0])
    se = math.sqrt(float(error[0] ** 2 + error[-1] ** 2) + 2 * shock)
    half = normal_quantile(level) * se
    numbers = {"estimate": apart, "std_error": se, "ci_lower": apart - half, "ci_upper": apart + half}
    return ends | numbers | {"change": "difference", "p_value": 2 * float(ndtr(-abs(apart) / se)), "method": "normal"}
