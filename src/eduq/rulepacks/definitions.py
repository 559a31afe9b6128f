"""Under how many defensible definitions a verdict stands: the full product of declared choices, each counted once."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from eduq.intake.score_table import ScoreTable
from eduq.rulepacks.evidence import EvidenceFinder, kind_of_evidence
from eduq.rulepacks.model import LastPlace, Rule
from eduq.rulepacks.peers import PeerCell
from eduq.rulepacks.questions import (
    Answer,
    Question,
    numbered_conditions,
    replace_condition,
    with_policy,
    with_weights,
)
from eduq.rulepacks.verdicts import bound_peer

__all__ = ["DIMENSIONS", "DefinitionShare", "vary_definitions"]

DIMENSIONS = ("absence", "sd_divisor", "weights", "ties", "last", "window", "min_pupils")
"""What is varied, in the order of the product."""
_SHARE = 0.10
_MIN_PUPILS = (10, 30, 50)
_WINDOWS = (4, 5, 6)
_LARGE_GROUP = 1_000
OWN = "own"


@dataclass(frozen=True)
class DefinitionShare:
    """What a verdict is under each definition.

    Attributes
    ----------
    frame
        One line per definition: the columns of `DIMENSIONS` (String), ``declared`` (bool: the definition in use), narrow and
        wide (clause results), evidence_grade, rank, from_bottom and n_units of the judged year, estimate.
    choices
        The choices of each dimension; one that does not apply has a single choice.
    base
        Narrow and wide result and evidence grade under the definition in use.
    """

    frame: pl.DataFrame
    choices: Mapping[str, tuple[str, ...]]
    base: Mapping[str, str | None]

    @property
    def n(self) -> int:
        """Number of definitions."""
        return self.frame.height

    def count_same(self, column: str) -> int:
        """Return under how many definitions a result is the one in use; of grades, A and B are one answer, the rest another."""
        if column == "evidence_grade":
            strong = self.frame[column].is_in(["A", "B"])
            return int((strong == (self.base[column] in ("A", "B"))).sum())
        return int((self.frame[column] == self.base[column]).sum())


def _equal_or_full(scores: ScoreTable, weights: str) -> ScoreTable:
    """Return an exam whose composite weighs its papers as named; papers of weight 0 stay out."""
    if weights == OWN:
        return scores
    full = {paper.code: paper.max_score for paper in scores.papers}
    if weights == "full_mark" and any(mark is None for mark in full.values()):
        return scores
    chosen = {
        paper.code: 0.0 if paper.weight == 0 else 1.0 if weights == "equal" else float(full[paper.code] or 0.0)
        for paper in scores.papers
    }
    return with_weights(scores, chosen)


def _weighting(exams: Sequence[ScoreTable]) -> str:
    """Return which declared weighting the exams use already: equal, full_mark, or another (own)."""
    counted = [[paper for paper in scores.papers if paper.weight > 0] for scores in exams]
    if all(len({paper.weight for paper in papers}) <= 1 for papers in counted):
        return "equal"
    shares = [{paper.weight / paper.max_score if paper.max_score else None for paper in papers} for papers in counted]
    return "full_mark" if all(len(found) == 1 and None not in found for found in shares) else OWN


def _policies(exams: Sequence[ScoreTable]) -> tuple[str, ...]:
    """Return the absence policies to compare; those that leave standardised values alone count as ``exclude``."""
    own = {"zero" if scores.exam.absence.policy == "zero" else "exclude" for scores in exams}
    first = own.pop() if len(own) == 1 else OWN
    return tuple(dict.fromkeys((first, "exclude", "zero")))


@dataclass(frozen=True)
class _Recounted:
    """The series under every choice that changes values: (absence, weights, sd_divisor) → frame."""

    frames: Mapping[tuple[str, str, str], pl.DataFrame]
    absence: tuple[str, ...]
    weights: tuple[str, ...]
    sd_divisor: tuple[str, ...]


def _standardised(measure: str | None) -> bool:
    return measure in ("composite_z", "z_mean", "t_mean")


def _recount(question: Question) -> _Recounted:
    """Compute the series anew under every absence policy, weighting and SD divisor."""
    base = question.table.frame
    if not question.can_recount:
        return _Recounted({(OWN, OWN, "population"): base}, (OWN,), (OWN,), ("population",))
    ids = base["exam_id"].unique().sort().to_list()
    exams = {exam_id: question.read_exam(exam_id) for exam_id in ids}
    policies = _policies(list(exams.values()))
    own_weights = _weighting(list(exams.values()))
    composite = "composite_z" in question.rule.measures()
    weights = tuple(dict.fromkeys((own_weights, "equal", "full_mark"))) if composite else (OWN,)
    divisors = ("population", "sample") if any(_standardised(name) for name in question.rule.measures()) else ("population",)
    frames = {}
    for policy, weight in itertools.product(policies, weights):
        frame = base
        if (policy, weight) != (policies[0], weights[0]):
            for exam_id, scores in exams.items():
                changed = scores if policy == policies[0] else with_policy(scores, policy)
                changed = changed if weight == weights[0] else _equal_or_full(changed, weight)
                frame = question.with_lines(question.measure_lines(changed, exam_id), frame)
        for divisor in divisors:
            frames[policy, weight, divisor] = frame if divisor == "population" else _by_sample_sd(frame)
    return _Recounted(frames, policies, weights, divisors)


def _by_sample_sd(frame: pl.DataFrame) -> pl.DataFrame:
    """Return standardised values with the SD of divisor N - 1 in place of N: times √((N - 1)/N), N those of the group."""
    group = ["period", "comparison_group", "subject", "measure"]
    size = pl.col("n").filter(pl.col("estimate").is_not_null()).sum().over(group)
    factor = (
        pl.when(pl.col("measure").is_in(["composite_z", "z_mean"]) & (size > 1)).then(((size - 1) / size).sqrt()).otherwise(1.0)
    )
    return frame.with_columns((pl.col(name) * factor).alias(name) for name in ("estimate", "sd", "std_error"))


def _scale_moves(frame: pl.DataFrame) -> bool:
    """Tell whether the SD divisor moves values by more than 0.05 %: groups of less than 1,000. Else it moves no grade."""
    group = ["period", "comparison_group", "subject", "measure"]
    sizes = frame.filter(pl.col("estimate").is_not_null()).group_by(group).agg(pl.col("n").sum())["n"]
    return bool((sizes < _LARGE_GROUP).any())


def _ties(rule: Rule) -> tuple[str, ...]:
    own = next((condition.ties for condition in rule.walk() if hasattr(condition, "ties")), None)
    return (OWN,) if own is None else tuple(dict.fromkeys((own, "share", "exclude")))


def _places(rule: Rule, size: int) -> tuple[str, ...]:
    own = next((condition.last for condition in rule.walk() if isinstance(condition, LastPlace)), None)
    if own is None or size == 0:
        return (OWN,)
    return tuple(dict.fromkeys((str(own), "1", str(max(1, math.ceil(_SHARE * size - 1e-9))))))


def _windows(rule: Rule, own: int, years: int) -> tuple[str, ...]:
    if kind_of_evidence(rule) != "decline" or years < 2:
        return (OWN,)
    return tuple(dict.fromkeys(str(min(window, years)) for window in (own, *_WINDOWS)))


def _min_pupils(rule: Rule) -> tuple[str, ...]:
    if rule.peer_group is None:
        return (OWN,)
    return tuple(dict.fromkeys(str(least) for least in (rule.peer_group.min_pupils, *_MIN_PUPILS)))


def _varied(rule: Rule, ties: str, last: str, min_pupils: str) -> Rule:
    """Return a rule with another tie rule, last-k and minimum of pupils."""
    found = rule
    for number, condition in numbered_conditions(rule):
        values: dict[str, Any] = {}
        if ties != OWN and hasattr(condition, "ties"):
            values["ties"] = ties
        if last != OWN and isinstance(condition, LastPlace):
            values["last"] = int(last)
        if values:
            found = replace_condition(found, number, **values)
    if min_pupils != OWN and found.peer_group is not None:
        group = found.peer_group.model_copy(update={"min_pupils": int(min_pupils)})
        found = found.model_copy(update={"peer_group": group})
    return found


class _Grades:
    """Evidence grades of one variant of the series, asked once for equal questions."""

    def __init__(self, question: Question, cells: Sequence[PeerCell], own: PeerCell, bounds: Mapping[str, Any]) -> None:
        self.question, self.own, self.bounds = question, own, bounds
        self.family = [cell for cell in cells if cell.family == own.family]
        self.finder = EvidenceFinder()
        self.known: dict[tuple[str, str, frozenset[tuple[str, str, str]]], str | None] = {}

    def _members(self, rule: Rule) -> frozenset[tuple[str, str, str]]:
        """Return the units counted in the judged year: minimums that leave the same of them ask the same question."""
        found = []
        for cell in self.family:
            counted = bound_peer(rule, cell.peers[rule.measure]).counted[:, -1] if rule.measure in cell.peers else ()
            found += [(cell.year_group, cell.subject, unit) for unit, here in zip(cell.units, counted, strict=False) if here]
        return frozenset(found)

    def grade(self, rule: Rule, last: str, window: str) -> str | None:
        """Return the evidence grade beside the proposing reading."""
        key = (last, window, self._members(rule))
        if key not in self.known:
            bounds = dict(self.bounds) | ({} if window == OWN else {"window": int(window)})
            found = self.finder.find(rule, self.family, bounds=bounds, reading=rule.readings.proposes)
            line = found.get((self.question.unit, self.own.year_group, self.own.subject), {})
            self.known[key] = line.get("evidence_grade")
        return self.known[key]


def _place(question: Question, rule: Rule, cell: PeerCell) -> dict[str, Any]:
    """Return the unit's place in the judged year among the counted units."""
    nothing = {"rank": None, "from_bottom": None, "n_units": 0, "estimate": None}
    raw = cell.peers.get(rule.measure)
    if raw is None:
        return nothing
    peer, row = bound_peer(rule, raw), cell.units.index(question.unit)
    counted = peer.counted[:, -1]
    steps = peer.steps[:, -1]
    value = float(peer.level[row, -1])
    found = nothing | {"n_units": int(counted.sum()), "estimate": None if math.isnan(value) else value}
    if not counted[row]:
        return found
    above = int(np.count_nonzero(steps[counted] > steps[row]))
    below = int(np.count_nonzero(steps[counted] < steps[row]))
    return found | {"rank": above + 1, "from_bottom": below + 1}


def vary_definitions(question: Question, *, bounds: Mapping[str, Any]) -> DefinitionShare | None:
    """Answer a question under the full product of declared choices.

    Choices: absence policy (excluded, counted as zero), SD divisor (N, N − 1), weights of the composite (equal, by full mark),
    ties (share the place, or nobody holds a shared one), last-k (the rule's, 1, the lowest tenth), window of the evidence (4, 5,
    6 years as far as there are), minimum of pupils (10, 30, 50), each with the choice in use. Choices that come to the same are
    one. The share of definitions is a sensitivity figure, not a probability: nothing says that they are equally right.

    Parameters
    ----------
    question
        The rule and the unit.
    bounds
        Bounds of the evidence grades in force.

    Returns
    -------
    DefinitionShare or None
        None where the rule judges targets or reads no peer group of the unit.
    """
    own = question.cell
    if own is None or question.target_id is not None:
        return None
    recounted = _recount(question)
    rule = question.rule
    size = _place(question, rule, own)["n_units"]
    choices = {
        "absence": recounted.absence,
        "sd_divisor": recounted.sd_divisor,
        "weights": recounted.weights,
        "ties": _ties(rule),
        "last": _places(rule, size),
        "window": _windows(rule, int(bounds.get("window", _WINDOWS[-1])), len(own.periods)),
        "min_pupils": _min_pupils(rule),
    }
    rows: list[dict[str, Any]] = []
    grades: dict[tuple[str, str], _Grades] = {}
    for key, frame in recounted.frames.items():
        cells = question.form_cells(frame)
        cell = question.own_cell(cells)
        if cell is not None:
            if key[:2] not in grades or _scale_moves(frame):
                grades[key[:2]] = _Grades(question, cells, cell, bounds)
            rows += _answers(question, key, cell, choices, grades[key[:2]])
    schema = {
        **dict.fromkeys(DIMENSIONS, pl.String),
        "declared": pl.Boolean,
        "narrow": pl.String,
        "wide": pl.String,
        "evidence_grade": pl.String,
        "rank": pl.Int64,
        "from_bottom": pl.Int64,
        "n_units": pl.Int64,
        "estimate": pl.Float64,
    }
    found = pl.DataFrame(rows, schema=schema)
    declared = found.filter("declared").row(0, named=True)
    return DefinitionShare(found, choices, {name: declared[name] for name in ("narrow", "wide", "evidence_grade")})


def _answers(
    question: Question,
    key: tuple[str, str, str],
    cell: PeerCell,
    choices: Mapping[str, tuple[str, ...]],
    grades: _Grades,
) -> Iterable[dict[str, Any]]:
    """Answer under every rule variant on one variant of the series."""
    absence, weights, divisor = key
    rows = []
    for ties, last, min_pupils in itertools.product(choices["ties"], choices["last"], choices["min_pupils"]):
        rule = _varied(question.rule, ties, last, min_pupils)
        answer: Answer = question.answer_in(rule, cell)
        place = _place(question, rule, cell)
        for window in choices["window"]:
            own = {
                "absence": absence, "sd_divisor": divisor, "weights": weights, "ties": ties, "last": last, "window": window,
                "min_pupils": min_pupils,
            }  # fmt: skip
            rows.append(
                own
                | place
                | {
                    "declared": all(own[name] == choices[name][0] for name in DIMENSIONS),
                    "narrow": answer.narrow,
                    "wide": answer.wide,
                    "evidence_grade": grades.grade(rule, last, window),
                }
            )
    return rows
