"""Declines of units over years: real falls told from chance, with the strength of the evidence."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from typing import Any, Literal, Protocol, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from eduq.errors import NotAssessableError, UsageError
from eduq.estimates.declines.bounds import DeclineBounds
from eduq.estimates.declines.inputs import Columns, Stratum, default_columns, read_strata
from eduq.estimates.declines.layout import lay_out_result, refuse_taken_names
from eduq.estimates.declines.results import DeclineResult
from eduq.estimates.declines.stratum_fits import fit_stratum
from eduq.estimates.frames import as_frame
from eduq.settings import RunSettings

__all__ = ["detect_declines"]

IN_SDS = ("z_mean", "composite_z", "composite_penalised")
"""Measures that are in pupil SDs already; others are divided by the pooled SD within the units of the year."""


class _Frame(Protocol):
    """Anything that holds exams (`eduq.estimates.series.ExamSource`)."""

    def exams(self) -> pl.DataFrame: ...


def detect_declines(
    source: Any,
    *,
    measure: str | None = None,
    unit: str = "unit",
    period: str = "period",
    estimate: str = "estimate",
    std_error: str | None = None,
    sd: str | None = None,
    n: str | None = None,
    scale: float | str | None = None,
    family: Sequence[str] = (),
    segment: str | None = None,
    level: float = 0.95,
    bounds: DeclineBounds | None = None,
    last_place: bool = False,
    last_k: int = 1,
    last_periods: int = 1,
    overlap: int = 1,
    unit_type: Literal["school", "class", "teacher", "township", "cluster", "area"] = "school",
    subjects: Sequence[str] | None = None,
    year_groups: Sequence[str] | None = None,
    term: int | None = None,
    as_of: dt.date | None = None,
    settings: RunSettings | None = None,
) -> DeclineResult:
    """Tell declines of units from chance: slopes relative to the other units, with p, q, evidence grade and what could be seen.

    Model: estimate_st = α_s + γ_t + b_s·t + u_st + e_st; Var e known from pupils, the cohort shock u of variance ω² pooled over
    the units by REML, correlated over periods where that can be seen (from five periods on). Period effects are taken out:
    a slope is the unit's course relative to the other units.

    Parameters
    ----------
    source
        A table (Polars, eager or lazy, or Arrow) with one row per unit and period, or an archive (anything with ``exams()``).
    measure
        From an archive: the measure of the series; ``composite_z`` by default.
    unit, period, estimate
        Columns of the frame. Periods are school years (``2024-2025``), years, or any sortable labels; null estimates are
        skipped and counted.
    std_error
        Column of the standard error; taken as it is.
    sd, n
        Columns of the pupils' SD within the unit (divisor n − 1) and their number: the sampling variance is the unit's
        variance pooled over its periods (the family's below 60 degrees of freedom), divided by n. With no column named, ``sd``
        and ``n`` are taken where the frame has them, else ``std_error``.
    scale
        Pupil SD of estimates that are not in SDs (rates, raw values): a number or a column. Everything returned is in SDs.
    family
        Columns that make separate series of one unit (``["year_group"]``, ``["subject"]``). Each combination has period
        effects and shocks of its own; the p-values of all series of the call are one family.
    segment
        Column that counts up at breaks (merger, new paper); the newest segment of a series counts.
    level
        Level of the intervals.
    bounds
        Bounds of the grades; a rule pack hands in its dated values.
    last_place
        Grade the clause "falling and last": the family is the lowest third by mean level over the window, grade A needs
        P(last) ≥ .5, B membership in the set of units that could be last; else one grade lower.
    last_k
        How many places from the bottom count as last.
    last_periods
        In how many of the last periods.
    overlap
        Adjacent year groups pooled in a unit's estimate (their pupils stay from one year to the next); 1 = none.
    unit_type, subjects, year_groups, term, as_of, settings
        From an archive: see `eduq.estimates.series.collect_series`.

    Returns
    -------
    DeclineResult
        ``.frame`` one row per series (see there), ``.series``, ``.changes``, ``.model``, ``.models``, ``.sentences(lang)``.

    Raises
    ------
    UsageError
        ``declines_column_missing``, ``declines_no_error`` (neither std_error nor sd and n).
    DataFileError
        ``declines_duplicate`` (one unit and period twice), ``declines_value`` (infinite values, negative errors).
    NotAssessableError
        ``declines_no_estimates``, ``declines_one_period``, ``declines_too_few_periods``.

    References
    ----------
    Patterson, H. D. and Thompson, R. (1971). Recovery of inter-block information when block sizes are unequal. Biometrika 58,
    545-554. Holm (1979); Benjamini and Hochberg (1995); Satterthwaite (1946); Viechtbauer (2007), as cited at each formula.

    Examples
    --------
    >>> levels = {"A": -0.1, "B": 0.2, "C": 0.0, "D": 0.1, "E": -0.2, "F": 0.05}
    >>> noise = [0.02, -0.03, 0.01, 0.0]
    >>> rows = [
    ...     {"unit": name, "period": 2021 + t, "estimate": base + noise[(t + i) % 4] - (0.3 * t if name == "A" else 0),
    ...      "std_error": 0.05}
    ...     for i, (name, base) in enumerate(levels.items()) for t in range(4)
    ... ]
    >>> found = detect_declines(pl.DataFrame(rows))
    >>> found.frame.filter(pl.col("unit") == "A").select("evidence_grade", "run_declines").row(0)
    ('A', 3)
    """
    bounds = bounds or DeclineBounds()
    if not (0.5 < level < 1) or overlap < 1 or last_k < 1 or last_periods < 1:
        raise UsageError("declines_option")
    if isinstance(scale, float | int) and not 0 < scale < math.inf:
        raise UsageError("declines_option")
    family = (family,) if isinstance(family, str) else tuple(family)
    left_out = None
    if hasattr(source, "exams"):
        source, left_out, scale = _series(
            source, measure or "composite_z", unit_type, subjects, year_groups, term, as_of, settings
        )
        family, segment = ("measure", "subject", "year_group"), "segment"
        unit, period, estimate, std_error, sd, n = "unit", "period", "estimate", None, "sd", "n"
    frame = as_frame(source, error="declines_source")
    std_error, sd, n = default_columns(frame, named=(std_error, sd, n), taken=(unit, period, estimate, *family))
    columns = Columns(unit, period, estimate, std_error, sd, n, scale, tuple(family), segment)
    refuse_taken_names(columns)
    strata = read_strata(frame, columns, bounds)
    enough = _assessable(strata)
    fits = [
        fit_stratum(
            stratum,
            bounds=bounds,
            overlap=overlap,
            place=(last_k, last_periods),
            level=level,
            relative_falls=scale is not None,
        )
        for stratum in enough
    ]
    said: dict[str, Any] = {
        "unit": unit,
        "period": period,
        "estimate": estimate,
        "family": list(family),
        "scale": scale,
        "level": level,
        "last_place": last_place,
        "last_k": last_k,
        "last_periods": last_periods,
        "overlap": overlap,
        "bounds": bounds.model_dump(),
        "relative_to": "other units of the same periods",
    }
    single = [stratum for stratum in strata if not any(stratum is other for other in enough)]
    return lay_out_result(fits, single, columns, bounds=bounds, last_place=last_place, settings=said, left_out=left_out)


def _assessable(strata: list[Stratum]) -> list[Stratum]:
    """Return the strata of two periods or more in which some unit has a course."""
    longest = max(len(stratum.periods) for stratum in strata)
    if longest == 0:
        raise NotAssessableError("declines_no_estimates")
    if longest < 2:
        raise NotAssessableError("declines_one_period")
    enough = [stratum for stratum in strata if len(stratum.periods) >= 2 and _courses(stratum.estimates).any()]
    if not enough:
        raise NotAssessableError("declines_too_few_periods")
    return enough


def _courses(estimates: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which units have enough periods for a line: three, or two where the window has only two."""
    return np.asarray((~np.isnan(estimates)).sum(axis=1) >= min(3, estimates.shape[1]))


def _series(
    source: _Frame,
    measure: str,
    unit_type: str,
    subjects: Sequence[str] | None,
    year_groups: Sequence[str] | None,
    term: int | None,
    as_of: dt.date | None,
    settings: RunSettings | None,
) -> tuple[pl.DataFrame, pl.DataFrame, str | None]:
    """Return the yearly series of an archive, what was left out, and the column that holds the SD of scales other than z."""
    from eduq.estimates.series import collect_series

    table = collect_series(
        cast(Any, source),
        unit_type=cast(Any, unit_type),
        measures=[measure],
        subjects=subjects,
        year_groups=year_groups,
        term=term,
        as_of=as_of,
        settings=settings,
    )
    frame = table.frame
    if measure in IN_SDS:
        return frame, table.left_out, None
    within = ((pl.col("n") - 1) * pl.col("sd") ** 2).sum() / (pl.col("n") - 1).filter(pl.col("sd").is_not_null()).sum()
    # a year in which no pupil differs from the others of the unit has no scale
    spread = pl.when(within.is_finite() & (within > 0)).then(within.sqrt())
    pooled = spread.over("measure", "subject", "year_group", "period")
    return frame.with_columns(pooled.alias("pupil_sd")), table.left_out, "pupil_sd"
