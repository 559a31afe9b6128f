"""The parts a bulletin is made of, as plain dictionaries (bulletin context, version 1)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

__all__ = [
    "Block",
    "Phrase",
    "chart",
    "column",
    "items",
    "note",
    "number_blocks",
    "number_sections",
    "paragraph",
    "row",
    "section",
    "table",
    "to_fill",
]

Block = dict[str, Any]
Phrase = dict[str, Any]


def paragraph(said: Phrase) -> Block:
    """Return a paragraph of running text."""
    return {"type": "paragraph", "text": said}


def note(said: Phrase, tone: str = "plain") -> Block:
    """Return a remark set smaller than running text; ``tone`` is plain or warning."""
    return {"type": "note", "text": said, "tone": tone}


def to_fill(said: Phrase) -> Block:
    """Return a marked place that a person has to write."""
    return {"type": "to_fill", "text": said}


def items(said: Iterable[Phrase], *, ordered: bool = False) -> Block:
    """Return a list of sentences."""
    return {"type": "list", "items": list(said), "ordered": ordered}


def column(name: str, label: Phrase | str, kind: str = "text", *, soft: bool = False) -> Block:
    """Return a table column: ``kind`` says how its raw values are printed (`eduq.bulletins.formats.format_value`)."""
    align = "left" if kind in ("text", "words", "date", "judged", "target", "direction") else "right"
    return {"id": name, "label": label, "kind": kind, "align": align, "soft": soft}


def row(cells: Sequence[Any], role: str = "unit") -> Block:
    """Return a table row; the role ``total`` sets it off at the foot."""
    return {"cells": list(cells), "role": role}


def table(
    name: str,
    caption: Phrase,
    columns: Sequence[Block],
    rows: Sequence[Block],
    notes: Iterable[Phrase] = (),
    *,
    whole: int | None = None,
) -> Block:
    """Return a table; ``whole`` is its number of rows where it was cut."""
    return {
        "type": "table",
        "id": name,
        "caption": caption,
        "columns": list(columns),
        "rows": list(rows),
        "notes": list(notes),
        "whole": whole,
    }


def chart(name: str, title: Phrase, caption: Phrase, alt: Phrase, svg: tuple[str, str], shown_in: str | None = None) -> Block:
    """Return a figure: a wide and a narrow drawing, words that replace it, and the id of the table with its numbers."""
    return {
        "type": "figure",
        "id": name,
        "title": title,
        "caption": caption,
        "alt": alt,
        "svg_wide": svg[0],
        "svg_narrow": svg[1],
        "table": shown_in,
    }


def section(name: str, level: int, heading: Phrase, blocks: Iterable[Block | None]) -> Block:
    """Return a section; blocks that are None are left out."""
    return {"id": name, "level": level, "heading": heading, "blocks": [block for block in blocks if block is not None]}


def number_sections(sections: list[Block]) -> None:
    """Number sections of the first and second level through the document."""
    first = second = 0
    for part in sections:
        if part["level"] == 1:
            first, second = first + 1, 0
            part["number"] = [first]
        else:
            second += 1
            part["number"] = [first, second]


def number_blocks(sections: list[Block]) -> None:
    """Number tables and figures through the document and tell each figure which table has its numbers."""
    counts = {"table": 0, "figure": 0}
    tables: dict[str, int] = {}
    for part in sections:
        for block in part["blocks"]:
            if block["type"] in counts:
                counts[block["type"]] += 1
                block["number"] = counts[block["type"]]
                if block["type"] == "table":
                    tables[block["id"]] = block["number"]
    for part in sections:
        for block in part["blocks"]:
            if block["type"] == "figure":
                block["table_number"] = tables.get(block["table"])
