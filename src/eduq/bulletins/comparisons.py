"""Units beside the area: schools, classes, townships, clusters, kinds of place; above, below or not distinguishable."""

from __future__ import annotations

from collections import Counter
from typing import Any

import polars as pl

from eduq.bulletins.blocks import Block, Phrase, chart, column, note, paragraph, row, table
from eduq.bulletins.cells import (
    base_column,
    counted_cell,
    counted_column,
    cut_note,
    interval_column,
    interval_of,
    minor_note,
    value_or_reason,
)
from eduq.bulletins.charts import CATERPILLAR_LIMIT, draw_caterpillar, draw_funnel
from eduq.bulletins.formats import clauses, phrase, typed
from eduq.bulletins.reading import BARRED, Row, is_barred, judge
from eduq.bulletins.view import View
from eduq.groups import COMPOSITE

__all__ = ["counter", "part_blocks", "subject_blocks", "tally", "unit_blocks", "units_counted"]

PENALISED = "composite_penalised"
_NAMED_UNITS = ("school", "class", "township", "cluster", "area_type")


def tally(rows: list[Row]) -> Counter[str]:
    """Count units above, below, same (not distinguishable), barred (不可比) and missing (no number for another reason)."""
    return Counter(judge(item) or ("barred" if is_barred(item) else "missing") for item in rows)


def units_counted(unit_type: str) -> Phrase:
    """Return the noun that follows a number of units."""
    return phrase(f"bulletin.unit_counted.{unit_type if unit_type in ('school', 'class', 'township', 'cluster') else 'other'}")


def counter(unit_type: str) -> Phrase:
    """Return the counter that follows a number where its noun was said before."""
    return phrase(f"bulletin.counter.{'school' if unit_type == 'school' else 'other'}")


def _level(view: View) -> dict[str, Any]:
    return typed(view.settings.conf_level, "level")


# ---- the table of one comparison group --------------------------------------------------------------------------------


def _gap_table(view: View, unit_type: str, group: str, rows: list[Row], name: str, *, several: bool) -> Block:
    """Return the table of one comparison group: every unit with base, gap, interval and how it stands to the area."""
    paper, measure = view.gap_paper or (COMPOSITE, "composite_z")
    with_parent = unit_type == "school" and any(view.parent_name("school", item["unit"]) for item in rows)
    penalised = _penalised(view, unit_type) if paper == COMPOSITE else {}
    columns = [column("unit", phrase(f"bulletin.unit_type.{unit_type if unit_type in _NAMED_UNITS else 'other'}"), "words")]
    if with_parent:
        columns.append(column("parent", phrase("bulletin.unit_type.township"), "text", soft=True))
    columns += [base_column(), column("participation", phrase("bulletin.head.participation"), "rate"), *counted_column(view)]
    columns += [column("gap", view.measure_name(measure), "gap"), interval_column(view)]
    columns.append(column("judged", phrase("bulletin.head.judged", area=view.area_word), "judged"))
    if penalised:
        columns.append(column("penalised", view.measure_name(PENALISED), "gap", soft=True))
    listed, whole = view.shown(rows)
    cells = []
    for item in listed:
        parent = [view.parent_name(unit_type, item["unit"])] if with_parent else []
        deducted = [value_or_reason(penalised.get((item["comparison_group"], item["unit"])))] if penalised else []
        told = [value_or_reason(item), interval_of(item), judge(item)]
        cells.append(
            row([view.unit_name(unit_type, item["unit"]), *parent, *_base(item), *counted_cell(view, item), *told, *deducted])
        )
    area = view.area.get((group, paper, measure))
    if area is not None:
        empty = [""] if with_parent else []
        tail = ["", "", *([""] if penalised else [])]
        cells.append(
            row([view.area_word, *empty, *_base(area), *counted_cell(view, area), value_or_reason(area), *tail], "total")
        )
    notes = [*cut_note(whole, len(listed), unit_type), *view.reason_notes(rows), _base_note(view, paper)]
    if penalised:
        notes.append(phrase("bulletin.note.penalised", name=view.measure_name(PENALISED)))
    caption = phrase(
        "bulletin.caption.gap",
        units=phrase(f"bulletin.each_of.{unit_type if unit_type in _NAMED_UNITS else 'other'}"),
        gap=view.gap_name,
    )
    if several:
        caption = phrase("bulletin.paper_in_group", paper=caption, group=view.group_label(group, paper))
    return table(name, caption, columns, cells, notes, whole=whole)


def _penalised(view: View, unit_type: str) -> dict[tuple[str, str], Row]:
    """Return the declared composite after deduction by (comparison group, unit); empty unless the policy is ``penalty``."""
    frame = view.of(unit_type).filter(pl.col("measure") == PENALISED)
    return {(item["comparison_group"], item["unit"]): item for item in frame.iter_rows(named=True)}


def _base_note(view: View, paper: str) -> Phrase:
    if paper == COMPOSITE:
        return phrase("bulletin.note.composite_base", share=typed(view.settings.composite_min_weight, "level"))
    return phrase("bulletin.note.gap_paper", paper=view.paper_name(paper))


def _base(item: Row) -> list[Any]:
    rate = item["n_present"] / item["n_expected"] if item["n_expected"] else None
    return [[item["n_present"], item["n_expected"]], rate]


# ---- sentences --------------------------------------------------------------------------------------------------------


def tally_sentence(view: View, unit_type: str, rows: list[Row]) -> Phrase:
    """Return the sentence N units, a above, b below, the rest not distinguishable."""
    counts = tally(rows)
    key = "tally" if counts["same"] else "tally_none_same"
    return phrase(
        f"bulletin.results.{key}",
        unit=units_counted(unit_type),
        each=counter(unit_type),
        compared=counts["above"] + counts["below"] + counts["same"],
        above=counts["above"],
        below=counts["below"],
        same=counts["same"],
        area=view.area_word,
    )


def _tally_paragraphs(view: View, unit_type: str, rows: list[Row], *, first: bool) -> list[Block | None]:
    counts = tally(rows)
    unit = units_counted(unit_type)
    rule = phrase("bulletin.results.tally_rule", said=tally_sentence(view, unit_type, rows), level=_level(view))
    chance = phrase("bulletin.results.chance", share=typed(1 - view.settings.conf_level, "level"))
    blocks: list[Block | None] = [paragraph(rule), *([note(chance)] if first else [])]
    for side, key in (("barred", "not_comparable"), ("missing", "no_number")):
        if counts[side]:
            blocks.append(note(phrase(f"bulletin.results.{key}", n=counts[side], unit=unit)))
    return blocks


def _why_not(view: View, unit_type: str) -> Block:
    """Return the sentence that says why units are not compared."""
    frame = view.of(unit_type).filter(pl.col("measure").is_in(["composite_z", "z_mean"]))
    codes = sorted(frame.filter(pl.col("estimate").is_null())["reason"].drop_nulls().unique())
    if frame.is_empty():
        reasons: list[Any] = [phrase("bulletin.results.gap_not_asked")]
    else:
        reasons = [view.reason_said(code) for code in codes] or [phrase("bulletin.results.lone_units")]
    kind = phrase(f"bulletin.comparison_of.{unit_type}")
    return paragraph(phrase("bulletin.results.no_comparison", kind=kind, reasons=clauses(reasons)))


# ---- schools and classes ----------------------------------------------------------------------------------------------


def unit_blocks(view: View, unit_type: str) -> list[Block | None]:
    """Return sentences, figure and table of schools or classes, or the one sentence that says why there are none."""
    if unit_type == "school" and view.n_schools == 1:
        return [paragraph(phrase("bulletin.results.one_school"))]
    if unit_type not in view.compared_units:
        return []
    main = view.compared(unit_type, *view.gap_paper) if view.gap_paper is not None else []
    if view.gap_paper is None or not main:
        return [_why_not(view, unit_type)]
    paper, measure = view.gap_paper
    blocks: list[Block | None] = []
    if view.stands_in and len(view.real_papers) > 1:
        blocks.append(paragraph(phrase("bulletin.results.stand_in", paper=view.paper_name(paper))))
    beside = _beside(view, unit_type, [group for group, _ in main], view.gap_rows(unit_type, paper, measure))
    for number, (group, rows) in enumerate(main):
        if len(main) > 1:
            blocks.append(paragraph(phrase("bulletin.results.in_group", group=view.paper_label(group, paper))))
        everyone = sorted([*rows, *beside.get(group, [])], key=lambda item: view.position(unit_type, item["unit"]))
        name = _block_name(unit_type, number)
        blocks += _tally_paragraphs(view, unit_type, everyone, first=number == 0)
        blocks.append(_unit_figure(view, unit_type, rows, f"{unit_type}_gaps{name[1]}", name[0]))
        blocks.append(_gap_table(view, unit_type, group, everyone, name[0], several=len(main) > 1))
    blocks += [note(said) for said in minor_note(view, paper)]
    return blocks


def _block_name(unit_type: str, number: int) -> tuple[str, str]:
    suffix = f"_{number + 1}" if number else ""
    return ("schools" if unit_type == "school" else "classes") + suffix, suffix


def _beside(view: View, unit_type: str, main: list[str], groups: dict[str, list[Row]]) -> dict[str, list[Row]]:
    """Return units without a comparable number, by the main group whose table names them.

    These are units that stand in a group of their own, and schools in which nobody has a result.
    """
    seen = {item["unit"] for group in main for item in groups[group]}
    found: dict[str, list[Row]] = {}
    for group, rows in groups.items():
        if group in main:
            continue
        home = next((name for name in main if view.stratum(name) == view.stratum(group)), main[0])
        for item in rows:
            if item["unit"] not in seen and (is_barred(item) or view.fact(group, "deviation")):
                seen.add(item["unit"])
                found.setdefault(home, []).append(item)
    in_some = {item["unit"] for rows in groups.values() for item in rows}
    if unit_type == "school":
        found.setdefault(main[0], []).extend(view.without_result(in_some))
    return found


def _unit_figure(view: View, unit_type: str, rows: list[Row], name: str, shown_in: str) -> Block | None:
    known = [item for item in rows if judge(item) is not None]
    if len(known) < 2:
        return None
    counts = tally(known)
    if len(known) <= CATERPILLAR_LIMIT:
        ordered = view.pub.edition == "bureau" and unit_type == "school"
        if ordered:
            known = sorted(known, key=lambda item: (-item["estimate"], view.position(unit_type, item["unit"])))
        units = [
            (view.unit_name(unit_type, item["unit"]), item["estimate"], item["ci_lower"], item["ci_upper"], judge(item))
            for item in known
        ]
        svg, form = draw_caterpillar(units, view.lang), "caterpillar"
        order = phrase("bulletin.figure.order_value" if ordered else "bulletin.figure.order_code")
    else:
        dots = [(item["n"], item["estimate"], item["std_error"], judge(item)) for item in known]
        svg, form = draw_funnel(dots, view.settings.conf_level, view.lang), "funnel"
        order = phrase("bulletin.figure.order_none")
    said = {
        "n": len(known),
        "above": counts["above"],
        "below": counts["below"],
        "same": counts["same"],
        "area": view.area_word,
        "unit": units_counted(unit_type),
        "each": counter(unit_type),
        "gap": view.gap_name,
    }
    caption = phrase(f"bulletin.figure.{form}_caption", level=_level(view), order=order, **said)
    return chart(
        name, phrase("bulletin.figure.gap_title", **said), caption, phrase(f"bulletin.figure.{form}_alt", **said), svg, shown_in
    )


def subject_blocks(view: View) -> list[Block | None]:
    """Return how many units lie above and below the area in each subject: schools, or classes where there is one school."""
    unit_type = next(iter(view.compared_units), None)
    if unit_type is None:
        return []
    frame = view.of(unit_type).filter(pl.col("measure") == "z_mean")
    sides = {(group, paper): Counter[str]() for group, paper in frame.select("comparison_group", "paper").unique().iter_rows()}
    for item in frame.iter_rows(named=True):
        sides[item["comparison_group"], item["paper"]][judge(item) or ("barred" if item["reason"] in BARRED else "missing")] += 1
    rows = []
    for paper in view.real_papers:
        groups = [group for group in view.area_groups[paper] if (group, paper) in sides]
        groups += sorted(group for group, other in sides if other == paper and group not in groups)
        main = [group for group in groups if any(sides[group, paper][side] for side in ("above", "below", "same"))]
        for group in main or groups[:1]:
            own = sides[group, paper]
            numbers = [own[side] for side in ("above", "below", "same")]
            alike = [other for other in groups if view.stratum(other) == view.stratum(group)]
            barred = sum(sides[other, paper]["barred"] for other in alike) if group == _first(alike, main) else own["barred"]
            rows.append(row([view.paper_label(group, paper), sum(numbers), *numbers, barred, own["missing"]]))
    if not any(line["cells"][1] for line in rows):
        return []
    columns = [
        column("paper", phrase("bulletin.head.subject"), "words"),
        column("compared", phrase("bulletin.head.compared"), "count"),
        column("above", phrase("bulletin.head.above", area=view.area_word), "count"),
        column("below", phrase("bulletin.head.below", area=view.area_word), "count"),
        column("same", phrase("bulletin.head.same"), "count"),
        column("none", phrase("bulletin.head.none"), "count", soft=True),
        column("missing", phrase("bulletin.head.missing"), "count", soft=True),
    ]
    if not any(line["cells"][-1] for line in rows):
        columns, rows = columns[:-1], [row(line["cells"][:-1]) for line in rows]
    kind = phrase(f"bulletin.number_of.{unit_type}")
    return [
        paragraph(phrase("bulletin.results.subjects", unit=phrase(f"bulletin.one_of.{unit_type}"))),
        table(
            "subjects",
            phrase("bulletin.caption.subjects", area=view.area_word, kind=kind),
            columns,
            rows,
            [phrase("bulletin.note.subject_tally", level=_level(view))],
        ),
    ]


def _first(alike: list[str], main: list[str]) -> str | None:
    return next((group for group in main if group in alike), alike[0] if alike else None)


# ---- townships, clusters, kinds of place ------------------------------------------------------------------------------


def part_blocks(view: View, unit_type: str) -> list[Block | None]:
    """Return sentence and table for townships, clusters, kinds of place or another grouping."""
    if unit_type not in view.unit_types or view.gap_paper is None:
        return []
    paper, measure = view.gap_paper
    main = view.compared(unit_type, paper, measure)
    blocks: list[Block | None] = []
    for number, (group, rows) in enumerate(main):
        if len(main) > 1:
            blocks.append(paragraph(phrase("bulletin.results.in_group", group=view.paper_label(group, paper))))
        blocks.append(paragraph(_parts_sentence(view, unit_type, rows)))
        name = f"{unit_type}{f'_{number + 1}' if number else ''}"
        blocks.append(_gap_table(view, unit_type, group, rows, name, several=len(main) > 1))
    return blocks


def _parts_sentence(view: View, unit_type: str, rows: list[Row]) -> Phrase:
    said = [_unit_sentence(view, unit_type, item) for item in rows if judge(item)]
    if unit_type in ("township", "cluster") or len(rows) > 4 or not said:
        return tally_sentence(view, unit_type, rows)
    return phrase("bulletin.results.each_unit", units=clauses(said), level=_level(view), area=view.area_word)


def _unit_sentence(view: View, unit_type: str, item: Row) -> Phrase:
    return phrase(
        "bulletin.results.unit_gap",
        unit=view.unit_name(unit_type, item["unit"]),
        gap=typed(item["estimate"], "gap"),
        interval=typed(interval_of(item), "interval_gap"),
        judged=phrase(f"bulletin.judged_verb.{judge(item)}", area=view.area_word),
    )
