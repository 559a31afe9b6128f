"""The sheets of tables.xlsx that hold the change over the years: every school, every year, every exam."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from eduq.bulletins.formats import say
from eduq.bulletins.history import school_name, series_reason
from eduq.disclosure import PublishableHistory
from eduq.groups import COMPOSITE
from eduq.locale import text

if TYPE_CHECKING:
    from eduq.bulletins.sheets import SheetColumn
    from eduq.bulletins.workbook import SheetWriter

__all__ = ["add_history_sheets"]

_COUNTS = (("n_periods", "years"), ("n_min", "n_min"))
_COURSE = (
    ("slope", "slope", "gap"),
    ("ci_lower", "lower", "gap"),
    ("ci_upper", "upper", "gap"),
    ("std_error", "std_error", "number3"),
    ("p_value", "p", "number4"),
    ("q_value", "q", "number4"),
    ("holm_p", "holm", "number4"),
    ("slope_shrunken", "shrunken", "gap"),
    ("min_detectable", "detectable", "number2"),
    ("run_declines", "falls", "count"),
    ("rank", "rank", "count"),
    ("n_units", "n_units", "count"),
    ("p_last", "p_last", "number2"),
)


def _named(writer: SheetWriter, frame: pl.DataFrame) -> pl.DataFrame:
    """Add the name of each school, and put the lines in the order of the register."""
    view = writer.view
    units = frame["unit"].unique().to_list()
    ordered = sorted(units, key=lambda unit: view.position("school", unit))
    names = {unit: say(school_name(view, unit), view.lang) for unit in units}
    place = {unit: number for number, unit in enumerate(ordered)}
    return frame.with_columns(
        pl.col("unit").replace(names).alias("unit_name"),
        pl.col("unit").replace_strict(place, default=None, return_dtype=pl.Int64).alias("_unit"),
    ).sort("_unit", maintain_order=True)


def _heads(writer: SheetWriter, *, subject: bool = False) -> list[SheetColumn]:
    columns = [
        writer.words("unit", writer.word("workbook.unit_code"), 12),
        writer.words("unit_name", writer.word("workbook.unit"), 20),
    ]
    return [*columns, writer.words("subject_name", writer.word("workbook.paper"), 12)] if subject else columns


def _add_declines(writer: SheetWriter, sheet: str, frame: pl.DataFrame, *, subject: bool = False) -> None:
    view = writer.view
    reasons = {
        code: say(series_reason(view, code), view.lang) for code in frame["evidence_reason"].drop_nulls().unique().to_list()
    }
    yes_no = {True: writer.word("history.is_yes"), False: writer.word("history.is_no")}
    grades = {letter: writer.word(f"history.grade_{letter}") for letter in "ABCD"}
    subjects = {code: say(view.subject_name(code), view.lang) for code in frame["subject"].unique().to_list()}
    named = _named(writer, frame).with_columns(
        pl.col("subject").replace(subjects).alias("subject_name"),
        pl.col("evidence_grade").replace_strict(grades, default=None, return_dtype=pl.String),
        pl.col("evidence_reason").replace(reasons),
        pl.col("could_be_last").replace_strict(yes_no, default=None, return_dtype=pl.String),
    )
    heads = _heads(writer, subject=subject)
    columns = [*heads, *(writer.number(name, writer.word(f"history.{key}"), "count", 8) for name, key in _COUNTS)]
    columns += [writer.words("first", writer.word("history.period_from")), writer.words("last", writer.word("history.period_to"))]
    columns += [writer.number(name, writer.word(f"history.{key}"), kind) for name, key, kind in _COURSE]
    columns += [
        writer.words("could_be_last", writer.word("history.could_be_last"), 10),
        writer.words("evidence_grade", writer.word("history.grade"), 12),
        writer.words("evidence_reason", writer.word("history.reason"), 24),
    ]
    writer.add(writer.word(f"sheet.{sheet}"), named, columns, fixed=len(heads))


def _add_series(writer: SheetWriter, history: PublishableHistory) -> None:
    view = writer.view
    codes = history.series["reason"].drop_nulls().unique().to_list()
    reasons = {
        code: say(view.reason_said(code), view.lang)
        if code == "below_min_n"
        else text(f"declines.series_reason.{code}", view.lang)
        for code in codes
    }
    named = _named(writer, history.series.sort("unit", "period")).with_columns(pl.col("reason").replace(reasons))
    columns = [*_heads(writer), writer.words("period", writer.word("history.period"))]
    columns.append(writer.number("n", writer.word("workbook.n"), "count", 8))
    of_subject = "subject" in history.series.columns and not (history.series["subject"] == COMPOSITE).any()
    value = "estimate_subject" if of_subject else "estimate"
    for name, key in (("estimate", value), ("ci_lower", "lower"), ("ci_upper", "upper"), ("relative", "relative")):
        columns.append(writer.number(name, writer.word(f"history.{key}"), "gap"))
    columns.append(writer.words("reason", writer.word("history.reason"), 24))
    writer.add(writer.word("sheet.history_series"), named, columns, fixed=3)
    changes = _named(writer, history.changes.sort("unit", "period_from"))
    columns = [*_heads(writer)]
    columns += [writer.words(name, writer.word(f"history.{name}")) for name in ("period_from", "period_to")]
    for name, key in (
        ("change", "change"),
        ("relative_change", "relative_change"),
        ("ci_lower", "lower"),
        ("ci_upper", "upper"),
    ):
        columns.append(writer.number(name, writer.word(f"history.{key}"), "gap"))
    writer.add(writer.word("sheet.history_changes"), changes, columns, fixed=2)


def _add_exams(writer: SheetWriter, history: PublishableHistory) -> None:
    view = writer.view
    used = {True: writer.word("history.is_yes"), False: writer.word("history.is_no")}
    codes = history.left_out["reason"].drop_nulls().unique().to_list()
    groups = {
        code: text(f"bulletin.year_group.{code}", view.lang) for code in history.left_out["year_group"].drop_nulls().unique()
    }
    frame = history.left_out.with_columns(
        pl.col("used").replace_strict(used, return_dtype=pl.String),
        pl.col("reason").replace({code: text(f"series_reasons.{code}", view.lang) for code in codes}),
        pl.col("year_group").replace(groups),
    )
    columns = [
        writer.words("exam_id", writer.word("history.exam"), 24),
        writer.words("school_year", writer.word("history.period")),
        writer.words("year_group", text("bulletin.fact.year_group", view.lang)),
        writer.words("used", writer.word("history.used_head"), 8),
        writer.words("reason", writer.word("history.reason"), 30),
    ]
    writer.add(writer.word("sheet.history_exams"), frame, columns)


def add_history_sheets(writer: SheetWriter) -> None:
    """Add the sheets of the history; none without one."""
    history = writer.view.pub.history
    if history is None:
        return
    if not history.declines.is_empty():
        _add_declines(writer, "history", history.declines)
        _add_series(writer, history)
    if not history.subjects.is_empty():
        _add_declines(writer, "history_subjects", history.subjects, subject=True)
    if not history.left_out.is_empty():
        _add_exams(writer, history)
