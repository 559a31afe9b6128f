"""What a reader who combines everything shown can infer of one withheld total: two linear programs."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from eduq.disclosure.suppression.blocks import Block, Cell
from eduq.errors import DisclosureError

__all__ = ["bound_cell"]


def bound_cell(block: Block, shown: Collection[Cell], cell: Cell) -> tuple[float, float]:
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
    free = np.flatnonzero(~fixed)
    place = np.full(len(lower), -1)
    place[free] = np.arange(len(free))
    rows: dict[tuple[int, ...], float] = {}
    for unit in known:
        parts = block.members[unit]
        inside = parts[~fixed[parts]]
        if len(inside):
            rows[tuple(place[inside])] = block.totals[unit] - float(lower[parts[fixed[parts]]].sum())
    aim = np.zeros(len(free))
    own = block.members[cell]
    aim[place[own[~fixed[own]]]] = 1.0
    base = float(lower[own[fixed[own]]].sum())
    if not aim.any():
        return base, base
    matrix = np.zeros((len(rows), len(free)))
    for i, parts_inside in enumerate(rows):
        matrix[i, list(parts_inside)] = 1.0
    found = []
    for sign in (1.0, -1.0):
        solved = linprog(
            sign * aim,
            A_eq=matrix if len(rows) else None,
            b_eq=np.array(list(rows.values())) if len(rows) else None,
            bounds=list(zip(lower[free].tolist(), upper[free].tolist(), strict=True)),
            method="highs",
        )
        if solved.status != 0:
            raise DisclosureError("disclosure_unprovable", unit="/".join(cell))
        found.append(sign * float(solved.fun or 0.0))
    return base + found[0], base + found[1]
