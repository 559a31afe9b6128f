"""Value added by prior-score bands: each pupil against the mean of all pupils who came with a like score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from eduq.errors import UsageError
from eduq.estimates.growth.coverage import (
    add_columns,
    correlation,
    count_coverage,
    only_prior,
    order_within,
    refuse_no_spread,
    refuse_unit_name,
    reliabilities,
    scatter,
    unit_means,
)
from eduq.estimates.growth.inputs import GrowthRows
from eduq.estimates.growth.results import GrowthResult
from eduq.estimates.intervals import normal_quantile

__all__ = ["cut_bands", "fit_bands"]

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

LEAST = 30
"""Pupils of a band."""
LARGEST_SHARE = 0.5
"""Largest share of a band that one unit may hold: its own mean is then half of what it is held against."""


@dataclass(frozen=True)
class _Bands:
    """Counts and moments: n_sb (units, bands), and per band n, mean, variance of the outcome."""

    counts: Places
    n: Places
    mean: Floats
    variance: Floats


def cut_bands(prior: Floats, unit_of: Places, n_bands: int) -> Places:
    """Return the band of each row, 0 = lowest: equal counts, ties together, merged until n ≥ 30 and no unit holds over half.

    Parameters
    ----------
    prior
        Prior scores, shape (rows,).
    unit_of
        Place of each row's unit.
    n_bands
        Bands wanted; fewer where ties or merging leave fewer.
    """
    _, place, times = np.unique(prior, return_inverse=True, return_counts=True)
    middle = (np.cumsum(times) - times / 2) / len(prior)
    first = np.minimum((middle * n_bands).astype(np.int64), n_bands - 1)
    band = np.unique(first, return_inverse=True)[1][place]
    counts = np.zeros((int(unit_of.max()) + 1, int(band.max()) + 1), dtype=np.int64)
    np.add.at(counts, (unit_of, band), 1)
    groups = [[at] for at in range(counts.shape[1])]
    while counts.shape[1] > 1:
        total = counts.sum(axis=0)
        poor = np.flatnonzero((total < LEAST) | (counts.max(axis=0) > LARGEST_SHARE * total))
        if not len(poor):
            break
        at = int(poor[0])
        beside = [near for near in (at - 1, at + 1) if 0 <= near < counts.shape[1]]
        low, high = sorted((at, min(beside, key=lambda near: int(total[near]))))
        counts[:, low] += counts[:, high]
        counts = np.delete(counts, high, axis=1)
        groups[low] += groups.pop(high)
    final = np.empty(sum(map(len, groups)), dtype=np.int64)
    for number, members in enumerate(groups):
        final[members] = number
    return np.asarray(final[band], dtype=np.int64)


def fit_bands(rows: GrowthRows, *, level: float, n_bands: int) -> GrowthResult:
    """Return the mean residual of each unit from the band means of all pupils.

    SE² = Σ_b n_sb s_b² (1 − n_sb/n_b)/n_s²: the unit is part of its bands.

    Parameters
    ----------
    rows
        Rows with outcome and one prior.
    level
        Level of the intervals (normal).
    n_bands
        Quantile bands of the prior before merging.

    Returns
    -------
    GrowthResult
        ``frame``: unit, n, estimate (outcome units), std_error, ci_lower, ci_upper, reliability, prior_mean, n_listed,
        match_rate, unmatched_prior_z, method, conf_level, reason (``unit_is_most_of_band``: no band without it can be made;
        ``no_spread``). ``candidates``: the caller's rows with prior_band, expected, residual. ``tables``: ``bands``
        (band, prior_low, prior_high, n, outcome_mean, outcome_sd, largest_share), ``coverage``, ``checks`` (corr_prior_units).

    Raises
    ------
    UsageError
        ``growth_one_prior``, ``growth_option`` (fewer than two bands), ``growth_name_taken``,
        ``growth_column_taken``.
    NotAssessableError
        ``growth_column_constant``.
    """
    prior = only_prior(rows, "bands")
    refuse_unit_name(rows, ())
    if n_bands < 2:
        raise UsageError("growth_option", option="n_bands")
    refuse_no_spread(rows)
    band = cut_bands(prior, rows.unit_of, n_bands)
    found = _moments(rows, band)
    residual = rows.y - found.mean[band]
    means = unit_means(rows.unit_of, residual, len(rows.units))
    share = found.counts / found.n
    with np.errstate(invalid="ignore"):
        std_error = np.sqrt((found.counts * found.variance * (1 - share)).sum(axis=1)) / means.n
    most = ((share > LARGEST_SHARE) & (found.counts > 0)).any(axis=1)
    flat = ~(std_error > 0)
    estimate = np.where(most, np.nan, means.mean)
    std_error = np.where(most | flat, np.nan, std_error)
    half = normal_quantile(level) * std_error
    intake = unit_means(rows.unit_of, prior, len(rows.units)).mean
    coverage = count_coverage(rows)
    frame = pl.DataFrame(
        {
            rows.unit: rows.units,
            "n": means.n,
            "estimate": estimate,
            "std_error": std_error,
            "ci_lower": estimate - half,
            "ci_upper": estimate + half,
            "reliability": reliabilities(estimate, std_error),
            "prior_mean": intake,
        },
        nan_to_null=True,
    ).join(coverage.drop("n"), on=rows.unit, how="left", maintain_order="left")
    reason = np.where(most, "unit_is_most_of_band", np.where(flat, "no_spread", "")).tolist()
    frame = frame.with_columns(
        pl.lit("bands").alias("method"),
        pl.lit(level).alias("conf_level"),
        pl.Series("reason", reason, dtype=pl.String).replace("", None),
    )
    columns = [
        scatter(rows, band + 1, "prior_band", pl.Int64),
        scatter(rows, found.mean[band], "expected", pl.Float64),
        scatter(rows, residual, "residual", pl.Float64),
    ]
    checks = pl.DataFrame({"corr_prior_units": [correlation(estimate, intake)]}, schema={"corr_prior_units": pl.Float64})
    return GrowthResult(
        frame=frame,
        settings={
            "method": "bands",
            "outcome": rows.outcome,
            "prior": list(rows.prior),
            "level": level,
            "n_bands": n_bands,
            "neutral": 0.0,
        },
        unit=rows.unit,
        left_out=rows.left_out,
        candidates=add_columns(rows, columns),
        tables={"bands": _describe_bands(prior, band, found), "coverage": coverage, "checks": checks},
    )


def _moments(rows: GrowthRows, band: Places) -> _Bands:
    counts = np.zeros((len(rows.units), int(band.max()) + 1), dtype=np.int64)
    np.add.at(counts, (rows.unit_of, band), 1)
    n = counts.sum(axis=0)
    order = order_within(band, rows.y)
    starts = np.searchsorted(band[order], np.arange(len(n)))
    overall = float(np.sort(rows.y).mean())
    centred = rows.y[order] - overall
    mean = np.add.reduceat(centred, starts) / n
    squares = np.add.reduceat((centred - np.repeat(mean, n)) ** 2, starts)
    return _Bands(counts, n, mean + overall, squares / np.maximum(n - 1, 1))


def _describe_bands(prior: Floats, band: Places, found: _Bands) -> pl.DataFrame:
    ends = (
        pl.DataFrame({"band": band, "prior": prior})
        .group_by("band")
        .agg(pl.col("prior").min().alias("prior_low"), pl.col("prior").max().alias("prior_high"))
    )
    return ends.sort("band").with_columns(
        pl.col("band") + 1,
        pl.Series("n", found.n),
        pl.Series("outcome_mean", found.mean),
        pl.Series("outcome_sd", np.sqrt(found.variance)),
        pl.Series("largest_share", found.counts.max(axis=0) / found.n),
    )
