"""The sheet of one teacher (及时向教师反馈) over the exams of a period: a bulletin context from the sheets of its exams."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from eduq.bulletins.blocks import Block, items, section
from eduq.bulletins.context import CONTEXT_VERSION
from eduq.bulletins.feedback import build_feedback
from eduq.bulletins.formats import phrase
from eduq.bulletins.products.school_view import number_sheet
from eduq.disclosure.feedback import PublishableFeedback
from eduq.locale import Lang

__all__ = ["build_teacher_context"]

WORD = "product.teacher"


def _own(block: Block, suffix: str) -> Block:
    """Return a copy of a block whose ids are unique among several exams."""
    found = copy.deepcopy(block)
    for name in ("id", "table"):
        if found.get(name):
            found[name] = f"{found[name]}{suffix}"
    return found


def _parts(sheet: dict[str, Any], level: int, suffix: str) -> list[Block]:
    """Return the sections of one exam; how to read them stands once at the end of the document."""
    found = []
    for part in sheet["sections"]:
        if part["id"] == "reading":
            continue
        blocks = [_own(block, suffix) for block in part["blocks"]]
        if part["id"] == "results" and sheet["said_lines"]:
            blocks.insert(0, items(sheet["said_lines"]))
        found.append(section(f"{part['id']}{suffix}", level, part["heading"], blocks))
    return found


def build_teacher_context(
    exams: Sequence[PublishableFeedback], lang: Lang, *, marks: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Arrange the sheet of one teacher for printing: a bulletin context, version 1, with a part per exam.

    Parameters
    ----------
    exams
        From `eduq.disclosure.protect_feedback`, one per exam in which the teacher taught, oldest first; at least one.
    lang
        Language of the document.
    marks
        ``period``, ``issuer``, ``document_no``, ``issued_on`` (ISO day; None: a draft) and ``archive_version``, as far as known.

    Returns
    -------
    dict
        As `eduq.bulletins.build_context`; ``meta.product`` is ``teacher``, ``meta.recipients`` the teacher.
    """
    said = marks or {}
    sheets = [build_feedback(one, lang=lang) for one in exams]
    newest, person = exams[-1].fields, exams[-1].fields["addressee"]
    several = len(sheets) > 1
    names = [one.fields["exam"]["name"] or one.fields["exam"]["id"] for one in exams]
    who: Any = phrase("feedback.teacher", name=person["name"], id=person["id"]) if person["name"] else person["id"]
    sections: list[Block] = []
    for number, (name, sheet) in enumerate(zip(names, sheets, strict=True), start=1):
        if several:
            sections.append(section(f"exam_{number}", 1, name, []))
        sections += _parts(sheet, 2 if several else 1, f"_{number}" if several else "")
    reading = next(part for part in sheets[-1]["sections"] if part["id"] == "reading")
    sections.append(section("reading", 1, reading["heading"], reading["blocks"]))
    number_sheet(sections)
    issuer = said.get("issuer") or None
    version = said.get("archive_version")
    return {
        "version": CONTEXT_VERSION,
        "meta": {
            "product": "teacher",
            "edition": exams[-1].edition,
            "audience": phrase("feedback.audience.teacher"),
            "lang": lang,
            "period": said.get("period"),
            "title": phrase(f"{WORD}.title"),
            "document_no": said.get("document_no") or None,
            "recipients": [who],
            "issuer": issuer,
            "date": said.get("issued_on") or newest["exam"]["date"],
            "data_line": phrase(f"{WORD}.data_line", school=person["school"], n=len(exams)),
            "draft": said.get("issued_on") is None,
        },
        "exams": [one.fields["exam"] | {"papers": []} for one in exams],
        "definitions": [],
        "headline": [
            figure
            | {"id": f"figure_{n}"}
            | ({"label": phrase("product.in_group", group=names[-1], said=figure["label"])} if several else {})
            for n, figure in enumerate(sheets[-1]["headline"], start=1)
        ],
        "premises": [],
        "intro": [phrase("feedback.intro.teacher", exam=names), phrase("feedback.intro.use")],
        "sections": sections,
        "annexes": [],
        "attachments": [],
        "closing": [issuer or phrase("bulletin.fill.issuer"), phrase("bulletin.fill.date")],
        "provenance": {} if version is None else {"archive_version": str(version)},
    }
