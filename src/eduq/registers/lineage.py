"""What dated events make of the schools: which are one school, where a series begins anew and where it ends.

An event holds from its own day on: an exam on that day comes after it. The rules:

- rename: the same school goes on, under its new id where the id changes;
- merge: the receiving school begins a new series, the others end;
- split: every part begins a new series, the school that is not among its parts ends;
- new: the school begins; close: it ends.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import polars as pl

from eduq.registers.files import RegisterFile
from eduq.registers.model import Registers

__all__ = ["LINEAGE", "Lineage", "check_events", "follow_events", "trace_lineage"]

LINEAGE: dict[str, pl.DataType] = {
    "school_id": pl.String(),
    "unit": pl.String(),
    "starts": pl.Date(),
    "ends": pl.Date(),
    "reason": pl.String(),
}
"""Columns of `trace_lineage`."""
_SIZES = {"merge": (2, 99, 1, 1), "split": (1, 1, 2, 99), "rename": (1, 1, 1, 1), "new": (0, 0, 1, 99), "close": (1, 99, 0, 0)}
"""Least and most schools in from_ids and in to_ids."""
_EXPECTED = {"merge": "2+ → 1", "split": "1 → 2+", "rename": "1 → 1", "new": "0 → 1+", "close": "1+ → 0"}


@dataclass(frozen=True)
class Lineage:
    """What the events up to a day make of the schools.

    Attributes
    ----------
    unit_of
        School id → the id it has today; ids that are not in it stand for themselves.
    breaks
        Unit → (first day, reason) of every series begun anew, in the order of the days.
    ends
        Unit → (first day it is no more, reason).
    """

    unit_of: dict[str, str]
    breaks: dict[str, list[tuple[dt.date, str]]]
    ends: dict[str, tuple[dt.date, str]]

    def unit(self, school_id: str) -> str:
        """Return the id a school has today."""
        return self.unit_of.get(school_id, school_id)

    def segment(self, unit: str, day: dt.date) -> int:
        """Return how many series of a unit were begun anew up to a day."""
        return sum(start <= day for start, _ in self.breaks.get(unit, []))

    def has_ended(self, unit: str, day: dt.date) -> bool:
        """Whether a unit is no more on a day."""
        return unit in self.ends and self.ends[unit][0] <= day


def check_events(events: pl.DataFrame, file: RegisterFile) -> None:
    """Refuse events that cannot have happened; `events` are in the order of the file's rows.

    Raises
    ------
    SettingsError
        ``register_event_repeated``, ``register_event_sizes``, ``register_event_after_end`` or ``register_event_exists``.
    """
    ended: dict[str, dt.date] = {}
    seen: set[str] = set()
    for event in events.with_row_index("row").sort("date", maintain_order=True).iter_rows(named=True):
        row, kind, before, after = event["row"], event["event"], event["from_ids"], event["to_ids"]
        for column, ids in (("from_ids", before), ("to_ids", after)):
            if len(set(ids)) < len(ids):
                file.refuse("register_event_repeated", row, column)
        least_from, most_from, least_to, most_to = _SIZES[kind]
        for column, ids, least, most in (("from_ids", before, least_from, most_from), ("to_ids", after, least_to, most_to)):
            if not least <= len(ids) <= most:
                file.refuse(
                    "register_event_sizes",
                    row,
                    column,
                    event=kind,
                    expected=_EXPECTED[kind],
                    found=f"{len(before)} → {len(after)}",
                )
        for school in (*before, *after):
            if school in ended:
                file.refuse("register_event_after_end", row, "from_ids", school=school, date=ended[school])
        created = [school for school in after if school not in before] if kind in ("new", "rename") else []
        for school in created:
            if school in seen:
                file.refuse("register_event_exists", row, "to_ids", school=school)
        seen |= {*before, *after}
        ended |= {school: event["date"] for school in before if school not in after}


def _dated(registers: Registers, as_of: dt.date) -> Iterable[dict[str, Any]]:
    if registers.events is None:
        return []
    return registers.events.filter(pl.col("date") <= as_of).sort("date", maintain_order=True).iter_rows(named=True)


def follow_events(registers: Registers, as_of: dt.date) -> Lineage:
    """Return what the events dated up to a day make of the schools.

    Parameters
    ----------
    registers
        From `eduq.registers.read_registers`.
    as_of
        The day; later events are not known on it.
    """
    unit_of: dict[str, str] = {}
    breaks: dict[str, list[tuple[dt.date, str]]] = {}
    ends: dict[str, tuple[dt.date, str]] = {}
    for event in _dated(registers, as_of):
        day, kind, before, after = event["date"], event["event"], event["from_ids"], event["to_ids"]
        if kind == "rename":
            (old,), (new,) = before, after
            if old != new:
                unit_of |= {school: new for school, unit in unit_of.items() if unit == old} | {old: new}
                breaks[new] = breaks.pop(old, [])
            continue
        reason = {"merge": "merged", "close": "closed"}.get(kind, kind)
        for school in after:
            breaks.setdefault(school, []).append((day, reason))
        ends |= {school: (day, reason) for school in before if school not in after}
    return Lineage(unit_of, breaks, ends)


def trace_lineage(registers: Registers, schools: Iterable[str] | None = None, *, as_of: dt.date) -> pl.DataFrame:
    """Say of every school which unit it is today, from when its series counts, and whether it has ended.

    Parameters
    ----------
    registers
        From `eduq.registers.read_registers`.
    schools
        School ids; those of the register when left out.
    as_of
        Events after this day are left aside. An event holds from its own day on.

    Returns
    -------
    pl.DataFrame
        school_id, unit (String; renames followed), starts (Date: first day that counts, null: always), ends (Date: first day
        it is no more, null: it goes on), reason (merged, split, new, closed or null: of the end, else of the start), sorted by
        school_id.

    Examples
    --------
    >>> import datetime as dt
    >>> from eduq.registers import read_registers
    >>> from eduq.resources import sample_data_path
    >>> found = trace_lineage(read_registers(sample_data_path() / "registers"), ["S041", "S001"], as_of=dt.date(2026, 8, 31))
    >>> found.rows()  # doctest: +NORMALIZE_WHITESPACE
    [('S001', 'S001', datetime.date(2012, 9, 1), None, 'merged'),
     ('S041', 'S041', None, datetime.date(2012, 9, 1), 'merged')]
    """
    lineage = follow_events(registers, as_of)
    rows = []
    for school in sorted(set(registers.schools["school_id"] if schools is None else schools)):
        unit = lineage.unit(school)
        starts, reason = lineage.breaks[unit][-1] if lineage.breaks.get(unit) else (None, None)
        ends, reason = lineage.ends.get(unit, (None, reason))
        rows.append((school, unit, starts, ends, reason))
    return pl.DataFrame(rows, schema=LINEAGE, orient="row")
