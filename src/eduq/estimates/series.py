"""Yearly series of units from the exams of a source: what trends, declines and ladders are computed from."""

from __future__ import annotations

import dataclasses
import datetime as dt
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Literal

import polars as pl

from eduq.errors import NotAssessableError, UsageError
from eduq.estimates.exam_source import ExamSource, choose_exams, sources_from_scores
from eduq.estimates.measures import Measure, load_measures
from eduq.estimates.results import EstimateResult
from eduq.estimates.unit_lines import measure_exam, pool_teachers
from eduq.intake.score_table import ScoreTable
from eduq.registers import Lineage, Registers, apply_registers, follow_events
from eduq.settings import RunSettings
from eduq.tables import SERIES, status_column

__all__ = ["NOTES", "SERIES_PAPERS", "ExamSource", "SeriesTable", "collect_series", "follow_renames", "sources_from_scores"]

SeriesUnit = Literal["school", "class", "teacher", "township", "cluster", "area"]
_UNITS = ("school", "class", "teacher", "township", "cluster", "area")
_KEYS = ["unit", "year_group", "subject", "measure"]
_RANK_DECIMALS = 4
SERIES_PAPERS: dict[str, pl.DataType] = {
    "exam_id": pl.String(),
    "year_group": pl.String(),
    "period": pl.String(),
    "paper": pl.String(),
    "subject": pl.String(),
    "max_score": pl.Float64(),
    "weight": pl.Float64(),
}
"""Papers of the exams used."""
NOTES: dict[str, pl.DataType] = {
    "year_group": pl.String(),
    "period": pl.String(),
    "exam_id": pl.String(),
    "subject": pl.String(),
    "code": pl.String(),
    "before": pl.String(),
    "after": pl.String(),
}
"""What changed in the papers since the exam before: ``papers_changed`` (subject ``composite``: the set of subjects) or
``max_score_changed``."""


@dataclass(frozen=True)
class SeriesTable:
    """Yearly series, the exams they rest on and what was left out.

    Attributes
    ----------
    frame
        `eduq.tables.SERIES`, then ``n_elsewhere`` (Int64: the unit's candidates in other comparison groups of the exam, not
        in the estimate) and ``date`` (Date of the exam); sorted by measure, subject, year group, unit and period. The words
        of a ``reason`` stand under ``reasons``, those of ``school_ended`` under ``series_reasons``.
    left_out
        `eduq.tables.LEFT_OUT`: every exam of the source.
    papers
        `SERIES_PAPERS`.
    notes
        `NOTES`.
    term, as_of
        The term of the exams, and the day up to which exams and events count.
    """

    frame: pl.DataFrame
    left_out: pl.DataFrame
    papers: pl.DataFrame
    notes: pl.DataFrame
    term: int
    as_of: dt.date

    def summary(self) -> str:
        """Return one line of counts."""
        units, periods = self.frame["unit"].n_unique(), self.frame["period"].n_unique()
        used = int(self.left_out["used"].sum())
        return (
            f"{self.frame.height} values of {units} units in {periods} school years, from {used} of {self.left_out.height} exams"
        )

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.summary())}</p>{self.frame._repr_html_()}"

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Write the frame as ``.parquet`` or ``.csv``, whole or not at all, and return the path."""
        return EstimateResult(frame=self.frame, settings={}).write(path)


def _read(source: ExamSource, exam_id: str, unit_type: str) -> ScoreTable:
    """Return an exam with no more columns than its groups, units and papers need."""
    facts = source.scores(exam_id, columns=["school_id"])
    columns = ["school_id", "year_group", "track", *(["class_id"] if unit_type in ("class", "teacher") else [])]
    columns += [name for paper in facts.papers for name in (paper.code, status_column(paper.code))]
    return source.scores(exam_id, columns=columns)


def follow_renames(scores: ScoreTable, lineage: Lineage) -> ScoreTable:
    """Give schools the id they have today, in the rows, the school list and the deviations."""
    if not lineage.unit_of:
        return scores
    current = pl.col("school_id").replace(lineage.unit_of)
    deviations = tuple(
        deviation.model_copy(update={"schools": tuple(lineage.unit(school) for school in deviation.schools)})
        for deviation in scores.exam.deviations
    )
    return dataclasses.replace(
        scores,
        frame=scores.frame.with_columns(current),
        schools=scores.schools.with_columns(current).unique("school_id", keep="first", maintain_order=True).sort("school_id"),
        exam=scores.exam.model_copy(update={"deviations": deviations}),
    )


def _teachers(registers: Registers | None, lineage: Lineage, exam: Mapping[str, object]) -> pl.DataFrame:
    found = None if registers is None else registers.teachers_of(str(exam["school_year"]), int(str(exam["term"])))
    if found is None:
        raise UsageError("teachers_missing")
    return found.select("teacher_id", pl.col("school_id").replace(lineage.unit_of), "class_id", "subject").unique().sort(pl.all())


def _paper_lines(exam: Mapping[str, object], scores: ScoreTable) -> pl.DataFrame:
    rows = [
        (exam["exam_id"], exam["year_group"], exam["school_year"], paper.code, paper.subject_code, paper.max_score, paper.weight)
        for paper in scores.papers
    ]
    return pl.DataFrame(rows, schema=SERIES_PAPERS, orient="row")


def _design_changes(papers: pl.DataFrame) -> pl.DataFrame:
    """Return what changed in the papers from one exam of a year group to the next."""
    lines: list[tuple[object, ...]] = []
    for (year_group,), group in papers.sort("year_group", "period", "paper").group_by(["year_group"], maintain_order=True):
        designs: list[tuple[str, str, dict[str, str]]] = []
        for (period, exam_id), part in group.group_by(["period", "exam_id"], maintain_order=True):
            marks: dict[str, str] = {}
            for paper in part.iter_rows(named=True):
                mark = "?" if paper["max_score"] is None else f"{paper['max_score']:g}"
                marks[paper["subject"]] = "+".join(filter(None, (marks.get(paper["subject"]), mark)))
            designs.append((str(period), str(exam_id), marks))
        for (_, _, before), (period, exam_id, after) in pairwise(designs):
            if set(before) != set(after):
                lines.append(
                    (
                        year_group,
                        period,
                        exam_id,
                        "composite",
                        "papers_changed",
                        "+".join(sorted(before)),
                        "+".join(sorted(after)),
                    )
                )
            for subject in sorted(set(before) & set(after)):
                if before[subject] != after[subject]:
                    lines.append((year_group, period, exam_id, subject, "max_score_changed", before[subject], after[subject]))
    return pl.DataFrame(lines, schema=NOTES, orient="row").sort("year_group", "period", "subject")


def _school(unit: str, unit_type: str) -> str:
    """Return the school of a unit; a class is ``school/class``."""
    return unit.partition("/")[0] if unit_type == "class" else unit


def _add_segments(frame: pl.DataFrame, lineage: Lineage, notes: pl.DataFrame, *, unit_type: str, breaks: bool) -> pl.DataFrame:
    """Number the segments of each series from 1: they count up at mergers, splits and new schools, and if asked at new papers."""
    begun = [
        lineage.segment(_school(unit, unit_type), date) if unit_type in ("school", "class") else 0
        for unit, date in zip(frame["unit"], frame["date"], strict=True)
    ]
    frame = frame.with_columns(pl.Series("begun", begun, dtype=pl.Int64))
    changed = pl.lit(0)
    if breaks:
        for note in notes.iter_rows(named=True):
            touched = pl.col("subject").is_in([note["subject"], "composite"])
            here = touched & (pl.col("year_group") == note["year_group"]) & (pl.col("period") >= note["period"])
            changed = changed + here.fill_null(False).cast(pl.Int64)
    return (
        frame.with_columns((pl.col("begun") + changed).alias("begun"))
        .with_columns(pl.col("begun").rank("dense").over(_KEYS).cast(pl.Int64).alias("segment"))
        .drop("begun")
    )


def _add_ranks(frame: pl.DataFrame) -> pl.DataFrame:
    """Add rank (1 highest, ties share, on values as printed) and n_units among the estimates of each comparison group."""
    among = ["period", "comparison_group", "subject", "measure"]
    shown = pl.col("estimate").round(_RANK_DECIMALS)
    return frame.with_columns(
        shown.rank("min", descending=True).over(among).cast(pl.Int64).alias("rank"),
        pl.col("estimate").count().over(among).cast(pl.Int64).alias("n_units"),
    )


def _end_schools(frame: pl.DataFrame, lineage: Lineage, unit_type: str) -> pl.DataFrame:
    """Take the numbers from schools that the register says are no more on the day of the exam."""
    if unit_type not in ("school", "class") or not lineage.ends:
        return frame
    days = zip(frame["unit"], frame["date"], strict=True)
    ended = [lineage.has_ended(_school(unit, unit_type), day) for unit, day in days]
    gone = pl.Series("gone", ended, dtype=pl.Boolean)
    return (
        frame.with_columns(gone)
        .with_columns(
            pl.when(pl.col("gone")).then(pl.lit("school_ended")).otherwise("reason").alias("reason"),
            *(pl.when(~pl.col("gone")).then(pl.col(name)).alias(name) for name in ("estimate", "sd", "std_error")),
        )
        .drop("gone")
    )


def _definitions(measures: Sequence[str], unit_type: str, given: Mapping[str, Measure] | None) -> dict[str, Measure]:
    known = dict(given) if given is not None else load_measures(names=tuple(measures))
    if missing := [name for name in measures if name not in known]:
        raise UsageError("series_measure", measure=missing[0], unit_type=unit_type)
    unfit = ("composite_penalised", "school_cv", *(("composite_z", "all_pass_rate") if unit_type == "teacher" else ()))
    if refused := [name for name in measures if name in unfit]:
        raise UsageError("series_measure", measure=refused[0], unit_type=unit_type)
    return {name: known[name] for name in measures}


def collect_series(
    source: ExamSource,
    *,
    unit_type: SeriesUnit = "school",
    measures: Sequence[str] = ("composite_z",),
    subjects: Sequence[str] | None = None,
    year_groups: Sequence[str] | None = None,
    term: int | None = None,
    as_of: dt.date | None = None,
    new_papers: Literal["standardise", "breaks"] = "standardise",
    settings: RunSettings | None = None,
    definitions: Mapping[str, Measure] | None = None,
) -> SeriesTable:
    """Collect one value per unit, year group, subject, measure and school year from the exams of a source.

    One exam per year group, school year and term is used (`eduq.estimates.exam_source.choose_exams`); only those are read. A
    school renamed to another id is one unit; a merger, split or new school begins a new segment on the day of the event, an
    exam on that day included; after its end a school has no number. A unit whose candidates lie in several comparison groups
    of an exam is given for the group that holds most of them, ``n_elsewhere`` saying how many it leaves aside. Teachers are
    pooled over their classes, groups and year groups of a stage: every candidate's z within the own group, weighted alike.

    Parameters
    ----------
    source
        An archive, or `sources_from_scores`.
    unit_type
        school, class, teacher (needs the register of teachers), township, cluster or area.
    measures
        Ids of measures; ``composite_z`` has the subject ``composite``, others one value per subject.
    subjects
        Subjects of the other measures, ``total`` included when named; all subjects when left out.
    year_groups, term, as_of
        See `choose_exams`; events of the registers after `as_of` are not known either.
    new_papers
        ``standardise``: other papers or full marks than the year before are noted, the series goes on; ``breaks``: they begin
        a new segment of the subject and of the composite.
    settings
        Run settings; defaults when left out.
    definitions
        Definitions of measures by id, local ones among them; the shipped ones when left out.

    Returns
    -------
    SeriesTable
        ``.frame`` as `eduq.tables.SERIES`: estimate and sd in SD for z measures, 0-1 for rates (sd = √(p(1-p))), marks for
        means; std_error = sd/√n.

    Raises
    ------
    UsageError
        ``series_unit``, ``series_measure`` or ``teachers_missing``.
    NotAssessableError
        ``series_no_exams`` or ``series_no_values``.
    SettingsError, DataFileError
        What `apply_registers` and the exams' own settings give.

    Examples
    --------
    >>> import eduq as eq
    >>> from eduq.registers import read_registers
    >>> from eduq.resources import sample_data_path
    >>> sample = sample_data_path()
    >>> exams = [eq.read_scores(sample / f"{year}-2-g9-final") for year in (2023, 2024)]
    >>> source = sources_from_scores(exams, read_registers(sample / "registers"))
    >>> found = collect_series(source)
    >>> found.frame.filter(unit="S003")["estimate"].round(2).to_list()
    [-0.37, -0.47]
    """
    if unit_type not in _UNITS:
        raise UsageError("series_unit", unit_type=unit_type, known=", ".join(_UNITS))
    run = settings or RunSettings()
    known = _definitions(measures, unit_type, definitions)
    exams = source.exams()
    left_out = choose_exams(exams, year_groups=year_groups, term=term, as_of=as_of)
    used = exams.join(left_out.filter("used").select("exam_id"), on="exam_id", how="semi").sort("date", "exam_id")
    day = as_of or used["date"][-1]
    registers = source.registers()
    lineage = follow_events(registers, day) if registers is not None else Lineage({}, {}, {})
    lines, papers, without = [], [], {}
    for exam in used.iter_rows(named=True):
        scores = _read(source, exam["exam_id"], unit_type)
        if registers is not None:
            scores = follow_renames(apply_registers(scores, registers), lineage)
        teachers = _teachers(registers, lineage, exam) if unit_type == "teacher" else None
        table = measure_exam(
            scores, unit_type=unit_type, measures=known, subjects=subjects, settings=run, teachers=teachers
        ).filter(pl.col("year_group").is_null() | (pl.col("year_group") == exam["year_group"]))
        papers.append(_paper_lines(exam, scores))
        if table["estimate"].null_count() == table.height:
            without[exam["exam_id"]] = "no_values" if table.is_empty() else "not_comparable"
        lines.append(
            table.with_columns(
                pl.lit(exam["year_group"]).alias("year_group"),
                pl.lit(exam["school_year"]).alias("period"),
                pl.lit(exam["exam_id"]).alias("exam_id"),
                pl.lit(exam["date"], dtype=pl.Date).alias("date"),
            )
        )
    frame = _end_schools(pl.concat(lines), lineage, unit_type)
    if frame.is_empty():
        raise NotAssessableError("series_no_values", n=len(lines))
    if unit_type == "teacher":
        frame = pool_teachers(frame, known)
    notes = _design_changes(pl.concat(papers))
    frame = _add_segments(_add_ranks(frame), lineage, notes, unit_type=unit_type, breaks=new_papers == "breaks")
    frame = frame.with_columns(pl.lit(unit_type).alias("unit_type")).sort("measure", "subject", "year_group", "unit", "period")
    reason = pl.coalesce(pl.col("exam_id").replace_strict(without, default=None, return_dtype=pl.String), "reason")
    left_out = left_out.with_columns(reason.alias("reason")).with_columns(pl.col("reason").is_null().alias("used"))
    return SeriesTable(
        frame=frame.select([pl.col(name).cast(kind) for name, kind in SERIES.items()] + [pl.col("n_elsewhere"), pl.col("date")]),
        left_out=left_out,
        papers=pl.concat(papers).sort("year_group", "period", "exam_id", "paper"),
        notes=notes,
        term=int(used["term"][0]),
        as_of=day,
    )
