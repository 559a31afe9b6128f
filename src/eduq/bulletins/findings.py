"""Sections three to five: facts the data give, and marked places for what only a person can write."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from eduq.bulletins.blocks import Block, Phrase, column, items, paragraph, row, section, table, to_fill
from eduq.bulletins.cells import interval_of
from eduq.bulletins.formats import phrase, typed
from eduq.bulletins.view import Row, View, judge
from eduq.groups import DERIVED

__all__ = ["finding_sections"]

_NAMED = 12
"""How many units a sentence names before it says that there are more."""


def _some(said: Sequence[Any]) -> tuple[list[Any], Phrase]:
    more = "bulletin.finding.more" if len(said) > _NAMED else "bulletin.finding.no_more"
    return list(said[:_NAMED]), phrase(more)


def _participation(view: View) -> list[Phrase]:
    bound = view.settings.participation_warning
    said: list[Phrase] = []
    low = []
    for paper in view.real_papers:
        for group in view.area_groups[paper]:
            item = view.area.get((group, paper, "participation_rate"))
            if item is not None and item["estimate"] is not None and item["estimate"] < bound:
                low.append(
                    phrase(
                        "bulletin.finding.paper_rate",
                        paper=view.paper_label(group, paper),
                        rate=typed(item["estimate"], "percent"),
                    )
                )
    if low:
        said.append(phrase("bulletin.finding.participation_papers", bound=typed(bound, "level"), papers=low))
    if "school" in view.unit_types:
        frame = view.of("school").filter(
            (pl.col("measure") == "participation_rate") & (pl.col("estimate") < bound) & ~pl.col("paper").is_in(DERIVED)
        )
        lowest = frame.sort("unit", "estimate", "paper").unique("unit", keep="first", maintain_order=True)
        named = [
            phrase(
                "bulletin.finding.school_rate",
                school=view.unit_name("school", item["unit"]),
                paper=view.paper_name(item["paper"]),
                rate=typed(item["estimate"], "percent"),
            )
            for item in view.sorted_units("school", lowest)[: _NAMED + 1]
        ]
        if named:
            schools, more = _some(named)
            said.append(
                phrase(
                    "bulletin.finding.participation_schools",
                    n=len(lowest),
                    bound=typed(bound, "level"),
                    schools=schools,
                    more=more,
                )
            )
    return said


def _gaps(view: View) -> list[Phrase]:
    if view.gap_paper is None:
        return []
    paper, measure = view.gap_paper
    said: list[Phrase] = []
    rows = [item for _, group in view.compared("school", paper, measure) for item in group] if "school" in view.unit_types else []
    below = [item for item in rows if judge(item) == "below"]
    if below:
        named = [
            phrase(
                "bulletin.finding.school_gap", school=view.unit_name("school", item["unit"]), gap=typed(item["estimate"], "gap")
            )
            for item in below[: _NAMED + 1]
        ]
        schools, more = _some(named)
        level = typed(view.settings.conf_level, "level")
        said.append(phrase("bulletin.finding.below", level=level, area=view.area_word, n=len(below), schools=schools, more=more))
    if "area_type" in view.unit_types:
        parts = [item for _, group in view.compared("area_type", paper, measure) for item in group]
        said += [_part_below(view, item) for item in parts if judge(item) == "below"]
    return said


def _part_below(view: View, item: Row) -> Phrase:
    return phrase(
        "bulletin.finding.part_below",
        unit=view.unit_name("area_type", item["unit"]),
        gap=typed(item["estimate"], "gap"),
        interval=typed(interval_of(item), "interval_gap"),
        area=view.area_word,
    )


def _low_rates(view: View) -> list[Phrase]:
    rates = []
    for paper in view.real_papers:
        for group in view.area_groups[paper][:1]:
            item = view.area.get((group, paper, "low_score_rate"))
            if item is not None and item["estimate"] is not None:
                rates.append(
                    phrase("bulletin.finding.paper_rate", paper=view.paper_name(paper), rate=typed(item["estimate"], "percent"))
                )
    return [phrase("bulletin.finding.low_rates", papers=rates)] if rates else []


def _not_comparable(view: View) -> list[Phrase]:
    said: list[Phrase] = []
    if view.gap_paper is not None and "school" in view.unit_types:
        rows = [
            item
            for group in view.gap_rows("school", *view.gap_paper).values()
            for item in group
            if item["estimate"] is None and item["reason"]
        ]
        names = list(dict.fromkeys(item["unit"] for item in sorted(rows, key=lambda item: view.position("school", item["unit"]))))
        if names:
            schools, more = _some([view.unit_name("school", unit) for unit in names[: _NAMED + 1]])
            said.append(phrase("bulletin.finding.not_comparable", n=len(names), schools=schools, more=more))
    bound = view.settings.uncertain_scale_below
    frame = view.pub.comparability.filter(pl.col("comparable") & (pl.col("n_present") < bound) & ~pl.col("paper").is_in(DERIVED))
    small = [view.paper_label(item["comparison_group"], item["paper"]) for item in frame.iter_rows(named=True)]
    if small:
        said.append(phrase("bulletin.finding.scale", n=bound, papers=small))
    return said


def _warnings(view: View) -> list[Phrase]:
    n = int((view.pub.checks["level"].cast(pl.String) == "warning").sum())
    return [phrase("bulletin.finding.warnings", n=n)] if n else []


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
    facts = [*_participation(view), *_gaps(view), *_low_rates(view), *_not_comparable(view), *_warnings(view)]
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
