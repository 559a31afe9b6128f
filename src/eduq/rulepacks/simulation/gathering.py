"""From an archive to what is fixed in every world: the peer groups that ``judge`` forms, and which rules can be simulated."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from eduq.errors import NotAssessableError
from eduq.estimates.exam_source import ExamSource
from eduq.estimates.measures import Measure, load_measures
from eduq.rulepacks.decisions import DecisionBook
from eduq.rulepacks.guards import rests_on_promotion
from eduq.rulepacks.judging import SERIES_OF, JudgingRun, rules_asked
from eduq.rulepacks.model import Ban, Flag, Rule, RulePack, TargetMissed
from eduq.rulepacks.peers import PeerCell
from eduq.rulepacks.simulation.families import Family, form_family
from eduq.rulepacks.simulation.plans import Block, RulePlan, StressPlan, place_declines, plan_rule
from eduq.rulepacks.simulation.rates import RateTable, tabulate_rates
from eduq.rulepacks.simulation.shocks import ShockGrid, declare_shocks, weigh_shocks
from eduq.rulepacks.simulation.subjects import correlate_subjects
from eduq.rulepacks.simulation.worlds import County, preserve_spread
from eduq.settings import RunSettings

__all__ = ["MEASURES", "plan_stress"]

MEASURES = ("composite_z", "z_mean")
"""Measures in pupil SDs, whose worlds are means; beside them rates with a cut, of schools."""


def find_peer_cells(
    pack: RulePack, archive: ExamSource, *, as_of: dt.date, rules: Sequence[str] | None, settings: RunSettings | None
) -> dict[str, list[PeerCell] | str]:
    """Return the peer groups of each rule as ``judge`` forms them, or the reason why there is none."""
    exams = archive.exams().filter(pl.col("date") <= as_of).sort("date", "exam_id")
    if exams.is_empty():
        raise NotAssessableError("judge_no_exams", as_of=as_of)
    decisions = DecisionBook.read(None, pack=pack.id, as_of=as_of)
    run = JudgingRun(pack, archive, as_of, settings, archive.registers(), exams, decisions)
    in_force = pack.in_force(as_of)
    names = {rule.id for rule in in_force}
    found: dict[str, list[PeerCell] | str] = {}
    for rule in rules_asked(pack, rules):
        if rule.id not in names:
            found[rule.id] = "not_in_force"
        elif rule.subject not in SERIES_OF or not rule.measures():
            found[rule.id] = "not_about_series"
        elif (reason := why_not_simulated(rule)) is not None:
            found[rule.id] = reason
        else:
            alike = [other for other in in_force if why_not_simulated(other) is None]
            alike += [in_pupil_sd(other) for other in alike if other.measure not in MEASURES]
            table = run.series(rule, alike)
            found[rule.id] = table if isinstance(table, str) else run.cells(rule, table) or "measure_missing"
            if rule.measure not in MEASURES and not isinstance(table, str):
                found[in_pupil_sd(rule).id] = run.cells(in_pupil_sd(rule), table)
    return found


def in_pupil_sd(rule: Rule) -> Rule:
    """Return a rule about a rate as one about the mean of the same scores in pupil SDs: where its shocks are seen."""
    return rule.model_copy(update={"id": f"{rule.id}.z_mean", "measure": "z_mean"})


def why_not_simulated(rule: Rule) -> str | None:
    """Return why a rule is not simulated, or None."""
    conditions = list(rule.walk())
    if rule.subject not in ("head", "school", "teacher") or any(isinstance(one, Ban | Flag | TargetMissed) for one in conditions):
        return "not_about_series"
    if rests_on_promotion(rule):
        return "barred"
    if rule.missing_parameters():
        return "parameter_missing"
    if len(rule.measures()) > 1:
        return "several_measures"
    return None if rule.measure in MEASURES or rate_of(rule) is not None else "measure_not_simulated"


def rate_of(rule: Rule) -> Measure | None:
    """Return the definition of a rule's measure where it is a rate with a cut, judged per school and subject; else None."""
    found = load_measures(names=[rule.measure]) if rule.measure in load_measures() else {}
    measure = found.get(rule.measure or "")
    if measure is None or measure.kind != "proportion" or measure.score_range(100) is None:
        return None
    return measure if rule.subject in ("head", "school") and rule.subjects != "composite" else None


def plan_stress(
    pack: RulePack,
    archive: ExamSource,
    *,
    as_of: dt.date,
    rules: Sequence[str] | None,
    declines: Sequence[float],
    years_ahead: int,
    seed: int,
    shocks: tuple[float, float] | None,
    settings: RunSettings | None,
) -> tuple[StressPlan, list[dict[str, str]]]:
    """Plan a run on a county's own archive.

    Parameters
    ----------
    pack, archive, as_of, rules, settings
        As of ``judge``.
    declines
        Stated declines, pupil SDs a year.
    years_ahead, seed
        As of `eduq.stress`.
    shocks
        A stated ω and ρ instead of their likelihood.

    Returns
    -------
    tuple
        The plan, and the rules that are not simulated with the reason.
    """
    found = find_peer_cells(pack, archive, as_of=as_of, rules=rules, settings=settings)
    skipped, by_cells = [], dict[Any, tuple[list[PeerCell], list[Rule]]]()
    for rule_id, cells in found.items():
        rule = pack.rule(rule_id)
        if rule is None:
            continue
        reason = why_not_simulated(rule)
        if reason is None and isinstance(cells, str):
            reason = cells
        if reason is not None or isinstance(cells, str):
            skipped.append({"rule_id": rule_id, "reason": reason or "not_in_force"})
            continue
        by_cells.setdefault(_signature(rule, cells), (cells, []))[1].append(rule)
    blocks: list[Block] = []
    for cells, sharing in by_cells.values():
        measure = rate_of(sharing[0])
        shown = found.get(in_pupil_sd(sharing[0]).id, [])
        means = {one.cells[0].family: one for one in _families(shown if isinstance(shown, list) else [], "z_mean")}
        families = _families(cells, sharing[0].measure or "")
        plans = _plans(pack, sharing, families, years_ahead)
        for family in families:
            if plans:
                rates = None if measure is None else tabulate_rates(family, archive, measure)
                county = _county(family, shocks, rates, means.get(family.cells[0].family, family))
                blocks.append(Block(family, county.extend(years_ahead), plans, place_declines(family, county, declines)))
    planned = {one.rule.id for block in blocks for one in block.rules}
    late = [rule.id for _, sharing in by_cells.values() for rule in sharing if rule.id not in planned]
    skipped += [{"rule_id": name, "reason": "too_few_years"} for name in late]
    plan = StressPlan(tuple(blocks), years_ahead, seed, _reference(blocks))
    return plan, sorted(skipped, key=lambda line: line["rule_id"])


def _signature(rule: Rule, cells: Sequence[PeerCell]) -> tuple[Any, ...]:
    """Rules of one signature share their worlds: same series, same peer groups, same tenures."""
    within = rule.peer_group.within if rule.peer_group else ()
    return (rule.subject, rule.measure, rule.subjects, rule.year_groups, rule.term, rule.gaps.new_paper, within, len(cells))


def _families(cells: Sequence[PeerCell], measure: str) -> list[Family]:
    groups: dict[str, list[PeerCell]] = {}
    for cell in cells:
        if measure in cell.peers:
            groups.setdefault(cell.family, []).append(cell)
    return [form_family(groups[name], measure) for name in sorted(groups)]


def _plans(pack: RulePack, rules: Sequence[Rule], families: Sequence[Family], years_ahead: int) -> tuple[RulePlan, ...]:
    """Plan the rules on the years of their largest family, so that one judged year is everybody's."""
    n_years = len(max(families, key=lambda family: len(family.means)).periods) if families else 0
    found = [plan_rule(rule, pack.bounds_of(rule).values(), n_years=n_years, years_ahead=years_ahead) for rule in rules]
    return tuple(sorted((one for one in found if one is not None), key=lambda one: one.rule.id))


def _county(family: Family, shocks: tuple[float, float] | None, rates: RateTable | None, in_sd: Family) -> County:
    """Fix what all worlds of a family share; of a rate, shocks and levels come from the means of the same scores (`in_sd`)."""
    shown = family if rates is None else in_sd
    grid = declare_shocks(*shocks) if shocks is not None else _weigh(shown)
    levels = preserve_spread(shown.means, shown.variances, grid, overlap=shown.overlap)
    rows = [(unit, cell.year_group, cell.subject) for cell in family.cells for unit in cell.units]
    if rates is not None:
        places = {
            (unit, cell.year_group, cell.subject): block.start + row
            for cell, block in zip(in_sd.cells, in_sd.blocks, strict=True)
            for row, unit in enumerate(cell.units)
        }
        shifts = levels - _newest(in_sd.means)
        levels = np.stack([shifts[:, places[row]] if row in places else np.zeros(len(levels)) for row in rows], axis=1)
        levels = np.where(np.isfinite(levels), levels, 0.0)
    together = correlate_subjects(family.means, [row[:2] for row in rows], [row[2] for row in rows])
    return County(np.isfinite(family.means), family.variances, levels, grid, together, rates, family.overlap)


def _newest(means: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return each series' newest mean; nan where it has none."""
    there = np.isfinite(means)
    last = means.shape[1] - 1 - np.argmax(there[:, ::-1], axis=1)
    return np.where(there.any(axis=1), means[np.arange(len(means)), last], np.nan)


def _weigh(family: Family) -> ShockGrid:
    """Weigh the shocks of a family over all its strata."""
    rows = [np.flatnonzero(np.isin(family.group, cells)) for cells in family.strata]
    return weigh_shocks([(family.means[inside], family.variances[inside]) for inside in rows], overlap=family.overlap)


def _reference(blocks: Sequence[Block]) -> tuple[int, int] | None:
    """Edits are measured on the middle decline, placed lowest, in the largest family."""
    sizes = [block.family.means.shape[0] if block.scenarios else 0 for block in blocks]
    if not sizes or max(sizes) == 0:
        return None
    number = sizes.index(max(sizes))
    lowest = [place for place, scenario in enumerate(blocks[number].scenarios) if scenario.placed == "lowest"]
    return number, lowest[len(lowest) // 2]


def list_bounds(plan: StressPlan) -> Mapping[str, Any]:
    """Return the bounds of the grades by rule."""
    return {one.rule.id: dict(one.bounds) for one in plan.rules}
