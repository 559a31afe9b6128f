"""Section two of the bulletin: what was found, for the area, its schools, its parts and groups of pupils."""

from __future__ import annotations

from typing import Any

import polars as pl

from eduq.bulletins.blocks import Block, chart, column, note, paragraph, row, section, table
from eduq.bulletins.cells import (
    base_column,
    counted_cell,
    counted_column,
    interval_column,
    interval_of,
    level_rates,
    measure_column,
    minor_note,
    value_or_reason,
)
from eduq.bulletins.charts import draw_distribution
from eduq.bulletins.comparison_section import comparison_section
from eduq.bulletins.comparisons import part_blocks, subject_blocks, unit_blocks
from eduq.bulletins.equity_section import equity_section
from eduq.bulletins.focus_section import focus_section
from eduq.bulletins.formats import counted, phrase, typed
from eduq.bulletins.growth_section import growth_section
from eduq.bulletins.history import history_section
from eduq.bulletins.target_section import target_section
from eduq.bulletins.view import ALL_SUBJECTS, View
from eduq.groups import COMPOSITE, TOTAL

__all__ = ["result_sections"]

_PANELS = 12


def _overall(view: View) -> list[Block | None]:
    blocks: list[Block | None] = [*_all_pass(view), _overall_table(view)]
    derived = TOTAL if TOTAL in view.area_groups and TOTAL not in view.real_papers else ALL_SUBJECTS
    blocks += [note(said) for said in minor_note(view, derived)]
    blocks.append(_distribution(view))
    return blocks


def _overall_table(view: View) -> Block | None:
    """Return the level measures of the area, one line per paper and comparison group; None where none was computed."""
    present = {measure for _, _, measure in view.area}
    rates, left_out = level_rates(view, present)
    chosen = [name for name in ("mean_score", "score_rate", *rates, "sd") if name in present]
    if not chosen:
        return None
    columns = [column("paper", phrase("bulletin.head.subject"), "words"), base_column(), *counted_column(view)]
    for measure in chosen:
        columns.append(measure_column(view, measure))
        if measure == "mean_score":
            columns.append(interval_column(view, "score"))
    rows, used, mixed = [], [], []
    for paper in [*view.real_papers, *([TOTAL] if TOTAL in view.area_groups and TOTAL not in view.real_papers else [])]:
        for group in view.main_groups(paper):
            found = {measure: view.area.get((group, paper, measure)) for measure in chosen}
            if all(item is None for item in found.values()):
                continue
            used += [item for item in found.values() if item is not None]
            label = view.paper_label(group, paper)
            if view.fact(group, "reason") == "marking_not_shared":
                if paper != TOTAL:
                    mixed.append(label)
                label = phrase("bulletin.marked", name=label)
            expected, took_part = view.area_counts[group, paper]
            cells: list[Any] = [label, [took_part, expected], *counted_cell(view, found[chosen[0]])]
            for measure in chosen:
                cells.append(value_or_reason(found[measure]))
                if measure == "mean_score":
                    cells.append(interval_of(found[measure]))
            rows.append(row(cells, "total" if paper == TOTAL else "unit"))
    if not rows:
        return None
    notes = [phrase("bulletin.note.mixed_marking", papers=mixed)] if mixed else []
    notes += [phrase("bulletin.note.across_subjects"), *view.reason_notes(used, by_paper=True)]
    if any(len(view.main_groups(paper)) < len(view.area_groups[paper]) for paper in view.real_papers):
        notes.append(phrase("bulletin.note.without_deviations"))
    if left_out:
        notes.append(phrase("bulletin.note.rates_left_out", names=[view.measure_name(name) for name in left_out]))
    return table("overall", phrase("bulletin.caption.overall", area=view.area_word), columns, rows, notes)


def _all_pass(view: View) -> list[Block | None]:
    said = []
    groups = view.main_groups(ALL_SUBJECTS)
    for group in groups:
        item = view.area.get((group, ALL_SUBJECTS, "all_pass_rate"))
        if item is None or item["estimate"] is None or item["ci_lower"] is None:
            continue
        name: Any = view.measure_name("all_pass_rate")
        if len(groups) > 1:
            name = phrase("bulletin.paper_in_group", paper=name, group=view.group_label(group, ALL_SUBJECTS))
        said.append(
            paragraph(
                phrase(
                    "bulletin.results.all_pass",
                    name=name,
                    rate=typed(item["estimate"], "percent"),
                    level=typed(item["conf_level"] or view.settings.conf_level, "level"),
                    interval=typed(interval_of(item), "interval_percent"),
                    n=item["n"],
                )
            )
        )
    return list(said)


def _cut_lines(view: View) -> dict[str, float]:
    """Return the cuts drawn into the distribution: pass and excellent, or the first two of the run's own rates."""
    rates, _ = level_rates(view, {measure for _, _, measure in view.area})
    cuts = {name: view.pub.measures[name]["cut"] for name in rates if 0 < (view.pub.measures[name].get("cut") or 0) < 1}
    usual = [name for name in ("pass_rate", "excellent_rate") if name in cuts]
    return {name: cuts[name] for name in usual or list(cuts)[:2]}


def _distribution(view: View) -> Block | None:
    cuts = _cut_lines(view)
    panels, papers = [], []
    by_bands = view.pub.edition != "bureau"  # scores are known by bands of marks only
    band = view.settings.band_width if by_bands else None
    for paper in view.real_papers:
        facts = view.papers.get(paper)
        if facts is None or facts.max_hundredths is None:
            continue
        for group in view.main_groups(paper):
            frame = view.pub.distribution.filter((pl.col("comparison_group") == group) & (pl.col("paper") == paper))
            if frame["count"].sum() >= 30 and (band is None or facts.max_hundredths % (100 * band) == 0):
                panels.append((view.paper_label(group, paper), facts.max_hundredths, frame))
                papers.append(paper)
    panels, papers = panels[:_PANELS], papers[:_PANELS]
    if not panels:
        return None
    lines = [
        phrase("bulletin.figure.cut_line", name=view.measure_name(name), share=typed(cut, "level")) for name, cut in cuts.items()
    ]
    step = phrase("bulletin.figure.band_share") if band is None else phrase("bulletin.figure.band_marks", n=band)
    caption = phrase("bulletin.figure.distribution_caption", step=step)
    if lines:
        caption = phrase("bulletin.figure.distribution_caption_lines", step=step, lines=lines)
    return chart(
        "distribution",
        phrase("bulletin.figure.distribution_title", papers=counted("subject", len(set(papers)))),
        caption,
        phrase("bulletin.figure.distribution_alt", papers=[label for label, _, _ in panels]),
        draw_distribution(panels, list(cuts.values()), view.lang, band_width=band),
        "bands",
    )


def _groups(view: View, unit_type: str) -> list[Block | None]:
    """Return, per subject, the mean and gap of each group of pupils (sex, declared subgroups)."""
    if unit_type not in view.unit_types:
        return []
    frame = view.of(unit_type)
    found = view.lookup(frame.filter(pl.col("measure").is_in(["mean_score", "z_mean", "composite_z"])))
    counts = {
        (group, paper, unit): [present, expected]
        for group, paper, unit, present, expected in frame.group_by("comparison_group", "paper", "unit")
        .agg(pl.col("n_present", "n_expected").max())
        .iter_rows()
    }
    units = sorted(frame["unit"].unique(), key=lambda unit: view.position(unit_type, unit))[:6]
    measures = {measure for _, _, _, measure in found}
    with_mean, with_gap = "mean_score" in measures, bool(measures & {"z_mean", "composite_z"})
    if not measures or not units:
        return []
    columns = [column("paper", phrase("bulletin.head.subject"), "words")]
    for unit in units:
        name = view.unit_name(unit_type, unit)
        columns.append(column(f"{unit}_base", phrase("bulletin.head.unit_base", unit=name), "base"))
        if with_mean:
            columns.append(column(f"{unit}_mean", phrase("bulletin.head.unit_mean", unit=name), "score"))
        if with_gap:
            level = typed(view.settings.conf_level, "level")
            columns.append(column(f"{unit}_gap", phrase("bulletin.head.unit_gap", unit=name), "gap"))
            columns.append(column(f"{unit}_interval", phrase("bulletin.head.interval", level=level), "interval_gap", soft=True))
    rows, used = [], []
    for paper in [*view.real_papers, *([COMPOSITE] if COMPOSITE in view.area_groups and with_gap else [])]:
        for group in view.main_groups(paper):
            cells: list[Any] = []
            for unit in units:
                gap = found.get((group, paper, unit, "composite_z" if paper == COMPOSITE else "z_mean"))
                mean = found.get((group, paper, unit, "mean_score"))
                used += [item for item in (gap, mean) if item is not None]
                cells.append(counts.get((group, paper, unit)))
                cells += [value_or_reason(mean)] if with_mean else []
                cells += [value_or_reason(gap), interval_of(gap)] if with_gap else []
            if any(cell is not None for cell in cells):
                rows.append(row([view.paper_label(group, paper), *cells], "total" if paper == COMPOSITE else "unit"))
    if not rows:
        return []
    caption = phrase(f"bulletin.caption.groups_{'sex' if unit_type == 'sex' else 'other'}", name=view.subgroup_name(unit_type))
    notes = [*view.reason_notes(used), phrase("bulletin.note.groups")]
    return [table(unit_type, caption, columns, rows, notes)]


def result_sections(view: View) -> list[Block]:
    """Return 主要结果 with its parts; parts without data are left out."""
    parts = [
        section("overall", 2, phrase("bulletin.heading.overall"), _overall(view)),
        section("schools", 2, view.gap_heading("schools"), unit_blocks(view, "school")),
        section("classes", 2, view.gap_heading("classes"), unit_blocks(view, "class")),
        section("subjects", 2, phrase("bulletin.heading.subjects"), subject_blocks(view)),
        comparison_section(view),
        section("area_type", 2, view.gap_heading("area_type"), part_blocks(view, "area_type")),
        section("township", 2, view.gap_heading("township"), part_blocks(view, "township")),
        section("cluster", 2, view.gap_heading("cluster"), part_blocks(view, "cluster")),
        section("sex", 2, phrase("bulletin.heading.sex"), _groups(view, "sex")),
    ]
    for unit_type in view.unit_types:
        if unit_type.startswith("sub_"):
            parts.append(
                section(
                    unit_type,
                    2,
                    phrase("bulletin.heading.subgroup", name=view.subgroup_name(unit_type)),
                    _groups(view, unit_type),
                )
            )
    parts += [part for part in (equity_section(view), growth_section(view), focus_section(view)) if part is not None]
    targets = target_section(view)
    if targets is not None:
        parts.append(targets)
    history = history_section(view)
    if history is not None:
        parts.append(history)
    return [section("results", 1, phrase("bulletin.heading.results"), []), *(part for part in parts if part["blocks"])]
