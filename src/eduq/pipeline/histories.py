"""The course over the years that stands beside an exam: the archive's exams of its year group and term, and the exam itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from eduq.archive import Archive
from eduq.disclosure import History, HistoryOrigin
from eduq.errors import NotAssessableError
from eduq.estimates.declines import DeclineResult, detect_declines
from eduq.estimates.exam_source import EXAM_FACTS, ExamSource, choose_exams
from eduq.estimates.series import SeriesTable, collect_series
from eduq.intake import ScoreTable
from eduq.registers import Registers
from eduq.settings import RunSettings

__all__ = ["collect_history"]

_MEASURES = ("composite_z", "z_mean", "mean_score")
_FAMILY = ("measure", "subject", "year_group")
_PLACE = ("id", "date", "school_year", "term", "year_group")
"""What exam.toml must say of an exam that is to stand in a yearly series."""


@dataclass(frozen=True)
class _Beside:
    """An archive's exams under the registers of the run, with one exam added to them or in place of the one of its id."""

    archive: Archive
    known: Registers | None
    added: ScoreTable | None

    def exams(self) -> pl.DataFrame:
        """Return what the series needs to know of each exam."""
        facts = self.archive.exams().select(pl.col(name).cast(kind) for name, kind in EXAM_FACTS.items())
        if self.added is None:
            return facts
        exam = self.added.exam.exam
        line = {"exam_id": exam.id, **{name: getattr(exam, name) for name in EXAM_FACTS if name != "exam_id"}}
        others = facts.filter(pl.col("exam_id") != str(exam.id))
        return pl.concat([others, pl.DataFrame([line], schema=EXAM_FACTS)]).sort("date", "exam_id", nulls_last=True)

    def scores(self, exam_id: str, *, columns: Sequence[str] | None = None) -> ScoreTable:
        """Return an exam, the added one as it was read."""
        if self.added is not None and exam_id == self.added.exam.exam.id:
            return self.added
        return self.archive.scores(exam_id, columns=columns)

    def registers(self) -> Registers | None:
        """Return the registers of the run."""
        return self.known


def _origin(archive: Archive, scores: ScoreTable) -> HistoryOrigin:
    """Say whether the exam just read is the archive's, judged by the SHA-256 of its files."""
    here = archive.exams().filter(pl.col("exam_id") == str(scores.exam.exam.id))
    if here.is_empty():
        return "added"
    stored = {file["sha256"] for file in here["files"].item()}
    return "archived" if stored == set(scores.inputs["sha256"]) else "replaced"


def _fit(table: SeriesTable, measure: str, level: float) -> DeclineResult | None:
    """Return the declines of one measure, None where nothing of it has a course."""
    frame = table.frame.filter(pl.col("measure") == measure)
    if frame.is_empty():
        return None
    try:
        return detect_declines(frame, family=_FAMILY, segment="segment", sd="sd", n="n", level=level)
    except NotAssessableError:
        return None


def collect_history(
    archive: Archive, scores: ScoreTable, *, archived: bool, registers: Registers | None, settings: RunSettings
) -> History:
    """Collect the yearly series of the schools that sat an exam, up to its day, and look for declines.

    Parameters
    ----------
    archive
        Holds the earlier exams.
    scores
        The exam.
    archived
        Whether it was read from the archive.
    registers
        Registers of the run.
    settings
        Of the run.

    Returns
    -------
    History
        ``reason`` says why there are no declines: ``exam_unplaced`` (exam.toml does not say year group, term or date), or the
        code of the error that the series or the estimator gave.
    """
    exam = scores.exam.exam
    origin: HistoryOrigin = "archived" if archived else _origin(archive, scores)
    facts: dict[str, Any] = {"archive_version": archive.version, "origin": origin}
    if registers is not None:
        facts["names"] = dict(registers.schools.select("school_id", "name").drop_nulls().iter_rows())
    if any(getattr(exam, name) is None for name in _PLACE):
        return History(**facts, reason="exam_unplaced")
    source: ExamSource = _Beside(archive, registers, None if origin == "archived" else scores)
    try:
        chosen = choose_exams(source.exams(), year_groups=[str(exam.year_group)], term=exam.term, as_of=exam.date)
        if chosen.filter("used")["school_year"].n_unique() < 2:  # nothing to set beside: the exams need not be read
            return History(**facts, left_out=chosen, reason="declines_one_period")
        table = collect_series(
            source,
            unit_type="school",
            measures=_MEASURES,
            year_groups=[str(exam.year_group)],
            term=exam.term,
            as_of=exam.date,
            settings=settings,
        )
    except NotAssessableError as error:
        return History(**facts, reason=error.code)
    facts |= {"left_out": table.left_out, "notes": table.notes, "series": table.frame}
    declines = _fit(table, "composite_z", settings.conf_level)
    if declines is None:
        reason = "declines_one_period" if table.frame["period"].n_unique() < 2 else "declines_too_few_periods"
        return History(**facts, reason=reason)
    return History(**facts, declines=declines, subjects=_fit(table, "z_mean", settings.conf_level))
