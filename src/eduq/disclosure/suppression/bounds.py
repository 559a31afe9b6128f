"""What a reader who combines everything shown can infer of one withheld total: two linear programs."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from eduq.disclosure.suppression.blocks import Block, Cell
from eduq.errors import DisclosureError

__all__ = ["bound_cell"]


def bound_cell(block: Block, shown: Collection[Cell], cell: Cell, *, near: Cell | None = None) -> tuple[float, float]:
    """Return the least and greatest total of a unit that agree with all totals shown.

    Minimum and maximum of the unit's total over every way its parts could be filled (linear programs, HiGHS). The parts need
    not be whole numbers here, so for counts the true bounds lie within these or are the same: the greatest whole number not
    above the maximum and the least not below the minimum are what an integer program can at best prove.

    Parameters
    ----------
    block
        The quantity.
    shown
        Units whose totals are known exactly.
    cell
        The unit asked for.
    near
        A unit outside of which every part is taken as known: quick, and never wider than the truth.

    Raises
    ------
    DisclosureError
        ``disclosure_unprovable``: no filling agrees with the totals, so nothing can be proved.

    Examples
    --------
    Of 30 candidates 18 pass; with school A's 15 of 20 shown, the ten of school B are told exactly.

    >>> members = {("area", "all"): np.array([0, 1]), ("school", "A"): np.array([0]), ("school", "B"): np.array([1])}
    >>> totals = {("area", "all"): 18.0, ("school", "A"): 15.0, ("school", "B"): 3.0}
    >>> sizes = {("area", "all"): 30, ("school", "A"): 20, ("school", "B"): 10}
    >>> block = Block(np.zeros(2), np.array([20.0, 10.0]), members, totals, sizes)
    >>> bound_cell(block, [("area", "all"), ("school", "A")], ("school", "B"))
    (3.0, 3.0)
    >>> bound_cell(block, [("area", "all")], ("school", "B"))
    (0.0, 10.0)
    """
    from scipy.optimize import linprog

    lower, upper = block.lower.copy(), block.upper.copy()
    fixed = np.zeros(len(lower), dtype=bool)
    known = [unit for unit in shown if unit in block.members and len(block.members[unit])]
    for unit in known:  # a part that is a unit shown by itself is no longer open
        if len(block.members[unit]) == 1:
            part = int(block.members[unit][0])
            lower[part] = upper[part] = block.totals[unit]
            fixed[part] = True
    if near is not None and block.true is not None:
        outside = np.setdiff1d(np.arange(len(lower)), block.members[near])
        lower[outside] = upper[outside] = block.true[outside]
        fixed[outside] = True
    own = block.members[cell]
    base = float(lower[own[fixed[own]]].sum())
    aim_parts = np.zeros(len(lower), dtype=np.int64)
    aim_parts[own] = 1
    aim_parts[fixed] = 0
    if not aim_parts.any():
        return base, base
    places: list[list[int]] = [[] for _ in range(len(lower))]
    told: list[float] = []
    for unit in known:
        parts = block.members[unit]
        inside = parts[~fixed[parts]]
        if len(inside):
            for part in inside.tolist():
                places[part].append(len(told))
            told.append(block.totals[unit] - float(lower[parts[fixed[parts]]].sum()))
    alike: dict[tuple[int, ...], list[int]] = {}
    for part in np.flatnonzero(~fixed).tolist():  # parts that nothing tells apart are one
        alike.setdefault((int(aim_parts[part]), *places[part]), []).append(part)
    aim = np.array([float(key[0]) for key in alike])
    matrix = np.zeros((len(told), len(alike)))
    for at, key in enumerate(alike):
        matrix[list(key[1:]), at] = 1.0
    bounds = [(float(lower[parts].sum()), float(upper[parts].sum())) for parts in alike.values()]
    found = []
    for sign in (1.0, -1.0):
        solved = linprog(
            sign * aim,
            A_eq=matrix if told else None,
            b_eq=np.array(told) if told else None,
            bounds=bounds,
            method="highs",
        )
        if solved.status != 0:
            raise DisclosureError("disclosure_unprovable", unit="/".join(cell))
        found.append(sign * float(solved.fun or 0.0))
    return base + found[0], base + found[1]
