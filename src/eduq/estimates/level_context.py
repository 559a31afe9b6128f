"""What level measures are computed from, the form they come in, and the words for their methods and reasons."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from eduq.estimates.intervals import others_variance
from eduq.settings import AbsencePolicy, RunSettings
from eduq.summaries import CellTable

__all__ = [
    "METHODS",
    "METHOD_CODES",
    "REASONS",
    "REASON_CODES",
    "Codes",
    "LevelContext",
    "MeasureColumns",
    "fill_columns",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Codes = NDArray[np.int8]
METHODS = (
    "wilson",
    "t",
    "t_pooled",
    "t_part_of_area",
    "t_pooled_part_of_area",
    "fourth_moment",
    "delta",
    "order_statistics",
    "range",
)
"""How an interval was made; arrays hold the place in this tuple."""
REASONS = (
    "",
    "no_candidates",
    "not_computable",
    "max_score_unknown",
    "below_two",
    "zero_mean",
    "zero_spread",
    "pace_not_shared",
    "paper_not_shared",
    "sitting_not_shared",
    "marking_not_shared",
    "single_school",
)
"""Why a number cannot be given; arrays hold the place in this tuple, 0 where it can."""
METHOD_CODES = {name: np.int8(code) for code, name in enumerate(METHODS)}
REASON_CODES = {name: np.int8(code) for code, name in enumerate(REASONS)}


@dataclass(frozen=True)
class MeasureColumns:
    """One measure of every row: arrays of length R; nan is null, methods and reasons are codes."""

    estimate: Floats
    std_error: Floats
    ci_lower: Floats
    ci_upper: Floats
    n: Ints
    method: Codes
    reason: Codes
    conf_level: Floats


@dataclass(frozen=True)
class LevelContext:
    """What the measures of one unit type are computed from.

    Attributes
    ----------
    cells
        The units.
    area
        The comparison groups as units.
    group
        Row of `area` each row of `cells` belongs to.
    max_score
        Full mark in hundredths per row, 0 where unknown.
    comparable
        Whether the group of a row admits comparison.
    why_not
        Reason where it does not (place in `REASONS`), else 0.
    policy, settings
        Of the run.
    """

    cells: CellTable
    area: CellTable
    group: Ints
    max_score: Ints
    comparable: NDArray[np.bool_]
    why_not: Codes
    policy: AbsencePolicy
    settings: RunSettings

    def pool(self, squares: Floats) -> tuple[Floats, Floats]:
        """Return Σ of squares within units over the comparison group and its df, per row."""
        n_groups = self.area.size
        filled = self.cells.n > 0
        total = np.bincount(self.group, weights=np.where(filled, squares, 0.0), minlength=n_groups)
        df = np.bincount(self.group, weights=np.where(filled, self.cells.n - 1.0, 0.0), minlength=n_groups)
        return total[self.group].astype(np.float64), df[self.group].astype(np.float64)

    @cached_property
    def pooled(self) -> tuple[Floats, Floats]:
        """Variance within units pooled over the comparison group and its df, per row."""
        squares, df = self.pool(self.cells.squares)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(df > 0, squares / df, np.nan), df

    @cached_property
    def others(self) -> tuple[Floats, Floats]:
        """Variance within the other units of the comparison group and its df, per row."""
        squares, df = self.pool(self.cells.squares)
        return others_variance(squares, df, self.cells.squares, self.cells.n.astype(np.float64))

    @property
    def area_n(self) -> Floats:
        """Candidates of the comparison group per row."""
        return self.area.n[self.group].astype(np.float64)

    def own_or_pooled(self, below: int) -> tuple[Floats, Floats, NDArray[np.bool_]]:
        """Return the variance to use, its df and whether it is pooled: when n is small or nothing varies in the unit."""
        pooled, pooled_df = self.pooled
        own = self.cells.variance
        use_pooled = (self.cells.n < below) | ~(own > 0)
        use_pooled &= np.isfinite(pooled) & (pooled_df >= 1)
        variance = np.where(use_pooled, pooled, own)
        df = np.where(use_pooled, pooled_df, self.cells.n - 1.0)
        return variance, df, use_pooled

    @cached_property
    def area_mean(self) -> Floats:
        """Mean of the comparison group per row, hundredths."""
        return self.area.mean[self.group]

    @cached_property
    def area_sd(self) -> Floats:
        """SD (divisor N) of the comparison group per row, hundredths."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.sqrt(self.area.squares / self.area.n)[self.group]

    @cached_property
    def share(self) -> Floats:
        """n of the unit over n of its comparison group."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return self.cells.n / self.area.n[self.group]


Parts = tuple[Floats, Floats, Floats, Floats]


def fill_columns(
    context: LevelContext,
    parts: Parts,
    *,
    n: Ints | None = None,
    method: str | Codes,
    needs_full: bool = False,
    compares: bool = False,
    reason: Codes | None = None,
    conf_level: Floats | None = None,
) -> MeasureColumns:
    """Put parts into columns: null with a reason wherever the number cannot be given."""
    size = context.cells.size
    base = context.cells.n if n is None else n
    why = np.zeros(size, dtype=np.int8) if reason is None else reason
    if needs_full:
        why = np.where(context.max_score > 0, why, REASON_CODES["max_score_unknown"])
    if compares:
        why = np.where(context.comparable, why, context.why_not)
    why = np.where(base > 0, why, REASON_CODES["no_candidates"])
    estimate, std_error, lower, upper = (np.where((why == 0) & np.isfinite(part), part, np.nan) for part in parts)
    why = np.where((why == 0) & ~np.isfinite(estimate), REASON_CODES["not_computable"], why)
    codes = np.full(size, METHOD_CODES[method]) if isinstance(method, str) else method
    level = np.full(size, context.settings.conf_level) if conf_level is None else conf_level
    return MeasureColumns(estimate, std_error, lower, upper, base, codes, why, np.where(np.isfinite(lower), level, np.nan))
