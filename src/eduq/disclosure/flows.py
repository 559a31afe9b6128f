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
    "expected",
    "difference",
    "difference_lower",
    "difference_upper",
)


def withhold_small_flows(flows: pl.DataFrame, min_n: int) -> pl.DataFrame:
    """Return moves (`eduq.tables.FLOWS`) without small counts of units; those of the whole area stay.

    A rate stands only where both those who moved so and those who did not are at least ``min_n``. The cells of a row (all who
    start from one band) stand only where each of them is: else one could be found from the others. Where fewer than ``min_n``
    start from a band their number goes too, and where that is one band of a unit alone, the number and the rates of the
    smallest of its other bands as well: how many are linked in all is told elsewhere, and the difference would be the number
    withheld. ``reason`` is then ``below_min_n``. The expectation goes too, since it tells where a few pupils started. ``side``
    stays where at least ``min_n`` start from the band: a unit that moves hardly anybody would else vanish from the tally of
    those below.
    """
    row = ["unit_type", "unit", "exam_id", "comparison_group", "paper", "prior_exam", "band_from"]
    cell, count = pl.col("flow") == "cell", pl.col("count")
    thin = (
        pl.when(cell).then((count < min_n).any().over([*row, "flow"])).otherwise((count < min_n) | (pl.col("n") - count < min_n))
    )
    units = pl.col("unit_type") != "area"
    few = units & ((pl.col("n") < min_n) | _tells_the_rest(flows, row, min_n))
    small = (units & (thin | (pl.col("n") < min_n))) | few
    return flows.with_columns(
        *(pl.when(~small).then(pl.col(name)).alias(name) for name in _NUMBERS),
        pl.when(~few).then(pl.col("n")).alias("n"),
        pl.when(~units | (pl.col("n") >= min_n)).then(pl.col("side")).alias("side"),
        pl.when(small).then(pl.lit(None, pl.String)).otherwise(pl.col("method")).alias("method"),
        pl.when(small).then(pl.lit("below_min_n")).otherwise(pl.col("reason")).alias("reason"),
    )


def _tells_the_rest(flows: pl.DataFrame, row: list[str], min_n: int) -> pl.Series:
    """Return, line by line, whether its band is the smallest of those shown of a unit that has one small band alone."""
    unit = row[:-1]
    bands = flows.select(*row, "n").unique(row, maintain_order=True)
    bands = bands.with_columns((pl.col("n") < min_n).sum().over(unit).alias("small"))
    large = bands.filter(pl.col("small") == 1, pl.col("n") >= min_n)
    second = large.sort("n", "band_from", maintain_order=True).unique(unit, keep="first", maintain_order=True)
    marked = flows.select(row).join(
        second.select(*row, pl.lit(value=True).alias("second")), on=row, how="left", nulls_equal=True, maintain_order="left"
    )
    return marked["second"].fill_null(value=False)
