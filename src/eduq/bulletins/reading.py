"""How a row of the estimates reads: its side of the area, its interval, and why its number is missing."""

from __future__ import annotations

from typing import Any

from eduq.bulletins.blocks import Phrase
from eduq.bulletins.formats import phrase
from eduq.locale import has_text

__all__ = ["BARRED", "Row", "has_interval", "is_barred", "judge", "reason_cell", "reason_words"]

Row = dict[str, Any]
_NO_WIDTH = 1e-9

BARRED = frozenset(
    {"pace_not_shared", "paper_not_shared", "sitting_not_shared", "marking_not_shared", "single_school", "full_marks_differ"}
)
"""Reasons that mean 不可比; any other reason only says that a number is missing."""


def judge(row: Row | None) -> str | None:
    """Return ``above``, ``below`` or ``same`` as the interval of a gap lies beyond zero or holds it; None without an interval."""
    if row is None or row["estimate"] is None or not has_interval(row):
        return None
    if row["ci_lower"] > 0:
        return "above"
    return "below" if row["ci_upper"] < 0 else "same"


def has_interval(row: Row) -> bool:
    """Return whether a row has an interval of some width; one of none says nothing about chance."""
    lower, upper = row["ci_lower"], row["ci_upper"]
    return lower is not None and upper is not None and upper - lower > _NO_WIDTH * max(1.0, abs(upper))


def is_barred(row: Row) -> bool:
    """Return whether the five sames forbid the number of a row."""
    return row["estimate"] is None and row["reason"] in BARRED


def reason_words(code: str) -> Phrase | str:
    """Return why a number cannot be given, in words."""
    return phrase(f"reasons.{code}") if has_text(f"reasons.{code}") else code


def reason_cell(code: str) -> Phrase:
    """Return what stands in the cell of a number that cannot be given."""
    key = f"bulletin.cell.reason.{code}"
    return phrase(key if has_text(key) else "bulletin.cell.nothing")
