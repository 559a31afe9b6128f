"""Steps of a ladder over the years: what the same clauses gave earlier, and whether a step has been left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eduq.rulepacks.conditions import MET, NOT_MET, Codes
from eduq.rulepacks.model import Rule
from eduq.rulepacks.peers import PeerCell
from eduq.rulepacks.verdicts import evaluate_rule

__all__ = ["EXIT_STATES", "YearlyResults", "evaluate_years", "exit_state"]

EXIT_STATES = ("in_step", "open", "left")
"""``in_step``: met now. ``open``: met before, and not yet so many years not met as the exit asks. ``left``: met before, and
left by the exit."""


@dataclass(frozen=True)
class YearlyResults:
    """What a rule gave for the units of one peer group in each school year.

    Attributes
    ----------
    units, periods
        Rows and columns.
    codes
        int8 (S, T): clause result under the proposing reading, as it would have been judged at the end of that year, for the
        person who is judged now.
    """

    units: tuple[str, ...]
    periods: tuple[str, ...]
    codes: Codes

    def of(self, unit: str) -> list[tuple[str, int]]:
        """Return period and code of a unit, the earliest first."""
        return list(zip(self.periods, self.codes[self.units.index(unit)].tolist(), strict=True))


def evaluate_years(rule: Rule, cell: PeerCell, *, barred: bool = False) -> YearlyResults:
    """Evaluate a rule at the end of every year of a peer group, with what was known then."""
    columns = []
    for year in range(len(cell.periods)):
        peers = {measure: peer.until(year) for measure, peer in cell.peers.items()}
        columns.append(evaluate_rule(rule, peers, barred=barred).of(rule.readings.proposes).code)
    return YearlyResults(cell.units, cell.periods, np.stack(columns, axis=1))


def exit_state(codes: Sequence[int], after_years: int | None) -> str | None:
    """Say whether a unit is in a step, or has left it: `EXIT_STATES`, or None when it never was in it.

    Parameters
    ----------
    codes
        Results of the step's rule by year, the judged year last.
    after_years
        Years in a row without the step that end it; None when the rule states no exit.

    Examples
    --------
    >>> exit_state([0, 1, 0], 1), exit_state([0, 1, 0], 2), exit_state([0, 1, 2], 1), exit_state([0, 1], 1)
    ('left', 'open', 'open', 'in_step')
    """
    if MET not in codes:
        return None
    if codes[-1] == MET:
        return "in_step"
    last_met = len(codes) - 1 - list(reversed(codes)).index(MET)
    longest = run = 0
    for code in codes[last_met + 1 :]:
        run = run + 1 if code == NOT_MET else 0
        longest = max(longest, run)
    return "left" if after_years is not None and longest >= after_years else "open"
