"""Cases that could not fail would show nothing: change a number or a word of a rule, and one of its cases no longer holds."""

from __future__ import annotations

import copy
import datetime as dt
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from eduq.errors import EduqError
from eduq.rulepacks.cases import read_cases, run_parsed_cases
from eduq.rulepacks.parameters import number_places
from eduq.rulepacks.reading import parse_rulepack

SAME = {("jinghong.head.target_missed", "tenure every_year")}
"""Changes that change nothing: a target is read in one year, so that one and every counted year are the same."""
OTHER = {"ties": ("share", "exclude"), "direction": ("fall", "rise"), "side": ("below", "at_or_below", "above", "at_or_above")}


def at(raw: dict[str, Any], place: str) -> Any:
    node: Any = raw
    for part in place.split("."):
        node = node[int(part)] if isinstance(node, list) else node[part]
    return node


def steps(value: float) -> list[float]:
    return [value + step for step in ((1, -1) if isinstance(value, int) else (0.001, -0.001)) if value + step >= 0]


def changes(raw: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give the rule with one thing changed at a time."""

    def changed(change: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        spoilt = copy.deepcopy(raw)
        change(spoilt)
        return spoilt

    def put(place: str, key: str, value: Any) -> dict[str, Any]:
        return changed(lambda spoilt: at(spoilt, place).__setitem__(key, value))

    for place, node in number_places(raw["conditions"], "conditions"):
        for key, value in node.items():
            if isinstance(value, bool):
                yield f"{place}.{key} {not value}", put(place, key, not value)
            elif isinstance(value, int | float):
                yield from ((f"{place}.{key} {other}", put(place, key, other)) for other in steps(value))
            elif key in OTHER:
                yield from ((f"{place}.{key} {other}", put(place, key, other)) for other in OTHER[key] if other != value)
            elif isinstance(value, list) and len(value) > 1:
                for gone in value:
                    yield f"{place}.{key} without {gone}", put(place, key, [one for one in value if one != gone])
    for number in range(len(raw["conditions"]) if len(raw["conditions"]) > 1 else 0):
        yield f"without conditions.{number}", changed(lambda spoilt, at=number: spoilt["conditions"].pop(at))
    if raw["subject"] in ("head", "teacher") and "tenure" in (raw.get("gaps") or {}):
        for word in {"every_year", "last_year", "none"} - {raw["gaps"]["tenure"]}:
            yield f"tenure {word}", put("gaps", "tenure", word)
    if raw.get("peer_group"):
        for key in ("min_units", "min_pupils"):
            yield from ((f"{key} {other}", put("peer_group", key, other)) for other in steps(raw["peer_group"][key]))
        other = "include" if raw["peer_group"]["small_schools"] == "exempt" else "exempt"
        yield f"small_schools {other}", put("peer_group", "small_schools", other)
    for key, day in (raw.get("effect") or {}).items():
        if day is not None:
            for step in (1, -1):
                yield f"effect.{key} {step}", put("effect", key, day + dt.timedelta(step))
    for name, said in (raw.get("parameters") or {}).items():
        for number, line in enumerate(said.get("values") or ()):
            for other in steps(line["value"]):
                yield f"{name} {other}", put(f"parameters.{name}.values.{number}", "value", other)


@pytest.mark.parametrize("name", ["ezhou", "jinghong", "xiangan", "dalian", "national"])
def test_every_change_of_a_rule_breaks_a_case(name: str) -> None:
    source = parse_rulepack(name)
    files = read_cases(source.folder)
    unnoticed = []
    for file, raw in source.rules.items():
        for said, spoilt in changes(raw):
            try:
                noticed = run_parsed_cases(source._replace(rules={file: spoilt}), {raw["id"]: files[raw["id"]]}).failed.height > 0
            except EduqError:
                noticed = True
            if not noticed and (raw["id"], said) not in SAME:
                unnoticed.append((raw["id"], said))
    assert unnoticed == []
