"""The public function: an exam and the register of teachers to the teacher-class-subject-term table."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from eduq.errors import NotAssessableError, UsageError
from eduq.estimates.measures import Measure
from eduq.estimates.teaching.classes import count_classes
from eduq.estimates.teaching.likeness import add_references
from eduq.estimates.teaching.links import join_teachers, teacher_circles
from eduq.estimates.teaching.results import TeachingTable
from eduq.intake.exam_file import ExamFile
from eduq.intake.score_table import ScoreTable
from eduq.settings import RunSettings

__all__ = ["measure_teaching"]


def measure_teaching(
    scores: ScoreTable,
    teachers: pl.DataFrame | None,
    *,
    settings: RunSettings | None = None,
    measures: Mapping[str, Measure] | None = None,
    growth: pl.DataFrame | None = None,
) -> TeachingTable:
    """Give every teacher, class and paper its figures beside like classes of other teachers; nothing is put in order by value.

    Like classes have the same comparison group, kind (行政班 or 教学班) and combination; left out are the classes of the same
    teacher and of all who share a class with that teacher in the subject. Fewer than five like classes: no reference.

    Parameters
    ----------
    scores
        From `eduq.read_scores`, with class_id, or ``<paper>_class`` for teaching classes.
    teachers
        teacher_id, school_id, class_id, subject, and share, name, school_year, term where known; entries of another school year
        or term are left aside, entries without one hold for all.
    settings
        Run settings; defaults when left out.
    measures
        Definitions of low_score_rate, pass_rate and excellent_rate by id; the shipped ones where they are missing.
    growth
        `eduq.tables.GROWTH` of classes, when pupils are linked to an earlier exam; only carried along.

    Returns
    -------
    TeachingTable
        ``.frame`` as `eduq.tables.TEACHING`; not to be handed on as it is: `eduq.disclosure.protect_feedback` makes what one
        teacher may see.

    Raises
    ------
    UsageError
        ``teachers_missing``: there is no register of teachers.
    NotAssessableError
        ``classes_missing``: the files name no class. ``feedback_term_unknown``: the register is by school year or term, and
        exam.toml does not say which the exam belongs to.

    Examples
    --------
    >>> import eduq as eq
    >>> from eduq.registers import read_registers
    >>> from eduq.resources import sample_data_path
    >>> sample = sample_data_path()
    >>> scores = eq.read_scores(sample / "2025-2-g9-final")
    >>> teachers = read_registers(sample / "registers").teachers_of("2025-2026", 2)
    >>> found = eq.measure_teaching(scores, teachers)
    >>> found.frame.filter(pl.col("class_id").is_null(), measure="like_gap", teacher_id="T00001")["n_like"].item()
    152
    """
    if teachers is None:
        raise UsageError("teachers_missing")
    run = settings or RunSettings()
    teachers = _of_term(teachers, scores.exam)
    classes = count_classes(scores, settings=run, measures=measures)
    links = join_teachers(classes, teachers)
    circle = teacher_circles(classes, links)
    names = {"schools": scores.schools.select("school_id", "name")}
    if "name" in teachers.columns:
        names["teachers"] = (
            teachers.select("teacher_id", "name").drop_nulls().unique("teacher_id", keep="first", maintain_order=True)
        )
    return TeachingTable(
        classes=add_references(classes, circle, min_n=run.min_n_reporting, conf_level=run.conf_level),
        links=links,
        exam=scores.exam,
        names=names,
        settings=run,
        growth=growth,
    )


def _of_term(teachers: pl.DataFrame, exam: ExamFile) -> pl.DataFrame:
    """Return who taught when the exam was sat; who taught a class of that name in another year must not get its figures."""
    for name, value in (("school_year", exam.exam.school_year), ("term", exam.exam.term)):
        if name not in teachers.columns:
            continue
        if value is None and teachers[name].null_count() < teachers.height:
            raise NotAssessableError("feedback_term_unknown")
        teachers = teachers.filter(pl.col(name).is_null() | (pl.col(name) == value))
    return teachers
