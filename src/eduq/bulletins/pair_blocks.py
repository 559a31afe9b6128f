"""Paired schools and alliances in the bulletin: the gap now with its interval, and its course over the years."""

from __future__ import annotations

from collections import Counter
from typing import Any

import polars as pl

from eduq.bulletins.blocks import Block, Phrase, chart, column, paragraph, row, table
from eduq.bulletins.cells import cut_note, interval_column
from eduq.bulletins.comparison_words import small_chance
from eduq.bulletins.courses import COURSES_LIMIT, Course, draw_courses
from eduq.bulletins.formats import joined, phrase, typed
from eduq.bulletins.reading import Row
from eduq.bulletins.view import View
from eduq.estimates.comparison import PairsResult

__all__ = ["pair_blocks"]

_WORD = "bulletin.comparisons"


def _newest(result: PairsResult) -> pl.DataFrame:
    return result.frame.filter(pl.col("period") == pl.col("period").max()) if "period" in result.frame.columns else result.frame


def _side(item: Row, value: str, alpha: float) -> str | None:
    if item[value] is None or item["q_value"] is None:
        return None
    return "same" if item["q_value"] > alpha else "above" if item[value] > 0 else "below"


def _courses(result: PairsResult) -> dict[tuple[Any, ...], Row]:
    """Return the courses that have a change, by group, unit and partner."""
    rows = result.course.filter(pl.col("estimate").is_not_null()) if result.course.height else result.course
    return {(item[result.group], item["unit"], item["partner"]): item for item in rows.iter_rows(named=True)}


def _name(view: View, unit: str) -> Any:
    history = view.pub.history
    name = view.unit_name("school", unit)
    return history.names.get(unit, unit) if name == unit and history is not None else name


def _pair_name(view: View, item: Row) -> Phrase:
    names = joined([_name(view, item["unit"]), _name(view, item["partner"])], " − ")
    return joined([str(item["pair_id"]), names], " ")


def _reason(item: Row, min_n: int) -> Phrase:
    few = [item[name] for name in ("n", "n_partner") if item[name] is not None and item[name] < min_n]
    return phrase("pairs.reason.withheld" if few else f"pairs.reason.{item['reason']}")


def _interval(item: Row | None) -> Any:
    return None if item is None or item["ci_lower"] is None else [item["ci_lower"], item["ci_upper"]]


def _change(item: Row | None) -> Phrase | None:
    return None if item is None else phrase(f"{_WORD}.change_{item['change']}", first=item["first"], last=item["last"])


def _pairs(view: View, result: PairsResult) -> list[Block | None]:
    alpha = 1 - view.settings.conf_level
    rows = sorted(
        _newest(result).iter_rows(named=True), key=lambda item: (item["pair_id"], view.position("school", item["unit"]))
    )
    alone = [item for item in rows if item["partner"] is None]
    rows = [item for item in rows if item["partner"] is not None]
    known = [item for item in rows if item["gap"] is not None and item["q_value"] is not None]
    if not known:
        return []
    courses = _courses(result)
    sides = Counter(_side(item, "gap", alpha) for item in known)
    followed = [courses[key] for item in rows if (key := (item["pair_id"], item["unit"], item["partner"])) in courses]
    changed = sum(_side(item, "estimate", alpha) != "same" for item in followed)
    listed, whole = view.shown(rows)
    columns = [
        column("pair", phrase(f"{_WORD}.head_pair"), "words"),
        column("n", phrase(f"{_WORD}.head_pair_n"), "words"),
        column("gap", phrase(f"{_WORD}.head_gap"), "gap"),
        interval_column(view),
        column("q", phrase(f"{_WORD}.head_q"), "number3"),
    ]
    if courses:
        columns += [
            column("first", phrase(f"{_WORD}.head_first_gap"), "gap", soft=True),
            column("course", phrase(f"{_WORD}.head_course"), "words"),
            column("change", phrase(f"{_WORD}.head_change"), "gap"),
            {**interval_column(view), "id": "change_interval"},
            column("change_q", phrase(f"{_WORD}.head_change_q"), "number3"),
        ]
    cells = []
    for item in listed:
        course = courses.get((item["pair_id"], item["unit"], item["partner"]))
        sizes = joined([str(item[name]) if item[name] is not None else "—" for name in ("n", "n_partner")], " / ")
        told: list[Any] = [_pair_name(view, item), sizes]
        told += [
            _reason(item, view.min_n) if item["gap"] is None else item["gap"],
            _interval(item),
            small_chance(item["q_value"]),
        ]
        if courses:
            numbers = [None] * 2 if course is None else [course["gap_first"], course["estimate"]]
            q = None if course is None else small_chance(course["q_value"])
            told += [numbers[0], _change(course), numbers[1], _interval(course), q]
        cells.append(row(told))
    said = {"n": len(known), "above": sides["above"], "below": sides["below"], "same": sides["same"]}
    blocks: list[Block | None] = [paragraph(phrase(f"{_WORD}.pairs", **said))]
    if followed:
        blocks.append(paragraph(phrase(f"{_WORD}.pairs_course", n=len(followed), changed=changed, same=len(followed) - changed)))
    blocks.append(_figure(view, result, listed, changed))
    caption = phrase(f"{_WORD}.pairs_caption", gap=view.gap_name)
    notes = [*cut_note(whole, len(listed), "pairs"), phrase(f"{_WORD}.note_pairs")]
    notes += [phrase(f"{_WORD}.pairs_alone", n=len(alone), pairs=[str(item["pair_id"]) for item in alone])] if alone else []
    blocks.append(table("comparisons_pairs", caption, columns, cells, notes, whole=whole))
    return blocks


def _figure(view: View, result: PairsResult, rows: list[Row], changed: int) -> Block | None:
    """Return the courses of the gaps as small multiples; None without earlier exams."""
    if "period" not in result.frame.columns:
        return None
    alpha = 1 - view.settings.conf_level
    periods = sorted(result.frame["period"].unique().to_list())
    courses: list[Course] = []
    for item in rows:
        own = result.frame.filter(
            pl.col("pair_id") == item["pair_id"],
            pl.col("unit") == item["unit"],
            pl.col("partner") == item["partner"],
            pl.col("gap").is_not_null(),
        ).sort("period")
        dots = [
            (periods.index(line["period"]), line["gap"], line["ci_lower"], line["ci_upper"]) for line in own.iter_rows(named=True)
        ]
        if len(dots) > 1:
            courses.append((str(item["pair_id"]), _side(item, "gap", alpha) or "same", dots))
    if not courses or len(periods) < 2:
        return None
    drawn = courses[:COURSES_LIMIT]
    said = {
        "n": len(courses),
        "changed": changed,
        "shown": len(drawn),
        "first": periods[0],
        "last": periods[-1],
        "level": typed(view.settings.conf_level, "level"),
        "gap": view.gap_name,
    }
    return chart(
        "comparisons_pair_courses",
        phrase(f"{_WORD}.pairs_title", **said),
        phrase(f"{_WORD}.pairs_figure", **said),
        phrase(f"{_WORD}.pairs_alt", **said),
        draw_courses(drawn, [str(period)[:4] for period in periods], view.lang),
        "comparisons_pairs",
    )


def _clusters(view: View, result: PairsResult) -> list[Block | None]:
    if result.spread is None:
        return []
    alpha = 1 - view.settings.conf_level
    by_period = "period" in result.spread.columns
    spread = result.spread.sort("cluster", *(["period"] if by_period else []))
    newest = _newest(result)
    rows, several = [], False
    for (cluster,), part in spread.group_by(["cluster"], maintain_order=True):
        last = part.row(-1, named=True)
        members = newest.filter(pl.col("cluster") == cluster).iter_rows(named=True)
        sides = Counter(_side(item, "gap", alpha) for item in members)
        counts = [sides["above"], sides["below"], sides["same"]]
        spans = [
            [last[f"{name}_lower"], last[f"{name}_upper"]] if last[f"{name}_lower"] is not None else None
            for name in ("sd", "range")
        ]
        cells = [cluster, last["n_units"], last["n"], *counts, last["sd"], spans[0], last["range"], spans[1]]
        first = part.row(0, named=True)
        several |= part.height > 1
        rows.append((cells, first["sd"] if part.height > 1 else None, first.get("period")))
    if not rows:
        return []
    columns = [column("cluster", phrase("bulletin.unit_type.cluster"), "text")]
    columns += [column(name, phrase(f"{_WORD}.cluster_{name}"), "count") for name in ("schools", "n", "above", "below", "same")]
    columns += [
        column("sd", phrase(f"{_WORD}.cluster_sd"), "number2"),
        {**interval_column(view, "number2"), "id": "sd_interval"},
        column("range", phrase(f"{_WORD}.cluster_range"), "number2"),
        {**interval_column(view, "number2"), "id": "range_interval"},
    ]
    if several:
        start = min(str(first) for _, _, first in rows if first is not None)
        columns.append(column("sd_first", phrase(f"{_WORD}.cluster_sd_first", first=start), "number2", soft=True))
    lines = [row([*cells, first] if several else cells) for cells, first, _ in rows]
    caption = phrase(f"{_WORD}.clusters_caption", gap=view.gap_name)
    return [
        paragraph(phrase(f"{_WORD}.clusters", n=len(lines))),
        table("comparisons_clusters", caption, columns, lines, [phrase(f"{_WORD}.note_clusters")]),
    ]


def pair_blocks(view: View) -> list[Block | None]:
    """Return sentences, figure and tables of pairs and alliances; none where the register has none."""
    found = None if view.pub.comparisons is None else view.pub.comparisons.pairs
    if found is None:
        return []
    blocks = [] if found.pairs is None else _pairs(view, found.pairs)
    return [*blocks, *([] if found.clusters is None else _clusters(view, found.clusters))]
