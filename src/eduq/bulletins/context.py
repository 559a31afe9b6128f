"""The bulletin context, version 1: everything a template prints, numbers raw."""

from __future__ import annotations

from typing import Any

from eduq.bulletins.annexes import annex_sections, definition_list
from eduq.bulletins.basics import basic_sections, data_line, premises
from eduq.bulletins.blocks import Block, Phrase
from eduq.bulletins.cells import interval_of
from eduq.bulletins.comparisons import tally
from eduq.bulletins.findings import finding_sections
from eduq.bulletins.formats import phrase, typed
from eduq.bulletins.results import result_sections
from eduq.bulletins.view import ALL_SUBJECTS, View, judge
from eduq.disclosure import Publishable
from eduq.locale import Lang

__all__ = ["CONTEXT_VERSION", "build_context"]

CONTEXT_VERSION = 1


def build_context(publishable: Publishable, lang: Lang) -> dict[str, Any]:
    """Arrange results for printing.

    Parameters
    ----------
    publishable
        The results an edition may show.
    lang
        ``zh`` or ``en``.

    Returns
    -------
    dict
        ``version``, ``meta``, ``exams``, ``definitions``, ``headline`` (at most four figures), ``premises`` (what is assumed),
        ``intro``, ``sections`` and ``annexes`` (id, level, number, heading, blocks), ``closing``, ``provenance``.
        Numbers are raw; sentences are a wording key with raw parameters (`eduq.bulletins.formats.say`). Plain dictionaries,
        lists, strings and numbers only, so it can be written as JSON.
    """
    view = View(publishable, lang)
    sections = [*basic_sections(view), *result_sections(view), *finding_sections(view)]
    annexes = annex_sections(view)
    _number_sections(sections)
    for number, annex in enumerate(annexes, start=1):
        annex["number"] = number
    _number_blocks([*sections, *annexes])
    return {
        "version": CONTEXT_VERSION,
        "meta": _meta(view),
        "exams": [_exam(view)],
        "definitions": definition_list(view),
        "headline": headline(view),
        "premises": premises(view),
        "intro": _intro(view),
        "sections": sections,
        "annexes": annexes,
        "closing": _closing(view),
        "provenance": dict(publishable.provenance),
    }


def _number_sections(sections: list[Block]) -> None:
    first = second = 0
    for part in sections:
        if part["level"] == 1:
            first, second = first + 1, 0
            part["number"] = [first]
        else:
            second += 1
            part["number"] = [first, second]


def _number_blocks(sections: list[Block]) -> None:
    """Number tables and figures through the document and tell each figure which table has its numbers."""
    counts = {"table": 0, "figure": 0}
    tables: dict[str, int] = {}
    for part in sections:
        for block in part["blocks"]:
            if block["type"] in counts:
                counts[block["type"]] += 1
                block["number"] = counts[block["type"]]
                if block["type"] == "table":
                    tables[block["id"]] = block["number"]
    for part in sections:
        for block in part["blocks"]:
            if block["type"] == "figure":
                block["table_number"] = tables.get(block["table"])


def _exam_name(view: View) -> Phrase | str:
    return view.exam.exam.name or phrase("bulletin.exam_unnamed")


def _period(view: View) -> str | None:
    facts = view.exam.exam
    if facts.school_year and facts.term:
        return f"{facts.school_year}-{facts.term}"
    return facts.school_year


def _meta(view: View) -> dict[str, Any]:
    facts, settings = view.exam.exam, view.settings
    return {
        "product": "analysis",
        "edition": view.pub.edition,
        "audience": phrase(f"bulletin.audience.{view.pub.edition}"),
        "lang": view.lang,
        "period": _period(view),
        "title": phrase("bulletin.title", exam=_exam_name(view)),
        "document_no": settings.document_no or None,
        "recipients": list(settings.recipients),
        "issuer": settings.issuer or None,
        "date": facts.date.isoformat() if facts.date else None,
        "data_line": data_line(view),
        "draft": True,
    }


def _exam(view: View) -> dict[str, Any]:
    facts = view.exam.exam.model_dump(mode="json")
    papers = [paper.model_dump(mode="json") for paper in view.exam.papers]
    return facts | {"attest": view.exam.attest.model_dump(), "absence": view.exam.absence.model_dump(), "papers": papers}


def _intro(view: View) -> list[Phrase]:
    facts = view.exam.exam
    basis = phrase("bulletin.intro.basis", basis=facts.legal_basis) if facts.legal_basis else phrase("bulletin.intro.basis_open")
    schools = view.of("school")["unit"].n_unique() if "school" in view.unit_types else 0
    common: dict[str, Any] = {
        "basis": basis,
        "exam": _exam_name(view),
        "candidates": int(view.pub.inputs["used"].sum()),
        "papers": len(view.real_papers),
        "names": [view.paper_name(paper) for paper in view.real_papers],
    }
    if schools:
        said = phrase("bulletin.intro.scope", area=view.area_word, schools=schools, **common)
    else:
        said = phrase("bulletin.intro.scope_plain", **common)
    return [said, phrase("bulletin.intro.reading", level=typed(view.settings.conf_level, "level"))]


def _closing(view: View) -> list[Phrase | str]:
    issuer: Phrase | str = view.settings.issuer or phrase("bulletin.fill.issuer")
    return [issuer, phrase("bulletin.fill.date")]


# ---- the four figures -------------------------------------------------------------------------------------------------


def headline(view: View) -> list[dict[str, Any]]:
    """Return at most four figures for the first screen, each with its base or interval."""
    found = [_participation(view), _all_pass(view), _below(view), _rural(view)]
    shown = [figure for figure in found if figure is not None]
    for paper in view.real_papers:
        if len(shown) >= 4:
            break
        figure = _mean(view, paper)
        if figure is not None:
            shown.append(figure)
    return shown[:4]


def _figure(name: str, value: Any, label: Phrase) -> dict[str, Any]:
    return {"id": name, "value": value, "label": label}


def _participation(view: View) -> dict[str, Any] | None:
    expected = present = 0
    for paper in view.real_papers:
        for group in view.area_groups[paper]:
            known = next((item for (g, p, _), item in view.area.items() if (g, p) == (group, paper)), None)
            if known is not None:
                expected += known["n_expected"]
                present += known["n_present"]
    if not expected:
        return None
    label = phrase("bulletin.headline.participation", papers=len(view.real_papers), present=present, expected=expected)
    return _figure("participation", typed(present / expected, "percent"), label)


def _level(view: View) -> dict[str, Any]:
    return typed(view.settings.conf_level, "level")


def _all_pass(view: View) -> dict[str, Any] | None:
    groups = view.main_groups(ALL_SUBJECTS)
    item = view.area.get((groups[0], ALL_SUBJECTS, "all_pass_rate")) if groups else None
    if item is None or item["estimate"] is None or item["ci_lower"] is None:
        return None
    label = phrase(
        "bulletin.headline.all_pass", level=_level(view), interval=typed(interval_of(item), "interval_percent"), n=item["n"]
    )
    return _figure("all_pass", typed(item["estimate"], "percent"), label)


def _below(view: View) -> dict[str, Any] | None:
    if view.gap_paper is None or "school" not in view.unit_types:
        return None
    groups = view.compared("school", *view.gap_paper)
    if not groups:
        return None
    counts = tally([item for item in groups[0][1] if judge(item)])
    label = phrase(
        "bulletin.headline.below",
        area=view.area_word,
        compared=sum(counts.values()),
        above=counts["above"],
        same=counts["same"],
    )
    return _figure("schools_below", typed(counts["below"], "count"), label)


def _rural(view: View) -> dict[str, Any] | None:
    if view.gap_paper is None or "area_type" not in view.unit_types:
        return None
    for _, rows in view.compared("area_type", *view.gap_paper):
        for item in rows:
            if item["unit"] == "rural" and judge(item):
                name = view.unit_name("area_type", "rural")
                label = phrase(
                    "bulletin.headline.rural", unit=name, level=_level(view), interval=typed(interval_of(item), "interval_gap")
                )
                return _figure("rural_gap", typed(item["estimate"], "gap"), label)
    return None


def _mean(view: View, paper: str) -> dict[str, Any] | None:
    item = view.area.get((view.main_groups(paper)[0], paper, "mean_score"))
    if item is None or item["estimate"] is None or item["ci_lower"] is None:
        return None
    facts = view.papers.get(paper)
    interval = typed(interval_of(item), "interval_score")
    if facts is not None and facts.max_score is not None:
        label = phrase(
            "bulletin.headline.mean",
            paper=view.paper_name(paper),
            full=typed(facts.max_score, "full"),
            level=_level(view),
            interval=interval,
        )
    else:
        label = phrase("bulletin.headline.mean_no_full", paper=view.paper_name(paper), level=_level(view), interval=interval)
    return _figure(f"mean_{paper}", typed(item["estimate"], "score"), label)
