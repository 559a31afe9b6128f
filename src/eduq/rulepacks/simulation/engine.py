"""The run itself: worlds in chunks, every figure a sum of whole numbers, so that the number of workers changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import product

import numpy as np
import numpy.typing as npt

from eduq.rulepacks.simulation.edits import Gate, Reading
from eduq.rulepacks.simulation.memory import Standing
from eduq.rulepacks.simulation.outcomes import Letters, Met, asks_last_place, find_met, grade_worlds, pass_gate
from eduq.rulepacks.simulation.plans import Block, RulePlan, StressPlan
from eduq.rulepacks.simulation.worlds import draw_worlds, lay_decline, observe_worlds

__all__ = ["CHUNK", "READINGS", "Key", "Tally", "run_worlds"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int64]
Key = tuple[str | int, ...]
Progress = Callable[[str, int, int], None]
CHUNK = 500
"""Worlds drawn from one seed sequence. Part of the result: another chunk gives other random numbers."""
READINGS: tuple[Reading, ...] = ("narrow", "wide")


class Tally(dict[Key, Counts]):
    """Sums by key; merging adds."""

    def add(self, key: Key, *values: int | np.integer | Counts) -> None:
        """Add values to what stands under a key."""
        new = np.asarray(values[0] if len(values) == 1 else values, dtype=np.int64)
        self[key] = self[key] + new if key in self else new

    def merge(self, other: Tally) -> None:
        """Add another tally."""
        for key, value in other.items():
            self.add(key, value)


def run_worlds(
    plan: StressPlan, *, worlds: int, evidence_worlds: int, workers: int = 1, progress: Progress | None = None
) -> Tally:
    """Simulate.

    Parameters
    ----------
    plan
        What to simulate.
    worlds
        Number of worlds without change, in which the literal clause is taken.
    evidence_worlds
        Number of worlds, the first of the same, in which the evidence is graded; in half of them stated declines are placed.
    workers
        Threads.
    progress
        Called with stage, done and total after each chunk.

    Returns
    -------
    Tally
        Sums of whole numbers by key; `eduq.rulepacks.simulation.frames` reads them.
    """
    starts = range(0, worlds, CHUNK)
    one = partial(_run_chunk, plan, worlds=worlds, evidence_worlds=evidence_worlds)
    total = Tally()
    with ThreadPoolExecutor(max_workers=max(1, workers)) as pool:
        for done, found in enumerate(pool.map(one, starts), start=1):
            total.merge(found)
            if progress is not None:
                progress("stress", done, len(starts))
    return total


def _run_chunk(plan: StressPlan, start: int, *, worlds: int, evidence_worlds: int) -> Tally:
    """Simulate one chunk of worlds in every family; counts per world are summed over the families."""
    size, graded = min(CHUNK, worlds - start), max(0, min(CHUNK, evidence_worlds - start))
    tally = Tally()
    counts: dict[Key, Counts] = {}
    for number, block in enumerate(plan.blocks):
        seed = np.random.SeedSequence(plan.seed, spawn_key=(number, start // CHUNK))
        rng = np.random.default_rng(seed)
        drawn = draw_worlds(block.county, rng, size)
        levels = observe_worlds(block.county, drawn, rng)
        for key, value in _count_unchanged(plan, number, block, levels, graded, tally):
            counts[key] = counts[key] + value if key in counts else value
        if graded:
            _count_power(plan, number, block, drawn[: -(-graded // 2)], seed, tally)
    for key, value in counts.items():
        tally.add(key, value.sum(), (value**2).sum(), (value > 0).sum(), len(value))
        if key[0] == "edit":
            apart = value - counts[(*key[:3], "none")][: len(value)]
            tally.add(("edit_difference", *key[1:]), apart.sum(), (apart**2).sum(), len(value))
    return tally


def _count_unchanged(
    plan: StressPlan, number: int, block: Block, levels: Floats, graded: int, tally: Tally
) -> Iterator[tuple[Key, Counts]]:
    """Give counts per world of one family in which nothing changes: the clause every year, its gates in the judged year."""
    standings = _open_ladders(plan, block, len(levels))
    for ahead in range(plan.years_ahead + 1):
        found = {one.rule.id: find_met(one.rule, block.family, levels, ahead=ahead) for one in block.rules}
        for one in block.rules:
            for reading in READINGS:
                met = block.family.any_series(found[one.rule.id].of(reading))
                yield ("rate", one.rule.id, reading, "literal", ahead), met.sum(axis=1)
                if ahead == one.ahead:
                    known = block.family.any_series(found[one.rule.id].known(reading))
                    tally.add(("row", one.rule.id, reading, "literal", number), _rows(met))
                    tally.add(("known", one.rule.id, reading, number), known.astype(np.int64))
        for standing in standings:
            yield from standing.take_year(ahead, block.family, found)
        asked = [one for one in block.rules if ahead in (one.ahead, one.edits_ahead)]
        letters = _share_grades(block, levels[:graded], _first(found, asked, graded), ahead=ahead) if graded else {}
        for one in asked:
            if ahead == one.ahead:
                yield from _count_gates(one, number, block, found[one.rule.id], letters, tally)
            if ahead == one.edits_ahead:
                yield from _count_edits(one, block, levels, found[one.rule.id], letters)


def _rows(met: Bools) -> Counts:
    """Return per unit how often it is met, and last the number of worlds."""
    return np.append(met.sum(axis=0), len(met))


def _first(found: dict[str, Met], asked: list[RulePlan], worlds: int) -> dict[str, Met]:
    names = {one.rule.id for one in asked}
    return {name: Met(met.narrow[:worlds], met.wide[:worlds]) for name, met in found.items() if name in names}


LettersBy = dict[tuple[str, Reading], Letters]


def _count_gates(
    one: RulePlan, number: int, block: Block, met: Met, letters: LettersBy, tally: Tally
) -> Iterator[tuple[Key, Counts]]:
    for reading in READINGS:
        graded = letters.get((one.rule.id, reading))
        if graded is None:
            continue
        for gate in one.gates[1:]:
            passed = block.family.any_series(pass_gate(met.of(reading)[: len(graded)], graded, gate))
            yield ("rate", one.rule.id, reading, gate, one.ahead), passed.sum(axis=1)
            tally.add(("row", one.rule.id, reading, gate, number), _rows(passed))


def _count_edits(one: RulePlan, block: Block, levels: Floats, met: Met, letters: LettersBy) -> Iterator[tuple[Key, Counts]]:
    for edit in one.edits:
        changed = met if edit.rule is one.rule else find_met(edit.rule, block.family, levels, ahead=one.edits_ahead or 0)
        for reading in READINGS:
            graded = letters.get((one.rule.id, reading))
            if edit.gate == "literal" or graded is not None:
                last = len(levels) if edit.gate == "literal" or graded is None else len(graded)
                passed = pass_gate(changed.of(reading)[:last], graded, edit.gate)
                yield ("edit", one.rule.id, reading, edit.id), block.family.any_series(passed).sum(axis=1)


def _open_ladders(plan: StressPlan, block: Block, n_worlds: int) -> list[Standing]:
    names = {one.rule.id for one in block.rules}
    return [
        Standing(name, steps, reading, (n_worlds, len(block.family.units)))
        for name, steps in plan.ladders().items()
        if all(one.rule.id in names for one in steps)
        for reading in READINGS
    ]


def _share_grades(
    block: Block, levels: Floats, found: dict[str, Met], *, ahead: int, series: npt.NDArray[np.intp] | None = None
) -> LettersBy:
    """Grade once for rules that ask the same question of a year: in worlds where the clause of one of them is met.

    With `series` only these are asked about.
    """
    asked: dict[tuple[object, ...], list[RulePlan]] = {}
    for plan in block.rules:
        if plan.rule.id in found and len(plan.gates) > 1:
            asked.setdefault(_question(plan), []).append(plan)
    letters: LettersBy = {}
    for askers in asked.values():
        met = np.logical_or.reduce([found[plan.rule.id].of(reading) for plan in askers for reading in READINGS])
        if series is not None:
            only = np.zeros_like(met)
            only[:, series] = met[:, series]
            met = only
        first = askers[0]
        places = [asks_last_place(first.rule, reading) for reading in READINGS]
        graded = grade_worlds(first.rule, block.family, levels, met, ahead=ahead, bounds=first.bounds, last_place=places)
        letters |= {
            (plan.rule.id, reading): graded[place] for plan in askers for reading, place in zip(READINGS, places, strict=True)
        }
    return letters


def _question(plan: RulePlan) -> tuple[object, ...]:
    """Rules that give the same answer ask the same family, members, places and bounds."""
    group = plan.rule.peer_group
    members = None if group is None else (group.min_pupils, group.small_schools)
    places = tuple(asks_last_place(plan.rule, reading) for reading in READINGS)
    bottom = tuple(
        (item.kind, getattr(item, "last", None), getattr(item, "share", None))
        for item in plan.rule.walk()
        if item.kind in ("last_place", "bottom_share")
    )
    return (places, bottom, members, tuple(sorted(plan.bounds.items())))


def _count_power(plan: StressPlan, number: int, block: Block, drawn: Floats, seed: np.random.SeedSequence, tally: Tally) -> None:
    """Count how often the unit that truly falls is found, in each scenario of one family."""
    for place, scenario in enumerate(block.scenarios):
        series = np.flatnonzero(block.family.unit_of == scenario.unit)
        reference = plan.reference == (number, place)
        years = {one.ahead for one in block.rules}
        if reference:
            years |= {one.edits_ahead for one in block.rules if one.edits_ahead is not None}
        for ahead in sorted(years):
            asked = [one for one in block.rules if one.ahead == ahead or (reference and one.edits_ahead == ahead)]
            rng = np.random.default_rng(np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, place, ahead)))
            fallen = observe_worlds(block.county, _fall(block, drawn, series, scenario.decline, ahead), rng)
            found = {one.rule.id: find_met(one.rule, block.family, fallen, ahead=ahead) for one in asked}
            letters = _share_grades(block, fallen, found, ahead=ahead, series=series)
            for one in asked:
                if one.ahead == ahead:
                    for reading, gate in product(READINGS, one.gates):
                        hit = _hits(found[one.rule.id], reading, letters.get((one.rule.id, reading)), gate, series)
                        tally.add(("power", one.rule.id, reading, gate, number, place), hit.sum(), len(hit))
                if reference and one.edits_ahead == ahead:
                    _count_edit_power(one, block, fallen, found[one.rule.id], letters, series, tally)


def _hits(met: Met, reading: Reading, letters: Letters | None, gate: Gate, series: npt.NDArray[np.intp]) -> Counts:
    """Return per world 1 where any of the series is found, else 0."""
    found: Bools = pass_gate(met.of(reading), letters, gate)[:, series]
    return np.asarray(found.any(axis=1), dtype=np.int64)


def _fall(block: Block, levels: Floats, series: npt.NDArray[np.intp], decline: float, ahead: int) -> Floats:
    until = levels[:, :, : len(block.family.periods) + ahead]
    window = int(block.rules[0].bounds.get("window", 6))
    return lay_decline(until, series=series, slope=decline, window=window)


def _count_edit_power(
    one: RulePlan, block: Block, fallen: Floats, met: Met, letters: LettersBy, series: npt.NDArray[np.intp], tally: Tally
) -> None:
    """Count how often each edit finds the falling unit, and how that differs world by world from the clause as it stands."""
    for edit in one.edits:
        changed = met if edit.rule is one.rule else find_met(edit.rule, block.family, fallen, ahead=one.edits_ahead or 0)
        for reading in READINGS:
            base = _hits(met, reading, None, "literal", series)
            hit = _hits(changed, reading, letters.get((one.rule.id, reading)), edit.gate, series)
            apart = hit - base
            tally.add(("edit_power", one.rule.id, reading, edit.id), hit.sum(), apart.sum(), (apart**2).sum(), len(hit))
