"""Taking what a pattern withholds out of every table of an exam, and what an outward edition may not show at all."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING

import polars as pl

from eduq.disclosure.comparisons import PublishableComparisons
from eduq.disclosure.growths import PublishableGrowth
from eduq.disclosure.histories import PublishableHistory
from eduq.disclosure.suppression import Pattern
from eduq.estimates.comparison.pair_results import PairsResult
from eduq.estimates.exam_comparisons import ExamComparisons
from eduq.estimates.exam_pairs import ExamPairs
from eduq.estimates.measures import Measure
from eduq.estimates.targets.results import TargetReview
from eduq.groups import COMPOSITE, EVERY_PAPER
from eduq.settings import Edition

if TYPE_CHECKING:
    from eduq.disclosure.exams import Publishable

__all__ = [
    "SHOWN_TYPES",
    "keep_outward",
    "leave_out",
    "round_between",
    "withhold_cells",
    "withhold_compared",
    "withhold_course",
    "withhold_grown",
    "withhold_quantiles",
    "withhold_reviewed",
    "withhold_targets",
]

SHOWN_TYPES: dict[Edition, tuple[str, ...]] = {
    "government": ("area", "township", "cluster", "area_type", "sex"),
    "student": ("area", "area_type", "sex"),
    "public": ("area", "area_type", "sex"),
}
"""Unit types an outward edition shows."""
_NUMBERS = ("estimate", "std_error", "ci_lower", "ci_upper", "conf_level", "method")
_ROUNDING = 1e-9
_DIGITS = 2
_CELL = ("comparison_group", "paper", "measure", "unit_type", "unit")
_NAMES = ("unit_type", "unit", "exam_id", "comparison_group", "subject", "paper", "measure", "peer_group", "n", "reason")
_COURSE = ("n_periods", "n_left_out", "n_min", "first", "last", "evidence_reason")


def withhold_cells(estimates: pl.DataFrame, pattern: Pattern, min_n: int) -> pl.DataFrame:
    """Return the estimates without the numbers of the pattern; who took part stays."""
    marks = pl.DataFrame(
        [(*key, "below_min_n") for key in sorted(pattern.primary)] + [(*key, "secondary") for key in sorted(pattern.secondary)],
        schema=dict.fromkeys((*_CELL, "_why"), pl.String),
        orient="row",
    )
    marked = estimates.join(marks, on=_CELL, how="left", maintain_order="left")
    why = (
        pl.when(pl.col("estimate").is_null())
        .then(None)
        .when((pl.col("_why") == "below_min_n") & (pl.col("n") >= min_n))
        .then(pl.lit("withheld"))
        .otherwise(pl.col("_why"))
    )
    marked = marked.with_columns(why.alias("_why"))
    kept = pl.col("_why").is_null()
    return marked.with_columns(
        *(pl.when(kept).then(pl.col(name)).alias(name) for name in _NUMBERS),
        pl.coalesce("_why", "reason").alias("reason"),
    ).drop("_why")


def withhold_quantiles(estimates: pl.DataFrame, measures: Mapping[str, Measure], least: int) -> pl.DataFrame:
    """Return the estimates without quantiles that have fewer than `least` candidates on one of their sides.

    A quantile of a small group is the score of one candidate, or the middle of two, and with the size of the group known it says
    so: of twelve candidates the third has the lower quartile.
    """
    shares = {name: min(one.probability, 1 - one.probability) for name, one in measures.items() if one.probability is not None}
    side = pl.col("measure").replace_strict(shares, default=None, return_dtype=pl.Float64)
    few = ((pl.col("n") * side + _ROUNDING).floor() < least).fill_null(False) & pl.col("estimate").is_not_null()
    return estimates.with_columns(
        *(pl.when(~few).then(pl.col(name)).alias(name) for name in _NUMBERS),
        pl.when(few).then(pl.lit("quantile_few")).otherwise("reason").alias("reason"),
    )


def _units(pattern: Pattern) -> pl.DataFrame:
    """Return unit types and units of which anything is withheld for the sake of others."""
    return pl.DataFrame(sorted({(key[3], key[4]) for key in pattern.secondary}), schema=["unit_type", "unit"], orient="row").cast(
        pl.String
    )


def leave_out(found: ExamComparisons, pattern: Pattern) -> ExamComparisons | None:
    """Return the comparisons of the units that are shown alone: ranks and shrunken values of others would tell of a withheld one.

    Small units took no part before.
    """
    return found.without({(*key[:3], key[4]) for key in pattern.secondary if key[3] == found.unit_type})


def round_between(frame: pl.DataFrame, pattern: Pattern, columns: Collection[str]) -> pl.DataFrame:
    """Return figures of how schools differ to two significant digits where a school of the paper is withheld.

    They are made of all schools' means: exact to the last digit, they would be one equation more for the withheld ones.
    """
    papers = {(key[0], key[1]) for key in pattern.primary | pattern.secondary if key[3] in ("school", "class")}
    if not papers or frame.is_empty():
        return frame
    names = ["comparison_group", "paper"]
    marks = pl.DataFrame(sorted(papers), schema=names, orient="row").with_columns(_coarse=pl.lit(True))
    joined = frame.join(marks, on=names, how="left", maintain_order="left")
    coarse = pl.col("_coarse").fill_null(False)
    rounded = (pl.when(coarse).then(pl.col(name).round_sig_figs(_DIGITS)).otherwise(name).alias(name) for name in columns)
    return joined.with_columns(rounded).drop("_coarse")


def withhold_compared(shown: PublishableComparisons, pattern: Pattern) -> PublishableComparisons:
    """Return the comparisons without the numbers of units of which the pattern withholds the paper for the sake of others."""
    cells = pattern.secondary
    if not cells:
        return shown
    names = ("comparison_group", "paper", "measure", "unit_type", "unit")
    marks = pl.DataFrame(sorted(cells), schema=dict.fromkeys(names, pl.String), orient="row").with_columns(
        pl.lit(True).alias("_hidden")
    )
    hidden = pl.col("_hidden").fill_null(False)
    frame = shown.frame.join(marks, on=names, how="left", maintain_order="left").with_columns(
        *(pl.when(~hidden).then(pl.col(name)).alias(name) for name in shown.frame.columns if name not in _NAMES),
        pl.when(hidden).then(pl.lit("secondary")).otherwise("reason").alias("reason"),
    )
    units = _listed(pattern, shown.unit_type)
    pairs = shown.pairs
    if pairs is not None and units:
        pairs = ExamPairs(*(None if one is None else _without_groups(one, units) for one in (pairs.pairs, pairs.clusters)))
        pairs = None if pairs.pairs is None and pairs.clusters is None else pairs
    return dataclasses.replace(shown, frame=frame.drop("_hidden"), pairs=pairs)


def _without_groups(found: PairsResult, units: list[str]) -> PairsResult | None:
    """Return pairs, or clusters, without those that a withheld unit belongs to: the gaps of the others would tell of it."""
    unit, group = str(found.settings["unit"]), found.group
    there = pl.col(unit).is_in(units) | pl.col("partner").cast(pl.String).is_in(units).fill_null(False)
    touched = found.frame.filter(there)[group].unique().to_list()
    kept = ~pl.col(group).is_in(touched)
    frame = found.frame.filter(kept)
    if frame.is_empty():
        return None
    spread = None if found.spread is None else found.spread.filter(kept)
    return dataclasses.replace(found, frame=frame, course=found.course.filter(kept), spread=spread)


def _listed(pattern: Pattern, unit_type: str) -> list[str]:
    return _units(pattern).filter(pl.col("unit_type") == unit_type)["unit"].to_list()


def withhold_course(shown: PublishableHistory, pattern: Pattern) -> PublishableHistory:
    """Return the history without the course of schools withheld for the sake of others: its newest year is this exam."""
    units = _listed(pattern, "school")
    if not units:
        return shown

    def blank(frame: pl.DataFrame, kept: Iterable[str], why: str) -> pl.DataFrame:
        if frame.is_empty():
            return frame
        hidden = pl.col("unit").is_in(units)
        return frame.with_columns(
            *(pl.when(~hidden).then(pl.col(name)).alias(name) for name in frame.columns if name not in {"unit", *kept, why}),
            pl.when(hidden).then(pl.lit("withheld")).otherwise(pl.col(why)).alias(why),
        )

    numbers = {"estimate", "relative", "std_error", "ci_lower", "ci_upper"}
    family = {name for name in ("year_group", "subject", "measure") if name in shown.declines.columns + shown.subjects.columns}
    return dataclasses.replace(
        shown,
        declines=blank(shown.declines, {*_COURSE, *family}, "evidence_reason"),
        subjects=blank(shown.subjects, {*_COURSE, *family}, "evidence_reason"),
        series=blank(shown.series, {*shown.series.columns} - numbers, "reason"),
        subject_series=blank(shown.subject_series, {*shown.subject_series.columns} - numbers, "reason"),
        changes=shown.changes.filter(~pl.col("unit").is_in(units)) if not shown.changes.is_empty() else shown.changes,
    )


def withhold_grown(shown: PublishableGrowth, pattern: Pattern) -> PublishableGrowth:
    """Return the growth without the numbers of units withheld for the sake of others."""
    units = _listed(pattern, shown.unit_type)
    if not units or shown.frame.is_empty():
        return shown
    hidden = pl.col("unit").is_in(units) & pl.col("estimate").is_not_null()
    lost = pl.col("unit").is_in(units)
    numbers = (*_NUMBERS, "reliability", "prior_mean", "unmatched_prior_z", "agreement")
    frame = shown.frame.with_columns(
        *(pl.when(~lost).then(pl.col(name)).alias(name) for name in numbers if name in shown.frame.columns),
        pl.when(hidden).then(pl.lit("secondary")).otherwise("reason").alias("reason"),
    )
    return dataclasses.replace(shown, frame=frame)


def withhold_reviewed(shown: TargetReview, pattern: Pattern) -> TargetReview:
    """Return the targets without the numbers of units withheld for the sake of others."""
    return _without_marked(shown, _units(pattern))


def withhold_targets(shown: TargetReview, exams: Iterable[Publishable]) -> TargetReview:
    """Return the targets of several exams without the numbers that their exam withholds for the sake of others."""
    for exam in exams:
        cells = exam.estimates.filter(pl.col("reason") == "secondary")
        cells = cells.select("exam_id", "unit_type", "unit", "subject", "measure")
        unnamed = cells.filter(pl.col("subject").is_in([COMPOSITE, EVERY_PAPER])).with_columns(
            pl.lit(None, pl.String).alias("subject")
        )
        shown = _without_marked(shown, pl.concat([cells, unnamed]).unique())
    return shown


def _without_marked(shown: TargetReview, marks: pl.DataFrame) -> TargetReview:
    if marks.is_empty():
        return shown
    frame = shown.frame.join(
        marks.with_columns(pl.lit(True).alias("_hidden")),
        on=marks.columns, how="left", maintain_order="left", nulls_equal=True,
    )  # fmt: skip
    hidden = pl.col("_hidden").fill_null(False) & (pl.col("measure") != "participation_rate")
    numbers = (*_NUMBERS, "completion")
    frame = frame.with_columns(
        *(pl.when(~hidden).then(pl.col(name)).alias(name) for name in numbers),
        pl.when(hidden).then(pl.lit("not_assessable")).otherwise(pl.col("state").cast(pl.String)).cast(frame["state"].dtype)
        .alias("state"),
        pl.when(hidden).then(pl.lit("withheld")).otherwise("reason").alias("reason"),
    )  # fmt: skip
    return dataclasses.replace(shown, frame=frame.drop("_hidden"))


def keep_outward(whole: Publishable, edition: Edition) -> Publishable:
    """Return what an outward edition may show of an exam: no school, no file name, no fault of a file."""
    types = SHOWN_TYPES[edition]
    comparability = whole.comparability.filter(pl.col("deviation").is_null() | (pl.col("deviation") == ""))
    groups = pl.col("comparison_group").is_in(comparability["comparison_group"].to_list())
    width, least = whole.settings.band_width * 100, whole.settings.min_n_reporting
    last = ((pl.col("max_score") * 100).ceil().cast(pl.Int64) - 1) // width * width  # the last band holds the full mark
    start = (pl.col("score") // width * width).cast(pl.Int64)
    bands = (
        whole.distribution.filter(groups)
        .join(comparability.select("comparison_group", "max_score"), on="comparison_group", how="left", maintain_order="left")
        .with_columns(pl.min_horizontal(start, last).cast(pl.Int32).alias("score"))
        .group_by("comparison_group", "paper", "score", maintain_order=True)
        .agg(pl.col("count").sum().cast(pl.Int64))
    )
    few = (pl.col("count") < least).any().over("comparison_group", "paper")
    used = pl.col("rows", "used", "rejected").sum()
    no_file = [pl.lit("").alias(name) for name in ("file", "sha256", "encoding")]
    inputs = whole.inputs.select(pl.lit(0, dtype=pl.Int64).alias("bytes"), used).with_columns(no_file)
    rejected = whole.rejected_counts.group_by("code").agg(pl.col("n").sum()).sort("code").with_columns(pl.lit("").alias("file"))
    return dataclasses.replace(
        whole,
        edition=edition,
        exam=whole.exam.model_copy(update={"deviations": ()}),
        estimates=whole.estimates.filter(groups & pl.col("unit_type").is_in(types)),
        comparability=comparability,
        units=whole.units.filter(pl.col("unit_type").is_in(types)),
        distribution=bands.filter(~few),
        statuses=whole.statuses.clear(),
        inputs=inputs.select(whole.inputs.columns),
        checks=whole.checks.clear(),
        rejected_counts=rejected.select(whole.rejected_counts.columns),
        history=None,
        comparisons=None,
        equity=None,
        growth=None,
        targets=None,
        states=whole.states if edition == "government" else None,
    )
