"""Withholding until all figures of a paper together tell no withheld total closer than required."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from eduq.disclosure.suppression.blocks import Cell
from eduq.disclosure.suppression.score_bounds import ScoreBlock, bound_by_area, bound_scores
from eduq.disclosure.suppression.search import list_bundles
from eduq.errors import DisclosureError

__all__ = ["Joint", "protect_scores"]

_TRIES = 5
_SLACK = 1e-6
_MANY = 300
"""Of more parts only those near a unit are looked at, where that suffices."""


@dataclass
class Joint:
    """What was proved of one paper.

    Attributes
    ----------
    secondary
        Units withheld whole, beyond those the single quantities need.
    widths
        By measure and cell the proven width and the width required, as counts or multiples of the full mark.
    """

    secondary: set[Cell] = field(default_factory=set)
    widths: dict[tuple[str, Cell], tuple[float, float]] = field(default_factory=dict)

    @property
    def ratios(self) -> list[float]:
        """Proven width as a multiple of the width required, where any is."""
        return [width / needed for width, needed in self.widths.values() if needed > _SLACK]


def protect_scores(
    scores: ScoreBlock,
    *,
    shown: Mapping[str, Collection[Cell]],
    told: Mapping[str, Collection[Cell]],
    primary: Mapping[str, Collection[Cell]],
    required: Callable[[str, Cell], float],
) -> Joint:
    """Withhold further units, every figure of them, until no total that must be withheld is told by all figures together.

    Parameters
    ----------
    scores
        The figures of a paper.
    shown
        By measure the units the document would show.
    told
        By measure those an issued document shows: they cannot be withheld any more.
    primary
        By measure the totals to be protected.
    required
        Width a total needs, as a count or a multiple of the full mark; never more than the area's figures alone leave open.

    Raises
    ------
    DisclosureError
        ``disclosure_issued`` where issued documents alone tell what must be withheld, ``disclosure_unprovable`` where nothing
        more can be withheld.
    """
    members = next(iter(scores.blocks.values())).members
    found = Joint()
    by_area: dict[tuple[str, float], float] = {}  # the same for units of equal size
    asked = [(name, cell) for name in scores.values for cell in sorted(primary.get(name, ())) if cell in members]
    for name, cell in asked:
        asked_for = required(name, cell)
        width = _prove_near(scores, _with(shown, told, found.secondary), cell, name, asked_for)
        if width is not None:  # as wide as can be asked for, whatever the area's figures leave open
            found.widths[name, cell] = (width, asked_for)
            continue
        size = float(scores.counts[members[cell]].sum())
        if (name, size) not in by_area:
            low, high = bound_by_area(scores, _with(shown, told, set()), cell, name)
            by_area[name, size] = high - low
        needed = max(0.0, min(asked_for, by_area[name, size]))
        while (width := _prove(scores, _with(shown, told, found.secondary), cell, name, needed)) is None:
            found.secondary |= _choose(scores, shown, told, found.secondary, cell, name, needed)
        found.widths[name, cell] = (width, needed)
    return found


def _prove(scores: ScoreBlock, shown: dict[str, set[Cell]], cell: Cell, measure: str, needed: float) -> float | None:
    """Return a width that a total has at least, if it suffices: from score tables that differ near the unit only, then from
    all; None where the whole interval is too narrow."""
    width = _prove_near(scores, shown, cell, measure, needed)
    if width is not None:
        return width
    nears, enough = _nears(scores, shown, cell, measure), needed * (1 - _SLACK) - _SLACK
    tries = ((scores.thin, True), (scores, True), (scores, False)) if not nears or len(scores.counts) <= _MANY else ()
    for fewer, inside in tries:
        low, high = bound_scores(fewer, shown, cell, measure, inside=inside)
        if high - low >= enough:
            return high - low
    return None


def _prove_near(scores: ScoreBlock, shown: dict[str, set[Cell]], cell: Cell, measure: str, needed: float) -> float | None:
    """Return a width from score tables that differ near the unit only, over few scores first; None where too narrow."""
    for near in _nears(scores, shown, cell, measure):
        for fewer in (scores.thin, scores):
            low, high = bound_scores(fewer, shown, cell, measure, inside=True, near=near)
            if high - low >= needed * (1 - _SLACK) - _SLACK:
                return high - low
    return None


def _nears(scores: ScoreBlock, shown: Mapping[str, Collection[Cell]], cell: Cell, measure: str) -> list[Cell]:
    """Return the units around a cell, smallest first; of few parts those only of which something is shown."""
    block, many = scores.blocks[measure], len(scores.counts) > _MANY
    return [
        unit
        for unit in block.holders(cell)
        if len(block.members[unit]) < min(len(scores.counts), _MANY) and (many or any(unit in units for units in shown.values()))
    ]


def _with(
    shown: Mapping[str, Collection[Cell]], told: Mapping[str, Collection[Cell]], hidden: set[Cell]
) -> dict[str, set[Cell]]:  # fmt: skip
    return {name: (set(cells) - hidden) | set(told.get(name, ())) for name, cells in shown.items()}


def _choose(
    scores: ScoreBlock,
    shown: Mapping[str, Collection[Cell]],
    told: Mapping[str, Collection[Cell]],
    hidden: set[Cell],
    target: Cell,
    measure: str,
    needed: float,
) -> frozenset[Cell]:
    """Return the cheapest units that suffice, else those that open the interval most."""
    visible = frozenset(set().union(*_with(shown, {}, hidden).values()))
    fixed = frozenset(set().union(*(set(cells) for cells in told.values())))
    best: tuple[float, frozenset[Cell]] | None = None
    for tried, bundle in enumerate(list_bundles(scores.blocks[measure], visible, fixed, target)):
        opened = _with(shown, told, hidden | bundle)
        near = next(reversed(_nears(scores, opened, target, measure)), None) if len(scores.counts) > _MANY else None
        low, high = bound_scores(scores, opened, target, measure, inside=True, near=near)
        if high - low >= needed * (1 - _SLACK) - _SLACK:
            return bundle
        if best is None or high - low > best[0] + _SLACK:
            best = (high - low, bundle)
        if tried >= _TRIES:
            break
    if best is not None:
        return best[1]
    low, high = bound_scores(scores, {name: set(cells) for name, cells in told.items()}, target, measure)
    raise DisclosureError("disclosure_issued" if high - low < needed - _SLACK else "disclosure_unprovable", unit="/".join(target))
