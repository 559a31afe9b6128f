"""What one teacher, or the head of one class, may see: own figures and an anonymous reference, nothing of anybody else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Literal

from eduq.disclosure.suppression import Shown
from eduq.errors import UsageError
from eduq.estimates.teaching import TeachingTable
from eduq.estimates.teaching.likeness import MIN_LIKE
from eduq.estimates.teaching.pooling import difference_from_rest, pool_classes

__all__ = ["PublishableFeedback", "merge_bands", "protect_feedback", "shown_to_teachers"]

Line = Mapping[str, Any]
_FACTS = ("id", "name", "school_year", "term", "year_group")
_CLEAR = ("class_kind", "combination", "subject", "paper", "n_expected", "n_present", "n")
_NUMBERS = (
    "mean",
    "mean_lower",
    "mean_upper",
    "gap",
    "gap_lower",
    "gap_upper",
    "n_like",
    "reference",
    "reference_q1",
    "reference_q3",
)
_POOLED = ("n_classes", "n_expected", "n_present", "n", "mean", "mean_lower", "mean_upper", "gap", "gap_lower", "gap_upper",
           "gap_n", "gap_classes", "gap_reason")  # fmt: skip


@dataclass(frozen=True)
class PublishableFeedback:
    """The sheet of one addressee: counts and means of own classes, never a pupil, another teacher, another class or a place.

    Attributes
    ----------
    edition
        Always ``teacher``.
    fields
        ``addressee`` (kind teacher or class, id, name, school), ``exam``, ``level``, ``min_n``, ``min_like``, ``lines`` (own
        classes by paper, in the order of papers and class names, never of values), ``pooled`` (per paper, where a teacher has
        several classes), ``apart`` (own figures set against the own others). Plain values.
    """

    edition: Literal["teacher"]
    fields: dict[str, Any]

    def summary(self) -> str:
        """Return one line: the edition, and how many lines the sheet has."""
        return f"{self.edition} edition for one {self.fields['addressee']['kind']}, {len(self.fields['lines'])} classes by paper"

    def __repr__(self) -> str:
        """Say what there is without its content."""
        return f"PublishableFeedback({self.summary()})"

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.summary())}</p>"


def merge_bands(counts: Sequence[int] | None, cuts: Sequence[float] | None, least: int) -> list[dict[str, Any]] | None:
    """Join neighbouring score bands, from below, until each holds at least `least` candidates; None where one would be left.

    Examples
    --------
    >>> [(band["low"], band["high"], band["count"]) for band in merge_bands([2, 9, 30, 4], [40.0, 60.0, 85.0], 10)]
    [(None, 60.0, 11), (60.0, None, 34)]
    """
    if counts is None or cuts is None:
        return None
    edges = [None, *cuts, None]
    merged: list[dict[str, Any]] = []
    low, held = edges[0], 0
    for place, count in enumerate(counts):
        held += count
        if held >= least:
            merged.append({"low": low, "high": edges[place + 1], "count": held})
            low, held = edges[place + 1], 0
    if held and merged:
        merged[-1]["count"] += held
    if merged:
        merged[-1]["high"] = None
    return merged if len(merged) > 1 else None


def _own_line(line: Line, share: float | None, least: int) -> dict[str, Any]:
    """Return what is shown of one class and paper."""
    small = line["n"] < least
    shown: dict[str, Any] = {name: line[name] for name in _CLEAR}
    shown |= {"school_id": line["school_id"], "class_id": line["class_id"], "share": share, "max_score": line["max_score"]}
    shown |= {name: None if small or (name not in _NUMBERS[:3] and line["gap"] is None) else line[name] for name in _NUMBERS}
    hidden = "no_candidates" if line["n"] == 0 else "below_min_n"
    shown["reason"] = hidden if small else None
    shown["gap_reason"] = hidden if small else line["gap_reason"]
    shown["bands"] = None if small else merge_bands(line["bands"], line["cuts"], least)
    return shown


def _side(lower: float, upper: float) -> str:
    return "above" if lower > 0 else "below" if upper < 0 else "same"


def _apart(lines: Sequence[Line], *, level: float, same_reference: bool) -> list[dict[str, Any]]:
    """Return, of each own figure with a gap, whether it can be told from the mean of the own others."""
    beside = [line for line in lines if line["gap"] is not None]
    if len(beside) < 2:
        return []
    one = same_reference and len({line["like"] for line in beside}) == 1  # the error of the shared reference falls out
    errors = [line["own_se"] if one else line["gap_se"] for line in beside]
    found = difference_from_rest([line["gap"] for line in beside], errors, conf_level=level)
    return [
        {
            "paper": line["paper"], "school_id": line["school_id"], "class_id": line["class_id"],
            "difference": apart, "lower": lower, "upper": upper, "side": _side(lower, upper),
        }
        for line, (apart, lower, upper) in zip(beside, found, strict=True)
    ]  # fmt: skip


def _growth_lines(teaching: TeachingTable, lines: Sequence[Line], least: int) -> list[dict[str, Any]]:
    """Return the growth of own administrative classes that are large enough, where enough other classes have one."""
    units = dict.fromkeys(line["unit"] for line in lines if line["class_kind"] == "administrative")
    papers = {line["paper"] for line in lines}
    found = []
    for row in (row for unit in units for row in teaching.growth_of.get(unit, [])):
        others = teaching.growth_units[row["paper"], row["comparison_group"]] - units.keys()
        if row["paper"] not in papers or row["n"] < least or len(others) < MIN_LIKE:
            continue
        school, _, name = row["unit"].partition("/")
        found.append(
            {"paper": row["paper"], "subject": row["subject"], "school_id": school, "class_id": name, "n": row["n"],
             "n_listed": row["n_listed"], "estimate": row["estimate"], "lower": row["ci_lower"], "upper": row["ci_upper"]}
        )  # fmt: skip
    order = {paper.code: place for place, paper in enumerate(teaching.exam.papers)}
    return sorted(found, key=lambda line: order[line["paper"]])


def protect_feedback(
    teaching: TeachingTable, *, teacher_id: str | None = None, class_id: str | None = None
) -> PublishableFeedback:
    """Make the feedback of one addressee.

    It holds the addressee's own classes and the mean and quartiles of like classes of other teachers, where there are at
    least five of them. Classes of fewer than ``min_n_reporting`` candidates show only who took part and are in no pooled figure;
    score bands are joined until each holds that many. There is no place, no order by value, no name of another.

    Parameters
    ----------
    teaching
        From `eduq.estimates.teaching.measure_teaching`.
    teacher_id
        The teacher; or
    class_id
        the administrative class, ``school/class``: for its head (班主任).

    Raises
    ------
    UsageError
        ``feedback_addressee`` (not exactly one of the two is given), ``feedback_unknown`` (no class of it in this exam).
    """
    if (teacher_id is None) == (class_id is None):
        raise UsageError("feedback_addressee")
    settings = teaching.settings
    least, level = settings.min_n_reporting, settings.conf_level
    own: list[tuple[dict[str, Any], float | None]]
    if teacher_id is not None:
        own = list(teaching.of_teacher.get(teacher_id, []))
    else:
        own = [(line, None) for line in teaching.of_class.get(str(class_id), [])]
    if not own:
        raise UsageError("feedback_unknown", asked=teacher_id or class_id)
    order = {paper.code: place for place, paper in enumerate(teaching.exam.papers)}
    own = sorted(own, key=lambda pair: (order[pair[0]["paper"]], pair[0]["unit"], pair[0]["comparison_group"]))
    shown = [(line, share) for line, share in own if line["n"] >= least]
    papers = dict.fromkeys(line["paper"] for line, _ in own)
    pooled, apart = [], []
    if teacher_id is not None:
        for paper in papers:
            of_paper = [(line, share or 0.0) for line, share in shown if line["paper"] == paper]
            if len(of_paper) < 2:
                continue
            lines = [line for line, _ in of_paper]
            values = pool_classes(lines, [share for _, share in of_paper], conf_level=level)
            one = len({line["like"] for line in lines}) == 1
            reference = {name: lines[0][name] if one else None for name in _NUMBERS[6:]}
            pooled.append(
                {"paper": paper, "subject": lines[0]["subject"], **{name: values[name] for name in _POOLED}, **reference}
            )
            apart += _apart(lines, level=level, same_reference=True)
    else:
        apart = _apart([line for line, _ in shown], level=level, same_reference=False)
    facts = teaching.exam.exam
    fields = {
        "addressee": _addressee(teaching, own[0][0], teacher_id, class_id),
        "exam": {name: getattr(facts, name) for name in _FACTS} | {"date": facts.date.isoformat() if facts.date else None},
        "level": level,
        "min_n": least,
        "min_like": MIN_LIKE,
        "lines": [_own_line(line, share, least) for line, share in own],
        "pooled": pooled,
        "apart": apart,
        "growth": _growth_lines(teaching, [line for line, _ in own], least),
    }
    return PublishableFeedback(edition="teacher", fields=fields)


def shown_to_teachers(teaching: TeachingTable, teacher_ids: Iterable[str]) -> Shown:
    """Return which means of classes the sheets of some teachers show and withhold, for the ledger of issued editions."""
    least = teaching.settings.min_n_reporting
    cells: dict[bool, set[tuple[str, str, str, str, str]]] = {True: set(), False: set()}
    for line in (line for name in teacher_ids for line, _ in teaching.of_teacher.get(name, [])):
        if line["n"] > 0:
            kind = "class" if line["class_kind"] == "administrative" else "teaching_class"
            cells[line["n"] >= least].add((line["comparison_group"], line["paper"], "mean_score", kind, line["unit"]))
    return Shown(str(teaching.exam.exam.id), "teacher", frozenset(cells[True]), frozenset(cells[False]))


def _addressee(teaching: TeachingTable, line: Line, teacher_id: str | None, class_id: str | None) -> dict[str, Any]:
    school = line["school_id"]
    known = {"school_id": school, "school": teaching.school_names.get(school) or school}
    if teacher_id is None:
        return {"kind": "class", "id": class_id, "name": line["class_id"], **known}
    return {"kind": "teacher", "id": teacher_id, "name": teaching.teacher_names.get(teacher_id), **known}
