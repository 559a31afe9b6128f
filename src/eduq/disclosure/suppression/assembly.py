"""Blocks of one comparison group and paper from its estimates: schools inside townships, clusters and kinds of place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from eduq.disclosure.suppression.blocks import AREA, Block, Cell
from eduq.estimates.measures import Measure

__all__ = ["PLACES", "Figures", "Tree", "assemble_block", "list_trees"]

PLACES = ("township", "cluster", "area_type")
"""Unit types that are made of schools, by column of the register."""
_Z_RANGE = 5.0
"""Standardised values are taken to lie within so many SDs."""


@dataclass(frozen=True)
class Figures:
    """Estimates of one measure of one paper: candidates and total of each unit with a number."""

    sizes: dict[Cell, int]
    totals: dict[Cell, float]


@dataclass(frozen=True)
class Tree:
    """Units that are made of the same parts.

    Attributes
    ----------
    parts
        Units that are parts.
    made_of
        Parts of every other unit but the area.
    """

    parts: tuple[Cell, ...]
    made_of: dict[Cell, tuple[Cell, ...]] = field(default_factory=dict)


def list_trees(units: list[Cell], schools: pl.DataFrame) -> list[Tree]:
    """Return the trees of the units: schools (or classes) with what they make up, and every other unit type by itself."""
    types = {unit_type for unit_type, _ in units}
    of_type = {name: sorted(cell for cell in units if cell[0] == name) for name in types}
    trees, used = [], {"area"}
    if "school" in types:
        used |= {"school", "class"} | (types & set(PLACES))
        made: dict[Cell, list[Cell]] = {}
        inside: dict[str, list[Cell]] = {}
        for cell in of_type.get("class", []):
            inside.setdefault(cell[1].partition("/")[0], []).append(cell)
        places, held = {place: set(of_type.get(place, ())) for place in PLACES}, set(of_type["school"])
        for place in PLACES:
            if place in types and place in schools.columns:
                for school, unit in schools.select("school_id", place).drop_nulls().sort("school_id").iter_rows():
                    if (place, unit) in places[place] and ("school", school) in held:
                        made.setdefault((place, unit), []).append(("school", school))
        parts: list[Cell] = []
        open_schools: dict[Cell, tuple[Cell, ...]] = {}
        for school in of_type["school"]:
            rest = ("rest", school[1])
            own = (*inside[school[1]], rest) if school[1] in inside else (school,)
            open_schools[school] = own
            parts += own
        made_of = {cell: tuple(part for school in cells for part in open_schools[school]) for cell, cells in made.items()}
        made_of |= {school: own for school, own in open_schools.items() if own != (school,)}
        trees.append(Tree(tuple(parts), made_of))
    return trees + [Tree(tuple(of_type[name])) for name in sorted(types - used)]


def assemble_block(
    tree: Tree,
    figures: Figures,
    *,
    measure: Measure,
    full: float | None,
    groups: Mapping[Cell, tuple[Cell, ...]] | None = None,
    between: Mapping[Cell, tuple[float, float]] | None = None,
) -> Block:
    """Return the block of one measure.

    Parameters
    ----------
    tree
        Which units are made of which.
    figures
        Candidates and totals.
    measure
        What is counted or summed.
    full
        Full mark of the paper; None where it is not known: twice the highest mean then.
    groups
        Further cells to be protected, and their parts.
    between
        Bounds of a part's total that other figures shown tell.
    """
    least, most = _range(measure, figures, full)
    sizes, totals = dict(figures.sizes), dict(figures.totals)
    for cell, own in tree.made_of.items():
        rest = ("rest", cell[1])
        if cell[0] == "school" and rest in own and cell in sizes:
            sizes[rest] = sizes[cell] - sum(sizes.get(part, 0) for part in own if part != rest)
            totals[rest] = totals[cell] - sum(totals.get(part, 0.0) for part in own if part != rest)
    parts = [part for part in tree.parts if sizes.get(part, 0) > 0]
    left = sizes.get(AREA, 0) - sum(sizes[part] for part in parts)
    remainder: Cell = ("rest", "")
    if left > 0:
        parts.append(remainder)
        sizes[remainder] = left
        totals[remainder] = totals.get(AREA, 0.0) - sum(totals[part] for part in parts if part != remainder)
    place = {part: i for i, part in enumerate(parts)}
    members: dict[Cell, tuple[Cell, ...]] = {part: (part,) for part in parts if part[0] != "rest"}
    members |= {cell: own for cell, own in tree.made_of.items() if cell in sizes} | dict(groups or {})
    if AREA in sizes:
        members[AREA] = tuple(parts)
    index = {cell: np.array([place[part] for part in own if part in place], dtype=np.int64) for cell, own in members.items()}
    lower, upper = np.array([least * sizes[part] for part in parts]), np.array([most * sizes[part] for part in parts])
    for part, (low, high) in (between or {}).items():
        if part in place:
            lower[place[part]], upper[place[part]] = max(low, lower[place[part]]), min(high, upper[place[part]])
    true = np.clip(np.array([totals[part] for part in parts]), lower, upper)
    return Block(
        lower=lower,
        upper=upper,
        members=index,
        totals={cell: float(true[own].sum()) for cell, own in index.items()},
        sizes={cell: sizes.get(cell) or sum(sizes[parts[i]] for i in own) for cell, own in index.items()},
        true=true,
    )


def _range(measure: Measure, figures: Figures, full: float | None) -> tuple[float, float]:
    """Return what one candidate can add to a total."""
    if measure.kind == "proportion":
        return 0.0, 1.0
    if measure.kind == "mean":
        highest = max((total / figures.sizes[cell] for cell, total in figures.totals.items()), default=1.0)
        return 0.0, full or 2 * highest
    return -_Z_RANGE, _Z_RANGE
