"""Courses over the years as a table: yearly change of every school, its direction, how sure that is; the figure of a subject."""

from __future__ import annotations

from collections import Counter
from typing import Any

import polars as pl

from eduq.bulletins.blocks import Block, Phrase, chart, column, note, row, table
from eduq.bulletins.courses import COURSES_LIMIT, Course, draw_courses
from eduq.bulletins.formats import phrase, typed
from eduq.bulletins.products.common import ProductView
from eduq.bulletins.reading import Row
from eduq.disclosure import PublishableHistory
from eduq.locale import has_text

__all__ = ["course_figure", "course_table", "direction_legend"]

_LETTERS = ("A", "B", "C")
_WORD = "bulletin.history"


def direction_legend() -> Block:
    """Return the remark that says what the icons of change mean; once in a document."""
    return note(phrase("bulletin.direction.legend"))


def _name(product: ProductView, history: PublishableHistory, unit: str) -> Any:
    return history.names.get(unit) or product.unit_name("school", unit)


def _place(product: ProductView, unit: str) -> tuple[Any, ...]:
    return product.views[-1].position("school", unit) if product.views else (1, unit, unit)


def _caption(product: ProductView, year_group: str) -> Phrase:
    group = phrase(f"bulletin.year_group.{year_group}")
    if product.kind == "subject":
        return phrase("product.subject.course_caption", subject=product.subject_name(product.pub.unit), year_group=group)
    return phrase("product.courses.caption", year_group=group)


def course_table(product: ProductView, history: PublishableHistory, year_group: str) -> list[Block]:
    """Return the course of every school that may be named, in register order; empty where none is known."""
    if not product.names_schools or "direction" not in history.declines.columns:
        return []
    rows = sorted(history.declines.iter_rows(named=True), key=lambda item: _place(product, str(item["unit"])))
    if not rows:
        return []
    limit = product.pub.settings.bulletin_rows
    listed, whole = rows[:limit], len(rows) if len(rows) > limit else None
    level = typed(product.pub.settings.conf_level, "level")
    columns = [
        column("unit", phrase("bulletin.unit_type.school"), "words"),
        column("years", phrase(f"{_WORD}.years"), "count"),
        column("slope", phrase(f"{_WORD}.slope"), "gap"),
        column("interval", phrase("bulletin.head.interval", level=level), "interval_gap", soft=True),
        column("direction", phrase("bulletin.direction.head"), "direction"),
        column("detectable", phrase(f"{_WORD}.detectable"), "number2", soft=True),
        column("grade", phrase(f"{_WORD}.grade"), "words"),
    ]
    cells = [row(_cells(product, history, item)) for item in listed]
    notes = [] if whole is None else [phrase("product.cut", shown=len(listed), n=whole)]
    lacking = Counter(item.get("evidence_reason") for item in rows if item["evidence_grade"] is None)
    notes += [
        phrase(f"{_WORD}.reason_note", n=n, reason=_reason(product, code))
        for code, n in sorted((code, n) for code, n in lacking.items() if code)
    ]
    return [table(f"courses_{year_group.lower()}", _caption(product, year_group), columns, cells, notes, whole=whole)]


def _reason(product: ProductView, code: str) -> Any:
    if code == "withheld":
        return phrase("reasons.below_min_n", n=product.pub.settings.min_n_reporting)
    key = f"declines.reason.{code}"
    return phrase(key) if has_text(key) else code


def _cells(product: ProductView, history: PublishableHistory, item: Row) -> list[Any]:
    letter = item["evidence_grade"]
    interval = None if item["ci_lower"] is None else [item["ci_lower"], item["ci_upper"]]
    return [
        _name(product, history, item["unit"]),
        item["n_periods"],
        item["slope"],
        interval,
        item["direction"] or "too_little",
        item["min_detectable"],
        None if letter is None else phrase(f"{_WORD}.grade_{letter}"),
    ]


def course_figure(product: ProductView, history: PublishableHistory, year_group: str) -> Block | None:
    """Return small multiples of the schools with a sign of falling in a subject; None where there is none."""
    found = history.declines
    if "evidence_grade" not in found.columns or history.series.is_empty():
        return None
    found = found.filter(pl.col("evidence_grade").is_in(_LETTERS)).sort("evidence_grade", "slope", "unit")
    if found.is_empty():
        return None
    periods = [str(period) for period in history.model["periods"]]
    courses: list[Course] = []
    for item in found.head(COURSES_LIMIT).iter_rows(named=True):
        own = history.series.filter((pl.col("unit") == item["unit"]) & pl.col("used") & pl.col("estimate").is_not_null())
        dots = [
            (periods.index(str(line["period"])), line["estimate"], line["ci_lower"], line["ci_upper"])
            for line in own.sort("period").iter_rows(named=True)
        ]
        label = phrase("bulletin.paper_in_group", paper=_name(product, history, item["unit"]), group=item["evidence_grade"])
        courses.append((label, "same" if item["evidence_grade"] == "C" else "below", dots))
    cut = "figure_cut" if len(found) > len(courses) else "figure_whole"
    said: dict[str, Any] = {
        "n": len(found),
        "first": periods[0],
        "last": periods[-1],
        "level": typed(product.pub.settings.conf_level, "level"),
        "area": product.area_word,
        "subject": product.subject_name(product.pub.unit),
        "cut": phrase(f"{_WORD}.{cut}", shown=len(courses)),
    }
    return chart(
        f"subject_courses_{year_group.lower()}",
        phrase(f"{_WORD}.figure_title", **said),
        phrase("product.subject.figure_caption", **said),
        phrase("product.subject.figure_alt", **said),
        draw_courses(courses, [period[:4] for period in periods], product.lang),
        f"courses_{year_group.lower()}",
    )
