"""A block: one additive quantity of one paper, its smallest parts, and the units whose totals a document may show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

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
