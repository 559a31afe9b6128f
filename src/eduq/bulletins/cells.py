"""Columns and cells that several sections share."""

from __future__ import annotations

from typing import Any

from eduq.bulletins.blocks import Block, Phrase, column
from eduq.bulletins.formats import measure_kind, phrase, typed
from eduq.bulletins.reading import Row, has_interval
from eduq.bulletins.view import View
from eduq.estimates.measures import load_measures

__all__ = [
    "base_column",
    "counted_cell",
    "counted_column",
    "cut_note",
    "interval_column",
    "interval_of",
    "level_rates",
    "measure_column",
    "minor_note",
    "value_or_reason",
]

_MOST_USUAL, _MOST_RATES = 4, 6
"""How many of the usual rates a level table holds, and how many with those the run asked for."""
_FIRST = ("pass_rate", "excellent_rate", "low_score_rate", "good_rate")
"""The usual rates that stay longest where room is short."""


def level_rates(view: View, present: set[str]) -> tuple[list[str], list[str]]:
    """Return the rates a level table shows, in the order of the run, and those that find no room and stand in the workbook.

    Rates that the run asked for by name or that a local file defines go before the others.
    """
    rates = [
        name
        for name, entry in view.pub.measures.items()
        if entry["kind"] == "proportion"
        and name in present
        and any(entry.get(side) is not None for side in ("cut", "below", "band"))
    ]
    shipped = load_measures()
    asked = [name for name in rates if name in view.settings.measures or name not in shipped]
    others = sorted((name for name in rates if name not in asked), key=lambda name: _FIRST.index(name) if name in _FIRST else 9)
    room = min(_MOST_USUAL, max(0, _MOST_RATES - len(asked)))
    chosen = {*asked[:_MOST_RATES], *others[:room]}
    return [name for name in rates if name in chosen], [name for name in asked if name not in chosen]


def cut_note(whole: int | None, shown: int, sheet: str) -> list[Phrase]:
    """Return the line that says how many rows a table has and where all of them are."""
    if whole is None:
        return []
    return [phrase("bulletin.note.cut", whole=whole, shown=shown, sheet=phrase(f"bulletin.sheet.{sheet}"))]


def counted_column(view: View) -> list[Block]:
    """Return the column of the base of a mean where it is not the number present: absentees count under ``zero``."""
    if view.exam.absence.policy != "zero":
        return []
    return [column("n", phrase("bulletin.workbook.n"), "count")]


def counted_cell(view: View, item: Row | None) -> list[Any]:
    """Return the cell of `counted_column`."""
    if view.exam.absence.policy != "zero":
        return []
    return [item["n"] if item is not None else None]


def minor_note(view: View, paper: str) -> list[Phrase]:
    """Return the line that says how many candidates are in combinations too small for the text."""
    groups, candidates = view.minor_groups(paper)
    if not groups:
        return []
    return [phrase("bulletin.note.minor_groups", candidates=candidates, groups=groups)]


def value_or_reason(item: Row | None) -> Any:
    """Return the estimate of a row, the reason why there is none, or None."""
    if item is None:
        return None
    if item["estimate"] is None:
        return {"reason": item["reason"]} if item["reason"] else None
    return item["estimate"]


def interval_of(item: Row | None) -> Any:
    """Return the interval of a row as a pair; None without one or where it has no width."""
    if item is None or not has_interval(item):
        return None
    return [item["ci_lower"], item["ci_upper"]]


def measure_column(view: View, measure: str) -> Block:
    """Return the column of a measure, its unit in the head."""
    kind = measure_kind(measure, view.pub.measures.get(measure))
    name: Phrase | str = view.measure_name(measure).partition("（")[0].partition(" (")[0]
    if kind in ("rate", "change"):
        name = phrase("bulletin.head.in_percent", name=name)
    return column(measure, name, kind)


def interval_column(view: View, kind: str = "gap") -> Block:
    """Return the column of an interval, its level in the head."""
    return column(
        "interval",
        phrase("bulletin.head.interval", level=typed(view.settings.conf_level, "level")),
        f"interval_{kind}",
        soft=True,
    )


def base_column() -> Block:
    """Return the column of present and expected candidates."""
    return column("base", phrase("bulletin.head.base"), "base")
