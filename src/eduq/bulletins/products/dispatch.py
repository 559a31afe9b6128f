"""The dispatch (每双月一调度): what waits, for whom, until when; what was decided; where the targets stand."""

from __future__ import annotations

from collections import Counter
from typing import Any

from eduq.bulletins.blocks import Block, column, paragraph, row, section, table, to_fill
from eduq.bulletins.formats import phrase
from eduq.bulletins.products.common import ProductView, assemble
from eduq.bulletins.products.exam_parts import fact_blocks, headline, news_blocks
from eduq.bulletins.products.matters import open_items, target_blocks
from eduq.bulletins.products.quarterly import action_sections

__all__ = ["build_dispatch"]


def _owners(product: ProductView) -> list[Block]:
    """Return how many matters each owner has, overdue ones set apart."""
    counts: dict[str | None, Counter[str]] = {}
    for item in open_items(product):
        counts.setdefault(item["owner"], Counter())[item["status"]] += 1
    if not counts:
        return [paragraph(phrase(f"product.items.{'none' if product.pub.edition == 'bureau' else 'elsewhere'}"))]
    columns = [
        column("owner", phrase("product.items.owner"), "words"),
        *(column(status, phrase(f"product.status.{status}"), "count") for status in ("overdue", "open", "closed")),
    ]
    order = sorted(counts, key=lambda owner: (owner is None, -counts[owner]["overdue"], owner or ""))
    cells = [
        row([owner or phrase("product.items.no_owner"), *(counts[owner][status] for status in ("overdue", "open", "closed"))])
        for owner in order
    ]
    whole = [sum(found[status] for found in counts.values()) for status in ("overdue", "open", "closed")]
    cells.append(row([phrase("bulletin.total"), *whole], "total"))
    return [table("owners", phrase("product.dispatch.owners"), columns, cells)]


def build_dispatch(product: ProductView) -> dict[str, Any]:
    """Return the bulletin context of the dispatch."""
    reviewed = target_blocks(product)
    sections = [
        section("basics", 1, phrase("bulletin.heading.basics"), news_blocks(product)),
        section("results", 1, phrase("product.dispatch.results"), []),
        section("owners", 2, phrase("product.dispatch.owners"), _owners(product)),
        *([section("targets", 2, phrase("bulletin.heading.targets"), reviewed)] if reviewed else []),
        section("findings", 1, phrase("bulletin.heading.findings"), fact_blocks(product)),
        section("causes", 1, phrase("bulletin.heading.causes"), [to_fill(phrase("bulletin.fill.causes"))]),
        *action_sections(product),
    ]
    return assemble(product, sections, headline(product))
