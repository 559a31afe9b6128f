"""Section two of the bulletin: what was found, for the area, its schools, its parts and groups of pupils."""

from __future__ import annotations

from typing import Any

import polars as pl

from eduq.bulletins.blocks import Block, chart, column, paragraph, row, section, table
from eduq.bulletins.cells import OVERALL, base_column, interval_column, interval_of, measure_column, value_or_reason
from eduq.bulletins.charts import draw_distribution
from eduq.bulletins.comparisons import part_blocks, school_blocks, subject_blocks
from eduq.bulletins.formats import phrase, typed
from eduq.bulletins.view import ALL_SUBJECTS, View
from eduq.groups import COMPOSITE, TOTAL

__all__ = ["result_sections"]


def _overall(view: View) -> list[Block | None]:
    present = {measure for _, _, measure in view.area}
    chosen = [measure for measure in OVERALL if measure in present]
    columns = [
        column("paper", phrase("bulletin.head.subject"), "words"),
        base_column(),
        measure_column(view, "mean_score"),
        interval_column(view, "score"),
    ]
    columns += [measure_column(view, measure) for measure in chosen if measure != "mean_score"]
    rows, used = [], []
    for paper in [*view.real_papers, *([TOTAL] if TOTAL in view.area_groups and TOTAL not in view.real_papers else [])]:
        for group in view.main_groups(paper):
            found = {measure: view.area.get((group, paper, measure)) for measure in chosen}
            mean = found.get("mean_score")
            if mean is None:
                continue
            used += [item for item in found.values() if item is not None]
            cells = [
                view.paper_label(group, paper),
                [mean["n_present"], mean["n_expected"]],
                value_or_reason(mean),
                interval_of(mean),
            ]
            cells += [value_or_reason(found[measure]) for measure in chosen if measure != "mean_score"]
            rows.append(row(cells, "total" if paper == TOTAL else "unit"))
    notes = [phrase("bulletin.note.across_subjects"), *view.reason_notes(used)]
    if any(len(view.main_groups(paper)) < len(view.area_groups[paper]) for paper in view.real_papers):
        notes.append(phrase("bulletin.note.without_deviations"))
    return [
        *_all_pass(view),
        table("overall", phrase("bulletin.caption.overall", area=view.area_word), columns, rows, notes),
        _distribution(view),
    ]


def _all_pass(view: View) -> list[Block | None]:
    said = []
    for group in view.main_groups(ALL_SUBJECTS):
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
        for group in view.main_groups(paper)[:2]:
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
            column(f"{unit}_mean", phrase("bulletin.head.unit_mean", unit=name), "score"),
            column(f"{unit}_gap", phrase("bulletin.head.unit_gap", unit=name), "gap"),
            column(
                f"{unit}_interval",
                phrase("bulletin.head.interval", level=typed(view.settings.conf_level, "level")),
                "interval_gap",
                soft=True,
            ),
        ]
    rows = []
    for paper in [*view.real_papers, *([COMPOSITE] if COMPOSITE in view.area_groups else [])]:
        for group in view.main_groups(paper):
            cells: list[Any] = []
            for unit in units:
                gap = found.get((group, paper, unit, "composite_z" if paper == COMPOSITE else "z_mean"))
                mean = found.get((group, paper, unit, "mean_score"))
                base = gap or mean
                cells += [
                    [base["n_present"], base["n_expected"]] if base else None,
                    value_or_reason(mean),
                    value_or_reason(gap),
                    interval_of(gap),
                ]
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
        section("schools", 2, phrase("bulletin.heading.schools"), school_blocks(view)),
        section("subjects", 2, phrase("bulletin.heading.subjects"), subject_blocks(view)),
        section("area_type", 2, phrase("bulletin.heading.area_type"), part_blocks(view, "area_type")),
        section("township", 2, phrase("bulletin.heading.township"), part_blocks(view, "township")),
        section("cluster", 2, phrase("bulletin.heading.cluster"), part_blocks(view, "cluster")),
        section("sex", 2, phrase("bulletin.heading.sex"), _groups(view, "sex")),
    ]
    for unit_type in view.unit_types:
        if unit_type.startswith("sub_"):
            parts.append(
                section(
                    unit_type,
                    2,
                    phrase("bulletin.heading.subgroup", name=unit_type.removeprefix("sub_")),
                    _groups(view, unit_type),
                )
            )
    return [section("results", 1, phrase("bulletin.heading.results"), []), *(part for part in parts if part["blocks"])]
