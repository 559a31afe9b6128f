"""Annexes of the bulletin: school tables, score bands, definitions and methods, sources."""

from __future__ import annotations

from typing import Any

import polars as pl

from eduq.bulletins.blocks import Block, Phrase, column, items, paragraph, row, section, table
from eduq.bulletins.cells import (
    base_column,
    counted_cell,
    counted_column,
    cut_note,
    interval_column,
    interval_of,
    level_rates,
    measure_column,
    value_or_reason,
)
from eduq.bulletins.checks import technical_sentences
from eduq.bulletins.formats import phrase, typed
from eduq.bulletins.view import View
from eduq.groups import COMPOSITE
from eduq.locale import has_text, text

__all__ = ["annex_sections", "band_counts", "definition_list"]


def _units_in_order(view: View, unit_type: str) -> list[str]:
    units = view.of(unit_type)["unit"].unique().to_list()
    return sorted(units, key=lambda unit: view.position(unit_type, unit))


def _in_stratum(view: View, unit_type: str, unit: str, group: str, *, several: bool) -> Any:
    """Return the name of a unit, with year group and track where there are several."""
    name = view.unit_name(unit_type, unit)
    parts = view.stratum_words(group) if several else []
    return phrase("bulletin.paper_in_group", paper=name, group=parts) if parts else name


def _gaps_annex(view: View, unit_type: str) -> list[Block]:
    """Return units × subjects: the standardised gap in each; one line per unit and track."""
    units = _units_in_order(view, unit_type)
    listed, whole = view.shown(units)
    frame = view.of(unit_type).filter(pl.col("measure").is_in(["composite_z", "z_mean"]) & pl.col("unit").is_in(listed))
    if frame.is_empty():
        return []
    has_composite = view.gap_paper == (COMPOSITE, "composite_z")
    chosen = [*view.real_papers, *([COMPOSITE] if has_composite else [])]
    # in each track the largest combination comes first, and a unit's own group only where it is not in that one
    place = {group: number for paper in chosen for number, group in enumerate(view.area_groups.get(paper, []))}
    best: dict[tuple[Any, ...], tuple[int, Any]] = {}
    strata: dict[tuple[Any, ...], str] = {}
    for item in frame.iter_rows(named=True):
        paper, group = item["paper"], item["comparison_group"]
        if paper not in chosen or item["measure"] != ("composite_z" if paper == COMPOSITE else "z_mean"):
            continue
        line = (item["unit"], *view.stratum(group))
        strata.setdefault(line, group)
        rank = place.get(group, len(place))
        if (*line, paper) not in best or rank < best[*line, paper][0]:
            best[*line, paper] = (rank, item)
    if all(item["estimate"] is None for _, item in best.values()):
        return []  # why nothing is compared stands in the text
    several = len({line[1:] for line in strata}) > 1
    columns = [column("unit", phrase(f"bulletin.unit_type.{unit_type}"), "words")]
    columns += [column(paper, view.paper_name(paper), "gap") for paper in chosen]
    order = sorted(strata, key=lambda line: (view.position(unit_type, line[0]), str(line[1]), str(line[2])))
    rows = [
        row(
            [
                _in_stratum(view, unit_type, line[0], strata[line], several=several),
                *(value_or_reason(best[*line, paper][1]) if (*line, paper) in best else None for paper in chosen),
            ]
        )
        for line in order
    ]
    notes = [*cut_note(whole, len(listed), unit_type), *view.reason_notes(item for _, item in best.values())]
    if has_composite and view.has_combinations:
        notes.append(phrase("bulletin.note.largest_combination"))
    name = "annex_school_gaps" if unit_type == "school" else "annex_class_gaps"
    return [table(name, phrase(f"bulletin.caption.{name}"), columns, rows, notes, whole=whole)]


def _level_tables(view: View, unit_type: str) -> list[Block]:
    """Return, per subject, one table of the level measures by school or class."""
    units = _units_in_order(view, unit_type)
    listed, whole = view.shown(units)
    present = set(view.of(unit_type)["measure"].unique())
    rates, _ = level_rates(view, present)
    measures = [name for name in ("mean_score", *rates, "sd", "cv", "z_mean") if name in present]
    if not measures:
        return []
    frame = view.of(unit_type).filter(pl.col("unit").is_in(listed))
    found = view.lookup(frame.filter(pl.col("measure").is_in(measures)))
    keys = ["paper", "comparison_group", "unit"]
    counts = {
        (paper, group, unit): (n_present, expected)
        for paper, group, unit, n_present, expected in frame.group_by(keys)
        .agg(pl.col("n_present", "n_expected").max())
        .iter_rows()
    }
    known: dict[str, list[tuple[str, str]]] = {}
    for paper, group, unit in counts:
        known.setdefault(paper, []).append((unit, group))
    columns = [
        column("unit", phrase(f"bulletin.unit_type.{unit_type}"), "words"),
        base_column(),
        column("participation", phrase("bulletin.head.participation"), "rate"),
        *counted_column(view),
    ]
    for measure in measures:
        columns.append(measure_column(view, measure))
        if measure == "mean_score":
            columns.append(interval_column(view, "score"))
    blocks = []
    for paper in view.real_papers:
        several = len(view.area_groups[paper]) > 1
        rows, used = [], []
        for unit, group in sorted(known.get(paper, []), key=lambda pair: (view.position(unit_type, pair[0]), pair[1])):
            cells = {measure: found.get((group, paper, unit, measure)) for measure in measures}
            used += [item for item in cells.values() if item is not None]
            parts = view.group_parts(group) if several else []
            name = view.unit_name(unit_type, unit)
            label = phrase("bulletin.paper_in_group", paper=name, group=parts) if parts else name
            rows.append(row([label, *_level_cells(view, counts[paper, group, unit], cells)]))
        for group in view.main_groups(paper):
            cells = {measure: view.area.get((group, paper, measure)) for measure in measures}
            parts = view.group_parts(group) if several else []
            label = phrase("bulletin.paper_in_group", paper=view.area_word, group=parts) if parts else view.area_word
            expected, took_part = view.area_counts[group, paper]
            rows.append(row([label, *_level_cells(view, (took_part, expected), cells)], "total"))
        notes = [*cut_note(whole, len(listed), unit_type), *view.reason_notes(used)]
        caption = phrase(f"bulletin.caption.annex_{unit_type}_paper", paper=view.paper_name(paper))
        name_ = f"annex_{'schools' if unit_type == 'school' else 'classes'}_{paper}"
        blocks.append(table(name_, caption, columns, rows, notes, whole=whole))
    return blocks


def _level_cells(view: View, counts: tuple[int, int], cells: dict[str, Any]) -> list[Any]:
    took_part, expected = counts
    first = next(iter(cells.values()))
    said: list[Any] = [[took_part, expected], took_part / expected if expected else None, *counted_cell(view, first)]
    for measure, item in cells.items():
        said.append(value_or_reason(item))
        if measure == "mean_score":
            said.append(interval_of(item))
    return said


def band_counts(view: View) -> dict[tuple[str, str], list[int]]:
    """Return numbers of candidates by (comparison group, paper) in bands [a, b) from 0 up; the last one holds the full mark."""
    width = view.settings.band_width * 100
    found = {}
    for (group, paper), frame in view.pub.distribution.group_by("comparison_group", "paper", maintain_order=True):
        facts = view.papers.get(str(paper))
        full = (facts.max_hundredths if facts else None) or frame.select(pl.col("score").max()).item()
        last = max(0, -(-full // width) - 1)
        counted = frame.group_by((pl.col("score").cast(pl.Int64) // width).clip(0, last).alias("band")).agg(pl.col("count").sum())
        counts = dict(counted.iter_rows())
        found[str(group), str(paper)] = [counts.get(i, 0) for i in range(last + 1)]
    return found


def _bands(view: View) -> list[Block]:
    counts = band_counts(view)
    chosen = [
        (group, paper)
        for paper in view.real_papers
        for group in view.main_groups(paper)
        if sum(counts.get((group, paper), [])) >= view.min_n
    ]
    if not chosen:
        return []
    width = view.settings.band_width
    columns = [column("band", phrase("bulletin.head.band"), "text")]
    columns += [column(group, view.paper_label(group, paper), "count") for group, paper in chosen]
    rows = []
    for i in reversed(range(max(len(counts[key]) for key in chosen))):
        rows.append(
            row([f"{i * width}—{(i + 1) * width}", *(counts[key][i] if i < len(counts[key]) else None for key in chosen)])
        )
    rows.append(row([phrase("bulletin.head.n_present"), *(sum(counts[key]) for key in chosen)], "total"))
    return [
        table(
            "bands", phrase("bulletin.caption.annex_bands", area=view.area_word), columns, rows, [phrase("bulletin.note.bands")]
        )
    ]


def definition_list(view: View) -> list[dict[str, Any]]:
    """Return the definitions in use: id, version, name, formula, kind, cut, denominator, absence policies, look-alikes."""
    used = set(view.pub.estimates["measure"].unique())
    found = []
    for measure, entry in view.pub.measures.items():
        if measure not in used:
            continue
        said = {field: (entry.get(field) or {}).get(view.lang) for field in ("formula", "homonyms")}
        policy = view.exam.absence.policy
        found.append(
            {
                "id": measure,
                "version": entry["version"],
                "name": entry["name"][view.lang],
                "kind": entry["kind"],
                "formula": said["formula"],
                "cut": {side: entry[side] for side in ("cut", "below", "band") if entry.get(side) is not None},
                "denominator": _denominator(measure, entry, policy),
                "absence": list(entry.get("absence") or ()),
                "homonyms": said["homonyms"],
            }
        )
    return found


def _denominator(measure: str, entry: dict[str, Any], policy: str) -> str:
    if measure in ("participation_rate", "all_pass_rate", "school_cv"):
        return "own"
    counted = policy in (entry.get("absence") or ()) and (
        policy == "zero" or (policy == "rate-only" and entry["kind"] == "proportion")
    )
    return "counted" if counted else "present"


def _method(view: View) -> list[Block]:
    definitions = definition_list(view)
    columns = [
        column("measure", phrase("bulletin.head.measure"), "words"),
        column("formula", phrase("bulletin.head.formula"), "text"),
        column("denominator", phrase("bulletin.head.denominator"), "words"),
        column("homonyms", phrase("bulletin.head.warning"), "text", soft=True),
    ]
    rows = [
        row(
            [
                phrase("measures_text.version", name=entry["name"], version=entry["version"]),
                entry["formula"],
                phrase(f"measures_text.denominator_{entry['denominator']}"),
                entry["homonyms"],
            ]
        )
        for entry in definitions
    ]
    used = {entry["id"] for entry in definitions}
    methods = sorted(
        {name for name in view.pub.estimates["method"].unique().drop_nulls() if has_text(f"methods.{name.replace(' ', '_')}")}
    )
    said: list[Phrase] = [phrase("methods.census")]
    said += [
        phrase(f"methods.{name}") for name, shown in (("gap", "z_mean" in used), ("composite", "composite_z" in used)) if shown
    ]
    said += [phrase("methods.judged"), phrase("methods.comparison")]
    said += [phrase(f"methods.{name.replace(' ', '_')}") for name in methods]
    history = view.pub.history
    if history is not None and history.bounds:
        bounds = history.bounds
        said.append(
            phrase(
                "methods.declines",
                materiality=typed(bounds["materiality"], "number2"),
                alpha=typed(bounds["alpha_holm"], "number2"),
                q=typed(bounds["q"], "number2"),
                p=typed(bounds["p_possible"], "number2"),
                n=bounds["min_n"],
            )
        )
    said.append(phrase("methods.exactness"))
    return [items(said), table("annex_measures", phrase("bulletin.caption.annex_measures"), columns, rows)]


def _data(view: View) -> list[Block]:
    columns = [
        column("file", phrase("bulletin.head.file"), "text"),
        column("rows", phrase("bulletin.head.file_rows"), "count"),
        column("used", phrase("bulletin.head.used"), "count"),
        column("rejected", phrase("bulletin.head.rejected"), "count"),
        column("sha256", phrase("bulletin.head.sha256"), "text", soft=True),
    ]
    if view.pub.edition != "bureau":  # files have no names there, and the counts of rows stand in the text
        return _technical(view)
    inputs = view.pub.inputs
    listed, whole = view.shown(list(inputs.iter_rows(named=True)))
    rows = [row([item["file"], item["rows"], item["used"], item["rejected"], (item["sha256"] or "")[:12]]) for item in listed]
    rows.append(
        row([phrase("bulletin.total"), *(int(inputs[name].sum()) for name in ("rows", "used", "rejected")), None], "total")
    )
    notes = [*cut_note(whole, len(listed), "quality"), phrase("bulletin.note.hash_tables")]
    if len(view.pub.rejected_counts):
        notes.append(phrase("bulletin.note.rejects_command"))
    return [table("annex_inputs", phrase("bulletin.caption.annex_inputs"), columns, rows, notes, whole=whole), *_technical(view)]


def _technical(view: View) -> list[Block]:
    """Return what the run was made with."""
    blocks: list[Block] = []
    technical = technical_sentences(view)
    if technical:
        blocks += [paragraph(phrase("bulletin.basics.technical")), items(technical)]
    if view.pub.provenance:
        facts = [row([provenance_name(view, name), value]) for name, value in view.pub.provenance.items()]
        pair = [
            column("item", phrase("bulletin.head.item"), "words"),
            column("value", phrase("bulletin.head.value"), "text", soft=True),
        ]
        blocks.append(table("provenance", phrase("bulletin.caption.provenance"), pair, facts))
    return blocks


def provenance_name(view: View, name: str) -> str:
    """Return the wording of an entry of the provenance, or its own name."""
    key = f"bulletin.provenance.{name}"
    return text(key, view.lang) if has_text(key) else name


def annex_sections(view: View) -> list[Block]:
    """Return the annexes that have data; by school, or by class where there is one school."""
    unit_type = next(iter(view.compared_units), None)
    parts = []
    if unit_type is not None:
        names = ("annex_school_gaps", "annex_schools") if unit_type == "school" else ("annex_class_gaps", "annex_classes")
        levels = _level_tables(view, unit_type)
        if levels:
            sheet = phrase(f"bulletin.sheet.{unit_type}")
            levels.insert(0, paragraph(phrase("bulletin.note.more_measures", sheet=sheet)))
            if {"class", "teacher"} & set(view.unit_types) - {unit_type}:
                levels.append(paragraph(phrase("bulletin.note.more_units")))
        parts += [
            section(names[0], 1, phrase(f"bulletin.heading.{names[0]}"), _gaps_annex(view, unit_type)),
            section(names[1], 1, phrase(f"bulletin.heading.{names[1]}"), levels),
        ]
    parts += [
        section("annex_bands", 1, phrase("bulletin.heading.annex_bands"), _bands(view)),
        section("annex_method", 1, phrase("bulletin.heading.annex_method"), _method(view)),
        section("annex_data", 1, phrase("bulletin.heading.annex_data"), _data(view)),
    ]
    return [part for part in parts if part["blocks"]]
