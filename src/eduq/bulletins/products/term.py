"""The monitoring of a term (每学期一监测): all its exams by year group."""

from __future__ import annotations

from typing import Any

from eduq.bulletins.blocks import section, to_fill
from eduq.bulletins.formats import phrase
from eduq.bulletins.products.common import ProductView, assemble
from eduq.bulletins.products.exam_parts import fact_blocks, headline, news_blocks, participation_blocks
from eduq.bulletins.products.quarterly import action_sections, result_parts

__all__ = ["build_term"]

_PARTS = ("overall", "schools", "subjects", "area_type", "township", "cluster", "sex", "equity", "growth", "focus")


def build_term(product: ProductView) -> dict[str, Any]:
    """Return the bulletin context of the monitoring of a term."""
    product.views.sort(key=lambda view: (view.exam.exam.year_group or "", view.exam.exam.date or product.pub.first))
    sections = [
        section("basics", 1, phrase("bulletin.heading.basics"), [*news_blocks(product), *participation_blocks(product)]),
        *result_parts(product, _PARTS),
        section("findings", 1, phrase("bulletin.heading.findings"), fact_blocks(product)),
        section("causes", 1, phrase("bulletin.heading.causes"), [to_fill(phrase("bulletin.fill.causes"))]),
        *action_sections(product),
    ]
    return assemble(product, sections, headline(product))
