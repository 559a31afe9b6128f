"""Declared values from outside (province means) in the bulletin: the area beside them, with their source."""

from __future__ import annotations

from collections import Counter
from typing import Any

import polars as pl

from eduq.bulletins.blocks import Block, Phrase, column, paragraph, row, table
from eduq.bulletins.formats import measure_kind, phrase, typed
from eduq.bulletins.view import View
from eduq.estimates.exam_references import OUTSIDE

__all__ = ["reference_blocks"]

_WORD = "bulletin.comparisons"


def _value(value: Any, kind: str, *, apart: bool = False) -> Phrase | None:
    """Return a value, a pair of bounds or a difference in the unit of its measure: marks, percent or percentage points."""
    if value is None or (isinstance(value, list) and None in value):
        return None
    rate = kind == "rate"
    plain = ("change" if rate else "gap") if apart else ("percent" if rate else "score")
    key = "points" if rate and apart else "value"
    return phrase(f"{_WORD}.{key}", value=typed(value, f"interval_{plain}" if isinstance(value, list) else plain))


def reference_blocks(view: View) -> list[Block | None]:
    """Return sentence and table; none without declared values."""
    found = view.pub.comparisons
    if found is None or found.references is None or found.references.is_empty():
        return []
    alpha = 1 - view.settings.conf_level
    units = found.frame.filter(pl.col("peer_group") == OUTSIDE)
    lines = []
    for item in found.references.iter_rows(named=True):
        paper, group, measure = item["paper"], item["comparison_group"], item["measure"]
        if group not in view.main_groups(paper):
            continue
        kind = measure_kind(measure, view.pub.measures.get(measure))
        own = units.filter(pl.col("paper") == paper, pl.col("comparison_group") == group, pl.col("measure") == measure)
        sides = Counter(
            "same" if q > alpha else "above" if apart > 0 else "below"
            for q, apart in own.select("q_value", "contrast").drop_nulls().iter_rows()
        )
        lines.append(
            row(
                [
                    view.paper_label(group, paper),
                    view.measure_name(measure),
                    item["n"],
                    _value(item["estimate"], kind),
                    _value(item["reference"], kind),
                    _value(item["difference"], kind, apart=True),
                    _value([item["difference_lower"], item["difference_upper"]], kind, apart=True),
                    *(sides[side] for side in ("above", "below", "same")),
                    item["reference_source"],
                ]
            )
        )
    if not lines:
        return []
    columns = [
        column("paper", phrase("bulletin.head.subject"), "words"),
        column("measure", phrase(f"{_WORD}.head_measure"), "text"),
        column("n", phrase(f"{_WORD}.head_n"), "count"),
        column("area", view.area_word, "number2"),
        column("reference", phrase(f"{_WORD}.head_reference"), "number2"),
        column("difference", phrase(f"{_WORD}.head_difference"), "number2"),
        column(
            "interval", phrase("bulletin.head.interval", level=typed(view.settings.conf_level, "level")), "number2", soft=True
        ),
        *(column(side, phrase(f"{_WORD}.reference_{side}"), "count") for side in ("above", "below", "same")),
        column("source", phrase(f"{_WORD}.head_source"), "text", soft=True),
    ]
    return [
        paragraph(phrase(f"{_WORD}.references", area=view.area_word)),
        table(
            "comparisons_references", phrase(f"{_WORD}.references_caption"), columns, lines, [phrase(f"{_WORD}.note_references")]
        ),
    ]
