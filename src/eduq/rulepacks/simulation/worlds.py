"""Worlds: what a county's results would have been had nothing changed in any school but chance."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from eduq.rulepacks.simulation.rates import RateTable
from eduq.rulepacks.simulation.shocks import ShockGrid, overlap_correlation
from eduq.rulepacks.simulation.subjects import Together

__all__ = ["County", "draw_worlds", "lay_decline", "observe_worlds", "preserve_spread"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class County:
    """What is fixed in every world: a county's own series, with their sizes, years and holes.

    Attributes
    ----------
    present
        bool (S, T): the series has a comparable level in that year.
    variances
        float64 (S, T): sampling variance of a mean in that year (the unit's own within variance over its candidates).
    levels
        float64 (G, S): true level of each series at each point of the shock grid.
    shocks
        The grid.
    together
        Series of several subjects that swing together; None where there is one subject.
    rates
        Where the measure is a rate: what it becomes after a shift. Then levels are shifts of a series' newest scores.
    overlap
        Adjacent years that share pupils: all swings are correlated by it, in place of ρ.
    """

    present: Bools
    variances: Floats
    levels: Floats
    shocks: ShockGrid
    together: Together | None = None
    rates: RateTable | None = None
    overlap: int = 1

    def extend(self, years: int) -> County:
        """Return the county with as many more years, each as the newest one: its sizes, and who takes part."""
        last = np.repeat(self.present[:, -1:], years, axis=1), np.repeat(self.variances[:, -1:], years, axis=1)
        return replace(
            self,
            present=np.concatenate([self.present, last[0]], axis=1),
            variances=np.concatenate([self.variances, last[1]], axis=1),
            rates=None if self.rates is None else self.rates.extend(years),
        )


def preserve_spread(means: Floats, variances: Floats, shocks: ShockGrid, *, overlap: int = 1) -> Floats:
    """Return true levels whose spread is that of the true levels, not that of the observed or the shrunken ones.

    θ_s = m + √λ_s(x̄_s − m) with λ_s = τ²/(τ² + s_s²), τ² by Paule and Mandel: raw means would make the same unit last too
    often, shrunken ones too rarely.

    Parameters
    ----------
    means, variances
        float64 (S, T); nan where there is no mean.
    shocks
        The shock grid (G points).
    overlap
        Adjacent years that share pupils.

    Returns
    -------
    float64 (G, S); nan for a series without a mean.

    References
    ----------
    Louis, T. A. (1984). Estimating a population of parameter values using Bayes and empirical Bayes methods. JASA 79,
    393–398. Paule, R. C. & Mandel, J. (1982). J. Res. NBS 87, 377–385.
    """
    present = np.isfinite(means)
    there = present.any(axis=1)
    if not there.any():
        return np.full((shocks.weight.size, means.shape[0]), np.nan)
    covariance = shocks.covariance(means.shape[1])
    weight = np.where(present, 1.0, 0.0) / (np.where(present, variances, 1.0) + shocks.shock_sd[:, None, None] ** 2)
    total = np.where(there, weight.sum(axis=-1), 1.0)
    mean = (weight * np.where(present, means, 0.0)).sum(axis=-1) / total
    sampling = np.where(present, variances, 0.0)
    if overlap > 1:
        leaned = weight * np.sqrt(sampling + shocks.shock_sd[:, None, None] ** 2)
        spread = np.einsum("gst,tu,gsu->gs", leaned, overlap_correlation(means.shape[1], overlap), leaned)
    else:
        spread = np.einsum("gst,gtu,gsu->gs", weight, covariance, weight) + (weight**2 * sampling).sum(axis=-1)
    squared = spread / total**2
    mean, squared = mean[:, there], squared[:, there]
    tau = _paule_mandel(mean, squared)[:, None]
    part = 1.0 / (tau + squared)
    centre = (part * mean).sum(axis=1, keepdims=True) / part.sum(axis=1, keepdims=True)
    levels = np.full((shocks.weight.size, means.shape[0]), np.nan)
    levels[:, there] = centre + np.sqrt(tau * part) * (mean - centre)
    return levels


def _paule_mandel(x: Floats, squared: Floats) -> Floats:
    """τ² of each row of x (G, S) with known variances: Σ(x−m)²/(τ²+s²) = S − 1, by bisection; 0 where it is below at 0."""

    def excess(tau: Floats) -> Floats:
        weight = 1.0 / (tau[:, None] + squared)
        centre = (weight * x).sum(axis=1) / weight.sum(axis=1)
        return np.asarray((weight * (x - centre[:, None]) ** 2).sum(axis=1) - (x.shape[1] - 1))

    low, high = np.zeros(x.shape[0]), np.full(x.shape[0], float(np.var(x)) * x.shape[1] + 1.0)
    none = excess(low) <= 0
    for _ in range(60):
        middle = (low + high) / 2
        above = excess(middle) > 0
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return np.where(none, 0.0, (low + high) / 2)


def draw_worlds(county: County, rng: np.random.Generator, n_worlds: int) -> Floats:
    """Draw worlds in which nothing changes.

    Each world draws (ω, ρ) from the grid; y_st = θ_s + u_st + N(0, σ²_s/n_st), u a first-order autoregression with SD ω.
    Several subjects of one unit and year group swing together, pupils' chance and cohort shock alike.

    Parameters
    ----------
    county
        What is fixed.
    rng
        Source of random numbers; every cell takes its numbers, holes too, so that worlds stay paired.
    n_worlds
        Number of worlds W.

    Returns
    -------
    float64 (W, S, T); nan in the holes. Where the measure is a rate these are shifts, for `observe_worlds`.
    """
    n_years = county.present.shape[1]
    point = rng.choice(county.shocks.weight.size, size=n_worlds, p=county.shocks.weight)
    sd = county.shocks.shock_sd[point][:, None]
    rho = county.shocks.correlation[point][:, None]
    swing = _draw(county, rng, n_years, n_worlds)
    for year in range(1, n_years if county.overlap == 1 else 1):
        swing[year] = rho * swing[year - 1] + np.sqrt(1.0 - rho**2) * swing[year]
    noise = np.ascontiguousarray(np.moveaxis(_draw(county, rng, n_years, n_worlds), 0, -1))
    noise *= 0.0 if county.rates is not None else np.sqrt(np.where(county.present, county.variances, 0.0))
    noise += np.moveaxis(swing * sd, 0, -1)
    noise += county.levels[point][:, :, None]
    noise[:, ~county.present] = np.nan
    return noise


def observe_worlds(county: County, worlds: Floats, rng: np.random.Generator) -> Floats:
    """Return what is measured in worlds: means as they are; of shifts the rates, with pupils drawn."""
    return worlds if county.rates is None else county.rates.observe(worlds, rng)


def _draw(county: County, rng: np.random.Generator, n_years: int, n_worlds: int) -> Floats:
    """Draw standard normal numbers (years, worlds, series); those of one cohort's subjects are correlated."""
    if county.together is not None:
        drawn = county.together.draw(rng, n_years, n_worlds)
    else:
        drawn = rng.standard_normal((n_years, n_worlds, county.present.shape[0]))
    if county.overlap > 1:
        root = np.linalg.cholesky(overlap_correlation(n_years, county.overlap) + 1e-12 * np.eye(n_years))
        drawn = np.einsum("kl,lws->kws", root, drawn)
    return drawn


def lay_decline(worlds: Floats, *, series: npt.NDArray[np.intp], slope: float, window: int) -> Floats:
    """Return the worlds with some series falling (or rising) by `slope` a year over the last `window` years.

    Their mean over the window stays, so that it is their course that differs, not the level; before the window nothing changes.
    """
    n_years = worlds.shape[-1]
    first = max(0, n_years - window)
    time = np.arange(n_years, dtype=np.float64)
    course = np.where(time >= first, time - (first + n_years - 1) / 2, 0.0)
    changed = worlds.copy()
    changed[:, series] += slope * course
    return changed
