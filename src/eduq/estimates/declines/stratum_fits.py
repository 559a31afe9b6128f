"""One stratum fitted: its model, and the columns of its units before the family's adjustments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from eduq.estimates.declines.bounds import DeclineBounds
from eduq.estimates.declines.companions import count_falls, drop_from_before, kendall_tau, t_bounds, theil_sen
from eduq.estimates.declines.inputs import Stratum
from eduq.estimates.declines.letters import lowest_third
from eduq.estimates.declines.panels import Panel, build_panel
from eduq.estimates.declines.shocks import profile_interval
from eduq.estimates.declines.slopes import unit_covariance
from eduq.estimates.declines.worlds import PanelFit, fit_panel, mean_levels, second_p
from eduq.estimates.ranks import could_be_last, probability_last, rank_sets, shrink

__all__ = ["DeclineModel", "FittedStratum", "fit_stratum"]

Floats = NDArray[np.float64]
SCALE_MOVED = 0.5
"""Correlation of slopes with levels from which the scale is suspected."""


@dataclass(frozen=True)
class DeclineModel:
    """What was estimated for all units of a stratum together.

    Attributes
    ----------
    var_shock, var_shock_lower, var_shock_upper
        ω², the variance of a unit's cohort shock, and its Q-profile interval; no interval where it was declared.
    shock_source
        ``reml`` (estimated) or ``declared`` (two periods, or nothing left to estimate it from).
    shock_correlation, correlation_source
        ρ between neighbouring periods and where it comes from: ``estimated`` (REML on a grid), ``assumed`` (0; too few
        periods to see it, grade A is checked at the second correlation) or ``overlap`` (pooled year groups).
    df
        Degrees of freedom of ω².
    n_units, n_periods
        Units in the fit, and periods T of the window.
    periods
        The periods.
    period_effects
        What was taken out of every unit's estimate, per period, in SDs (mean 0).
    mean_slope
        The common course in it, SDs a period.
    level_slope_correlation
        Correlation of slopes with levels; beyond .5 either way the scale has moved, not the units.
    spacing
        Periods as numbers: ``years``, or ``order`` where they are labels.
    overlap
        Adjacent year groups pooled in a unit.
    n_replaced
        Cells whose sampling variance is the family's or the unit's other years' (own unknown, too uncertain or 0).
    """

    var_shock: float
    var_shock_lower: float | None
    var_shock_upper: float | None
    shock_source: Literal["reml", "declared"]
    shock_correlation: float
    correlation_source: Literal["estimated", "assumed", "overlap"]
    df: int
    n_units: int
    n_periods: int
    periods: tuple[Any, ...]
    period_effects: tuple[float, ...]
    mean_slope: float
    level_slope_correlation: float | None
    spacing: str
    overlap: int
    n_replaced: int

    @property
    def scale_moved(self) -> bool:
        """Whether slopes go with levels (beyond .5 either way): then scale, ceiling or floor moved rather than the units."""
        return self.level_slope_correlation is not None and abs(self.level_slope_correlation) > SCALE_MOVED


@dataclass(frozen=True)
class FittedStratum:
    """Arrays per unit (S,) or unit and period (S, T); nan where there is nothing.

    ``p_second`` is p at the second shock correlation, ``third`` the lowest third by mean level over the window.
    """

    stratum: Stratum
    panel: Panel
    model: DeclineModel
    units: dict[str, NDArray[Any]]
    third: NDArray[np.bool_]
    relative: Floats
    covariance: Floats


def fit_stratum(
    stratum: Stratum,
    *,
    bounds: DeclineBounds,
    overlap: int,
    place: tuple[int, int],
    level: float,
    relative_falls: bool,
) -> FittedStratum:
    """Fit one stratum of at least two periods.

    Parameters
    ----------
    stratum
        The series.
    bounds, overlap, level
        As of `detect_declines`.
    place
        How many places from the bottom, and in how many of the last periods.
    relative_falls
        Count falls in a row on the estimates less the period effects (scales that move), else on the estimates as given.
    """
    panel = build_panel(stratum.estimates[None], stratum.variances, stratum.times, least=min(3, len(stratum.times)))
    fit = fit_panel(panel, bounds=bounds, overlap=overlap)
    common = fit.slopes.effects[0] + fit.slopes.mean_slope[0] * panel.times
    fitted = panel.n_periods > 0
    seen = ~np.isnan(stratum.estimates)
    centre = stratum.estimates[panel.present].mean() if panel.present.any() else 0.0
    relative = np.where(seen, stratum.estimates - centre - common, np.nan)
    covariance = unit_covariance(panel, fit.shock, float(fit.correlation[0]), overlap)[0]
    covariance = np.broadcast_to(covariance, (len(stratum.units), *covariance.shape[1:]))
    levels = mean_levels(panel, fit)[0]
    units = _slope_columns(panel, fit, bounds, overlap, level)
    drop, drop_se = drop_from_before(relative, covariance, panel.present)
    falls = count_falls(relative if relative_falls else stratum.estimates, stratum.times)
    tau, tau_p = kendall_tau(np.where(fitted[:, None], relative, np.nan))
    with np.errstate(invalid="ignore"):
        n_min = np.fmin.reduce(stratum.n, axis=1)
    units |= {
        "n_periods": seen.sum(axis=1).astype(np.int64),
        "first": _edge(seen, first=True),
        "last": _edge(seen, first=False),
        "n_min": n_min,
        "level": levels,
        "run_declines": falls,
        "drop": drop,
        "drop_se": drop_se,
        "theil_sen": theil_sen(np.where(fitted[:, None], relative, np.nan), stratum.times),
        "kendall_tau": tau,
        "kendall_p": tau_p,
        **_place_columns(stratum, float(fit.shock[0]), place, bounds),
    }
    model = _describe_model(stratum, panel, fit, common, bounds, overlap, level, levels)
    return FittedStratum(stratum, panel, model, units, lowest_third(levels), relative, covariance)


def _edge(seen: NDArray[np.bool_], *, first: bool) -> NDArray[np.int64]:
    """Return the place of the first or last period seen, −1 where none is."""
    place = np.argmax(seen, axis=1) if first else seen.shape[1] - 1 - np.argmax(seen[:, ::-1], axis=1)
    return np.where(seen.any(axis=1), place, -1).astype(np.int64)


def _slope_columns(panel: Panel, fit: PanelFit, bounds: DeclineBounds, overlap: int, level: float) -> dict[str, NDArray[Any]]:
    slopes = fit.slopes
    fitted = panel.n_periods > 0
    graded = fitted.sum() >= bounds.min_units
    alone = fitted.sum() < 2
    p = slopes.p[0] if graded else np.full_like(slopes.p[0], np.nan)
    second = second_p(panel, fit, np.array([0]), bounds, overlap)[0] if graded else p
    slope, se, df = slopes.slope[0], slopes.std_error[0], slopes.df[0]
    if alone:
        slope = se = df = np.full_like(slope, np.nan)
    lower, upper = t_bounds(slope, se, df, level)
    shrunken = np.full_like(slope, np.nan)
    if graded:
        shrunken[fitted] = shrink(slope[fitted], se[fitted]).estimate
    return {
        "slope": slope,
        "std_error": se,
        "df": df,
        "ci_lower": lower,
        "ci_upper": upper,
        "p_value": p,
        "p_second": second,
        "slope_shrunken": shrunken,
    }


def _place_columns(stratum: Stratum, shock: float, place: tuple[int, int], bounds: DeclineBounds) -> dict[str, NDArray[Any]]:
    """Return rank with its set in the last period, and P(last) and could-be-last over the last periods that count.

    The standard errors hold sampling and shock, √(v + ω²): the place of the unit, not of one cohort.
    """
    places, periods = place
    n_units, n_periods = stratum.estimates.shape
    p_last = np.full(n_units, np.inf)
    member = np.ones(n_units)
    columns: dict[str, NDArray[Any]] = {
        name: np.full(n_units, np.nan) for name in ("rank", "rank_lower", "rank_upper", "n_units")
    }
    for period in range(max(0, n_periods - periods), n_periods):
        there = ~np.isnan(stratum.estimates[:, period])
        x = stratum.estimates[there, period]
        s = np.sqrt(stratum.variances[there, period] + shock)
        chance, could = np.full(n_units, np.nan), np.full(n_units, np.nan)
        if len(x) >= bounds.min_units:
            chance[there] = probability_last(x, s, places=places)
        if len(x):
            could[there] = could_be_last(x, s, alpha=bounds.could_be_last, places=places)
        p_last, member = np.minimum(p_last, chance), member * could
        if period == n_periods - 1 and len(x):
            ranks = rank_sets(x, s)
            columns["rank"][there], columns["rank_lower"][there] = ranks.rank, ranks.lower
            columns["rank_upper"][there], columns["n_units"][there] = ranks.upper, len(x)
    return columns | {"p_last": p_last, "could_be_last": member}


def _describe_model(
    stratum: Stratum,
    panel: Panel,
    fit: PanelFit,
    common: Floats,
    bounds: DeclineBounds,
    overlap: int,
    level: float,
    levels: Floats,
) -> DeclineModel:
    estimated = panel.df >= 1
    rho = float(fit.correlation[0])
    lower, upper = profile_interval(panel, rho=rho, overlap=overlap, level=level) if estimated else (None, None)
    grid = estimated and overlap == 1 and len(stratum.periods) >= bounds.min_periods_rho
    both = ~np.isnan(levels) & ~np.isnan(fit.slopes.slope[0])
    correlation = None
    if both.sum() >= bounds.min_units:
        x, y = levels[both] - levels[both].mean(), fit.slopes.slope[0][both] - fit.slopes.slope[0][both].mean()
        size = float(np.sqrt((x @ x) * (y @ y)))
        correlation = float(x @ y) / size if size > 0 else None
    return DeclineModel(
        var_shock=float(fit.shock[0]),
        var_shock_lower=lower,
        var_shock_upper=upper,
        shock_source="reml" if estimated else "declared",
        shock_correlation=rho,
        correlation_source="overlap" if overlap > 1 else "estimated" if grid else "assumed",
        df=panel.df,
        n_units=int((panel.n_periods > 0).sum()),
        n_periods=len(stratum.periods),
        periods=tuple(stratum.periods),
        period_effects=tuple(float(value) for value in common - common.mean()),
        mean_slope=float(fit.slopes.mean_slope[0]),
        level_slope_correlation=correlation,
        spacing=stratum.spacing,
        overlap=overlap,
        n_replaced=stratum.n_replaced,
    )
