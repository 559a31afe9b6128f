"""Gaps between two sides, in SDs: of kinds of units (town and rural) and of pupils (girls and boys), with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eduq.estimates.equity.index_values import IndexValue
from eduq.estimates.equity.shares import UnitSums

__all__ = ["PupilCells", "compare_sides", "pupil_gaps", "unit_gap"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PupilCells:
    """Sufficient statistics of the pupils of each unit and side; arrays (C,).

    Attributes
    ----------
    unit
        Place of the unit.
    group
        Side the pupils are on.
    sums
        n, mean and squares of each cell.
    """

    unit: NDArray[np.int64]
    group: Sequence[str]
    sums: UnitSums


def compare_sides(levels: Sequence[str], reference: str | None) -> list[tuple[str, str]]:
    """Return the pairs (group, reference): every level with the declared reference, or every pair in sorted order."""
    if reference is not None:
        return [(level, reference) for level in sorted(levels) if level != reference]
    ordered = sorted(levels)
    return [(one, other) for place, one in enumerate(ordered) for other in ordered[place + 1 :]]


def _side_squares(sums: UnitSums, chosen: NDArray[np.bool_]) -> tuple[float, float, float]:
    """Return n, mean and Σ(x − mean)² of the pupils of the chosen cells."""
    n = sums.n[chosen]
    mean = float(n @ sums.mean[chosen] / n.sum())
    return float(n.sum()), mean, float(sums.squares[chosen].sum() + n @ (sums.mean[chosen] - mean) ** 2)


def _bounds(value: float, variance: float, df: float, conf_level: float) -> tuple[float, float, float]:
    from scipy.special import stdtrit

    error = float(np.sqrt(variance))
    half = float(stdtrit(df, 0.5 + conf_level / 2)) * error
    return error, value - half, value + half


def _pooled_sd(first: tuple[float, float, float], second: tuple[float, float, float]) -> float:
    df = first[0] + second[0] - 2
    return float(np.sqrt((first[2] + second[2]) / df)) if df > 0 else 0.0


def _refused(index: str, n: float, units: int, reason: str) -> IndexValue:
    return IndexValue(index, None, n_units=units, n=round(n), reason=reason)


def unit_gap(
    sums: UnitSums, group: NDArray[np.bool_], reference: NDArray[np.bool_], *, min_n: int, conf_level: float
) -> IndexValue:
    """Return the gap of two kinds of units in SDs: difference of the sides' means over the SD within the sides.

    The sides' means weigh units by their pupils; their SE comes from the spread of the unit means,
    s²·Σp² with s² = Σp(x̄ − m)²/(1 − Σp²), df by Satterthwaite with 1/Σp² − 1 on each side. The SD is the pooled SD of
    pupils within the two sides and counts as known.

    Parameters
    ----------
    sums
        Of all units.
    group, reference
        Units of the two sides.
    min_n
        A side with fewer pupils gets no number.
    conf_level
        Two-sided level.

    References
    ----------
    Welch, B. L. (1938). Biometrika 29, 350-362. Kish, L. (1965). Survey Sampling, section 11.7 (1/Σp², the effective number).
    """
    sides = [_side_squares(sums, chosen) if chosen.any() else (0.0, 0.0, 0.0) for chosen in (group, reference)]
    n, units = sides[0][0] + sides[1][0], int(group.sum() + reference.sum())
    if min(side[0] for side in sides) < min_n:
        return _refused("gap", n, units, "below_min_n")
    sd = _pooled_sd(sides[0], sides[1])
    if not sd > 0:
        return _refused("gap", n, units, "zero_spread")
    value = (sides[0][1] - sides[1][1]) / sd
    if min(group.sum(), reference.sum()) < 2:
        return IndexValue("gap", value, n_units=units, n=round(n), method="welch_units", reason="single_unit_on_a_side")
    parts, dfs = [], []
    for chosen, side in ((group, sides[0]), (reference, sides[1])):
        share = sums.n[chosen] / sums.n[chosen].sum()
        concentration = float(share @ share)
        spread = float(share @ (sums.mean[chosen] - side[1]) ** 2) / (1 - concentration)
        parts.append(spread * concentration / sd**2)
        dfs.append(1 / concentration - 1)
    if not sum(parts) > 0:
        return IndexValue("gap", value, n_units=units, n=round(n), method="welch_units", reason="zero_spread_of_units")
    df = sum(parts) ** 2 / sum(part**2 / own for part, own in zip(parts, dfs, strict=True))
    error, low, high = _bounds(value, sum(parts), df, conf_level)
    return IndexValue("gap", value, error, low, high, units, round(n), "welch_units")


def pupil_gaps(cells: PupilCells, group: str, reference: str, *, min_n: int, conf_level: float) -> list[IndexValue]:
    """Return gap (as it stands) and gap_within_units (between pupils of the same unit) of two kinds of pupils, in SDs.

    gap: difference of the sides' means; the units are all there are, so its SE holds the spread of pupils within units only
    (pooled within the cells of each side), df by Satterthwaite. gap_within_units: least squares with an effect for every
    unit, β = Σw d/Σw with w = n_a n_b/(n_a + n_b) and d the difference in the unit; SE from the residuals, df N − S − 1.
    Both over the pooled SD within the two sides, which counts as known.

    Parameters
    ----------
    cells
        Of the pupils.
    group, reference
        The two sides.
    min_n
        A side with fewer pupils gets no number.
    conf_level
        Two-sided level.
    """
    sides = [np.array([name == side for name in cells.group], dtype=bool) for side in (group, reference)]
    totals = [_side_squares(cells.sums, chosen) if chosen.any() else (0.0, 0.0, 0.0) for chosen in sides]
    n = totals[0][0] + totals[1][0]
    units = len(np.unique(cells.unit[sides[0] | sides[1]]))
    names = ("gap", "gap_within_units")
    if min(total[0] for total in totals) < min_n:
        return [_refused(name, n, units, "below_min_n") for name in names]
    sd = _pooled_sd(totals[0], totals[1])
    if not sd > 0:
        return [_refused(name, n, units, "zero_spread") for name in names]
    value = (totals[0][1] - totals[1][1]) / sd
    parts, dfs = [], []
    for chosen in sides:
        count = cells.sums.n[chosen]
        df = float(count.sum() - len(count))
        dfs.append(df)
        parts.append(float(cells.sums.squares[chosen].sum()) / max(df, 1.0) / float(count.sum()) / sd**2)
    if min(dfs) < 1 or not sum(parts) > 0:
        raw = IndexValue("gap", value, n_units=units, n=round(n), method="welch_pupils", reason="zero_spread_within")
    else:
        df = sum(parts) ** 2 / sum(part**2 / own for part, own in zip(parts, dfs, strict=True))
        error, low, high = _bounds(value, sum(parts), df, conf_level)
        raw = IndexValue("gap", value, error, low, high, units, round(n), "welch_pupils")
    return [raw, _within_units(cells.sums, cells.unit, sides, sd, min_n, conf_level)]


def _within_units(
    sums: UnitSums, unit: NDArray[np.int64], sides: Sequence[NDArray[np.bool_]], sd: float, min_n: int, conf_level: float
) -> IndexValue:
    """Return the gap between pupils of the same unit; only units with pupils on both sides tell."""
    size = int(unit.max()) + 1
    n = [np.bincount(unit[chosen], weights=sums.n[chosen], minlength=size) for chosen in sides]
    total = [np.bincount(unit[chosen], weights=(sums.n * sums.mean)[chosen], minlength=size) for chosen in sides]
    squares = sum(np.bincount(unit[chosen], weights=sums.squares[chosen], minlength=size) for chosen in sides)
    both = (n[0] > 0) & (n[1] > 0)
    count, shared = float((n[0] + n[1])[both].sum()), int(both.sum())
    if not shared or min(float(side[both].sum()) for side in n) < min_n:
        return _refused("gap_within_units", count, shared, "below_min_n" if shared else "no_shared_unit")
    first, second = n[0][both], n[1][both]
    weight = first * second / (first + second)
    difference = total[0][both] / first - total[1][both] / second
    slope = float(weight @ difference / weight.sum())
    rest = float(np.asarray(squares)[both].sum() + weight @ (difference - slope) ** 2)
    df = count - shared - 1
    if df < 1 or not rest > 0:
        method, reason = "fixed_effects", "zero_spread_within"
        return IndexValue("gap_within_units", slope / sd, n_units=shared, n=round(count), method=method, reason=reason)
    variance = rest / df / float(weight.sum()) / sd**2
    error, low, high = _bounds(slope / sd, variance, df, conf_level)
    return IndexValue("gap_within_units", slope / sd, error, low, high, shared, round(count), "fixed_effects")
