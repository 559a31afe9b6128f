"""Evidence grades from p-values, slopes and, where the clause asks for it, the last place."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eduq.estimates.declines.bounds import DeclineBounds
from eduq.estimates.declines.multiplicity import adjust_bh, adjust_holm

__all__ = ["A", "B", "C", "D", "adjust_family", "assign_letters", "lower_by_last_place", "lowest_third"]

Floats = NDArray[np.float64]
Letters = NDArray[np.int8]
A, B, C, D = 1, 2, 3, 4
"""Codes of the grades in arrays; 0 is "no grade"."""


def lowest_third(levels: Floats) -> NDArray[np.bool_]:
    """Return which units' mean levels over the window lie in the lowest third, ⌈S/3⌉ of those with a level (..., units)."""
    size = (~np.isnan(levels)).sum(axis=-1, keepdims=True)
    place = np.argsort(np.argsort(levels, axis=-1, kind="stable"), axis=-1, kind="stable")
    return np.asarray((place < -(-size // 3)) & ~np.isnan(levels))


def adjust_family(p: Floats, third: NDArray[np.bool_] | None) -> tuple[Floats, Floats, Floats]:
    """Return Holm-adjusted p, q and the family size of every unit (..., units).

    With ``third`` the units in it are a family of their own; the others keep what the whole family gives them.
    """
    holm, q = adjust_holm(p), adjust_bh(p)
    size = np.broadcast_to((~np.isnan(p)).sum(axis=-1, keepdims=True), p.shape).astype(np.float64)
    if third is None:
        return holm, q, size
    inside = np.where(third, p, np.nan)
    inside_size = (~np.isnan(inside)).sum(axis=-1, keepdims=True)
    return (
        np.where(third, adjust_holm(inside), holm),
        np.where(third, adjust_bh(inside), q),
        np.where(third, inside_size, size),
    )


def assign_letters(
    slope: Floats, p: Floats, holm: Floats, q: Floats, q_second: Floats, n_periods: NDArray[np.int64], bounds: DeclineBounds
) -> Letters:
    """Return the grades (..., units) before the last place is looked at; nan p gives 0.

    A: periods ≥ 4, Holm ≤ .05, q at the second shock correlation ≤ .10, slope ≤ −δ. B: periods ≥ 3, q ≤ .10, slope ≤ −δ.
    C: p ≤ .10, slope ≤ −δ. D: everything else.
    """
    with np.errstate(invalid="ignore"):
        falling = slope <= -bounds.materiality
        confirmed = falling & (holm <= bounds.alpha_holm) & (q_second <= bounds.q)
        confirmed &= n_periods >= bounds.min_periods_confirmed
        probable = falling & (q <= bounds.q) & (n_periods >= bounds.min_periods_probable)
        possible = falling & (p <= bounds.p_possible)
    letters = np.select([np.isnan(p), confirmed, probable, possible], [0, A, B, C], default=D)
    return letters.astype(np.int8)


def lower_by_last_place(letters: Letters, p_last: Floats, member: NDArray[np.bool_], bounds: DeclineBounds) -> Letters:
    """Return the grades of a clause "falling and last": A needs P(last), B the could-be-last set, else one grade lower.

    Parameters
    ----------
    letters
        Grades from `assign_letters`.
    p_last
        Least P(last) over the periods that count; nan counts as not reached.
    member
        Whether the unit could be last in each of them.
    bounds
        Bounds of the grades.
    """
    with np.errstate(invalid="ignore"):
        lowered = np.where((letters == A) & ~(p_last >= bounds.min_p_last), B, letters)
    return np.where((lowered == B) & ~member, C, lowered).astype(np.int8)
