"""Paired schools and alliances of an exam: the gap now, and its course where earlier exams are known."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from eduq.errors import EduqError
from eduq.estimates.comparison import PairsResult, compare_pairs
from eduq.settings import RunSettings

__all__ = ["ExamPairs", "pair_schools"]


@dataclass(frozen=True)
class ExamPairs:
    """Gaps of pairs (``pair_id`` of the register) and of the members of alliances (``cluster``).

    Attributes
    ----------
    pairs, clusters
        None where the register names none with two schools that can be compared.
    """

    pairs: PairsResult | None
    clusters: PairsResult | None


def _compare(rows: pl.DataFrame, column: str, run: RunSettings, var_shock: float, *, periods: bool) -> PairsResult | None:
    known = rows.filter(pl.col(column).is_not_null())
    able = known.filter(pl.col("estimate").is_not_null())
    newest = able.filter(pl.col("period") == able["period"].max()) if periods and able.height else able
    if newest.is_empty() or newest.group_by(column).len()["len"].max() < 2:  # type: ignore[operator]
        return None
    # a group that is not there now has no gap to follow
    known = known.filter(pl.col(column).is_in(newest[column].unique().to_list()))
    of_pair = column == "pair_id"
    try:
        return compare_pairs(
            known,
            unit="unit",
            pair=column if of_pair else None,
            cluster=None if of_pair else column,
            std_error="std_error",
            n="n",
            period="period" if periods else None,
            strong="strong" if of_pair and known["strong"].any() else None,
            var_shock=var_shock,
            level=run.conf_level,
        )
    except EduqError:
        return None


def pair_schools(
    lines: pl.DataFrame, schools: pl.DataFrame, *, settings: RunSettings, series: pl.DataFrame | None, var_shock: float
) -> ExamPairs | None:
    """Compare the pairs and the alliances of the register by the primary measure of an exam.

    Schools below ``min_n_reporting`` in a year take no part in it. The strong school of a pair is the urban one where a pair has
    exactly one.

    Parameters
    ----------
    lines
        This exam: unit, n, estimate, std_error of one comparison group.
    schools
        Register of schools.
    settings
        ``conf_level``, ``min_n_reporting``.
    series
        Yearly values, this exam the newest: unit, period, estimate, std_error, n; None without earlier exams.
    var_shock
        ω², variance of a cohort's shock.
    """
    columns = [name for name in ("pair_id", "cluster") if name in schools.columns and schools[name].drop_nulls().len()]
    if not columns:
        return None
    periods = series is not None and series["period"].n_unique() > 1
    values = series if periods and series is not None else lines.with_columns(pl.lit("").alias("period"))
    told = pl.col("n") >= settings.min_n_reporting
    rows = values.select(
        "unit", "period", "n", *(pl.when(told).then(pl.col(name)).alias(name) for name in ("estimate", "std_error"))
    ).join(
        schools.select(
            pl.col("school_id").alias("unit"), *columns, (pl.col("area_type") == "urban").fill_null(False).alias("strong")
        ),
        on="unit",
    )
    found = {name: _compare(rows, name, settings, var_shock, periods=periods) for name in columns}
    if all(result is None for result in found.values()):
        return None
    return ExamPairs(pairs=found.get("pair_id"), clusters=found.get("cluster"))
