"""What all figures of a paper together tell of a withheld unit: mean, SD and every rate as facts about one score table."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from eduq.disclosure.suppression.assembly import Figures, Tree, assemble_block
from eduq.disclosure.suppression.blocks import AREA, Block, Cell
from eduq.estimates.measures import Measure

__all__ = ["SQUARES", "ScoreBlock", "assemble_scores", "bound_by_area", "bound_scores", "read_spreads"]

SQUARES = "sd"
"""Measure that tells the sum of squares, beside the mean."""
_POINTS = 40
_THIN = 5
_HUNDRED = 100
_EQUAL = 1e-9
"""SD below which all candidates of a unit have one score."""
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ScoreBlock:
    """A paper's figures that add up over candidates, each a function of the score.

    Attributes
    ----------
    support
        Scores a candidate may have, as a share of the full mark, shape (n_scores,).
    values
        By measure what one candidate with each score adds to the total, shape (n_scores,).
    blocks
        By measure the totals of the units; all over the same parts.
    counts
        Candidates of each part, shape (n_parts,).
    """

    support: Floats
    values: Mapping[str, Floats]
    blocks: Mapping[str, Block]
    counts: Floats

    @cached_property
    def _near(self) -> dict[Cell, ScoreBlock]:
        return {}

    def near(self, unit: Cell) -> ScoreBlock:
        """Return the figures of a unit's own parts: all others are taken as known."""
        if unit not in self._near:
            parts = next(iter(self.blocks.values())).members[unit]
            blocks = {name: block.near(unit) for name, block in self.blocks.items()}
            self._near[unit] = replace(self, blocks=blocks, counts=self.counts[parts])
        return self._near[unit]

    @cached_property
    def thin(self) -> ScoreBlock:
        """The same over fewer scores: one in `_THIN`, and those on either side of every cut."""
        steps = np.zeros(len(self.support), dtype=bool)
        steps[::_THIN] = steps[-1] = True
        for values in self.values.values():
            if set(values.tolist()) <= {0.0, 1.0}:
                at = np.flatnonzero(np.diff(values))
                steps[at] = steps[at + 1] = True
        return replace(self, support=self.support[steps], values={name: one[steps] for name, one in self.values.items()})


def assemble_scores(
    tree: Tree,
    figures: Mapping[str, Figures],
    *,
    main: str,
    definitions: Mapping[str, Measure],
    full: float,
    population_sd: bool,
    groups: Mapping[Cell, tuple[Cell, ...]] | None = None,
) -> ScoreBlock:
    """Return the figures of a paper as facts about how many candidates of each unit have each score.

    Parameters
    ----------
    tree
        Which units are made of which.
    figures
        Candidates and totals by measure; of `SQUARES` the totals are ``sd`` times n.
    main
        The mean score.
    definitions
        Of the measures; those without a cut, a bound or a band are left out, and so is one counted over other candidates.
    full
        Full mark.
    population_sd
        Whether the SD divides by n, else by n - 1.
    groups
        Further cells to be protected, and their parts.
    """
    sizes = figures[main].sizes
    ranges = {name: definitions[name].score_range(round(full * _HUNDRED)) for name in figures if name in definitions}
    rates = {
        name: found for name, found in ranges.items()
        if found is not None and definitions[name].kind == "proportion" and figures[name].sizes == sizes
    }  # fmt: skip
    edges = {score for low, high in rates.values() for bound in (low, high) for score in (bound, bound - 50)}
    step = max(1, -(-int(full) // _POINTS)) * _HUNDRED
    whole = round(full * _HUNDRED)
    alike = {
        round(figures[main].totals[cell] / n * _HUNDRED)
        for cell, n in sizes.items()
        if SQUARES in figures and figures[SQUARES].totals.get(cell, 1.0) < _EQUAL
    }
    scores = sorted({score for score in {*range(0, whole + 1, step), *edges, *alike, whole} if 0 <= score <= whole})
    hundredths = np.array(scores)
    support = hundredths / whole
    values: dict[str, Floats] = {main: support}
    totals = {main: {cell: total / full for cell, total in figures[main].totals.items()}}
    if SQUARES in figures and figures[SQUARES].sizes == sizes:
        values[SQUARES] = support**2
        totals[SQUARES] = {}
        for cell, n in sizes.items():
            mean, spread = figures[main].totals[cell] / n / full, figures[SQUARES].totals[cell] / n / full
            totals[SQUARES][cell] = spread**2 * (n if population_sd else n - 1) + n * mean**2
    for name, (low, high) in rates.items():
        values[name] = ((hundredths >= low) & (hundredths < high)).astype(float)
        totals[name] = figures[name].totals
    blocks = {
        name: assemble_block(tree, Figures(sizes, own), measure=definitions[main], full=1.0, groups=groups)
        for name, own in totals.items()
    }
    return ScoreBlock(support, values, blocks, blocks[main].upper)


def read_spreads(rows: pl.DataFrame, *, population: bool) -> Figures:
    """Return the SD of each unit as the standard error of its mean tells it; one candidate has none."""
    found = Figures({}, {})
    columns = ("unit_type", "unit", "n", "estimate", "std_error")
    told = {(kind, unit): sd for kind, unit, sd in rows.filter(measure="sd").select(*columns[:2], "estimate").iter_rows()}
    for kind, unit, n, mean, error in rows.filter(measure="mean_score").select(columns).iter_rows():
        if mean is not None and n > 0:
            by_error = None if error is None else error * math.sqrt(n - 1 if population else n)
            spread = 0.0 if n == 1 else told.get((kind, unit), by_error)
            if spread is not None:
                found.sizes[kind, unit], found.totals[kind, unit] = n, spread * n
    return found


def bound_scores(
    scores: ScoreBlock,
    shown: Mapping[str, Collection[Cell]],
    cell: Cell,
    measure: str,
    *,
    inside: bool = False,
    near: Cell | None = None,
) -> tuple[float, float]:
    """Return the least and greatest total of a unit that agree with every figure shown of the paper.

    Minimum and maximum, by linear programming, over all ways the candidates of every unit could have scored: a unit whose mean,
    SD and rates are all shown drops out, the others share what is left. Candidates may be split in the programs, so whole
    tables agree with a little less.

    Parameters
    ----------
    scores
        The figures.
    shown
        By measure the units whose figure is known; `SQUARES` counts where the mean is known too.
    cell, measure
        The total asked for.
    inside
        Whether every figure of a unit whose `measure` is shown is taken as known: quick, and never wider than the truth.
    near
        A unit that holds the one asked for; every figure outside of it is taken as known: likewise.

    Where no table over the scores of `support` agrees with the figures, so that few candidates must have very few scores, the
    total counts as told.
    """
    if near is not None:
        scores = scores.near(near)
    members = scores.blocks[measure].members
    known = {name: _known(members, shown.get(name, ())) for name in scores.values}
    alone = {name: {int(members[unit][0]) for unit in units if len(members[unit]) == 1} for name, units in known.items()}
    closed = alone[measure] if inside else set.intersection(*alone.values())
    target = set(members[cell].tolist())
    true = {name: block.true for name, block in scores.blocks.items() if block.true is not None}
    base = float(true[measure][sorted(target & closed)].sum())
    groups = _alike(scores, known, closed, target)
    own = {at for at, parts in enumerate(groups) if parts & target}
    if not own:
        return base, base
    place = {part: at for at, parts in enumerate(groups) for part in parts}
    rows: dict[tuple[str, tuple[int, ...]], float]
    rows = {("", (at,)): float(scores.counts[sorted(parts)].sum()) for at, parts in enumerate(groups)}
    for name, units in known.items():
        for unit in units:
            parts = members[unit].tolist()
            within = tuple(sorted({place[part] for part in parts if part in place}))
            if within:
                shut = [part for part in parts if part in closed]
                rows[name, within] = scores.blocks[name].totals[unit] - float(true[name][shut].sum())
                if name == measure and own == set(within):
                    return base + rows[name, within], base + rows[name, within]
    low, high = _solve(scores, measure, own, len(groups), rows) or (0.0, 0.0)
    return base + low, base + high


def _known(members: Mapping[Cell, NDArray[np.int64]], shown: Collection[Cell]) -> list[Cell]:
    """Return the units shown that have parts, always in one order."""
    if len(shown) < len(members):
        return [unit for unit in sorted(shown) if unit in members and len(members[unit])]
    return [unit for unit, parts in members.items() if len(parts) and unit in shown]


def _alike(scores: ScoreBlock, known: Mapping[str, Sequence[Cell]], closed: set[int], target: set[int]) -> list[set[int]]:
    """Return the open parts joined where no figure shown and no question tells them apart."""
    members = scores.blocks[next(iter(scores.blocks))].members
    units = sorted({unit for own in known.values() for unit in own})
    inside: dict[int, list[int]] = {part: [int(part in target)] for part in range(len(scores.counts)) if part not in closed}
    for at, unit in enumerate(units):
        for part in members[unit].tolist():
            if part in inside:
                inside[part].append(at + 2)
    found: dict[tuple[int, ...], set[int]] = {}
    for part, places in inside.items():
        found.setdefault(tuple(places), set()).add(part)
    return [found[places] for places in sorted(found)]


def _solve(
    scores: ScoreBlock, measure: str, own: set[int], n_groups: int, rows: Mapping[tuple[str, tuple[int, ...]], float]
) -> tuple[float, float] | None:
    """Return the least and greatest total of the groups asked for; None where nothing agrees with the rows."""
    from scipy.optimize import linprog
    from scipy.sparse import csr_array

    width = len(scores.support)
    one = np.ones(width)
    right = np.array(list(rows.values()))
    entries = np.concatenate([scores.values.get(name, one) for name, within in rows for _ in within])
    starts = np.array([at * width for _, within in rows for at in within])
    columns = (starts[:, None] + np.arange(width)).ravel()
    ends = np.cumsum([0, *(len(within) * width for _, within in rows)])
    matrix: Any = csr_array((entries, columns, ends), shape=(len(rows), n_groups * width))
    matrix.eliminate_zeros()
    aim = np.zeros((n_groups, width))
    aim[sorted(own)] = scores.values[measure]
    found = []
    for sign in (1.0, -1.0):
        solved = linprog(sign * aim.ravel(), A_eq=matrix, b_eq=right, bounds=(0, None), method="highs")
        if solved.status != 0:
            return None
        found.append(sign * float(solved.fun or 0.0))
    return found[0], found[1]


def bound_by_area(scores: ScoreBlock, measures: Collection[str], cell: Cell, measure: str) -> tuple[float, float]:
    """Return what the area's own figures leave open of a unit's total."""
    return bound_scores(scores, {name: [AREA] for name in measures}, cell, measure)
