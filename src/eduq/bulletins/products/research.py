"""The research paper (调研报告): its paragraphs of data filled, what only a person can write marked; schools only as counts."""

from __future__ import annotations

from typing import Any

from eduq.bulletins.basics import basic_sections
from eduq.bulletins.blocks import Block, items, note, paragraph, section, to_fill
from eduq.bulletins.formats import phrase
from eduq.bulletins.products.common import ProductView, assemble, fresh, run_in
from eduq.bulletins.products.exam_parts import (
    course_blocks,
    exam_blocks,
    fact_blocks,
    headline,
    news_blocks,
    participation_blocks,
)

__all__ = ["build_research"]

_LEVEL = ("overall", "schools")
_DIFFERENCES = ("area_type", "township", "cluster", "sex", "equity")


def _of_exams(product: ProductView, name: str, wanted: tuple[str, ...]) -> list[Block]:
    found = []
    for number, view in enumerate(product.views, start=1):
        blocks = exam_blocks(product, view, wanted)
        if blocks:
            found.append(section(f"{name}_{number}", 2, phrase("product.heading.exam", exam=product.exam_name(view)), blocks))
    return found


def _methods(product: ProductView) -> list[Block]:
    """Return how the figures were made: the definitions of each exam."""
    blocks: list[Block] = []
    for view in product.views:
        parts = {part["id"]: part for part in basic_sections(view)}
        own = [block for block in parts["definitions"]["blocks"] if block["type"] == "list"]
        blocks += [run_in(product.exam_name(view)), *fresh(view, own)]
    return blocks


def build_research(product: ProductView) -> dict[str, Any]:
    """Return the bulletin context of the research paper."""
    level, differences, courses = (
        _of_exams(product, "level", _LEVEL),
        _of_exams(product, "differences", _DIFFERENCES),
        course_blocks(product),
    )
    if courses:
        differences.append(section("courses", 2, phrase("product.heading.courses"), courses))
    none = [paragraph(phrase("product.no_results", this=product.period_word))]
    sections = [
        section(
            "basics",
            1,
            phrase("product.research.background"),
            [to_fill(phrase("product.research.background_fill")), *news_blocks(product), *participation_blocks(product)],
        ),
        section("methods", 1, phrase("product.research.methods"), _methods(product) or none),
        section("results", 1, phrase("product.research.level"), [] if level else none),
        *level,
        section("differences", 1, phrase("product.research.differences"), [note(phrase("product.association"))]),
        *differences,
        section("findings", 1, phrase("bulletin.heading.findings"), fact_blocks(product)),
        section(
            "causes",
            1,
            phrase("bulletin.heading.causes"),
            [
                items([phrase(f"product.research.cause_{name}") for name in ("intake", "resources", "chance")]),
                to_fill(phrase("product.fill.causes")),
            ],
        ),
        section("actions", 1, phrase("product.research.advice"), [to_fill(phrase("product.research.advice_fill"))]),
    ]
    return assemble(product, sections, headline(product))
