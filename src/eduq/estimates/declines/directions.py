"""Which way a course goes, as far as one can tell: rising, falling, or not distinguishable from no change."""

from __future__ import annotations

import numpy as np
import polars as pl

from eduq.estimates.declines.multiplicity import adjust_bh

__all__ = ["DIRECTIONS", "add_direction"]

DIRECTIONS = ("rising", "falling", "unclear", "too_little")
"""What `add_direction` says of a course."""
_SURE = ("A", "B")


def add_direction(declines: pl.DataFrame, *, q: float = 0.10) -> pl.DataFrame:
    """Say of each course whether it falls, rises, or cannot be told from no change.

    The same bar stands on both sides: *falling* is what has the evidence grades A or B; *rising* is what would be graded so with
    the signs turned: of the one-sided p-values of a rise (one less those of a fall), adjusted over the same family by Benjamini
    and Hochberg, q at most the bound.

    Parameters
    ----------
    declines
        `eduq.estimates.declines.DeclineResult.frame`, with evidence_grade and p_value (one-sided, of a fall).
    q
        Bound of grade B.

    Returns
    -------
    polars.DataFrame
        The frame with ``direction``: rising, falling, unclear, or too_little where there is no evidence grade.

    Examples
    --------
    >>> frame = pl.DataFrame({"evidence_grade": ["A", "D", "D", None], "p_value": [0.001, 0.999, 0.4, None]})
    >>> add_direction(frame)["direction"].to_list()
    ['falling', 'rising', 'unclear', 'too_little']
    """
    if declines.is_empty():
        return declines
    graded = pl.col("evidence_grade").is_not_null()
    p = declines.select(pl.when(graded).then(1 - pl.col("p_value"))).to_series().fill_null(float("nan")).to_numpy()
    rises = pl.Series("rises", adjust_bh(np.asarray(p, dtype=np.float64)) <= q)
    return declines.with_columns(
        pl.when(~graded)
        .then(pl.lit("too_little"))
        .when(pl.col("evidence_grade").is_in(_SURE))
        .then(pl.lit("falling"))
        .when(rises)
        .then(pl.lit("rising"))
        .otherwise(pl.lit("unclear"))
        .alias("direction")
    )
