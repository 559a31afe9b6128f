"""What an edition may show of one exam. `protect` makes the only type that bulletins accept."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

import polars as pl

from eduq.disclosure.comparisons import PublishableComparisons, protect_comparisons
from eduq.disclosure.editions import EXAM_EDITIONS, check_edition
from eduq.disclosure.equities import PublishableEquity, protect_equity
from eduq.disclosure.growths import PublishableGrowth, protect_growth
from eduq.disclosure.histories import History, PublishableHistory, protect_history
from eduq.disclosure.states import count_states
from eduq.disclosure.suppression import Certificate, Pattern, Shown, protect_estimates, read_issue
from eduq.disclosure.target_reviews import protect_targets
from eduq.disclosure.withholding import (
    SHOWN_TYPES,
    keep_outward,
    leave_out,
    round_between,
    withhold_cells,
    withhold_compared,
    withhold_course,
    withhold_grown,
    withhold_quantiles,
    withhold_reviewed,
)
from eduq.estimates.exam_comparisons import ExamComparisons
from eduq.estimates.exam_equity import ExamEquity
from eduq.estimates.exam_growth import ExamGrowth
from eduq.estimates.measures import Measure
from eduq.estimates.targets.results import TargetReview
from eduq.intake.exam_file import ExamFile
from eduq.intake.score_table import ScoreTable
from eduq.settings import Edition, RunSettings
from eduq.summaries import AREA_UNIT, Summary
from eduq.tables import CHECKS, COMPARABILITY, ESTIMATE_COLUMNS, INPUTS

__all__ = ["ExamResults", "Publishable", "protect"]

_ESTIMATED = ("estimate", "std_error", "ci_lower", "ci_upper")
_INEXACT = ("value", *_ESTIMATED[1:])


@dataclass(frozen=True)
class Publishable:
    """Results an edition may show: no rows of pupils, no ids, no names of pupils.

    Attributes
    ----------
    edition
        The audience it was made for.
    exam
        exam.toml as resolved: what was stated, taken from the files, or is still unsaid (None, ``?``).
    settings
        Settings of the run.
    estimates
        EstimateTable (see `eduq.tables.EstimateTable`).
    comparability
        One line per comparison group (see `eduq.tables.COMPARABILITY`).
    units
        unit_type, unit, name, parent (township of a school, school of a class, else null), sort_key.
    distribution
        Area score distribution: comparison_group, paper, score (Int32 hundredths), count (Int64); present candidates only.
    statuses
        Area counts by status: comparison_group, paper, status, count.
    inputs, checks
        See `eduq.tables.INPUTS` and `eduq.tables.CHECKS`.
    rejected_counts
        file, code, n: how many rows were not used, by reason.
    measures
        Definitions in use, by id: version, name {zh, en}, kind, formula {zh, en}, cut, absence, homonyms.
    provenance
        settings_hash, inputs_hash, code version: plain strings to print at the foot.
    history
        Course of the schools over the years; None without an archive.
    comparisons
        Units beside their group, similar schools and each other; None where no two can be compared.
    equity
        How equal the schools are; None where there is one only.
    growth
        Growth of schools or classes since earlier exams; None without a prior exam and without an archive.
    targets
        Targets of the register beside their newest values; None without such a register.
    certificate
        What was withheld of the estimates and how that was proved; None where nothing was looked at.
    shown
        Which cells are shown and which must stay withheld, for the ledger of issued editions.
    states
        How many schools are in which state (`eduq.disclosure.states.STATES`); for bureau and government.
    """

    edition: Edition
    exam: ExamFile
    settings: RunSettings
    estimates: pl.DataFrame
    comparability: pl.DataFrame
    units: pl.DataFrame
    distribution: pl.DataFrame
    statuses: pl.DataFrame
    inputs: pl.DataFrame
    checks: pl.DataFrame
    rejected_counts: pl.DataFrame
    measures: dict[str, dict[str, Any]]
    provenance: dict[str, str]
    history: PublishableHistory | None = None
    comparisons: PublishableComparisons | None = None
    equity: PublishableEquity | None = None
    growth: PublishableGrowth | None = None
    targets: TargetReview | None = None
    certificate: Certificate | None = None
    shown: Shown | None = None
    states: pl.DataFrame | None = None

    def summary(self) -> str:
        """Return one line: the edition, the exam, how many numbers it holds and how many of them are withheld or missing."""
        missing = self.estimates["estimate"].null_count()
        return f"{self.edition} edition of {self.exam.exam.id}: {self.estimates.height} estimates, {missing} without a number"

    def __repr__(self) -> str:
        """Say what there is without a row of it."""
        return f"Publishable({self.summary()})"

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.summary())}</p>{self.estimates._repr_html_()}"


def _area_counts(summary: Summary) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the area's score distribution and its counts by status, by comparison group and paper."""
    keys = ["comparison_group", "paper"]
    distribution = summary.area.to_frame().select(*keys, "score", "count")
    schools = summary.by["school"]
    mapping = summary.mapping(schools.units.select("unit_index", "stratum", pl.lit(AREA_UNIT).alias("unit")))
    placed = schools.counts.statuses.join(mapping, on=["unit_index", "paper"])
    statuses = placed.group_by(*keys, "status").agg(pl.col("count").sum()).sort(*keys, "status")
    return distribution, statuses


def _name_units(estimates: pl.DataFrame, schools: pl.DataFrame, teachers: pl.DataFrame | None) -> pl.DataFrame:
    """Return unit_type, unit, name, parent and sort_key of every unit in the estimates."""
    units = estimates.select("unit_type", "unit").unique()
    names = schools.select(
        pl.lit("school").alias("unit_type"), pl.col("school_id").alias("unit"), "name", pl.col("township").alias("parent")
    )
    if teachers is not None and "name" in teachers.columns:
        of_teachers = teachers.select(
            pl.lit("teacher").alias("unit_type"),
            pl.col("teacher_id").alias("unit"),
            "name",
            pl.lit(None, dtype=pl.String).alias("parent"),
        )
        names = pl.concat([names, of_teachers]).unique(["unit_type", "unit"], keep="first", maintain_order=True)
    named = units.join(names, on=["unit_type", "unit"], how="left")
    school_of = pl.when(pl.col("unit_type") == "class").then(pl.col("unit").str.split("/").list.first())
    school_names = dict(zip(schools["school_id"], schools["name"].fill_null(schools["school_id"]), strict=True))
    class_name = pl.concat_str(
        school_of.replace_strict(school_names, default=None, return_dtype=pl.String),
        pl.col("unit").str.split("/").list.slice(1).list.join("/"),
        separator=" ",
    )
    return (
        named.with_columns(
            pl.coalesce("name", pl.when(pl.col("unit_type") == "class").then(class_name), "unit").alias("name"),
            pl.coalesce("parent", school_of).alias("parent"),
        )
        .with_columns(pl.when(pl.col("unit") == AREA_UNIT).then(pl.lit("")).otherwise(pl.col("unit")).alias("sort_key"))
        .sort("unit_type", "sort_key")
    )


@dataclass(frozen=True)
class ExamResults:
    """Everything known of one exam before an audience is chosen; not to be shown as it is.

    Attributes
    ----------
    estimates
        EstimateTable.
    scores, summary
        The exam and its counts.
    settings, measures, provenance
        Of the run.
    teachers
        Register of teachers, for their names; None without one.
    history
        Of the schools; None without an archive.
    comparisons
        Of the units; None where no two can be compared.
    equity
        Of the area; None where there is one school only.
    growth
        Of the units since earlier exams; None without a prior exam and without an archive.
    targets
        Of the register; None without one.
    """

    estimates: pl.DataFrame
    scores: ScoreTable
    summary: Summary
    settings: RunSettings
    measures: Mapping[str, Measure]
    provenance: Mapping[str, str]
    teachers: pl.DataFrame | None = None
    history: History | None = None
    comparisons: ExamComparisons | None = None
    equity: ExamEquity | None = None
    growth: ExamGrowth | None = None
    targets: TargetReview | None = None


def protect(results: ExamResults, *, edition: str, issued: Iterable[str] = ()) -> Publishable:
    """Make results publishable for one audience.

    No edition holds a pupil's row, id or name. Numbers of units with fewer than ``min_n_reporting`` candidates are withheld
    (reason ``below_min_n``), and with them so many further numbers (reason ``secondary``) that no withheld total can be worked
    out from all tables of the edition and all editions issued before that its readers have: proved by linear programs, see
    ``.certificate``. Score distributions of small groups and, of a history, the course of a school with such a year are
    withheld likewise. A quantile has at least half of ``min_n_reporting`` candidates on either side (outside the bureau all of
    it), else it is withheld (reason ``quantile_few``): it would be one candidate's score.

    - ``bureau``: internal; names schools. Of checks it keeps places and counts.
    - ``government``: the area, townships, clusters, kinds of place and sexes; no school, no place of fewer than three schools.
    - ``public``, ``student``: the area, kinds of place and sexes.

    In all but the first a rate that tells of fewer than ``min_n_reporting`` candidates on either side is withheld too, comparison
    groups of a deviation are left out, and there are no comparisons, histories, growth, equity or targets.

    Parameters
    ----------
    results
        What is known of the exam.
    edition
        The audience.
    issued
        ``content`` of the ledger of issued editions (`eduq.tables.ISSUED`); lines of other exams are passed over.

    Returns
    -------
    Publishable

    Raises
    ------
    DisclosureError
        ``edition_unknown``, ``edition_not_available``; ``disclosure_issued`` where an issued edition already tells what must be
        withheld; ``disclosure_unprovable``.
    """
    named = check_edition(edition, EXAM_EDITIONS)
    settings = results.settings
    estimates = results.estimates.select(ESTIMATE_COLUMNS.keys())
    outward = named != "bureau"
    comparability = results.summary.comparability.frame.select(COMPARABILITY.keys())
    beside = settings.min_n_reporting if outward else -(-settings.min_n_reporting // 2)
    pattern = protect_estimates(
        estimates,
        exam_id=results.scores.exam.exam.id or "",
        edition=edition,
        schools=results.scores.schools,
        settings=settings,
        measures=results.measures,
        shown_types=SHOWN_TYPES[named] if outward else estimates["unit_type"].unique().to_list(),
        full_marks=dict(comparability.select("comparison_group", "max_score").iter_rows()),
        issued=[one for content in issued for one in read_issue(content)],
        settings_hash=results.provenance.get("settings", ""),
    )
    shown = withhold_quantiles(withhold_cells(estimates, pattern, settings.min_n_reporting), results.measures, beside)
    of_schools = pl.col("measure") == "school_cv"
    coarse = round_between(shown, pattern, _ESTIMATED)
    shown = shown.with_columns(pl.when(of_schools).then(coarse[name]).otherwise(name).alias(name) for name in _ESTIMATED)
    whole = _bureau(results, shown, comparability, pattern)
    whole = dataclasses.replace(whole, states=count_states(whole))
    return keep_outward(whole, named) if outward else whole


def _bureau(results: ExamResults, estimates: pl.DataFrame, comparability: pl.DataFrame, pattern: Pattern) -> Publishable:
    """Return everything the bureau may see."""
    scores, summary, least = results.scores, results.summary, results.settings.min_n_reporting
    distribution, statuses = _area_counts(summary)
    large = pl.col("count").sum().over("comparison_group") >= least
    rejected = scores.rejected.group_by("file", "code").agg(pl.len().cast(pl.Int64).alias("n")).sort("file", "code")
    compared = None if results.comparisons is None else leave_out(results.comparisons, pattern)
    comparisons = None if compared is None else protect_comparisons(compared, least)
    equity = None if results.equity is None else protect_equity(results.equity, least)
    if equity is not None:
        equity = dataclasses.replace(
            equity, frame=round_between(equity.frame, pattern, _INEXACT), years=round_between(equity.years, pattern, _INEXACT)
        )
    return Publishable(
        edition="bureau",
        exam=scores.exam,
        settings=results.settings,
        estimates=estimates,
        comparability=comparability,
        units=_name_units(results.estimates, scores.schools, results.teachers),
        distribution=distribution.filter(large),
        statuses=statuses,
        inputs=scores.inputs.select(INPUTS.keys()),
        checks=scores.checks.select(CHECKS.keys()),
        rejected_counts=rejected,
        measures={name: measure.model_dump() for name, measure in results.measures.items()},
        provenance=dict(results.provenance),
        history=None if results.history is None else withhold_course(protect_history(results.history, least), pattern),
        comparisons=None if comparisons is None else withhold_compared(comparisons, pattern),
        equity=equity,
        growth=None if results.growth is None else withhold_grown(protect_growth(results.growth, least), pattern),
        targets=None if results.targets is None else withhold_reviewed(protect_targets(results.targets, least), pattern),
        certificate=pattern.certificate,
        shown=pattern.shown,
    )
