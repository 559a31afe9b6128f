"""The comparison of an exam's units: what it takes from the registers and from the course over the years."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from eduq.disclosure import History, PublishableComparisons
from eduq.estimates.comparison import read_references
from eduq.estimates.exam_comparisons import ExamComparisons, compare_exam
from eduq.estimates.exam_references import compare_references
from eduq.estimates.measures import Measure
from eduq.intake import ScoreTable
from eduq.registers import Registers
from eduq.settings import RunSettings
from eduq.summaries import Summary

__all__ = ["collect_comparisons", "comparison_tables"]


def collect_comparisons(
    summary: Summary,
    scores: ScoreTable,
    *,
    by: Sequence[str],
    settings: RunSettings,
    measures: Mapping[str, Measure],
    registers: Registers | None,
    history: History | None,
    estimates: pl.DataFrame,
    references: Path | None = None,
) -> ExamComparisons | None:
    """Compare the units of an exam with each other and with similar schools, small ones by their years in the archive.

    Parameters
    ----------
    summary, scores, by, settings, measures
        As in `eduq.estimates.exam_comparisons.compare_exam`.
    registers
        Of the run; None without any: no similar schools.
    history
        Course of the schools; None without an archive: nothing is pooled.
    estimates
        Level measures of the exam.
    references
        File of declared values from outside (`eduq.estimates.comparison.read_references`).
    """
    declines = None if history is None else history.declines
    series, var_shock = None, 0.0
    if declines is not None:
        known = declines.series.filter("used") if "used" in declines.series.columns else declines.series
        series = known.select("unit", pl.col("period").cast(pl.String), "estimate", "std_error", "n")
        var_shock = declines.model.var_shock
    found = compare_exam(
        summary,
        scores,
        by=by,
        settings=settings,
        measures=measures,
        schools=None if registers is None else registers.schools,
        series=series,
        var_shock=var_shock,
    )
    if references is None or found is None:
        return found
    outside = compare_references(
        estimates,
        read_references(references),
        exam=scores.exam,
        unit_type=found.unit_type,
        measures=measures,
        settings=settings,
    )
    return replace(found, references=outside)


def comparison_tables(found: PublishableComparisons) -> dict[str, pl.DataFrame]:
    """Return the tables of results/ by name: comparisons, and pairs and their courses where there are any."""
    tables = {"comparisons": found.frame}
    if found.pairs is None:
        return tables
    results = [result for result in (found.pairs.pairs, found.pairs.clusters) if result is not None]
    tables["pairs"] = pl.concat([result.frame for result in results], how="diagonal_relaxed")
    courses = [result.course for result in results if result.course.height]
    if courses:
        tables["pair_courses"] = pl.concat(courses, how="diagonal_relaxed")
    return tables
