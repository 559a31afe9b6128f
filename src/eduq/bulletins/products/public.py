"""What the public may read: participation, the area's level by subject, town and country; no school, no order, no verdict."""

from __future__ import annotations

from typing import Any

from eduq.bulletins.blocks import Block, items, note, section, to_fill
from eduq.bulletins.formats import phrase
from eduq.bulletins.products.common import ProductView, assemble
from eduq.bulletins.products.exam_parts import exam_blocks, headline, news_blocks, participation_blocks

__all__ = ["build_public"]

_PARTS = ("overall", "area_type")


def build_public(product: ProductView) -> dict[str, Any]:
    """Return the bulletin context of the public edition."""
    found = []
    for number, view in enumerate(product.views, start=1):
        blocks = exam_blocks(product, view, _PARTS)
        if blocks:
            found.append(section(f"exam_{number}", 2, phrase("product.heading.exam", exam=product.exam_name(view)), blocks))
    results = [section("results", 1, phrase("bulletin.heading.results"), []), *found] if found else []
    sections = [
        section("basics", 1, phrase("bulletin.heading.basics"), [*news_blocks(product), *participation_blocks(product)]),
        *results,
    ]
    if product.views:  # nothing to read in a period without an exam
        sections.append(_reading_section(product))
    actions = section("actions", 1, phrase("bulletin.heading.actions"), [to_fill(phrase("product.public.actions_fill"))])
    return assemble(product, [*sections, actions], headline(product))


def _reading_section(product: ProductView) -> Block:
    """Return how the figures are to be understood."""
    reading = [
        phrase(f"product.public.reading_{name}", area=product.area_word) for name in ("area", "interval", "papers", "places")
    ]
    return section("reading_results", 1, phrase("product.public.reading"), [items(reading), note(phrase("product.association"))])
