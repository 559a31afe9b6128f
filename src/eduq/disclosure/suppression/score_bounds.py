"""What all figures of a paper together tell of a withheld unit: mean, SD and every rate as facts about one score table."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

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
        A unit outside of which every figure is taken as known: likewise.

    Where no table over the scores of `support` agrees with the figures, so that few candidates must have very few scores, the
    total counts as told.
    """
    members = scores.blocks[measure].members
    known = {name: [unit for unit in shown.get(name, ()) if unit in members and len(members[unit])] for name in scores.values}
    alone = [{int(members[unit][0]) for unit in units if len(members[unit]) == 1} for units in known.values()]
    closed = alone[list(known).index(measure)] if inside else set.intersection(*alone)
    closed |= set() if near is None else set(range(len(scores.counts))) - set(members[near].tolist())
    target = set(members[cell].tolist())
    true = {name: block.true for name, block in scores.blocks.items() if block.true is not None}
    base = float(true[measure][sorted(target & closed)].sum())
    groups = _alike(scores, known, closed, target)
    width = len(scores.support)
    aim = np.concatenate([scores.values[measure] * float(bool(own & target)) for own in groups]) if groups else np.zeros(0)
    if not aim.any():
        return base, base
    rows: dict[tuple[str, tuple[bool, ...]], tuple[Floats, float]] = {}
    for at, own in enumerate(groups):
        line = np.zeros((len(groups), width))
        line[at] = 1.0
        rows["", tuple(i == at for i in range(len(groups)))] = line.ravel(), float(scores.counts[list(own)].sum())
    for name, units in known.items():
        for unit in units:
            parts = set(members[unit].tolist())
            within = tuple(bool(own & parts) for own in groups)
            if any(within):
                line = np.outer(np.array(within, dtype=float), scores.values[name])
                told = scores.blocks[name].totals[unit] - float(true[name][sorted(parts & closed)].sum())
                rows[name, within] = line.ravel(), told
    low, high = _solve(aim, list(rows.values())) or (0.0, 0.0)
    return base + low, base + high


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


def _solve(aim: Floats, rows: list[tuple[Floats, float]]) -> tuple[float, float] | None:
    """Return the least and greatest value of the aim; None where nothing agrees with the rows."""
    from scipy.optimize import linprog

    matrix, right = np.array([line for line, _ in rows]), np.array([told for _, told in rows])
    found = []
    for sign in (1.0, -1.0):
        solved = linprog(sign * aim, A_eq=matrix, b_eq=right, bounds=(0, None), method="highs")
        if solved.status != 0:
            return None
        found.append(sign * float(solved.fun or 0.0))
    return found[0], found[1]


def bound_by_area(scores: ScoreBlock, measures: Collection[str], cell: Cell, measure: str) -> tuple[float, float]:
    """Return what the area's own figures leave open of a unit's total."""
    return bound_scores(scores, {name: [AREA] for name in measures}, cell, measure)
