"""The quarterly bulletin (每季一通报): what is new, what changed and whether that is real, what waits for whom."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from eduq.bulletins.blocks import Block, paragraph, section, to_fill
from eduq.bulletins.formats import phrase
from eduq.bulletins.products.common import ProductView, assemble
from eduq.bulletins.products.exam_parts import (
    course_blocks,
    exam_blocks,
    fact_blocks,
    headline,
    news_blocks,
    participation_blocks,
)
from eduq.bulletins.products.matters import decision_blocks, open_item_blocks, proposal_blocks, target_blocks
from eduq.bulletins.view import View

__all__ = ["action_sections", "build_quarterly", "result_parts"]

_PARTS = ("overall", "schools", "subjects", "area_type", "township")


def result_parts(
    product: ProductView, wanted: tuple[str, ...], also: Callable[[ProductView, View], list[Block]] | None = None
) -> list[Block]:
    """Return 主要结果: each exam, the courses over the years, the targets; a period without results says so.

    ``also`` gives blocks that follow the first part of each exam.
    """
    found = []
    for number, view in enumerate(product.views, start=1):
        first, rest = exam_blocks(product, view, wanted[:1]), exam_blocks(product, view, wanted[1:])
        blocks = [*first, *([] if also is None else also(product, view)), *rest]
        if blocks:
            found.append(section(f"exam_{number}", 2, phrase("product.heading.exam", exam=product.exam_name(view)), blocks))
    courses, reviewed = course_blocks(product), target_blocks(product)
    if courses:
        found.append(section("courses", 2, phrase("product.heading.courses"), courses))
    if reviewed:
        found.append(section("targets", 2, phrase("bulletin.heading.targets"), reviewed))
    none = [] if found else [paragraph(phrase("product.no_results", this=product.period_word))]
    return [section("results", 1, phrase("bulletin.heading.results"), none), *found]


def action_sections(product: ProductView) -> list[Block]:
    """Return 下一步工作: for the bureau proposals and decisions, then what waits, then what a person has to write."""
    parts = [
        section("proposals", 2, phrase("product.heading.proposals"), proposal_blocks(product)),
        section("decisions", 2, phrase("product.heading.decisions"), decision_blocks(product)),
        section("open", 2, phrase("product.heading.open"), open_item_blocks(product)),
        section("tasks", 2, phrase("product.heading.tasks"), [to_fill(phrase("bulletin.fill.actions"))]),
    ]
    return [section("actions", 1, phrase("bulletin.heading.actions"), []), *(part for part in parts if part["blocks"])]


def build_quarterly(product: ProductView) -> dict[str, Any]:
    """Return the bulletin context of the quarterly bulletin."""
    sections = [
        section("basics", 1, phrase("bulletin.heading.basics"), [*news_blocks(product), *participation_blocks(product)]),
        *result_parts(product, _PARTS),
        section("findings", 1, phrase("bulletin.heading.findings"), fact_blocks(product)),
        section("causes", 1, phrase("bulletin.heading.causes"), [to_fill(phrase("bulletin.fill.causes"))]),
        *action_sections(product),
    ]
    return assemble(product, sections, headline(product))
