"""Decisions of named persons, as the archive keeps them, beside the verdicts they were about."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

__all__ = ["DecisionBook"]

_SAME = ("rule_id", "unit_type", "unit", "head_id", "teacher_id", "year_group", "subject")


@dataclass(frozen=True)
class DecisionBook:
    """The decisions on one pack's proposals.

    Attributes
    ----------
    lines
        Decisions as of the day, by what they are about, in the order they were stored.
    """

    lines: Mapping[tuple[Any, ...], Sequence[Mapping[str, Any]]]

    @classmethod
    def read(cls, decisions: pl.DataFrame | None, *, pack: str, as_of: dt.date) -> DecisionBook:
        """Take the decisions on a pack's proposals that were judged up to a day."""
        found: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
        if decisions is not None and decisions.height:
            kept = decisions.filter((pl.col("pack") == pack) & (pl.col("as_of") <= as_of))
            for row in kept.sort("archive_version", "decided_on", maintain_order=True).iter_rows(named=True):
                found.setdefault(tuple(row[name] for name in _SAME), []).append(row)
        return cls(found)

    def on(self, verdict: Mapping[str, Any], *, since: dt.date | None) -> Mapping[str, Any] | None:
        """Return the last decision on a verdict: the same rule, unit and person, judged on the same exam.

        `since` is the date of the judged year's exam; an older decision was about an earlier year.
        """
        lines = self.lines.get(tuple(verdict[name] for name in _SAME), ())
        return next((line for line in reversed(lines) if since is not None and line["as_of"] >= since), None)

    def before(self, verdict: Mapping[str, Any], rule_id: str, exam_dates: Mapping[str, dt.date]) -> dict[str, str]:
        """Return the decisions of earlier years on a step of the same ladder: school year → decision.

        `exam_dates` gives the exam's date of each school year; a decision belongs to the last exam before the day it was judged.
        """
        key = tuple({**verdict, "rule_id": rule_id}[name] for name in _SAME)
        found: dict[str, str] = {}
        for line in self.lines.get(key, ()):
            held = [(day, period) for period, day in exam_dates.items() if day <= line["as_of"]]
            if held and max(held)[1] < verdict["period_last"]:
                found[max(held)[1]] = str(line["decision"])
        return found
