"""Puts the value in force, or the one a bureau stated, where a rule's number stands."""

from __future__ import annotations

import copy
import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["OPEN_PARAMETERS", "apply_parameters", "number_places"]

OPEN_PARAMETERS = {
    "min_units": ("peer_group.min_units",),
    "min_pupils": ("peer_group.min_pupils",),
    "small_schools": ("peer_group.small_schools",),
    "exit_after_years": ("exit.after_years",),
    "appeal_days": ("addressed.appeal_days",),
}
"""What a bureau may set in any rule that has it; beside these ``noise_band``, which goes to every decline of the rule."""

Complaint = tuple[str, str, dict[str, object]]


def apply_parameters(
    raw: dict[str, Any], *, values: Mapping[str, Any], as_of: dt.date | None
) -> tuple[dict[str, Any], list[Complaint]]:
    """Return a rule with its parameters put in place, and what was wrong with them.

    Parameters
    ----------
    raw
        The rule as its file says it.
    values
        Stated values by parameter name.
    as_of
        The day whose dated values count; None takes the newest.
    """
    rule = copy.deepcopy(raw)
    complaints: list[Complaint] = []
    declared: dict[str, Any] = raw.get("parameters") or {}
    for name, said in declared.items():
        places = [said["at"]] if isinstance(said["at"], str) else said["at"]
        for place in places:
            if not _has(rule, place):
                complaints.append((f"parameters.{name}.at", "parameter_nowhere", {"place": place}))
            elif said.get("values"):
                _put(rule, place, _in_force(said["values"], as_of))
    open_ones = OPEN_PARAMETERS | {"noise_band": tuple(_noise_bands(raw))}
    for name, value in values.items():
        key = f"{raw['id']}.{name}"
        if name in declared:
            if declared[name]["source"] == "text":
                complaints.append((key, "parameter_of_text", {"name": name}))
                continue
            places = [declared[name]["at"]] if isinstance(declared[name]["at"], str) else declared[name]["at"]
        else:
            places = [place for place in open_ones.get(name, ()) if _has(rule, place)]
        if not places:
            settable = [other for other, said in declared.items() if said["source"] != "text"]
            known = sorted({*settable, *(other for other, where in open_ones.items() if any(_has(rule, at) for at in where))})
            complaints.append((key, "parameter_unknown", {"name": name, "known": ", ".join(known) or "-"}))
        for place in places:
            if _has(rule, place):
                _put(rule, place, value)
    return rule, complaints


def _in_force(values: list[dict[str, Any]], as_of: dt.date | None) -> Any:
    """Return the newest value that began by the day; null before the first began."""
    dated = sorted(values, key=lambda line: line.get("from") or dt.date.min)
    begun = [line["value"] for line in dated if as_of is None or (line.get("from") or dt.date.min) <= as_of]
    return begun[-1] if begun else None


def _noise_bands(raw: dict[str, Any]) -> Iterator[str]:
    for place, node in number_places(raw.get("conditions", []), "conditions"):
        if node.get("kind") == "decline":
            yield f"{place}.noise_band"


def number_places(nodes: Any, lead: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give every condition of an unvalidated tree with its place, such as ``conditions.1.any.0``."""
    for number, node in enumerate(nodes or []):
        if not isinstance(node, dict):
            continue
        here = f"{lead}.{number}"
        inner = next((name for name in ("all", "any") if name in node), None)
        if inner is None:
            yield here, node
        else:
            yield from number_places(node[inner], f"{here}.{inner}")


def _holder(rule: dict[str, Any], place: str) -> tuple[Any, str]:
    *path, last = place.split(".")
    node: Any = rule
    for part in path:
        if isinstance(node, list):
            node = node[int(part)] if part.isdigit() and int(part) < len(node) else None
        else:
            node = node.get(part) if isinstance(node, dict) else None
    return node, last


def _has(rule: dict[str, Any], place: str) -> bool:
    """Whether a number can stand there: its holder is a table (the key itself may be left out of the file).

    A parameter sets numbers of conditions and what is open in any rule, never its subject, its proposal, or who decides.
    """
    numbers = place.startswith("conditions.") and place.rpartition(".")[2] not in ("kind", "measure", "of", "flag", "source")
    if not numbers and all(place not in places for places in OPEN_PARAMETERS.values()):
        return False
    node, _ = _holder(rule, place)
    return isinstance(node, dict)


def _put(rule: dict[str, Any], place: str, value: Any) -> None:
    node, last = _holder(rule, place)
    node[last] = value
