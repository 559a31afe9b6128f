"""What every product is made of: names, the period in words, the frame of the document around its sections."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

from eduq.bulletins.annexes import definition_list
from eduq.bulletins.basics import premises
from eduq.bulletins.blocks import Block, Phrase, items, number_blocks, number_sections, paragraph, section
from eduq.bulletins.certificate import build_certificate
from eduq.bulletins.context import CONTEXT_VERSION
from eduq.bulletins.formats import counted, phrase, typed
from eduq.bulletins.results import result_sections
from eduq.bulletins.view import View
from eduq.disclosure.products import PublishableProduct
from eduq.locale import Lang, has_text

__all__ = ["ProductView", "assemble", "fresh", "run_in"]

_MONTH = re.compile(r"(\d{4})-(0[1-9]|1[0-2])$")
_QUARTER = re.compile(r"(\d{4})Q([1-4])$")
_YEAR = re.compile(r"(\d{4})-(\d{4})(?:-([12]))?$")
_WHERE_SCHOOLS_LIE = ("area", "township", "cluster", "area_type")
"""Unit types that an edition for the government may name."""


_POINTERS = (
    "bulletin.note.without_deviations",
    "bulletin.note.rates_left_out",
    "bulletin.note.minor_groups",
    "bulletin.equity.gap_subjects",
    "bulletin.equity.key",
    "bulletin.finding.warnings",
    "bulletin.comparisons.key",
    "bulletin.growth.key",
    "bulletin.growth.missing_sheet",
    "bulletin.focus.key",
    "bulletin.focus.low_sheet",
)
"""Remarks that send the reader to an annex, sheet or file which a product does not have."""


class ProductView:
    """What the sections of a product ask of a PublishableProduct.

    Parameters
    ----------
    publishable
        What the edition may show.
    lang
        Language of the document.
    """

    def __init__(self, publishable: PublishableProduct, lang: Lang) -> None:
        self.pub = publishable
        self.lang: Lang = lang
        self.views = [View(exam, lang) for exam in publishable.exams]
        self._parts: dict[int, dict[str, Block]] = {}

    @property
    def kind(self) -> str:
        """Which text is made: that of the product for bureau and government, the public one for any other audience."""
        return self.pub.product if self.pub.edition in ("bureau", "government") else "public"

    @property
    def names_schools(self) -> bool:
        """Whether schools may be named: in the bureau's edition only, and never in a product meant for outside."""
        return self.pub.edition == "bureau" and self.kind not in ("government", "research")

    @cached_property
    def period(self) -> Phrase | str:
        """The period in words."""
        written, first, last = self.pub.period, self.pub.first, self.pub.last
        if _MONTH.match(written):
            months = {"first": phrase(f"product.month.{first.month}"), "last": phrase(f"product.month.{last.month}")}
            if (first.year, first.month) == (last.year, last.month):
                return phrase("product.period.month", year=str(last.year), month=months["last"])
            if first.year == last.year:
                return phrase("product.period.two_months", year=str(last.year), **months)
            return phrase("product.period.over_new_year", first_year=str(first.year), last_year=str(last.year), **months)
        if found := _QUARTER.match(written):
            return phrase(f"product.period.quarter_{found[2]}", year=found[1])
        if found := _YEAR.match(written):
            return phrase(f"product.period.{'term_' + found[3] if found[3] else 'year'}", first=found[1], last=found[2])
        return written

    @property
    def period_word(self) -> Phrase:
        """What the period is called for short: this month, this quarter."""
        written = self.pub.period
        kind = "month" if _MONTH.match(written) else "quarter" if _QUARTER.match(written) else "year"
        if kind == "month" and self.pub.first.month != self.pub.last.month:
            kind = "two_months"
        if (found := _YEAR.match(written)) and found[3]:
            kind = "term"
        return phrase(f"product.this.{kind}")

    @cached_property
    def area_word(self) -> Phrase:
        """What the whole is called, as the newest exam says; the county where there is none."""
        return self.views[-1].area_word if self.views else phrase("bulletin.area.county")

    def exam_name(self, view: View) -> Phrase | str:
        """Return the name of an exam."""
        return view.exam.exam.name or phrase("bulletin.exam_unnamed")

    def view_of(self, exam_id: str | None) -> View | None:
        """Return the view of an exam of the period; None where it is not one of them."""
        return next((view for view in self.views if view.exam.exam.id == exam_id), None)

    def unit_name(self, unit_type: str | None, unit: str | None) -> Any:
        """Return the name of a unit, as the registers or an exam have it."""
        if unit is None or unit_type is None:
            return None
        if unit_type == "exam" and unit in self.pub.names.get("exam", {}):
            return self.pub.names["exam"][unit]
        if unit_type in ("area", "exam", "document") or unit == "all":
            return self.area_word
        if unit_type == "area_type" and has_text(f"bulletin.unit_name.{unit}"):
            return phrase(f"bulletin.unit_name.{unit}")
        kind = "school" if unit_type == "head" else unit_type
        known = self.pub.names.get(kind, {}).get(unit)
        if known:
            return known
        named = (view.unit_name(kind, unit) for view in reversed(self.views))
        return next((name for name in named if name != unit), unit)

    def may_name(self, unit_type: str | None) -> bool:
        """Return whether units of a kind may be named here one by one."""
        return self.names_schools or unit_type in _WHERE_SCHOOLS_LIE

    def subject_name(self, code: str | None) -> Phrase | str | None:
        """Return the name of a subject; None without one."""
        if code is None:
            return None
        return phrase(f"bulletin.subject.{code}") if has_text(f"bulletin.subject.{code}") else code

    def parts(self, view: View) -> dict[str, Block]:
        """Return the sections of results of one exam by id, made once."""
        if id(view) not in self._parts:
            self._parts[id(view)] = {part["id"]: part for part in result_sections(view) if part["level"] == 2}
        return self._parts[id(view)]


def fresh(view: View, blocks: Iterable[Block], *, without: Sequence[str] = ()) -> list[Block]:
    """Return copies of an exam's blocks whose ids are unique among several exams, some left out by id; remarks that point to
    annexes of the exam's own bulletin are left out."""
    found = []
    for block in blocks:
        if block.get("id") in without or (block["type"] in ("note", "paragraph") and block["text"]["key"] in _POINTERS):
            continue
        own = copy.deepcopy(block)
        mark = str(view.exam.exam.id or "exam")
        if "id" in own:
            own["id"] = f"{mark}_{own['id']}".replace("-", "_")
        if own.get("table"):
            own["table"] = f"{mark}_{own['table']}".replace("-", "_")
        if own["type"] == "table":
            own["notes"] = [said for said in own["notes"] if said.get("key") not in _POINTERS]
        if own["type"] == "list":
            own["items"] = [said for said in own["items"] if said.get("key") not in _POINTERS]
        found.append(own)
    return found


def run_in(heading: Any) -> Block:
    """Return a run-in heading below the second level."""
    return paragraph(phrase("product.part", heading=heading))


def _intro(product: ProductView) -> list[Phrase]:
    pub = product.pub
    said: list[Any] = list(dict.fromkeys(view.exam.exam.legal_basis for view in product.views if view.exam.exam.legal_basis))
    basis = phrase("bulletin.intro.basis", basis=said) if said else phrase("bulletin.intro.basis_open")
    first, last, today = (typed(day.isoformat(), "date") for day in (pub.first, pub.last, pub.today))
    bare = product.kind == "public" and not product.views
    intro = "intro_none" if bare else "intro"
    lines = [
        phrase(
            f"product.{product.kind}.{intro}", basis=basis, period=product.period, first=first, last=last, area=product.area_word
        )
    ]
    if bare:
        return lines
    if product.kind == "public":
        lines.append(phrase("product.reading_public", level=typed(pub.settings.conf_level, "level")))
        return lines
    lines.append(phrase("product.source", version=str(pub.archive_version), today=today))
    if product.kind not in ("check", "dispatch"):
        lines.append(phrase("product.reading", level=typed(pub.settings.conf_level, "level"), n=pub.settings.min_n_reporting))
    return lines


def _data_line(product: ProductView) -> Phrase:
    if not product.views:
        return phrase("product.data_line_none", version=str(product.pub.archive_version))
    inputs = [view.pub.inputs for view in product.views]
    rows, used = (sum(int(frame[name].sum()) for frame in inputs) for name in ("rows", "used"))
    return phrase(
        "product.data_line",
        version=str(product.pub.archive_version),
        exams=phrase(f"product.count.exam{'_one' if len(product.views) == 1 else ''}", n=len(product.views)),
        rows=counted("row", rows),
        used=used,
    )


def _meta(product: ProductView) -> dict[str, Any]:
    pub, settings = product.pub, product.pub.settings
    meta: dict[str, Any] = {
        "product": pub.product,
        "edition": pub.edition,
        "audience": phrase(f"bulletin.audience.{pub.edition}"),
        "lang": product.lang,
        "period": pub.period,
        "title": phrase(f"product.{product.kind}.title", period=product.period, area=product.area_word),
        "document_no": settings.document_no or None,
        "recipients": list(settings.recipients),
        "issuer": settings.issuer or None,
        "date": pub.today.isoformat(),
        "byline": phrase("product.byline", period=product.period, today=typed(pub.today.isoformat(), "date")),
        "data_line": _data_line(product),
        "draft": True,
    }
    if product.kind == "government":
        meta["recipients"] = [phrase("product.government.recipients")]
        meta["cc"] = [phrase("product.government.cc")]
    if product.kind == "public":
        meta["recipients"] = [phrase("product.public.recipients")]
    return meta


def _exam(view: View) -> dict[str, Any]:
    facts = view.exam.exam.model_dump(mode="json")
    papers = [paper.model_dump(mode="json") for paper in view.exam.papers]
    return facts | {"attest": view.exam.attest.model_dump(), "absence": view.exam.absence.model_dump(), "papers": papers}


def _reading_annex(product: ProductView) -> Block:
    """Return the annex that says how the figures are to be read."""
    settings = product.pub.settings
    public = product.kind == "public"  # which has said of causes already
    letters = [*(phrase(f"product.letter.{letter}") for letter in "ABCD"), phrase("product.letter.together")]
    said = [
        phrase("bulletin.basics.interval", level=typed(settings.conf_level, "level")),
        phrase("product.public.withheld" if public else "bulletin.basics.withheld", n=settings.min_n_reporting),
        phrase("bulletin.basics.gap"),
        *([] if public else [*letters, phrase("product.association")]),
    ]
    return section("reading", 1, phrase("product.heading.reading"), [items(said)])


def assemble(product: ProductView, sections: list[Block], headline: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the bulletin context (version 1) of a product around its sections.

    Parameters
    ----------
    product
        What is shown.
    sections
        Sections of levels 1 and 2 in order, not numbered yet.
    headline
        At most four figures.
    """
    pub = product.pub
    plain = product.kind in ("check", "dispatch") or (product.kind == "public" and not product.views)
    annexes = [] if plain else [_reading_annex(product)]
    for number, annex in enumerate(annexes, start=1):
        annex["number"] = number
    number_sections(sections)
    number_blocks([*sections, *annexes])
    definitions: list[Any] = []
    for view in product.views:
        definitions += [entry for entry in definition_list(view) if entry not in definitions]
    assumed = [
        phrase("product.of_exam", exam=product.exam_name(view), said=said) for view in product.views for said in premises(view)
    ]
    issuer: Phrase | str = pub.settings.issuer or phrase("bulletin.fill.issuer")
    return {
        "version": CONTEXT_VERSION,
        "meta": _meta(product),
        "exams": [_exam(view) for view in product.views],
        "definitions": definitions,
        "headline": headline[:4],
        "premises": assumed if pub.edition == "bureau" else [],
        "intro": _intro(product),
        "sections": sections,
        "annexes": annexes,
        "attachments": [annex["heading"] for annex in annexes],
        "closing": [issuer, phrase("bulletin.fill.date")],
        "provenance": {"archive_version": str(pub.archive_version)}
        | {f"{view.exam.exam.id}.{name}": value for view in product.views for name, value in sorted(view.pub.provenance.items())},
        "certificate": build_certificate([(product.exam_name(view), view.pub.certificate) for view in product.views]),
    }
