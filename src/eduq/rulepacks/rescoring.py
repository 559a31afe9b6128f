"""One exam as it would be had some pupils other scores: what the counterfactual computes anew from."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import polars as pl

from eduq.intake.score_table import ScoreTable
from eduq.tables import status_column

__all__ = ["count_raisable", "fill_absences", "remark"]


def _own_rows(scores: ScoreTable, school: str, year_group: str) -> pl.Expr:
    """Choose the rows of a school's year group; rows that name no year group belong to the exam's."""
    known = pl.col("year_group").fill_null(year_group)
    return (pl.col("school_id") == school) & (known == year_group)


def remark(scores: ScoreTable, *, school: str, year_group: str, papers: Iterable[str], pupils: int) -> ScoreTable:
    """Return an exam in which some pupils of a school have the full mark in every paper they sat.

    Parameters
    ----------
    scores
        The exam.
    school, year_group
        Whose pupils.
    papers
        Paper codes.
    pupils
        How many; those with most room to the full mark first, ties by their scores and then by id.
    """
    codes = list(papers)
    full = {paper.code: paper.max_hundredths for paper in scores.papers}
    frame = scores.frame.with_row_index("__row")
    sat = [code for code in codes if full[code] is not None]
    room = pl.sum_horizontal(*[(pl.lit(full[code]) - pl.col(code)).fill_null(0) for code in sat]).alias("__room")
    own = frame.filter(_own_rows(scores, school, year_group)).with_columns(room).filter(pl.col("__room") > 0)
    chosen = own.sort("__room", *sat, "candidate_id", descending=[True] + [False] * (len(sat) + 1)).head(pupils)["__row"]
    is_chosen = pl.col("__row").is_in(chosen.to_list())
    raised = [
        pl.when(is_chosen & pl.col(code).is_not_null())
        .then(pl.lit(full[code], dtype=pl.Int32))
        .otherwise(pl.col(code))
        .alias(code)
        for code in sat
    ]
    return dataclasses.replace(scores, frame=frame.with_columns(raised).drop("__row"))


def count_raisable(scores: ScoreTable, *, school: str, year_group: str, papers: Iterable[str]) -> int:
    """Return how many pupils of a school have room to the full mark."""
    full = {paper.code: paper.max_hundredths for paper in scores.papers}
    room = [(pl.col(code) < full[code]).fill_null(False) for code in papers if full[code] is not None]
    return scores.frame.filter(_own_rows(scores, school, year_group) & pl.any_horizontal(*room)).height if room else 0


def fill_absences(
    scores: ScoreTable, *, school: str, year_group: str, papers: Iterable[str], as_zero: bool
) -> tuple[ScoreTable, int]:
    """Return an exam in which a school's absentees count, and how many pupils that is.

    Parameters
    ----------
    scores
        The exam.
    school, year_group
        Whose absentees.
    papers
        Paper codes.
    as_zero
        Count them with 0; else with the score predicted: the pupil's own mean z in the papers sat, or where none was sat the
        school's mean z in the paper, put on the paper's scale (mean and SD of year group and track) and kept inside its marks.
    """
    codes = list(papers)
    full = {paper.code: paper.max_hundredths for paper in scores.papers}
    scale = ["__group", "track"]
    frame = scores.frame.with_row_index("__row").with_columns(pl.col("year_group").fill_null(year_group).alias("__group"))
    whole = pl.col("__row")
    z_names = {code: f"__z_{code}" for code in codes}
    frame = frame.with_columns(
        ((pl.col(code) - pl.col(code).mean().over(scale)) / pl.col(code).std(ddof=0).over(scale)).alias(z_names[code])
        for code in codes
    )
    own_z = pl.mean_horizontal(*[pl.col(name).fill_nan(None) for name in z_names.values()])
    mine = (pl.col("school_id") == school) & (pl.col("__group") == year_group)
    frame = frame.with_columns(own_z.alias("__own"), mine.alias("__mine"))
    missing = [pl.col("__mine") & (pl.col(status_column(code)).cast(pl.String) == "absent").fill_null(False) for code in codes]
    touched = frame.filter(pl.any_horizontal(*missing)).height
    changes: list[pl.Expr] = []
    for code, is_missing in zip(codes, missing, strict=True):
        of_school = pl.col(z_names[code]).filter(pl.col("__mine")).mean()
        mean, spread = pl.col(code).mean().over(scale), pl.col(code).std(ddof=0).over(scale)
        guess = (mean + pl.coalesce("__own", of_school) * spread).round().clip(0, full[code])
        value = pl.lit(0) if as_zero else guess
        counts = is_missing & value.is_not_null()
        changes.append(pl.when(counts).then(value.cast(pl.Int32)).otherwise(pl.col(code)).alias(code))
        status = pl.col(status_column(code))
        changes.append(pl.when(counts).then(pl.lit("present")).otherwise(status.cast(pl.String)).alias(status_column(code)))
    changed = frame.sort(whole).with_columns(changes).select(scores.frame.columns)
    kinds = {status_column(code): scores.frame.schema[status_column(code)] for code in codes}
    return dataclasses.replace(scores, frame=changed.cast(kinds)), touched  # type: ignore[arg-type]
