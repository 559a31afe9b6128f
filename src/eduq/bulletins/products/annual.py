"""The yearly assessment (每学年一考评): the year, courses over the years, equity, targets, how many award candidates."""

from __future__ import annotations

from typing import Any

from eduq.bulletins.blocks import section, to_fill
from eduq.bulletins.formats import phrase
from eduq.bulletins.products.common import ProductView, assemble
from eduq.bulletins.products.exam_parts import fact_blocks, headline, news_blocks, participation_blocks
from eduq.bulletins.products.matters import award_blocks
from eduq.bulletins.products.quarterly import action_sections, result_parts

__all__ = ["build_annual"]

_PARTS = ("overall", "schools", "subjects", "area_type", "township", "equity", "growth")


def build_annual(product: ProductView) -> dict[str, Any]:
    """Return the bulletin context of the yearly assessment."""
    awards = award_blocks(product)
    sections = [
        section("basics", 1, phrase("bulletin.heading.basics"), [*news_blocks(product), *participation_blocks(product)]),
        *result_parts(product, _PARTS),
        *([section("awards", 2, phrase("product.heading.awards"), awards)] if awards else []),
        section("findings", 1, phrase("bulletin.heading.findings"), fact_blocks(product)),
        section("causes", 1, phrase("bulletin.heading.causes"), [to_fill(phrase("bulletin.fill.causes"))]),
        *action_sections(product),
    ]
    return assemble(product, sections, headline(product))
