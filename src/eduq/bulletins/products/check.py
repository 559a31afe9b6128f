"""The monthly check (每月一抽查): facts of the process, not a test."""

from __future__ import annotations

from typing import Any

from eduq.bulletins.basics import basic_sections
from eduq.bulletins.blocks import Block, note, section, to_fill
from eduq.bulletins.formats import phrase
from eduq.bulletins.products.common import ProductView, assemble, fresh, run_in
from eduq.bulletins.products.exam_parts import fact_blocks, headline, news_blocks, participation_blocks
from eduq.bulletins.products.matters import open_item_blocks

__all__ = ["build_check"]

_PARTS = ("comparability", "data")


def _exam_sections(product: ProductView) -> list[Block]:
    """Return for each exam whether it was held alike and whether its data are in order; no score stands here."""
    found = []
    for number, view in enumerate(product.views, start=1):
        parts = {part["id"]: part for part in basic_sections(view)}
        blocks: list[Block] = []
        for name in _PARTS:
            blocks += [run_in(parts[name]["heading"]), *fresh(view, parts[name]["blocks"])]
        found.append(section(f"exam_{number}", 2, phrase("product.heading.exam", exam=product.exam_name(view)), blocks))
    return found


def build_check(product: ProductView) -> dict[str, Any]:
    """Return the bulletin context of the monthly check."""
    exams = _exam_sections(product) if product.names_schools else []
    results = [section("results", 1, phrase("product.check.results"), []), *exams] if exams else []
    sections = [
        section(
            "basics",
            1,
            phrase("bulletin.heading.basics"),
            [note(phrase("product.check.not_a_test")), *news_blocks(product), *participation_blocks(product)],
        ),
        *results,
        section("findings", 1, phrase("bulletin.heading.findings"), fact_blocks(product)),
        section("causes", 1, phrase("bulletin.heading.causes"), [to_fill(phrase("bulletin.fill.causes"))]),
        section("actions", 1, phrase("bulletin.heading.actions"), []),
        section("open", 2, phrase("product.heading.open"), open_item_blocks(product)),
        section("tasks", 2, phrase("product.heading.tasks"), [to_fill(phrase("bulletin.fill.actions"))]),
    ]
    return assemble(product, sections, headline(product))
