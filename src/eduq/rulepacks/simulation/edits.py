"""Edits of a clause that a bureau may weigh: a closed list, each one change of the rule's own numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from eduq.rulepacks.model import AllOf, AnyOf, BottomShare, Condition, Decline, LastPlace, Rule, Tree

__all__ = ["GATES", "Edit", "Gate", "Reading", "list_edits"]

Gate = Literal["literal", "B", "A"]
Reading = Literal["narrow", "wide"]
GATES: tuple[Gate, ...] = ("literal", "B", "A")
"""The clause alone; the clause and evidence of grade A or B; the clause and evidence of grade A."""

NOISE_BAND = 0.10
BOTTOM_SHARE = 0.10
PUPILS_FACTOR = 2


@dataclass(frozen=True)
class Edit:
    """One edit: its id, the rule as edited, and the evidence asked for beside it; ``value`` is the new number."""

    id: Literal["none", "one_year_more", "bottom_share", "noise_band", "min_pupils", "evidence_b"]
    value: float | None
    rule: Rule
    gate: Gate = "literal"


def _change(nodes: tuple[Tree, ...], change: Callable[[Condition], Condition]) -> tuple[Tree, ...]:
    """Change every condition of a tree."""
    changed: list[Tree] = []
    for node in nodes:
        if isinstance(node, AllOf):
            changed.append(node.model_copy(update={"all": _change(node.all, change)}))
        elif isinstance(node, AnyOf):
            changed.append(node.model_copy(update={"any": _change(node.any, change)}))
        else:
            changed.append(change(node))
    return tuple(changed)


def _one_year_more(condition: Condition) -> Condition:
    if isinstance(condition, Decline | LastPlace | BottomShare) and condition.years is not None:
        return condition.model_copy(update={"years": condition.years + 1})
    return condition


def _lowest_tenth(condition: Condition) -> Condition:
    if isinstance(condition, LastPlace):
        return BottomShare(
            kind="bottom_share", measure=condition.measure, years=condition.years, share=BOTTOM_SHARE, ties=condition.ties
        )
    return condition


def _with_noise_band(condition: Condition) -> Condition:
    if isinstance(condition, Decline) and (condition.noise_band or 0.0) < NOISE_BAND:
        return condition.model_copy(update={"noise_band": NOISE_BAND})
    return condition


def list_edits(rule: Rule) -> list[Edit]:
    """Return the edits that change anything in a rule, the rule as it stands first.

    Examples
    --------
    >>> from eduq.rulepacks.model import Rule
    >>> rule = Rule.model_validate({
    ...     "id": "local.card", "subject": "head", "measure": "composite_z", "peer_group": {"within": ["stage"]},
    ...     "conditions": [{"kind": "decline", "years": 2}], "proposal": "yellow_card", "addressed": {"decides": "局长"}})
    >>> [edit.id for edit in list_edits(rule)]
    ['none', 'one_year_more', 'noise_band', 'min_pupils', 'evidence_b']
    """
    found = [Edit("none", None, rule)]
    changes: tuple[
        tuple[Literal["one_year_more", "bottom_share", "noise_band"], float, Callable[[Condition], Condition]], ...
    ] = (
        ("one_year_more", float(max((getattr(one, "years", None) or 0 for one in rule.walk()), default=0) + 1), _one_year_more),
        ("bottom_share", BOTTOM_SHARE, _lowest_tenth),
        ("noise_band", NOISE_BAND, _with_noise_band),
    )
    for name, value, change in changes:
        conditions = _change(rule.conditions, change)
        if conditions != rule.conditions:
            found.append(Edit(name, value, rule.model_copy(update={"conditions": conditions})))
    if rule.peer_group is not None:
        least = PUPILS_FACTOR * rule.peer_group.min_pupils
        group = rule.peer_group.model_copy(update={"min_pupils": least})
        found.append(Edit("min_pupils", float(least), rule.model_copy(update={"peer_group": group})))
    found.append(Edit("evidence_b", None, rule, "B"))
    return found
