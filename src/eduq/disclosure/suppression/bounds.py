"""What a reader who combines everything shown can infer of one withheld total: two linear programs."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eduq.disclosure.suppression.blocks import Block, Cell
from eduq.errors import DisclosureError

__all__ = ["bound_cell"]

_EXACT = 1e-9
_LOOPS = 80
"""Of more parts only exchanges between two are tried."""
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def bound_cell(
    block: Block, shown: Collection[Cell], cell: Cell, *, near: Cell | None = None, needed: float | None = None
) -> tuple[float, float]:
    """Return the least and greatest total of a unit that agree with all totals shown.

    Minimum and maximum of the unit's total over every way its parts could be filled (linear programs, HiGHS). The parts need
    not be whole numbers here, so for counts the true bounds lie within these or are the same: the greatest whole number not
    above the maximum and the least not below the minimum are what an integer program can at best prove. No program is solved
    where arithmetic gives the same: one sum and parts that can only be exchanged within it.

    Parameters
    ----------
    block
        The quantity.
    shown
        Units whose totals are known exactly.
    cell
        The unit asked for.
    near
        A unit that holds the one asked for; every part outside of it is taken as known: quick, and never wider than the truth.
    needed
        Width that suffices: the interval may stay narrower than the truth where it is as wide as this.

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
    open_parts = _reduce(block if near is None else block.near(near), shown, cell)
    least, most = open_parts.outer()
    inner = open_parts.inner()
    if inner is not None:
        if (inner[0] - least <= _EXACT and most - inner[1] <= _EXACT) or (needed is not None and inner[1] - inner[0] >= needed):
            return inner
    elif most - least <= _EXACT:
        return least, most
    return open_parts.solve(cell)


@dataclass(frozen=True)
class _Open:
    """What is open around a total: parts that nothing tells apart joined, and the sums known of them."""

    base: float
    own: Bools
    lower: Floats
    upper: Floats
    true: Floats | None
    alike: list[tuple[int, ...]]
    told: list[float]

    def outer(self) -> tuple[float, float]:
        """Return the bounds that each sum known tells by itself: never narrower than the truth."""
        low, high = float(self.lower[self.own].sum()), float(self.upper[self.own].sum())
        holding = set.intersection(*(set(self.alike[at]) for at in np.flatnonzero(self.own))) if self.own.any() else set()
        for row in holding:
            others = [at for at, rows in enumerate(self.alike) if row in rows and not self.own[at]]
            low = max(low, self.told[row] - float(self.upper[others].sum()))
            high = min(high, self.told[row] - float(self.lower[others].sum()))
        return self.base + low, self.base + high

    def inner(self) -> tuple[float, float] | None:
        """Return what exchanges between two or four parts leave open: never wider than the truth."""
        if self.true is None:
            return None
        codes = [sum(4**row for row in rows) for rows in self.alike]  # equal sums of codes touch the same known sums
        others = {code: at for at, code in enumerate(codes) if not self.own[at]}
        total = float(self.true[self.own].sum())
        moved = []
        for sign in (1.0, -1.0):
            more, less = (self.upper - self.true, self.true - self.lower)[:: int(sign)]
            room, gained = np.array([more, less]), 0.0
            for at in np.flatnonzero(self.own).tolist():
                gained += _exchange(room, at, codes, others)
            moved.append(gained)
        return self.base + total - moved[1], self.base + total + moved[0]

    def solve(self, cell: Cell) -> tuple[float, float]:
        """Return the bounds by linear programming."""
        from scipy.optimize import linprog
        from scipy.sparse import csr_array

        at = [(row, column) for column, rows in enumerate(self.alike) for row in rows]
        matrix: Any = (
            csr_array((np.ones(len(at)), tuple(zip(*at, strict=True))), (len(self.told), len(self.alike))) if at else None
        )
        bounds: Any = np.column_stack([self.lower, self.upper])
        aim = self.own.astype(float)
        found = []
        for sign in (1.0, -1.0):
            solved = linprog(
                sign * aim, A_eq=matrix, b_eq=np.array(self.told) if at else None, bounds=bounds, method="highs"
            )  # fmt: skip
            if solved.status != 0:
                raise DisclosureError("disclosure_unprovable", unit="/".join(cell))
            found.append(sign * float(solved.fun or 0.0))
        return self.base + found[0], self.base + found[1]


def _exchange(room: Floats, at: int, codes: list[int], others: dict[int, int]) -> float:
    """Return how much a part can gain from others so that no known sum changes; `room` is what each can gain and lose."""
    if codes[at] == 0:
        return float(room[0, at])
    gained = 0.0
    for code, giver in others.items():
        if room[0, at] <= _EXACT:
            break
        if code == codes[at]:
            loops: list[tuple[tuple[int, ...], tuple[int, ...]]] = [((at,), (giver,))]
        else:
            ends = ((second, others.get(code + codes[second] - codes[at])) for second in others.values() if second > giver)
            loops = [((at, end), (giver, second)) for second, end in ends if end is not None] if len(others) <= _LOOPS else []
        for gain, lose in loops:
            step = float(min(*(room[0, one] for one in gain), *(room[1, one] for one in lose)))
            if step > 0 and len({*gain, *lose}) == len(gain) + len(lose):
                for one in gain:
                    room[:, one] += (-step, step)
                for one in lose:
                    room[:, one] += (step, -step)
                gained += step
    return gained


def _reduce(block: Block, shown: Collection[Cell], cell: Cell) -> _Open:
    """Return what is open around a unit: a part that is a unit shown by itself is not."""
    known = [unit for unit in block.members if unit in shown and len(block.members[unit])]
    fixed = np.full(len(block.lower), np.nan)
    for unit in known:
        if len(block.members[unit]) == 1:
            fixed[block.members[unit][0]] = block.totals[unit]
    is_open = np.isnan(fixed)
    mine = np.zeros(len(fixed), dtype=bool)
    mine[block.members[cell]] = True
    places: dict[int, list[int]] = {part: [] for part in np.flatnonzero(is_open).tolist()}
    told: list[float] = []
    for unit in known:
        parts = block.members[unit]
        inside = parts[is_open[parts]]
        if len(inside):
            for part in inside.tolist():
                places[part].append(len(told))
            told.append(block.totals[unit] - float(fixed[parts[~is_open[parts]]].sum()))
    joined: dict[tuple[bool, tuple[int, ...]], list[int]] = {}
    for part, rows in places.items():
        joined.setdefault((bool(mine[part]), tuple(rows)), []).append(part)
    own = np.array([key[0] for key in joined], dtype=bool)
    lower, upper = (np.array([values[parts].sum() for parts in joined.values()]) for values in (block.lower, block.upper))
    true = None if block.true is None else np.array([block.true[parts].sum() for parts in joined.values()])
    base = float(fixed[mine & ~is_open].sum())
    return _Open(base, own, lower, upper, true, [key[1] for key in joined], told)
