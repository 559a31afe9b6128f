"""Standard counties: simulated yearly means of schools with a known truth, many counties at once."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

__all__ = ["Counties", "County", "draw_counties", "literal_clause"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class County:
    """What a county is like; the defaults are the standard county.

    Attributes
    ----------
    years, schools
        T and S.
    shock
        SD of the cohort shock, in pupil SDs.
    level
        SD of the schools' levels.
    within
        Variance of pupils within a school.
    falls
        Fall a year of the first schools, one value each; the others do not change.
    level_of_first
        Mean level over the window of the first school; drawn like the others' when None.
    size_of_first
        Pupils of the first school.
    correlation
        Serial correlation of the shocks.
    unequal
        Schools' shock SDs differ: SD of their logarithm (mean square kept).
    tails
        Degrees of freedom of t-distributed shocks (variance kept); None for normal ones.
    pooled
        Adjacent year groups pooled: each cohort counts in this many years.
    """

    years: int = 4
    schools: int = 40
    shock: float = 0.10
    level: float = 0.35
    within: float = 0.85
    falls: tuple[float, ...] = ()
    level_of_first: float | None = None
    size_of_first: float = 120.0
    correlation: float = 0.0
    unequal: float = 0.0
    tails: float | None = None
    pooled: int = 1

    def with_years(self, years: int) -> County:
        """Return the same county over another number of years."""
        return replace(self, years=years)


@dataclass(frozen=True)
class Counties:
    """Drawn counties: means (W, S, T), their sampling variances, true slopes relative to the county (W, S)."""

    means: Floats
    variances: Floats
    slopes: Floats


def draw_counties(county: County, *, worlds: int, seed: int) -> Counties:
    """Draw counties; sizes are lognormal(ln 120, .8) within 15 to 800 and vary by 10 % a year."""
    rng = np.random.default_rng(seed)
    shape = (worlds, county.schools, county.years)
    size = np.clip(np.exp(rng.normal(np.log(120), 0.8, shape[:2])), 15, 800)
    size[:, 0] = county.size_of_first
    n = np.maximum(2.0, np.round(size[:, :, None] * np.exp(rng.normal(0, 0.1, shape))))
    variances = county.within / n
    levels = rng.normal(0, county.level, shape[:2])
    if county.level_of_first is not None:
        levels[:, 0] = county.level_of_first
    slopes = np.zeros(shape[:2])
    slopes[:, : len(county.falls)] = county.falls
    times = np.arange(county.years) - (county.years - 1) / 2
    course = levels[:, :, None] + slopes[:, :, None] * times
    if county.pooled > 1:
        return Counties(course + _pooled_noise(county, rng, variances), variances, slopes)
    noise = _shocks(county, rng, shape) + rng.normal(size=shape) * np.sqrt(variances)
    return Counties(course + noise, variances, slopes)


def _shocks(county: County, rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    if county.tails is not None:
        drawn = rng.standard_t(county.tails, shape) / np.sqrt(county.tails / (county.tails - 2))
    else:
        drawn = rng.normal(size=shape)
    if county.correlation:
        for year in range(1, shape[2]):
            fresh = drawn[:, :, year] * np.sqrt(1 - county.correlation**2)
            drawn[:, :, year] = county.correlation * drawn[:, :, year - 1] + fresh
    if county.unequal:
        drawn = drawn * np.exp(rng.normal(0, county.unequal, (*shape[:2], 1)) - county.unequal**2)
    return np.asarray(county.shock * drawn)


def _pooled_noise(county: County, rng: np.random.Generator, variances: Floats) -> Floats:
    """Return shock and sampling error of pooled year groups: each year's value shares G − 1 of its G cohorts with the next."""
    worlds, schools, years = variances.shape
    cohorts = rng.normal(size=(worlds, schools, years + county.pooled - 1))
    shared = sum(cohorts[:, :, shift : shift + years] for shift in range(county.pooled)) / np.sqrt(county.pooled)
    return np.asarray(shared * np.sqrt(county.shock**2 + variances.mean(axis=2, keepdims=True)))


def literal_clause(means: Floats, *, years: int) -> dict[str, NDArray[np.bool_]]:
    """Return which schools meet the literal clause of ``years`` years, (W, S): readings ``or``, ``and_final``, ``and_each``.

    Falls in each of the last ``years`` steps; last in each of the last ``years`` years, or (``and_final``) in the last one.
    """
    falls = (np.diff(means, axis=2)[:, :, -years:] < 0).all(axis=2)
    last = means == means.min(axis=1, keepdims=True)
    each = last[:, :, -years:].all(axis=2)
    return {"or": falls | each, "and_final": falls & last[:, :, -1], "and_each": falls & each}
