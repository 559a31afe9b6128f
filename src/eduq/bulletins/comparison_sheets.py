"""The sheets of tables.xlsx that hold the comparison of units: every unit, paper, measure and peer group."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from eduq.bulletins.comparison_words import comparison_reason, could_be, funnel_place, peer_label
from eduq.bulletins.formats import measure_kind, say
from eduq.estimates.exam_comparisons import COMPARED_RATES
from eduq.estimates.exam_references import OUTSIDE

if TYPE_CHECKING:
    from eduq.bulletins.workbook import SheetWriter
    from eduq.estimates.comparison import PairsResult

__all__ = ["add_comparison_sheets"]

_VALUES = ("estimate", "ci_lower", "ci_upper", "contrast", "contrast_lower", "contrast_upper", "shrunken")
_SIGNED = ("contrast", "contrast_lower", "contrast_upper")
_CHANCES = (("p_value", "number4"), ("q_value", "number4"), ("family_size", "count"), ("reliability", "number2"))
_COURSE = {"periods": "count", "estimate": "gap", "ci_lower": "gap", "ci_upper": "gap", "q_value": "number4"}
_PLACES = ("rank", "rank_lower", "rank_upper", "n_units")


def _worded(writer: SheetWriter, frame: pl.DataFrame) -> pl.DataFrame:
    """Add names and words, and put the lines in the order of papers, measures, peer groups and the register."""
    view = writer.view
    found = view.pub.comparisons
    unit_type = "school" if found is None else found.unit_type
    lang = view.lang

    def named(column: str, make: dict[str, str], name: str) -> pl.Expr:
        return pl.col(column).replace_strict(make, default=None, return_dtype=pl.String).alias(name)

    def values(column: str) -> list[str]:
        return frame[column].drop_nulls().unique().to_list()

    order = {unit: place for place, unit in enumerate(sorted(values("unit"), key=lambda unit: view.position(unit_type, unit)))}
    papers = {code: place for place, code in enumerate(view.area_groups)}
    ends = {
        (last, first): say(could_be({"could_be_last": last, "could_be_first": first}), lang)
        for last in (False, True)
        for first in (False, True)
    }
    funnels = {
        (inner, outer): say(funnel_place({"funnel": inner, "funnel_998": outer}), lang)
        for inner in ("low", "in", "high")
        for outer in ("low", "in", "high")
    }
    pairs = frame.select("could_be_last", "could_be_first", "funnel", "funnel_998").rows()
    return frame.with_columns(
        named("unit", {unit: say(view.unit_name(unit_type, unit), lang) for unit in values("unit")}, "unit_name"),
        named("paper", {code: say(view.paper_name(code), lang) for code in values("paper")}, "paper_name"),
        named(
            "comparison_group",
            {code: say(view.group_parts(code, whole=True), lang) for code in values("comparison_group")},
            "group",
        ),
        named("measure", {name: view.measure_name(name) for name in values("measure")}, "measure_name"),
        named("peer_group", {name: say(peer_label(view, name), lang) for name in values("peer_group")}, "peers"),
        named("reason", {code: say(comparison_reason(view, code), lang) for code in values("reason")}, "reason_said"),
        pl.Series("ends", [ends.get((last, first)) for last, first, _, _ in pairs], dtype=pl.String),
        pl.Series("funnel_said", [funnels.get((inner, outer or "in")) for _, _, inner, outer in pairs], dtype=pl.String),
        pl.col("paper").replace_strict(papers, default=len(papers), return_dtype=pl.Int64).alias("_paper"),
        pl.col("unit").replace_strict(order, return_dtype=pl.Int64).alias("_unit"),
    ).sort("measure", "_paper", "comparison_group", "peer_group", "_unit", maintain_order=True)


def _add(writer: SheetWriter, sheet: str, frame: pl.DataFrame, kind: str, signed: str) -> None:
    if frame.is_empty():
        return
    named = _worded(writer, frame)
    columns = [
        writer.words("unit", writer.word("workbook.unit_code"), 12),
        writer.words("unit_name", writer.word("workbook.unit"), 20),
        writer.words("paper_name", writer.word("workbook.paper"), 12),
        writer.words("measure_name", writer.word("comparisons.head_measure"), 16),
    ]
    fixed = len(columns)
    if named["group"].str.len_chars().sum():
        columns.append(writer.words("group", writer.word("workbook.group"), 18))
    if named["peers"].n_unique() > 1:
        columns.append(writer.words("peers", writer.word("comparisons.head_peers"), 14))
    columns.append(writer.number("n", writer.word("comparisons.head_n"), "count", 8))
    if (named["periods"].fill_null(1) > 1).any():
        columns.append(writer.number("periods", writer.word("comparisons.head_periods"), "count", 8))
    if named["reference"].is_not_null().any():
        columns.append(writer.number("reference", writer.word("comparisons.head_reference"), kind))
        columns.append(writer.words("reference_source", writer.word("comparisons.head_source"), 24))
    columns += [
        writer.number(name, writer.word(f"comparisons.sheet_{name}"), signed if name in _SIGNED else kind) for name in _VALUES
    ]
    columns += [writer.number(name, writer.word(f"comparisons.sheet_{name}"), form) for name, form in _CHANCES]
    columns += [writer.number(name, writer.word(f"comparisons.sheet_{name}"), "count", 8) for name in _PLACES]
    columns += [
        writer.words("ends", writer.word("comparisons.head_ends"), 14),
        writer.number("p_last", writer.word("comparisons.sheet_p_last"), "number2"),
        writer.words("funnel_said", writer.word("comparisons.head_funnel"), 16),
        writer.words("reason_said", writer.word("workbook.reason"), 30),
    ]
    writer.add(writer.word(f"sheet.{sheet}"), named, columns, fixed=fixed)


def add_comparison_sheets(writer: SheetWriter) -> None:
    """Add the sheets of the comparison; none where no two units can be compared."""
    found = writer.view.pub.comparisons
    if found is None:
        return
    rates = pl.col("measure").is_in(COMPARED_RATES)
    inside = found.frame.filter(pl.col("peer_group") != OUTSIDE)
    _add(writer, "comparisons", inside.filter(~rates), "gap", "gap")
    _add(writer, "comparisons_rates", inside.filter(rates), "rate", "change")
    outside = found.frame.filter(pl.col("peer_group") == OUTSIDE)
    marks = [name for name in outside["measure"].unique() if measure_kind(name, writer.view.pub.measures.get(name)) != "rate"]
    _add(writer, "references", outside.filter(pl.col("measure").is_in(marks)), "number2", "gap")
    _add(writer, "references_rates", outside.filter(~pl.col("measure").is_in(marks)), "rate", "change")
    if found.pairs is not None:
        for result in (found.pairs.pairs, found.pairs.clusters):
            if result is not None:
                _add_gaps(writer, result)


def _add_gaps(writer: SheetWriter, result: PairsResult) -> None:
    """Add the gaps of pairs or of the members of alliances, every year of them, with the course beside each."""
    view, keys = writer.view, [result.group, "unit", "partner"]
    names = {unit: say(view.unit_name("school", unit), view.lang) for unit in result.frame["unit"].unique().to_list()}
    names |= {unit: say(view.unit_name("school", unit), view.lang) for unit in result.frame["partner"].drop_nulls().to_list()}
    courses = result.course.select(*keys, *(pl.col(name).alias(f"course_{name}") for name in _COURSE))
    frame = result.frame.join(courses, on=keys, how="left", nulls_equal=True, maintain_order="left").with_columns(
        pl.col(name).replace_strict(names, default=None, return_dtype=pl.String).alias(f"{name}_name")
        for name in ("unit", "partner")
    )
    of_pairs = result.group == "pair_id"
    columns = [
        writer.words(result.group, writer.word(f"comparisons.sheet_{result.group}"), 12),
        writer.words("unit", writer.word("workbook.unit_code"), 12),
        writer.words("unit_name", writer.word("workbook.unit"), 20),
    ]
    if of_pairs:
        columns += [
            writer.words("partner", writer.word("comparisons.sheet_partner_code"), 12),
            writer.words("partner_name", writer.word("comparisons.sheet_partner"), 20),
        ]
    fixed = len(columns)
    if "period" in frame.columns:
        columns.append(writer.words("period", writer.word("history.period")))
    columns += [writer.number(name, writer.word(f"comparisons.sheet_{name}"), "count", 8) for name in ("n", "n_partner")]
    shown = ("estimate", "partner_estimate", "gap", "ci_lower", "ci_upper")
    heads = {"ci_lower": "gap_lower", "ci_upper": "gap_upper"}
    columns += [writer.number(name, writer.word(f"comparisons.sheet_{heads.get(name, name)}"), "gap") for name in shown]
    columns.append(writer.number("q_value", writer.word("comparisons.sheet_q_value"), "number4"))
    if result.course.height:
        columns += [
            writer.number(f"course_{name}", writer.word(f"comparisons.course_{name}"), kind) for name, kind in _COURSE.items()
        ]
    writer.add(writer.word(f"sheet.{'pairs' if of_pairs else 'clusters'}"), frame, columns, fixed=fixed)
