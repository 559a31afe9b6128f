"""What an edition may show of the targets of a register."""

from __future__ import annotations

import dataclasses

import polars as pl

from eduq.estimates.targets.results import TargetReview

__all__ = ["protect_targets"]

_NUMBERS = ("estimate", "std_error", "ci_lower", "ci_upper", "conf_level", "method", "completion")


def protect_targets(review: TargetReview, min_n: int) -> TargetReview:
    """Return what the bureau edition may show: no number of a unit with fewer than `min_n` candidates, nor its state."""
    census = pl.col("measure") == "participation_rate"
    small = ((pl.col("n") < min_n) & ~census).fill_null(False)
    frame = review.frame.with_columns(
        *(pl.when(~small).then(pl.col(name)).alias(name) for name in _NUMBERS),
        pl.when(small).then(pl.lit("not_assessable")).otherwise("state").alias("state"),
        pl.when(small).then(pl.lit("below_min_n")).otherwise("reason").alias("reason"),
    )
    return dataclasses.replace(review, frame=frame)
