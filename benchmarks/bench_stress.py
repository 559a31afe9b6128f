"""Stress of 60 schools and 10,000 worlds, against the same simulation world by world, in one run.

    python benchmarks/bench_stress.py [--worlds 10000] [--evidence-worlds 2000] [--schools 60] [--years 4] [--workers 2]
    python benchmarks/bench_stress.py --table [--counties 600] [--per-county 50]

The budget is 10 s for 60 schools and 10,000 worlds: three steps of a ladder, both readings, the gates B and A, nine stated
declines, five edits, and four years ahead for the ladder's memory. The plain loop applies the same functions to one world at
a time. ``--table`` simulates standard counties with four years, a new county for every few worlds, and prints false cards and
power beside the figures of methods.md 4.2 ("End to end").
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.standard_county import fixed_county, ladder_rule, standard_cell, standard_plan

from eduq.rulepacks.simulation.edits import GATES
from eduq.rulepacks.simulation.engine import READINGS, run_worlds
from eduq.rulepacks.simulation.families import form_family
from eduq.rulepacks.simulation.outcomes import asks_last_place, find_met, grade_worlds, pass_gate
from eduq.rulepacks.simulation.plans import Block, StressPlan, place_declines, plan_rule
from eduq.rulepacks.simulation.worlds import draw_worlds

STEPS = ((1, "county.head.talk"), (2, "county.head.yellow"), (3, "county.head.red"))
DECLINES = (-0.1, -0.2, -0.3)
METHODS = {
    ("or.k2", "wide", "literal"): (6.9, 0.76),
    ("end.k2", "narrow", "literal"): (0.31, 0.47),
    ("and.k2", "narrow", "literal"): (0.14, 0.17),
    ("end.k2", "narrow", "B"): (0.025, 0.44),
    ("end.k2", "narrow", "A"): (0.008, 0.34),
    ("or.k3", "wide", "literal"): (1.9, 0.58),
    ("end.k3", "narrow", "literal"): (0.08, 0.38),
    ("and.k3", "narrow", "literal"): (0.02, 0.01),
    ("end.k3", "narrow", "B"): (0.018, 0.36),
    ("end.k3", "narrow", "A"): (0.008, 0.29),
}
"""methods.md 4.2, "End to end": schools per unchanged county | chance for a school at −.6 that falls .2 a year, T = 4."""


def bench_plan(n_schools: int, n_years: int) -> StressPlan:
    """Plan what the command does by default, on one drawn county."""
    cell, levels = standard_cell(np.random.default_rng(7), n_schools=n_schools, n_years=n_years)
    family = form_family([cell], "composite_z")
    county = fixed_county(family, levels)
    rules = [ladder_rule(years, rule_id=name, step=years) for years, name in STEPS]
    plans = tuple(plan for rule in rules if (plan := plan_rule(rule, {}, n_years=n_years, years_ahead=4)))
    block = Block(family, county.extend(4), plans, place_declines(family, county, DECLINES))
    return StressPlan((block,), 4, 7, (0, 3))


def plain_loop(plan: StressPlan, worlds: int) -> float:
    """Return the seconds a world takes when worlds are evaluated one at a time (clause and grades of one year only)."""
    block = plan.blocks[0]
    levels = draw_worlds(block.county, np.random.default_rng(1), worlds)
    start = time.perf_counter()
    for place in range(worlds):
        one = levels[place : place + 1]
        for rule_plan in block.rules:
            for ahead in range(5):
                met = find_met(rule_plan.rule, block.family, one, ahead=ahead)
            letters = grade_worlds(rule_plan.rule, block.family, one, np.ones_like(met.of("wide")), ahead=0, bounds={})
            for reading in READINGS:
                pass_gate(met.of(reading), letters[asks_last_place(rule_plan.rule, reading)], "B")
    return (time.perf_counter() - start) / worlds


def time_stress(arguments: argparse.Namespace) -> None:
    """Print seconds, worlds a second, and the ratio to the plain loop."""
    plan = bench_plan(arguments.schools, arguments.years)
    plain_loop(plan, 2)
    seconds: list[float] = []
    processor: list[float] = []
    for _ in range(arguments.runs):
        start, used = time.perf_counter(), time.process_time()
        run_worlds(plan, worlds=arguments.worlds, evidence_worlds=arguments.evidence_worlds, workers=arguments.workers)
        seconds.append(time.perf_counter() - start)
        processor.append(time.process_time() - used)
    best = min(seconds)
    one = plain_loop(plan, arguments.plain)
    print(
        f"stress: {arguments.schools} schools, {arguments.years} + 4 years, {arguments.worlds} worlds "
        f"({arguments.evidence_worlds} graded), {arguments.workers} workers"
    )
    print(
        f"  seconds: {best:.2f} (runs: {', '.join(f'{value:.2f}' for value in seconds)}); budget 10; "
        f"processor time {min(processor):.2f}"
    )
    print(f"  worlds a second: {arguments.worlds / best:.0f}")
    print(
        f"  plain loop, base worlds only: {one * 1e3:.1f} ms a world, {one * arguments.worlds:.0f} s for all; "
        f"ratio {one * arguments.worlds / best:.0f}"
    )


def end_to_end(counties: int, per_county: int) -> dict[tuple[str, str, str], tuple[float, float, float, float]]:
    """Return false cards per unchanged county, its error, power and its error, by clause, reading and gate.

    Half of the table needs a county as it is drawn (false cards), half a tested school at −.6 (power): two sets of counties.
    """
    rules = [
        ladder_rule(k, last_years=last, rule_id=f"{name}.k{k}")
        for k in (2, 3)
        for name, last in (("end", 1), ("and", k), ("or", k))
    ]
    false, squares, hits = Counter(), Counter(), Counter()
    for number in range(counties):
        drawn = run_worlds(unchanged_plan(rules, number), worlds=per_county, evidence_worlds=per_county)
        for key, value in drawn.items():
            if key[0] == "rate":
                false[key[1:4]] += value[0] / per_county
                squares[key[1:4]] += (value[0] / per_county) ** 2
        tested = run_worlds(standard_plan(rules, seed=number), worlds=per_county, evidence_worlds=per_county)
        for key, value in tested.items():
            if key[0] == "power":
                hits[key[1:4]] += value[0] / value[1]
                squares["power", *key[1:4]] += (value[0] / value[1]) ** 2
    found = {}
    for key in false:
        mean, power = false[key] / counties, hits[key] / counties
        error = math.sqrt(max(squares[key] / counties - mean**2, 0.0) / counties)
        power_error = math.sqrt(max(squares["power", *key] / counties - power**2, 0.0) / counties)
        found[key] = (mean, error, power, power_error)
    return found


def unchanged_plan(rules: list, seed: int) -> StressPlan:
    """Plan one county as it is drawn, no tested school in it."""
    cell, levels = standard_cell(np.random.default_rng(100_000 + seed), tested=False)
    family = form_family([cell], "composite_z")
    plans = tuple(plan for rule in rules if (plan := plan_rule(rule, {}, n_years=4, years_ahead=0)))
    return StressPlan((Block(family, fixed_county(family, levels), plans, ()),), 0, seed, None)


def print_table(arguments: argparse.Namespace) -> None:
    """Print the figures beside those of methods.md."""
    found = end_to_end(arguments.counties, arguments.per_county)
    print(f"{arguments.counties} standard counties x {arguments.per_county} worlds, T = 4; methods.md in brackets")
    print(f"{'clause':8} {'reading':8} {'gate':8} {'false cards a year':>32} {'power, −.6 falling .2':>32}")
    for rule in ("or.k2", "end.k2", "and.k2", "or.k3", "end.k3", "and.k3"):
        for reading in READINGS:
            for gate in GATES:
                if (reading == "wide") != (rule.startswith("or")):
                    continue
                mean, error, power, power_error = found[rule, reading, gate]
                said = METHODS.get((rule, reading, gate))
                known = ("", "") if said is None else (f"[{said[0]}]", f"[{said[1]}]")
                cards = f"{mean:.3f} ± {error:.3f} {known[0]:>8}"
                print(f"{rule:8} {reading:8} {gate:8} {cards:>32} {f'{power:.3f} ± {power_error:.3f} {known[1]:>8}':>32}")


def main() -> None:
    """Run one of the two."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=10_000)
    parser.add_argument("--evidence-worlds", type=int, default=2_000)
    parser.add_argument("--schools", type=int, default=60)
    parser.add_argument("--years", type=int, default=4)
    parser.add_argument("--plain", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--counties", type=int, default=600)
    parser.add_argument("--per-county", type=int, default=50)
    arguments = parser.parse_args()
    (print_table if arguments.table else time_stress)(arguments)


if __name__ == "__main__":
    main()
