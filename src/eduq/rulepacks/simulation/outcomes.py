"""What the very rule gives in worlds: the clause by the rule's own conditions, the evidence by the decline fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from eduq.rulepacks.conditions import MET, NOT_ASSESSABLE, NOT_MET, Codes
from eduq.rulepacks.evidence import count_last_periods, kinds_of_evidence
from eduq.rulepacks.model import BottomShare, LastPlace, Rule
from eduq.rulepacks.simulation.edits import Gate, Reading
from eduq.rulepacks.simulation.families import Family
from eduq.rulepacks.verdicts import evaluate_rule

if TYPE_CHECKING:
    from eduq.rulepacks.simulation.grading import Stratum

__all__ = ["Met", "asks_last_place", "can_be_graded", "find_met", "grade_worlds", "members_of", "pass_gate"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Letters = npt.NDArray[np.int8]
Scalar = TypeVar("Scalar", bound=np.generic)
GRADE_CODES: Mapping[Gate, int] = {"A": 1, "B": 2}
_SCREEN_Q = 0.35
_SCREEN_SLOPE = 0.6


@dataclass(frozen=True)
class Met:
    """The clause in every world: codes int8 (W, S) under each reading."""

    narrow: Codes
    wide: Codes

    def codes(self, reading: Reading) -> Codes:
        """Return the codes under one reading."""
        return self.narrow if reading == "narrow" else self.wide

    def of(self, reading: Reading) -> Bools:
        """Return where the clause is met."""
        return np.asarray(self.codes(reading) == MET)

    def refuted(self, reading: Reading) -> Bools:
        """Return where the clause is definitely not met, which is what an exit counts."""
        return np.asarray(self.codes(reading) == NOT_MET)

    def known(self, reading: Reading) -> Bools:
        """Bool (S,): the series can be assessed in some world."""
        return np.asarray((self.codes(reading) != NOT_ASSESSABLE).any(axis=0))


def find_met(rule: Rule, family: Family, levels: Floats, *, ahead: int = 0) -> Met:
    """Evaluate a rule in every world with the functions that ``judge`` uses.

    Parameters
    ----------
    rule
        The rule with its values in force.
    family
        Its peer groups.
    levels
        float64 (W, S, at least T + ahead).
    ahead
        The judged year, in years after the archive's newest.
    """
    peers = [family.world_peers(levels, block, ahead=ahead) for block in range(len(family.cells))]
    found = [evaluate_rule(rule, {rule.measure: peer}) for peer in peers]
    narrow, wide = ([getattr(outcome, reading).code for outcome in found] for reading in ("narrow", "wide"))
    return Met(np.concatenate(narrow, axis=1), np.concatenate(wide, axis=1))


def members_of(rule: Rule, family: Family) -> Bools:
    """Return which rows the evidence is about: members of the peer groups in the judged year, as in ``judge``."""
    group = rule.peer_group
    least = group.min_pupils if group else 0
    small = group.small_schools if group else "include"
    inside = [
        peer.under(min_pupils=least, min_units=0, small_schools=small, tenure="none").counted[:, -1] for peer in family.peers
    ]
    return np.concatenate(inside)


def asks_last_place(rule: Rule, reading: Reading) -> bool:
    """Return whether the evidence under a reading looks at the place too."""
    how = rule.readings.narrow if reading == "narrow" else rule.readings.wide
    return how == "all" and any(isinstance(condition, LastPlace | BottomShare) for condition in rule.walk())


def can_be_graded(rule: Rule) -> bool:
    """Return whether the evidence of a rule is the decline fit, so that worlds can be graded."""
    return kinds_of_evidence(rule) == ("decline",)


def pass_gate(met: Bools, letters: Letters | None, gate: Gate) -> Bools:
    """Return where the clause is met and the evidence reaches the gate."""
    if gate == "literal":
        return met
    if letters is None:
        return np.zeros_like(met)
    return met & (letters > 0) & (letters <= GRADE_CODES[gate])


def grade_worlds(
    rule: Rule,
    family: Family,
    levels: Floats,
    met: Bools,
    *,
    ahead: int,
    bounds: Mapping[str, Any],
    last_place: Sequence[bool] = (False, True),
) -> dict[bool, Letters]:
    """Grade the evidence where it matters: in worlds in which somebody meets the clause and may reach grade B.

    Worlds that a cheap fit (moment shock, plain lines) shows far from every bound are left without a grade.

    Parameters
    ----------
    rule, family, ahead
        As in `find_met`.
    levels
        float64 (W, S, at least T + ahead).
    met
        bool (W, S): where the clause is met.
    bounds
        Bounds of the grades.
    last_place
        Gradings wanted: without and with a look at the place.

    Returns
    -------
    dict
        Per grading int8 (W, S): 1 A, 2 B, 3 C, 4 D; 0 none, or where `met` is not.
    """
    from eduq.estimates.declines.bounds import DeclineBounds
    from eduq.rulepacks.simulation.grading import Stratum, grade_strata

    limits = DeclineBounds(**bounds)
    members = np.flatnonzero(members_of(rule, family))
    letters = {place: np.zeros(met.shape, dtype=np.int8) for place in last_place}
    asked = np.flatnonzero(met[:, members].any(axis=1))
    if asked.size == 0:
        return letters
    n_years = len(family.periods) + ahead
    variances = _extended(family.variances, ahead)
    n = _extended(np.concatenate([peer.n for peer in family.peers]), ahead)
    strata, rows, near = [], [], np.zeros(asked.size, dtype=bool)
    for cells in family.strata:
        own_rows = members[np.isin(family.group[members], cells)]
        seen = np.flatnonzero(np.isfinite(levels[0, own_rows, :n_years]).any(axis=0))[-limits.window :]
        if own_rows.size and seen.size >= 2:
            values, own = levels[np.ix_(asked, own_rows, seen)], variances[np.ix_(own_rows, seen)]
            counted = np.where(np.isfinite(values[0]), n[np.ix_(own_rows, seen)], np.iinfo(np.int64).max)
            strata.append(Stratum(values, own, seen.astype(np.float64), counted.min(axis=1)))
            rows.append(own_rows)
    for one, own_rows in zip(strata, rows, strict=True):
        near |= _may_reach(one, met[np.ix_(asked, own_rows)], limits.materiality, members.size)
    if not near.any():
        return letters
    inside = np.concatenate(rows)
    found = grade_strata(
        [replace(one, means=one.means[near]) for one in strata],
        met[np.ix_(asked[near], inside)],
        bounds=limits,
        last_place=last_place,
        last_k=last_k(rule, family, members),
        last_periods=count_last_periods(rule),
        overlap=family.overlap,
    )
    for place, graded in found.items():
        letters[place][np.ix_(asked[near], inside)] = graded
    return letters


def last_k(rule: Rule, family: Family, members: npt.NDArray[np.intp]) -> int:
    """Return how many places from the bottom the clause means, as ``judge`` counts them."""
    import math

    place = next((item for item in rule.walk() if isinstance(item, LastPlace | BottomShare)), None)
    if place is None:
        return 1
    if isinstance(place, LastPlace):
        return place.last or 1
    if place.share is None:
        return 1
    inside = np.isfinite(family.means[members])
    size = max(
        (int(inside[family.group[members] == cell].sum(axis=0).max()) for cell in np.unique(family.group[members])), default=0
    )
    return max(1, math.ceil(place.share * size - 1e-9))


def _extended(array: npt.NDArray[Scalar], ahead: int) -> npt.NDArray[Scalar]:
    return np.concatenate([array, np.repeat(array[:, -1:], ahead, axis=1)], axis=1)


def _may_reach(stratum: Stratum, met: Bools, materiality: float, family_size: int) -> Bools:
    """Tell in which worlds a row that meets the clause may reach grade B: a wide screen by a moment fit with plain lines.

    A row passes when its p under that fit is within three and a half times what Benjamini and Hochberg's bound could be.
    """
    from scipy.special import stdtr

    values, variances, times = stratum.means, stratum.variances, stratum.times
    present = np.isfinite(values[0])
    n_periods = present.sum(axis=1)
    fitted = n_periods >= 3
    free = np.where(fitted, n_periods - 2, 0)
    if fitted.sum() < 3 or free.sum() < 3:
        return np.ones(len(values), dtype=bool)
    clean = np.where(present, values, 0.0)
    weight = present & fitted[:, None]
    year = (clean * weight).sum(axis=1) / np.maximum(weight.sum(axis=0), 1)
    apart = np.where(present, clean - year[:, None, :], 0.0)
    count = np.maximum(n_periods, 1)
    centred = np.where(present, times - ((present * times).sum(axis=1) / count)[:, None], 0.0)
    spread = np.maximum((centred**2).sum(axis=1), 1e-12)
    slope = np.einsum("wst,st->ws", apart, centred) / spread
    level = apart.sum(axis=2) / count
    squares = (apart**2).sum(axis=2) - count * level**2 - slope**2 * spread
    sampling = np.where(present, variances, 0.0).sum(axis=1) / count
    shock = np.maximum(((squares * fitted).sum(axis=1) - (sampling * free).sum()) / free.sum(), 0.0)
    variance = (sampling + shock[:, None]) / spread
    part = np.where(fitted, 1.0 / variance, 0.0)
    relative = slope - (part * slope).sum(axis=1, keepdims=True) / part.sum(axis=1, keepdims=True)
    p = np.where(fitted, stdtr(float(free.sum()), relative / np.sqrt(variance)), 1.0)
    order = np.sort(p, axis=1)
    place = np.arange(1, p.shape[1] + 1)
    reached = np.where(order * family_size / place <= _SCREEN_Q, order, 0.0).max(axis=1, keepdims=True)
    # with 末位 the lowest third is the family, and its bound three times as wide
    bound = np.maximum(reached, 3 * _SCREEN_Q / family_size)
    return np.asarray((met & (p <= bound) & (relative <= -_SCREEN_SLOPE * materiality)).any(axis=1))
