"""The bulletin context, version 1: everything a template prints, numbers raw."""

from __future__ import annotations

from typing import Any

from eduq.bulletins.annexes import annex_sections, definition_list
from eduq.bulletins.basics import basic_sections, data_line, premises
from eduq.bulletins.blocks import Phrase, number_blocks, number_sections
from eduq.bulletins.cells import interval_of
from eduq.bulletins.certificate import build_certificate
from eduq.bulletins.comparisons import counter, tally, units_counted
from eduq.bulletins.findings import finding_sections
from eduq.bulletins.formats import clauses, counted, joined, phrase, typed
from eduq.bulletins.reading import judge
from eduq.bulletins.results import result_sections
from eduq.bulletins.view import ALL_SUBJECTS, TOTAL, View
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
        ``intro``, ``sections`` and ``annexes`` (id, level, number, heading, blocks), ``attachments`` (headings of the annexes),
        ``closing``, ``provenance``, ``certificate`` (`eduq.bulletins.certificate.build_certificate`).
        Numbers are raw; sentences are a wording key with raw parameters (`eduq.bulletins.formats.say`). Plain dictionaries,
        lists, strings and numbers only, so it can be written as JSON.
    """
    view = View(publishable, lang)
    sections = [*basic_sections(view), *result_sections(view), *finding_sections(view)]
    annexes = annex_sections(view)
    number_sections(sections)
    for number, annex in enumerate(annexes, start=1):
        annex["number"] = number
    number_blocks([*sections, *annexes])
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
        "attachments": [annex["heading"] for annex in annexes],
        "closing": _closing(view),
        "provenance": dict(publishable.provenance),
        "certificate": build_certificate([(_exam_name(view), publishable.certificate)]),
    }


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
    schools = view.n_schools
    common: dict[str, Any] = {
        "basis": basis,
        "exam": _exam_name(view),
        "candidates": counted("candidate", int(view.pub.inputs["used"].sum())),
        "subjects": phrase("bulletin.intro.total_only")
        if view.only_total
        else phrase("bulletin.intro.subjects", papers=counted("subject", len(view.subjects)), names=view.subjects),
    }
    if schools:
        said = phrase("bulletin.intro.scope", area=view.area_word, schools=counted("school", schools), **common)
    else:
        said = phrase("bulletin.intro.scope_plain", **common)
    return [said, phrase("bulletin.intro.reading", level=typed(view.settings.conf_level, "level"), n=view.min_n)]


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
    counts = [view.area_counts[group, paper] for paper in view.real_papers for group in view.area_groups[paper]]
    expected, present = (sum(pair[place] for pair in counts) for place in (0, 1))
    if not expected:
        return None
    of = phrase("bulletin.headline.of_subjects", papers=counted("subject", len(view.subjects)))
    label = phrase(
        "bulletin.headline.participation",
        papers=view.subjects[0] if view.only_total else of,
        present=present,
        expected=expected,
    )
    return _figure("participation", typed(present / expected, "percent"), label)


def _level(view: View) -> dict[str, Any]:
    return typed(view.settings.conf_level, "level")


def _of_groups(
    view: View, name: str, paper: str, found: list[tuple[str, dict[str, Any], Phrase]], title: Phrase
) -> dict[str, Any] | None:
    """Return one card for all main groups: a value each (beyond two the lowest and highest), each named with its base.

    ``found`` holds comparison group, typed value and what is said of it.
    """
    if not found:
        return None
    if len(found) == 1 and len(view.main_groups(paper)) == 1:
        return _figure(name, found[0][1], phrase("bulletin.headline.one", title=title, said=found[0][2]))
    key = "in_group" if len(found) == 2 else "in_group_short"  # with more groups the intervals stand in the text
    said = [
        phrase(f"bulletin.headline.{key}", group=view.group_label(group, paper), value=value, said=part)
        if key == "in_group"
        else phrase(f"bulletin.headline.{key}", group=view.group_label(group, paper), value=value)
        for group, value, part in found
    ]
    values = [value for _, value, _ in found]
    if len(values) > 2:
        lowest, highest = (pick(values, key=lambda value: value["value"]) for pick in (min, max))
        values = [lowest] if lowest == highest else [lowest, highest]
        shown = joined(values, " \u2014 ")
    else:
        shown = joined(values, " / ")
    return _figure(name, shown, phrase("bulletin.headline.several", title=title, said=clauses(said)))


def _interval_said(view: View, item: dict[str, Any], kind: str, *, n: bool) -> Phrase:
    interval = typed(interval_of(item), f"interval_{kind}")
    key = "bulletin.headline.interval_n" if n else "bulletin.headline.interval"
    return phrase(key, level=_level(view), interval=interval, n=item["n"])


def _all_pass(view: View) -> dict[str, Any] | None:
    found = []
    for group in view.main_groups(ALL_SUBJECTS):
        item = view.area.get((group, ALL_SUBJECTS, "all_pass_rate"))
        if item is not None and item["estimate"] is not None and item["ci_lower"] is not None:
            found.append((group, typed(item["estimate"], "percent"), _interval_said(view, item, "percent", n=True)))
    return _of_groups(view, "all_pass", ALL_SUBJECTS, found, phrase("bulletin.headline.all_pass"))


def _below(view: View) -> dict[str, Any] | None:
    unit_type = next(iter(view.compared_units), None)
    if view.gap_paper is None or unit_type is None:
        return None
    found = []
    for group, rows in view.compared(unit_type, *view.gap_paper):
        counts = tally([item for item in rows if judge(item)])
        said = phrase(
            "bulletin.headline.counts",
            compared=sum(counts.values()),
            above=counts["above"],
            same=counts["same"],
            each=counter(unit_type),
        )
        found.append((group, typed(counts["below"], "count"), said))
    title = phrase("bulletin.headline.below", unit=units_counted(unit_type), area=view.area_word, gap=view.gap_name)
    return _of_groups(view, f"{unit_type}s_below", view.gap_paper[0], found, title)


def _rural(view: View) -> dict[str, Any] | None:
    if view.gap_paper is None or "area_type" not in view.unit_types:
        return None
    found = []
    for group, rows in view.compared("area_type", *view.gap_paper):
        for item in rows:
            if item["unit"] == "rural" and judge(item):
                found.append((group, typed(item["estimate"], "gap"), _interval_said(view, item, "gap", n=False)))
    title = phrase("bulletin.headline.rural", unit=view.unit_name("area_type", "rural"), gap=view.gap_name)
    return _of_groups(view, "rural_gap", view.gap_paper[0], found, title)


def _mean(view: View, paper: str) -> dict[str, Any] | None:
    found = []
    for group in view.main_groups(paper):
        item = view.area.get((group, paper, "mean_score"))
        if item is not None and item["estimate"] is not None and interval_of(item) is not None:
            found.append((group, typed(item["estimate"], "score"), _interval_said(view, item, "score", n=False)))
    facts = view.papers.get(paper)
    name = phrase("bulletin.headline.mean_total" if paper == TOTAL else "bulletin.headline.mean", paper=view.paper_name(paper))
    if facts is not None and facts.max_score is not None:
        name = phrase("bulletin.headline.of_full", name=name, full=typed(facts.max_score, "full"))
    return _of_groups(view, f"mean_{paper}", paper, found, name)
