"""Section two of the bulletin: what was found, for the area, its schools, its parts and groups of pupils."""

from __future__ import annotations

from collections import Counter
from typing import Any

import polars as pl

from eduq.bulletins.blocks import Block, Phrase, chart, column, note, paragraph, row, section, table
from eduq.bulletins.charts import CATERPILLAR_LIMIT, draw_caterpillar, draw_distribution, draw_funnel
from eduq.bulletins.formats import clauses, measure_kind, phrase, typed
from eduq.bulletins.view import ALL_SUBJECTS, COMPOSITE, TOTAL, Row, View, judge

__all__ = ["OVERALL", "cut_note", "result_sections", "tally"]

OVERALL = ("mean_score", "score_rate", "excellent_rate", "good_rate", "pass_rate", "low_score_rate", "sd")


def tally(rows: list[Row]) -> Counter[str]:
    """Count units above, below, same (not distinguishable) and none (no comparable number)."""
    return Counter(judge(item) or "none" for item in rows)


def cut_note(whole: int | None, shown: int, sheet: str) -> list[Phrase]:
    """Return the line that says how many rows a table has and where all of them are."""
    if whole is None:
        return []
    return [phrase("bulletin.note.cut", whole=whole, shown=shown, sheet=phrase(f"bulletin.sheet.{sheet}"))]


def value_or_reason(item: Row | None) -> Any:
    """Return the estimate of a row, the reason why there is none, or None."""
    if item is None:
        return None
    if item["estimate"] is None:
        return {"reason": item["reason"]} if item["reason"] else None
    return item["estimate"]


def interval_of(item: Row | None) -> Any:
    """Return the interval of a row as a pair, or None."""
    if item is None or item["ci_lower"] is None or item["ci_upper"] is None:
        return None
    return [item["ci_lower"], item["ci_upper"]]


def measure_column(view: View, measure: str) -> Block:
    """Return the column of a measure, its unit in the head."""
    kind = measure_kind(measure, view.pub.measures.get(measure))
    name: Phrase | str = view.measure_name(measure)
    if kind in ("rate", "change"):
        name = phrase("bulletin.head.in_percent", name=name)
    return column(measure, name, kind)


def _interval_column(view: View, kind: str = "gap") -> Block:
    return column("interval", phrase("bulletin.head.interval", level=typed(view.settings.conf_level, "level")), f"interval_{kind}", soft=True)


def _base_column() -> Block:
    return column("base", phrase("bulletin.head.base"), "base")


# ---- the area -------------------------------------------------------------------------------------------------------


def _overall(view: View) -> list[Block | None]:
    present = {measure for _, _, measure in view.area}
    chosen = [measure for measure in OVERALL if measure in present]
    columns = [column("paper", phrase("bulletin.head.subject"), "words"), _base_column(), measure_column(view, "mean_score"), _interval_column(view, "mark")]
    columns += [measure_column(view, measure) for measure in chosen if measure != "mean_score"]
    rows, used = [], []
    for paper in [*view.real_papers, *([TOTAL] if TOTAL in view.area_groups and TOTAL not in view.real_papers else [])]:
        for group in view.area_groups[paper]:
            found = {measure: view.area.get((group, paper, measure)) for measure in chosen}
            mean = found.get("mean_score")
            if mean is None:
                continue
            used += [item for item in found.values() if item is not None]
            cells = [view.paper_label(group, paper), [mean["n_present"], mean["n_expected"]], value_or_reason(mean), interval_of(mean)]
            cells += [value_or_reason(found[measure]) for measure in chosen if measure != "mean_score"]
            rows.append(row(cells, "total" if paper == TOTAL else "unit"))
    notes = [phrase("bulletin.note.across_subjects"), *view.reason_notes(used)]
    return [
        *_all_pass(view),
        table("overall", phrase("bulletin.caption.overall", area=view.area_word), columns, rows, notes),
        _distribution(view),
    ]


def _all_pass(view: View) -> list[Block | None]:
    said = []
    for group in view.area_groups.get(ALL_SUBJECTS, []):
        item = view.area.get((group, ALL_SUBJECTS, "all_pass_rate"))
        if item is None or item["estimate"] is None or item["ci_lower"] is None:
            continue
        label = view.paper_label(group, ALL_SUBJECTS)
        said.append(
            paragraph(
                phrase(
                    "bulletin.results.all_pass",
                    label=label,
                    rate=typed(item["estimate"], "percent"),
                    level=typed(item["conf_level"] or view.settings.conf_level, "level"),
                    interval=typed(interval_of(item), "interval_percent"),
                    n=item["n"],
                )
            )
        )
    return list(said)


def _distribution(view: View) -> Block | None:
    cuts = {name: view.pub.measures[name]["cut"] for name in ("pass_rate", "excellent_rate") if name in view.pub.measures}
    names = {name: view.measure_name(name) for name in cuts}
    panels = []
    for paper in view.real_papers:
        facts = view.papers.get(paper)
        if facts is None or facts.max_hundredths is None:
            continue
        for group in view.area_groups[paper][:2]:
            frame = view.pub.distribution.filter((pl.col("comparison_group") == group) & (pl.col("paper") == paper))
            if frame["count"].sum() >= 30:
                panels.append((view.paper_label(group, paper), facts.max_hundredths, frame))
    panels = panels[:12]
    if not panels:
        return None
    lines = [phrase("bulletin.figure.cut_line", name=names[name], share=typed(cut, "level")) for name, cut in cuts.items() if cut]
    return chart(
        "distribution",
        phrase("bulletin.figure.distribution_title", n=len(panels)),
        phrase("bulletin.figure.distribution_caption", lines=lines),
        phrase("bulletin.figure.distribution_alt", papers=[label for label, _, _ in panels]),
        draw_distribution(panels, [cut for cut in cuts.values() if cut], view.lang),
        "bands",
    )


# ---- units beside the area ------------------------------------------------------------------------------------------


def _gap_table(view: View, unit_type: str, group: str, rows: list[Row], name: str) -> Block:
    """Return the table of one comparison group: every unit with base, gap, interval and how it stands to the area."""
    paper, measure = view.gap_paper or (COMPOSITE, "composite_z")
    with_parent = unit_type == "school" and any(view.parent_name("school", item["unit"]) for item in rows)
    columns = [column("unit", phrase(f"bulletin.unit_type.{unit_type}"), "words")]
    if with_parent:
        columns.append(column("parent", phrase("bulletin.unit_type.township"), "text", soft=True))
    columns += [_base_column(), column("participation", phrase("bulletin.head.participation"), "rate")]
    columns += [column("gap", view.measure_name(measure), "gap"), _interval_column(view)]
    columns.append(column("judged", phrase("bulletin.head.judged", area=view.area_word), "judged"))
    listed, whole = view.shown(rows)
    cells = [_gap_cells(view, unit_type, item, with_parent) for item in listed]
    area = view.area.get((group, paper, measure))
    if area is not None:
        cells.append(row([view.area_word, *([""] if with_parent else []), *_base(area), value_or_reason(area), "", ""], "total"))
    notes = [
        *cut_note(whole, len(listed), unit_type),
        *view.reason_notes(rows),
        phrase("bulletin.note.composite_base") if paper in (COMPOSITE, TOTAL) else phrase("bulletin.note.gap_paper", paper=view.paper_name(paper)),
    ]
    caption = phrase(f"bulletin.caption.gap_{unit_type if unit_type in ('school', 'township', 'cluster', 'area_type') else 'other'}", area=view.area_word)
    return table(name, caption, columns, cells, notes, whole=whole)


def _base(item: Row) -> list[Any]:
    rate = item["n_present"] / item["n_expected"] if item["n_expected"] else None
    return [[item["n_present"], item["n_expected"]], rate]


def _gap_cells(view: View, unit_type: str, item: Row, with_parent: bool) -> Block:
    parent = [view.parent_name(unit_type, item["unit"])] if with_parent else []
    cells = [view.unit_name(unit_type, item["unit"]), *parent, *_base(item), value_or_reason(item), interval_of(item), judge(item)]
    return row(cells)


def _counted(unit_type: str) -> Phrase:
    return phrase(f"bulletin.unit_counted.{unit_type if unit_type in ('school', 'township', 'cluster') else 'other'}")


def tally_sentence(view: View, unit_type: str, rows: list[Row]) -> Phrase:
    """Return the sentence N units, a above, b below, the rest not distinguishable."""
    counts = tally(rows)
    compared = len(rows) - counts["none"]
    return phrase(
        "bulletin.results.tally",
        unit=_counted(unit_type),
        each=phrase(f"bulletin.counter.{'school' if unit_type == 'school' else 'other'}"),
        compared=compared,
        above=counts["above"],
        below=counts["below"],
        same=counts["same"],
        area=view.area_word,
        level=typed(view.settings.conf_level, "level"),
    )


def _tally_paragraphs(view: View, unit_type: str, rows: list[Row]) -> list[Block | None]:
    counts = tally(rows)
    unit = _counted(unit_type)
    chance = phrase("bulletin.results.chance", share=typed(1 - view.settings.conf_level, "level"), unit=unit)
    barred = phrase("bulletin.results.not_comparable", n=counts["none"], unit=unit) if counts["none"] else None
    return [paragraph(tally_sentence(view, unit_type, rows)), note(chance), note(barred) if barred else None]


def _schools(view: View) -> list[Block | None]:
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
        units = [(view.unit_name("school", item["unit"]), item["estimate"], item["ci_lower"], item["ci_upper"], judge(item)) for item in known]
        svg, form = draw_caterpillar(units, view.lang), "caterpillar"
        order = phrase("bulletin.figure.order_value" if ordered else "bulletin.figure.order_code")
    else:
        svg, form = draw_funnel([(item["n"], item["estimate"], item["std_error"], judge(item)) for item in known], view.settings.conf_level, view.lang), "funnel"
        order = phrase("bulletin.figure.order_none")
    title = phrase("bulletin.figure.gap_title", n=len(known), above=counts["above"], below=counts["below"], same=counts["same"], area=view.area_word)
    caption = phrase(f"bulletin.figure.{form}_caption", level=level, area=view.area_word, order=order, n=len(known))
    alt = phrase(f"bulletin.figure.{form}_alt", n=len(known), above=counts["above"], below=counts["below"], same=counts["same"], area=view.area_word)
    return chart(name, title, caption, alt, svg, shown_in)


def _subjects(view: View) -> list[Block | None]:
    """Return how many schools lie above and below the area in each subject."""
    frame = view.of("school").filter(pl.col("measure") == "z_mean") if "school" in view.unit_types else None
    if frame is None or frame.is_empty():
        return []
    side = pl.when(pl.col("ci_lower").is_null() | pl.col("estimate").is_null()).then(pl.lit("none"))
    side = side.when(pl.col("ci_lower") > 0).then(pl.lit("above")).when(pl.col("ci_upper") < 0).then(pl.lit("below")).otherwise(pl.lit("same"))
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


def _parts(view: View, unit_type: str) -> list[Block | None]:
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
    return phrase("bulletin.results.each_unit", units=clauses(said), level=typed(view.settings.conf_level, "level"), area=view.area_word)


def _unit_sentence(view: View, unit_type: str, item: Row) -> Phrase:
    return phrase(
        "bulletin.results.unit_gap",
        unit=view.unit_name(unit_type, item["unit"]),
        gap=typed(item["estimate"], "gap"),
        interval=typed(interval_of(item), "interval_gap"),
        judged=phrase(f"bulletin.judged_verb.{judge(item)}", area=view.area_word),
    )


def _groups(view: View, unit_type: str) -> list[Block | None]:
    """Return, per subject, the mean and gap of each group of pupils (sex, declared subgroups)."""
    if unit_type not in view.unit_types:
        return []
    frame = view.of(unit_type).filter(pl.col("measure").is_in(["mean_score", "z_mean", "composite_z"]))
    found = view.lookup(frame)
    units = sorted(frame["unit"].unique(), key=lambda unit: view.position(unit_type, unit))[:6]
    columns = [column("paper", phrase("bulletin.head.subject"), "words")]
    for unit in units:
        name = view.unit_name(unit_type, unit)
        columns += [
            column(f"{unit}_base", phrase("bulletin.head.unit_base", unit=name), "base"),
            column(f"{unit}_mean", phrase("bulletin.head.unit_mean", unit=name), "mark"),
            column(f"{unit}_gap", phrase("bulletin.head.unit_gap", unit=name), "gap"),
            column(f"{unit}_interval", phrase("bulletin.head.interval", level=typed(view.settings.conf_level, "level")), "interval_gap", soft=True),
        ]
    rows = []
    for paper in [*view.real_papers, *([COMPOSITE] if COMPOSITE in view.area_groups else [])]:
        for group in view.area_groups[paper]:
            cells: list[Any] = []
            for unit in units:
                gap = found.get((group, paper, unit, "composite_z" if paper == COMPOSITE else "z_mean"))
                mean = found.get((group, paper, unit, "mean_score"))
                base = gap or mean
                cells += [[base["n_present"], base["n_expected"]] if base else None, value_or_reason(mean), value_or_reason(gap), interval_of(gap)]
            if any(cell is not None for cell in cells):
                rows.append(row([view.paper_label(group, paper), *cells], "total" if paper == COMPOSITE else "unit"))
    if not rows:
        return []
    caption = phrase(f"bulletin.caption.groups_{'sex' if unit_type == 'sex' else 'other'}", name=unit_type.removeprefix("sub_"))
    return [table(unit_type, caption, columns, rows, [phrase("bulletin.note.groups")])]


def result_sections(view: View) -> list[Block]:
    """Return 主要结果 with its parts; parts without data are left out."""
    parts = [
        section("overall", 2, phrase("bulletin.heading.overall"), _overall(view)),
        section("schools", 2, phrase("bulletin.heading.schools"), _schools(view)),
        section("subjects", 2, phrase("bulletin.heading.subjects"), _subjects(view)),
        section("area_type", 2, phrase("bulletin.heading.area_type"), _parts(view, "area_type")),
        section("township", 2, phrase("bulletin.heading.township"), _parts(view, "township")),
        section("cluster", 2, phrase("bulletin.heading.cluster"), _parts(view, "cluster")),
        section("sex", 2, phrase("bulletin.heading.sex"), _groups(view, "sex")),
    ]
    for unit_type in view.unit_types:
        if unit_type.startswith("sub_"):
            parts.append(section(unit_type, 2, phrase("bulletin.heading.subgroup", name=unit_type.removeprefix("sub_")), _groups(view, unit_type)))
    return [section("results", 1, phrase("bulletin.heading.results"), []), *(part for part in parts if part["blocks"])]
