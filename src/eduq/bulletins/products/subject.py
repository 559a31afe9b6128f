"""The pack of the 教研员 for one subject: level, schools, change, low group, what to ask on a visit, what cannot be said."""

from __future__ import annotations

from collections import Counter
from typing import Any

import polars as pl

from eduq.bulletins.blocks import Block, Phrase, items, note, paragraph, section, to_fill
from eduq.bulletins.formats import phrase, typed
from eduq.bulletins.products.common import ProductView, assemble, run_in
from eduq.bulletins.products.exam_parts import (
    course_blocks,
    exam_blocks,
    fact_blocks,
    falling,
    headline,
    news_blocks,
    participation_blocks,
)
from eduq.bulletins.products.matters import open_item_blocks, target_blocks
from eduq.bulletins.products.subject_parts import (
    WORD,
    class_blocks,
    low_group_blocks,
    low_group_rows,
    own_blocks,
    own_rows,
    shares_blocks,
    tallied_gaps,
)
from eduq.bulletins.reading import judge
from eduq.bulletins.view import View
from eduq.groups import DERIVED

__all__ = ["build_subject"]

_BEFORE = ("overall", "schools")
_AFTER = ("comparisons", "area_type", "township", "cluster", "sex", "equity", "growth", "focus")
_NAMED = 12
"""So many schools a question names before it says that there are more."""


def _exam(product: ProductView, view: View) -> list[Block]:
    """Return the results of the subject in one exam."""
    blocks = exam_blocks(product, view, _BEFORE)
    mark = str(view.exam.exam.id or "exam").replace("-", "_")
    for name, part in (
        ("own", own_blocks(product, view)),
        ("classes", class_blocks(view)),
        ("shares", shares_blocks(product, view)),
    ):
        blocks += [run_in(phrase(f"{WORD}.heading_{name}")), *_renamed(part, mark)] if part else []
    blocks += exam_blocks(product, view, _AFTER)
    low = _renamed(low_group_blocks(view), mark)
    return [*blocks, *([run_in(phrase(f"{WORD}.heading_low")), *low] if low else [])]


def _renamed(blocks: list[Block], mark: str) -> list[Block]:
    """Return blocks whose ids are unique among several exams."""
    return [block | {"id": f"{mark}_{block['id']}"} if "id" in block else block for block in blocks]


def _results(product: ProductView) -> list[Block]:
    found = []
    for number, view in enumerate(product.views, start=1):
        blocks = _exam(product, view)
        if blocks:
            found.append(section(f"exam_{number}", 2, phrase("product.heading.exam", exam=product.exam_name(view)), blocks))
    courses, reviewed = course_blocks(product), target_blocks(product)
    if courses:
        found.append(section("courses", 2, phrase("product.heading.courses"), [*courses, note(phrase(f"{WORD}.family_note"))]))
    if reviewed:
        found.append(section("targets", 2, phrase("bulletin.heading.targets"), reviewed))
    subject = product.subject_name(product.pub.unit)
    none = [] if product.views else [paragraph(phrase(f"{WORD}.no_results", this=product.period_word, subject=subject))]
    return [section("results", 1, phrase("bulletin.heading.results"), none), *found]


def _news(product: ProductView) -> list[Block]:
    if product.pub.news.is_empty():
        subject = product.subject_name(product.pub.unit)
        return [paragraph(phrase(f"{WORD}.no_exam", this=product.period_word, area=product.area_word, subject=subject))]
    return news_blocks(product)


# ---- what to ask ------------------------------------------------------------------------------------------------------


def _schools(product: ProductView, units: list[str]) -> dict[str, Any]:
    distinct = list(dict.fromkeys(units))
    more = len(distinct) - _NAMED
    return {
        "n": len(distinct),
        "schools": [product.unit_name("school", unit) for unit in distinct[:_NAMED]],
        "more": phrase("bulletin.finding.more", n=more) if more > 0 else phrase("bulletin.finding.no_more"),
    }


def _low_participation(product: ProductView) -> list[str]:
    bound, found = product.pub.settings.participation_warning, []
    for view in product.views:
        rates = view.of("school").filter(~pl.col("paper").is_in(DERIVED), pl.col("n_expected") > 0) if view.n_schools else None
        if rates is not None:
            low = rates.filter(pl.col("n_present") / pl.col("n_expected") < bound)
            found += sorted(low["unit"].unique(), key=lambda unit: view.position("school", unit))
    return found


def _grown(view: View) -> dict[str, str]:
    """Return which side of what such pupils usually reach a school lies on, in the subject."""
    growth = view.pub.growth
    if growth is None or growth.unit_type != "school" or growth.frame.is_empty():
        return {}
    rows = growth.frame.filter(pl.col("growth") == "multilevel").iter_rows(named=True)
    return {item["unit"]: side for item in rows if (side := judge(item)) is not None}


def _findings(product: ProductView) -> dict[str, list[str]]:
    """Return the schools that each question is about."""
    found: dict[str, list[str]] = {name: [] for name in ("apart", "ahead", "below", "weaker", "entering", "falling")}
    found["absent"] = _low_participation(product)
    for view in product.views:
        gaps = {item["unit"]: judge(item) for item in tallied_gaps(view, "school")}
        grown = _grown(view)
        found["below"] += [unit for unit, side in gaps.items() if side == "below" and grown.get(unit) != "above"]
        found["ahead"] += [unit for unit, side in gaps.items() if side != "above" and grown.get(unit) == "above"]
        found["apart"] += [unit for unit, side in gaps.items() if side == "above" and grown.get(unit) == "below"]
        found["weaker"] += [item["unit"] for item in own_rows(product, view) if item["side"] == "below"]
        found["entering"] += [own["entering"]["unit"] for own in low_group_rows(view) if own["entering"]["side"] == "above"]
    for history in product.pub.histories.values():
        if "evidence_grade" in history.declines.columns:
            strong = history.declines.filter(pl.col("evidence_grade").is_in(["A", "B"])).sort("evidence_grade", "unit")
            found["falling"] += strong["unit"].to_list()
    return found


def _places(product: ProductView) -> bool:
    """Return whether any kind of place can be told from the area in the subject."""
    return any(
        judge(item) == "below"
        for view in product.views
        if "area_type" in view.unit_types
        for item in tallied_gaps(view, "area_type")
    )


def _visit(product: ProductView) -> list[Block]:
    """Return questions for a visit, each tied to what was found; none of them says why."""
    found = _findings(product)
    asked: list[Phrase] = []
    for name in ("absent", "below", "weaker", "falling", "entering", "ahead", "apart"):
        if found[name]:
            asked.append(phrase(f"{WORD}.ask.{name}", **_schools(product, found[name])))
    if _places(product):
        asked.append(phrase(f"{WORD}.ask.places"))
    if not asked:
        return [paragraph(phrase(f"{WORD}.ask.nothing"))]
    return [paragraph(phrase(f"{WORD}.ask.lead")), items(asked, ordered=True), note(phrase(f"{WORD}.ask.order"))]


def _limits(product: ProductView) -> list[Block]:
    said = [phrase(f"{WORD}.limit.items"), phrase(f"{WORD}.limit.difficulty"), phrase(f"{WORD}.limit.teachers")]
    if any(len(view.real_papers) > 1 for view in product.views):
        said.append(phrase(f"{WORD}.limit.papers"))
    if product.views and all(view.pub.growth is None or view.pub.growth.frame.is_empty() for view in product.views):
        said.append(phrase(f"{WORD}.limit.growth"))
    return [items([*said, phrase("product.association")])]


def _headline(product: ProductView) -> list[dict[str, Any]]:
    """Return at most four figures: exams, schools below the area, falling courses, what waits."""
    found = [figure for figure in headline(product) if figure["id"] in ("exams", "targets")]
    if not product.views:
        none = phrase(f"{WORD}.headline_none", this=product.period_word, subject=product.subject_name(product.pub.unit))
        found[0] = found[0] | {"label": none}
    for view in product.views[-1:]:
        counts = Counter(judge(item) for item in tallied_gaps(view, "school"))
        known = sum(counts[side] for side in ("above", "below", "same"))
        if known > 1:
            label = phrase(f"{WORD}.headline_below", n=known, above=counts["above"], exam=product.exam_name(view))
            found.insert(1, {"id": "below", "value": typed(counts["below"], "count"), "label": label})
    courses = sum(
        history.declines["evidence_grade"].drop_nulls().len()
        for history in product.pub.histories.values()
        if "evidence_grade" in history.declines.columns
    )
    if courses:
        label = phrase(f"{WORD}.headline_falling", n=courses)
        found.append({"id": "falling", "value": typed(falling(product), "count"), "label": label})
    return found


def build_subject(product: ProductView) -> dict[str, Any]:
    """Return the bulletin context of one subject's pack."""
    sections = [
        section("basics", 1, phrase("bulletin.heading.basics"), [*_news(product), *participation_blocks(product)]),
        *_results(product),
        section("findings", 1, phrase("bulletin.heading.findings"), fact_blocks(product)),
        section("visit", 1, phrase(f"{WORD}.heading_visit"), _visit(product)),
        section("limits", 1, phrase(f"{WORD}.heading_limits"), _limits(product)),
        section("actions", 1, phrase("bulletin.heading.actions"), []),
        section("open", 2, phrase("product.heading.open"), open_item_blocks(product)),
        section("tasks", 2, phrase("product.heading.tasks"), [to_fill(phrase("bulletin.fill.actions"))]),
    ]
    context = assemble(product, sections, _headline(product))
    subject = product.subject_name(product.pub.unit)
    first = context["intro"][0]
    context["intro"][0] = phrase(first["key"], **first["params"], subject=subject)
    title = context["meta"]["title"]
    context["meta"]["title"] = phrase(title["key"], **title["params"], subject=subject)
    context["meta"]["recipients"] = [phrase(f"{WORD}.recipients")]
    if not product.views:
        context["meta"]["data_line"] = phrase(f"{WORD}.data_line_none", version=str(product.pub.archive_version), subject=subject)
    return context
