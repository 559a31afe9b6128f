"""Units beside the area: schools, townships, clusters, kinds of place; above, below or not distinguishable."""

from __future__ import annotations

from collections import Counter
from typing import Any

import polars as pl

from eduq.bulletins.blocks import Block, Phrase, chart, column, note, paragraph, row, table
from eduq.bulletins.cells import base_column, cut_note, interval_column, interval_of, value_or_reason
from eduq.bulletins.charts import CATERPILLAR_LIMIT, draw_caterpillar, draw_funnel
from eduq.bulletins.formats import clauses, phrase, typed
from eduq.bulletins.view import Row, View, judge
from eduq.groups import COMPOSITE

__all__ = ["part_blocks", "school_blocks", "subject_blocks", "tally"]


def tally(rows: list[Row]) -> Counter[str]:
    """Count units above, below, same (not distinguishable) and none (no comparable number)."""
    return Counter(judge(item) or "none" for item in rows)


def _gap_table(view: View, unit_type: str, group: str, rows: list[Row], name: str) -> Block:
    """Return the table of one comparison group: every unit with base, gap, interval and how it stands to the area."""
    paper, measure = view.gap_paper or (COMPOSITE, "composite_z")
    with_parent = unit_type == "school" and any(view.parent_name("school", item["unit"]) for item in rows)
    columns = [column("unit", phrase(f"bulletin.unit_type.{unit_type}"), "words")]
    if with_parent:
        columns.append(column("parent", phrase("bulletin.unit_type.township"), "text", soft=True))
    columns += [base_column(), column("participation", phrase("bulletin.head.participation"), "rate")]
    columns += [column("gap", view.measure_name(measure), "gap"), interval_column(view)]
    columns.append(column("judged", phrase("bulletin.head.judged", area=view.area_word), "judged"))
    listed, whole = view.shown(rows)
    cells = [_gap_cells(view, unit_type, item, with_parent) for item in listed]
    area = view.area.get((group, paper, measure))
    if area is not None:
        cells.append(row([view.area_word, *([""] if with_parent else []), *_base(area), value_or_reason(area), "", ""], "total"))
    notes = [
        *cut_note(whole, len(listed), unit_type),
        *view.reason_notes(rows),
        _base_note(view, paper),
    ]
    caption = phrase(
        f"bulletin.caption.gap_{unit_type if unit_type in ('school', 'township', 'cluster', 'area_type') else 'other'}",
        area=view.area_word,
    )
    return table(name, caption, columns, cells, notes, whole=whole)


def _base_note(view: View, paper: str) -> Phrase:
    if paper == COMPOSITE:
        return phrase("bulletin.note.composite_base", share=typed(view.settings.composite_min_weight, "level"))
    return phrase("bulletin.note.gap_paper", paper=view.paper_name(paper))


def _base(item: Row) -> list[Any]:
    rate = item["n_present"] / item["n_expected"] if item["n_expected"] else None
    return [[item["n_present"], item["n_expected"]], rate]


def _gap_cells(view: View, unit_type: str, item: Row, with_parent: bool) -> Block:
    parent = [view.parent_name(unit_type, item["unit"])] if with_parent else []
    cells = [
        view.unit_name(unit_type, item["unit"]),
        *parent,
        *_base(item),
        value_or_reason(item),
        interval_of(item),
        judge(item),
    ]
    return row(cells)


def _counted(unit_type: str) -> Phrase:
    return phrase(f"bulletin.unit_counted.{unit_type if unit_type in ('school', 'township', 'cluster') else 'other'}")


def tally_sentence(view: View, unit_type: str, rows: list[Row]) -> Phrase:
    """Return the sentence N units, a above, b below, the rest not distinguishable."""
    counts = tally(rows)
    compared = len(rows) - counts["none"]
    key = "tally" if counts["same"] else "tally_none_same"
    return phrase(
        f"bulletin.results.{key}",
        unit=_counted(unit_type),
        each=phrase(f"bulletin.counter.{'school' if unit_type == 'school' else 'other'}"),
        compared=compared,
        above=counts["above"],
        below=counts["below"],
        same=counts["same"],
        area=view.area_word,
    )


def _tally_paragraphs(view: View, unit_type: str, rows: list[Row]) -> list[Block | None]:
    counts = tally(rows)
    unit = _counted(unit_type)
    chance = phrase("bulletin.results.chance", share=typed(1 - view.settings.conf_level, "level"), unit=unit)
    barred = phrase("bulletin.results.not_comparable", n=counts["none"], unit=unit) if counts["none"] else None
    rule = phrase(
        "bulletin.results.tally_rule", said=tally_sentence(view, unit_type, rows), level=typed(view.settings.conf_level, "level")
    )
    return [paragraph(rule), note(chance), note(barred) if barred else None]


def school_blocks(view: View) -> list[Block | None]:
    blocks: list[Block | None] = []
    if view.gap_paper is None:
        return blocks
    paper, measure = view.gap_paper
    groups = view.gap_rows("school", paper, measure)
    main = view.compared("school", paper, measure)
    rest = [item for group, rows in groups.items() if group not in {name for name, _ in main} for item in rows]
    for number, (group, rows) in enumerate(main):
        if len(main) > 1:
            blocks.append(paragraph(phrase("bulletin.results.in_group", group=view.paper_label(group, paper))))
        everyone = rows + (rest if number == 0 else [])
        everyone.sort(key=lambda item: view.position("school", item["unit"]))
        suffix = f"_{number + 1}" if number else ""
        blocks += _tally_paragraphs(view, "school", everyone)
        blocks.append(_school_figure(view, rows, f"school_gaps{suffix}", f"schools{suffix}"))
        blocks.append(_gap_table(view, "school", group, everyone, f"schools{suffix}"))
    return blocks


def _school_figure(view: View, rows: list[Row], name: str, shown_in: str) -> Block | None:
    known = [item for item in rows if judge(item) is not None]
    if len(known) < 2:
        return None
    level = typed(view.settings.conf_level, "level")
    counts = tally(known)
    if len(known) <= CATERPILLAR_LIMIT:
        ordered = view.pub.edition == "bureau"
        if ordered:
            known = sorted(known, key=lambda item: (-item["estimate"], view.position("school", item["unit"])))
        units = [
            (view.unit_name("school", item["unit"]), item["estimate"], item["ci_lower"], item["ci_upper"], judge(item))
            for item in known
        ]
        svg, form = draw_caterpillar(units, view.lang), "caterpillar"
        order = phrase("bulletin.figure.order_value" if ordered else "bulletin.figure.order_code")
    else:
        svg, form = (
            draw_funnel(
                [(item["n"], item["estimate"], item["std_error"], judge(item)) for item in known],
                view.settings.conf_level,
                view.lang,
            ),
            "funnel",
        )
        order = phrase("bulletin.figure.order_none")
    title = phrase(
        "bulletin.figure.gap_title",
        n=len(known),
        above=counts["above"],
        below=counts["below"],
        same=counts["same"],
        area=view.area_word,
    )
    caption = phrase(f"bulletin.figure.{form}_caption", level=level, area=view.area_word, order=order, n=len(known))
    alt = phrase(
        f"bulletin.figure.{form}_alt",
        n=len(known),
        above=counts["above"],
        below=counts["below"],
        same=counts["same"],
        area=view.area_word,
    )
    return chart(name, title, caption, alt, svg, shown_in)


def subject_blocks(view: View) -> list[Block | None]:
    """Return how many schools lie above and below the area in each subject."""
    frame = view.of("school").filter(pl.col("measure") == "z_mean") if "school" in view.unit_types else None
    if frame is None or frame.is_empty():
        return []
    side = (
        pl.when(pl.col("ci_lower").is_null() | pl.col("estimate").is_null())
        .then(pl.lit("none"))
        .when(pl.col("ci_lower") > 0)
        .then(pl.lit("above"))
        .when(pl.col("ci_upper") < 0)
        .then(pl.lit("below"))
        .otherwise(pl.lit("same"))
    )
    counted = frame.group_by("comparison_group", "paper", side.alias("side")).agg(pl.len().alias("n"))
    counts = {(group, paper, where): n for group, paper, where, n in counted.iter_rows()}
    rows = []
    for paper in view.real_papers:
        groups = view.area_groups[paper]
        main = [group for group in groups if any((group, paper, where) in counts for where in ("above", "below", "same"))]
        barred = sum(n for (_, other, where), n in counts.items() if other == paper and where == "none")
        for number, group in enumerate(main or groups[:1]):
            numbers = [counts.get((group, paper, where), 0) for where in ("above", "below", "same")]
            rows.append(row([view.paper_label(group, paper), sum(numbers), *numbers, barred if number == 0 else 0]))
    columns = [
        column("paper", phrase("bulletin.head.subject"), "words"),
        column("compared", phrase("bulletin.head.compared"), "count"),
        column("above", phrase("bulletin.head.above", area=view.area_word), "count"),
        column("below", phrase("bulletin.head.below", area=view.area_word), "count"),
        column("same", phrase("bulletin.head.same"), "count"),
        column("none", phrase("bulletin.head.none"), "count", soft=True),
    ]
    note_ = phrase("bulletin.note.subject_tally", level=typed(view.settings.conf_level, "level"))
    return [
        paragraph(phrase("bulletin.results.subjects")),
        table("subjects", phrase("bulletin.caption.subjects", area=view.area_word), columns, rows, [note_]),
    ]


def part_blocks(view: View, unit_type: str) -> list[Block | None]:
    """Return sentence and table for townships, clusters, kinds of place or another grouping."""
    if unit_type not in view.unit_types or view.gap_paper is None:
        return []
    paper, measure = view.gap_paper
    blocks: list[Block | None] = []
    for number, (group, rows) in enumerate(view.compared(unit_type, paper, measure)):
        name = f"{unit_type}{f'_{number + 1}' if number else ''}"
        if number or len(view.compared(unit_type, paper, measure)) > 1:
            blocks.append(paragraph(phrase("bulletin.results.in_group", group=view.paper_label(group, paper))))
        blocks.append(paragraph(_parts_sentence(view, unit_type, rows)))
        blocks.append(_gap_table(view, unit_type, group, rows, name))
    return blocks


def _parts_sentence(view: View, unit_type: str, rows: list[Row]) -> Phrase:
    if unit_type in ("township", "cluster") or len(rows) > 4:
        return tally_sentence(view, unit_type, rows)
    said = [_unit_sentence(view, unit_type, item) for item in rows if judge(item)]
    return phrase(
        "bulletin.results.each_unit", units=clauses(said), level=typed(view.settings.conf_level, "level"), area=view.area_word
    )


def _unit_sentence(view: View, unit_type: str, item: Row) -> Phrase:
    return phrase(
        "bulletin.results.unit_gap",
        unit=view.unit_name(unit_type, item["unit"]),
        gap=typed(item["estimate"], "gap"),
        interval=typed(interval_of(item), "interval_gap"),
        judged=phrase(f"bulletin.judged_verb.{judge(item)}", area=view.area_word),
    )
