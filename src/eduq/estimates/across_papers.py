"""Measures that no score distribution of a single paper gives: composite gaps, and how far school means lie apart."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from eduq.estimates.equity import corrected_cv
from eduq.estimates.intervals import others_variance, part_of_whole, student
from eduq.estimates.level_context import REASONS, LevelContext
from eduq.groups import COMPOSITE, DERIVED, EVERY_PAPER
from eduq.intake.exam_file import ExamFile
from eduq.settings import RunSettings
from eduq.summaries import COMPOSITE_SCALE, ZEROED, Summary, UnitSummary
from eduq.tables import ESTIMATE_COLUMNS, NOT_EXPECTED

__all__ = ["between_school_cv", "composite_gaps", "composite_sums"]

_KEYS = ["unit", "comparison_group"]


def composite_sums(unit: UnitSummary, mapping: pl.DataFrame) -> pl.DataFrame:
    """Return unit, comparison_group, n_expected, n_present, n, total and squares (1/10,000 SD) of the composite."""
    sums = ["n_expected", "n_present", "n", "total", "squares"]
    here = mapping.filter(pl.col("paper") == COMPOSITE)
    return unit.composite.join(here, on="unit_index").group_by(_KEYS).agg(pl.col(sums).sum()).sort(_KEYS)


def _squares(rows: pl.DataFrame) -> NDArray[np.float64]:
    """Σ(x − x̄)² per row from Σ and Σ², in Python integers."""
    pairs = zip(rows["n"], rows["total"], rows["squares"], strict=True)
    return np.array([(n * q - t * t) / n if n else 0.0 for n, t, q in pairs]) / COMPOSITE_SCALE**2


def composite_gaps(
    unit: UnitSummary, mapping: pl.DataFrame, area: pl.DataFrame, summary: Summary, exam: ExamFile, settings: RunSettings
) -> pl.DataFrame:
    """Composite gap of every unit: mean of its candidates' composites, SE with its own SD (pooled when n is small)."""
    rows = composite_sums(unit, mapping).join(
        summary.comparability.frame.select("comparison_group", "comparable", pl.col("reason").alias("why")),
        on="comparison_group",
        how="left",
        maintain_order="left",
    )
    rows = rows.join(
        area.select("comparison_group", pl.col("n").alias("area_n")), on="comparison_group", how="left", maintain_order="left"
    )
    squares = _squares(rows)
    rows = rows.with_columns(pl.Series("ss", squares)).with_columns(
        pl.col("ss").sum().over("comparison_group").alias("pool"),
        (pl.col("n").sum() - (pl.col("n") > 0).sum()).over("comparison_group").alias("pool_df"),
    )
    n, pool_df = rows["n"].to_numpy().astype(float), rows["pool_df"].to_numpy().astype(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        own, pooled = squares / (n - 1), rows["pool"].to_numpy() / pool_df
        use_pooled = ((n < settings.pooled_gap_below) | ~(own > 0)) & (pool_df >= 1)
        variance, df = np.where(use_pooled, pooled, own), np.where(use_pooled, pool_df, n - 1)
        estimate = rows["total"].to_numpy() / n / COMPOSITE_SCALE
    others = others_variance(rows["pool"].to_numpy(), pool_df, squares, n)
    std_error, df = part_of_whole(variance, df, n, *others, rows["area_n"].to_numpy().astype(float))
    _, low, high = student(estimate, std_error, df, settings.conf_level)
    reason = np.where(
        rows["comparable"].to_numpy(), np.where(n > 0, "", "no_candidates"), rows["why"].fill_null("").to_numpy().astype("U32")
    )
    shown = reason == ""
    table = rows.select(*_KEYS, "n_expected", "n_present", "n").with_columns(
        pl.lit(COMPOSITE).alias("paper"),
        pl.lit("composite_z").alias("measure"),
        *(
            pl.Series(name, np.where(shown, value, np.nan))
            for name, value in (("estimate", estimate), ("std_error", std_error), ("ci_lower", low), ("ci_upper", high))
        ),
        pl.Series("conf_level", np.where(shown, settings.conf_level, np.nan)),
        pl.Series("method", np.where(use_pooled, "t_pooled_part_of_area", "t_part_of_area")),
        pl.Series("reason", reason),
    )
    if exam.absence.policy != "penalty":
        return table
    return pl.concat([table, _penalise(table, exam, absence_rates(unit, mapping))])


def absence_rates(unit: UnitSummary, mapping: pl.DataFrame) -> pl.DataFrame:
    """Return unit, comparison_group (of the composite) and absent: absent or voided over expected, papers added up."""
    here = mapping.filter(pl.col("paper") == COMPOSITE).select("unit_index", *_KEYS)
    papers = unit.counts.statuses.filter(~pl.col("paper").is_in(DERIVED) & ~pl.col("status").is_in(NOT_EXPECTED))
    missed = pl.col("count").filter(pl.col("status").is_in(ZEROED)).sum()
    return papers.join(here, on="unit_index").group_by(_KEYS).agg((missed / pl.col("count").sum()).alias("absent"))


def _penalise(table: pl.DataFrame, exam: ExamFile, absence: pl.DataFrame) -> pl.DataFrame:
    """Return composite_penalised: the measured gap less the declared deduction, which shifts the interval with it."""
    beyond = (pl.col("absent") - exam.absence.penalty_bound).clip(lower_bound=0)
    deduction = beyond * 100 * exam.absence.penalty_per_point
    joined = table.join(absence, on=_KEYS, how="left", maintain_order="left")
    return joined.with_columns(
        pl.lit("composite_penalised").alias("measure"),
        *(pl.col(name) - deduction.fill_null(0.0) for name in ("estimate", "ci_lower", "ci_upper")),
    ).drop("absent")


def between_school_cv(schools: LevelContext, settings: RunSettings) -> pl.DataFrame:
    """Between-school CV of the means in each comparable group of at least two schools."""
    cells = schools.cells
    variance, _, _ = schools.own_or_pooled(settings.pooled_mean_below)
    lines = []
    for place, group in enumerate(schools.area.rows.iter_rows(named=True)):
        of_group = (schools.group == place) & (cells.n > 0)
        if group["paper"] == EVERY_PAPER:
            continue
        line = {
            **group,
            "measure": "school_cv",
            "n_expected": int(schools.area.n_expected[place]),
            "n_present": int(schools.area.n_present[place]),
            "n": int(cells.n[of_group].sum()),
        }
        usable = of_group & np.isfinite(variance)
        why = "" if of_group.any() else "no_candidates"
        if not why and not schools.comparable[of_group].all():
            why = REASONS[schools.why_not[of_group][0]]
        if not why and usable.sum() < 2:
            why = "single_school"
        if not why and not (cells.mean[usable] > 0).all():
            why = "zero_mean"
        if why:
            lines.append(line | {"reason": why})
            continue
        n = cells.n[usable].astype(float)
        found = corrected_cv(cells.mean[usable], np.sqrt(variance[usable] / n), n, conf_level=settings.conf_level)
        lines.append(
            line
            | {
                "estimate": found.estimate,
                "std_error": found.std_error,
                "ci_lower": found.ci_lower,
                "ci_upper": found.ci_upper,
                "conf_level": settings.conf_level,
                "method": "parametric_bootstrap",
                "reason": "",
            }
        )
    outside = ("unit_type", "exam_id", "subject")
    schema = {name: kind for name, kind in ESTIMATE_COLUMNS.items() if name not in outside}
    return pl.DataFrame(lines, schema=schema)
