"""How many schools are in which state: counts that may be told where no school may be named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import polars as pl

from eduq.groups import COMPOSITE, TOTAL

if TYPE_CHECKING:
    from eduq.disclosure.exams import Publishable

__all__ = ["LEAST_SCHOOLS", "STATES", "count_states"]

LEAST_SCHOOLS = 5
"""Fewer schools are not counted by state: who knows some of them would know the others."""
STATES: dict[str, pl.DataType] = {
    "what": pl.String(),
    "comparison_group": pl.String(),
    "paper": pl.String(),
    "subject": pl.String(),
    "state": pl.String(),
    "n": pl.Int64(),
}
"""One line per kind of state, paper and state, ``n`` schools. ``what`` is gap (above, same, below the area, as the interval of
the school's standardised gap lies), growth (above, same, below what such pupils usually reach; multilevel) or decline (evidence
grade A, B, C, D of the course over the years; comparison_group and paper null). Schools without a number are not counted."""

_SIDES = ("above", "same", "below")
_LETTERS = ("A", "B", "C", "D")
_SILENT = ("same", "D")
"""States that say nothing of a school: all schools may be in them."""
_NO_WIDTH = 1e-9


def _side(lower: float, upper: float) -> str | None:
    if upper - lower <= _NO_WIDTH * max(1.0, abs(upper)):
        return None
    return "above" if lower > 0 else "below" if upper < 0 else "same"


def _sides(rows: pl.DataFrame) -> list[str]:
    known = rows.select("ci_lower", "ci_upper").drop_nulls().iter_rows()
    return [side for side in (_side(lower, upper) for lower, upper in known) if side is not None]


def _lines(found: Iterable[str], states: tuple[str, ...], **place: Any) -> list[dict[str, Any]]:
    """Return the lines of one paper; none where there are few schools, or where every one is in the same telling state."""
    counts = Counter(found)
    whole = sum(counts.values())
    if whole < LEAST_SCHOOLS or any(counts[state] == whole for state in states if state not in _SILENT):
        return []
    return [{**place, "state": state, "n": counts[state]} for state in states]


def count_states(shown: Publishable) -> pl.DataFrame:
    """Count the schools of an exam by state.

    Parameters
    ----------
    shown
        What the bureau may see of the exam: what is withheld there is not counted here.

    Returns
    -------
    polars.DataFrame
        `STATES`: papers in the order of the exam, the composite last; only where at least `LEAST_SCHOOLS` are counted, and never
        where all of them are in one state that tells of each. Groups of a deviation are left out, and no line crosses schools
        with a township or any other part of the area.
    """
    subjects = {paper.code: paper.subject_code for paper in shown.exam.papers}
    papers = [*(code for code in subjects if code not in (COMPOSITE, TOTAL)), COMPOSITE]
    deviates = pl.col("deviation").is_not_null() & (pl.col("deviation") != "")
    barred = shown.comparability.filter(deviates)["comparison_group"].to_list()
    large = pl.col("n") >= shown.settings.min_n_reporting
    gaps = shown.estimates.filter(pl.col("unit_type") == "school", large, ~pl.col("comparison_group").is_in(barred))
    lines: list[dict[str, Any]] = []
    for paper in papers:
        of_paper = gaps.filter(pl.col("paper") == paper, pl.col("measure") == ("composite_z" if paper == COMPOSITE else "z_mean"))
        lines += _by_group("gap", of_paper, paper, subjects.get(paper, paper))
    if shown.growth is not None and shown.growth.unit_type == "school" and not shown.growth.frame.is_empty():
        grown = shown.growth.frame.filter(pl.col("growth") == "multilevel", large, ~pl.col("comparison_group").is_in(barred))
        for paper in papers:
            lines += _by_group("growth", grown.filter(pl.col("paper") == paper), paper, subjects.get(paper, paper))
    if shown.history is not None:
        courses = [(COMPOSITE, shown.history.declines)]
        if "subject" in shown.history.subjects.columns:
            courses[:0] = [
                (subject, shown.history.subjects.filter(pl.col("subject") == subject))
                for subject in dict.fromkeys(subjects.values())
            ]
        for subject, frame in courses:
            if "evidence_grade" in frame.columns:
                letters = frame["evidence_grade"].drop_nulls().to_list()
                lines += _lines(letters, _LETTERS, what="decline", comparison_group=None, paper=None, subject=subject)
    return pl.DataFrame(lines, schema=STATES)


def _by_group(what: str, rows: pl.DataFrame, paper: str, subject: str) -> list[dict[str, Any]]:
    groups = rows.group_by("comparison_group").len().sort("len", "comparison_group", descending=[True, False])
    return [
        line
        for group in groups["comparison_group"]
        for line in _lines(
            _sides(rows.filter(pl.col("comparison_group") == group)),
            _SIDES,
            what=what,
            comparison_group=group,
            paper=paper,
            subject=subject,
        )
    ]
