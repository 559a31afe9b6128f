"""Pictures of a comparison: caterpillar and funnel."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from eduq.estimates.comparison.fits import ComparisonModel
from eduq.estimates.comparison.funnel import FUNNEL_LEVELS
from eduq.estimates.comparison.inputs import Columns

__all__ = ["draw_caterpillar", "draw_funnel", "draw_gap_courses"]

LABELLED = 60
"""More units than this have no label of their own."""
DARK, PALE, WARM = "#1f4e79", "#8a94a0", "#b5541c"


def draw_caterpillar(part: pl.DataFrame, model: ComparisonModel, columns: Columns) -> Any:
    """Return estimates with intervals in order, shrunken ones hollow, and the line they are compared with."""
    import lets_plot as lp

    unit = pl.col(columns.unit).cast(pl.String).alias("unit")
    drawn = part.select(unit, "estimate", "ci_lower", "ci_upper", "shrunken").sort("estimate", "unit")
    data = drawn.with_columns(pl.int_range(1, pl.len() + 1).alias("place")).to_dict(as_series=False)
    target = model.group_mean if model.reference is None else model.reference
    plot = (
        lp.ggplot(data, lp.aes(y="place"))
        + lp.geom_vline(xintercept=target, color=PALE, size=0.7)
        + lp.geom_segment(lp.aes(x="ci_lower", xend="ci_upper", yend="place"), color=PALE, size=0.7)
        + lp.geom_point(lp.aes(x="estimate"), color=DARK, size=2.4)
    )
    if model.mean is not None:
        plot += lp.geom_point(lp.aes(x="shrunken"), color=WARM, shape=1, size=2.4)
    if drawn.height <= LABELLED:
        plot += lp.scale_y_continuous(breaks=data["place"], labels=data["unit"])
    return plot + lp.labs(x=columns.estimate, y="") + lp.ggsize(800, 80 + min(14 * drawn.height, 900))


def draw_funnel(part: pl.DataFrame, model: ComparisonModel, columns: Columns) -> Any:
    """Return estimates by size within the funnel's limits."""
    import lets_plot as lp

    by_n = columns.n is not None
    size = (pl.col("n").cast(pl.Float64) if by_n else 1 / pl.col("std_error")).alias("size")
    unit = pl.col(columns.unit).cast(pl.String).alias("unit")
    data = part.select(unit, size, "estimate").sort("unit").to_dict(as_series=False)
    low, high = min(data["size"]), max(data["size"])
    grid = np.linspace(low * 0.9, high * 1.05, 200)
    if by_n:
        grid = np.unique(np.maximum(np.round(grid), 1.0))
    if not by_n:
        null_error = 1 / grid
    elif model.rate:
        null_error = np.sqrt(model.funnel_target * (1 - model.funnel_target) / grid)
    else:
        null_error = (model.sd_within or 0.0) / np.sqrt(grid)
    plot = lp.ggplot() + lp.geom_hline(yintercept=model.funnel_target, color=PALE, size=0.7)
    for level, line in zip(FUNNEL_LEVELS, ("dashed", "solid"), strict=True):
        for side in model.limits(null_error, level, grid):
            curve = {"size": grid.tolist(), "limit": side.tolist()}
            plot += lp.geom_line(lp.aes("size", "limit"), data=curve, color=WARM, linetype=line, size=0.7)
    plot += lp.geom_point(lp.aes("size", "estimate"), data=data, color=DARK, size=2.4)
    return plot + lp.labs(x="n" if by_n else "1 / SE", y=columns.estimate) + lp.ggsize(800, 520)


def draw_gap_courses(rows: pl.DataFrame) -> Any:
    """Return the course of every gap on one scale, with its intervals and the line of no gap.

    Parameters
    ----------
    rows
        label, period (as text), gap, ci_lower, ci_upper.
    """
    import lets_plot as lp

    periods = rows["period"].unique().sort().to_list()
    places = {period: place for place, period in enumerate(periods)}
    drawn = rows.with_columns(pl.col("period").replace_strict(places, return_dtype=pl.Int64).alias("place"))
    data = drawn.sort("label", "place").to_dict(as_series=False)
    panels = rows["label"].n_unique()
    columns = min(4, panels)
    height = 90 + 150 * -(-panels // columns)
    return (
        lp.ggplot(data, lp.aes("place", "gap"))
        + lp.geom_hline(yintercept=0, color=PALE, size=0.7)
        + lp.geom_segment(lp.aes(x="place", xend="place", y="ci_lower", yend="ci_upper"), color=PALE, size=0.7)
        + lp.geom_line(color=DARK, size=0.7)
        + lp.geom_point(color=DARK, size=2.4)
        + lp.scale_x_continuous(breaks=list(places.values()), labels=periods)
        + lp.facet_wrap("label", ncol=columns)
        + lp.labs(x="", y="")
        + lp.ggsize(900, height)
    )
