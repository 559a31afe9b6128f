"""Which further cells to withhold so that those that must be are protected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from itertools import islice

from eduq.disclosure.suppression.blocks import AREA, Block, Cell
from eduq.disclosure.suppression.bounds import bound_cell
from eduq.errors import DisclosureError

__all__ = ["Protection", "list_bundles", "protect_block"]

_TRIES = 40
_FEW_TRIES = 3
_LOOKED_AT = 160
_SLACK = 1e-6
_MANY = 300
"""Of more parts only those near a unit are looked at, where that suffices."""


@dataclass(frozen=True)
class Protection:
    """What is withheld of one block, and what can be inferred of it.

    Attributes
    ----------
    primary, secondary
        Cells that must be withheld, and those withheld for their sake.
    intervals
        For each primary cell the least and greatest total that agree with everything shown.
    required
        Width each of them needs.
    """

    primary: frozenset[Cell]
    secondary: frozenset[Cell]
    intervals: dict[Cell, tuple[float, float]]
    required: dict[Cell, float]

    @property
    def narrowest(self) -> float | None:
        """Smallest ratio of proven to required width; None where nothing had to be withheld or nothing can be."""
        ratios = [(high - low) / self.required[cell] for cell, (low, high) in self.intervals.items() if self.required[cell] > 0]
        return min(ratios, default=None)


def protect_block(
    block: Block,
    *,
    shown: Collection[Cell],
    primary: Collection[Cell],
    required: Callable[[Cell], float],
    withheld: Collection[Cell] = (),
    known: Collection[Cell] = (),
) -> Protection:
    """Withhold cells until no total that must be withheld can be inferred closer than required.

    The width required is never more than what the total of the area alone leaves open: where nobody at all reached a mark,
    everybody knows it of every school.

    Parameters
    ----------
    block
        The quantity.
    shown
        Units the document would show.
    primary
        Those of them, or units not shown at all, that must be protected.
    required
        Width of the interval a unit needs, in the quantity's unit.
    withheld
        Units withheld already for another quantity: they cost nothing more.
    known
        Units an issued document shows already: they cannot be withheld any more.

    Raises
    ------
    DisclosureError
        ``disclosure_issued`` where a document issued before tells what must be withheld, ``disclosure_unprovable`` where nothing
        more can be withheld and a total is still too well known.
    """
    told = frozenset(known) & block.members.keys()
    first = frozenset(primary) & block.members.keys()
    hidden = set(first) | set(frozenset(withheld) & frozenset(shown))
    needed = {cell: _needed(block, cell, required(cell)) for cell in sorted(first)}
    intervals: dict[Cell, tuple[float, float]] = {}
    seen: dict[Cell, frozenset[Cell]] = {}
    for target in sorted(needed, key=lambda cell: (block.sizes[cell], cell)):  # what is withheld later only widens an interval
        while True:
            visible = (frozenset(shown) - hidden) | told
            low, high = _bound(block, visible, target, needed[target])
            if high - low >= needed[target] - _SLACK:
                intervals[target], seen[target] = (low, high), visible
                break
            chosen = _choose(block, visible, told, target, needed[target])
            if chosen is None:
                low, high = bound_cell(block, visible, target)
                if high - low >= needed[target] - _SLACK:  # all units together leave open what those near do not
                    intervals[target], seen[target] = (low, high), visible
                    break
                low, high = bound_cell(block, told, target)
                code = "disclosure_issued" if high - low < needed[target] - _SLACK else "disclosure_unprovable"
                raise DisclosureError(code, unit="/".join(target))
            hidden |= chosen
    visible, many = (frozenset(shown) - hidden) | told, len(block.lower) > _MANY  # an interval from before is within the last
    intervals |= {cell: _bound(block, visible, cell, needed[cell]) for cell in needed if seen[cell] != visible and not many}
    return Protection(first, frozenset(hidden) - first, intervals, needed)


def _needed(block: Block, cell: Cell, width: float) -> float:
    low, high = block.from_area(cell)
    return max(0.0, min(width, high - low))


def _choose(block: Block, visible: frozenset[Cell], told: frozenset[Cell], target: Cell, needed: float) -> frozenset[Cell] | None:
    """Return the cheapest cells that suffice, else those that open the interval most; None when nothing is left."""
    around = _bound(block, visible, target, needed)
    many = len(block.lower) > _MANY and block.true is not None
    near = next((unit for unit in reversed(block.holders(target)) if len(block.members[unit]) < _MANY), None) if many else None
    beside = visible if near is None else visible & block.near(near).members.keys()
    bundles = list(islice(list_bundles(block, beside, told, target), _LOOKED_AT if near is None else _TRIES))
    bundles = bundles or list(islice(list_bundles(block, visible, told, target), _LOOKED_AT))
    widths = [_guess(block, bundle, target, around) for bundle in bundles]
    best: tuple[float, frozenset[Cell]] | None = None
    likely = [bundle for bundle, width in zip(bundles, widths, strict=True) if width >= needed - _SLACK]
    if near is not None:  # what plain exchange opens comes first, programs for a few only
        for bundle in likely[:_TRIES]:
            low, high = bound_cell(block, (beside - bundle) | (beside & told), target, near=near, needed=0.0)
            if high - low >= needed - _SLACK:
                return bundle
        likely = likely[:_FEW_TRIES]
    for bundle in likely[:_TRIES]:
        low, high = _bound(block, (visible - bundle) | told, target, needed)
        if high - low >= needed - _SLACK:
            return bundle
        if best is None or high - low > best[0] + _SLACK:
            best = (high - low, bundle)
    if best is None and bundles:
        return bundles[max(range(len(bundles)), key=lambda at: (widths[at], -at))]
    return best[1] if best else None


def _bound(block: Block, visible: Collection[Cell], target: Cell, needed: float) -> tuple[float, float]:
    """Return an interval that is surely open for a total: from the units near by where that suffices, else from all."""
    many, best = len(block.lower) > _MANY, None
    for unit in block.holders(target) if block.true is not None else ():
        if (many or unit in visible) and len(block.members[unit]) < min(len(block.lower), _MANY):
            low, high = bound_cell(block, visible, target, near=unit, needed=needed)
            if high - low >= needed - _SLACK:
                return low, high
            best = (low, high) if best is None or high - low > best[1] - best[0] else best
    return best if many and best is not None else bound_cell(block, visible, target, needed=needed)


def _guess(block: Block, bundle: frozenset[Cell], target: Cell, around: tuple[float, float]) -> float:
    """Return about how wide the interval of a total can become at most, given what the opened units can give and take."""
    parts = sorted({part for unit in bundle for part in block.members[unit].tolist()} - set(block.members[target].tolist()))
    true = block.totals[target]
    least, most = block.possible(target)
    values = block.lower if block.true is None else block.true
    give = float((values[parts] - block.lower[parts]).sum()) if block.true is not None else float("inf")
    take = float((block.upper[parts] - values[parts]).sum())
    return min(most - true, around[1] - true + give) + min(true - least, true - around[0] + take)


def list_bundles(
    block: Block, visible: Collection[Cell], told: Collection[Cell], target: Cell
) -> Iterator[frozenset[Cell]]:  # fmt: skip
    """Give sibling units by cost: those with most shown parents in common first, then few candidates; alone, and with whatever
    else would tell them."""
    own = set(block.members[target].tolist())
    free = {unit for unit in visible if unit != AREA and unit not in told and len(block.members.get(unit, ()))}
    common = dict.fromkeys(free, 0)
    beside = block.units_of[min(own)] if own else []
    sets = {unit: set(block.members[unit].tolist()) for unit in beside if unit in visible and unit != AREA}
    for parts in (parts for parts in sets.values() if own <= parts):
        held = Counter(unit for part in parts for unit in block.units_of[part])
        for unit, n in held.items():
            if unit in common and n == len(block.members[unit]):
                common[unit] += 1
    for unit in sorted(free, key=lambda unit: (-common[unit], block.sizes[unit], unit)):
        yield frozenset({unit})
        tells = {other for part in block.members[unit].tolist() for other in block.units_of[part] if other in free}
        tells = {other for other in tells - {unit} if not (own and own <= set(block.members[other].tolist()))}
        if tells:
            yield frozenset({unit, *tells})
