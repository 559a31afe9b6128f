"""Rows of candidates to counts.

One form serves every measure of one paper: cells of (unit, paper, score, count), and beside them counts by status. Counts
add up, so an area is the sum of its schools' cells, and mean, SD, rates, quantiles and percentile ranks follow from them
exactly. What links a candidate's papers (total, passing every paper, composite) is derived per candidate first, as a paper
of its own.

Written against narwhals, so the same functions run on every engine that narwhals knows; all sums are of integers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
import polars as pl

from eduq.tables import status_column

__all__ = ["COMPOSITE_SCALE", "SCORE_BITS", "ScoreCounts", "count_scores", "count_statuses", "sum_scores"]

COMPOSITE_SCALE = 10_000
"""A composite is stored in units of 1/10,000 SD."""
SCORE_BITS = 21
"""Bits a score takes when it is packed with its unit: hundredths up to 20,971.51."""


_STEPS = (100, 50, 25, 10, 5, 1)
_DENSE_PER_ROW, _DENSE_ALWAYS = 8, 1_000_000
"""A dense count may take this many places per row, or this many in any case."""


@dataclass(frozen=True)
class ScoreCounts:
    """Counts of one kind of unit.

    Attributes
    ----------
    scores
        paper (String), packed (Int64: unit_index · 2²¹ + score in hundredths), count (Int64), one frame per paper sorted by
        packed: ``{paper: frame}``.
    statuses
        unit_index, paper, status (String), count (Int64), sorted; ``present`` included.
    """

    scores: dict[str, pl.DataFrame]
    statuses: pl.DataFrame


def _native(frame: Any) -> pl.DataFrame:
    native = frame.collect().to_native()
    return native if isinstance(native, pl.DataFrame) else pl.DataFrame(frame.collect().to_arrow())


def count_scores(
    frame: Any, *, unit: str, papers: Sequence[str], statuses: Mapping[str, Mapping[int, str]] | None = None
) -> ScoreCounts:
    """Count candidates by unit, paper and score, and by unit, paper and status.

    Parameters
    ----------
    frame
        Any frame narwhals knows (Polars, PySpark …) with an integer column `unit` and, per paper, ``<paper>`` (integer
        hundredths, null unless present) and ``<paper>_status``.
    unit
        Name of the integer unit column, values from 0; rows where it is null are left out.
    papers
        Paper codes.
    statuses
        For derived papers, whose status column holds integers: what each integer means. Such a paper can have a score
        without the status ``present``: under the policy ``zero`` an absence counts as 0.
    """
    lazy = nw.from_native(frame).lazy()
    lazy = lazy.filter(~nw.col(unit).is_null())
    gaps = lazy.filter(nw.any_horizontal(*[nw.col(paper).is_null() for paper in papers], ignore_nulls=True))
    if isinstance(frame, pl.DataFrame):
        gaps = gaps.collect().lazy()
    scores, tallies = {}, []
    for paper in papers:
        dense = _count_dense(frame[unit], frame[paper]) if isinstance(frame, pl.DataFrame) else None
        scores[paper] = _count_grouped(lazy, unit, paper) if dense is None else dense
        meaning = (statuses or {}).get(paper)
        if meaning is None:
            present = (
                scores[paper].group_by((pl.col("packed") // (1 << SCORE_BITS)).alias("unit_index")).agg(pl.col("count").sum())
            )
            tallies.append(present.select("unit_index", pl.lit(paper).alias("paper"), pl.lit("present").alias("status"), "count"))
        source = gaps.filter(nw.col(paper).is_null()) if meaning is None else lazy
        tallies.append(count_statuses(source, unit=unit, paper=paper, meaning=meaning))
    return ScoreCounts(scores=scores, statuses=pl.concat(tallies).sort("paper", "unit_index", "status"))


def _count_grouped(lazy: Any, unit: str, paper: str) -> pl.DataFrame:
    """Count by grouping: on any engine."""
    packed = (nw.col(unit).cast(nw.Int64) * (1 << SCORE_BITS) + nw.col(paper).cast(nw.Int64)).alias("packed")
    counted = lazy.filter(~nw.col(paper).is_null()).select(packed).group_by("packed").agg(nw.len().alias("count"))
    return _native(counted).select(pl.col("packed", "count").cast(pl.Int64)).sort("packed")


def _count_dense(unit: pl.Series, score: pl.Series) -> pl.DataFrame | None:
    """Count in an array with a place for every unit and score, in memory; None where that array would be too large.

    Scores on a common step (half marks, whole marks) need a place per step only.
    """
    highest_unit, highest = unit.max(), score.max()
    if highest_unit is None or highest is None or len(score) == 0:
        return None
    step = next(step for step in _STEPS if not bool((score % step != 0).any()))
    width = int(highest) // step + 1  # type: ignore[arg-type]
    places = (int(highest_unit) + 1) * width  # type: ignore[arg-type]
    if places > max(_DENSE_PER_ROW * len(score), _DENSE_ALWAYS):
        return None
    place = (unit.cast(pl.Int64) * width + score // step).fill_null(places)
    counts = np.bincount(place.to_numpy(), minlength=places + 1)[:places]
    filled = np.flatnonzero(counts)
    unit_index, level = np.divmod(filled, width)
    return pl.DataFrame({"packed": (unit_index << SCORE_BITS) + level * step, "count": counts[filled].astype(np.int64)})


def count_statuses(frame: Any, *, unit: str, paper: str, meaning: Mapping[int, str] | None = None) -> pl.DataFrame:
    """Count candidates by unit and status of one paper.

    Rows whose status is null (the exam has no such paper for them) are not counted; nor, when the status is an integer,
    those whose integer has no meaning.

    Returns
    -------
    pl.DataFrame
        unit_index, paper, status, count, sorted.
    """
    status = status_column(paper)
    counted = _native(
        nw.from_native(frame)
        .lazy()
        .filter(~nw.col(unit).is_null() & ~nw.col(status).is_null())
        .group_by(unit, status)
        .agg(nw.len().alias("count"))
    )
    named = (
        pl.col(status).cast(pl.String)
        if meaning is None
        else pl.col(status).replace_strict(meaning, default=None, return_dtype=pl.String)
    )
    return (
        counted.select(
            pl.col(unit).cast(pl.Int64).alias("unit_index"),
            pl.lit(paper).alias("paper"),
            named.alias("status"),
            pl.col("count").cast(pl.Int64),
        )
        .drop_nulls("status")
        .sort("unit_index", "status")
    )


def sum_scores(frame: Any, *, unit: str, value: str) -> pl.DataFrame:
    """Sum an integer value and its square by unit.

    Parameters
    ----------
    frame
        As in `count_scores`, with an integer column `value` (null where there is none).
    unit
        Name of the integer unit column.
    value
        Name of the value column, such as a composite in units of 1/10,000 SD.

    Returns
    -------
    pl.DataFrame
        unit_index, n, total (Σ), squares (Σ²), all Int64, sorted by unit_index.
    """
    lazy = nw.from_native(frame).lazy()
    number = nw.col(value).cast(nw.Int64)
    summed = _native(
        lazy.filter(~nw.col(unit).is_null() & ~nw.col(value).is_null())
        .select(nw.col(unit).cast(nw.Int64).alias("unit_index"), number.alias("value"))
        .with_columns((nw.col("value") * nw.col("value")).alias("square"))
        .group_by("unit_index")
        .agg(
            nw.len().alias("n"),
            nw.col("value").sum().alias("total"),
            nw.col("square").sum().alias("squares"),
        )
    )
    return summed.select(pl.col("unit_index", "n", "total", "squares").cast(pl.Int64)).sort("unit_index")
