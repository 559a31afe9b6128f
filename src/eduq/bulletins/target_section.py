"""Targets (目标完成情况): each target of the register beside its newest value, with the interval that decides."""

from __future__ import annotations

from collections import Counter
from typing import Any

from eduq.bulletins.blocks import Block, Phrase, column, items, note, paragraph, row, section, table
from eduq.bulletins.cells import cut_note, interval_column, interval_of
from eduq.bulletins.formats import measure_kind, phrase, typed
from eduq.bulletins.reading import Row, reason_words
from eduq.bulletins.view import View
from eduq.estimates.measures import load_measures
from eduq.locale import has_text
from eduq.registers import measure_word

__all__ = ["STATE_ORDER", "target_measure", "target_reason", "target_section", "target_unit"]

_WORD = "bulletin.targets"
STATE_ORDER = ("not_reached", "undecided", "reached", "not_assessable", "refused")


def target_unit(view: View, item: Row) -> Any:
    """Return the name of a target's unit, the area by its word; the code where no exam has named it."""
    if item["unit_type"] == "area":
        return view.area_word
    name = view.unit_name(item["unit_type"], item["unit"])
    history = view.pub.history
    return history.names.get(item["unit"], item["unit"]) if name == item["unit"] and history is not None else name


def target_measure(view: View, item: Row) -> Any:
    """Return measure and subject of a target in words."""
    shipped = load_measures(names=[item["measure"]]).get(item["measure"]) if item["measure"] in load_measures() else None
    name = view.pub.measures.get(item["measure"], {}).get("name", None)
    if name is None:
        outside = {"zh": measure_word(item["measure"]), "en": item["measure"].replace("_", " ")}
        name = outside if shipped is None else shipped.name
    said = dict(name)[view.lang].partition("（")[0].partition(" (")[0]
    return (
        said
        if item["subject"] is None
        else phrase(f"{_WORD}.of_subject", subject=view.subject_name(item["subject"]), measure=said)
    )


def target_reason(view: View, code: str) -> Phrase | str:
    """Return why a target is not assessed, in words."""
    if code == "below_min_n":
        return view.reason_said(code)
    return phrase(f"targets.reason.{code}") if has_text(f"targets.reason.{code}") else reason_words(code)


def _kind(view: View, item: Row) -> str:
    return {"rate": "percent"}.get(kind := measure_kind(item["measure"], view.pub.measures.get(item["measure"])), kind)


def _interval(view: View, item: Row) -> Any:
    interval = interval_of(item)
    return None if interval is None else typed(interval, f"interval_{_kind(view, item)}")


def _cells(view: View, item: Row, *, several: bool) -> list[Any]:
    kind = _kind(view, item)
    asked = None
    if item["target"] is not None:
        asked = phrase(f"{_WORD}.{item['direction']}", value=typed(item["target"], kind))
    measure = target_measure(view, item)
    parts = view.group_parts(item["comparison_group"]) if several else []
    return [
        target_unit(view, item),
        phrase("bulletin.paper_in_group", paper=measure, group=parts) if parts else measure,
        None if item["baseline"] is None else typed(item["baseline"], kind),
        asked,
        None if item["estimate"] is None else typed(item["estimate"], kind),
        _interval(view, item),
        item["completion"],
        item["due"].isoformat(),
        item["state"],
    ]


def _sorted(view: View) -> list[Row]:
    review = view.pub.targets
    rows = [] if review is None else list(review.frame.iter_rows(named=True))

    def place(item: Row) -> tuple[Any, ...]:
        kind = item["unit_type"]
        return (kind != "area", kind, view.position(kind, item["unit"]), item["target_id"], item["comparison_group"] or "")

    return sorted(rows, key=place)


def _refused(view: View, rows: list[Row]) -> list[Block]:
    """Return the targets that may not be set, with document and article; no value stands beside them."""
    from eduq.rulepacks.refusals import said_of

    barred = [item for item in rows if item["state"] == "refused"]
    if not barred:
        return []
    said = [
        phrase(
            f"{_WORD}.refused_item",
            target=item["target_id"],
            unit=target_unit(view, item),
            measure=target_measure(view, item),
            **said_of(item["reason"]),
        )
        for item in barred
    ]
    return [paragraph(phrase(f"{_WORD}.refused", n=len(barred))), items(said)]


def target_section(view: View) -> Block | None:
    """Return the section, None without a register of targets."""
    rows = _sorted(view)
    if not rows:
        return None
    counts = Counter(item["state"] for item in rows)
    lead = phrase(
        f"{_WORD}.lead",
        n=len({item["target_id"] for item in rows}),
        lines=len(rows),
        **{state: counts[state] for state in STATE_ORDER},
    )
    assessed = [item for item in rows if item["state"] in ("reached", "not_reached", "undecided")]
    lines = Counter(item["target_id"] for item in assessed)
    listed, whole = view.shown([row(_cells(view, item, several=lines[item["target_id"]] > 1)) for item in assessed])
    head = [
        column("unit", phrase(f"{_WORD}.unit"), "words"),
        column("measure", phrase(f"{_WORD}.measure"), "words"),
        column("baseline", phrase(f"{_WORD}.baseline"), "number2"),
        column("target", phrase(f"{_WORD}.target"), "number2"),
        column("value", phrase(f"{_WORD}.value"), "number2"),
        interval_column(view),
        column("completion", phrase(f"{_WORD}.completion"), "rate"),
        column("due", phrase(f"{_WORD}.due"), "date"),
        column("state", phrase(f"{_WORD}.state_head"), "target"),
    ]
    notes = [*cut_note(whole, len(listed), "targets"), phrase(f"{_WORD}.reading"), phrase(f"{_WORD}.completion_note")]
    blurred = sum(item["reason"] == "target_near_baseline" for item in assessed)
    if blurred:
        notes.append(phrase(f"{_WORD}.completion_blurred", n=blurred))
    reasons = Counter(item["reason"] for item in rows if item["state"] == "not_assessable")
    notes += [
        phrase(f"{_WORD}.not_assessed", n=n, reason=target_reason(view, code))
        for code, n in sorted(reasons.items())
        if code is not None
    ]
    blocks: list[Block] = [paragraph(lead)]
    if listed:
        blocks.append(table("targets", phrase(f"{_WORD}.caption"), head, listed, notes, whole=whole))
    else:
        blocks += [note(said) for said in notes[len(cut_note(whole, len(listed), "targets")) + 2 :]]
    return section("targets", 2, phrase("bulletin.heading.targets"), [*blocks, *_refused(view, rows)])
