"""Every index of one table of units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from eduq.errors import UsageError
from eduq.estimates.equity.gaps import compare_sides, pupil_gaps, unit_gap
from eduq.estimates.equity.index_values import IndexValue
from eduq.estimates.equity.inputs import EquityData
from eduq.estimates.equity.shares import UnitSums, intraclass_correlation, variance_share
from eduq.estimates.equity.variation import VARIATION_INDICES, measure_variation, theil_parts
from eduq.estimates.intervals import wilson

__all__ = ["SHARES", "list_bottom", "measure_table"]

SHARES = ("between_school_share", "between_school_share_raw", "icc")
_MOST_LEVELS = 12


def measure_table(
    table: EquityData,
    references: Mapping[str, str],
    min_n: int,
    conf_level: float,
    pooled_below: int,
    *,
    varied_from: int = 1,
) -> list[IndexValue]:
    """Return every index of one table of units; those of variation of the units with at least ``varied_from`` pupils."""
    names = list(VARIATION_INDICES) if table.census else [*SHARES, *VARIATION_INDICES]
    if table.reason:
        return [IndexValue(name, None, reason=table.reason) for name in names]
    found = [] if table.census else _shares(table.sums, conf_level)
    found += _variation(table, conf_level, pooled_below, varied_from)
    found += _theil_of_pupils(table)
    for attribute, kinds in table.attributes.items():
        found += _by_kind(table, attribute, kinds, references.get(attribute), min_n, conf_level)
    for attribute, cells in table.cells.items():
        levels = _levels(attribute, cells.group)
        for group, reference in compare_sides(levels, references.get(attribute)):
            gaps = pupil_gaps(cells, group, reference, min_n=min_n, conf_level=conf_level)
            found += [replace(gap, attribute=attribute, group=group, reference=reference) for gap in gaps]
    if table.bottom is not None and table.bottom.base.sum() > 0:
        share = float(table.bottom.within.sum() / table.bottom.base.sum())
        found.append(IndexValue("bottom_share", share, method="census", reason="census"))
    return found


def _shares(sums: UnitSums, conf_level: float) -> list[IndexValue]:
    return [*variance_share(sums, conf_level=conf_level), intraclass_correlation(sums, conf_level=conf_level)]


def _variation(table: EquityData, conf_level: float, pooled_below: int, varied_from: int) -> list[IndexValue]:
    """Return the indices of variation; a unit's own SD gives its error, the pooled one where it has few pupils."""
    sums = table.sums
    large = sums.n >= varied_from
    if not large.all():
        part = replace(table, sums=UnitSums(sums.n[large], sums.mean[large], sums.squares[large]))
        size, n = part.sums.size, round(part.sums.total)
        return [replace(item, n_units=size, n=n) for item in _variation(part, conf_level, pooled_below, 1)]
    reason = "single_unit" if sums.size < 2 else None
    if table.census:
        if reason:
            return [IndexValue(name, None, reason=reason) for name in VARIATION_INDICES]
        return measure_variation(sums.mean, None, sums.n, conf_level=conf_level)
    if reason is None and sums.within_df < 1:
        reason = "one_pupil_each"
    if reason:
        return [IndexValue(name, None, reason=reason) for name in VARIATION_INDICES]
    pooled = sums.within / sums.within_df
    own = sums.squares / np.maximum(sums.n - 1, 1)
    variance = np.where((sums.n < pooled_below) | ~(own > 0), pooled, own)
    return measure_variation(sums.mean, np.sqrt(variance / sums.n), sums.n, conf_level=conf_level)


def _theil_of_pupils(table: EquityData) -> list[IndexValue]:
    """Return Theil's T of the pupils and its parts between and within units, where every value is known and ≥ 0."""
    if table.logs is None:
        return []
    total = table.sums.n * table.sums.mean
    names = ("theil_pupils", "theil_pupils_between", "theil_pupils_within")
    if not total.sum() > 0:
        return [IndexValue(name, None, reason="not_ratio_scale") for name in names]
    mean = float(total.sum() / table.sums.total)
    whole = float(table.logs.sum()) / (table.sums.total * mean) - float(np.log(mean))
    filled = total > 0
    between = float((total[filled] / total.sum()) @ np.log(table.sums.mean[filled] / mean))
    inside = table.logs[filled] / total[filled] - np.log(table.sums.mean[filled])
    within = float((total[filled] / total.sum()) @ inside)
    values = zip(names, (whole, between, within), strict=True)
    return [IndexValue(name, max(part, 0.0), method="census", reason="census") for name, part in values]


def _levels(attribute: str, kinds: Sequence[str | None]) -> list[str]:
    levels = sorted({kind for kind in kinds if kind is not None})
    if len(levels) > _MOST_LEVELS:
        raise UsageError("equity_too_many_levels", column=attribute, n=len(levels), most=_MOST_LEVELS)
    return levels


def _by_kind(
    table: EquityData, attribute: str, kinds: Sequence[str | None], reference: str | None, min_n: int, conf_level: float
) -> list[IndexValue]:
    """Return the gaps between kinds of units and the parts of Theil's T of unit means between and within kinds."""
    labels = np.array([kind or "" for kind in kinds])
    known = np.array([kind is not None for kind in kinds])
    levels, sums = _levels(attribute, kinds), table.sums
    found = []
    for group, other in [] if table.census else compare_sides(levels, reference):
        gap = unit_gap(sums, known & (labels == group), known & (labels == other), min_n=min_n, conf_level=conf_level)
        found.append(replace(gap, attribute=attribute, group=group, reference=other))
    if len(levels) > 1 and (sums.mean[known] >= 0).all() and sums.n[known] @ sums.mean[known] > 0:
        method, reason = ("census", "census") if table.census else ("raw", "inflated_by_chance")
        parts = theil_parts(sums.mean[known], sums.n[known], labels[known])
        units, n = int(known.sum()), round(float(sums.n[known].sum()))
        for name, part in zip(("theil_groups_between", "theil_groups_within"), parts, strict=True):
            found.append(IndexValue(name, part, n_units=units, n=n, method=method, reason=reason, attribute=attribute))
    return found


def list_bottom(table: EquityData, keys: tuple[str, ...], min_n: int, conf_level: float) -> list[dict[str, Any]]:
    """Return the lowest part of every unit as rows: Wilson intervals, no number for units with fewer than min_n pupils."""
    if table.bottom is None or table.reason:
        return []
    within, base = table.bottom.within, table.bottom.base
    _, low, high = wilson(within, base, conf_level)
    area = float(within.sum() / base.sum())
    rows = []
    for place, unit in enumerate(table.units):
        shown = base[place] >= min_n
        rows.append(
            {
                **dict(zip(keys, table.key, strict=True)),
                "unit": unit,
                "n": round(base[place]),
                "n_bottom": round(within[place]) if shown else None,
                "share": float(within[place] / base[place]) if shown else None,
                "ci_lower": float(low[place]) if shown else None,
                "ci_upper": float(high[place]) if shown else None,
                "threshold": table.bottom.threshold,
                "area_share": area,
                "reason": None if shown else "below_min_n",
            }
        )
    return rows
