"""Conditions of clauses as array functions: the literal clause, in three values, over the units of one peer group.

Every function takes levels of shape (..., S, T): S units, T consecutive school years ending at the judged year. Leading axes
hold simulated worlds, so that ``judge`` and ``stress`` use the same code. What can be assessed depends on (S, T) alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = [
    "MET",
    "NOT_ASSESSABLE",
    "NOT_MET",
    "REASONS",
    "Codes",
    "Outcome",
    "PeerSeries",
    "below_cut",
    "bottom_share",
    "combine_outcomes",
    "constant_outcome",
    "declining",
    "flagged",
    "last_place",
    "reason_code",
    "severe_drop",
    "stagnating",
    "target_missed",
]

Codes = npt.NDArray[np.int8]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

NOT_MET, MET, NOT_ASSESSABLE = 0, 1, 2
REASONS = (
    "",
    "barred",
    "parameter_missing",
    "measure_missing",
    "small_school_exempt",
    "merged",
    "not_comparable",
    "missing_year",
    "below_min_n",
    "peer_group_too_small",
    "tenure_incomplete",
)
"""Why something is not assessable; a code is the place in this list, and of several reasons the first here is given."""
_STEPS = 1e4
"""Levels are compared in steps of 10⁻⁴, as they are ranked; so bounds are exact and do not hang on binary fractions."""


def reason_code(reason: str) -> int:
    """Return the code of a reason."""
    return REASONS.index(reason)


class Outcome(NamedTuple):
    """What a condition gives per unit: NOT_MET, MET or NOT_ASSESSABLE, and the code of the reason (0 unless not assessable)."""

    code: Codes
    reason: Codes


@dataclass(frozen=True)
class PeerSeries:
    """The series of one peer group.

    Attributes
    ----------
    level
        float64 (..., S, T), in the measure's unit; nan where there is none.
    n
        int64 (S, T): candidates behind each level.
    reason
        int8 (S, T): code of the reason why a unit has no comparable level in a year; 0 where it has one.
    exempt
        int8 (S,): code of the reason why a unit stays outside the peer group in all years; 0 where it is inside.
    held
        bool (S, T): the person judged held the post in that year; all true where no person is judged.
    min_pupils, min_units
        A unit of fewer candidates is not counted in that year; a year with fewer counted units is not assessable.
    """

    level: Floats
    n: npt.NDArray[np.int64]
    reason: Codes
    exempt: Codes
    held: Bools
    min_pupils: int = 0
    min_units: int = 0

    @cached_property
    def counted(self) -> Bools:
        """Bool (S, T): the unit is a member of the peer group in that year."""
        found: Bools = (self.reason == 0) & (self.exempt == 0)[:, None] & (self.n >= self.min_pupils)
        return found

    @cached_property
    def why_not(self) -> Codes:
        """int8 (S, T): why a unit's year cannot be assessed, 0 where it can; the first reason of `REASONS` that holds."""
        found = np.zeros(self.n.shape, dtype=np.int8)
        small = np.broadcast_to(self.counted.sum(axis=0) < self.min_units, found.shape)
        found[~self.held] = reason_code("tenure_incomplete")
        found[small] = reason_code("peer_group_too_small")
        found[self.n < self.min_pupils] = reason_code("below_min_n")
        found = np.where(self.reason != 0, self.reason, found)
        return np.where((self.exempt != 0)[:, None], self.exempt[:, None], found).astype(np.int8)

    @cached_property
    def steps(self) -> Floats:
        """Levels as whole numbers of 10⁻⁴ (..., S, T), nan where there is none."""
        return np.rint(self.level * _STEPS)

    @cached_property
    def ranked(self) -> Floats:
        """`steps` of counted units, +inf elsewhere: what ranks from the bottom are taken from."""
        return np.where(self.counted, self.steps, np.inf)

    def under(self, *, min_pupils: int, min_units: int, small_schools: str, tenure: str) -> PeerSeries:
        """Return the same series under a rule's bounds: who is exempt and in which years the post must have been held."""
        exempt = self.exempt
        if small_schools == "include":
            exempt = np.where(exempt == reason_code("small_school_exempt"), 0, exempt).astype(np.int8)
        held = self.held.copy()
        if tenure != "every_year":
            held[:, : -1 if tenure == "last_year" else None] = True
        return replace(self, exempt=exempt, held=held, min_pupils=min_pupils, min_units=min_units)

    def until(self, year: int) -> PeerSeries:
        """Return the same peer group as it stood at an earlier column: columns up to and with `year`."""
        cut = slice(0, year + 1)
        return replace(self, level=self.level[..., cut], n=self.n[:, cut], reason=self.reason[:, cut], held=self.held[:, cut])

    def read_years(self, years: int) -> Codes | None:
        """Return int8 (S,): why the last `years` columns cannot all be read (0 where they can); None with too few columns."""
        if self.n.shape[1] < years:
            return None
        found = self.why_not[:, self.n.shape[1] - years :].astype(np.int16)
        found[found == 0] = len(REASONS)
        first = found.min(axis=1) if years else np.zeros(found.shape[0], dtype=np.int16)
        return np.where(first == len(REASONS), 0, first).astype(np.int8)


def constant_outcome(peer: PeerSeries, reason: str) -> Outcome:
    """Return not assessable for every unit, with one reason; a unit outside the peer group keeps its own."""
    shape = peer.level.shape[:-1]
    own = np.where(peer.exempt != 0, peer.exempt, reason_code(reason))
    if reason in ("barred", "parameter_missing", "measure_missing"):
        own = np.full_like(own, reason_code(reason))
    return Outcome(np.full(shape, NOT_ASSESSABLE, np.int8), np.broadcast_to(own.astype(np.int8), shape))


def _outcome(peer: PeerSeries, years: int, met: Bools) -> Outcome:
    """Give the literal result where the years read are assessable, else the reason."""
    why = peer.read_years(years)
    if why is None:
        return constant_outcome(peer, "missing_year")
    why = np.broadcast_to(why, met.shape)
    return Outcome(np.where(why != 0, NOT_ASSESSABLE, met).astype(np.int8), why)


def declining(
    peer: PeerSeries, *, years: int | None, noise_band: float | None = 0.0, direction: Literal["fall", "rise"] = "fall"
) -> Outcome:
    """Tell which units fell in each of the last `years` years by more than the noise band.

    k falls need k + 1 assessable years in a row; a fall of exactly the band is none.

    Parameters
    ----------
    peer
        The peer group.
    years
        Number of falls k; None makes every unit not assessable (``parameter_missing``).
    noise_band
        In the measure's unit, not negative; None as for `years`.
    direction
        ``rise`` counts rises instead.

    Examples
    --------
    >>> peer = PeerSeries(
    ...     level=np.array([[0.3, 0.2, 0.1], [0.1, 0.2, 0.1]]), n=np.full((2, 3), 90), reason=np.zeros((2, 3), np.int8),
    ...     exempt=np.zeros(2, np.int8), held=np.ones((2, 3), bool))
    >>> declining(peer, years=2).code.tolist()
    [1, 0]
    """
    if years is None or noise_band is None:
        return constant_outcome(peer, "parameter_missing")
    if peer.n.shape[1] < years + 1:
        return constant_outcome(peer, "missing_year")
    changes = np.diff(peer.steps[..., -(years + 1) :], axis=-1)
    band = np.rint(noise_band * _STEPS)
    return _outcome(peer, years + 1, (changes > band if direction == "rise" else changes < -band).all(axis=-1))


def _in_bottom(peer: PeerSeries, year: int, k: int, *, share_ties: bool) -> Bools:
    """Tell who is among the lowest `k` counted units of one column; units tied with the k-th share the place, or none of them."""
    values = peer.ranked[..., year]
    n_units = values.shape[-1]
    if k <= 0 or (share_ties and k > n_units):
        return np.broadcast_to(np.bool_(k > 0), values.shape)
    if share_ties:
        bound = np.partition(values, k - 1, axis=-1)[..., k - 1 : k]
        return values <= bound
    if k >= n_units:
        return np.ones(values.shape, dtype=bool)
    above = np.partition(values, k, axis=-1)[..., k : k + 1]
    return values < above


def last_place(
    peer: PeerSeries, *, years: int | None, last: int | None = 1, ties: Literal["share", "exclude"] = "share"
) -> Outcome:
    """Tell which units were among the lowest `last` of their peer group in each of the last `years` years.

    Ties share the place (all of them are in it), or with ``exclude`` nobody holds a place that is shared beyond `last`.
    """
    if years is None or last is None:
        return constant_outcome(peer, "parameter_missing")
    if peer.n.shape[1] < years:
        return constant_outcome(peer, "missing_year")
    found = [_in_bottom(peer, -back, last, share_ties=ties == "share") for back in range(1, years + 1)]
    return _outcome(peer, years, np.logical_and.reduce(found))


def bottom_share(
    peer: PeerSeries, *, years: int | None, share: float | None, ties: Literal["share", "exclude"] = "share"
) -> Outcome:
    """Tell which units were in the lowest share of their peer group in each of the last `years` years.

    The lowest share of m units are the lowest ⌈share · m⌉ of them.
    """
    if years is None or share is None:
        return constant_outcome(peer, "parameter_missing")
    if peer.n.shape[1] < years:
        return constant_outcome(peer, "missing_year")
    sizes = peer.counted.sum(axis=0)
    found = [
        _in_bottom(peer, -back, math.ceil(share * int(sizes[-back]) - 1e-9), share_ties=ties == "share")
        for back in range(1, years + 1)
    ]
    return _outcome(peer, years, np.logical_and.reduce(found))


_SIDES: dict[str, Callable[[Floats, float], Bools]] = {
    "below": np.less,
    "at_or_below": np.less_equal,
    "above": np.greater,
    "at_or_above": np.greater_equal,
}


def below_cut(peer: PeerSeries, *, years: int | None = 1, cut: float | None, side: str = "below") -> Outcome:
    """Tell which units lay on the named side of the cut in each of the last `years` years."""
    if years is None or cut is None:
        return constant_outcome(peer, "parameter_missing")
    if peer.n.shape[1] < years:
        return constant_outcome(peer, "missing_year")
    met: Bools = np.all(_SIDES[side](peer.steps[..., -years:], float(np.rint(cut * _STEPS))), axis=-1)
    return _outcome(peer, years, met)


def severe_drop(peer: PeerSeries, *, drop: float | None, against: Literal["previous", "earlier_mean"] = "previous") -> Outcome:
    """Tell which units lie by more than `drop` below the year before, or below the mean of the earlier years.

    The earlier years are those in a row before the last that can be assessed; at least the year before must be one.
    """
    if drop is None:
        return constant_outcome(peer, "parameter_missing")
    if peer.n.shape[1] < 2:
        return constant_outcome(peer, "missing_year")
    usable = (peer.why_not[:, :-1] == 0)[:, ::-1]
    run = np.logical_and.accumulate(usable, axis=1)[:, ::-1]
    if against == "previous":
        run = run & (np.arange(run.shape[1]) == run.shape[1] - 1)
    count = run.sum(axis=1)
    earlier = np.where(run, peer.steps[..., :-1], 0.0).sum(axis=-1)
    met: Bools = np.less(peer.steps[..., -1] * count - earlier, -np.rint(drop * _STEPS) * count)
    return _outcome(peer, 2, met)


def stagnating(peer: PeerSeries, *, years: int | None, band: float | None) -> Outcome:
    """Tell which units did not rise by more than `band` a year over the last `years` years; every year between is needed."""
    if years is None or band is None:
        return constant_outcome(peer, "parameter_missing")
    if peer.n.shape[1] < years + 1:
        return constant_outcome(peer, "missing_year")
    change = peer.steps[..., -1] - peer.steps[..., -(years + 1)]
    return _outcome(peer, years + 1, change <= np.rint(band * years * _STEPS))


def target_missed(peer: PeerSeries, *, target: Floats, rises: Bools, overdue: Bools) -> Outcome:
    """Tell which units have an overdue target that their level of the last column does not reach.

    Parameters
    ----------
    peer
        One line per target; the last column is the newest exam dated by the day it was due.
    target
        float64 (S,), in the measure's unit.
    rises
        bool (S,): the level must be at least the target (else at most).
    overdue
        bool (S,): the due date has passed. A target not yet due is not missed.
    """
    bound, actual = np.rint(target * _STEPS), peer.steps[..., -1]
    missed = np.where(rises, actual < bound, actual > bound)
    result = _outcome(peer, 1, missed)
    waiting = np.broadcast_to(~overdue, result.code.shape)
    return Outcome(np.where(waiting, NOT_MET, result.code).astype(np.int8), np.where(waiting, 0, result.reason).astype(np.int8))


def flagged(peer: PeerSeries, *, flags: Codes | None, expect: bool = True) -> Outcome:
    """Tell whose record equals what is expected; never inferred.

    Parameters
    ----------
    peer
        The peer group; its levels are not read.
    flags
        int8 (S,): 1 set, 0 not set, -1 nobody has said; None when there is no such record.
    expect
        What the record must say to meet the condition.
    """
    if flags is None:
        return constant_outcome(peer, "parameter_missing")
    code = np.where(flags < 0, NOT_ASSESSABLE, flags == int(expect)).astype(np.int8)
    reason = np.where(flags < 0, reason_code("parameter_missing"), 0).astype(np.int8)
    shape = peer.level.shape[:-1]
    return Outcome(np.broadcast_to(code, shape), np.broadcast_to(reason, shape))


def combine_outcomes(outcomes: Sequence[Outcome], how: Literal["all", "any"]) -> Outcome:
    """Combine conditions in three-valued logic (Kleene).

    ``all``: one condition that is definitely not met decides (not met); else one that is not assessable leaves the whole not
    assessable. ``any``: one that is met decides. What is missing is never met.

    Examples
    --------
    >>> unknown = Outcome(np.array([NOT_ASSESSABLE], np.int8), np.array([reason_code("missing_year")], np.int8))
    >>> fails = Outcome(np.array([NOT_MET], np.int8), np.array([0], np.int8))
    >>> combine_outcomes([unknown, fails], "all").code.tolist(), combine_outcomes([unknown, fails], "any").code.tolist()
    ([0], [2])
    """
    shape = np.broadcast_shapes(*(outcome.code.shape for outcome in outcomes))
    decides = NOT_MET if how == "all" else MET
    decided, unknown = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    reason = np.full(shape, len(REASONS), dtype=np.int8)
    for outcome in outcomes:
        decided |= outcome.code == decides
        open_ = np.broadcast_to(outcome.code == NOT_ASSESSABLE, shape)
        unknown |= open_
        reason = np.where(open_, np.minimum(reason, outcome.reason), reason).astype(np.int8)
    code = np.where(decided, decides, np.where(unknown, NOT_ASSESSABLE, 1 - decides)).astype(np.int8)
    return Outcome(code, np.where(code == NOT_ASSESSABLE, reason, 0).astype(np.int8))
