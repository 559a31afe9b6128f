"""The targets of a register beside an exam: its own values, and those of earlier exams for targets that were due before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from eduq.archive import Archive
from eduq.estimates.measures import Measure, load_measures
from eduq.estimates.targets.results import TargetReview
from eduq.estimates.targets.reviews import review_rows
from eduq.estimates.targets.values import ExamValues, values_of_exam
from eduq.intake import ScoreTable
from eduq.registers import Registers
from eduq.rulepacks.refusals import refused_targets
from eduq.rulepacks.target_reviews import values_from_source
from eduq.settings import RunSettings
from eduq.summaries import Summary

__all__ = ["collect_targets"]


def collect_targets(
    estimates: pl.DataFrame,
    summary: Summary,
    scores: ScoreTable,
    *,
    archive: Archive | None,
    registers: Registers | None,
    settings: RunSettings,
    measures: Mapping[str, Measure],
) -> TargetReview | None:
    """Review the targets of the registers as of the day of an exam; None without a register of targets.

    Parameters
    ----------
    estimates, summary, scores
        Of the exam.
    archive
        Gives the values of targets that were due before the exam, of its year group.
    registers, settings, measures
        Of the run.
    """
    if registers is None or registers.targets is None or registers.targets.is_empty():
        return None
    targets, exam = registers.targets, scores.exam.exam
    own = values_of_exam(
        estimates, summary.comparability.frame, date=exam.date, school_year=exam.school_year, year_group=exam.year_group
    ).narrow(targets)
    day = exam.date
    earlier = None
    if archive is not None and day is not None and exam.year_group is not None:
        known = {name: measure for name, measure in (load_measures() | dict(measures)).items() if name in set(targets["measure"])}
        earlier = values_from_source(
            archive,
            targets,
            registers=registers,
            as_of=day,
            definitions=known,
            settings=settings,
            year_group=str(exam.year_group),
        )

    def values(row: Mapping[str, Any]) -> Sequence[ExamValues] | str:
        if day is None:
            return "exam_undated"
        if row["due"] >= day:
            return [own]
        return "due_before_exam" if earlier is None else earlier(row)

    refused = refused_targets(targets, as_of=day)
    latest = max(targets["due"]) if day is None else day
    frame = review_rows(targets, values, refused=refused, as_of=latest, min_n=settings.min_n_reporting)
    if day is None:
        frame = frame.with_columns(pl.lit(None, dtype=pl.Boolean).alias("overdue"))
    version = None if archive is None else archive.version
    return TargetReview(frame=frame, settings={"as_of": day, "archive_version": version, "min_n": settings.min_n_reporting})
