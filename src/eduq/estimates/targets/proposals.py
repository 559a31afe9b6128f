"""Proposed targets: what a school can be expected to reach next, from its own years and the intake of its next cohort."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from eduq.errors import NotAssessableError, UsageError
from eduq.estimates.exam_source import ExamSource
from eduq.estimates.intervals import normal_quantile
from eduq.estimates.measures import load_measures
from eduq.estimates.series import collect_series
from eduq.estimates.targets.levels import LevelFit, fit_levels
from eduq.estimates.targets.results import ProposalModel, TargetProposals
from eduq.registers import PROMOTION_MEASURES
from eduq.settings import RunSettings

__all__ = ["LOWER_IS_BETTER", "below_group", "forecast_targets", "newest_group", "newest_segments", "spread_panel", "year_before"]

Floats = NDArray[np.float64]
LOWER_IS_BETTER = ("low_score_rate", "bottom30_share")
_STANDARDISED = ("composite_z", "z_mean")
_LEAST_PERIODS, _LEAST_UNITS = 2, 5
_ORDER = ("G1", "G2", "G3", "G4", "G5", "G6", "G7", "G8", "G9", "S1", "S2", "S3")
_SELDOM = 0.10
"""A target reached with less than this chance is said to lie beyond what was seen so far."""


def year_before(school_year: str) -> str:
    """Return the school year before."""
    first, _, second = school_year.partition("-")
    return f"{int(first) - 1}-{int(second) - 1}"


def spread_panel(frame: pl.DataFrame, units: Sequence[str], periods: Sequence[str], column: str) -> Floats:
    """Return (units, periods) of a column, nan where there is nothing."""
    found = np.full((len(units), len(periods)), np.nan)
    rows = {unit: place for place, unit in enumerate(units)}
    columns = {period: place for place, period in enumerate(periods)}
    for unit, period, value in frame.select("unit", "period", column).iter_rows():
        if value is not None and unit in rows and period in columns:
            found[rows[unit], columns[period]] = value
    return found


def below_group(group: str) -> str | None:
    """Return the year group a cohort comes from in the same school; None at the first of a school."""
    return _ORDER[_ORDER.index(group) - 1] if group in _ORDER and group not in ("G1", "G7", "S1") else None


def newest_segments(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the lines after a unit's newest break; schools that have ended are out."""
    if frame.is_empty():
        return frame
    ended = frame.sort("period").group_by("unit").agg(pl.col("reason").last()).filter(pl.col("reason") == "school_ended")
    alive = frame.join(ended.select("unit"), on="unit", how="anti", maintain_order="left")
    return alive.filter(pl.col("segment") == pl.col("segment").max().over("unit"))


class _Panel:
    """The panel of one year group and subject, with the intake of each cohort where the year group below was examined."""

    def __init__(
        self, frame: pl.DataFrame, below: pl.DataFrame | None, horizon: int, *, standardised: bool, intake: bool, rate: bool
    ) -> None:
        self.periods = sorted(frame["period"].unique())
        self.units = sorted(frame["unit"].unique())
        self.y = spread_panel(frame, self.units, self.periods, "estimate")
        self.n = spread_panel(frame, self.units, self.periods, "n")
        sd = spread_panel(frame, self.units, self.periods, "sd")
        with np.errstate(invalid="ignore", divide="ignore"):
            pooled = float(np.sqrt(np.nansum(sd**2 * self.n) / np.nansum(self.n)))
            used = np.where((self.n < 30) | ~(sd > 0), pooled, sd)
            self.v = used**2 / self.n
        self.newest = self.y[:, -1].copy()
        self.y = np.where(np.isfinite(self.v) & (self.n > 0), self.y, np.nan)
        if rate:  # on the logit scale, so that no forecast leaves 0-1; half a pupil on either side
            low, high = self.y * self.n + 0.5, (1 - self.y) * self.n + 0.5
            self.y, self.v = np.log(low / high), 1 / low + 1 / high
        self.standardised, self.horizon = standardised, horizon
        self.intakes: Floats | None = None
        self.next_intake: Floats | None = None
        if intake and below is not None and horizon == 1:
            before = [year_before(period) for period in self.periods]
            self.intakes = spread_panel(below, self.units, before, "estimate")
            self.next_intake = spread_panel(below, self.units, [self.periods[-1]], "estimate")[:, 0]
            if int((~np.isnan(self.intakes) & ~np.isnan(self.y)).any(axis=0).sum()) < _LEAST_PERIODS:
                self.intakes = self.next_intake = None

    def forecast(self, columns: Sequence[int], *, last_known: Floats | None) -> tuple[LevelFit, Floats, Floats, float]:
        """Return fit, expected values, their variance without sampling, and the variance between years."""
        y, v = self.y[:, columns], self.v[:, columns]
        years = len(columns)
        x: Floats = np.broadcast_to(np.eye(years), (*y.shape, years)).copy()
        if self.intakes is not None:
            own = self.intakes[:, columns]
            y = np.where(np.isnan(own), np.nan, y)
            x = np.concatenate([x, np.nan_to_num(own)[..., None]], axis=2)
        seen = ~np.isnan(y).all(axis=0)
        kept = [*np.flatnonzero(seen), *range(years, x.shape[2])]
        fit = fit_levels(y[:, seen], v[:, seen], x[:, seen][:, :, kept])
        size = int(seen.sum())
        of_years, cov = fit.beta[:size], fit.beta_cov[:size, :size]
        between = 0.0
        if not self.standardised and size >= 2:  # the errors of the years have the units' levels in common: that is no spread
            between = max(float(of_years.var(ddof=1)) - float(np.trace(cov) - cov.sum() / size) / (size - 1), 0.0)
        coming = np.full((len(y), size), 1 / size)
        if last_known is not None:
            coming = np.concatenate([coming, last_known[:, None]], axis=1)
        away = coming - fit.drawn
        expected = coming @ fit.beta + fit.level
        estimation = np.einsum("sp,pr,sr->s", away, fit.beta_cov, away)
        variance = fit.level_var + fit.var_shock + between * (1 + 1 / size) + estimation
        return fit, expected, variance, between


def _backtest(panel: _Panel, level: float) -> tuple[int, float | None]:
    """Forecast the newest year from the years that ended ``horizon`` before it, and count what fell inside the interval."""
    size = len(panel.periods)
    earlier = list(range(size - panel.horizon))
    if len(earlier) < _LEAST_PERIODS:
        return 0, None
    known = None if panel.intakes is None else panel.intakes[:, -1]
    try:
        _, expected, variance, _ = panel.forecast(earlier, last_known=known)
    except np.linalg.LinAlgError:
        return 0, None
    usable = ~np.isnan(panel.y[:, -1]) & ~np.isnan(expected) & ~np.isnan(panel.y[:, earlier]).all(axis=1)
    half = normal_quantile(level) * np.sqrt(variance + panel.v[:, -1])
    inside = np.abs(panel.y[:, -1] - expected)[usable] <= half[usable]
    return int(usable.sum()), float(inside.mean()) if usable.any() else None


def forecast_targets(
    source: ExamSource,
    *,
    measure: str = "composite_z",
    subject: str | None = None,
    year_group: str | None = None,
    as_of: dt.date | None = None,
    horizon: int = 1,
    chance: float = 0.25,
    level: float = 0.80,
    direction: str | None = None,
    intake: bool = True,
    settings: RunSettings | None = None,
) -> TargetProposals:
    """Propose targets for schools from their own years and the intake of the cohort to come.

    The expected value is the school's lasting level (shrunken, from all years of one year group since its newest break), plus,
    where the year group below was examined a year earlier in the same term, what the same cohort brought with it. The proposed
    target is the value a school reaches with the probability `chance` if nothing but chance changes; the interval is that of
    one coming value: level, the shock of one year, and sampling. A target of the register reached with a chance below 10 % is
    marked. No slope is carried on. Rates are handled on the logit scale. With intake the same pupils stand on both sides: the
    interval is then somewhat too wide.

    Parameters
    ----------
    source
        An archive, or anything else that holds exams.
    measure, subject
        A standardised gap or a rate; the composite where no subject is named.
    year_group
        That of the newest exam when left out.
    as_of
        Later exams are not known.
    horizon
        School years ahead; intake is known for one year only. Levels are taken to last: the back-test of the result says how well
        that did at this horizon.
    chance
        Probability with which an unchanged school reaches the proposed target, below .5.
    level
        Level of the prediction interval; .80 ends at the 90 % bound on either side.
    direction
        ``up`` or ``down``; by the measure when left out.
    intake
        False: from own years only.

    Returns
    -------
    TargetProposals
        ``.frame`` one line per school, by its code, ``.model``. ``reason``: too_few_periods, no_current_value, below_min_n.

    Raises
    ------
    UsageError
        ``target_option``, ``target_measure``.
    NotAssessableError
        ``targets_too_few``: fewer than five schools or two school years; and what `collect_series` gives.

    Examples
    --------
    >>> import eduq as eq
    >>> from eduq.estimates.exam_source import sources_from_scores
    >>> from eduq.registers import read_registers
    >>> from eduq.resources import sample_data_path
    >>> sample = sample_data_path()
    >>> exams = [eq.read_scores(sample / f"{year}-2-g9-final") for year in (2023, 2024, 2025)]
    >>> source = sources_from_scores(exams, read_registers(sample / "registers"))
    >>> found = forecast_targets(source, intake=False)
    >>> line = found.frame.row(0, named=True)
    >>> line["ci_lower"] < line["expected"] < line["proposed"] < line["ci_upper"]
    True
    """
    run = settings or RunSettings()
    if horizon not in (1, 2, 3) or not 0 < chance < 0.5 or not 0.5 < level < 1 or direction not in (None, "up", "down"):
        raise UsageError("target_option")
    known = load_measures(names=[measure]) if measure in load_measures() or measure in _STANDARDISED else {}
    kind = known[measure].kind if measure in known else ""
    if (
        measure in PROMOTION_MEASURES
        or (kind != "proportion" and measure not in _STANDARDISED)
        or measure == "participation_rate"
    ):
        raise UsageError("target_measure", measure=measure)
    group = year_group or newest_group(source, as_of)
    below = below_group(group)
    frame, lower = _series(source, measure, subject, (group, below if intake else None), as_of, run)
    frame = newest_segments(frame.filter(pl.col("estimate").is_not_null() | (pl.col("reason") == "school_ended")))
    if frame["unit"].n_unique() < _LEAST_UNITS or frame["period"].n_unique() < _LEAST_PERIODS:
        raise NotAssessableError("targets_too_few", units=frame["unit"].n_unique(), periods=frame["period"].n_unique())
    panel = _Panel(frame, lower, horizon, standardised=measure in _STANDARDISED, intake=intake, rate=kind == "proportion")
    fit, expected, variance, between = panel.forecast(range(len(panel.periods)), last_known=panel.next_intake)
    way = direction or ("down" if measure in LOWER_IS_BETTER else "up")
    targets = _register_targets(source, measure, subject)
    lines = _lines(panel, fit, expected, variance, targets, level, chance, way, run.min_n_reporting, rate=kind == "proportion")
    inside = _backtest(panel, level)
    model = ProposalModel(
        n_units=len(panel.units),
        n_periods=len(panel.periods),
        n_values=int((~np.isnan(panel.y)).sum()),
        var_level=fit.var_level,
        var_shock=fit.var_shock,
        var_period=between,
        intake=None if panel.intakes is None else float(fit.beta[-1]),
        intake_se=None if panel.intakes is None else float(np.sqrt(fit.beta_cov[-1, -1])),
        backtest_n=inside[0],
        backtest_within=inside[1],
    )
    facts: dict[str, Any] = {"measure": measure, "subject": subject or "composite", "year_group": group, "direction": way}
    facts |= {"horizon": horizon, "chance": chance, "level": level, "first": panel.periods[0], "last": panel.periods[-1]}
    return TargetProposals(frame=lines, settings=facts, model=model)


def newest_group(source: ExamSource, as_of: dt.date | None) -> str:
    """Return the highest year group examined in the newest school year."""
    exams = source.exams().filter(pl.col("date").is_not_null(), pl.col("year_group").is_not_null())
    if as_of is not None:
        exams = exams.filter(pl.col("date") <= as_of)
    if exams.is_empty():
        raise NotAssessableError("series_no_exams", n=source.exams().height)
    newest = exams.filter(pl.col("school_year") == pl.col("school_year").max())
    groups: list[str] = newest["year_group"].to_list()
    return max(groups, key=lambda name: _ORDER.index(name) if name in _ORDER else -1)


def _series(
    source: ExamSource, measure: str, subject: str | None, groups: tuple[str, str | None], as_of: dt.date | None, run: RunSettings
) -> tuple[pl.DataFrame, pl.DataFrame | None]:
    """Return the series of the year group, and the standardised one of the year group below it as intake."""
    subjects = None if subject in (None, "composite") else [str(subject)]
    own = collect_series(source, measures=[measure], subjects=subjects, year_groups=[groups[0]], as_of=as_of, settings=run)
    frame = own.frame.filter(pl.col("subject") == (subject or ("all_subjects" if measure == "all_pass_rate" else "composite")))
    if groups[1] is None:
        return frame, None
    gap = "composite_z" if subjects is None else "z_mean"
    try:
        lower = collect_series(
            source, measures=[gap], subjects=subjects, year_groups=[groups[1]], term=own.term, as_of=as_of, settings=run
        )
    except NotAssessableError:
        return frame, None
    return frame, lower.frame.filter(pl.col("subject") == (subject or "composite"))


def _register_targets(source: ExamSource, measure: str, subject: str | None) -> dict[str, float]:
    """Return the newest target of each school for the measure and subject."""
    registers = source.registers()
    if registers is None or registers.targets is None:
        return {}
    mine = (pl.col("unit_type") == "school") & (pl.col("measure") == measure)
    named = registers.targets.filter(
        mine, pl.col("subject").eq_missing(subject) | pl.col("subject").eq_missing(subject or "composite")
    )
    return dict(named.sort("due", "target_id").select("unit_id", "target").iter_rows())


def _lines(
    panel: _Panel,
    fit: LevelFit,
    expected: Floats,
    variance: Floats,
    targets: dict[str, float],
    level: float,
    chance: float,
    direction: str,
    min_n: int,
    *,
    rate: bool,
) -> pl.DataFrame:
    from scipy.special import expit, logit, ndtr, ndtri

    sign = -1.0 if direction == "down" else 1.0
    seen = ~np.isnan(panel.y)
    rows: list[dict[str, Any]] = []

    def shown(value: float) -> float:
        return float(expit(value)) if rate else float(value)

    for place, unit in enumerate(panel.units):
        n, periods = panel.n[place, -1], int(seen[place].sum())
        row: dict[str, Any] = {"unit": unit, "n_periods": periods, "n": None if np.isnan(n) else int(n)}
        reason = None
        if not seen[place, -1]:
            reason = "no_current_value"
        elif n < min_n:
            reason = "below_min_n"
        elif periods < _LEAST_PERIODS:
            reason = "too_few_periods"
        elif panel.next_intake is not None and np.isnan(panel.next_intake[place]):
            reason = "no_intake"
        if reason is not None:
            rows.append(row | {"reason": reason})
            continue
        error = float(np.sqrt(variance[place] + panel.v[place, -1]))
        half = normal_quantile(level) * error
        middle = float(expected[place])
        row |= {
            "newest": float(panel.newest[place]),
            "level": float(fit.level[place]),
            "intake": None if panel.next_intake is None else float(panel.next_intake[place]),
            "expected": shown(middle),
            "std_error": error * shown(middle) * (1 - shown(middle)) if rate else error,
            "ci_lower": shown(middle - half),
            "ci_upper": shown(middle + half),
            "proposed": shown(middle + sign * float(ndtri(1 - chance)) * error),
        }
        target = targets.get(unit)
        if target is not None:
            asked = float(logit(min(max(target, 1e-6), 1 - 1e-6))) if rate else target
            reach = float(ndtr(sign * (middle - asked) / error))
            row |= {"target": target, "target_chance": reach, "target_seldom": reach < _SELDOM}
        rows.append(row)
    schema: dict[str, Any] = {"unit": pl.String, "n_periods": pl.Int64, "n": pl.Int64}
    numbers = (
        "newest",
        "level",
        "intake",
        "expected",
        "std_error",
        "ci_lower",
        "ci_upper",
        "proposed",
        "target",
        "target_chance",
    )
    schema |= dict.fromkeys(numbers, pl.Float64) | {"target_seldom": pl.Boolean, "reason": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row").sort("unit")
