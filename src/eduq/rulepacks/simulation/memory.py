"""The ladder's memory: which step a unit stands on from year to year, and when it gets a new card."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from eduq.rulepacks.simulation.edits import Reading

if TYPE_CHECKING:
    from eduq.rulepacks.simulation.families import Family
    from eduq.rulepacks.simulation.outcomes import Met
    from eduq.rulepacks.simulation.plans import RulePlan

__all__ = ["Standing"]

Counts = npt.NDArray[np.int64]


class Standing:
    """Where the units of one family stand on one ladder, in every world, under one reading of the literal clauses.

    A step is taken when its rule is met; it stays until its exit: so many years in a row in which the rule is definitely not
    met in any series of the unit. A step without an exit stays. A card is new when the unit did not stand on that step before.

    Parameters
    ----------
    name
        Of the ladder.
    steps
        Its rules, the mildest first.
    reading
        What counts as met.
    shape
        Worlds and units.
    """

    def __init__(self, name: str, steps: tuple[RulePlan, ...], reading: Reading, shape: tuple[int, int]) -> None:
        self.name, self.steps, self.reading = name, steps, reading
        self._on = {one.rule.id: np.zeros(shape, dtype=bool) for one in steps}
        self._quiet = {one.rule.id: np.zeros(shape, dtype=np.int8) for one in steps}
        self._ever = {one.rule.id: np.zeros(shape, dtype=bool) for one in steps}

    def take_year(self, ahead: int, family: Family, found: Mapping[str, Met]) -> Iterator[tuple[tuple[str | int, ...], Counts]]:
        """Take one year's results and give, per world, new cards, units on the step, and units that ever had the card.

        Parameters
        ----------
        ahead
            Years after the newest of the archive.
        family
            The family.
        found
            What each rule gave this year.
        """
        for one in self.steps:
            name = one.rule.id
            got = family.any_series(found[name].of(self.reading))
            refuted = family.any_series(found[name].refuted(self.reading)) & ~got
            quiet = np.where(refuted, self._quiet[name] + 1, 0).astype(np.int8)
            new = got & ~self._on[name]
            on = self._on[name] | got
            if one.rule.exit is not None:
                on &= got | (quiet < one.rule.exit.after_years)
            self._quiet[name], self._on[name] = quiet, on
            self._ever[name] = self._ever[name] | got
            key = (self.name, name, self.reading, ahead)
            yield ("new", *key), new.sum(axis=1)
            yield ("standing", *key), on.sum(axis=1)
            yield ("ever", *key), self._ever[name].sum(axis=1)
