"""What the exams of a period say: which are new, who took part, results of each, courses over the years, facts to look at."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from typing import Any

import polars as pl

from eduq.bulletins.blocks import Block, Phrase, column, items, note, paragraph, row, table
from eduq.bulletins.comparisons import tally, tally_sentence
from eduq.bulletins.findings import finding_sections
from eduq.bulletins.formats import clauses, counted, phrase, typed
from eduq.bulletins.products.common import ProductView, fresh, run_in
from eduq.bulletins.products.course_tables import course_figure, course_table, direction_legend
from eduq.bulletins.products.matters import open_items, targets
from eduq.bulletins.reading import Row
from eduq.bulletins.view import View
from eduq.disclosure import PublishableHistory

__all__ = [
    "course_blocks",
    "exam_blocks",
    "fact_blocks",
    "falling",
    "headline",
    "news_blocks",
    "participation_blocks",
    "unit_counts",
]

_LETTERS = ("A", "B", "C", "D")
_NOT_OUTSIDE = ("equity_bottom",)
"""Tables inside area sections that list schools one by one."""
_PUBLIC_COLUMNS = ("paper", "base", "mean_score", "interval", "score_rate")


# ---- which exams ------------------------------------------------------------------------------------------------------


def news_blocks(product: ProductView) -> list[Block]:
    """Return what is new since the last issue and the table of the period's exams; a period without any says so."""
    frame, this = product.pub.news, product.period_word
    if frame.is_empty():
        said = paragraph(phrase(f"product.{_empty_key(product)}.no_exam", this=this, area=product.area_word))
        return [said, *_earlier_news(product)]
    public = product.kind == "public"
    columns = [
        column("exam", phrase("product.news.exam"), "words"),
        column("year_group", phrase("bulletin.fact.year_group"), "words"),
        column("purpose", phrase("bulletin.fact.purpose"), "words"),
        column("date", phrase("bulletin.fact.date"), "words"),
        column("schools", phrase("bulletin.equity.schools"), "count"),
        column("candidates", phrase("product.news.candidates"), "count"),
        *([] if public else [column("news", phrase("product.news.news"), "words")]),
    ]
    rows = frame.sort("date", "exam_id", nulls_last=True).iter_rows(named=True)
    cells = [row(_news_cells(product, item)[: len(columns)]) for item in rows]
    lead = [paragraph(phrase("product.news.lead_public", this=this, n=len(frame)))] if public else _news_lead(product)
    listed = table("exams", phrase("product.news.caption"), columns, cells)
    return [*lead, listed, *_unread_exams(product), *_earlier_news(product)]


def _unread_exams(product: ProductView) -> list[Block]:
    """Return of each exam without a candidate's score what can be said of it and what cannot."""
    found = []
    for exam_id, exam in product.pub.unread.items():
        said = {"exam": exam.name or exam_id, "n": exam.n_figures, "schools": counted("school", exam.n_schools)}
        found.append(note(phrase(f"product.unread.{exam.reason}", **said), tone="warning"))
    return found


def _earlier_news(product: ProductView) -> list[Block]:
    """Return the note on exams from before the period that came in or were corrected since the last issue."""
    frame = product.pub.earlier_news
    if frame.is_empty() or product.kind == "public":
        return []
    counts = Counter(frame["news"].cast(pl.String))
    names = [item["name"] or item["exam_id"] for item in frame.iter_rows(named=True)]
    return [note(phrase("product.news.earlier", new=counts["new"], corrected=counts["corrected"], names=names))]


def _news_lead(product: ProductView) -> list[Block]:
    frame, last = product.pub.news, product.pub.last_issue
    since = phrase("product.news.first_issue")
    if last is not None:
        since = phrase("product.news.last_issue", date=typed(last.isoformat(), "date"))
    counts = Counter(frame["news"].cast(pl.String))
    states = {name: counts[name] for name in ("new", "corrected", "unchanged")}
    blocks = [paragraph(phrase("product.news.lead", this=product.period_word, n=len(frame), since=since, **states))]
    return blocks + ([note(phrase("product.news.corrected_note"))] if counts["corrected"] else [])


def _empty_key(product: ProductView) -> str:
    return product.kind if product.kind in ("check", "dispatch", "public", "research") else "period"


def _news_cells(product: ProductView, item: Row) -> list[Any]:
    unread = product.pub.unread.get(item["exam_id"])
    schools, candidates = item["n_schools"], item["n_candidates"]
    if unread is not None and unread.reason == "only_aggregates":
        schools, candidates = unread.n_schools or None, None  # nobody is listed: how many sat it is not known
    return [
        item["name"] or item["exam_id"],
        phrase(f"bulletin.year_group.{item['year_group']}") if item["year_group"] else None,
        phrase(f"bulletin.purpose.{item['purpose']}") if item["purpose"] else None,
        typed(item["date"].isoformat(), "date") if item["date"] else None,
        schools,
        candidates,
        phrase(f"product.news.{item['news']}"),
    ]


def participation_blocks(product: ProductView) -> list[Block]:
    """Return expected and present candidates of every exam and subject, for the area."""
    rows, several = [], len(product.views) > 1
    for view in product.views:
        for paper in view.real_papers:
            for group in view.main_groups(paper):
                expected, present = view.area_counts.get((group, paper), (0, 0))
                if expected:
                    name = [product.exam_name(view)] if several else []
                    rows.append(row([*name, view.paper_label(group, paper), expected, present, present / expected]))
    if not rows:
        return []
    columns = [
        *([column("exam", phrase("product.news.exam"), "words")] if several else []),
        column("paper", phrase("bulletin.head.subject"), "words"),
        column("n_expected", phrase("bulletin.head.n_expected"), "count"),
        column("n_present", phrase("bulletin.head.n_present"), "count"),
        column("participation", phrase("bulletin.head.participation"), "rate"),
    ]
    return [table("participation", phrase("bulletin.caption.participation"), columns, rows)]


# ---- results ----------------------------------------------------------------------------------------------------------


def unit_counts(view: View, unit_type: str) -> list[Block]:
    """Return how many units lie above, below or not distinguishable from the area, one sentence per comparison group."""
    if view.gap_paper is None or unit_type not in view.unit_types:
        return []
    blocks = []
    groups = view.compared(unit_type, *view.gap_paper)
    for group, rows in groups:
        counts = tally(rows)
        if counts["above"] + counts["below"] + counts["same"] < 2:
            continue
        said = tally_sentence(view, unit_type, rows)
        if len(groups) > 1:
            said = phrase("product.in_group", group=view.group_label(group, view.gap_paper[0]), said=said)
        blocks.append(paragraph(said))
    return blocks


def exam_blocks(product: ProductView, view: View, wanted: Sequence[str]) -> list[Block]:
    """Return the parts of results of one exam under run-in headings; schools are counted where they may not be named."""
    parts = product.parts(view)
    blocks: list[Block] = []
    for name in wanted:
        if name == "schools" and not product.names_schools:
            counts = unit_counts(view, "school")
            blocks += [run_in(phrase("bulletin.heading.schools")), *counts] if counts else []
        elif name in parts:
            inside = fresh(view, parts[name]["blocks"], without=() if product.names_schools else _NOT_OUTSIDE)
            if product.kind == "public":
                inside = [_plain(block) for block in inside if block["type"] in ("table", "note") or name != "overall"]
            blocks += [run_in(parts[name]["heading"]), *inside] if inside else []
    return blocks


def _plain(block: Block) -> Block:
    """Return a block as the public reads it: of a table of levels the columns that need no knowledge of cuts."""
    if block["type"] != "table" or not any(part["id"] == "score_rate" for part in block["columns"]):
        return block
    kept = [place for place, part in enumerate(block["columns"]) if part["id"] in _PUBLIC_COLUMNS]
    rows = [own | {"cells": [own["cells"][place] for place in kept]} for own in block["rows"]]
    return block | {"columns": [block["columns"][place] for place in kept], "rows": rows}


# ---- courses over the years -------------------------------------------------------------------------------------------


def _grades(history: PublishableHistory) -> Counter[str | None]:
    return Counter(history.declines["evidence_grade"]) if "evidence_grade" in history.declines.columns else Counter()


def falling(product: ProductView, letters: Sequence[str] = ("A", "B")) -> int:
    """Return how many courses of schools (schools in a year group) have one of some evidence grades."""
    return sum(_grades(history)[letter] for history in product.pub.histories.values() for letter in letters)


def _sentences(product: ProductView, history: PublishableHistory) -> list[Phrase]:
    """Return the fixed sentence of each school with a sign of falling, strong evidence first."""
    rows = history.declines.filter(pl.col("evidence_grade").is_in(["A", "B", "C"]))
    said = []
    for item in rows.sort("evidence_grade", "slope", "unit").iter_rows(named=True):
        name = history.names.get(item["unit"]) or product.unit_name("school", item["unit"])
        numbers = {
            "slope": typed(item["slope"], "gap"),
            "low": typed(item["ci_lower"], "gap"),
            "high": typed(item["ci_upper"], "gap"),
            "q": _chance(item["q_value"]),
            "detectable": typed(item["min_detectable"], "number2"),
        }
        facts = {name_: item[name_] for name_ in ("first", "last", "n_periods")}
        said.append(phrase(f"declines.sentence.{item['evidence_grade']}", unit=name, **facts, **numbers))
    return said


def _chance(value: float | None) -> Any:
    if value is None:
        return None
    return phrase("bulletin.history.very_small") if value < 0.001 else typed(value, "number3")


def course_blocks(product: ProductView) -> list[Block]:
    """Return for each year group how sure the change of its schools is: how many have which letter, what the letters mean."""
    blocks: list[Block] = []
    told = False
    for year_group, history in sorted(product.pub.histories.items()):
        heading = phrase(f"bulletin.year_group.{year_group}")
        counts = _grades(history)
        if not counts:
            if history.reason is not None:
                why = phrase(f"bulletin.history.none_{history.reason}", version=str(history.archive_version))
                blocks.append(paragraph(phrase("product.in_group", group=heading, said=why)))
            continue
        told = True
        said = phrase(
            "bulletin.history.tally",
            n=sum(counts.values()),
            rest=counts[None],
            **{letter.lower(): counts[letter] for letter in _LETTERS},
        )
        blocks.append(paragraph(phrase("product.in_group", group=heading, said=said)))
        if product.names_schools:
            sentences = _sentences(product, history)
            blocks += [items(sentences)] if sentences else []
            figure = course_figure(product, history, year_group) if product.kind == "subject" else None
            tables = course_table(product, history, year_group)
            legend = [direction_legend()] if tables and not any(block["type"] == "table" for block in blocks) else []
            blocks += [*([] if figure is None else [figure]), *tables, *legend]
    if told:
        blocks.insert(0, paragraph(phrase("product.courses.lead")))
        blocks.append(
            note(phrase("product.courses.letters", meanings=clauses([phrase(f"product.letter.{name}") for name in _LETTERS])))
        )
    return blocks


# ---- facts to look at -------------------------------------------------------------------------------------------------


def fact_blocks(product: ProductView) -> list[Block]:
    """Return the facts that a person has to judge: what is overdue, missed, falling; of each exam what its data show."""
    facts: list[Phrase] = []
    waiting = open_items(product)
    overdue = sum(item["status"] == "overdue" for item in waiting)
    if overdue:
        facts.append(phrase("product.facts.overdue", n=overdue))
    low = len({(item["exam_id"], item["unit"], item["item"]) for item in waiting if item["kind"] == "participation"})
    if low:
        bound = typed(product.pub.settings.participation_warning, "level")
        facts.append(phrase("product.facts.participation", n=low, bound=bound))
    missed = sum(item["state"] == "not_reached" for item in targets(product))
    if missed and product.kind != "check":
        facts.append(phrase("product.facts.targets", n=missed))
    strong = falling(product)
    if strong and product.kind not in ("check", "dispatch"):
        key = "product.facts.falling" if product.kind != "subject" else "product.subject.facts_falling"
        facts.append(phrase(key, n=strong))
    blocks: list[Block] = []
    if facts:
        blocks += [paragraph(phrase("bulletin.finding.lead")), items(facts, ordered=True)]
    if product.names_schools and product.kind in ("quarterly", "term", "annual", "subject"):
        for view in product.views:
            told = view if product.kind != "subject" else View(dataclasses.replace(view.pub, history=None), view.lang)
            found = [block for block in finding_sections(told)[0]["blocks"] if block["type"] == "list"]
            if found:
                blocks += [paragraph(phrase("product.facts.of_exam", exam=product.exam_name(view))), *fresh(view, found)]
    if blocks:
        return blocks
    # what is withheld from an audience is not said to be none
    key = "bulletin.finding.none" if product.names_schools else "product.facts.elsewhere"
    return [paragraph(phrase(key))]


def headline(product: ProductView) -> list[dict[str, Any]]:
    """Return at most four figures for the first screen, each with its base."""
    frame = product.pub.news
    candidates = int(frame["n_candidates"].sum() or 0) if len(frame) else 0
    found = [
        _figure(
            "exams",
            typed(len(frame), "count"),
            phrase("product.headline.exams", this=product.period_word, candidates=counted("entry", candidates))
            if len(frame)
            else phrase("product.headline.no_exams", this=product.period_word),
        )
    ]
    waiting = [item for item in open_items(product) if item["status"] != "closed"]
    if product.kind not in ("public", "research") and (waiting or product.pub.edition == "bureau"):
        overdue = sum(item["status"] == "overdue" for item in waiting)
        found.append(_figure("open_items", typed(len(waiting), "count"), phrase("product.headline.open", overdue=overdue)))
    if product.pub.histories and product.kind not in ("check", "dispatch", "public"):
        courses = sum(sum(_grades(history).values()) for history in product.pub.histories.values())
        if courses:
            found.append(_figure("falling", typed(falling(product), "count"), phrase("product.headline.falling", n=courses)))
    if not product.pub.targets.is_empty() and product.kind not in ("check", "public", "research"):
        states = Counter(product.pub.targets["state"])
        assessed = sum(states[name] for name in ("reached", "not_reached", "undecided"))
        label = phrase("product.headline.targets", n=assessed, not_reached=states["not_reached"], undecided=states["undecided"])
        if assessed:
            found.append(_figure("targets", typed(states["reached"], "count"), label))
    return found[:4]


def _figure(name: str, value: Any, label: Phrase) -> dict[str, Any]:
    return {"id": name, "value": value, "label": label}
