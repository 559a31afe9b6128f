"""Student growth percentiles: where a pupil's score stands among pupils of the same prior scores, and medians of units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from eduq.errors import NotAssessableError, UsageError
from eduq.estimates.frames import FrameLike, as_frame
from eduq.estimates.growth.coverage import (
    add_columns,
    correlation,
    count_coverage,
    order_within,
    refuse_no_spread,
    refuse_unit_name,
    reliabilities,
    scatter,
    unit_means,
)
from eduq.estimates.growth.inputs import GrowthRows, read_rows
from eduq.estimates.growth.percentile_basis import PriorBasis, choose_basis, design_columns, independent_columns
from eduq.estimates.growth.percentile_process import QUANTILES, QuantileProcess, fit_process
from eduq.estimates.growth.percentile_units import median_errors, median_intervals
from eduq.estimates.growth.results import GrowthResult

__all__ = ["PercentileGrowth", "PercentileModel", "fit_percentiles"]

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

DECIMALS = 5
"""Fitted quantiles are compared with scores after rounding to so many decimals."""
EXACT = 1e-9
"""An objective per pupil below this share of the range of the outcome is no spread at all."""
LEAST_PER_COLUMN = 10
"""Pupils needed for each column of the design."""
CHUNK = 20_000


@dataclass(frozen=True)
class PercentileModel:
    """The quantile process of growth percentiles.

    Attributes
    ----------
    bases
        Knots and boundaries of each prior.
    columns
        Columns of the full design (intercept, then the splines of each prior but the first) that are used.
    n_dropped
        Columns left out because they follow from others (priors with few distinct scores).
    process
        Coefficients (quantiles, columns), objectives, and their distance from the bound of the dual problem.
    n, n_cells
        Pupils, and distinct combinations of priors and outcome.
    """

    bases: tuple[PriorBasis, ...]
    columns: Places
    n_dropped: int
    process: QuantileProcess
    n: int
    n_cells: int

    def fitted(self, priors: Floats) -> Floats:
        """Return the fitted quantiles (rows, 100) of prior scores (rows, priors), sorted within each row, 5 decimals."""
        design = design_columns(priors, self.bases)[:, self.columns]
        return np.asarray(np.round(np.sort(design @ self.process.coefficients.T, axis=1), DECIMALS))


@dataclass(frozen=True)
class PercentileGrowth(GrowthResult):
    """Growth percentiles of pupils and their medians per unit; see `GrowthResult`.

    Attributes
    ----------
    process
        The fitted quantiles.
    """

    process: PercentileModel | None = None

    def project(self, frame: FrameLike, *, percentiles: Sequence[int] = (10, 25, 50, 75, 90)) -> pl.DataFrame:
        """Return the scores that pupils with given priors would reach with given growth, had they the course of this cohort.

        Parameters
        ----------
        frame
            Rows of pupils with the prior columns of the fit.
        percentiles
            Growth percentiles, 1 to 99.

        Returns
        -------
        DataFrame
            The rows in their order with ``projected_10`` and so on: the mean of the two fitted quantiles beside the percentile.
            Null where a prior is blank. A prior outside the boundaries is taken at the boundary.

        Raises
        ------
        UsageError
            ``growth_column_missing``; ``growth_option``: a percentile outside 1 to 99; ``growth_column_taken``.
        """
        if self.process is None or not percentiles or any(not 1 <= at <= 99 for at in percentiles):
            raise UsageError("growth_option", option="percentiles")
        frame = as_frame(frame, error="growth_source")
        # a cohort ahead has no outcome yet, and its units do not matter
        marked = frame.with_columns(pl.lit("all").alias("_unit"), pl.lit(0.0).alias("_outcome"))
        rows = read_rows(marked, unit="_unit", outcome="_outcome", prior=self.settings["prior"])
        fitted = self.process.fitted(rows.x)
        columns = [
            scatter(rows, (fitted[:, at - 1] + fitted[:, at]) / 2, f"projected_{at}", pl.Float64)
            for at in dict.fromkeys(percentiles)
        ]
        return add_columns(rows, columns).drop("_unit", "_outcome")


def fit_percentiles(
    rows: GrowthRows,
    *,
    level: float,
    knots: Mapping[str, Sequence[float]] | None,
    boundaries: Mapping[str, Sequence[float]] | None,
    obtainable: Sequence[float] | None,
    min_n: int,
) -> PercentileGrowth:
    """Return growth percentiles of pupils and the median of each unit.

    100 regression quantiles (0.005 to 0.995) on cubic B-splines of the priors, fitted exactly. A pupil's growth percentile is
    the number of the fitted quantiles, sorted and rounded to 5 decimals, that lie strictly below the score; 0 becomes 1 and 100
    becomes 99. At the highest obtainable score those equal to it count too.

    Parameters
    ----------
    rows
        Rows with outcome and priors.
    level
        Level of the intervals.
    knots, boundaries
        By prior; by default the 20, 40, 60 and 80 % quantiles and 10 % beyond the range.
    obtainable
        Lowest and highest obtainable score of the outcome; None where not stated.
    min_n
        Units with fewer pupils have no numbers.

    Returns
    -------
    PercentileGrowth
        ``frame``: unit, n, estimate (median growth percentile), std_error (Maritz-Jarrett), ci_lower, ci_upper (order
        statistics), coverage (of that interval), reliability (of the mean), mean, mean_se, mean_lower, mean_upper, prior_mean
        (mean z of the priors), n_listed, match_rate, unmatched_prior_z, method, conf_level, reason (``n_below_min``).
        ``candidates``: the caller's rows with growth_percentile. ``tables``: ``coverage``, ``knots``, ``quantiles`` (quantile,
        objective, gap), ``checks`` (n, n_cells, n_columns, n_dropped, n_exchanges, n_by_program, corr_prior_units).

    Raises
    ------
    UsageError
        ``growth_knots`` (unknown prior, or boundaries that do not enclose its scores), ``growth_option``,
        ``growth_name_taken``, ``growth_column_taken``.
    NotAssessableError
        ``growth_column_constant``; ``growth_no_spread``: the priors tell the outcome exactly;
        ``growth_too_few_for_quantiles``: fewer than ten pupils for each column of the design.

    References
    ----------
    Betebenner, D. W. (2009). Norm- and criterion-referenced student growth. Educational Measurement: Issues and Practice 28(4),
    42-51. ·  Koenker, R. (2005). Quantile Regression. Cambridge.
    """
    if not rows.prior or min_n < 1:
        raise UsageError("growth_option", option="min_n" if rows.prior else "prior")
    refuse_unit_name(rows, ("coverage", "mean", "mean_se", "mean_lower", "mean_upper"))
    highest = _highest(rows, obtainable)
    refuse_no_spread(rows)
    bases = _bases(rows, knots or {}, boundaries or {})
    needed = LEAST_PER_COLUMN * (1 + sum(3 + len(basis.knots) for basis in bases))
    if rows.n < needed:
        raise NotAssessableError("growth_too_few_for_quantiles", n=rows.n, needed=needed)
    cells, members = _compress(rows)
    scores, weights = cells[:, -1], members.list.len().to_numpy().astype(np.float64)
    distinct, prior_of = _distinct_priors(cells[:, :-1])
    full = design_columns(distinct, bases)
    per_prior = np.asarray(np.bincount(prior_of, weights=weights), dtype=np.float64)
    columns = independent_columns(full, per_prior)
    process = fit_process(full[:, columns][prior_of], scores, weights)
    if process.objectives[len(QUANTILES) // 2] <= EXACT * rows.n * float(np.ptp(rows.y)):
        raise NotAssessableError("growth_no_spread")
    model = PercentileModel(bases, columns, full.shape[1] - len(columns), process, rows.n, len(cells))
    of_cells = _count_below(model, distinct, prior_of, scores, highest)
    percentile = np.empty(rows.n, dtype=np.int64)
    percentile[members.explode().to_numpy()] = np.repeat(of_cells, weights.astype(np.int64))
    coverage = count_coverage(rows)
    frame, link = _lay_out(rows, percentile, coverage, level, min_n)
    settings = {
        "method": "percentile",
        "outcome": rows.outcome,
        "prior": list(rows.prior),
        "level": level,
        "knots": {basis.name: list(basis.knots) for basis in bases},
        "boundaries": {basis.name: list(basis.boundaries) for basis in bases},
        "obtainable": None if obtainable is None else list(obtainable),
        "min_n": min_n,
        "neutral": 50.0,
    }
    return PercentileGrowth(
        frame=frame,
        settings=settings,
        unit=rows.unit,
        left_out=rows.left_out,
        candidates=add_columns(rows, [scatter(rows, percentile, "growth_percentile", pl.Int64)]),
        tables={"coverage": coverage, **_tables(model, link)},
        process=model,
    )


def _highest(rows: GrowthRows, obtainable: Sequence[float] | None) -> float | None:
    """Return the highest obtainable score."""
    if obtainable is None:
        return None
    if len(obtainable) != 2 or not obtainable[0] <= rows.y.min() <= rows.y.max() <= obtainable[1]:
        raise UsageError("growth_option", option="obtainable")
    return float(obtainable[1])


def _bases(
    rows: GrowthRows, knots: Mapping[str, Sequence[float]], boundaries: Mapping[str, Sequence[float]]
) -> tuple[PriorBasis, ...]:
    for name in (*knots, *boundaries):
        if name not in rows.prior:
            raise UsageError("growth_knots", prior=name)
    found = []
    for place, name in enumerate(rows.prior):
        values, ends, inner = rows.x[:, place], boundaries.get(name), knots.get(name)
        if ends is not None and (len(ends) != 2 or not ends[0] <= values.min() < values.max() <= ends[1]):
            raise UsageError("growth_knots", prior=name)
        basis = choose_basis(
            name,
            values,
            knots=None if inner is None else tuple(map(float, inner)),
            boundaries=None if ends is None else (float(ends[0]), float(ends[1])),
        )
        if inner is not None and len(basis.knots) != len(inner):
            raise UsageError("growth_knots", prior=name)
        found.append(basis)
    return tuple(found)


def _compress(rows: GrowthRows) -> tuple[Floats, pl.Series]:
    """Return the distinct combinations of priors and outcome, sorted, and which rows each holds."""
    names = [f"x{place}" for place in range(rows.x.shape[1])] + ["y"]
    # 0.0 and -0.0 are one score
    table = pl.DataFrame(np.column_stack([rows.x, rows.y]) + 0.0, schema=names)
    cells = table.with_row_index("row").group_by(names).agg("row").sort(names)
    return cells.select(names).to_numpy(), cells["row"]


def _distinct_priors(priors: Floats) -> tuple[Floats, Places]:
    """Return the distinct rows of sorted priors, and which of them each cell has."""
    new = np.ones(len(priors), dtype=np.bool_)
    new[1:] = (priors[1:] != priors[:-1]).any(axis=1)
    return priors[new], np.cumsum(new) - 1


def _count_below(model: PercentileModel, distinct: Floats, prior_of: Places, scores: Floats, highest: float | None) -> Places:
    """Return the growth percentile of each cell."""
    found = np.empty(len(scores), dtype=np.int64)
    for at in range(0, len(distinct), CHUNK):
        fitted = model.fitted(distinct[at : at + CHUNK])
        first, last = np.searchsorted(prior_of, [at, at + len(fitted)])
        for start in range(int(first), int(last), CHUNK):
            part = slice(start, min(start + CHUNK, int(last)))
            lines, score = fitted[prior_of[part] - at], scores[part, None]
            below = (lines < score).sum(axis=1)
            if highest is not None:
                below = np.where(scores[part] == highest, (lines <= score).sum(axis=1), below)
            found[part] = below
    return np.clip(found, 1, 99)


def _lay_out(
    rows: GrowthRows, percentile: Places, coverage: pl.DataFrame, level: float, min_n: int
) -> tuple[pl.DataFrame, float | None]:
    """Return the frame of units and the correlation of their medians with the mean of their priors."""
    n_units = len(rows.units)
    means = unit_means(rows.unit_of, percentile.astype(np.float64), n_units)
    order = order_within(rows.unit_of, percentile.astype(np.float64))
    starts = np.searchsorted(rows.unit_of[order], np.arange(n_units))
    sorted_values = percentile[order].astype(np.float64)
    median, low, high, covered = median_intervals(sorted_values, starts, means.n, level)
    intake = np.mean([unit_means(rows.unit_of, (x - np.sort(x).mean()) / x.std(), n_units).mean for x in rows.x.T], axis=0)
    half = means.half_width(level)
    enough = means.n >= min_n
    columns = {
        "estimate": median,
        "std_error": median_errors(sorted_values, starts, means.n),
        "ci_lower": low,
        "ci_upper": high,
        "coverage": covered,
        "reliability": reliabilities(np.where(enough, means.mean, np.nan), np.where(enough, means.std_error, np.nan)),
        "mean": means.mean,
        "mean_se": means.std_error,
        "mean_lower": np.maximum(means.mean - half, 1.0),
        "mean_upper": np.minimum(means.mean + half, 99.0),
        "prior_mean": intake,
    }
    shown = {name: np.where(enough, values, np.nan) for name, values in columns.items()}
    frame = pl.DataFrame({rows.unit: rows.units, "n": means.n, **shown}, nan_to_null=True)
    frame = frame.join(coverage.drop("n"), on=rows.unit, how="left", maintain_order="left").with_columns(
        pl.lit("order_statistics").alias("method"),
        pl.lit(level).alias("conf_level"),
        pl.when(pl.col("n") < min_n).then(pl.lit("n_below_min")).alias("reason"),
    )
    frame = frame.with_columns(pl.when(pl.col("reason").is_null()).then(pl.col("unmatched_prior_z")).alias("unmatched_prior_z"))
    return frame, correlation(shown["estimate"], shown["prior_mean"])


def _tables(model: PercentileModel, link: float | None) -> dict[str, pl.DataFrame]:
    """Return knots, quantiles and checks."""
    process = model.process
    knots = pl.DataFrame(
        [
            {"prior": basis.name, "knots": list(basis.knots), "lower": basis.boundaries[0], "upper": basis.boundaries[1]}
            for basis in model.bases
        ],
        schema={"prior": pl.String, "knots": pl.List(pl.Float64), "lower": pl.Float64, "upper": pl.Float64},
    )
    quantiles = pl.DataFrame({"quantile": QUANTILES, "objective": process.objectives, "gap": process.gaps})
    checks = pl.DataFrame(
        {
            "n": model.n,
            "n_cells": model.n_cells,
            "n_columns": len(model.columns),
            "n_dropped": model.n_dropped,
            "n_exchanges": process.n_exchanges,
            "n_by_program": process.n_by_program,
            "corr_prior_units": link,
        },
        schema_overrides={"corr_prior_units": pl.Float64},
    )
    return {"knots": knots, "quantiles": quantiles, "checks": checks}
