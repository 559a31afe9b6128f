"""Gains: the outcome less the prior score, as it stands, in SDs, or in percentile ranks."""

from __future__ import annotations

from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from eduq.estimates.growth.coverage import (
    UnitMeans,
    add_columns,
    correlation,
    count_coverage,
    only_prior,
    refuse_no_spread,
    refuse_unit_name,
    reliabilities,
    scatter,
    unit_means,
)
from eduq.estimates.growth.inputs import GrowthRows
from eduq.estimates.growth.results import GrowthResult

__all__ = ["fit_gains", "percentile_ranks"]

Floats = NDArray[np.float64]


def percentile_ranks(values: Floats) -> Floats:
    """Return 100·(number below + half the number equal)/N.

    Examples
    --------
    >>> percentile_ranks(np.array([3.0, 1.0, 3.0, 7.0])).tolist()
    [50.0, 12.5, 50.0, 87.5]
    """
    ordered = np.sort(values)
    below, up_to = np.searchsorted(ordered, values, "left"), np.searchsorted(ordered, values, "right")
    return np.asarray(50.0 * (below + up_to) / len(values))


def fit_gains(rows: GrowthRows, *, kind: Literal["gain", "z_gain", "rank_change"], level: float) -> GrowthResult:
    """Return mean gains of units with s/√n.

    ``gain`` is outcome less prior (both on one scale: the caller's claim), ``z_gain`` the same in SDs of all used rows,
    ``rank_change`` in percentile ranks. Gains fall as the prior rises by construction (regression to the mean): the frame of
    checks holds that correlation, and units of different intake must not be ordered by them.

    Parameters
    ----------
    rows
        Rows with outcome and one prior.
    kind
        Which gain.
    level
        Level of the intervals.

    Returns
    -------
    GrowthResult
        ``frame``: unit, n, estimate, std_error, ci_lower, ci_upper, reliability, df, prior_mean, n_listed, match_rate,
        unmatched_prior_z, method (``t``, ``t_pooled`` with the SD within all units, ``none``), conf_level, reason (no_spread).
        ``candidates``: the caller's rows with the gain. ``tables``: ``coverage`` per unit, ``checks`` (n, mean, sd of the gain;
        corr_prior, over pupils; corr_prior_units, of unit means with the prior's).

    Raises
    ------
    UsageError
        ``growth_one_prior``, ``growth_name_taken``, ``growth_column_taken``.
    NotAssessableError
        ``growth_column_constant``.
    """
    prior = only_prior(rows, kind)
    refuse_unit_name(rows, ("df",))
    refuse_no_spread(rows)
    if kind == "gain":
        gains = rows.y - prior
    elif kind == "z_gain":
        gains = _standardise(rows.y) - _standardise(prior)
    else:
        gains = percentile_ranks(rows.y) - percentile_ranks(prior)
    found = unit_means(rows.unit_of, gains, len(rows.units))
    intake = unit_means(rows.unit_of, prior, len(rows.units)).mean
    overall = float(np.sort(gains).mean()) if kind == "gain" else 0.0
    checks = pl.DataFrame(
        {
            "n": rows.n,
            "mean": float(np.sort(gains).mean()),
            "sd": float(gains.std(ddof=1)),
            "corr_prior": correlation(gains, prior),
            "corr_prior_units": correlation(found.mean, intake),
        },
        schema_overrides={"corr_prior": pl.Float64, "corr_prior_units": pl.Float64},
    )
    coverage = count_coverage(rows)
    settings = {"method": kind, "outcome": rows.outcome, "prior": list(rows.prior), "level": level, "neutral": overall}
    return GrowthResult(
        frame=_lay_out(rows, found, intake, coverage, level),
        settings=settings,
        unit=rows.unit,
        left_out=rows.left_out,
        candidates=add_columns(rows, [scatter(rows, gains, kind, pl.Float64)]),
        tables={"coverage": coverage, "checks": checks},
    )


def _standardise(values: Floats) -> Floats:
    ordered = np.sort(values)
    return np.asarray((values - ordered.mean()) / ordered.std())


def _lay_out(rows: GrowthRows, found: UnitMeans, intake: Floats, coverage: pl.DataFrame, level: float) -> pl.DataFrame:
    half = found.half_width(level)
    method = np.where(np.isnan(found.std_error), "none", np.where(found.pooled, "t_pooled", "t"))
    frame = pl.DataFrame(
        {
            rows.unit: rows.units,
            "n": found.n,
            "estimate": found.mean,
            "std_error": found.std_error,
            "ci_lower": found.mean - half,
            "ci_upper": found.mean + half,
            "reliability": reliabilities(found.mean, found.std_error),
            "df": found.df,
            "prior_mean": intake,
        },
        nan_to_null=True,
    )
    said = frame.join(coverage.drop("n"), on=rows.unit, how="left", maintain_order="left")
    return said.with_columns(
        pl.Series("method", method.tolist(), dtype=pl.String),
        pl.lit(level).alias("conf_level"),
        pl.when(pl.col("std_error").is_null()).then(pl.lit("no_spread")).alias("reason"),
    )
