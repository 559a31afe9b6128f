"""A county as award schemes see it: yearly means of its schools, what one year adds to them, their size and intake."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from eduq.errors import NotAssessableError
from eduq.estimates.declines import detect_declines
from eduq.estimates.declines.bounds import DeclineBounds
from eduq.estimates.exam_source import ExamSource
from eduq.estimates.series import collect_series
from eduq.settings import RunSettings

__all__ = ["AwardCounty", "collect_county"]

Floats = NDArray[np.float64]
WINDOW = 6


@dataclass(frozen=True)
class AwardCounty:
    """Yearly means of the schools of one year group, in pupil SDs (or rates).

    Attributes
    ----------
    units, periods
        Labels of the axes.
    means, sampling, n
        (units, years): estimate, sampling variance and candidates; nan where there is nothing.
    var_shock
        ω²: what one year adds to a school's mean beyond sampling.
    shock_source
        ``reml`` or ``declared``.
    intake
        (units,): mean of the newest cohort a year earlier, in the year group below; nan where unknown.
    year_group, measure, subject
        What they are about.
    """

    units: tuple[str, ...]
    periods: tuple[str, ...]
    means: Floats
    sampling: Floats
    n: Floats
    var_shock: float
    shock_source: str
    intake: Floats
    year_group: str
    measure: str
    subject: str

    @property
    def known(self) -> NDArray[np.bool_]:
        """Where a school has a value."""
        return ~np.isnan(self.means) & ~np.isnan(self.sampling)


def collect_county(
    source: ExamSource,
    *,
    measure: str = "composite_z",
    subject: str | None = None,
    year_group: str | None = None,
    as_of: dt.date | None = None,
    settings: RunSettings | None = None,
) -> AwardCounty:
    """Collect the newest years (six at most) of one year group; years before a school's newest break do not count.

    Raises
    ------
    NotAssessableError
        ``award_too_few``: fewer than five schools or two years.
    """
    from eduq.estimates.targets.proposals import below_group, newest_group, newest_segments, spread_panel, year_before

    run = settings or RunSettings()
    group = year_group or newest_group(source, as_of)
    subjects = None if subject is None else [subject]
    table = collect_series(source, measures=[measure], subjects=subjects, year_groups=[group], as_of=as_of, settings=run)
    own = table.frame.filter(pl.col("subject") == (subject or ("all_subjects" if measure == "all_pass_rate" else "composite")))
    frame = newest_segments(own.filter(pl.col("estimate").is_not_null() | (pl.col("reason") == "school_ended")))
    periods = sorted(frame["period"].unique())[-WINDOW:]
    units = sorted(frame["unit"].unique())
    if len(units) < 5 or len(periods) < 2:
        raise NotAssessableError("award_too_few", units=len(units), periods=len(periods))
    frame = frame.filter(pl.col("period").is_in(periods))
    means, n, sd = (spread_panel(frame, units, periods, name) for name in ("estimate", "n", "sd"))
    pooled = float(np.sqrt(np.nansum(sd**2 * n) / np.nansum(np.where(np.isnan(sd), np.nan, n))))
    with np.errstate(invalid="ignore", divide="ignore"):
        sampling = np.where((n < 30) | ~(sd > 0), pooled, sd) ** 2 / n
    shock, origin = _shock(frame, len(periods), pooled)
    intake = np.full(len(units), np.nan)
    below = below_group(group)
    if below is not None:
        intake = _intake(source, below, subjects, table.term, as_of, run, units, year_before(periods[-1]))
    return AwardCounty(
        tuple(units), tuple(periods), means, sampling, n, shock, origin, intake, group, measure, subject or "composite"
    )


def _shock(frame: pl.DataFrame, years: int, pupil_sd: float) -> tuple[float, str]:
    """Return ω² by REML where three years or more allow it, else the declared one (in pupil SDs)."""
    declared = (DeclineBounds().shock_declared * pupil_sd) ** 2
    if years < 3:
        return declared, "declared"
    try:
        model = detect_declines(frame, family=("measure", "subject", "year_group"), sd="sd", n="n").model
    except NotAssessableError:
        return declared, "declared"
    return float(model.var_shock), str(model.shock_source)


def _intake(
    source: ExamSource,
    below: str,
    subjects: Sequence[str] | None,
    term: int,
    as_of: dt.date | None,
    run: RunSettings,
    units: Sequence[str],
    period: str,
) -> Floats:
    from eduq.estimates.targets.proposals import spread_panel

    gap = "composite_z" if subjects is None else "z_mean"
    try:
        found = collect_series(
            source, measures=[gap], subjects=subjects, year_groups=[below], term=term, as_of=as_of, settings=run
        )
    except NotAssessableError:
        return np.full(len(units), np.nan)
    return spread_panel(found.frame, units, [period], "estimate")[:, 0]
