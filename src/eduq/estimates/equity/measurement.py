"""Equity of an area: every index of every table of units, against limits and over the years."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
import polars as pl

from eduq.errors import NotAssessableError, UsageError
from eduq.estimates.equity.course import LEAST_PERIODS, fit_course
from eduq.estimates.equity.exam_inputs import EXAM_FAMILY, read_exam
from eduq.estimates.equity.index_values import IndexValue
from eduq.estimates.equity.inputs import Columns, EquityData, read_pupils, read_units
from eduq.estimates.equity.limits import EquityLimit, judge_limit
from eduq.estimates.equity.results import EquityResult
from eduq.estimates.equity.unit_tables import SHARES, list_bottom, measure_table
from eduq.estimates.equity.variation import VARIATION_INDICES
from eduq.estimates.frames import FrameLike, as_frame, is_frame
from eduq.intake.score_table import ScoreTable
from eduq.settings import RunSettings
from eduq.tables import SUBGROUP_PREFIX

__all__ = ["INDICES", "follow_periods", "measure_equity"]

INDICES = (
    *SHARES,
    *VARIATION_INDICES,
    *(f"{name}_raw" for name in VARIATION_INDICES),
    "theil_pupils",
    "theil_pupils_between",
    "theil_pupils_within",
    "theil_groups_between",
    "theil_groups_within",
    "gap",
    "gap_within_units",
    "bottom_share",
)
"""Ids of every index; their wording is ``equity.index.<id>``."""
_YEAR = "school_year"
_FIGURES = {
    "index": pl.String,
    "attribute": pl.String,
    "group": pl.String,
    "reference": pl.String,
    "value": pl.Float64,
    "std_error": pl.Float64,
    "ci_lower": pl.Float64,
    "ci_upper": pl.Float64,
    "conf_level": pl.Float64,
    "n_units": pl.Int64,
    "n": pl.Int64,
    "method": pl.String,
    "reason": pl.String,
}
_BOTTOM = {
    "unit": None,
    "n": pl.Int64,
    "n_bottom": pl.Int64,
    "share": pl.Float64,
    "ci_lower": pl.Float64,
    "ci_upper": pl.Float64,
    "threshold": pl.Float64,
    "area_share": pl.Float64,
    "reason": pl.String,
}
_LIMITS = {
    "index": pl.String,
    "value": pl.Float64,
    "ci_lower": pl.Float64,
    "ci_upper": pl.Float64,
    "limit": pl.Float64,
    "reaching": pl.String,
    "state": pl.String,
    "source": pl.String,
    "valid_from": pl.Date,
    "valid_to": pl.Date,
}
_COURSE = {
    **dict.fromkeys(("index", "attribute", "group", "reference"), pl.String),
    **dict.fromkeys(("slope", "std_error"), pl.Float64),
    "df": pl.Int64,
    **dict.fromkeys(("ci_lower", "ci_upper", "p_value"), pl.Float64),
    "n_periods": pl.Int64,
    **dict.fromkeys(("first", "last", "spacing", "reason"), pl.String),
}


def measure_equity(
    source: ScoreTable | Sequence[ScoreTable] | FrameLike,
    *,
    unit: str = "school_id",
    value: str | None = None,
    n: str | None = None,
    mean: str | None = None,
    sd: str | None = None,
    family: Sequence[str] = (),
    period: str | None = None,
    unit_attributes: Sequence[str] | None = None,
    pupil_attributes: Sequence[str] | None = None,
    references: Mapping[str, str] | None = None,
    papers: Sequence[str] | None = None,
    limits: Sequence[EquityLimit] = (),
    as_of: dt.date | None = None,
    bottom: float = 0.30,
    min_n: int = 10,
    conf_level: float = 0.95,
    settings: RunSettings | None = None,
) -> EquityResult:
    """Measure how equal the units of an area are: shares of variance, variation of means, gaps, the lowest part.

    The units (schools) are all there are; chance lies with the pupils, except in ``icc`` and in gaps between kinds of units.
    Formulas, assumptions and sources: docs/explanation/equity.md.

    Parameters
    ----------
    source
        An exam (`eduq.read_scores`): every paper, the total and the composite; or a list of exams of one year group and
        term in several school years, which gives ``.course``; or a frame of pupils (`value`); or a frame of units (`n`, `mean`,
        `sd`). A frame of units without `sd` holds counts and not samples, such as books per pupil: the
        indices of variation come as they stand, without interval (method ``census``).
    unit
        Column of the unit.
    value
        Column of a pupil's value.
    n, mean, sd
        Columns of a unit's pupils (its weight), their mean, and their SD (divisor n − 1).
    family
        Columns that make separate tables of units (subject, year group).
    period
        Column of the period (school year), one table each; gives ``.course``.
    unit_attributes
        Columns with the kind of a unit (town or rural); of an exam ``area_type`` where it is known.
    pupil_attributes
        Columns with the kind of a pupil; of an exam ``sex`` and ``sub_<name>`` as far as there are any.
    references
        Attribute to the level the others are compared with; else every pair of levels.
    papers
        Of an exam: which papers; all of them by default.
    limits
        Limits of policy texts; those in force on `as_of` are applied (without `as_of`, those without an end).
    as_of
        Day of the limits.
    bottom
        The lowest part: threshold = smallest score with at least this share of the area at or below it.
    min_n
        A side of a gap, or a unit's share of the lowest part, with fewer pupils gets no number.
    conf_level
        Two-sided level of every interval.
    settings
        Of the run (exams only).

    Returns
    -------
    EquityResult
        ``.frame`` with index, value, ci_lower, ci_upper, n_units, n, method, reason (all columns: see there), ``.bottom``,
        ``.limits``, ``.course``, ``.sentences(lang)``, ``.plot(index)``.

    Raises
    ------
    UsageError
        ``equity_columns`` (neither pupils nor units), ``equity_column_missing``, ``equity_column_twice``,
        ``equity_name_taken``, ``equity_option``, ``equity_source``, ``equity_limit_unknown``, ``equity_paper_unknown``,
        ``equity_too_many_levels``, ``equity_reference_unknown``, ``equity_exams`` (a list of exams that makes no course).
    DataFileError
        ``equity_value``, ``equity_duplicate``, ``equity_attribute_varies``.
    NotAssessableError
        ``equity_no_values``.

    References
    ----------
    Steiger (2004); Thomas and Hultquist (1978); Theil (1967); Welch (1938), as cited at each formula.

    Examples
    --------
    >>> books = pl.DataFrame({"school_id": list("ABCDE"), "pupils": [45, 37, 89, 76, 55], "books": [279, 137, 935, 160, 402]})
    >>> found = measure_equity(books.with_columns(each=pl.col("books") / pl.col("pupils")), n="pupils", mean="each")
    >>> round(found.frame.filter(index="weighted_cv")["value"][0], 3)
    0.515
    """
    if not (0 < bottom < 1 and 0.5 < conf_level < 1 and min_n >= 1):
        raise UsageError("equity_option")
    for limit in limits:
        if limit.index not in INDICES:
            raise UsageError("equity_limit_unknown", index=limit.index, known=", ".join(INDICES))
    run = settings or RunSettings()
    keys: tuple[str, ...]
    kind: pl.DataType
    frame: pl.DataFrame | None = None
    if isinstance(source, ScoreTable) or (isinstance(source, (list, tuple)) and source and isinstance(source[0], ScoreTable)):
        if unit != "school_id" or value or n or mean or sd or family or period:
            raise UsageError("equity_columns")
        kind, keys = pl.String(), EXAM_FAMILY
        exams = [source] if isinstance(source, ScoreTable) else list(source)
        read = [_read_scores(exam, papers, unit_attributes, pupil_attributes, bottom, run) for exam in exams]
        tables = read[0]
        if not isinstance(source, ScoreTable):
            keys, period = (*EXAM_FAMILY, _YEAR), _YEAR
            tables = _join_years(exams, read)
    elif is_frame(source):
        frame = as_frame(source, error="equity_source")
        family, unit_attributes, pupil_attributes = (_listed(names) for names in (family, unit_attributes, pupil_attributes))
        for name in references or {}:
            if name not in (*unit_attributes, *pupil_attributes):
                raise UsageError("equity_reference_unknown", column=name, known=", ".join((*unit_attributes, *pupil_attributes)))
        keys = (*family, *([period] if period else []))
        columns = Columns(unit, value, n, mean, sd, keys, unit_attributes, pupil_attributes)
        tables = _read_frame(frame, columns, bottom)
        kind = frame.schema[unit]
    else:
        raise UsageError("equity_source", found=type(source).__name__)
    lines, bottoms = [], []
    for table in tables:
        outcome = measure_table(table, references or {}, min_n, conf_level, run.pooled_mean_below)
        lines += [_row(table, keys, item, conf_level) for item in outcome]
        bottoms += list_bottom(table, keys, min_n, conf_level)
    schema: dict[str, Any] = dict.fromkeys(keys, pl.String) if frame is None else {key: frame.schema[key] for key in keys}
    result = pl.DataFrame(lines, schema=schema | _FIGURES, orient="row")
    return EquityResult(
        frame=result,
        settings={"unit": unit, "bottom": bottom, "min_n": min_n, "conf_level": conf_level, "as_of": as_of}
        | {"references": dict(references or {}), "n_left_out": sum(table.n_left_out for table in tables)},
        bottom=pl.DataFrame(bottoms, schema=schema | _BOTTOM | {"unit": kind}, orient="row"),
        limits=_judge(result, keys, schema, [limit for limit in limits if limit.in_force(as_of)]),
        course=follow_periods(result, keys, schema, period, conf_level),
        family=keys,
    )


def _listed(names: Sequence[str] | None) -> tuple[str, ...]:
    """Return names of columns, one name standing for itself."""
    return (names,) if isinstance(names, str) else tuple(names or ())


def _join_years(exams: Sequence[ScoreTable], read: Sequence[list[EquityData]]) -> list[EquityData]:
    """Return the tables of several exams with their school year as last key; comparison groups lose the exam's id."""
    facts = [exam.exam.exam for exam in exams]
    years = [fact.school_year for fact in facts]
    if None in years or len(set(years)) < len(years) or len({(fact.year_group, fact.term) for fact in facts}) > 1:
        raise UsageError("equity_exams", exams=", ".join(fact.id or "?" for fact in facts))
    found = []
    for fact, year, tables in zip(facts, years, read, strict=True):
        for table in tables:
            paper, group = (str(part) for part in table.key)
            found.append(replace(table, key=(paper, group.removeprefix(f"{fact.id}."), year)))
    return found


def _read_scores(
    scores: ScoreTable,
    papers: Sequence[str] | None,
    unit_attributes: Sequence[str] | None,
    pupil_attributes: Sequence[str] | None,
    share: float,
    settings: RunSettings,
) -> list[EquityData]:
    """Return the tables of an exam with the attributes asked for, or those it has."""
    of_units, of_pupils = scores.schools, scores.frame
    kinds = ["area_type"] if unit_attributes is None and "area_type" in of_units.columns else list(unit_attributes or ())
    subgroups = ["sex", *(name for name in of_pupils.columns if name.startswith(SUBGROUP_PREFIX))]
    for name, frame in [*((name, of_units) for name in kinds), *((name, of_pupils) for name in pupil_attributes or ())]:
        if name not in frame.columns:
            raise UsageError("equity_column_missing", column=name, known=", ".join(frame.columns))
    if unit_attributes is None:
        kinds = [name for name in kinds if of_units[name].null_count() < of_units.height]
    sides = list(pupil_attributes) if pupil_attributes is not None else subgroups
    if pupil_attributes is None:
        sides = [name for name in sides if name in of_pupils.columns and of_pupils[name].null_count() < of_pupils.height]
    found = read_exam(scores, papers=papers, unit_attributes=kinds, pupil_attributes=sides, share=share, settings=settings)
    known = {str(table.key[0]) for table in found}
    for paper in papers or ():
        if paper not in known:
            raise UsageError("equity_paper_unknown", paper=paper, known=", ".join(sorted(known)))
    if not found:
        raise NotAssessableError("equity_no_values")
    return found


def _read_frame(frame: pl.DataFrame, columns: Columns, share: float) -> list[EquityData]:
    """Return the tables of a frame of pupils or of units."""
    taken = sorted({columns.unit, *columns.family} & (set(_FIGURES) | set(_LIMITS) | set(_COURSE) | (set(_BOTTOM) - {"unit"})))
    if taken:
        raise UsageError("equity_name_taken", columns=", ".join(taken))
    if columns.value and not (columns.n or columns.mean or columns.sd):
        return read_pupils(frame, columns, share)
    if columns.value or not (columns.n and columns.mean) or columns.pupil_attributes:
        raise UsageError("equity_columns")
    return read_units(frame, columns)


def _row(table: EquityData, keys: tuple[str, ...], item: IndexValue, conf_level: float) -> dict[str, Any]:
    given = {field.name: getattr(item, field.name) for field in fields(item)}
    if not item.n_units:
        given |= {"n_units": table.sums.size, "n": round(table.sums.total)}
    level = conf_level if item.ci_lower is not None else None
    return {**dict(zip(keys, table.key, strict=True)), **given, "conf_level": level}


def _judge(result: pl.DataFrame, keys: tuple[str, ...], schema: dict[str, Any], limits: Sequence[EquityLimit]) -> pl.DataFrame:
    """Return the state of every index a limit in force speaks of."""
    rows = []
    for limit in limits:
        for line in result.filter(pl.col("index") == limit.index).iter_rows(named=True):
            state = judge_limit(limit, line["value"], line["ci_lower"], line["ci_upper"], census=line["method"] == "census")
            own = {"limit": limit.value, "reaching": limit.reaching, "state": state, "source": limit.source}
            dates = {"valid_from": limit.valid_from, "valid_to": limit.valid_to}
            taken = {name: line[name] for name in (*keys, "index", "value", "ci_lower", "ci_upper")}
            rows.append(taken | own | dates)
    return pl.DataFrame(rows, schema=schema | _LIMITS, orient="row")


def follow_periods(
    result: pl.DataFrame, keys: tuple[str, ...], schema: dict[str, Any], period: str | None, conf_level: float
) -> pl.DataFrame:
    """Return the change a year of every index over the periods."""
    series_keys = [*(key for key in keys if key != period), "index", "attribute", "group", "reference"]
    columns = {key: kind for key, kind in schema.items() if key != period} | _COURSE
    if period is None:
        return pl.DataFrame(schema=columns)
    from eduq.estimates.declines.periods import number_periods

    periods = result[period].unique().sort().to_list()
    numbers, spacing = number_periods(periods)
    rows = []
    corrected = result.filter(pl.col("method").ne_missing("raw"))  # what holds chance has a twin without
    for key, part in corrected.group_by(series_keys, maintain_order=True):
        used = part.filter(pl.col("value").is_not_null()).sort(period)
        line = dict(zip(series_keys, key, strict=True)) | {"n_periods": used.height, "spacing": spacing}
        if used.height:
            line |= {"first": str(used[period][0]), "last": str(used[period][-1])}
        if used.height < LEAST_PERIODS:
            rows.append(line | {"reason": "too_few_periods"})
        elif not ((used["std_error"].fill_null(0.0) > 0).all() or (used["method"] == "census").all()):
            rows.append(line | {"reason": "no_std_error"})
        else:
            times = np.array([numbers[periods.index(label)] for label in used[period]])
            course = fit_course(
                times, used["value"].to_numpy(), used["std_error"].fill_null(0.0).to_numpy(), conf_level=conf_level
            )
            rows.append(line | {name: getattr(course, name) for name in _COURSE if hasattr(course, name)})
    return pl.DataFrame(rows, schema=columns, orient="row")
