"""Annexes of the bulletin: school tables, score bands, definitions and methods, sources."""

from __future__ import annotations

from typing import Any

import polars as pl

from eduq.bulletins.blocks import Block, Phrase, column, items, paragraph, row, section, table
from eduq.bulletins.cells import cut_note, interval_of, measure_column, value_or_reason
from eduq.bulletins.formats import phrase, typed
from eduq.bulletins.view import View
from eduq.groups import COMPOSITE
from eduq.locale import has_text, text

__all__ = ["annex_sections", "band_counts", "definition_list"]

_SCHOOL_MEASURES = ("mean_score", "excellent_rate", "pass_rate", "low_score_rate", "sd", "cv")


def _schools_in_order(view: View) -> list[str]:
    units = view.of("school")["unit"].unique().to_list()
    return sorted(units, key=lambda unit: view.position("school", unit))


def _school_gaps(view: View) -> list[Block]:
    """Return schools × subjects: the standardised gap in each."""
    schools = _schools_in_order(view)
    listed, whole = view.shown(schools)
    frame = view.of("school").filter(pl.col("measure").is_in(["z_mean", "composite_z"]) & pl.col("unit").is_in(listed))
    if frame.is_empty():
        return []
    chosen = [*view.real_papers, *([COMPOSITE] if view.gap_paper == (COMPOSITE, "composite_z") else [])]
    rows_by_cell: dict[tuple[str, str], Any] = {}
    for item in frame.iter_rows(named=True):
        if item["measure"] == ("composite_z" if item["paper"] == COMPOSITE else "z_mean"):
            key = (item["unit"], item["paper"])
            if key not in rows_by_cell or rows_by_cell[key]["estimate"] is None or item["n"] > rows_by_cell[key]["n"]:
                rows_by_cell[key] = item
    columns = [column("unit", phrase("bulletin.unit_type.school"), "words")]
    columns += [column(paper, view.paper_name(paper), "gap") for paper in chosen]
    rows = [
        row([view.unit_name("school", unit), *(value_or_reason(rows_by_cell.get((unit, paper))) for paper in chosen)])
        for unit in listed
    ]
    notes = [*cut_note(whole, len(listed), "school"), *view.reason_notes(rows_by_cell.values())]
    return [table("annex_school_gaps", phrase("bulletin.caption.annex_school_gaps"), columns, rows, notes, whole=whole)]


def _school_tables(view: View) -> list[Block]:
    """Return, per subject, one table of all level measures by school."""
    schools = _schools_in_order(view)
    listed, whole = view.shown(schools)
    wanted = [*_SCHOOL_MEASURES, "participation_rate", "z_mean"]
    frame = view.of("school").filter(pl.col("unit").is_in(listed) & pl.col("measure").is_in(wanted))
    found = view.lookup(frame)
    known: dict[str, list[tuple[str, str]]] = {}
    for paper, group, unit in frame.select("paper", "comparison_group", "unit").unique(maintain_order=True).iter_rows():
        known.setdefault(paper, []).append((unit, group))
    present = set(frame["measure"].unique())
    measures = [measure for measure in _SCHOOL_MEASURES if measure in present]
    level = typed(view.settings.conf_level, "level")
    blocks = []
    for paper in view.real_papers:
        columns = [
            column("unit", phrase("bulletin.unit_type.school"), "words"),
            column("base", phrase("bulletin.head.base"), "base"),
        ]
        columns += [measure_column(view, "participation_rate"), measure_column(view, "mean_score")]
        columns.append(column("interval", phrase("bulletin.head.interval", level=level), "interval_score", soft=True))
        columns += [measure_column(view, measure) for measure in measures if measure != "mean_score"]
        columns.append(measure_column(view, "z_mean"))
        rows, used = [], []
        several = len(view.area_groups[paper]) > 1
        for unit, group in sorted(known.get(paper, []), key=lambda pair: (view.position("school", pair[0]), pair[1])):
            cells = {measure: found.get((group, paper, unit, measure)) for measure in wanted}
            used += [item for item in cells.values() if item is not None]
            parts = view.group_parts(group) if several else []
            name = view.unit_name("school", unit)
            rows.append(
                row(
                    [
                        phrase("bulletin.paper_in_group", paper=name, group=parts) if parts else name,
                        *_level_cells(cells, measures),
                    ]
                )
            )
        for group in view.main_groups(paper):
            cells = {measure: view.area.get((group, paper, measure)) for measure in wanted}
            parts = view.group_parts(group) if several else []
            name = phrase("bulletin.paper_in_group", paper=view.area_word, group=parts) if parts else view.area_word
            rows.append(row([name, *_level_cells(cells, measures)], "total"))
        notes = [*cut_note(whole, len(listed), "school"), *view.reason_notes(used)]
        caption = phrase("bulletin.caption.annex_school_paper", paper=view.paper_name(paper))
        blocks.append(table(f"annex_schools_{paper}", caption, columns, rows, notes, whole=whole))
    return blocks


def _level_cells(cells: dict[str, Any], measures: list[str]) -> list[Any]:
    mean = cells.get("mean_score")
    base = [mean["n_present"], mean["n_expected"]] if mean else None
    levels = [value_or_reason(cells[measure]) for measure in measures if measure != "mean_score"]
    return [
        base,
        value_or_reason(cells["participation_rate"]),
        value_or_reason(mean),
        interval_of(mean),
        *levels,
        value_or_reason(cells["z_mean"]),
    ]


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
    chosen = [(group, paper) for paper in view.real_papers for group in view.main_groups(paper) if (group, paper) in counts]
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
    return "expected" if counted else "present"


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
    inputs = view.pub.inputs
    listed, whole = view.shown(list(inputs.iter_rows(named=True)))
    rows = [row([item["file"], item["rows"], item["used"], item["rejected"], (item["sha256"] or "")[:12]]) for item in listed]
    rows.append(
        row([phrase("bulletin.total"), *(int(inputs[name].sum()) for name in ("rows", "used", "rejected")), None], "total")
    )
    notes = [*cut_note(whole, len(listed), "quality"), phrase("bulletin.note.hash_tables")]
    blocks = [table("annex_inputs", phrase("bulletin.caption.annex_inputs"), columns, rows, notes, whole=whole)]
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
    """Return the annexes that have data."""
    schools = "school" in view.unit_types
    parts = [
        section("annex_school_gaps", 1, phrase("bulletin.heading.annex_school_gaps"), _school_gaps(view) if schools else []),
        section("annex_schools", 1, phrase("bulletin.heading.annex_schools"), _school_tables(view) if schools else []),
        section("annex_bands", 1, phrase("bulletin.heading.annex_bands"), _bands(view)),
        section("annex_method", 1, phrase("bulletin.heading.annex_method"), _method(view)),
        section("annex_data", 1, phrase("bulletin.heading.annex_data"), _data(view)),
    ]
    if parts[1]["blocks"]:
        parts[1]["blocks"].insert(0, paragraph(phrase("bulletin.note.more_measures")))
    if {"class", "teacher"} & set(view.unit_types) and parts[1]["blocks"]:
        parts[1]["blocks"].append(paragraph(phrase("bulletin.note.more_units")))
    return [part for part in parts if part["blocks"]]
