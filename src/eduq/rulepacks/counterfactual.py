"""The smallest change that would turn a verdict: one quantity at a time, everything else as it is."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl

from eduq.groups import COMPOSITE
from eduq.intake.score_table import ScoreTable
from eduq.rulepacks.conditions import PeerSeries
from eduq.rulepacks.model import (
    BelowCut,
    BottomShare,
    Condition,
    Decline,
    LastPlace,
    Rule,
    SevereDrop,
    Stagnation,
    TargetMissed,
)
from eduq.rulepacks.peers import PeerCell
from eduq.rulepacks.questions import Answer, Question, numbered_conditions, replace_condition
from eduq.rulepacks.rescoring import count_raisable, fill_absences, remark
from eduq.rulepacks.verdicts import bound_peer

__all__ = ["CHANGES", "PUPIL_CHANGES", "find_changes"]

READINGS = ("narrow", "wide")
PUPIL_CHANGES = ("remarked", "absent_predicted", "absent_zero")
_STEPS = 10_000
"""Levels are compared in steps of 10⁻⁴, so no finer change can turn a verdict."""

CHANGES: dict[str, pl.DataType] = {
    "quantity": pl.String(),
    "condition": pl.Int64(),
    "reading": pl.String(),
    "before": pl.String(),
    "after": pl.String(),
    "current": pl.Float64(),
    "needed": pl.Float64(),
    "searched": pl.Int64(),
    "estimate": pl.Float64(),
    "estimate_after": pl.Float64(),
    "method": pl.String(),
    "not_searched": pl.String(),
}
"""One line per quantity and reading. ``quantity``: remarked (pupils of the school raised to the full mark), absent_predicted,
absent_zero (the school's absentees counted), reading, min_pupils, target, and of a condition noise_band, years, last, share,
cut, drop, band. ``after`` is null when nothing searched turns the verdict; ``needed`` is the smallest number of pupils, or the
nearest value; ``searched`` the pupils or values tried; ``estimate`` and ``estimate_after`` the unit's value of the judged year;
``method`` bisection, scan or switch; ``not_searched`` why there was nothing to search."""

_NUMBERS: dict[type[Any], tuple[str, ...]] = {
    Decline: ("noise_band", "years"),
    LastPlace: ("last", "years"),
    BottomShare: ("share", "years"),
    BelowCut: ("cut", "years"),
    SevereDrop: ("drop",),
    Stagnation: ("band", "years"),
    TargetMissed: ("target",),
}


@dataclass(frozen=True)
class _Judged:
    """The unit's exam of the judged year and the papers its value is made of."""

    question: Question
    scores: ScoreTable
    exam_id: str
    papers: tuple[str, ...]

    def after(self, scores: ScoreTable) -> tuple[Answer, float | None]:
        """Return the answer and the unit's value after a change of the exam's scores."""
        frame = self.question.with_lines(self.question.measure_lines(scores, self.exam_id))
        line = self.question.own_line(frame)
        return self.question.answer(frame=frame), None if line is None else line["estimate"]


def _judged_exam(question: Question) -> _Judged | str:
    """Return the exam of the judged year, or why its scores cannot be changed."""
    if not question.can_recount:
        return "not_a_school"
    line = question.own_line()
    if line is None or line["estimate"] is None:
        return "no_value"
    scores = question.read_exam(line["exam_id"])
    if question.subject in (COMPOSITE, "total", "all_subjects", ""):
        papers = tuple(paper.code for paper in scores.papers if paper.weight > 0)
    else:
        papers = tuple(paper.code for paper in scores.papers if paper.subject_code == question.subject)
    if not papers:
        return "no_value"
    if any(paper.max_score is None for paper in scores.papers if paper.code in papers):
        return "full_mark_unknown"
    return _Judged(question, scores, line["exam_id"], papers)


def _row(quantity: str, reading: str, before: Answer, **more: Any) -> dict[str, Any]:
    return dict.fromkeys(CHANGES) | {"quantity": quantity, "reading": reading, "before": before.under(reading)} | more


def _grid(most: int) -> list[int]:
    """Return 1, 2, 4 … and the last."""
    found = [1 << power for power in range(most.bit_length()) if 1 << power < most]
    return [*found, most] if most else []


def _remarked(judged: _Judged, before: Answer) -> Iterator[dict[str, Any]]:
    """Raise more and more pupils to the full mark until the verdict turns."""
    question = judged.question
    place = {"school": question.unit, "year_group": question.year_group, "papers": judged.papers}
    most = count_raisable(judged.scores, **place)  # type: ignore[arg-type]
    known: dict[int, tuple[Answer, float | None]] = {0: judged.after(judged.scores)}

    def look(pupils: int) -> tuple[Answer, float | None]:
        if pupils not in known:
            known[pupils] = judged.after(remark(judged.scores, pupils=pupils, **place))  # type: ignore[arg-type]
        return known[pupils]

    for pupils in _grid(most):
        look(pupils)
    for reading in READINGS:
        needed, method = _smallest(look, sorted(known), reading, before.under(reading), most)
        answer, value = look(needed) if needed is not None else look(most)
        yield _row(
            "remarked",
            reading,
            before,
            after=None if needed is None else answer.under(reading),
            current=0.0,
            needed=needed,
            searched=most,
            estimate=known[0][1],
            estimate_after=value,
            method=method,
        )


def _smallest(
    look: Callable[[int], tuple[Answer, float | None]], points: list[int], reading: str, before: str, most: int
) -> tuple[int | None, str]:
    """Return the smallest number of pupils that turns the verdict, and how it was found.

    Bisection where the unit's value and the verdict are monotone over the numbers tried; else every number is tried.
    """
    values = [look(point)[1] for point in points]
    turned = [look(point)[0].under(reading) != before for point in points]
    rising = all(a is not None and b is not None and b > a for a, b in pairwise(values))
    if not rising or turned != sorted(turned):
        found = (pupils for pupils in range(1, most + 1) if look(pupils)[0].under(reading) != before)
        return next(found, None), "scan"
    if not any(turned):
        return None, "bisection"
    high = points[turned.index(True)]
    low = points[turned.index(True) - 1]
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if look(middle)[0].under(reading) != before else (middle, high)
    return high, "bisection"


def _absences(judged: _Judged, before: Answer) -> Iterator[dict[str, Any]]:
    """Count the school's absentees, all at once."""
    question = judged.question
    line = question.own_line() or {}
    for quantity, as_zero in (("absent_predicted", False), ("absent_zero", True)):
        changed, pupils = fill_absences(
            judged.scores, school=question.unit, year_group=question.year_group, papers=judged.papers, as_zero=as_zero
        )
        answer, value = judged.after(changed) if pupils else (before, line.get("estimate"))
        for reading in READINGS:
            turns = answer.under(reading) != before.under(reading)
            yield _row(
                quantity,
                reading,
                before,
                after=answer.under(reading) if turns else None,
                current=0.0,
                needed=pupils if turns else None,
                searched=pupils,
                estimate=line.get("estimate"),
                estimate_after=value,
                method="switch",
            )


def _critical_steps(name: str, condition: Condition, peer: PeerSeries, row: int) -> list[int]:
    """Return the values (in steps of 10⁻⁴) beside which a condition on one unit can change its result."""
    levels = [int(value) for value in peer.steps[row] if math.isfinite(value)]
    if name in ("cut", "target"):
        return [level + shift for level in levels for shift in (-1, 0, 1)]
    later, earlier = levels[1:], levels[:-1]
    changes = [b - a for a, b in zip(earlier, later, strict=True)]
    if name == "noise_band":
        return [abs(change) + shift for change in changes for shift in (-1, 0, 1)]
    found: list[float] = []
    for back in range(1, len(levels)):
        before = levels[-1 - back : -1]
        found += [sum(before) / back - levels[-1], (levels[-1] - levels[-1 - back]) / back]
    return [math.floor(value) + shift for value in found for shift in (-1, 0, 1, 2)]


def _candidates(name: str, condition: Condition, cell: PeerCell, rule: Rule, unit: str) -> list[float]:
    """Return every value of a number worth trying."""
    measure = condition.measure or rule.measure
    peer = cell.peers.get(measure) or next(iter(cell.peers.values()))
    peer = bound_peer(rule, peer)
    size = max(int(peer.counted[:, -1].sum()), 1)
    match name:
        case "years":
            return [float(years) for years in range(1, len(cell.periods) + 1)]
        case "last":
            return [float(last) for last in range(1, size + 1)]
        case "share":
            return [place / size for place in range(1, size)]
    row = cell.units.index(unit)
    steps = _critical_steps(name, condition, peer, row)
    least = 0 if name == "noise_band" else 1 if name in ("drop", "band") else None
    return sorted({step / _STEPS for step in steps if least is None or step >= least})


def _nearest(
    values: Iterable[float], current: float | None, answer: Callable[[float], Answer], reading: str, before: str
) -> tuple[float | None, str | None, int]:
    """Return the value nearest to the current one that turns the verdict, what it turns into, and how many were tried."""
    known = sorted(set(values) - {current})
    ordered = known if current is None else sorted(known, key=lambda value: (abs(value - current), value))
    for value in ordered:
        found = answer(value).under(reading)
        if found != before:
            return value, found, len(known)
    return None, None, len(known)


def _numbers(question: Question, cell: PeerCell, before: Answer) -> Iterator[dict[str, Any]]:
    """Try other numbers of every condition, and another minimum of pupils."""
    rule = question.rule
    for number, condition in numbered_conditions(rule):
        for name in _NUMBERS.get(type(condition), ()):
            registered = isinstance(condition, TargetMissed) and condition.source == "register"
            current = _registered_target(question) if registered else getattr(condition, name)
            whole = name in ("years", "last")

            def answer(
                value: float, number: int = number, name: str = name, whole: bool = whole, registered: bool = registered
            ) -> Answer:
                if registered:
                    return question.answer(target=value)
                changed = replace_condition(rule, number, **{name: int(value) if whole else value})
                return question.answer_in(changed, cell) if question.target_id is None else question.answer(rule=changed)

            values = _candidates(name, condition, cell, rule, question.unit)
            known: dict[float, Answer] = {}
            for reading in READINGS:
                look = _remember(answer, known)
                needed, after, tried = _nearest(values, current, look, reading, before.under(reading))
                yield _row(
                    name, reading, before, condition=number, after=after, current=current, needed=needed, searched=tried,
                    method="scan",
                )  # fmt: skip
    if rule.peer_group is not None and question.target_id is None:
        yield from _min_pupils(question, cell, before)


def _remember(answer: Callable[[float], Answer], known: dict[float, Answer]) -> Callable[[float], Answer]:
    def look(value: float) -> Answer:
        if value not in known:
            known[value] = answer(value)
        return known[value]

    return look


def _min_pupils(question: Question, cell: PeerCell, before: Answer) -> Iterator[dict[str, Any]]:
    """Try other minimum numbers of pupils: only at a unit's own number can one change who is counted."""
    rule = question.rule
    group = rule.peer_group
    assert group is not None
    sizes = np.unique(np.concatenate([peer.n.ravel() for peer in cell.peers.values()]))
    values = {float(size) + shift for size in sizes.tolist() for shift in (0, 1) if size + shift >= 1}

    def answer(value: float) -> Answer:
        changed = rule.model_copy(update={"peer_group": group.model_copy(update={"min_pupils": int(value)})})
        return question.answer_in(changed, cell)

    known: dict[float, Answer] = {}
    for reading in READINGS:
        needed, after, tried = _nearest(values, float(group.min_pupils), _remember(answer, known), reading, before.under(reading))
        yield _row(
            "min_pupils", reading, before, after=after, current=float(group.min_pupils), needed=needed, searched=tried,
            method="scan",
        )  # fmt: skip


def _registered_target(question: Question) -> float | None:
    targets = None if question.registers is None else question.registers.targets
    if targets is None:
        return None
    found = targets.filter(pl.col("target_id") == question.target_id)["target"]
    return None if found.is_empty() else found[0]


def _other_reading(before: Answer) -> Iterator[dict[str, Any]]:
    for reading, other in (("narrow", "wide"), ("wide", "narrow")):
        turns = before.under(other) != before.under(reading)
        yield _row("reading", reading, before, after=before.under(other) if turns else None, method="switch")


def find_changes(question: Question) -> pl.DataFrame:
    """Find, one quantity at a time and under each reading, the smallest change that turns a verdict.

    Pupils are raised to the full mark in the order of their room to it and are counted, never named; the values of all schools
    are computed anew, since a school moves the mean and the SD of its area.

    Parameters
    ----------
    question
        The rule and the unit.

    Returns
    -------
    pl.DataFrame
        `CHANGES`.
    """
    before = question.answer()
    rows = list(_other_reading(before))
    judged = _judged_exam(question)
    if isinstance(judged, str):
        rows += [_row(quantity, reading, before, not_searched=judged) for quantity in PUPIL_CHANGES for reading in READINGS]
    else:
        rows += [*_remarked(judged, before), *_absences(judged, before)]
    if question.cell is not None:
        rows += list(_numbers(question, question.cell, before))
    return pl.DataFrame(rows, schema=CHANGES)
