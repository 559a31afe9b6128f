"""The report to Party committee and government (向党委政府报告): area, equity, participation, needs; schools as counts."""

from __future__ import annotations

from typing import Any

from eduq.bulletins.blocks import note, paragraph, section, to_fill
from eduq.bulletins.formats import phrase
from eduq.bulletins.products.common import ProductView, assemble
from eduq.bulletins.products.exam_parts import fact_blocks, headline, news_blocks, participation_blocks
from eduq.bulletins.products.matters import open_item_blocks
from eduq.bulletins.products.quarterly import result_parts
from eduq.bulletins.products.school_states import state_blocks

__all__ = ["build_government"]

_PARTS = ("overall", "area_type", "township", "cluster", "equity")


def build_government(product: ProductView) -> dict[str, Any]:
    """Return the bulletin context of the report to Party committee and government."""
    sections = [
        section("basics", 1, phrase("bulletin.heading.basics"), [*news_blocks(product), *participation_blocks(product)]),
        *result_parts(product, _PARTS, also=state_blocks),
        section("findings", 1, phrase("bulletin.heading.findings"), fact_blocks(product)),
        section(
            "causes",
            1,
            phrase("bulletin.heading.causes"),
            [note(phrase("product.association")), to_fill(phrase("product.fill.causes"))],
        ),
        section("actions", 1, phrase("product.government.actions"), []),
        section("open", 2, phrase("product.heading.open"), open_item_blocks(product)),
        section("tasks", 2, phrase("product.heading.tasks"), [to_fill(phrase("bulletin.fill.actions"))]),
        section(
            "needs",
            2,
            phrase("product.government.needs"),
            [to_fill(phrase("product.government.needs_fill")), paragraph(phrase("product.government.end"))],
        ),
    ]
    return assemble(product, sections, headline(product))
