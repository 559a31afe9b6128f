"""What an edition may show of pupils' moves between bands."""

from __future__ import annotations

import polars as pl

__all__ = ["withhold_small_flows"]

_NUMBERS = (
    "count",
    "estimate",
    "std_error",
    "ci_lower",
    "ci_upper",
    "conf_level",
    "difference",
    "difference_lower",
    "difference_upper",
)


def withhold_small_flows(flows: pl.DataFrame, min_n: int) -> pl.DataFrame:
    """Return moves (`eduq.tables.FLOWS`) without small counts of units; those of the whole area stay.

    A rate stands only where both those who moved so and those who did not are at least ``min_n``. The cells of a row (all who
    start from one band) stand only where each of them is: else one could be found from the others. Where fewer than ``min_n``
    start from a band their number goes too. ``reason`` is then ``below_min_n``. The expectation, a figure of the area, stays, and
    so does ``side`` where at least ``min_n`` start from the band: a unit that moves hardly anybody would else vanish from the
    tally of those below.
    """
    row = ["unit_type", "unit", "exam_id", "comparison_group", "paper", "prior_exam", "band_from"]
    cell, count = pl.col("flow") == "cell", pl.col("count")
    thin = (
        pl.when(cell).then((count < min_n).any().over([*row, "flow"])).otherwise((count < min_n) | (pl.col("n") - count < min_n))
    )
    small = (pl.col("unit_type") != "area") & (thin | (pl.col("n") < min_n))
    few = small & (pl.col("n") < min_n)
    return flows.with_columns(
        *(pl.when(~small).then(pl.col(name)).alias(name) for name in _NUMBERS),
        *(pl.when(~few).then(pl.col(name)).alias(name) for name in ("n", "side")),
        pl.when(small).then(pl.lit(None, pl.String)).otherwise(pl.col("method")).alias("method"),
        pl.when(small).then(pl.lit("below_min_n")).otherwise(pl.col("reason")).alias("reason"),
    )
