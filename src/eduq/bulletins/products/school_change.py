"""Change in one school: growth, moves of its pupils, its course over the years."""

from __future__ import annotations

from typing import Any

from eduq.bulletins.blocks import Block, column, paragraph, row
from eduq.bulletins.formats import joined, phrase, typed
from eduq.bulletins.products.school_view import WORD, Line, SchoolPart, gap_figure, interval_of, side_of, subject_column, value_of
from eduq.groups import COMPOSITE, TOTAL
from eduq.locale import has_text

__all__ = ["course_blocks", "flow_blocks", "growth_blocks"]

_WAYS = ("multilevel", "percentile", "z_gain", "bands")
_NEUTRAL = {"percentile": 50.0}
_MOVES = (("conversion", "lower"), ("conversion", "middle"), ("band_retention", "upper"))
_SHORT_COURSE = 3


def growth_blocks(part: SchoolPart) -> list[Block | None]:
    lines = [
        line
        for line in part.of["growth"]
        if line["growth"] in (_WAYS if line["paper"] == COMPOSITE else _WAYS[:1]) and line["paper"] != TOTAL
    ]
    if not lines:
        return [paragraph(phrase("growth.no_growth.because", reason=part.reason(part.of["no_growth"] or "no_estimate")))]
    lines.sort(key=lambda line: (line["paper"] != COMPOSITE, *part.place(line), _WAYS.index(line["growth"])))
    columns = [
        subject_column(),
        column("way", phrase(f"{WORD}.head.way"), "words"),
        column("linked", phrase(f"{WORD}.head.linked"), "base"),
        column("growth", phrase(f"{WORD}.head.growth"), "gap"),
        part.interval_column("gap"),
        column("judged", phrase(f"{WORD}.head.beside_others"), "judged"),
    ]
    rows = []
    for line in lines:
        kind = "number1" if line["growth"] == "percentile" else "gap"
        interval = interval_of(line)
        linked = None if line["n"] is None or line["n_listed"] is None else [line["n"], line["n_listed"]]
        rows.append(
            row(
                [part.paper(line), phrase(f"growth.method.{line['growth']}"), linked,
                 value_of(line) if line["estimate"] is None else typed(line["estimate"], kind),
                 None if interval is None else typed(interval, f"interval_{kind}"),
                 side_of(line, _NEUTRAL.get(line["growth"], 0.0))]
            )
        )  # fmt: skip
    letter = next((x["agreement"] for x in lines if x["paper"] == COMPOSITE and x["growth"] == "multilevel"), None)
    known = any(line["estimate"] is not None for line in lines if line["paper"] == COMPOSITE)
    said = paragraph(phrase(f"{WORD}.agreement", said=phrase(f"growth.agreement.{letter or 'none'}"))) if known else None
    return [said, part.table("growth", columns, rows, [phrase(f"{WORD}.note.growth"), *part.reason_notes(lines)])]


def flow_blocks(part: SchoolPart) -> list[Block | None]:
    moves = {(x["flow"], x["band_from"]): x for x in part.of["flows"] if x["paper"] == COMPOSITE and x["flow"] != "cell"}
    shown = [(f"{flow}_{band}", moves[flow, band]) for flow, band in _MOVES if (flow, band) in moves]
    columns = [
        column("move", phrase(f"{WORD}.head.move"), "words"),
        column("n", phrase("bulletin.focus.n"), "count"),
        column("rate", phrase(f"{WORD}.head.rate"), "rate"),
        part.interval_column("rate"),
        column("expected", phrase(f"{WORD}.head.expected"), "rate"),
        column("judged", phrase("bulletin.focus.side"), "judged"),
    ]
    rows = [
        row([phrase(f"{WORD}.move.{name}"), x["n"], value_of(x), interval_of(x), x["expected"], x["side"]]) for name, x in shown
    ]
    low: dict[tuple[str, str], dict[str, Line]] = {}
    for line in sorted((x for x in part.of["flows"] if x["flow"] in ("staying", "leaving", "entering")), key=part.place):
        low.setdefault((line["paper"], line["comparison_group"]), {})[line["flow"]] = line
    low_rows, low_lines = [], []
    for own in low.values():
        if len(own) < 3:
            continue
        stay, leave, enter = own["staying"], own["leaving"], own["entering"]
        low_lines += [stay, enter]
        cells = [stay["n"], stay["count"], leave["count"], enter["count"], enter["n"], enter["side"]]
        low_rows.append(row([part.paper(stay), *cells]))
    low_columns = [
        subject_column(),
        column("before", phrase("bulletin.focus.low_before"), "count"),
        *(column(name, phrase(f"bulletin.focus.{name}"), "count") for name in ("staying", "leaving", "entering")),
        column("rest", phrase(f"{WORD}.head.rest"), "count", soft=True),
        column("judged", phrase(f"{WORD}.head.entering"), "judged"),
    ]
    return [
        part.table("flows", columns, rows, [phrase(f"{WORD}.note.flows"), *part.reason_notes([x for _, x in shown], moves=True)]),
        part.table("low", low_columns, low_rows, [phrase(f"{WORD}.note.low"), *part.reason_notes(low_lines, moves=True)]),
    ]


def _decline_sentence(part: SchoolPart, line: Line) -> Any:
    numbers = {
        "slope": typed(line["slope"], "gap"),
        "low": typed(line["ci_lower"], "gap"),
        "high": typed(line["ci_upper"], "gap"),
        "q": typed(line["q_value"], "number3"),
        "detectable": typed(line["min_detectable"], "number2"),
    }
    facts = {name: line[name] for name in ("first", "last", "n_periods")}
    reason = None if line["evidence_reason"] is None else phrase(f"declines.reason.{line['evidence_reason']}")
    own = phrase(f"{WORD}.this_school")
    if line["evidence_grade"] is None:
        return phrase("declines.sentence.none", unit=own, reason=reason or part.reason("no_estimate"))
    said = phrase(f"declines.sentence.{line['evidence_grade']}", unit=own, **facts, **numbers)
    return said if reason is None else joined([said, phrase("declines.sentence.because", reason=reason)], "")


def course_blocks(part: SchoolPart) -> list[Block | None]:
    lines = part.of["course"]
    if not lines:
        return [paragraph(phrase(f"{WORD}.course.none", reason=part.reason(part.of["no_course"] or "no_estimate")))]
    columns = [
        column("period", phrase(f"{WORD}.head.period"), "text"),
        column("n", phrase("bulletin.head.n_present"), "count"),
        column("gap", phrase(f"{WORD}.head.gap"), "gap"),
        part.interval_column("gap"),
        column("judged", phrase(f"{WORD}.head.judged"), "judged"),
    ]
    rows = [row([line["period"], line["n"], value_of(line), interval_of(line), side_of(line)]) for line in lines]
    known = [(line["period"], line) for line in lines if side_of(line) is not None]
    blocks: list[Block | None] = []
    if part.of["decline"] is not None and len(known) >= _SHORT_COURSE:
        blocks.append(paragraph(_decline_sentence(part, part.of["decline"])))
    else:
        blocks.append(paragraph(phrase(f"{WORD}.course.short", n=_SHORT_COURSE)))
    strong = [line for line in part.of["subject_declines"] if line["evidence_grade"] in ("A", "B")]
    for line in sorted(strong, key=lambda line: str(line["subject"])):
        key = f"bulletin.subject.{line['subject']}"
        subject = phrase(key) if has_text(key) else line["subject"]
        said = phrase(f"{WORD}.course.subject", subject=subject, letter=line["evidence_grade"], slope=typed(line["slope"], "gap"))
        blocks.append(paragraph(said))
    notes = [phrase(f"{WORD}.note.course"), *part.reason_notes(lines)]
    return [*blocks, gap_figure(part, "course", known), part.table("course", columns, rows, notes), _directions(part)]


def _directions(part: SchoolPart) -> Block | None:
    """Return which way each course goes: the composite's and those of the subjects."""
    own = part.of["decline"]
    order = [paper["subject"] for paper in part.of["papers"]]
    known = [line for line in part.of["subject_declines"] if line["subject"] in order]
    lines = sorted(known, key=lambda line: order.index(line["subject"]))
    rows = []
    for line in [*lines, *([] if own is None else [own])]:
        composite = line is own
        key = f"bulletin.subject.{COMPOSITE if composite else line['subject']}"
        subject = phrase(key) if has_text(key) else line["subject"]
        interval = None if line["ci_lower"] is None else [line["ci_lower"], line["ci_upper"]]
        cells = [subject, line["n_periods"], line["slope"], interval, line.get("direction") or "too_little"]
        rows.append(row(cells, "total" if composite else "unit"))
    columns = [
        subject_column(),
        column("years", phrase("bulletin.history.years"), "count"),
        column("slope", phrase("bulletin.history.slope"), "gap"),
        part.interval_column("gap"),
        column("direction", phrase("bulletin.direction.head"), "direction"),
    ]
    legend = [phrase("bulletin.direction.legend")] if part.suffix in ("", "_1") else []  # once in the sheet
    return part.table("directions", columns, rows, legend)
