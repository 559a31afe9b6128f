"""The feedback sheet of one school (现场座谈反馈): its own figures, an anonymous reference, and what cannot be said."""

from __future__ import annotations

from collections import Counter
from typing import Any

from eduq.bulletins.blocks import Block, Phrase, column, items, paragraph, row, section, table, to_fill
from eduq.bulletins.context import CONTEXT_VERSION
from eduq.bulletins.formats import measure_kind, phrase, typed
from eduq.bulletins.products.school_change import course_blocks, flow_blocks, growth_blocks
from eduq.bulletins.products.school_results import gap_blocks, level_blocks, participation_blocks, subject_blocks
from eduq.bulletins.products.school_view import WORD, Line, SchoolPart, interval_of, number_sheet, side_of
from eduq.disclosure.schools import PublishableSchool
from eduq.groups import COMPOSITE
from eduq.locale import Lang, has_text

__all__ = ["build_school_context"]

_CAVEATS = ("chance", "cohort", "cause", "use")


def _targets(part: SchoolPart) -> list[Block | None]:
    lines = [line for line in part.of["targets"] if line["state"] != "refused"]
    if not lines:
        return []
    word = "bulletin.targets"
    columns = [
        column("measure", phrase(f"{word}.measure"), "words"),
        column("baseline", phrase(f"{word}.baseline"), "number2"),
        column("target", phrase(f"{word}.target"), "number2"),
        column("value", phrase(f"{word}.value"), "number2"),
        part.interval_column("number2"),
        column("due", phrase(f"{word}.due"), "date"),
        column("state", phrase(f"{word}.state_head"), "target"),
    ]
    rows = []
    for line in lines:
        kind = {"rate": "percent"}.get(found := measure_kind(line["measure"], part.of["measures"].get(line["measure"])), found)
        name = _target_name(part, line)
        interval = interval_of(line)
        rows.append(
            row(
                [name,
                 None if line["baseline"] is None else typed(line["baseline"], kind),
                 None if line["target"] is None else phrase(f"{word}.{line['direction']}", value=typed(line["target"], kind)),
                 None if line["estimate"] is None else typed(line["estimate"], kind),
                 None if interval is None else typed(interval, f"interval_{kind}"),
                 line["due"], line["state"]]
            )
        )  # fmt: skip
    return [part.table("targets", columns, rows, [phrase(f"{word}.reading")])]


def _target_name(part: SchoolPart, line: Line) -> Any:
    name: Any = part.measure(line["measure"])
    if line["subject"] is None:
        return name
    key = f"bulletin.subject.{line['subject']}"
    subject = phrase(key) if has_text(key) else line["subject"]
    return phrase("bulletin.targets.of_subject", subject=subject, measure=name)


def _item_name(parts: list[SchoolPart], item: Line) -> Any:
    """Return what an open item is about: a target's measure, a paper's name; its code where the sheet knows neither."""
    if item["kind"] == "target":
        named = (_target_name(part, line) for part in parts for line in part.of["targets"] if line["target_id"] == item["item"])
        return next(named, item["item"])
    papers = {paper["code"]: paper["subject"] or paper["code"] for part in parts for paper in part.of["papers"]}
    key = f"bulletin.subject.{papers.get(item['item'], item['item'])}"
    return phrase(key) if item["kind"] == "participation" and has_text(key) else item["item"]


def _open_items(fields: Line, parts: list[SchoolPart]) -> list[Block | None]:
    lines = fields["open_items"]
    if lines is None:
        return [to_fill(phrase(f"{WORD}.open.fill"))]
    if not lines:
        return [paragraph(phrase(f"{WORD}.open.none"))]
    columns = [
        column("kind", phrase(f"{WORD}.head.kind"), "words"),
        column("item", phrase(f"{WORD}.head.item"), "words"),
        column("owner", phrase("bulletin.head.office"), "text"),
        column("due", phrase("bulletin.head.deadline"), "date"),
        column("status", phrase(f"{WORD}.head.status"), "words"),
    ]
    rows = [
        row([phrase(f"{WORD}.open.kind_{x['kind']}"), _item_name(parts, x), x["owner"], x["due"],
             phrase(f"{WORD}.open.status_{x['status']}")])
        for x in lines
    ]  # fmt: skip
    return [table("open", phrase(f"{WORD}.caption.open"), columns, rows)]


def _limits(parts: list[SchoolPart]) -> list[Block | None]:
    """Return what these figures cannot say, from what is missing here to what is never in them."""
    said: list[Phrase] = []
    for part in parts:
        small = [line for line in part.of["levels"] if line["measure"] == "mean_score" and line["reason"] == "below_min_n"]
        if small:
            papers = [part.paper(line) for line in sorted(small, key=part.place)]
            said.append(phrase(f"{WORD}.limit.small", papers=papers, n=part.fields["min_n"]))
        few = [line for line in part.of["gaps"] if line["reason"] == "few_others"]
        if few:
            papers = [part.paper(line) for line in sorted(few, key=part.place)]
            said.append(phrase(f"{WORD}.limit.few_others", papers=papers, least=part.fields["min_others"]))
        if part.of["deviates"]:
            said.append(phrase(f"{WORD}.limit.deviates"))
    said = [one for place, one in enumerate(said) if one not in said[:place]]
    return [items([*said, *(phrase(f"{WORD}.limit.{name}") for name in _CAVEATS)])]


_SECTIONS = (
    ("participation", participation_blocks),
    ("levels", level_blocks),
    ("gaps", gap_blocks),
    ("subjects", subject_blocks),
    ("growth", growth_blocks),
    ("flows", flow_blocks),
    ("course", course_blocks),
    ("targets", _targets),
)


# ---- the sheet --------------------------------------------------------------------------------------------------------


def _headline(part: SchoolPart) -> list[dict[str, Any]]:
    found = []
    counts = [(line["n_present"], line["n_expected"]) for line in part.of["participation"]]
    present, expected = (sum(pair[place] for pair in counts) for place in (0, 1))
    if expected:
        label = phrase(f"{WORD}.headline.participation", present=present, expected=expected)
        found.append({"id": "participation", "value": typed(present / expected, "percent"), "label": label})
    beside = next((x for x in part.of["gaps"] if x["paper"] == COMPOSITE and side_of(x) is not None), None)
    growth = next(
        (x for x in part.of["growth"] if x["paper"] == COMPOSITE and x["growth"] == "multilevel" and side_of(x) is not None), None
    )
    for name, line in (("gap", beside), ("growth", growth)):
        if line is not None:
            interval = typed(interval_of(line), "interval_gap")
            label = phrase(f"{WORD}.headline.{name}", level=part.level, interval=interval)
            found.append({"id": name, "value": typed(line["estimate"], "gap"), "label": label})
    if part.of["targets"]:
        states = Counter(line["state"] for line in part.of["targets"])
        label = phrase(f"{WORD}.headline.targets", n=len(part.of["targets"]))
        found.append({"id": "targets", "value": typed(states["reached"], "count"), "label": label})
    return found


def _exam_name(exam: Line) -> Any:
    return exam["exam"]["name"] or phrase("bulletin.exam_unnamed")


def _sections(parts: list[SchoolPart], fields: Line) -> list[Block]:
    several = len(parts) > 1
    found = []
    for number, part in enumerate(parts, start=1):
        if several:
            found.append(section(f"exam_{number}", 1, _exam_name(part.of), []))
        for name, build in _SECTIONS:
            made = section(f"{name}{part.suffix}", 2 if several else 1, phrase(f"{WORD}.heading.{name}"), build(part))
            if made["blocks"]:
                found.append(made)
    found.append(section("open", 1, phrase(f"{WORD}.heading.open"), _open_items(fields, parts)))
    found.append(section("limits", 1, phrase(f"{WORD}.heading.limits"), _limits(parts)))
    number_sheet(found)
    return found


def _definitions(part: SchoolPart) -> list[dict[str, Any]]:
    return [
        {"id": name, "version": entry["version"], "name": entry["name"][part.lang], "kind": entry["kind"],
         "formula": (entry["formula"] or {}).get(part.lang)}
        for name, entry in part.of["measures"].items()
    ]  # fmt: skip


def build_school_context(school: PublishableSchool, lang: Lang, *, period: str | None = None) -> dict[str, Any]:
    """Arrange the sheet of one school for printing: a bulletin context, version 1.

    Parameters
    ----------
    school
        From `eduq.disclosure.schools.protect_school`.
    lang
        Language of the document.
    period
        Period of the product as written; by default what the sheet says, or the school year and term of the newest exam.

    Returns
    -------
    dict
        As `eduq.bulletins.build_context`; ``meta.product`` is ``school``, ``meta.recipients`` the school.
    """
    fields = school.fields
    several = len(fields["exams"]) > 1
    parts = [SchoolPart(fields, exam, lang, f"_{n}" if several else "") for n, exam in enumerate(fields["exams"], start=1)]
    newest = parts[-1].of["exam"]
    written = f"{newest['school_year']}-{newest['term']}" if newest["school_year"] and newest["term"] else newest["school_year"]
    name = fields["school"]["name"]
    exams = [_exam_name(part.of) for part in parts]
    return {
        "version": CONTEXT_VERSION,
        "meta": {
            "product": "school",
            "edition": school.edition,
            "audience": phrase("bulletin.audience.school"),
            "lang": lang,
            "period": period or fields.get("period") or written,
            "title": phrase(f"{WORD}.title", school=name),
            "document_no": fields["document_no"] or None,
            "recipients": [name],
            "issuer": fields["issuer"] or None,
            "date": fields.get("issued_on") or newest["date"],
            "data_line": phrase(f"{WORD}.data_line", id=fields["school"]["id"], n=len(parts)),
            "draft": fields.get("issued_on") is None,
        },
        "exams": [part.of["exam"] | {"papers": part.of["papers"]} for part in parts],
        "definitions": _definitions(parts[-1]),
        "headline": [
            figure | {"label": phrase("product.in_group", group=exams[-1], said=figure["label"]) if several else figure["label"]}
            for figure in _headline(parts[-1])
        ],
        "premises": [],
        "intro": [
            phrase(f"{WORD}.intro.scope", school=name, exams=exams),
            phrase(f"{WORD}.intro.use", level=parts[-1].level, n=fields["min_n"]),
        ],
        "sections": _sections(parts, fields),
        "annexes": [],
        "attachments": [],
        "closing": [fields["issuer"] or phrase("bulletin.fill.issuer"), phrase("bulletin.fill.date")],
        "provenance": dict(parts[-1].of["provenance"]),
    }
