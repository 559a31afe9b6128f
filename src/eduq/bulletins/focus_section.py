"""Focus groups (重点群体): how pupils moved between three bands since an earlier exam, and the low group of each subject."""

from __future__ import annotations

from collections import Counter
from typing import Any

import polars as pl

from eduq.bulletins.blocks import Block, column, note, paragraph, row, section, table
from eduq.bulletins.cells import interval_column, interval_of, value_or_reason
from eduq.bulletins.comparisons import counter, units_counted
from eduq.bulletins.formats import phrase, typed
from eduq.bulletins.growth_section import growth_cut, growth_reason
from eduq.bulletins.view import COMPOSITE, View
from eduq.disclosure.growths import PublishableGrowth

__all__ = ["focus_section"]

_WORD = "bulletin.focus"
_BANDS = ("upper", "middle", "lower")
_RATES = (("conversion", "lower", "up_lower"), ("conversion", "middle", "up_middle"), ("band_retention", "upper", "kept"))
"""转化率 of the lower and of the middle band, 巩固率 of the upper band: flow, band_from, name of the column."""


def _main(view: View, flows: pl.DataFrame) -> list[tuple[str, str, str]]:
    """Return prior exam, comparison group and paper of the flows that the text shows."""
    papers = flows["paper"].unique(maintain_order=True).to_list()
    paper = COMPOSITE if COMPOSITE in papers else papers[0]
    own = flows.filter(pl.col("paper") == paper)
    keys = own.select("prior_exam", "comparison_group").unique(maintain_order=True).rows()
    shown = set(view.main_groups(paper))
    chosen = [(exam, group, paper) for exam, group in keys if group in shown]
    return chosen or [(exam, group, paper) for exam, group in keys[:1]]


def _part(flows: pl.DataFrame, key: tuple[str, str, str]) -> pl.DataFrame:
    exam, group, paper = key
    return flows.filter((pl.col("prior_exam") == exam) & (pl.col("comparison_group") == group) & (pl.col("paper") == paper))


def _share(area: pl.DataFrame, flow: str, band: str) -> dict[str, Any]:
    side = "band_from" if flow == "prior_band" else "band_to"
    found = area.filter((pl.col("flow") == flow) & (pl.col(side) == band))["estimate"].to_list()
    return typed(found[0] if found else None, "percent")


def _area_table(view: View, area: pl.DataFrame, suffix: str) -> Block:
    """Return the nine flows of the whole area."""
    columns = [
        column("from", phrase(f"{_WORD}.from"), "words"),
        column("n", phrase(f"{_WORD}.n"), "count"),
    ]
    for band in _BANDS:
        columns.append(column(f"{band}_n", phrase(f"{_WORD}.to_{band}"), "count"))
        columns.append(column(f"{band}_rate", phrase(f"{_WORD}.rate"), "rate"))
        columns.append(interval_column(view, "rate"))
    cells = {(item["band_from"], item["band_to"]): item for item in area.filter(flow="cell").iter_rows(named=True)}
    rows = []
    for start in _BANDS:
        found = [cells[start, end] for end in _BANDS]
        numbers: list[Any] = []
        for item in found:
            numbers += [item["count"], item["estimate"], interval_of(item)]
        rows.append(row([phrase(f"{_WORD}.band_{start}"), found[0]["n"], *numbers]))
    said = {
        f"{when}_{band}": _share(area, f"{flow}_band", band)
        for when, flow in (("before", "prior"), ("after", "outcome"))
        for band in ("upper", "lower")
    }
    notes = [phrase(f"{_WORD}.shares", **said), phrase(f"{_WORD}.wilson", level=typed(view.settings.conf_level, "level"))]
    return table(f"focus_area{suffix}", phrase(f"{_WORD}.area_caption", area=view.area_word), columns, rows, notes)


def _mean_note(area: pl.DataFrame) -> Block:
    """Return what chance and the pupils' own course do everywhere: the area's rates."""
    rates = {
        name: area.filter((pl.col("flow") == flow) & (pl.col("band_from") == start))["estimate"].to_list()
        for flow, start, name in _RATES
    }
    return paragraph(
        phrase(f"{_WORD}.regression", **{name: typed(found[0], "percent") for name, found in rates.items() if found})
    )


def _unit_table(view: View, growth: PublishableGrowth, units: pl.DataFrame, suffix: str) -> list[Block]:
    """Return, per unit, the three rates beside what pupils who started alike show, and how many lie above and below."""
    kind = growth.unit_type
    found = {(item["unit"], item["flow"], item["band_from"]): item for item in units.iter_rows(named=True)}
    ordered = sorted(units["unit"].unique(), key=lambda unit: view.position(kind, unit))
    listed, whole = view.shown(ordered)
    columns = [column("unit", phrase(f"bulletin.unit_type.{kind}"), "words")]
    for _, _, name in _RATES:
        columns += [
            column(f"{name}_n", phrase(f"{_WORD}.{name}_n"), "count", soft=True),
            column(name, phrase(f"{_WORD}.{name}"), "rate"),
            interval_column(view, "rate"),
            column(f"{name}_side", phrase(f"{_WORD}.side"), "judged"),
        ]
    rows, lacking = [], Counter[str]()
    for unit in listed:
        cells: list[Any] = [view.unit_name(kind, unit)]
        for flow, start, _ in _RATES:
            item = found.get((unit, flow, start))
            told = (item["n"], item["side"]) if item else (None, None)
            cells += [told[0], value_or_reason(item), interval_of(item), told[1]]
        rows.append(row(cells))
    sides = []
    for flow, start, name in _RATES:
        own = [found.get((unit, flow, start)) for unit in ordered]
        counts = Counter(item["side"] for item in own if item is not None)
        known = sum(counts[side] for side in ("above", "below", "same"))
        lacking.update(item["reason"] for item in own if item is not None and item["reason"])
        sides.append(
            phrase(
                f"{_WORD}.tally_{name}",
                compared=known,
                above=counts["above"],
                below=counts["below"],
                same=counts["same"],
                each=counter(kind),
                unit=units_counted(kind),
            )
        )
    notes = [*growth_cut(whole, len(listed), "growth_flows"), phrase(f"{_WORD}.side_note")]
    reasons = {
        code: phrase(f"{_WORD}.few", n=view.min_n) if code == "below_min_n" else growth_reason(view, code) for code in lacking
    }
    notes += [phrase(f"{_WORD}.lacking", n=n, reason=reasons[code]) for code, n in sorted(lacking.items())]
    blocks = [paragraph(said) for said in sides]
    return [
        *blocks,
        table(
            f"focus_units{suffix}",
            phrase(f"{_WORD}.units_caption", units=phrase(f"bulletin.each_of.{kind}")),
            columns,
            rows,
            notes,
            whole=whole,
        ),
    ]


def _low_groups(view: View, growth: PublishableGrowth) -> list[Block]:
    """Return who enters, stays in and leaves the low group of each subject, of the area."""
    area = growth.low_groups.filter(pl.col("unit_type") == "area")
    if area.is_empty():
        return []
    order = {paper: place for place, paper in enumerate(view.real_papers)}
    keys = sorted(
        area.select("paper", "prior_exam", "comparison_group").unique().rows(), key=lambda key: (order.get(key[0], 99), *key)
    )
    rows, share = [], None
    for paper, exam, group in keys:
        if paper not in order or group not in view.main_groups(paper):
            continue
        own = {
            item["flow"]: item
            for item in _part(area, (exam, group, paper)).iter_rows(named=True)
            if item["flow"] in ("entering", "staying", "leaving")
        }
        if len(own) < 3:
            continue
        lows = _part(area, (exam, group, paper)).filter((pl.col("flow") == "outcome_band") & (pl.col("band_to") == "low"))
        share = lows["estimate"].to_list()[0] if lows.height and share is None else share
        stay, enter = own["staying"], own["entering"]
        rows.append(
            row(
                [
                    view.paper_label(group, paper),
                    stay["n"],
                    stay["count"],
                    stay["estimate"],
                    interval_of(stay),
                    own["leaving"]["count"],
                    enter["count"],
                    enter["estimate"],
                    interval_of(enter),
                ]
            )
        )
    if not rows:
        return []
    columns = [
        column("paper", phrase("bulletin.head.subject"), "words"),
        column("before", phrase(f"{_WORD}.low_before"), "count"),
        column("staying", phrase(f"{_WORD}.staying"), "count"),
        column("staying_rate", phrase(f"{_WORD}.staying_rate"), "rate"),
        interval_column(view, "rate"),
        column("leaving", phrase(f"{_WORD}.leaving"), "count"),
        column("entering", phrase(f"{_WORD}.entering"), "count"),
        column("entering_rate", phrase(f"{_WORD}.entering_rate"), "rate"),
        interval_column(view, "rate"),
    ]
    sheet = phrase("bulletin.sheet.growth_low")
    notes = [phrase(f"{_WORD}.low_note"), phrase(f"{_WORD}.low_sheet", sheet=sheet)]
    said = paragraph(phrase(f"{_WORD}.low", share=typed(share, "percent")))
    return [said, table("focus_low", phrase(f"{_WORD}.low_caption"), columns, rows, notes)]


def focus_section(view: View) -> Block | None:
    """Return the section, None where there are no flows."""
    growth = view.pub.growth
    if growth is None or (growth.flows.is_empty() and growth.low_groups.is_empty()):
        return None
    blocks: list[Block | None] = []
    if not growth.flows.is_empty():
        keys = _main(view, growth.flows)
        blocks.append(paragraph(phrase(f"{_WORD}.bands")))
        for number, key in enumerate(keys):
            suffix = f"_{number + 1}" if number else ""
            own = _part(growth.flows, key)
            area = own.filter(pl.col("unit_type") == "area")
            if len(keys) > 1:
                blocks.append(paragraph(phrase("bulletin.results.in_group", group=view.paper_label(key[1], key[2]))))
            blocks += [_area_table(view, area, suffix), _mean_note(area)]
            units = own.filter((pl.col("unit_type") != "area") & (pl.col("flow") != "cell"))
            if units["unit"].n_unique() > 1:
                blocks += _unit_table(view, growth, units, suffix)
    blocks += _low_groups(view, growth)
    blocks.append(note(phrase(f"{_WORD}.key")))
    return section("focus", 2, phrase("bulletin.heading.focus"), blocks)
