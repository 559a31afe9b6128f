"""Equity of one exam from its counts, and its course over the years from the series of an archive. No row is read again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from html import escape
from typing import Any

import numpy as np
import polars as pl

from eduq.errors import UsageError
from eduq.estimates.equity.exam_inputs import read_summary
from eduq.estimates.equity.gaps import compare_sides, unit_gap
from eduq.estimates.equity.index_values import IndexValue
from eduq.estimates.equity.inputs import Columns, EquityData, read_units
from eduq.estimates.equity.limits import EquityLimit, judge_limit
from eduq.estimates.equity.measurement import follow_periods
from eduq.estimates.equity.shares import intraclass_correlation, variance_share
from eduq.estimates.equity.unit_tables import measure_table
from eduq.estimates.equity.variation import corrected_cv
from eduq.estimates.pictures import draw_intervals
from eduq.groups import COMPOSITE, DERIVED
from eduq.intake.score_table import ScoreTable
from eduq.settings import RunSettings
from eduq.summaries import Summary
from eduq.tables import EQUITY, EQUITY_COURSE, SUBGROUP_PREFIX

__all__ = ["SERIES_MEASURES", "ExamEquity", "add_school_cells", "follow_exams", "measure_exam_equity"]

SERIES_MEASURES = {"composite_z": COMPOSITE, "z_mean": None, "mean_score": None}
"""Measures of a yearly series that the course is read from: shares and gaps from z, coefficients of variation from marks."""
_MOST_LEVELS = 12
_AREA_TYPE = "area_type"
_PREFERRED = {_AREA_TYPE: ("urban", "town"), "sex": ("male",)}
"""Levels that others are set against."""
_NO_ZERO = "not_ratio_scale"


@dataclass(frozen=True, repr=False)
class ExamEquity:
    """Equity of an exam before an audience is chosen; not to be shown as it is.

    Attributes
    ----------
    frame
        `eduq.tables.EQUITY` of the exam.
    years
        `eduq.tables.EQUITY` of every school year of the series, the exam's own included, without limits; empty without an
        archive.
    course
        `eduq.tables.EQUITY_COURSE`.
    limits
        Limits of the texts in force on the day of the exam that an index was set against.
    unlimited
        Why there are none (wording ``bulletin.equity.unlimited_<code>``); None where there are.
    elsewhere
        Requirements of the same texts that scores cannot answer: measure, limit, source.
    n_small
        Schools with too few pupils to count in the indices of variation.
    """

    frame: pl.DataFrame
    years: pl.DataFrame
    course: pl.DataFrame
    limits: tuple[EquityLimit, ...] = ()
    unlimited: str | None = None
    elsewhere: tuple[dict[str, Any], ...] = ()
    n_small: int = 0

    def summary(self) -> str:
        """Return one line: indices, tables of schools, how many have no number, and the states against limits."""
        tables = self.frame.select("subject", "comparison_group").n_unique()
        missing = self.frame["value"].null_count()
        said = f"{self.frame['index'].n_unique()} indices of {tables} tables of schools, {missing} without a number"
        states = self.frame["limit_state"].drop_nulls().value_counts().sort("limit_state")
        return said + ("; limits: " + ", ".join(f"{state} {n}" for state, n in states.iter_rows()) if states.height else "")

    def __repr__(self) -> str:
        return f"{type(self).__name__}: {self.summary()}"

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.summary())}</p>{self.frame._repr_html_()}"

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Hand the frame to Arrow, as the results of estimators do."""
        return self.frame.__arrow_c_stream__(requested_schema)

    def plot(self, index: str = "between_school_share") -> Any:
        """Return one index of every table of schools with its interval (lets-plot).

        Raises
        ------
        UsageError
            ``equity_nothing_to_draw``: no table has a value of this index.
        """
        parts = [pl.col(name) for name in ("subject", "comparison_group", "attribute", "level", "reference")]
        label = pl.concat_str(parts, separator=" · ", ignore_nulls=True).alias("label")
        drawn = self.frame.filter(pl.col("index") == index, pl.col("value").is_not_null())
        if drawn.is_empty():
            raise UsageError("equity_nothing_to_draw", index=index, known=", ".join(self.frame["index"].unique().sort()))
        return draw_intervals(drawn.select(label, "value", "ci_lower", "ci_upper"), axis=index)


def add_school_cells(by: Mapping[str, Sequence[str]], frame: pl.DataFrame) -> dict[str, list[str]]:
    """Return what rows are counted by, groups of pupils (sex, declared subgroups) within their schools; same number of sweeps.

    Subgroups that nobody asked for are counted too, if they have at most twelve values.
    """
    found = {name: list(columns) for name, columns in by.items()}
    for name in frame.columns:
        wanted = name in found or (name.startswith(SUBGROUP_PREFIX) and 1 < frame[name].drop_nulls().n_unique() <= _MOST_LEVELS)
        if (name == "sex" or name.startswith(SUBGROUP_PREFIX)) and wanted:
            found[name] = ["school_id", name]
    return found


def measure_exam_equity(
    summary: Summary, scores: ScoreTable, *, settings: RunSettings, limits: Sequence[EquityLimit] = ()
) -> tuple[pl.DataFrame, int] | None:
    """Measure the equity of every paper, the total and the composite of an exam.

    Parameters
    ----------
    summary
        Counted by school, and by school and attribute (`add_school_cells`).
    scores
        For the exam and the kinds of its schools.
    settings
        ``min_n_reporting``: a side of a gap with fewer pupils gets no number, a school with fewer is left out of the indices of
        variation (a range would show its mean).
    limits
        Those in force.

    Returns
    -------
    tuple or None
        `eduq.tables.EQUITY`, and how many schools are too small; None where there is one school only.
    """
    counted = summary.by["school"].units["school_id"]
    if counted.n_unique() < 2:
        return None
    kinds = (
        [_AREA_TYPE] if _AREA_TYPE in scores.schools.columns and scores.schools[_AREA_TYPE].drop_nulls().n_unique() > 1 else []
    )
    sides = [name for name, unit in summary.by.items() if _divides(name, unit.units)]
    tables = read_summary(summary, scores.schools, unit_attributes=kinds, pupil_attributes=sides)
    exam = scores.exam.exam
    subjects = {paper.code: paper.subject_code for paper in scores.papers} | {name: name for name in DERIVED}
    rows = []
    for table in tables:
        paper, group = (str(part) for part in table.key)
        found = measure_table(
            table,
            _references(table),
            settings.min_n_reporting,
            settings.conf_level,
            settings.pooled_mean_below,
            varied_from=settings.min_n_reporting,
        )
        facts = {"exam_id": exam.id, "school_year": exam.school_year, "comparison_group": group}
        facts |= {"subject": subjects.get(paper, paper), "paper": paper}
        rows += [
            facts | _line(item, table, settings.conf_level) | _judged(item, limits)
            for item in (found[:1] if table.reason else found)
            if paper != COMPOSITE or item.reason != _NO_ZERO
        ]
    return pl.DataFrame(rows, schema=EQUITY, orient="row"), _count_small(summary, settings.min_n_reporting)


def _divides(name: str, units: pl.DataFrame) -> bool:
    """Whether a kind of unit is a group of pupils counted within schools, of at least two and at most twelve levels."""
    if not (name == "sex" or name.startswith(SUBGROUP_PREFIX)) or "school_id" not in units.columns:
        return False
    return 1 < units[name].drop_nulls().n_unique() <= _MOST_LEVELS


def _count_small(summary: Summary, least: int) -> int:
    """Return how many schools with results have too few pupils in every paper."""
    most = summary.schools.rows.select("unit", pl.Series("n", summary.schools.n)).group_by("unit").agg(pl.col("n").max())
    return most.filter((pl.col("n") > 0) & (pl.col("n") < least)).height


def _references(table: EquityData) -> dict[str, str]:
    """Return the level the others are set against: towns, boys, of a declared subgroup the level of most pupils."""
    found = {}
    for name, kinds in table.attributes.items():
        found[name] = _preferred(name, {kind for kind in kinds if kind})
    for name, cells in table.cells.items():
        found[name] = _preferred(name, set(cells.group))
        if not found[name]:
            sizes: dict[str, float] = {}
            for level, n in zip(cells.group, cells.sums.n, strict=True):
                sizes[level] = sizes.get(level, 0.0) + float(n)
            found[name] = min(sizes, key=lambda level: (-sizes[level], level))
    return {name: level for name, level in found.items() if level}


def _preferred(name: str, levels: set[str]) -> str:
    return next((level for level in _PREFERRED.get(name, ()) if level in levels), "")


def _line(item: IndexValue, table: EquityData, conf_level: float) -> dict[str, Any]:
    given = {field.name: getattr(item, field.name) for field in fields(item)}
    if not item.n_units:
        given |= {"n_units": table.sums.size, "n": round(table.sums.total)}
    given["level"] = given.pop("group")
    return given | {"conf_level": conf_level if item.ci_lower is not None else None}


def _judged(item: IndexValue, limits: Sequence[EquityLimit]) -> dict[str, Any]:
    for limit in limits:
        if limit.index == item.index:
            state = judge_limit(limit, item.value, item.ci_lower, item.ci_upper, census=item.method == "census")
            return {"limit": limit.value, "limit_state": state, "limit_source": limit.source}
    return {}


def follow_exams(series: pl.DataFrame, schools: pl.DataFrame, *, settings: RunSettings) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Follow the indices over the school years of a series: shares and gaps on the z scale, coefficients of variation on marks.

    Of each year the comparison group of most candidates counts; a year whose schools have candidates in several groups of a
    subject does not. Shares and gaps do not depend on the scale of a paper; a coefficient of variation does.

    Parameters
    ----------
    series
        `eduq.tables.SERIES` of schools with ``n_elsewhere``, measures `SERIES_MEASURES`.
    schools
        school_id, and area_type where it is known.
    settings
        Of the run.

    Returns
    -------
    tuple
        `eduq.tables.EQUITY`, one line per index, subject and school year, and `eduq.tables.EQUITY_COURSE`.
    """
    kinds = [_AREA_TYPE] if _AREA_TYPE in schools.columns and schools[_AREA_TYPE].drop_nulls().n_unique() > 1 else []
    known = schools.select(pl.col("school_id").alias("unit"), *kinds).unique("unit", keep="first", maintain_order=True)
    chosen = _main_groups(series).join(known, on="unit", how="left", maintain_order="left")
    if chosen.is_empty():
        return pl.DataFrame(schema=EQUITY), pl.DataFrame(schema=EQUITY_COURSE)
    exams = dict(chosen.select("period", "exam_id").unique().sort("period", "exam_id").iter_rows())
    groups = {row[:3]: row[3] for row in chosen.select("measure", "subject", "period", "comparison_group").unique().iter_rows()}
    columns = Columns("unit", None, "n", "estimate", "sd", ("measure", "subject", "period"), tuple(kinds), ())
    rows = []
    for table in read_units(chosen, columns):
        measure, subject, period = (str(part) for part in table.key)
        facts = {"exam_id": exams[period], "school_year": period, "comparison_group": groups[measure, subject, period]}
        for item in _variation(table, settings) if measure == "mean_score" else _spread(table, settings):
            rows.append(facts | {"subject": subject} | _line(item, table, settings.conf_level))
    years = pl.DataFrame(rows, schema=EQUITY, orient="row").sort("subject", "index", "level", "reference", "school_year")
    keys = ("subject", "school_year")
    named = years.rename({"level": "group"})
    course = follow_periods(named, keys, dict.fromkeys(keys, pl.String()), "school_year", settings.conf_level)
    return years, course.rename({"group": "level"}).select(pl.col(name).cast(kind) for name, kind in EQUITY_COURSE.items())


def _main_groups(series: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of the largest comparison group of each measure, subject and year, where no school is in several."""
    keys = ["measure", "subject", "period"]
    usable = series.filter(
        pl.col("measure").is_in(list(SERIES_MEASURES)) & pl.col("estimate").is_not_null() & (pl.col("n") > 0)
    ).filter(pl.col("sd").is_not_null() | (pl.col("n") == 1))
    largest = (
        usable.group_by(*keys, "comparison_group")
        .agg(pl.col("n").sum().alias("_size"), pl.col("n_elsewhere").sum().alias("_elsewhere"))
        .sort(*keys, "_size", "comparison_group", descending=[False, False, False, True, False])
        .unique(keys, keep="first", maintain_order=True)
        .filter(pl.col("_elsewhere") == 0)
    )
    return usable.join(largest.select(*keys, "comparison_group"), on=[*keys, "comparison_group"], how="semi").sort(*keys, "unit")


def _spread(table: EquityData, settings: RunSettings) -> list[IndexValue]:
    """Return the share of variance, the correlation and the gaps between kinds of schools."""
    found = [
        variance_share(table.sums, conf_level=settings.conf_level)[0],
        intraclass_correlation(table.sums, conf_level=settings.conf_level),
    ]
    for name, kinds in table.attributes.items():
        labels = np.array([kind or "" for kind in kinds])
        for level, other in compare_sides(sorted({kind for kind in kinds if kind}), _preferred(name, set(labels)) or None):
            gap = unit_gap(
                table.sums, labels == level, labels == other, min_n=settings.min_n_reporting, conf_level=settings.conf_level
            )
            found.append(replace(gap, attribute=name, group=level, reference=other))
    return found


def _variation(table: EquityData, settings: RunSettings) -> list[IndexValue]:
    """Return the weighted coefficient of variation of the schools that are large enough."""
    sums, name = table.sums, "weighted_cv"
    large = sums.n >= settings.min_n_reporting
    if large.sum() < 2:
        return [IndexValue(name, None, reason="single_unit")]
    n, mean, squares = sums.n[large], sums.mean[large], sums.squares[large]
    if (mean < 0).any() or not mean.sum() > 0:
        return [IndexValue(name, None, reason=_NO_ZERO)]
    own = squares / np.maximum(n - 1, 1)
    variance = np.where((n < settings.pooled_mean_below) | ~(own > 0), sums.within / max(sums.within_df, 1.0), own)
    cv = corrected_cv(mean, np.sqrt(variance / n), n, conf_level=settings.conf_level)
    numbers = (cv.estimate, cv.std_error, cv.ci_lower, cv.ci_upper, len(n), round(float(n.sum())))
    return [IndexValue(name, *numbers, "parametric_bootstrap")]
