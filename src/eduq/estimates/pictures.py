"""Pictures that results of several kinds share (lets-plot): dots with their intervals in order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

__all__ = ["DARK", "PALE", "WARM", "draw_intervals"]

DARK, PALE, WARM = "#1f4e79", "#8a94a0", "#b5541c"
LABELLED = 60
"""More lines than this have no label of their own."""


def draw_intervals(rows: pl.DataFrame, *, lines: Sequence[float] = (), axis: str = "", caption: str = "") -> Any:
    """Return dots with their intervals, the highest on top.

    Parameters
    ----------
    rows
        label, value, ci_lower, ci_upper (null where there is none).
    lines
        Values marked by a vertical line.
    axis
        What the numbers are.
    caption
        What is said below.
    """
    import lets_plot as lp

    drawn = rows.sort("value", "label").with_columns(pl.int_range(1, pl.len() + 1).alias("place"))
    bounded = drawn.filter(pl.col("ci_lower").is_not_null() & pl.col("ci_upper").is_not_null())
    picture = lp.ggplot(drawn.to_dict(as_series=False), lp.aes("value", "place"))
    for value in lines:
        picture += lp.geom_vline(xintercept=value, color=PALE, size=0.7)
    if bounded.height:
        bars = lp.aes(x="ci_lower", xend="ci_upper", y="place", yend="place")
        picture += lp.geom_segment(bars, data=bounded.to_dict(as_series=False), color=PALE, size=0.7)
    picture += lp.geom_point(color=DARK, size=2.4)
    named = drawn.height <= LABELLED
    breaks, labels = (drawn[name].to_list() if named else [] for name in ("place", "label"))
    picture += lp.scale_y_continuous(breaks=breaks, labels=labels)
    return picture + lp.labs(x=axis, y="", caption=caption) + lp.ggsize(800, 80 + min(14 * drawn.height, 900))
