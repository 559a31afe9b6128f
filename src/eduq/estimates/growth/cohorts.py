"""One cohort from intake over mock exams to exit (入口、过程、出口), and retention over the three junior years."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import polars as pl

from eduq.errors import DataFileError, UsageError
from eduq.estimates.frames import FrameLike, as_frame
from eduq.estimates.growth.coverage import refuse_unit_name, unit_means
from eduq.estimates.growth.flows import FlowResult, measure_flows
from eduq.estimates.growth.gains import percentile_ranks
from eduq.estimates.growth.inputs import read_rows
from eduq.estimates.intervals import wilson
from eduq.estimates.pictures import draw_intervals
from eduq.estimates.results import EstimateResult

__all__ = ["CohortResult", "RetentionResult", "measure_retention", "trace_cohort"]

COURSE = (
    *("exam", "place", "n", "estimate", "std_error", "ci_lower", "ci_upper"),
    *("change", "change_se", "change_lower", "change_upper", "method", "conf_level", "reason"),
)
COUNTS = ("graduated", "transferred_in", "transferred_out", "entered", "deceased")


@dataclass(frozen=True, repr=False)
class CohortResult(EstimateResult):
    """The course of a cohort's units over several exams.

    Attributes
    ----------
    frame
        One row per unit and exam, in time order: the unit column, exam, place (from 1), n, estimate (mean percentile
        rank, 0-100), std_error, ci_lower, ci_upper, change (since the first exam, same pupils) with change_se, change_lower and
        change_upper, method, conf_level, reason.
    settings
        Exams, cuts and level.
    unit
        The caller's column of units.
    flows
        `FlowResult` from the first exam to the last.
    lines
        Of the area alone, per exam and line: line, exam, score, count, n, estimate, std_error, ci_lower, ci_upper, conf_level.
    left_out
        Rows that do not count: reason, n.
    """

    unit: str
    flows: FlowResult
    lines: pl.DataFrame
    left_out: pl.DataFrame

    def summary(self) -> str:
        """Return one line: exams, units and pupils."""
        exams = self.settings["exams"]
        n = self.flows.area.filter(flow="cell")["count"].sum()
        return f"{len(exams)} exams from {exams[0]} to {exams[-1]}, {self.frame[self.unit].n_unique()} units, {n} pupils in all"

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.summary())}</p>{self.frame._repr_html_()}"

    def plot(self) -> Any:
        """Return a picture (lets-plot): how far each unit's mean percentile rank moved from the first exam to the last."""
        names = {"value": "change", "ci_lower": "change_lower", "ci_upper": "change_upper"}
        rows = self.frame.filter(pl.col("place") == pl.col("place").max()).select(
            pl.col(self.unit).cast(pl.String).alias("label"), **{name: pl.col(column) for name, column in names.items()}
        )
        exams = self.settings["exams"]
        return draw_intervals(rows, lines=(0.0,), axis=f"{exams[0]} → {exams[-1]}")


@dataclass(frozen=True, repr=False)
class RetentionResult(EstimateResult):
    """Retention of schools over the three junior years, with the counts it is made of.

    Attributes
    ----------
    frame
        The unit column, graduated, transferred_in, transferred_out, entered, deceased, n (entered − deceased), estimate, limit,
        limit_state (met, not_met), method (census), reason.
    settings
        Limit and columns.
    """

    unit: str

    def summary(self) -> str:
        """Return one line: units, those with a rate, those below the limit."""
        below = self.frame.filter(limit_state="not_met").height
        return f"retention of {self.frame.height} units, {self.frame['estimate'].count()} with a rate, {below} below the limit"

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.summary())}</p>{self.frame._repr_html_()}"


def trace_cohort(
    frame: FrameLike,
    *,
    exams: Sequence[str],
    unit: str,
    cuts: tuple[float, float] = (0.30, 0.70),
    lines: Mapping[str, Mapping[str, float]] | None = None,
    level: float = 0.95,
) -> CohortResult:
    """Follow one cohort over its exams: percentile ranks of units from intake to exit, and flows between bands.

    Only pupils with a score in every exam count, so every exam is ranked among the same pupils. The mean rank of all of them
    is 50 in each exam: a unit's course is its course relative to the others. Changes depend on the start (regression to the mean:
    who starts low tends to rise) and cannot compare units of different intake. Shares at or above a line are given of the area
    alone: there is no rate at a line by school.

    Parameters
    ----------
    frame
        One row per pupil: Polars, eager or lazy, or any Arrow table.
    exams
        Columns of scores in the order of time, at least two; each on any scale.
    unit
        Column of the unit.
    cuts
        Shares of all pupils below the two cuts of the bands (`measure_flows`).
    lines
        Per name of a line its score in each exam that has it.
    level
        Level of the intervals (t; Wilson of shares).

    Returns
    -------
    CohortResult

    Raises
    ------
    UsageError
        ``cohort_exams``: fewer than two; ``cohort_line``: of an exam that is none; further those of `measure_flows`.
    DataFileError
        ``growth_value``.
    NotAssessableError
        ``growth_no_rows``, ``flow_no_bands``.

    Examples
    --------
    >>> pupils = pl.DataFrame({"school": ["A"] * 5 + ["B"] * 5, "in": range(10), "mock": range(10), "out": range(10)})
    >>> found = trace_cohort(pupils, exams=["in", "mock", "out"], unit="school", lines={"first": {"out": 6}})
    >>> found.frame.filter(school="B").select("exam", "estimate", "change").rows()
    [('in', 75.0, None), ('mock', 75.0, 0.0), ('out', 75.0, 0.0)]
    >>> found.lines.select("line", "exam", "count", "n").row(0)
    ('first', 'out', 4, 10)
    """
    if not 0.5 < level < 1:
        raise UsageError("growth_option", option="level")
    if isinstance(exams, str) or len(exams) < 2:
        raise UsageError("cohort_exams")
    stated = dict(lines or {})
    for name, scores in stated.items():
        if unknown := [exam for exam in scores if exam not in exams]:
            raise UsageError("cohort_line", line=name, exam=unknown[0])
    rows = read_rows(frame, unit=unit, outcome=exams[-1], prior=tuple(exams[:-1]))
    refuse_unit_name(rows, COURSE)
    values = np.column_stack([rows.x, rows.y])
    ranks = np.column_stack([percentile_ranks(values[:, k]) for k in range(len(exams))])
    parts = []
    for place, exam in enumerate(exams):
        means = unit_means(rows.unit_of, ranks[:, place], len(rows.units))
        half = means.half_width(level)
        part = pl.DataFrame(
            {
                unit: rows.units,
                "exam": [exam] * len(rows.units),
                "place": [place + 1] * len(rows.units),
                "n": means.n,
                "estimate": means.mean,
                "std_error": means.std_error,
                "ci_lower": means.mean - half,
                "ci_upper": means.mean + half,
            },
            nan_to_null=True,
        )
        moved = unit_means(rows.unit_of, ranks[:, place] - ranks[:, 0], len(rows.units))
        width = moved.half_width(level)
        changes = {"change": moved.mean, "change_se": moved.std_error}
        changes |= {"change_lower": moved.mean - width, "change_upper": moved.mean + width}
        nothing = np.full(len(rows.units), np.nan)
        shown = {name: nothing if place == 0 else found for name, found in changes.items()}
        parts.append(
            part.with_columns(
                *(pl.Series(name, found, nan_to_null=True) for name, found in shown.items()),
                pl.Series("method", np.where(np.isnan(means.std_error), "none", np.where(means.pooled, "t_pooled", "t"))),
                pl.lit(level).alias("conf_level"),
                pl.Series("reason", np.where(np.isnan(means.std_error), "no_spread", "").tolist()).replace("", None),
            )
        )
    return CohortResult(
        frame=pl.concat(parts).sort(unit, "place").select(unit, *COURSE),
        settings={"exams": list(exams), "cuts": list(cuts), "level": level, "lines": {k: dict(v) for k, v in stated.items()}},
        unit=unit,
        flows=measure_flows(rows.frame[rows.at.tolist()], outcome=exams[-1], prior=exams[0], unit=unit, cuts=cuts, level=level),
        lines=_lines(values, list(exams), stated, level),
        left_out=rows.left_out,
    )


def _lines(
    values: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    exams: list[str],
    lines: Mapping[str, Mapping[str, float]],
    level: float,
) -> pl.DataFrame:
    """Return the area's shares at or above each line."""
    found = []
    for name, scores in lines.items():
        for exam in (exam for exam in exams if exam in scores):
            n, count = len(values), int((values[:, exams.index(exam)] >= scores[exam]).sum())
            error, low, high = wilson(np.array([float(count)]), np.array([float(n)]), level)
            found.append((name, exam, float(scores[exam]), count, n, count / n, error[0], low[0], high[0], level))
    names = ("line", "exam", "score", "count", "n", "estimate", "std_error", "ci_lower", "ci_upper", "conf_level")
    kinds = (pl.String, pl.String, pl.Float64, pl.Int64, pl.Int64, *[pl.Float64] * 5)
    return pl.DataFrame(found, schema=dict(zip(names, kinds, strict=True)), orient="row")


def measure_retention(
    frame: FrameLike,
    *,
    unit: str,
    graduated: str = "graduated",
    transferred_in: str = "transferred_in",
    transferred_out: str = "transferred_out",
    entered: str = "entered",
    deceased: str = "deceased",
    limit: float | None = None,
) -> RetentionResult:
    """Return 三年巩固率 = (graduated − transferred in + transferred out) / (entered − deceased), from counts of schools.

    Everybody is counted, nobody drawn: there is no interval (method ``census``). It is not the 巩固率 of flows between bands
    (``band_retention``): this one counts who stays at school.

    Parameters
    ----------
    frame
        One row per school: Polars, eager or lazy, or any Arrow table.
    unit
        Column of the school.
    graduated, transferred_in, transferred_out, entered, deceased
        Columns of counts: graduates of the cohort, who came and who left within the three years, who entered in the first year,
        who died.
    limit
        Rate that is to be reached (.95 in the national pack); no state without one.

    Returns
    -------
    RetentionResult
        ``frame`` sorted by unit; ``reason`` missing_input (a count is not known), nobody_entered, counts_disagree (the rate
        passes 1: the counts cannot all be right).

    Raises
    ------
    UsageError
        ``growth_source``, ``growth_column_missing``, ``growth_option`` (limit).
    DataFileError
        ``retention_count``: a count that is negative or no whole number. ``retention_units``: a school without id, or twice.

    References
    ----------
    县域义务教育优质均衡发展督导评估办法 (2017).

    Examples
    --------
    >>> counts = {"graduated": [95], "transferred_in": [3], "transferred_out": [6], "entered": [100], "deceased": [0]}
    >>> schools = pl.DataFrame({"school": ["A"], **counts})
    >>> measure_retention(schools, unit="school", limit=0.95).frame.select("n", "estimate", "limit_state").row(0)
    (100, 0.98, 'met')
    """
    frame = as_frame(frame, error="growth_source")
    if limit is not None and not 0 < limit <= 1:
        raise UsageError("growth_option", option="limit")
    given = dict(zip(COUNTS, (graduated, transferred_in, transferred_out, entered, deceased), strict=True))
    columns = [frame[_known(frame, unit)]]
    if columns[0].null_count() or columns[0].n_unique() < frame.height:
        raise DataFileError("retention_units", column=unit)
    for name, column in given.items():
        values = frame[_known(frame, column)]
        whole = values.cast(pl.Int64, strict=False) if values.dtype.is_numeric() or values.dtype == pl.Null else None
        if whole is None or not _as_given(whole, values) or (whole < 0).any():
            raise DataFileError("retention_count", column=column)
        columns.append(whole.alias(name))
    known = pl.all_horizontal(pl.col(COUNTS).is_not_null())
    base = pl.col("entered") - pl.col("deceased")
    rate = (pl.col("graduated") - pl.col("transferred_in") + pl.col("transferred_out")) / base
    reason = (
        pl.when(~known)
        .then(pl.lit("missing_input"))
        .when(base <= 0)
        .then(pl.lit("nobody_entered"))
        .when((rate > 1) | (rate < 0))
        .then(pl.lit("counts_disagree"))
    )
    found = (
        pl.DataFrame(columns)
        .sort(unit)
        .with_columns(reason.alias("reason"), base.alias("n"))
        .with_columns(pl.when(pl.col("reason").is_null()).then(rate).alias("estimate"), pl.lit(limit, pl.Float64).alias("limit"))
    )
    reached = pl.when(pl.col("estimate") >= pl.col("limit")).then(pl.lit("met")).otherwise(pl.lit("not_met"))
    state = pl.when(pl.col("estimate").is_not_null() & pl.col("limit").is_not_null()).then(reached)
    method = pl.when(pl.col("estimate").is_not_null()).then(pl.lit("census"))
    return RetentionResult(
        frame=found.with_columns(state.alias("limit_state"), method.alias("method")).select(
            unit, *COUNTS, "n", "estimate", "limit", "limit_state", "method", "reason"
        ),
        settings={"limit": limit, **given},
        unit=unit,
    )


def _as_given(whole: pl.Series, values: pl.Series) -> bool:
    """Return whether whole numbers are the values they were made from; null and NaN are not known."""
    missing = values.is_null() | values.is_nan() if values.dtype.is_float() else values.is_null()
    return bool(((whole == values).fill_null(False) | missing).all())


def _known(frame: pl.DataFrame, column: str) -> str:
    if column not in frame.columns:
        raise UsageError("growth_column_missing", column=column, known=", ".join(frame.columns))
    return column
