"""Who is answerable: heads for the school years in which they held the post, teachers in their school."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import polars as pl

from eduq.registers import Lineage, Registers, follow_events, heads_in_post, school_year_start

__all__ = ["Posts", "last_schools_of_teachers", "schools_of_teachers"]


@dataclass
class Posts:
    """Heads by school and school year.

    A school year is held by the head who was in the post on every day from 1 September to the exam. The person judged is the
    one who held the judged year; an earlier year counts when the same person held it.

    Attributes
    ----------
    registers
        With heads; without them nobody can be judged.
    exam_dates
        (year group, school year) → date of the exam that the series use.
    judged
        The judged school year.
    """

    registers: Registers | None
    exam_dates: Mapping[tuple[str, str], dt.date]
    judged: str
    _known: dict[tuple[str, str, dt.date], str | None] = field(default_factory=dict)

    def _of_year(self, school: str, year_group: str, period: str) -> str | None:
        day = self.exam_dates.get((year_group, period))
        if self.registers is None or day is None:
            return None
        key = (school, period, day)
        if key not in self._known:
            own = self._own_registers.get(self._lineage.unit(school), self.registers)
            self._known[key] = heads_in_post(own, school, school_year_start(period), day)
        return self._known[key]

    @cached_property
    def _lineage(self) -> Lineage:
        """Which ids are one school, renames to come among them: series may name it by its newest id."""
        assert self.registers is not None
        return follow_events(self.registers, dt.date.max)

    @cached_property
    def _own_registers(self) -> dict[str, Registers]:
        """The registers cut down to the heads of one school under all its ids, so that a look-up does not scan them all."""
        known = self.registers
        if known is None or known.heads is None:
            return {}
        units = [self._lineage.unit(school) for school in known.heads["school_id"]]
        parts = known.heads.with_columns(pl.Series("unit", units, dtype=pl.String)).partition_by("unit", as_dict=True)
        return {str(unit): replace(known, heads=heads.drop("unit")) for (unit,), heads in parts.items()}

    def head_of(self, school: str, year_group: str) -> str | None:
        """Return the head who held the post in the judged year, or None."""
        return self._of_year(school, year_group, self.judged)

    def held(self, school: str, year_group: str, period: str) -> bool:
        """Return whether the head of the judged year held the post in another year; a year without exam is another matter."""
        if (year_group, period) not in self.exam_dates:
            return True
        head = self.head_of(school, year_group)
        return head is not None and self._of_year(school, year_group, period) == head


def schools_of_teachers(registers: Registers | None, period: str, term: int | None) -> dict[str, str]:
    """Return the school of each teacher in a school year; of several, the first by id."""
    taught = None if registers is None else registers.teachers_of(period, term)
    if taught is None:
        return {}
    first = taught.group_by("teacher_id").agg(pl.col("school_id").min())
    return dict(first.sort("teacher_id").iter_rows())


def last_schools_of_teachers(
    registers: Registers | None, periods: Iterable[str], term: int | None, *, judged: str
) -> dict[str, str]:
    """Return the school of each teacher in the newest of some school years up to the judged one in which the teacher taught.

    Who has left since stays among the peers of the years before.
    """
    found: dict[str, str] = {}
    for period in sorted({period for period in periods if period <= judged}):
        found |= schools_of_teachers(registers, period, term)
    return found
