"""The decline fit for many counties at once: what the simulations use, and, with one county, what the estimator uses."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from eduq.errors import UsageError
from eduq.estimates.declines.bounds import RHO_GRID, DeclineBounds
from eduq.estimates.declines.letters import A, B, adjust_family, assign_letters, lower_by_last_place, lowest_third
from eduq.estimates.declines.panels import Panel, build_panel
from eduq.estimates.declines.shocks import exact_shock, projected_shock
from eduq.estimates.declines.slopes import Slopes, estimate_slopes
from eduq.estimates.ranks import last_place_p, probability_last

__all__ = ["PanelFit", "WorldFits", "fit_panel", "fit_worlds", "look_at_last_place", "mean_levels", "second_p"]

Floats = NDArray[np.float64]
CHUNK = 250_000
"""Cells of (worlds × units × periods) that are fitted together: they fit in the processor's cache."""


@dataclass(frozen=True)
class PanelFit:
    """Fit of one stratum: shock variance and correlation (W,), slopes, and p-values at the second correlation.

    ``p_second`` is ``slopes.p`` except in families of four periods, where it is p at the second shock correlation.
    """

    shock: Floats
    correlation: Floats
    slopes: Slopes
    p_second: Floats


@dataclass(frozen=True)
class WorldFits:
    """What `fit_worlds` gives, arrays with a leading axis of worlds.

    Attributes
    ----------
    slope, std_error, df
        (W, S) float64: slope relative to the county in SDs a period, its standard error and degrees of freedom.
    p, holm, q
        (W, S) float64: one-sided p of "no fall", Holm-adjusted p, Benjamini-Hochberg q (in the lowest third with last place).
    letter
        (W, S) int8: 0 no grade, 1 A, 2 B, 3 C, 4 D.
    var_shock, correlation
        (W,) float64: ω² and ρ.
    p_last
        (W, S) float64: least P(last) over the last periods; nan where nobody needed it (grade below B) or nobody asked.
    could_be_last
        (W, S) bool: whether the unit could be last in each of them; False where nobody needed it.
    """

    slope: Floats
    std_error: Floats
    df: Floats
    p: Floats
    holm: Floats
    q: Floats
    letter: NDArray[np.int8]
    var_shock: Floats
    correlation: Floats
    p_last: Floats
    could_be_last: NDArray[np.bool_]


def fit_worlds(
    means: Floats,
    variances: Floats,
    *,
    times: Floats | None = None,
    bounds: DeclineBounds | None = None,
    overlap: int = 1,
    last_place: bool = False,
    last_k: int = 1,
    last_periods: int = 1,
    rho_grid: tuple[float, ...] = RHO_GRID,
) -> WorldFits:
    """Fit slopes and assign evidence grades in many simulated counties at once, as `detect_declines` does in one.

    Parameters
    ----------
    means
        (W, S, T) estimates in pupil SDs; nan = missing, in the same cells of every world.
    variances
        (S, T) or (W, S, T) sampling variances.
    times
        (T,) periods as numbers; 0, 1, 2, … by default.
    bounds
        Bounds of the grades; the defaults when left out. The window is the caller's: all T periods enter.
    overlap
        Number of adjacent year groups pooled in a unit's estimate.
    last_place
        Grade the clause "falling and last": the family is the lowest third by mean level, A needs P(last), B membership in
        the could-be-last set.
    last_k
        How many places from the bottom count as last.
    last_periods
        How many of the last periods the place must hold in: the least P(last) counts, and membership in each.
    rho_grid
        Shock correlations compared where T ≥ ``bounds.min_periods_rho``.

    Returns
    -------
    WorldFits
        Arrays with a leading axis of worlds.

    Raises
    ------
    UsageError
        ``declines_worlds_shape``: the arrays do not fit together, or cells are missing in some worlds only.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> means = rng.normal(0, 0.12, (50, 20, 4)); means[:, 0] += [0.0, -0.3, -0.6, -0.9]
    >>> fits = fit_worlds(means, np.full((20, 4), 0.005))
    >>> bool((fits.letter[:, 0] <= 2).all())
    True
    """
    bounds = bounds or DeclineBounds()
    if means.ndim != 3 or variances.shape not in (means.shape, means.shape[1:]) or means.shape[2] < 2:
        raise UsageError("declines_worlds_shape", means=str(means.shape), variances=str(variances.shape))
    holes = np.isnan(means)
    if bool((holes != holes[:1]).any()):
        raise UsageError("declines_worlds_shape", means=str(means.shape), variances=str(variances.shape))
    moments = np.arange(means.shape[2], dtype=np.float64) if times is None else np.asarray(times, dtype=np.float64)
    step = max(1, CHUNK // (means.shape[1] * means.shape[2]))
    parts = []
    for first in range(0, len(means), step):
        chosen = slice(first, first + step)
        own = variances if variances.ndim == 2 else variances[chosen]
        place = (last_k, last_periods) if last_place else None
        parts.append(_fit_chunk(means[chosen], own, moments, bounds, overlap, place, rho_grid))
    return WorldFits(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(WorldFits)))


def fit_panel(panel: Panel, *, bounds: DeclineBounds, overlap: int, rho_grid: tuple[float, ...] = RHO_GRID) -> PanelFit:
    """Return shock variance, shock correlation and slopes of a panel, per world.

    Fewer than ``min_periods_rho`` periods: ρ = 0. From then on: the ρ of the grid with the least −2 log restricted likelihood.
    With overlapping cohorts their known correlation takes the place of ρ. Families without degrees of freedom (two periods)
    take the declared shock.
    """
    n_worlds = len(panel.means)
    n_periods = len(panel.times)
    zero = np.zeros(n_worlds)
    if panel.df < 1:
        declared = np.full(n_worlds, bounds.shock_declared**2)
        slopes = estimate_slopes(panel, declared, rho=0.0, overlap=overlap)
        return PanelFit(declared, zero, slopes, slopes.p)
    if overlap > 1:
        shock, _ = projected_shock(panel, 0.0, overlap)
        slopes = estimate_slopes(panel, shock, rho=0.0, overlap=overlap)
        return PanelFit(shock, zero, slopes, slopes.p)
    if n_periods < bounds.min_periods_rho:
        start, _ = projected_shock(panel, 0.0, 1)
        shock = exact_shock(panel, start)
        slopes = estimate_slopes(panel, shock, rho=0.0, overlap=1)
        return PanelFit(shock, zero, slopes, slopes.p)
    fits = [projected_shock(panel, rho, 1) for rho in rho_grid]
    best = np.argmin(np.stack([objective for _, objective in fits]), axis=0)
    shock = np.stack([found for found, _ in fits])[best, np.arange(n_worlds)]
    parts: dict[str, Floats] = {}
    for number in np.unique(best):
        worlds = np.flatnonzero(best == number)
        some = panel.take(worlds)
        if rho_grid[number] == 0.0:
            shock[worlds] = exact_shock(some, shock[worlds])
        slopes = estimate_slopes(some, shock[worlds], rho=rho_grid[number], overlap=1)
        for field in fields(Slopes):
            found = getattr(slopes, field.name)
            parts.setdefault(field.name, np.empty((n_worlds, *found.shape[1:])))[worlds] = found
    slopes = Slopes(**parts)
    return PanelFit(shock, np.asarray(rho_grid)[best], slopes, slopes.p)


def second_p(panel: Panel, fit: PanelFit, worlds: NDArray[np.intp], bounds: DeclineBounds, overlap: int) -> Floats:
    """Return p of some worlds at the second shock correlation: of families of four periods, else p itself."""
    four = len(panel.times) < bounds.min_periods_rho and panel.df >= 1
    if not four or overlap > 1 or bounds.second_rho == 0.0:
        return fit.slopes.p[worlds]
    some = panel.take(worlds)
    shock, _ = projected_shock(some, bounds.second_rho, 1)
    return estimate_slopes(some, shock, rho=bounds.second_rho, overlap=1).p


def _fit_chunk(
    means: Floats,
    variances: Floats,
    times: Floats,
    bounds: DeclineBounds,
    overlap: int,
    place: tuple[int, int] | None,
    rho_grid: tuple[float, ...],
) -> WorldFits:
    panel = build_panel(means, variances, times, least=min(3, len(times)))
    fit = fit_panel(panel, bounds=bounds, overlap=overlap, rho_grid=rho_grid)
    slopes = fit.slopes
    p = slopes.p if (panel.n_periods > 0).sum() >= bounds.min_units else np.full_like(slopes.p, np.nan)
    third = lowest_third(mean_levels(panel, fit)) if place else None
    holm, q, _ = adjust_family(p, third)
    with np.errstate(invalid="ignore"):
        near_a = (holm <= bounds.alpha_holm) & (slopes.slope <= -bounds.materiality)
    q_second = q.copy()
    asked = np.flatnonzero((near_a & (panel.n_periods >= bounds.min_periods_confirmed)).any(axis=1))
    if len(asked):
        again = second_p(panel, fit, asked, bounds, overlap)
        q_second[asked] = adjust_family(again, None if third is None else third[asked])[1]
    letters = assign_letters(slopes.slope, p, holm, q, q_second, panel.n_periods, bounds)
    p_last = np.full_like(p, np.nan)
    member = np.zeros(p.shape, dtype=np.bool_)
    if place:
        look_at_last_place(means, np.broadcast_to(variances, means.shape), fit, letters, place, bounds, p_last, member)
        letters = lower_by_last_place(letters, p_last, member, bounds)
    return WorldFits(slopes.slope, slopes.std_error, slopes.df, p, holm, q, letters, fit.shock, fit.correlation, p_last, member)


def mean_levels(panel: Panel, fit: PanelFit) -> Floats:
    """Return each unit's mean level over the window (W, S), period effects and the common course taken out; nan outside."""
    common = fit.slopes.effects + fit.slopes.mean_slope[:, None] * panel.times
    relative = np.where(panel.present, panel.means - common[:, None, :], 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        levels = relative.sum(axis=2) / np.where(panel.n_periods > 0, panel.n_periods, np.nan)
    return np.asarray(levels)


def look_at_last_place(
    means: Floats,
    variances: Floats,
    fit: PanelFit,
    letters: NDArray[np.int8],
    place: tuple[int, int],
    bounds: DeclineBounds,
    p_last: Floats,
    member: NDArray[np.bool_],
) -> None:
    """Fill P(last) and the could-be-last membership of the units graded A or B, over the last periods."""
    last_k, last_periods = place
    world, unit = np.nonzero((letters == A) | (letters == B))
    if len(world) == 0:
        return
    least, all_in = np.full(len(world), np.inf), np.ones(len(world), dtype=np.bool_)
    for period in range(max(0, means.shape[2] - last_periods), means.shape[2]):
        there = ~np.isnan(means[0, :, period])
        column = np.cumsum(there) - 1
        assessed = there[unit]
        x = means[:, there, period]
        s = np.sqrt(variances[:, there, period] + fit.shock[:, None])
        worlds, row = np.unique(world, return_inverse=True)
        chance = np.full(len(world), np.nan)
        if x.shape[1] >= bounds.min_units:
            chance = np.where(assessed, probability_last(x[worlds], s[worlds], places=last_k)[row.ravel(), column[unit]], np.nan)
        least = np.minimum(least, chance)
        found = np.zeros(len(world), dtype=np.bool_)
        p = last_place_p(x[world[assessed]], s[world[assessed]], column[unit[assessed]], places=last_k)
        found[assessed] = p > bounds.could_be_last
        all_in &= found
    p_last[world, unit] = least
    member[world, unit] = all_in
