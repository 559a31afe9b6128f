"""What pupils and parents may read: what was tested, how levels are read, what the area reached, who tells the own result."""

from __future__ import annotations

from typing import Any

from eduq.bulletins.blocks import Block, Phrase, column, items, note, paragraph, row, section, table, to_fill
from eduq.bulletins.formats import phrase, typed
from eduq.bulletins.products.common import ProductView, assemble, run_in
from eduq.bulletins.view import View

__all__ = ["LEVELS", "build_student"]

WORD = "product.student"
LEVELS = ("excellent_rate", "good_rate", "pass_rate")
"""Measures whose cuts divide the levels A, B, C and D (优秀、良好、合格、待合格), the highest first."""
_NAMES = ("a", "b", "c", "d")


def _cuts(view: View) -> list[float] | None:
    """Return the shares of the full mark from which the levels A, B and C begin; None where a measure is not in use."""
    found = [float(entry["cut"]) for entry in (view.pub.measures.get(name) for name in LEVELS) if entry and entry.get("cut")]
    return found if len(found) == len(LEVELS) and found == sorted(found, reverse=True) else None


def _tested(product: ProductView, view: View) -> Block:
    """Return the papers of an exam: subject, full mark, who was to sit it and who did."""
    rows = []
    for code in view.real_papers:
        paper = view.papers.get(code)
        for group in view.main_groups(code):
            expected, present = view.area_counts.get((group, code), (0, 0))
            rows.append(row([view.paper_label(group, code), None if paper is None else paper.max_score, expected, present]))
    columns = [
        column("paper", phrase("bulletin.head.subject"), "words"),
        column("full", phrase("bulletin.head.max_score"), "full"),
        column("n_expected", phrase("bulletin.head.n_expected"), "count"),
        column("n_present", phrase("bulletin.head.n_present"), "count"),
    ]
    name = f"papers_{view.exam.exam.id}".replace("-", "_")
    return table(
        name, phrase(f"{WORD}.caption.papers", exam=product.exam_name(view)), columns, rows, [phrase(f"{WORD}.note.who")]
    )


def _tested_blocks(product: ProductView) -> list[Block]:
    blocks: list[Block] = []
    for view in product.views:
        facts = view.exam.exam
        said = phrase(
            f"{WORD}.tested",
            exam=product.exam_name(view),
            date=typed(facts.date.isoformat(), "date") if facts.date else phrase(f"{WORD}.no_date"),
            group=phrase(f"bulletin.year_group.{facts.year_group}") if facts.year_group else product.area_word,
            purpose=phrase(f"{WORD}.purpose.{facts.purpose or 'other'}"),
        )
        blocks += [paragraph(said), _tested(product, view)]
    return blocks


def _reading_blocks(product: ProductView) -> list[Block]:
    """Return what the levels mean, by the cuts in use; of several exams with the same cuts once."""
    blocks: list[Block] = []
    told: list[list[float]] = []
    for view in product.views:
        cuts = _cuts(view)
        if cuts is None or cuts in told:
            continue
        told.append(cuts)
        edges = [typed(cut, "level") for cut in cuts]
        if len(told) > 1:
            blocks.append(run_in(product.exam_name(view)))
        lines = [phrase(f"{WORD}.level.a", low=edges[0])]
        lines += [phrase(f"{WORD}.level.{name}", low=edges[n], high=edges[n - 1]) for n, name in enumerate("bc", start=1)]
        blocks.append(items([*lines, phrase(f"{WORD}.level.d", high=edges[2])]))
    if not told:
        return [paragraph(phrase(f"{WORD}.level.none"))]
    said = items([phrase(f"{WORD}.reading_{name}") for name in ("school", "subject", "growth")])
    return [paragraph(phrase(f"{WORD}.level.lead")), *blocks, said]


def share_levels(rates: list[tuple[int, float] | None], least: int) -> list[float] | None:
    """Return the shares of the four levels; None where a level holds some, but fewer than so many candidates.

    Parameters
    ----------
    rates
        Candidates and cumulative rate of each of `LEVELS`; None for a rate that is withheld.
    least
        Fewest candidates that a share may tell of.

    Examples
    --------
    >>> share_levels([(200, 0.2), (200, 0.5), (200, 0.9)], 10)
    [0.2, 0.3, 0.4, 0.1]
    >>> share_levels([(200, 0.2), (200, 0.22), (200, 0.9)], 10) is None
    True
    """
    if any(rate is None for rate in rates):
        return None
    known = [rate for rate in rates if rate is not None]
    counts = [round(n * share) for n, share in known]
    whole = known[0][0]
    held = [counts[0], counts[1] - counts[0], counts[2] - counts[1], whole - counts[2]]
    if any(n != whole for n, _ in known) or any(0 < count < least for count in held) or min(held) < 0:
        return None
    return [round(count / whole, 10) for count in held]


def _level_rows(product: ProductView, view: View) -> tuple[list[Block], bool]:
    """Return the shares of the levels by subject, and whether one could not be shown."""
    rows, short = [], False
    for paper in view.real_papers:
        for group in view.main_groups(paper):
            found = [view.area.get((group, paper, name)) for name in LEVELS]
            rates = [None if one is None or one["estimate"] is None else (one["n"], one["estimate"]) for one in found]
            shares = share_levels(rates, product.pub.settings.min_n_reporting)
            short |= shares is None
            rows.append(row([view.paper_label(group, paper), *(shares or (None,) * len(_NAMES))]))
    return rows, short


def _area_blocks(product: ProductView) -> list[Block]:
    blocks: list[Block] = []
    for view in product.views:
        if _cuts(view) is None:
            continue
        rows, short = _level_rows(product, view)
        if not rows:
            continue
        columns = [
            column("paper", phrase("bulletin.head.subject"), "words"),
            *(column(name, phrase(f"{WORD}.head.{name}"), "level") for name in _NAMES),
        ]
        notes: list[Phrase] = [phrase(f"{WORD}.note.levels")]
        if short:
            notes.append(phrase(f"{WORD}.note.withheld", n=product.pub.settings.min_n_reporting))
        name = f"levels_{view.exam.exam.id}".replace("-", "_")
        blocks.append(table(name, phrase(f"{WORD}.caption.levels", exam=product.exam_name(view)), columns, rows, notes))
    if not blocks:
        return []
    return [paragraph(phrase(f"{WORD}.area_lead", area=product.area_word)), *blocks, note(phrase(f"{WORD}.not_a_ranking"))]


def build_student(product: ProductView) -> dict[str, Any]:
    """Return the bulletin context of the edition for pupils and parents: no school, no pupil, no order.

    Levels are the four of the cuts in use (优秀、良好、合格、待合格); a level of some, but fewer than ``min_n_reporting``
    candidates takes the shares of its subject with it. A period without an exam says so.
    """
    if product.views:
        sections = [
            section("basics", 1, phrase(f"{WORD}.heading.tested"), _tested_blocks(product)),
            section("levels", 1, phrase(f"{WORD}.heading.levels"), _reading_blocks(product)),
            section("results", 1, phrase(f"{WORD}.heading.area", area=product.area_word), _area_blocks(product)),
        ]
    else:
        said = "product.public.no_exam" if product.pub.news.is_empty() else f"{WORD}.unread"
        none = paragraph(phrase(said, this=product.period_word, area=product.area_word))
        sections = [section("basics", 1, phrase(f"{WORD}.heading.tested"), [none])]
    sections += [
        section(
            "own",
            1,
            phrase(f"{WORD}.heading.own"),
            [items([phrase(f"{WORD}.own_{name}") for name in ("told", "kept", "compare")])],
        ),
        section(
            "ask",
            1,
            phrase(f"{WORD}.heading.ask"),
            [
                items([phrase(f"{WORD}.ask_{name}") for name in ("teacher", "check", "worry")]),
                to_fill(phrase(f"{WORD}.ask_fill")),
            ],
        ),
    ]
    context = assemble(product, [part for part in sections if part["blocks"]], [])
    context["meta"] |= {
        "title": phrase(f"{WORD}.title", period=product.period, area=product.area_word),
        "recipients": [phrase(f"{WORD}.recipients")],
    }
    told = ("what", "use") if product.views else ("none",)
    context |= {"intro": [phrase(f"{WORD}.intro_{name}", period=product.period) for name in told], "definitions": []}
    context |= {"annexes": [], "attachments": []}
    return context
