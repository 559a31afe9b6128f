"""Sections three to five: facts the data give, and marked places for what only a person can write."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from eduq.bulletins.blocks import Block, Phrase, column, items, paragraph, row, section, table, to_fill
from eduq.bulletins.cells import interval_of, level_rates
from eduq.bulletins.formats import counted, phrase, typed
from eduq.bulletins.history import falling_schools, school_name
from eduq.bulletins.reading import Row, is_barred, judge
from eduq.bulletins.view import View
from eduq.groups import DERIVED

__all__ = ["finding_sections"]

_NAMED = 12
"""How many units a sentence names before it says that there are more."""


def _some(said: Sequence[Any]) -> tuple[list[Any], Phrase]:
    """Return the first of a list, and the words that say how many more there are."""
    more = len(said) - _NAMED
    return list(said[:_NAMED]), phrase("bulletin.finding.more", n=more) if more > 0 else phrase("bulletin.finding.no_more")


def _participation(view: View) -> list[Phrase]:
    bound = view.settings.participation_warning
    said: list[Phrase] = []
    low = [
        phrase("bulletin.finding.paper_rate", paper=view.paper_label(group, paper), rate=typed(present / expected, "percent"))
        for paper in view.real_papers
        for group in view.area_groups[paper]
        for expected, present in [view.area_counts[group, paper]]
        if expected and present / expected < bound
    ]
    if low:
        said.append(phrase("bulletin.finding.participation_papers", bound=typed(bound, "level"), papers=low))
    if "school" in view.unit_types:
        counts = (
            view.of("school")
            .filter(~pl.col("paper").is_in(DERIVED) & (pl.col("n_expected") > 0))
            .group_by("unit", "comparison_group", "paper")
            .agg(pl.col("n_present", "n_expected").max())
            .with_columns((pl.col("n_present") / pl.col("n_expected")).alias("rate"))
        )
        lowest = counts.filter(pl.col("rate") < bound).sort("unit", "rate", "paper", "comparison_group")
        lowest = lowest.unique("unit", keep="first", maintain_order=True)
        named = [
            phrase(
                "bulletin.finding.school_rate",
                school=view.unit_name("school", item["unit"]),
                paper=view.paper_label(item["comparison_group"], item["paper"]),
                rate=typed(item["rate"], "percent"),
            )
            for item in view.sorted_units("school", lowest)
        ]
        if named:
            schools, more = _some(named)
            n = counted("school", len(named))
            said.append(
                phrase("bulletin.finding.participation_schools", n=n, bound=typed(bound, "level"), schools=schools, more=more)
            )
        said += _without_candidates(view)
    return said


def _without_candidates(view: View) -> list[Phrase]:
    """Return the line that names schools in which nobody was expected: they stand in no table of results."""
    expected = view.of("school").filter(~pl.col("paper").is_in(DERIVED)).group_by("unit").agg(pl.col("n_expected").max())
    empty = expected.filter(pl.col("n_expected") == 0)
    if empty.is_empty():
        return []
    schools, more = _some([view.unit_name("school", item["unit"]) for item in view.sorted_units("school", empty)])
    return [phrase("bulletin.finding.no_candidates", n=counted("school", len(empty)), schools=schools, more=more)]


def _gaps(view: View) -> list[Phrase]:
    if view.gap_paper is None:
        return []
    paper, measure = view.gap_paper
    said: list[Phrase] = []
    for unit_type in view.compared_units[:1]:
        groups = view.compared(unit_type, paper, measure)
        for group, rows in groups:
            below = [item for item in rows if judge(item) == "below"]
            if below:
                said.append(_below(view, unit_type, group, below, several=len(groups) > 1))
    if "area_type" in view.unit_types:
        groups = view.compared("area_type", paper, measure)
        said += [
            _part_below(view, group, item, several=len(groups) > 1)
            for group, rows in groups
            for item in rows
            if judge(item) == "below"
        ]
    return said


def _gap_name(view: View, group: str, *, several: bool) -> Phrase:
    """Return the name of the gap, with the comparison group where there are several."""
    if not several or view.gap_paper is None:
        return view.gap_name
    return phrase("bulletin.paper_in_group", paper=view.gap_name, group=view.group_label(group, view.gap_paper[0]))


def _below(view: View, unit_type: str, group: str, below: list[Row], *, several: bool) -> Phrase:
    named = [
        phrase("bulletin.finding.school_gap", school=view.unit_name(unit_type, item["unit"]), gap=typed(item["estimate"], "gap"))
        for item in below
    ]
    units, more = _some(named)
    return phrase(
        "bulletin.finding.below",
        level=typed(view.settings.conf_level, "level"),
        gap=_gap_name(view, group, several=several),
        area=view.area_word,
        n=counted(unit_type, len(below)),
        schools=units,
        more=more,
    )


def _part_below(view: View, group: str, item: Row, *, several: bool) -> Phrase:
    return phrase(
        "bulletin.finding.part_below",
        unit=view.unit_name("area_type", item["unit"]),
        name=_gap_name(view, group, several=several),
        gap=typed(item["estimate"], "gap"),
        interval=typed(interval_of(item), "interval_gap"),
        area=view.area_word,
    )


def _history(view: View) -> list[Phrase]:
    """Return the line that names the schools whose composite falls from year to year, as far as the evidence is strong."""
    rows = falling_schools(view, ("A", "B"))
    if not rows:
        return []
    named = [
        phrase(
            "bulletin.finding.history_school",
            school=school_name(view, item["unit"]),
            letter=item["evidence_grade"],
            slope=typed(item["slope"], "gap"),
        )
        for item in rows
    ]
    schools, more = _some(named)
    return [phrase("bulletin.finding.history", n=counted("school", len(rows)), schools=schools, more=more)]


def _low_rates(view: View) -> list[Phrase]:
    """Return one line per rate of low scores that was computed, every main group of each paper in it."""
    rates, _ = level_rates(view, {measure for _, _, measure in view.area})
    said = []
    for name in rates:
        if view.pub.measures[name].get("below") is None:
            continue
        papers = [
            phrase("bulletin.finding.paper_rate", paper=view.paper_label(group, paper), rate=typed(item["estimate"], "percent"))
            for paper in view.real_papers
            for group in view.main_groups(paper)
            for item in [view.area.get((group, paper, name))]
            if item is not None and item["estimate"] is not None
        ]
        if papers:
            said.append(phrase("bulletin.finding.low_rates", name=view.measure_name(name), papers=papers))
    return said


def _not_comparable(view: View) -> list[Phrase]:
    said: list[Phrase] = []
    if view.gap_paper is not None and view.n_schools > 1:
        rows = [item for group in view.gap_rows("school", *view.gap_paper).values() for item in group]
        shown = {item["unit"] for item in rows if item["estimate"] is not None}
        for key, chosen in (("not_comparable", is_barred), ("withheld", _is_withheld)):
            units = {item["unit"] for item in rows if chosen(item)} - shown
            if units:
                ordered = sorted(units, key=lambda unit: view.position("school", unit))
                schools, more = _some([view.unit_name("school", unit) for unit in ordered])
                n = counted("school", len(units))
                said.append(phrase(f"bulletin.finding.{key}", n=n, least=view.min_n, schools=schools, more=more))
    bound = view.settings.uncertain_scale_below
    frame = view.pub.comparability.filter(pl.col("comparable") & (pl.col("n_present") < bound) & ~pl.col("paper").is_in(DERIVED))
    small = [view.paper_label(item["comparison_group"], item["paper"]) for item in frame.iter_rows(named=True)]
    if small:
        said.append(phrase("bulletin.finding.scale", n=bound, papers=small))
    return said


def _is_withheld(item: Row) -> bool:
    return item["estimate"] is None and item["reason"] == "below_min_n"


def _warnings(view: View) -> list[Phrase]:
    n = int((view.pub.checks["level"].cast(pl.String) == "warning").sum())
    return [phrase("bulletin.finding.warnings", n=counted("warning", n))] if n else []


def _actions_table() -> Block:
    columns = [
        column("matter", phrase("bulletin.head.matter"), "words"),
        column("office", phrase("bulletin.head.office"), "words"),
        column("deadline", phrase("bulletin.head.deadline"), "words"),
    ]
    empty = row([phrase("bulletin.fill.cell")] * 3)
    return table("actions", phrase("bulletin.caption.actions"), columns, [empty])


def finding_sections(view: View) -> list[Block]:
    """Return 存在的问题, 原因分析 and 下一步工作."""
    facts = [*_participation(view), *_gaps(view), *_history(view), *_low_rates(view), *_not_comparable(view), *_warnings(view)]
    found: list[Block] = (
        [paragraph(phrase("bulletin.finding.lead")), items(facts, ordered=True)]
        if facts
        else [paragraph(phrase("bulletin.finding.none"))]
    )
    return [
        section("findings", 1, phrase("bulletin.heading.findings"), found),
        section("causes", 1, phrase("bulletin.heading.causes"), [to_fill(phrase("bulletin.fill.causes"))]),
        section("actions", 1, phrase("bulletin.heading.actions"), [to_fill(phrase("bulletin.fill.actions")), _actions_table()]),
    ]
