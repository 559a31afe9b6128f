"""Standard counties: false cards and power of the clauses under both readings (methods.md 4.2, "End to end"), small.

The full table is printed by ``benchmarks/bench_stress.py --table``.
"""

from __future__ import annotations

import math
from collections import Counter

import pytest
from tests.standard_county import ladder_rule, standard_plan

from eduq.rulepacks.simulation.engine import run_worlds

COUNTIES, WORLDS, GRADED = 60, 100, 16
EXPECTED = {
    # clause, reading, gate: false cards a year (with a school at −.6 in every county a little more), power
    ("or.k2", "wide", "literal"): (6.9, 0.76),
    ("and.k2", "narrow", "literal"): (0.14, 0.17),
    ("end.k2", "narrow", "literal"): (0.31, 0.47),
    ("or.k3", "wide", "literal"): (1.9, 0.58),
    ("and.k3", "narrow", "literal"): (0.02, 0.01),
}


@pytest.fixture(scope="module")
def sums() -> dict[tuple[str, ...], list[float]]:
    rules = [
        ladder_rule(k, last_years=last, rule_id=f"{name}.k{k}")
        for k in (2, 3)
        for name, last in (("end", 1), ("and", k), ("or", k))
    ]
    rules = [rule for rule in rules if rule.id != "end.k3"]
    per_county: dict[tuple[str, ...], list[float]] = {}
    for seed in range(COUNTIES):
        tally = run_worlds(standard_plan(rules, seed=seed), worlds=WORLDS, evidence_worlds=GRADED)
        for key, value in tally.items():
            if key[0] == "rate":
                per_county.setdefault(tuple(map(str, key[:4])), []).append(value[0] / value[-1])
            if key[0] == "power":
                per_county.setdefault(tuple(map(str, key[:4])), []).append(value[0] / value[1])
    return per_county


def mean_and_error(values: list[float]) -> tuple[float, float]:
    mean = sum(values) / len(values)
    return mean, math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1) / len(values))


@pytest.mark.parametrize("key", list(EXPECTED), ids=lambda key: key[0])
def test_false_cards_and_power_are_those_of_the_method(
    sums: dict[tuple[str, ...], list[float]], key: tuple[str, str, str]
) -> None:
    cards, chance = EXPECTED[key]
    mean, error = mean_and_error(sums["rate", *key])
    assert abs(mean - cards) <= 3 * error + 0.06 * cards + 0.01
    power, power_error = mean_and_error(sums["power", *key])
    assert abs(power - chance) <= 3 * power_error + 0.06


def test_a_county_read_as_or_has_seven_cards_and_as_and_one_in_eight_years(sums: dict[tuple[str, ...], list[float]]) -> None:
    wide, narrow = (
        mean_and_error(sums["rate", rule, reading, "literal"])[0] for rule, reading in (("or.k2", "wide"), ("and.k2", "narrow"))
    )
    assert 6.3 < wide < 7.6
    assert 5 < 1 / narrow < 12


def test_evidence_of_grade_b_removes_most_false_cards(sums: dict[tuple[str, ...], list[float]]) -> None:
    false = {gate: sum(sums["rate", "or.k2", "wide", gate]) / COUNTIES for gate in ("literal", "B", "A")}
    assert false["B"] < 0.2
    assert false["A"] <= false["B"] < 0.1 * false["literal"]
    kept = Counter({gate: sum(sums["power", "end.k2", "narrow", gate]) for gate in ("literal", "B", "A")})
    assert kept["B"] > 0.75 * kept["literal"]
    assert kept["A"] > 0.5 * kept["literal"]
