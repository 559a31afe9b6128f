"""What waits and what was decided: open items, proposals awaiting a decision, decisions, targets."""

from __future__ import annotations

from collections import Counter
from typing import Any

import polars as pl

from eduq.bulletins.blocks import Block, Phrase, column, note, paragraph, row, table
from eduq.bulletins.checks import check_sentences
from eduq.bulletins.formats import measure_kind, phrase, typed
from eduq.bulletins.products.common import ProductView
from eduq.bulletins.reading import Row, reason_words
from eduq.locale import has_text

__all__ = [
    "STATES",
    "award_blocks",
    "decision_blocks",
    "open_item_blocks",
    "open_items",
    "proposal_blocks",
    "proposals",
    "rule_name",
    "target_blocks",
    "targets",
]

STATES = ("not_reached", "undecided", "reached", "not_assessable", "refused")
_STATUS_ORDER = {"overdue": 0, "open": 1, "closed": 2}


def _shown(product: ProductView, rows: list[Any]) -> tuple[list[Any], int | None]:
    limit = product.pub.settings.bulletin_rows
    return (rows, None) if len(rows) <= limit else (rows[:limit], len(rows))


def _cut(whole: int | None, shown: int) -> list[Phrase]:
    return [] if whole is None else [phrase("product.cut", shown=shown, n=whole)]


# ---- open items -------------------------------------------------------------------------------------------------------


def open_items(product: ProductView) -> list[Row]:
    """Return the matters that wait and may be named here, overdue ones first, then by due day."""
    found = [item for item in product.pub.open_items.iter_rows(named=True) if _may_show(product, item)]

    def place(item: Row) -> tuple[Any, ...]:
        due = item["due"]
        return (
            _STATUS_ORDER[item["status"]],
            due is None,
            due.isoformat() if due else "",
            item["kind"],
            item["unit"] or "",
            item["item"] or "",
        )

    return sorted(found, key=place)


def _may_show(product: ProductView, item: Row) -> bool:
    if product.kind == "public":
        return False
    if item["kind"] == "proposal" and not product.names_schools:
        return False
    return item["unit_type"] is None or product.may_name(item["unit_type"])


def _matter(product: ProductView, item: Row) -> Any:
    """Return what an open item is about, in words."""
    unit = product.unit_name(item["unit_type"], item["unit"]) or product.area_word
    if item["kind"] == "data_quality":
        view = product.view_of(item["exam_id"])
        if view is not None:
            said = check_sentences(view, view.pub.checks.filter(pl.col("code") == item["item"]))
            if said:
                return phrase("product.of_exam", exam=product.exam_name(view), said=said[0])
    if item["kind"] == "participation":
        view = product.view_of(item["exam_id"])
        paper = product.subject_name(item["item"]) if view is None else view.paper_name(item["item"])
        year_group = None if view is None else view.exam.exam.year_group
        if year_group is not None:
            unit = phrase("bulletin.paper_in_group", paper=unit, group=phrase(f"bulletin.year_group.{year_group}"))
        return phrase("product.item.participation", unit=unit, paper=paper)
    named = {"proposal": rule_name, "target": _target_name}.get(item["kind"])
    said = item["item"] if named is None else named(product, item["item"])
    return phrase(f"product.item.{item['kind']}", unit=unit, item=said)


def rule_name(product: ProductView, rule_id: str) -> Any:
    """Return what a rule is called in its pack, with the clause it rests on; the id of a rule that no pack in force has."""
    name = product.pub.names.get(f"rule_{product.lang}", {}).get(rule_id)
    if name is None:
        return rule_id
    clause = product.pub.names.get("clause", {}).get(rule_id)
    return phrase("product.rule", name=name, clause=clause) if clause else name


def _target_name(product: ProductView, target_id: str) -> Any:
    """Return what a target is about: measure, subject and year group; its id where the register does not say."""
    frame = product.pub.targets
    found = frame.filter(pl.col("target_id") == target_id) if not frame.is_empty() else frame
    if found.is_empty() or found["measure"][0] is None:
        return target_id
    return _measure(product, found.row(0, named=True))


def open_item_blocks(product: ProductView) -> list[Block]:
    """Return the open items as a sentence and a table: matter, who owns it, by when, how it stands."""
    rows = open_items(product)
    if not rows:  # what is withheld from an audience is not said to be none
        return [paragraph(phrase(f"product.items.{'none' if product.pub.edition == 'bureau' else 'elsewhere'}"))]
    counts = Counter(item["status"] for item in rows)
    without_owner = sum(item["owner"] is None and item["status"] != "closed" for item in rows)
    lead = {"n": len(rows), **{status: counts[status] for status in _STATUS_ORDER}}
    listed, whole = _shown(product, rows)
    columns = [
        column("matter", phrase("bulletin.head.matter"), "words"),
        column("owner", phrase("product.items.owner"), "words"),
        column("due", phrase("bulletin.head.deadline"), "words"),
        column("status", phrase("product.items.status"), "words"),
        column("n", phrase("product.items.n"), "count"),
    ]
    cells = [
        row(
            [
                _matter(product, item),
                item["owner"] or phrase("product.items.no_owner"),
                typed(item["due"].isoformat(), "date") if item["due"] else phrase("product.items.no_due"),
                phrase(f"product.status.{item['status']}"),
                item["n"],
            ]
        )
        for item in listed
    ]
    notes = _cut(whole, len(listed))
    if without_owner:
        notes.append(phrase("product.items.without_owner", n=without_owner))
    return [
        paragraph(phrase("product.items.lead", **lead)),
        table("open_items", phrase("product.items.caption"), columns, cells, notes, whole=whole),
    ]


# ---- proposals and decisions ------------------------------------------------------------------------------------------


def proposals(product: ProductView, *, awards: bool = False) -> list[Row]:
    """Return proposals that await a decision, one per unit, rule, year group and subject; none outside the bureau."""
    frame = product.pub.verdicts
    if not product.names_schools or frame.is_empty():
        return []
    kind = pl.col("proposal") == "award" if awards else pl.col("proposal") != "award"
    waiting = frame.filter(pl.col("proposal").is_not_null() & pl.col("needs_decision") & pl.col("decision").is_null() & kind)
    keys = ["unit_type", "unit", "teacher_id", "rule_id", "year_group", "subject"]
    return waiting.sort(*keys, nulls_last=True).unique(keys, keep="first", maintain_order=True).to_dicts()


def _grade(item: Row) -> Phrase:
    """Return an evidence grade with its one-line meaning."""
    return phrase(f"why.grade.{item['evidence_grade'] or 'none'}")


def _whom(product: ProductView, item: Row) -> Any:
    name = product.unit_name(item["unit_type"], item["unit"])
    parts: list[Any] = [phrase(f"bulletin.year_group.{item['year_group']}")] if item["year_group"] else []
    if item["subject"]:
        parts.append(product.subject_name(item["subject"]))
    return phrase("bulletin.paper_in_group", paper=name, group=parts) if parts else name


def proposal_blocks(product: ProductView) -> list[Block]:
    """Return the proposals that await a decision; empty outside the bureau."""
    if not product.names_schools:
        return []
    rows = proposals(product)
    frame = product.pub.verdicts
    only_wide = 0 if frame.is_empty() else frame.filter(pl.col("only_wide")).select("unit", "rule_id").n_unique()
    wide = [note(phrase("product.proposals.only_wide", n=only_wide))] if only_wide else []
    if not rows:
        return [paragraph(phrase("product.proposals.none")), *wide]
    listed, whole = _shown(product, rows)
    columns = [
        column("unit", phrase("product.proposals.unit"), "words"),
        column("proposal", phrase("product.proposals.proposal"), "words"),
        column("rule", phrase("product.proposals.rule"), "words", soft=True),
        column("period", phrase("product.proposals.period"), "words"),
        column("reading", phrase("product.proposals.reading"), "words"),
        column("evidence", phrase("product.proposals.evidence"), "words"),
    ]
    cells = [
        row(
            [
                _whom(product, item),
                phrase(f"proposals.{item['proposal']}"),
                rule_name(product, item["rule_id"]),
                _span(item),
                phrase(f"readings.{item['reading']}") if has_text(f"readings.{item['reading']}") else item["reading"],
                _grade(item),
            ]
        )
        for item in listed
    ]
    notes = [*_cut(whole, len(listed)), phrase("product.proposals.note"), phrase("product.letter.together")]
    return [
        paragraph(phrase("product.proposals.lead", n=len(rows))),
        table("proposals", phrase("product.proposals.caption"), columns, cells, notes, whole=whole),
        *wide,
    ]


def _span(item: Row) -> Any:
    first, last = item["period_first"], item["period_last"]
    return last or first if first == last or first is None or last is None else phrase("product.span", first=first, last=last)


def decision_blocks(product: ProductView) -> list[Block]:
    """Return the decisions taken in the period; empty outside the bureau."""
    if not product.names_schools:
        return []
    frame = product.pub.decisions
    if frame.is_empty():
        return [paragraph(phrase("product.decisions.none", this=product.period_word))]
    rows = frame.sort("decided_on", "unit", "rule_id", nulls_last=True).to_dicts()
    counts = Counter(item["decision"] for item in rows)
    listed, whole = _shown(product, rows)
    columns = [
        column("unit", phrase("product.proposals.unit"), "words"),
        column("proposal", phrase("product.proposals.proposal"), "words"),
        column("decision", phrase("product.decisions.decision"), "words"),
        column("by", phrase("product.decisions.by"), "words"),
        column("on", phrase("product.decisions.on"), "words"),
        column("reason", phrase("product.decisions.reason"), "words"),
    ]
    cells = [
        row(
            [
                _whom(product, item),
                phrase(f"proposals.{item['proposal']}") if item["proposal"] else None,
                phrase(f"decided.{item['decision']}") if has_text(f"decided.{item['decision']}") else item["decision"],
                item["decided_by"],
                typed(item["decided_on"].isoformat(), "date") if item["decided_on"] else None,
                item["reason"],
            ]
        )
        for item in listed
    ]
    kinds = {name: counts[name] for name in ("adopted", "rejected", "deferred")}
    return [
        paragraph(phrase("product.decisions.lead", this=product.period_word, n=len(rows), **kinds)),
        table("decisions", phrase("product.decisions.caption"), columns, cells, _cut(whole, len(listed)), whole=whole),
    ]


def award_blocks(product: ProductView) -> list[Block]:
    """Return how many award candidates there are by rule, without naming them: a number is enough here."""
    found = Counter(item["rule_id"] for item in proposals(product, awards=True))
    if not product.names_schools:
        return []
    if not found:
        return [paragraph(phrase("product.awards.none"))]
    columns = [
        column("rule", phrase("product.proposals.rule"), "words"),
        column("n", phrase("product.awards.n"), "count"),
    ]
    cells = [row([rule_name(product, rule), n]) for rule, n in sorted(found.items())]
    caption = phrase("product.awards.caption")
    return [
        paragraph(phrase("product.awards.lead", n=sum(found.values()))),
        table("award_candidates", caption, columns, cells, [phrase("product.awards.note")]),
    ]


# ---- targets ----------------------------------------------------------------------------------------------------------


def targets(product: ProductView) -> list[Row]:
    """Return the reviewed targets that may be named here, in the order of the register."""
    frame = product.pub.targets
    if frame.is_empty() or product.kind == "public":
        return []
    rows = [item for item in frame.iter_rows(named=True) if product.may_name(item["unit_type"])]
    return sorted(rows, key=lambda item: (item["unit_type"] != "area", item["unit_type"], item["unit"], item["target_id"]))


def _measure(product: ProductView, item: Row) -> Any:
    from eduq.estimates.measures import load_measures
    from eduq.registers import measure_word

    own = next(
        (view.pub.measures[item["measure"]]["name"] for view in product.views if item["measure"] in view.pub.measures), None
    )
    if own is None:
        shipped = load_measures().get(item["measure"])
        outside = {"zh": measure_word(item["measure"]), "en": item["measure"].replace("_", " ")}
        own = dict(shipped.name) if shipped is not None else outside
    said = str(dict(own)[product.lang]).partition("（")[0].partition(" (")[0]
    subject = product.subject_name(item["subject"])
    return said if subject is None else phrase("bulletin.targets.of_subject", subject=subject, measure=said)


def _target_cells(product: ProductView, item: Row) -> list[Any]:
    kind = measure_kind(item["measure"])
    kind = "percent" if kind == "rate" else kind
    asked = None if item["target"] is None else typed(item["target"], kind)
    interval = None
    if item["ci_lower"] is not None and item["ci_upper"] is not None and item["ci_lower"] < item["ci_upper"]:
        interval = typed([item["ci_lower"], item["ci_upper"]], f"interval_{kind}")
    view, measure = product.view_of(item["exam_id"]), _measure(product, item)
    parts: list[Any] = [phrase(f"bulletin.year_group.{item['year_group']}")] if item["year_group"] else []
    if view is not None and view.fact(item["comparison_group"], "deviation"):
        parts.append(phrase("bulletin.group_deviation"))
    return [
        product.unit_name(item["unit_type"], item["unit"]),
        phrase("bulletin.paper_in_group", paper=measure, group=parts) if parts else measure,
        None if asked is None else phrase(f"bulletin.targets.{item['direction']}", value=asked),
        None if item["estimate"] is None else typed(item["estimate"], kind),
        interval,
        typed(item["due"].isoformat(), "date") if item["due"] else None,
        item["state"],
    ]


def target_blocks(product: ProductView) -> list[Block]:
    """Return the targets: how many stand where, and each one assessed with the interval that decides; counts only where schools
    may not be named."""
    frame = product.pub.targets
    if frame.is_empty() or product.kind == "public":
        return []
    every = list(frame.iter_rows(named=True))
    rows = targets(product)
    assessed = [item for item in rows if item["state"] in ("reached", "not_reached", "undecided")]
    states = Counter(item["state"] for item in every)
    lead = {"n": len({item["target_id"] for item in every}), "lines": len(every), **{name: states[name] for name in STATES}}
    blocks = [paragraph(phrase("bulletin.targets.lead", **lead))]
    if not assessed:
        return blocks
    listed, whole = _shown(product, assessed)
    columns = [
        column("unit", phrase("bulletin.targets.unit"), "words"),
        column("measure", phrase("bulletin.targets.measure"), "words"),
        column("target", phrase("bulletin.targets.target"), "number2"),
        column("value", phrase("bulletin.targets.value"), "number2"),
        column(
            "interval",
            phrase("bulletin.head.interval", level=typed(product.pub.settings.conf_level, "level")),
            "number2",
            soft=True,
        ),
        column("due", phrase("bulletin.targets.due"), "words"),
        column("state", phrase("bulletin.targets.state_head"), "target"),
    ]
    notes = [*_cut(whole, len(listed)), phrase("bulletin.targets.reading")]
    if len(rows) < len(every):
        notes.append(phrase("product.targets.counted"))
    reasons = Counter(item["reason"] for item in rows if item["state"] == "not_assessable" and item["reason"])
    notes += [phrase("bulletin.targets.not_assessed", n=n, reason=_reason(product, code)) for code, n in sorted(reasons.items())]
    cells = [row(_target_cells(product, item)) for item in listed]
    return [*blocks, table("targets", phrase("bulletin.targets.caption"), columns, cells, notes, whole=whole)]


def _reason(product: ProductView, code: str) -> Phrase | str:
    if code == "below_min_n":
        return phrase("reasons.below_min_n", n=product.pub.settings.min_n_reporting)
    return phrase(f"targets.reason.{code}") if has_text(f"targets.reason.{code}") else reason_words(code)
