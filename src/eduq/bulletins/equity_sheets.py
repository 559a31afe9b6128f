"""The sheets of tables.xlsx that hold the equity of the area: every index, every school year, every change a year."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from eduq.bulletins.equity_section import equity_reason, side_name
from eduq.bulletins.formats import joined, say
from eduq.locale import text

if TYPE_CHECKING:
    from eduq.bulletins.workbook import SheetWriter

__all__ = ["add_equity_sheets"]

_NUMBERS = (("value", "value"), ("ci_lower", "lower"), ("ci_upper", "upper"), ("std_error", "std_error"))


def _worded(writer: SheetWriter, frame: pl.DataFrame) -> pl.DataFrame:
    """Return a frame of indices with the words that a sheet shows."""
    view, lang = writer.view, writer.view.lang
    names = {code: say(view.subject_name(code), lang) for code in frame["subject"].drop_nulls().unique()}
    sides: dict[tuple[str, str], str] = {}
    for attribute, level, reference in frame.select("attribute", "level", "reference").unique().iter_rows():
        for side in (level, reference):
            if side is not None:
                sides[attribute, side] = say(side_name(view, attribute, side), lang)
    kinds = {code: say(view.subgroup_name(code), lang) for code in frame["attribute"].drop_nulls().unique()}
    kinds |= {code: writer.word(f"equity.attribute_{code}") for code in kinds if code in ("area_type", "sex")}
    shown = {
        name: [sides.get((attribute, side)) for attribute, side in frame.select("attribute", name).iter_rows()]
        for name in ("level", "reference")
    }
    reasons = {code: say(equity_reason(view, code), lang) for code in frame["reason"].drop_nulls().unique()}
    indices = {code: text(f"equity.index.{code}", lang) for code in frame["index"].unique()}
    return frame.with_columns(
        pl.col("subject").replace(names),
        pl.col("index").replace(indices),
        pl.col("attribute").replace(kinds),
        pl.col("reason").replace(reasons),
        *(pl.Series(name, values, dtype=pl.String) for name, values in shown.items()),
    )


def add_equity_sheets(writer: SheetWriter) -> None:
    """Add the sheets of the equity; none where the exam is of one school."""
    found = writer.view.pub.equity
    if found is None:
        return
    view, lang = writer.view, writer.view.lang
    methods = {code: text(f"equity.method.{code}", lang) for code in found.frame["method"].drop_nulls().unique()}
    methods |= {code: text(f"equity.method.{code}", lang) for code in found.years["method"].drop_nulls().unique()}
    states = {state: writer.word(f"equity.state_{state}") for state in ("below", "above", "undecided", "not_assessable")}
    groups = {
        group: say(joined(list(view.group_parts(group, whole=True)), "，"), lang)
        for group in found.frame["comparison_group"].unique()
    }
    heads = [
        writer.words("subject", writer.word("workbook.paper"), 12),
        writer.words("index", writer.word("equity.index"), 30),
        writer.words("attribute", writer.word("equity.attribute"), 10),
        writer.words("level", writer.word("equity.level"), 10),
        writer.words("reference", writer.word("equity.reference"), 10),
    ]
    numbers = [writer.number(name, writer.word(f"equity.{key}"), "number4") for name, key in _NUMBERS]
    counts = [
        writer.number("n_units", writer.word("equity.schools"), "count", 8),
        writer.number("n", writer.word("workbook.n"), "count", 9),
    ]
    tail = [writer.words("method", writer.word("equity.method"), 26), writer.words("reason", writer.word("history.reason"), 30)]
    limit = [
        writer.number("limit", writer.word("equity.limit_head"), "number2", 8),
        writer.words("limit_state", writer.word("equity.state"), 12),
        writer.words("limit_source", writer.word("equity.source"), 40),
    ]
    frame = _worded(writer, found.frame).with_columns(
        pl.col("method").replace(methods),
        pl.col("limit_state").replace(states),
        pl.col("comparison_group").replace(groups),
    )
    group = [writer.words("comparison_group", writer.word("workbook.group"), 16)]
    writer.add(writer.word("sheet.equity"), frame, [*heads, *group, *counts, *numbers, *limit, *tail], fixed=2)
    if found.years.is_empty():
        return
    years = _worded(writer, found.years).with_columns(pl.col("method").replace(methods))
    year = [writer.words("school_year", writer.word("history.period"))]
    writer.add(writer.word("sheet.equity_years"), years, [*heads, *year, *counts, *numbers, *tail], fixed=2)
    course = [
        writer.number("n_periods", writer.word("history.years"), "count", 8),
        writer.words("first", writer.word("history.period_from")),
        writer.words("last", writer.word("history.period_to")),
        writer.number("slope", writer.word("equity.slope"), "number4"),
        *numbers[1:],
        writer.number("p_value", writer.word("equity.p"), "number4"),
        tail[1],
    ]
    writer.add(writer.word("sheet.equity_course"), _worded(writer, found.course), [*heads, *course], fixed=2)
