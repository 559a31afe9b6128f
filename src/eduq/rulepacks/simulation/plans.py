"""What a stress run simulates: rules, the families they are judged in, and where stated declines are placed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from eduq.rulepacks.model import Rule
from eduq.rulepacks.simulation.edits import GATES, Edit, Gate, list_edits
from eduq.rulepacks.simulation.families import Family
from eduq.rulepacks.simulation.outcomes import can_be_graded
from eduq.rulepacks.simulation.worlds import County
from eduq.rulepacks.verdicts import years_read

__all__ = ["PLACES", "Block", "RulePlan", "Scenario", "StressPlan", "place_declines", "plan_rule", "true_levels"]

Floats = npt.NDArray[np.float64]

PLACES = ("lowest", "median", "largest")


@dataclass(frozen=True)
class Scenario:
    """One unit that truly falls in all its series: by how much a year (pupil SDs), where it was placed, and which it is.

    Attributes
    ----------
    unit
        Place in the family's units.
    """

    decline: float
    placed: str
    unit: int


@dataclass(frozen=True)
class RulePlan:
    """One rule of the run.

    Attributes
    ----------
    ahead
        The judged year of rates and power, in years after the newest of the archive: 0 unless the clause reads more years
        than there are.
    edits_ahead
        The same for the edits, one of which reads a year more; None when that is beyond the run.
    """

    rule: Rule
    bounds: Mapping[str, Any]
    gates: tuple[Gate, ...]
    edits: tuple[Edit, ...]
    ahead: int
    edits_ahead: int | None


@dataclass(frozen=True)
class Block:
    """A family with what is fixed in its worlds, the rules judged in it and the stated declines."""

    family: Family
    county: County
    rules: tuple[RulePlan, ...]
    scenarios: tuple[Scenario, ...]


@dataclass(frozen=True)
class StressPlan:
    """A stress run: everything but the number of worlds.

    Attributes
    ----------
    blocks
        Families.
    years_ahead
        Years simulated after the archive's newest.
    seed
        Of all random numbers.
    reference
        Number of the block, and place in its scenarios, that edits are measured on; None without stated declines.
    """

    blocks: tuple[Block, ...]
    years_ahead: int
    seed: int
    reference: tuple[int, int] | None

    @property
    def rules(self) -> tuple[RulePlan, ...]:
        """Every rule once, by id."""
        found = {plan.rule.id: plan for block in self.blocks for plan in block.rules}
        return tuple(found[name] for name in sorted(found))

    def ladders(self) -> dict[str, tuple[RulePlan, ...]]:
        """Return the ladders and their steps, the mildest first."""
        found: dict[str, list[RulePlan]] = {}
        for plan in self.rules:
            if plan.rule.ladder is not None:
                found.setdefault(plan.rule.ladder.name, []).append(plan)
        return {name: tuple(sorted(steps, key=_step)) for name, steps in sorted(found.items())}


def _step(plan: RulePlan) -> int:
    return plan.rule.ladder.step if plan.rule.ladder else 0


def plan_rule(rule: Rule, bounds: Mapping[str, Any], *, n_years: int, years_ahead: int) -> RulePlan | None:
    """Return the plan of one rule; None when it reads more years than the run has."""
    needed = max((years_read(condition) for condition in rule.walk()), default=0)
    ahead = max(0, needed - n_years)
    if ahead > years_ahead:
        return None
    edits = tuple(list_edits(rule)) if can_be_graded(rule) else tuple(edit for edit in list_edits(rule) if edit.gate == "literal")
    later = max(0, needed + 1 - n_years)
    gates = GATES if can_be_graded(rule) else GATES[:1]
    return RulePlan(rule, bounds, gates, edits, ahead, later if later <= years_ahead else None)


def true_levels(family: Family, county: County) -> Floats:
    """Return the level of each series in the measure's unit (S,): the mean over the grid; of a rate its mean over the years."""
    if county.rates is None:
        return county.shocks.weight @ np.where(np.isfinite(county.levels), county.levels, 0.0)
    there = np.isfinite(family.means)
    return np.asarray(np.where(there, family.means, 0.0).sum(axis=1) / np.maximum(there.sum(axis=1), 1))


def place_declines(family: Family, county: County, declines: Sequence[float]) -> tuple[Scenario, ...]:
    """Place each decline at the unit of the lowest true level, of the median one, and at the one with most candidates.

    A unit's level is the mean over its series. Only units inside a peer group in the newest year take part; of equal ones the
    first in order.
    """
    inside = np.concatenate([peer.counted[:, -1] for peer in family.peers])
    inside &= county.present[:, : len(family.periods)].any(axis=1)
    units = np.unique(family.unit_of[inside])
    if units.size == 0:
        return ()
    levels = np.where(inside, true_levels(family, county), 0.0)
    n = np.where(inside, np.concatenate([peer.n[:, -1] for peer in family.peers]), 0)
    count = np.bincount(family.unit_of, inside, minlength=len(family.units))[units]
    level = np.bincount(family.unit_of, levels, minlength=len(family.units))[units] / count
    size = np.bincount(family.unit_of, n, minlength=len(family.units))[units]
    order = np.argsort(level, kind="stable")
    chosen = {"lowest": units[order[0]], "median": units[order[(len(order) - 1) // 2]], "largest": units[int(np.argmax(size))]}
    return tuple(Scenario(float(decline), placed, int(chosen[placed])) for decline in declines for placed in PLACES)
