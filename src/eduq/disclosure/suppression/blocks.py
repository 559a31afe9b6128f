"""A block: one additive quantity of one paper, its smallest parts, and the units whose totals a document may show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from eduq.summaries import AREA_UNIT

__all__ = ["AREA", "Block", "Cell"]

Cell = tuple[str, str]
"""Unit type and unit."""
AREA: Cell = ("area", AREA_UNIT)
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Block:
    """One additive quantity: a sum of scores, or a count of candidates.

    Attributes
    ----------
    lower, upper
        Least and greatest value each part can have, in the quantity's unit; float64, shape (n_parts,).
    members
        Which parts each unit is made of: int64 indices.
    totals
        True total of each unit.
    sizes
        Candidates of each unit.
    true
        True total of each part, float64, shape (n_parts,); None where nobody asks for it.
    """

    lower: Floats
    upper: Floats
    members: Mapping[Cell, NDArray[np.int64]]
    totals: Mapping[Cell, float]
    sizes: Mapping[Cell, int]
    true: Floats | None = None

    @cached_property
    def units_of(self) -> list[list[Cell]]:
        """Units each part belongs to."""
        found: list[list[Cell]] = [[] for _ in range(len(self.lower))]
        for unit, parts in self.members.items():
            for part in parts.tolist():
                found[part].append(unit)
        return found

    @cached_property
    def _parts_near(self) -> dict[Cell, Block]:
        return {}

    def holders(self, cell: Cell) -> list[Cell]:
        """Return the units that hold all parts of a unit and more, smallest first; not the area."""
        own = self.members[cell]
        if not len(own):
            return []
        size = len(own)
        inside = own.tolist()
        found = [
            unit
            for unit in self.units_of[inside[0]]
            if unit != AREA and len(self.members[unit]) > size and (size == 1 or set(inside) < set(self.members[unit].tolist()))
        ]
        return sorted(found, key=lambda unit: (len(self.members[unit]), unit))

    def near(self, unit: Cell) -> Block:
        """Return the block of a unit's own parts: all others are taken as known, so less is open in it, never more."""
        if unit not in self._parts_near and self.true is not None:
            parts = self.members[unit]
            inside: dict[Cell, list[int]] = {}
            for at, part in enumerate(parts.tolist()):
                for other in self.units_of[part]:
                    inside.setdefault(other, []).append(at)
            true = self.true[parts]
            members = {other: np.array(own, dtype=np.int64) for other, own in inside.items()}
            totals = {other: float(true[own].sum()) for other, own in members.items()}
            sizes = {other: self.sizes[other] for other in members}
            self._parts_near[unit] = Block(self.lower[parts], self.upper[parts], members, totals, sizes, true)
        return self._parts_near.get(unit, self)

    def possible(self, cell: Cell) -> tuple[float, float]:
        """Return what the total of a unit can be when nothing at all is known."""
        parts = self.members[cell]
        return float(self.lower[parts].sum()), float(self.upper[parts].sum())

    def from_area(self, cell: Cell) -> tuple[float, float]:
        """Return what the total of a unit can be when the total of the area alone is known."""
        lower, upper = self.possible(cell)
        if AREA not in self.members:
            return lower, upper
        least, most = self.possible(AREA)
        whole = self.totals[AREA]
        return max(lower, whole - (most - upper)), min(upper, whole - (least - lower))
