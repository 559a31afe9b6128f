"""How much a school swings from cohort to cohort: the likelihood of the shock's SD and correlation on a grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from eduq.estimates.declines.panels import build_panel

__all__ = ["DECLARED_SHOCK_SD", "ShockGrid", "declare_shocks", "overlap_correlation", "weigh_shocks"]

Floats = npt.NDArray[np.float64]

DECLARED_SHOCK_SD = 0.10
"""Taken where too few units or years are there to see the shock (pupil SDs)."""
_SD_STEPS = 31
_LEAST_TOP = 0.30
_CORRELATIONS = {3: (0.0,), 4: (0.0, 0.1, 0.2, 0.3)}
_ALL_CORRELATIONS = tuple(round(0.1 * step, 1) for step in range(9))
_MIN_UNITS = 5


@dataclass(frozen=True)
class ShockGrid:
    """Values of (ω, ρ) a world may have, and how likely each is.

    Attributes
    ----------
    shock_sd, correlation
        float64 (G,): ω in pupil SDs; ρ between one year and the next.
    weight
        float64 (G,), sums to 1.
    source
        ``likelihood`` of the county's own series, or ``declared``.
    """

    shock_sd: Floats
    correlation: Floats
    weight: Floats
    source: str

    @property
    def mean_shock_sd(self) -> float:
        """Mean of ω over the grid."""
        return float(self.weight @ self.shock_sd)

    @property
    def mean_correlation(self) -> float:
        """Mean of ρ over the grid."""
        return float(self.weight @ self.correlation)

    def covariance(self, n_periods: int) -> Floats:
        """Return ω²ρ^|k−l| as (G, T, T)."""
        lag = np.abs(np.subtract.outer(np.arange(n_periods), np.arange(n_periods)))
        return np.asarray(self.shock_sd[:, None, None] ** 2 * self.correlation[:, None, None] ** lag, dtype=np.float64)


def declare_shocks(shock_sd: float = DECLARED_SHOCK_SD, correlation: float = 0.0) -> ShockGrid:
    """Return a grid of one stated value."""
    return ShockGrid(np.array([float(shock_sd)]), np.array([float(correlation)]), np.ones(1), "declared")


def weigh_shocks(panels: Sequence[tuple[Floats, Floats]], *, overlap: int = 1) -> ShockGrid:
    """Weigh the values of (ω, ρ) by their REML likelihood in the county's own series.

    The model is that of the declines: a level and a slope of its own for each unit, one effect for each year, shock
    covariance ω²ρ^|k−l| common to all units, and the sampling variance of each mean known. ρ cannot be seen in 3 years and
    hardly in 4: there only 0, and 0 to .3, are on the grid; from 5 years 0 to .8.

    Parameters
    ----------
    panels
        Per stratum (series that share year effects) means in pupil SDs, float64 (S, T), nan where a unit has none, and the
        sampling variance of each, float64 (S, T). The likelihoods of the strata are multiplied.
    overlap
        Adjacent years that share pupils, G: the known correlation max(0, 1 − |k−l|/G) of all swings takes the place of ρ.

    Returns
    -------
    ShockGrid
        One stated value (ω = .10, ρ = 0) where fewer than 5 units have 3 years in any stratum.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> means = rng.normal(size=(200, 1)) + 0.1 * rng.normal(size=(200, 6))
    >>> round(weigh_shocks([(means, np.full((200, 6), 1e-4))]).mean_shock_sd, 2)
    0.1
    """
    seen = [_seen(means, variances) for means, variances in panels]
    usable = [one for one in seen if one is not None]
    if not usable:
        return declare_shocks()
    top = max(_LEAST_TOP, *(3.0 * _residual_sd(means) for means, _ in usable))
    sds = np.linspace(0.0, top, _SD_STEPS)
    longest = max(means.shape[1] for means, _ in usable)
    rhos = (0.0,) if overlap > 1 else _CORRELATIONS.get(longest, _ALL_CORRELATIONS)
    per_rho = [np.sum([_log_likelihoods(*panel, sds, rho, overlap) for panel in usable], axis=0) for rho in rhos]
    values = np.concatenate(per_rho)
    weight = np.exp(values - values.max())
    return ShockGrid(np.tile(sds, len(rhos)), np.repeat(np.array(rhos), sds.size), weight / weight.sum(), "likelihood")


def _seen(means: Floats, variances: Floats) -> tuple[Floats, Floats] | None:
    """Keep the units with 3 years or more and the years from the first to the last of them; None when that is too few."""
    present = np.isfinite(means)
    rows = present.sum(axis=1) >= 3
    years = np.flatnonzero(present[rows].any(axis=0))
    if rows.sum() < _MIN_UNITS or years.size < 3:
        return None
    span = slice(int(years[0]), int(years[-1]) + 1)
    return means[rows, span], variances[rows, span]


def overlap_correlation(n_periods: int, overlap: int) -> Floats:
    """Return max(0, 1 − |k−l|/G) as (T, T); without overlap the unit matrix."""
    lag = np.abs(np.subtract.outer(np.arange(n_periods), np.arange(n_periods)))
    return np.asarray(np.maximum(0.0, 1.0 - lag / max(overlap, 1)), dtype=np.float64)


def _residual_sd(means: Floats) -> float:
    """Root mean square of what each unit's own line leaves over."""
    total, df = 0.0, 0
    for row in means:
        there = np.flatnonzero(np.isfinite(row))
        line = np.polynomial.Polynomial.fit(there, row[there], 1)
        total += float(((row[there] - line(there)) ** 2).sum())
        df += there.size - 2
    return float(np.sqrt(total / df)) if df else 0.0


def _log_likelihoods(y: Floats, v: Floats, sds: Floats, rho: float, overlap: int = 1) -> Floats:
    """REML log-likelihoods (without the constant) of each ω at one ρ; a missing cell is a row of zeros with variance 1."""
    n_units, n_years = y.shape
    present = np.isfinite(y)
    time = np.arange(n_years) - (n_years - 1) / 2
    lag = np.abs(np.subtract.outer(np.arange(n_years), np.arange(n_years)))
    both = present[:, :, None] & present[:, None, :]
    sampling = np.where(present, v, 0.0)
    missing = np.where(present, 0.0, 1.0)[:, :, None] * np.eye(n_years)
    shared = overlap_correlation(n_years, overlap)
    free = build_panel(y[None], v, time, least=3).years
    years = np.broadcast_to(free, (n_units, *free.shape))
    lines = np.broadcast_to(np.stack([np.ones(n_years), time], axis=-1), (n_units, n_years, 2))
    design = np.concatenate([lines, years, np.where(present, y, 0.0)[:, :, None]], axis=-1) * present[:, :, None]
    found = np.empty(sds.size)
    for place, sd in enumerate(sds):
        if overlap > 1:
            spread = np.sqrt(sampling + sd**2)
            covariance = spread[:, :, None] * spread[:, None, :] * shared
        else:
            covariance = sampling[:, :, None] * shared + sd**2 * rho**lag
        root = np.linalg.cholesky(covariance * both + missing)
        scaled = np.linalg.solve(root, design)
        products = np.swapaxes(scaled, -1, -2) @ scaled
        line = products[:, :2, :2]
        rest = products[:, 2:, 2:] - products[:, 2:, :2] @ np.linalg.solve(line, products[:, :2, 2:])
        pooled = rest.sum(axis=0)
        inner, left = pooled[:-1, :-1], pooled[-1, -1]
        left = left - pooled[-1, :-1] @ np.linalg.solve(inner, pooled[:-1, -1])
        log_roots = 2 * np.log(np.diagonal(root, axis1=-2, axis2=-1)).sum()
        log_lines = np.linalg.slogdet(line)[1].sum() + np.linalg.slogdet(inner)[1]
        found[place] = -0.5 * (log_roots + log_lines + left)
    return found
