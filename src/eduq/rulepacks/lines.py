"""Lines of the verdict table, of its facts and of its conditions, from the outcome of a rule in one peer group."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from eduq.rulepacks.conditions import MET, NOT_MET, REASONS, PeerSeries
from eduq.rulepacks.decisions import DecisionBook
from eduq.rulepacks.evidence import Key
from eduq.rulepacks.guards import GuardFinding
from eduq.rulepacks.judgement import CONDITIONS, FACTS, JUDGED
from eduq.rulepacks.ladder import YearlyResults, exit_state
from eduq.rulepacks.model import Rule, RulePack
from eduq.rulepacks.peers import PeerCell, next_school_year
from eduq.rulepacks.posts import Posts
from eduq.rulepacks.verdicts import CLAUSE_RESULTS, RuleOutcome, bound_peer, years_read

__all__ = ["READINGS", "CellVerdicts", "Course", "Scene", "ban_lines", "cell_lines"]

Reading = Literal["narrow", "wide"]
READINGS: tuple[Reading, ...] = ("narrow", "wide")
Line = dict[str, Any]
Lines = list[Line]
Counts = npt.NDArray[np.int64]


@dataclass
class CellVerdicts:
    """Lines of `JUDGED`, `FACTS` and `CONDITIONS` of one peer group."""

    verdicts: Lines = field(default_factory=list)
    facts: Lines = field(default_factory=list)
    conditions: Lines = field(default_factory=list)


@dataclass(frozen=True)
class Course:
    """What one step of a ladder gave in every year: per year group, subject and unit, (school year, result) from the first on."""

    rule: Rule
    results: Mapping[Key, Sequence[tuple[str, int]]]

    @classmethod
    def gather(cls, rule: Rule, found: Sequence[tuple[PeerCell, YearlyResults]]) -> Course:
        """Take the yearly results of all peer groups of a rule."""
        return cls(
            rule,
            {
                (unit, cell.year_group, cell.subject): list(zip(years.periods, codes.tolist(), strict=True))
                for cell, years in found
                for unit, codes in zip(years.units, years.codes, strict=True)
            },
        )


@dataclass(frozen=True)
class Scene:
    """What all lines of one rule share.

    Attributes
    ----------
    pack, rule, as_of
        What is judged, and when.
    names
        School id → name.
    posts
        Heads; only for rules about heads.
    schools
        Teacher → school.
    ladder
        What the steps of the rule's ladder gave in every year, the mildest first.
    decisions
        Decisions in the archive.
    barred_by
        National rule that stands against this one.
    """

    pack: RulePack
    rule: Rule
    as_of: dt.date
    names: Mapping[str, str] = field(default_factory=dict)
    posts: Posts | None = None
    schools: Mapping[str, str] = field(default_factory=dict)
    ladder: Sequence[Course] = ()
    decisions: DecisionBook = field(default_factory=lambda: DecisionBook({}))
    barred_by: str | None = None

    def head_of(self, school: str, year_group: str) -> str | None:
        """Return the head who is judged, None where the rule is not about heads or nobody held the judged year."""
        return None if self.posts is None else self.posts.head_of(school, year_group)

    def school_of(self, unit: str) -> str | None:
        """Return the school of a unit."""
        if self.rule.subject in ("head", "school"):
            return unit
        return self.schools.get(unit)


def cell_lines(
    scene: Scene,
    cell: PeerCell,
    outcome: RuleOutcome,
    *,
    evidence: Mapping[Reading, Mapping[Key, Mapping[str, Any]]] | None = None,
    target: Mapping[str, Any] | None = None,
) -> CellVerdicts:
    """Write the lines of one peer group.

    Parameters
    ----------
    scene
        What the rule's lines share.
    cell
        The peer group.
    outcome
        Of `evaluate_rule`, without worlds.
    evidence
        Per reading the evidence of each unit.
    target
        The line of the target register, for a rule about targets.
    """
    found = CellVerdicts()
    sharing: list[Line | None] = []
    exams = _exam_dates(cell)
    newest = {row["unit"]: row for row in cell.lines.filter(pl.col("period") == cell.periods[-1]).iter_rows(named=True)}
    for row, unit in enumerate(cell.units):
        if scene.rule.subject == "teacher" and target is None and cell.lines.height and unit not in newest:
            sharing.append(None)  # has left: a peer of earlier years, not judged
            continue
        shared = _shared(scene, cell, unit, target)
        shared["exam_id"] = newest.get(unit, {}).get("exam_id")
        shared["n"] = newest.get(unit, {}).get("n")
        shared |= _course(scene, shared, cell, unit, exams)
        decided = scene.decisions.on(shared, since=exams.get(cell.periods[-1]))
        for reading in READINGS:
            codes = outcome.of(reading)
            key = (unit, cell.year_group, cell.subject)
            line = shared | dict((evidence or {}).get(reading, {}).get(key, {}))
            line |= {
                "reading": reading,
                "clause_result": CLAUSE_RESULTS[int(codes.code[row])],
                "reason": REASONS[int(codes.reason[row])] or None,
                "only_wide": bool(outcome.only_wide[row]),
            }
            proposed = reading == outcome.proposes and int(codes.code[row]) == MET
            found.verdicts.append(line | _proposal(scene.rule, proposed, decided))
        for place, (condition, result) in enumerate(zip(scene.rule.walk(), outcome.conditions, strict=True)):
            found.conditions.append(
                {name: shared.get(name) for name in CONDITIONS}
                | {
                    "condition": place,
                    "kind": condition.kind,
                    "clause_result": CLAUSE_RESULTS[int(result.code[row])],
                    "reason": REASONS[int(result.reason[row])] or None,
                }
            )
        sharing.append(shared)
    found.facts += _facts(scene.rule, cell, sharing, target)
    return found


def _shared(scene: Scene, cell: PeerCell, unit: str, target: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the columns that both readings of a verdict share."""
    rule, school = scene.rule, scene.school_of(unit)
    years = max([years_read(condition) for condition in rule.walk()], default=1)
    judged = cell.periods[-1]
    return dict.fromkeys(JUDGED) | {
        "unit_type": rule.subject,
        "unit": unit,
        "head_id": scene.head_of(unit, cell.year_group),
        "teacher_id": unit if rule.subject == "teacher" else None,
        "year_group": cell.year_group or None,
        "subject": cell.subject or None,
        "rule_id": rule.id,
        "pack": scene.pack.id,
        "pack_version": scene.pack.version,
        "as_of": scene.as_of,
        "period_first": next_school_year(judged, step=1 - max(years, 1)) if judged else None,
        "period_last": judged or None,
        "unit_name": scene.names.get(school or ""),
        "school_id": school,
        "target_id": None if target is None else target["target_id"],
        "family": cell.family or None,
        "barred_by": scene.barred_by,
    }


def _proposal(rule: Rule, proposed: bool, decided: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what is proposed and who decided; only a proposal can be decided."""
    if not proposed:
        return {"proposal": None, "needs_decision": False, "decided_by": None, "decided_on": None, "decision": None}
    known = decided or {}
    return {
        "proposal": rule.proposal,
        "needs_decision": decided is None,
        "decided_by": known.get("decided_by"),
        "decided_on": known.get("decided_on"),
        "decision": known.get("decision"),
    }


def _exam_dates(cell: PeerCell) -> dict[str, dt.date]:
    """Return the day of the exam of each school year."""
    dated = cell.lines.select("period", "date").drop_nulls() if "date" in cell.lines.columns else cell.lines.clear()
    return dict(dated.sort("period", "date").iter_rows()) if dated.height else {}


def _course(
    scene: Scene, shared: Mapping[str, Any], cell: PeerCell, unit: str, exams: Mapping[str, dt.date]
) -> dict[str, str | None]:
    """Return the earlier steps of the ladder and whether the rule's own step has been left."""
    judged = cell.periods[-1]
    steps: dict[tuple[str, int, str], str] = {}
    state: str | None = None
    for place, step in enumerate(scene.ladder):
        course = step.results.get((unit, cell.year_group, cell.subject), ())
        decided = scene.decisions.before(shared, step.rule.id, exams)
        for period, code in course:
            if period < judged and (code == MET or period in decided):
                steps[(period, place, step.rule.id)] = decided.get(period, "")
        for period, decision in decided.items():
            steps[(period, place, step.rule.id)] = decision
        if step.rule.id == scene.rule.id:
            ends = scene.rule.exit.after_years if scene.rule.exit is not None else None
            state = exit_state([code for _, code in course], ends)
    text = ";".join(f"{rule}@{period}" + (f"={said}" if said else "") for (period, _, rule), said in sorted(steps.items()))
    return {"earlier_steps": text or None, "exit_state": state}


def _ranks(peer: PeerSeries) -> tuple[Counts, Counts]:
    """Return the rank from the top (1 highest, ties share) and from the bottom among the counted units of each year."""
    top, bottom = np.zeros(peer.n.shape, dtype=np.int64), np.zeros(peer.n.shape, dtype=np.int64)
    for year in range(peer.n.shape[1]):
        values = peer.steps[:, year]
        inside = np.sort(values[peer.counted[:, year]])
        top[:, year] = len(inside) - np.searchsorted(inside, values, side="right") + 1
        bottom[:, year] = np.searchsorted(inside, values, side="left") + 1
    return top, bottom


def _facts(
    rule: Rule, cell: PeerCell, shared: Sequence[Mapping[str, Any] | None], target: Mapping[str, Any] | None
) -> Iterator[Line]:
    """Give the numbers of every judged unit of a peer group by measure and year."""
    reads: dict[str | None, int] = {}
    for condition in rule.walk():
        measure = condition.measure or rule.measure
        reads[measure] = max(reads.get(measure, 0), years_read(condition))
    for key, raw in cell.peers.items():
        measure = key if target is None else str(target["measure"])
        lines = {(line["unit"], line["period"]): line for line in cell.lines.iter_rows(named=True) if line["measure"] == measure}
        peer = bound_peer(rule, raw)
        top, bottom = _ranks(peer)
        first_read = len(cell.periods) - reads.get(key, 0)
        for row, unit in enumerate(cell.units):
            if (common := shared[row]) is None:
                continue
            for column, period in enumerate(cell.periods):
                line: Mapping[str, Any] = lines.get((unit, period), {})
                earlier = lines.get((unit, next_school_year(period, step=-1)), {}).get("estimate") if period else None
                estimate, here = line.get("estimate"), bool(peer.counted[row, column])
                yield {name: common.get(name) for name in FACTS} | {
                    "measure": measure,
                    "period": period or None,
                    "exam_id": line.get("exam_id"),
                    "exam_date": line.get("date"),
                    "comparison_group": line.get("comparison_group"),
                    "n_expected": line.get("n_expected"),
                    "n": line.get("n"),
                    "estimate": estimate,
                    "std_error": line.get("std_error"),
                    "change": None if estimate is None or earlier is None else estimate - earlier,
                    "rank": int(top[row, column]) if here else None,
                    "from_bottom": int(bottom[row, column]) if here else None,
                    "n_units": int(peer.counted[:, column].sum()),
                    "counted": here,
                    "held": bool(peer.held[row, column]),
                    "read": column >= first_read,
                    "reason": REASONS[int(peer.why_not[row, column])] or None,
                    "target": None if target is None else target["target"],
                }


def ban_lines(scene: Scene, findings: Sequence[GuardFinding]) -> CellVerdicts:
    """Write one verdict for every thing in the archive that a ban is about; a broken ban proposes to refuse it."""
    found = CellVerdicts()
    for item in findings:
        result = CLAUSE_RESULTS[MET if item.met else NOT_MET]
        shared = dict.fromkeys(JUDGED) | {
            "unit_type": item.unit_type,
            "unit": item.unit,
            "year_group": item.year_group,
            "subject": item.subject,
            "rule_id": scene.rule.id,
            "pack": scene.pack.id,
            "pack_version": scene.pack.version,
            "as_of": scene.as_of,
            "period_first": item.school_year,
            "period_last": item.school_year,
            "unit_name": scene.names.get(item.unit),
            "target_id": item.thing if item.unit_type != "exam" else None,
            "exam_id": item.thing if item.unit_type == "exam" else None,
            "clause_result": result,
            "only_wide": False,
            "barred_by": scene.rule.id if item.met else None,
        }
        decided = scene.decisions.on(shared, since=dt.date.min)
        for reading in READINGS:
            proposed = item.met and reading == scene.rule.readings.proposes
            found.verdicts.append(shared | {"reading": reading} | _proposal(scene.rule, proposed, decided))
        kind = {"condition": 0, "kind": "ban", "clause_result": result}
        found.conditions.append({name: shared.get(name) for name in CONDITIONS} | kind)
    return found
