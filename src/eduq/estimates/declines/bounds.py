"""The bounds of the evidence grades, and the constants of the decline estimator."""

from __future__ import annotations

from pydantic import Field

from eduq.settings import StrictModel

__all__ = ["LETTERS", "POWER", "RHO_GRID", "DeclineBounds"]

LETTERS = (None, "A", "B", "C", "D")
"""Evidence grades by their code in arrays: 0 is "no grade"."""
RHO_GRID = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
"""Shock correlations that are compared by REML when the family has enough periods."""
POWER = 0.8
"""Chance with which the minimum detectable decline would be seen."""


class DeclineBounds(StrictModel):
    """Bounds of the evidence grades; a rule pack hands in its own dated values.

    Attributes
    ----------
    alpha_holm
        Grade A: the Holm-adjusted p is at most this.
    q
        Grades A and B: the Benjamini-Hochberg q is at most this.
    p_possible
        Grade C: the unadjusted p is at most this.
    materiality
        Grades A to C: the slope falls by at least this many pupil SDs a year.
    second_rho
        Families of four periods: grade A must hold at this shock correlation, too.
    min_periods_confirmed, min_periods_probable
        Fewest periods of a unit for grades A and B.
    min_periods_rho
        From this many periods on the shock correlation is estimated.
    min_p_last
        With last place: grade A asks for this probability of being last.
    could_be_last
        With last place: level of the set of units that could be last; grade B asks for membership.
    window
        The latest periods that count.
    min_n
        A unit with fewer candidates than this in some period is graded C at most (评定最小人数); not looked at where
        n is not known.
    min_units
        A family of fewer units gets intervals, no grade.
    shock_declared
        SD of the cohort shock where it cannot be estimated (two periods).
    min_df_own
        Degrees of freedom from which a unit's own within variance is used, else the family's.
    stagnation_band
        Band (pupil SDs a year) of the stagnation test; None where nobody has set it.
    severe_drop
        Limit (pupil SDs) of the severe drop test; None where nobody has set it.
    """

    alpha_holm: float = Field(0.05, gt=0, lt=1)
    q: float = Field(0.10, gt=0, lt=1)
    p_possible: float = Field(0.10, gt=0, lt=1)
    materiality: float = Field(0.05, ge=0)
    second_rho: float = Field(0.3, ge=0, lt=1)
    min_periods_confirmed: int = Field(4, ge=3)
    min_periods_probable: int = Field(3, ge=3)
    min_periods_rho: int = Field(5, ge=5)
    min_p_last: float = Field(0.5, gt=0, lt=1)
    could_be_last: float = Field(0.05, gt=0, lt=1)
    window: int = Field(6, ge=2)
    min_n: int = Field(30, ge=1)
    min_units: int = Field(5, ge=3)
    shock_declared: float = Field(0.10, ge=0)
    min_df_own: int = Field(60, ge=1)
    stagnation_band: float | None = Field(None, gt=0)
    severe_drop: float | None = Field(None, ge=0)
