"""Rules over peer groups: which conditions hold for whom, under both readings, and what they give as verdicts."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import numpy.typing as npt

from eduq.rulepacks.conditions import (
    MET,
    NOT_ASSESSABLE,
    NOT_MET,
    Codes,
    Outcome,
    PeerSeries,
    below_cut,
    bottom_share,
    combine_outcomes,
    constant_outcome,
    declining,
    flagged,
    last_place,
    severe_drop,
    stagnating,
    target_missed,
)
from eduq.rulepacks.model import (
    AllOf,
    AnyOf,
    BelowCut,
    BottomShare,
    Condition,
    Decline,
    Flag,
    LastPlace,
    Rule,
    SevereDrop,
    Stagnation,
    TargetMissed,
)

__all__ = ["CLAUSE_RESULTS", "RegisterTargets", "RuleOutcome", "bound_peer", "evaluate_rule", "years_read"]

CLAUSE_RESULTS = {NOT_MET: "not_met", MET: "met", NOT_ASSESSABLE: "not_assessable"}


@dataclass(frozen=True)
class RegisterTargets:
    """Targets of the register, one per line of the peer series they are evaluated on.

    Attributes
    ----------
    target
        float64 (S,), in the measure's unit.
    rises
        bool (S,): at least the target is asked for (else at most).
    overdue
        bool (S,): the due date has passed.
    """

    target: npt.NDArray[np.float64]
    rises: npt.NDArray[np.bool_]
    overdue: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class RuleOutcome:
    """What a rule gives for the units of one peer group.

    Attributes
    ----------
    narrow, wide
        The literal clause under the two readings; arrays (..., S).
    conditions
        Every condition's own outcome, in the order of `Rule.walk`.
    proposes
        The reading that proposes.
    """

    narrow: Outcome
    wide: Outcome
    conditions: tuple[Outcome, ...]
    proposes: Literal["narrow", "wide"]

    def of(self, reading: Literal["narrow", "wide"]) -> Outcome:
        """Return the outcome under one reading."""
        return self.narrow if reading == "narrow" else self.wide

    @property
    def proposed(self) -> npt.NDArray[np.bool_]:
        """Bool (..., S): the proposing reading is met."""
        found: npt.NDArray[np.bool_] = self.of(self.proposes).code == MET
        return found

    @property
    def only_wide(self) -> npt.NDArray[np.bool_]:
        """Bool (..., S): met under the wide reading, not under the narrow one."""
        found: npt.NDArray[np.bool_] = (self.wide.code == MET) & (self.narrow.code != MET)
        return found


def years_read(condition: Condition) -> int:
    """Return how many school years, the last included, a condition reads at least; 0 when it reads none."""
    match condition:
        case Decline() | Stagnation():
            return 0 if condition.years is None else condition.years + 1
        case LastPlace() | BottomShare() | BelowCut():
            return condition.years or 0
        case SevereDrop():
            return 2
        case TargetMissed():
            return 1
        case _:
            return 0


def _missed(condition: TargetMissed, peer: PeerSeries, targets: RegisterTargets | None, as_of: dt.date | None) -> Outcome:
    """Evaluate a target of the register, or of the clause itself (no due date: due at once)."""
    if condition.source == "register":
        if targets is None:
            return constant_outcome(peer, "parameter_missing")
        return target_missed(peer, target=targets.target, rises=targets.rises, overdue=targets.overdue)
    if condition.target is None or condition.direction is None:
        return constant_outcome(peer, "parameter_missing")
    shape = peer.exempt.shape
    overdue = condition.due is None or (as_of is not None and condition.due < as_of)
    return target_missed(
        peer,
        target=np.full(shape, condition.target),
        rises=np.full(shape, condition.direction == "up"),
        overdue=np.full(shape, overdue),
    )


def _evaluate(
    condition: Condition,
    *,
    peers: Mapping[str | None, PeerSeries],
    rule: Rule,
    flags: Mapping[str, Codes],
    targets: RegisterTargets | None,
    as_of: dt.date | None,
) -> Outcome:
    """Evaluate one condition on the series of its measure."""
    frame = next(iter(peers.values()))
    if isinstance(condition, Flag):
        return flagged(frame, flags=flags.get(condition.flag), expect=condition.expect)
    peer = peers.get(condition.measure or rule.measure)
    if peer is None:
        return constant_outcome(frame, "measure_missing")
    match condition:
        case Decline():
            return declining(peer, years=condition.years, noise_band=condition.noise_band, direction=condition.direction)
        case LastPlace():
            return last_place(peer, years=condition.years, last=condition.last, ties=condition.ties)
        case BottomShare():
            return bottom_share(peer, years=condition.years, share=condition.share, ties=condition.ties)
        case BelowCut():
            return below_cut(peer, years=condition.years, cut=condition.cut, side=condition.side)
        case SevereDrop():
            return severe_drop(peer, drop=condition.drop, against=condition.against)
        case Stagnation():
            return stagnating(peer, years=condition.years, band=condition.band)
        case TargetMissed():
            return _missed(condition, peer, targets, as_of)
        case _:
            return constant_outcome(frame, "parameter_missing")


def bound_peer(rule: Rule, peer: PeerSeries) -> PeerSeries:
    """Return a series under the rule's peer group and tenure clause."""
    tenure = rule.gaps.tenure if rule.subject in ("head", "teacher") else "none"
    group = rule.peer_group
    if group is None:
        return peer.under(min_pupils=0, min_units=0, small_schools="include", tenure=tenure)
    return peer.under(min_pupils=group.min_pupils, min_units=group.min_units, small_schools=group.small_schools, tenure=tenure)


def evaluate_rule(
    rule: Rule,
    peers: PeerSeries | Mapping[str | None, PeerSeries],
    *,
    flags: Mapping[str, Codes] | None = None,
    targets: RegisterTargets | None = None,
    as_of: dt.date | None = None,
    barred: bool = False,
) -> RuleOutcome:
    """Evaluate the conditions of a rule for the units of one peer group, under both readings.

    Parameters
    ----------
    rule
        The rule with its values in force.
    peers
        The series of the rule's measure, or by measure where conditions name their own; all of the same units and years. With a
        leading world axis in ``level`` all results have it too.
    flags
        Recorded facts by name, int8 (S,): 1, 0, -1 unknown.
    targets
        Targets of the register, one per unit.
    as_of
        Day by which a target of the clause itself is due.
    barred
        A national ban stands against the rule: everything is not assessable, reason ``barred``.

    Returns
    -------
    RuleOutcome
        Codes and reasons under both readings and per condition. A rule with an open number is not assessable under either
        reading until a bureau sets it. A ban is not a matter of series and is never met here.
    """
    found: Mapping[str | None, PeerSeries] = {rule.measure: peers} if isinstance(peers, PeerSeries) else peers
    bounded = {name: bound_peer(rule, peer) for name, peer in found.items()}
    first = next(iter(bounded.values()))
    each: list[Outcome] = []
    evaluate = partial(_evaluate, peers=bounded, rule=rule, flags=flags or {}, targets=targets, as_of=as_of)

    def walk(nodes: Sequence[Condition | AllOf | AnyOf]) -> Iterator[Outcome]:
        for node in nodes:
            if isinstance(node, AllOf):
                yield combine_outcomes(list(walk(node.all)), "all")
            elif isinstance(node, AnyOf):
                yield combine_outcomes(list(walk(node.any)), "any")
            else:
                each.append(constant_outcome(first, "barred") if barred else evaluate(node))
                yield each[-1]

    outcomes = list(walk(rule.conditions))
    narrow, wide = (combine_outcomes(outcomes, how) for how in (rule.readings.narrow, rule.readings.wide))
    if rule.missing_parameters() and not barred:  # an open number leaves the whole rule open, whatever the other conditions say
        narrow = wide = constant_outcome(first, "parameter_missing")
    return RuleOutcome(narrow, wide, tuple(each), rule.readings.proposes)
