"""Columns and cells that several sections share."""

from __future__ import annotations

from typing import Any

from eduq.bulletins.blocks import Block, Phrase, column
from eduq.bulletins.formats import measure_kind, phrase, typed
from eduq.bulletins.view import Row, View

__all__ = ["OVERALL", "base_column", "cut_note", "interval_column", "interval_of", "measure_column", "value_or_reason"]

OVERALL = ("mean_score", "score_rate", "excellent_rate", "good_rate", "pass_rate", "low_score_rate", "sd")
"""Measures of a level table, in order."""


def cut_note(whole: int | None, shown: int, sheet: str) -> list[Phrase]:
    """Return the line that says how many rows a table has and where all of them are."""
    if whole is None:
        return []
    return [phrase("bulletin.note.cut", whole=whole, shown=shown, sheet=phrase(f"bulletin.sheet.{sheet}"))]


def value_or_reason(item: Row | None) -> Any:
    """Return the estimate of a row, the reason why there is none, or None."""
    if item is None:
        return None
    if item["estimate"] is None:
        return {"reason": item["reason"]} if item["reason"] else None
    return item["estimate"]


def interval_of(item: Row | None) -> Any:
    """Return the interval of a row as a pair, or None."""
    if item is None or item["ci_lower"] is None or item["ci_upper"] is None:
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
