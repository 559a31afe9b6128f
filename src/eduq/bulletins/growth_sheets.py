"""The sheets of tables.xlsx that hold growth, flows between bands, the low groups and who is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from eduq.bulletins.formats import say
from eduq.bulletins.growth_section import growth_reason
from eduq.disclosure.growths import PublishableGrowth
from eduq.locale import has_text, text

if TYPE_CHECKING:
    from eduq.bulletins.sheets import SheetColumn
    from eduq.bulletins.workbook import SheetWriter

__all__ = ["add_growth_sheets"]

_GROWTH = (
    ("n_listed", "listed_now", "count"),
    ("n", "n", "count"),
    ("match_rate", "match", "rate"),
    ("estimate", "value", "number3"),
    ("ci_lower", "lower", "number3"),
    ("ci_upper", "upper", "number3"),
    ("std_error", "std_error", "number3"),
    ("reliability", "reliability", "number2"),
    ("prior_mean", "prior_mean", "gap"),
    ("unmatched_prior_z", "unmatched", "gap"),
)
_FLOWS = (
    ("count", "count", "count"),
    ("n", "of_n", "count"),
    ("estimate", "rate", "rate"),
    ("ci_lower", "lower", "rate"),
    ("ci_upper", "upper", "rate"),
    ("expected", "expected", "rate"),
    ("difference", "difference", "change"),
    ("difference_lower", "lower_gap", "change"),
    ("difference_upper", "upper_gap", "change"),
)


def _worded(writer: SheetWriter, frame: pl.DataFrame, kind: str) -> pl.DataFrame:
    """Add names of units, papers and groups and words for reasons; lines in the order of the register, the area first."""
    view = writer.view
    lang = view.lang
    pairs = frame.select("unit_type", "unit").unique().rows()
    names = {unit: say(view.unit_name(kind_of, unit), lang) for kind_of, unit in pairs}
    ordered = sorted(pairs, key=lambda pair: (pair[0] != "area", view.position(kind, pair[1])))
    place = {unit: number for number, (_, unit) in enumerate(ordered)}
    papers = {code: say(view.paper_name(code), lang) for code in frame["paper"].unique().to_list()}
    groups = {group: say(view.group_parts(group, whole=True), lang) for group in frame["comparison_group"].unique().to_list()}
    reasons = {code: say(growth_reason(view, code), lang) for code in frame["reason"].drop_nulls().unique().to_list()}
    return frame.with_columns(
        pl.col("unit").replace(names).alias("unit_name"),
        pl.col("unit").replace_strict(place, return_dtype=pl.Int64).alias("_unit"),
        pl.col("paper").replace(papers).alias("paper_name"),
        pl.col("comparison_group").replace_strict(groups, return_dtype=pl.String).alias("group_name"),
        pl.col("reason").replace(reasons),
    ).sort("_unit", maintain_order=True)


def _heads(writer: SheetWriter, frame: pl.DataFrame) -> list[SheetColumn]:
    columns = [
        writer.words("unit", writer.word("workbook.unit_code"), 12),
        writer.words("unit_name", writer.word("workbook.unit"), 20),
        writer.words("paper_name", writer.word("workbook.paper"), 12),
    ]
    if frame["group_name"].str.len_chars().sum():
        columns.append(writer.words("group_name", writer.word("workbook.group"), 18))
    return columns


def _word(writer: SheetWriter, section: str, code: str | None) -> str | None:
    """Return the word of a code, or the code."""
    if code is None:
        return None
    key = f"bulletin.{section}.{code}"
    return text(key, writer.view.lang) if has_text(key) else code


def _add_units(writer: SheetWriter, growth: PublishableGrowth) -> None:
    ways = {code: _word(writer, "growth.way", code) for code in growth.frame["growth"].unique().to_list()}
    frame = _worded(writer, growth.frame, growth.unit_type).with_columns(pl.col("growth").replace(ways))
    columns = [*_heads(writer, frame), writer.words("growth", writer.word("growth.way_head"), 18)]
    fixed = len(columns) - 1
    columns += [writer.number(name, writer.word(f"growth.sheet_{key}"), kind) for name, key, kind in _GROWTH]
    columns += [
        writer.words("agreement", writer.word("growth.agreement"), 8),
        writer.words("prior_exams", writer.word("growth.sheet_prior"), 24),
        writer.words("reason", writer.word("workbook.reason"), 24),
    ]
    writer.add(writer.word("sheet.growth"), frame, columns, fixed=fixed)


def _add_flows(writer: SheetWriter, flows: pl.DataFrame, kind: str, sheet: str) -> None:
    words = {
        name: {code: _word(writer, section, code) for code in flows[name].drop_nulls().unique().to_list()}
        for name, section in (("flow", "focus.flow"), ("band_from", "focus.band"), ("band_to", "focus.band"))
    }
    frame = _worded(writer, flows, kind).with_columns(pl.col(name).replace(found) for name, found in words.items())
    columns = _heads(writer, frame)
    fixed = len(columns)
    columns += [writer.words(name, writer.word(f"focus.sheet_{name}"), 14) for name in ("flow", "band_from", "band_to")]
    columns += [writer.number(name, writer.word(f"focus.sheet_{key}"), form) for name, key, form in _FLOWS]
    columns += [
        writer.words("prior_exam", writer.word("growth.sheet_prior"), 24),
        writer.words("reason", writer.word("workbook.reason"), 24),
    ]
    writer.add(writer.word(f"sheet.{sheet}"), frame, columns, fixed=fixed)


def _add_missing(writer: SheetWriter, missing: pl.DataFrame) -> None:
    view = writer.view
    names = {
        school: writer.word("growth.missing_band.all") if school == "all" else say(view.unit_name("school", school), view.lang)
        for school in missing["school_id"].unique().to_list()
    }
    place = {
        school: n for n, school in enumerate(sorted(names, key=lambda school: (school != "all", view.position("school", school))))
    }
    bands = {code: _word(writer, "growth.missing_band", code) for code in missing["prior_band"].unique().to_list()}
    frame = missing.with_columns(
        pl.col("school_id").replace(names).alias("unit_name"),
        pl.col("school_id").replace_strict(place, return_dtype=pl.Int64).alias("_unit"),
        pl.col("prior_band").replace(bands),
        (pl.col("n_listed") - pl.col("n_linked")).alias("gone"),
    ).sort("_unit", maintain_order=True)
    columns = [
        writer.words("school_id", writer.word("workbook.unit_code"), 12),
        writer.words("unit_name", writer.word("workbook.unit"), 20),
        writer.words("prior_exam", writer.word("growth.sheet_prior"), 24),
        writer.words("prior_band", writer.word("growth.missing_head"), 14),
        writer.number("n_listed", writer.word("growth.listed"), "count"),
        writer.number("n_linked", writer.word("growth.linked"), "count"),
        writer.number("gone", writer.word("growth.gone"), "count"),
    ]
    writer.add(writer.word("sheet.growth_missing"), frame, columns, fixed=2)


def add_growth_sheets(writer: SheetWriter) -> None:
    """Add the sheets of growth; none without it."""
    growth = writer.view.pub.growth
    if growth is None:
        return
    if not growth.frame.is_empty():
        _add_units(writer, growth)
    if not growth.flows.is_empty():
        _add_flows(writer, growth.flows, growth.unit_type, "growth_flows")
    if not growth.low_groups.is_empty():
        _add_flows(writer, growth.low_groups, growth.unit_type, "growth_low")
    if not growth.missing.is_empty():
        _add_missing(writer, growth.missing)
