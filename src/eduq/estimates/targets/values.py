"""Where the value of a target comes from: the newest exam by its due day, measured like any other exam."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl

from eduq.estimates.exam_source import EXAM_FACTS, ExamSource
from eduq.estimates.levels import estimate_levels, pass_cuts, unit_columns
from eduq.estimates.measures import Measure
from eduq.estimates.series import follow_renames
from eduq.groups import COMPOSITE, EVERY_PAPER
from eduq.registers import Lineage, Registers, apply_registers, follow_events
from eduq.settings import RunSettings
from eduq.summaries import summarise
from eduq.summaries.sweeps import AREA_UNIT
from eduq.tables import status_column

__all__ = ["MEASURED_UNITS", "ExamValues", "lines_of", "measure_targets", "newest_exams", "values_of_exam"]

MEASURED_UNITS = ("area", "township", "cluster", "area_type", "school", "class", "teacher")
_FIRST_CHOICE = ("graduation", "monitoring")


@dataclass(frozen=True)
class ExamValues:
    """Estimates of one exam with what places them.

    Attributes
    ----------
    exam_id, date, school_year
        Of the exam; None where it does not say.
    year_groups
        Comparison group to year group.
    estimates
        `eduq.tables.EstimateTable`.
    """

    exam_id: str
    date: dt.date | None
    school_year: str | None
    year_groups: Mapping[str, str | None]
    estimates: pl.DataFrame

    @cached_property
    def index(self) -> dict[tuple[str, str, str], list[dict[str, Any]]]:
        """Lines by unit type, unit and measure."""
        found: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
        for item in self.estimates.sort("comparison_group", "paper").iter_rows(named=True):
            found.setdefault((item["unit_type"], item["unit"], item["measure"]), []).append(item)
        return found

    def narrow(self, targets: pl.DataFrame) -> ExamValues:
        """Return the values that some target of a register asks for."""
        asked = targets.select("unit_type", pl.col("unit_id").fill_null(AREA_UNIT).alias("unit"), "measure").unique()
        return dataclasses.replace(self, estimates=self.estimates.join(asked, on=asked.columns, how="semi"))


def values_of_exam(
    estimates: pl.DataFrame, comparability: pl.DataFrame, *, date: dt.date | None, school_year: str | None, year_group: str | None
) -> ExamValues:
    """Return an exam's estimates as values for targets; groups without a year group are of that of the exam."""
    groups = dict(comparability.select("comparison_group", "year_group").iter_rows())
    exam_id = estimates["exam_id"][0] if estimates.height else ""
    return ExamValues(exam_id, date, school_year, {name: said or year_group for name, said in groups.items()}, estimates)


def newest_exams(exams: pl.DataFrame, by: dt.date) -> list[str]:
    """Return the newest exam of each year group by a day, of the newest school year in which there is any.

    Exams of one school only, or without date, school year, term or year group, do not count; graduation and monitoring exams come
    before mocks of the same term.
    """
    facts = exams.select(pl.col(name).cast(kind) for name, kind in EXAM_FACTS.items())
    known = facts.filter(
        pl.all_horizontal(pl.col("date", "school_year", "term", "year_group").is_not_null()), pl.col("date") <= by
    )
    shared = known.filter(pl.col("scope").is_null() | ~pl.col("scope").is_in(["school", "cluster"]))
    if shared.is_empty():
        return []
    newest = shared.filter(pl.col("school_year") == pl.col("school_year").max())
    ordered = newest.with_columns(pl.col("purpose").is_in(_FIRST_CHOICE).fill_null(False).alias("_first"))
    ordered = ordered.sort("term", "_first", "date", "exam_id", descending=True)
    return sorted(ordered.unique("year_group", keep="first", maintain_order=True)["exam_id"].to_list())


def measure_targets(
    source: ExamSource,
    exam_id: str,
    *,
    unit_types: Sequence[str],
    definitions: Mapping[str, Measure],
    registers: Registers | None,
    as_of: dt.date,
    settings: RunSettings,
) -> ExamValues:
    """Measure the units of one exam of a source under the registers, schools by the id they have today."""
    wanted = tuple(dict.fromkeys(["school", *unit_types]))
    facts = source.scores(exam_id, columns=["school_id"])
    columns = ["school_id", "year_group", "track", *(["class_id"] if {"class", "teacher"} & set(wanted) else [])]
    columns += [name for paper in facts.papers for name in (paper.code, status_column(paper.code))]
    scores = source.scores(exam_id, columns=columns)
    lineage = Lineage({}, {}, {}) if registers is None else follow_events(registers, as_of)
    if registers is not None:
        scores = follow_renames(apply_registers(scores, registers), lineage)
    exam = scores.exam.exam
    teachers = None if registers is None else registers.teachers_of(exam.school_year, exam.term)
    if teachers is None:
        wanted = tuple(name for name in wanted if name != "teacher")
    summary = summarise(
        scores, by=unit_columns(wanted, scores.frame.columns), settings=settings, pass_cuts=pass_cuts(scores.exam, definitions)
    )
    frame = estimate_levels(summary, scores, by=wanted, settings=settings, measures=definitions, teachers=teachers)
    return values_of_exam(
        frame, summary.comparability.frame, date=exam.date, school_year=exam.school_year, year_group=exam.year_group
    )


def lines_of(values: ExamValues, row: Mapping[str, Any], unit: str) -> list[dict[str, Any]]:
    """Return the estimates of an exam that a target is about, one per comparison group."""
    subject = row["subject"] or (EVERY_PAPER if row["measure"] == "all_pass_rate" else COMPOSITE)
    mine = values.index.get((row["unit_type"], unit, row["measure"]), [])
    return [item for item in mine if subject in (item["subject"], item["paper"])]
