"""Numbers of schools by state, where no school may be named: level, growth, course over the years; composite and subjects."""

from __future__ import annotations

from typing import Any

import polars as pl

from eduq.bulletins.blocks import Block, Phrase, column, paragraph, row, table
from eduq.bulletins.formats import phrase, typed
from eduq.bulletins.products.common import ProductView, run_in
from eduq.bulletins.view import View
from eduq.disclosure.states import LEAST_SCHOOLS
from eduq.groups import COMPOSITE

__all__ = ["state_blocks"]

_WORD = "product.states"
_KINDS = (("gap", ("above", "same", "below")), ("growth", ("above", "same", "below")), ("decline", ("A", "B", "C", "D")))


def _rows(product: ProductView, view: View, frame: pl.DataFrame, states: tuple[str, ...]) -> list[Block]:
    """Return one row per paper and comparison group, the composite last."""
    found: dict[tuple[Any, ...], dict[str, int]] = {}
    for item in frame.iter_rows(named=True):
        found.setdefault((item["subject"], item["paper"], item["comparison_group"]), {})[item["state"]] = item["n"]
    rows = []
    for (subject, paper, group), counts in found.items():
        name = product.subject_name(subject) if paper is None else view.paper_label(group, paper)
        numbers = [counts.get(state, 0) for state in states]
        rows.append(row([name, sum(numbers), *numbers], "total" if COMPOSITE in (subject, paper) else "unit"))
    return rows


def _sentence(product: ProductView, what: str, states: tuple[str, ...], rows: list[Block]) -> Phrase | None:
    """Return the sentence of the composite; None without one, or with several groups of it."""
    whole = [line for line in rows if line["role"] == "total"]
    if len(whole) != 1:
        return None
    _, n, *numbers = whole[0]["cells"]
    counts = {state.lower(): number for state, number in zip(states, numbers, strict=True)}
    return phrase(f"{_WORD}.{what}", area=product.area_word, n=n, **counts)


def state_blocks(product: ProductView, view: View) -> list[Block]:
    """Return how many schools are in which state, as sentences and tables; empty where too few schools are counted."""
    frame = view.pub.states
    if frame is None or frame.is_empty():
        return []
    blocks: list[Block] = []
    level = typed(view.settings.conf_level, "level")
    for what, states in _KINDS:
        rows = _rows(product, view, frame.filter(pl.col("what") == what), states)
        if not rows:
            continue
        said = _sentence(product, what, states, rows)
        columns = [
            column("paper", phrase("bulletin.head.subject"), "words"),
            column("compared", phrase(f"{_WORD}.compared"), "count"),
            *(
                column(state.lower(), phrase(f"{_WORD}.{what}_{state.lower()}", area=product.area_word), "count")
                for state in states
            ),
        ]
        notes = [phrase(f"{_WORD}.{what}_note", level=level)]
        mark = str(view.exam.exam.id or "exam").replace("-", "_")
        blocks += [paragraph(said)] if said is not None else []
        blocks.append(table(f"{mark}_states_{what}", phrase(f"{_WORD}.{what}_caption"), columns, rows, notes))
    if not blocks:
        return []
    blocks[-1]["notes"].append(phrase(f"{_WORD}.note", least=LEAST_SCHOOLS, n=view.min_n))
    return [run_in(phrase("bulletin.heading.schools")), *blocks]
