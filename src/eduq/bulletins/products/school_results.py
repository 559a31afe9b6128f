"""Results of one school: who took part, level and rates beside similar schools, gaps, its own subjects."""

from __future__ import annotations

from typing import Any

from eduq.bulletins.blocks import Block, Phrase, column, paragraph, row
from eduq.bulletins.formats import joined, phrase, typed
from eduq.bulletins.products.school_view import WORD, Line, SchoolPart, gap_figure, interval_of, side_of, subject_column, value_of
from eduq.groups import COMPOSITE, TOTAL

__all__ = ["gap_blocks", "level_blocks", "participation_blocks", "subject_blocks"]

_RATES = ("excellent_rate", "pass_rate", "low_score_rate", "all_pass_rate")


def participation_blocks(part: SchoolPart) -> list[Block | None]:
    lines = sorted(part.of["participation"], key=part.place)
    columns = [
        subject_column(),
        column("base", phrase("bulletin.head.base"), "base"),
        column("rate", phrase("bulletin.head.participation"), "rate"),
        part.interval_column("rate"),
    ]
    rows = [row([part.paper(line), [line["n_present"], line["n_expected"]], value_of(line), interval_of(line)]) for line in lines]
    return [part.table("participation", columns, rows, [phrase(f"{WORD}.note.participation"), *part.reason_notes(lines)])]


def _reference_cells(line: Line) -> list[Any]:
    quarters = line["quarters"]
    return [None, None] if quarters is None else [quarters[1], [quarters[0], quarters[2]]]


def _reference_notes(part: SchoolPart, lines: list[Line]) -> list[Phrase]:
    """Return who stands behind the references: how many, and how they were chosen."""
    found: list[Phrase] = []
    for kind in ("similar", "all"):
        counts = sorted({line["n_others"] for line in lines if line["others"] == kind})
        if counts:
            n: Any = counts[0] if len(counts) == 1 else joined([counts[0], counts[-1]], "\u2013")
            found.append(phrase(f"{WORD}.note.{kind}", n=n, least=part.fields["min_others"]))
    if any(line["others"] is None and line["estimate"] is not None for line in lines):
        found.append(phrase(f"{WORD}.note.no_reference", least=part.fields["min_others"]))
    return [*found, *([phrase(f"{WORD}.note.middle")] if found and lines else [])]


def level_blocks(part: SchoolPart) -> list[Block | None]:
    means = sorted((line for line in part.of["levels"] if line["measure"] == "mean_score"), key=part.place)
    full = {paper["code"]: paper["max_score"] for paper in part.of["papers"]}
    columns = [
        subject_column(),
        column("full", phrase("bulletin.head.max_score"), "full", soft=True),
        column("base", phrase("bulletin.head.base"), "base"),
        column("mean", phrase(f"{WORD}.head.mean"), "score"),
        part.interval_column("score"),
        column("median", phrase(f"{WORD}.head.median"), "score"),
        column("middle", phrase(f"{WORD}.head.middle"), "interval_score", soft=True),
    ]
    rows = [
        row(
            [part.paper(line), full.get(line["paper"]), [line["n_present"], line["n_expected"]], value_of(line),
             interval_of(line), *_reference_cells(line)],
            "total" if line["paper"] == TOTAL else "unit",
        )
        for line in means
    ]  # fmt: skip
    rates = sorted(
        (line for line in part.of["levels"] if line["measure"] in _RATES and line["paper"] != TOTAL),
        key=lambda line: (*part.place(line), _RATES.index(line["measure"])),
    )
    rate_columns = [
        subject_column(),
        column("measure", phrase("bulletin.head.measure"), "words"),
        column("n", phrase("bulletin.head.n_present"), "count"),
        column("rate", phrase(f"{WORD}.head.rate"), "rate"),
        part.interval_column("rate"),
        column("median", phrase(f"{WORD}.head.median"), "rate"),
        column("middle", phrase(f"{WORD}.head.middle"), "interval_rate", soft=True),
    ]
    rate_rows = [
        row(
            [
                part.paper(line),
                part.measure(line["measure"]),
                line["n"],
                value_of(line),
                interval_of(line),
                *_reference_cells(line),
            ]
        )
        for line in rates
    ]
    notes, rate_notes = _reference_notes(part, means), _reference_notes(part, rates)
    return [
        part.table("levels", columns, rows, [*notes, *part.reason_notes(means)]),
        part.table("rates", rate_columns, rate_rows, [*(x for x in rate_notes if x not in notes), *part.reason_notes(rates)]),
    ]


def _gap_sentences(part: SchoolPart, lines: list[Line]) -> list[Phrase]:
    said = []
    for line in lines:
        side = side_of(line)
        if side is not None:
            key = f"{WORD}.gap.{'same' if side == 'same' else 'apart'}"
            numbers = {"gap": typed(line["estimate"], "gap"), "interval": typed(interval_of(line), "interval_gap")}
            said.append(phrase(key, what=part.paper(line), side=phrase(f"{WORD}.side.{side}"), level=part.level, **numbers))
    return said


def gap_blocks(part: SchoolPart) -> list[Block | None]:
    lines = sorted((line for line in part.of["gaps"] if line["paper"] != TOTAL), key=part.place)
    known = [line for line in lines if side_of(line) is not None]
    columns = [
        subject_column(),
        column("n", phrase("bulletin.head.n_present"), "count"),
        column("gap", phrase(f"{WORD}.head.gap"), "gap"),
        part.interval_column("gap"),
        column("judged", phrase(f"{WORD}.head.judged"), "judged"),
    ]
    rows = [
        row([part.paper(line), line["n"], value_of(line), interval_of(line), side_of(line)],
            "total" if line["paper"] == COMPOSITE else "unit")
        for line in lines
    ]  # fmt: skip
    return [
        *(paragraph(said) for said in _gap_sentences(part, [line for line in known if line["paper"] == COMPOSITE])),
        gap_figure(part, "gaps", [(part.paper(line), line) for line in known]),
        part.table("gaps", columns, rows, [phrase(f"{WORD}.note.gap"), *part.reason_notes(lines)]),
    ]


def subject_blocks(part: SchoolPart) -> list[Block | None]:
    """Return which own subjects stand out among the own subjects (C08: relative to the school's others)."""
    found = sorted(part.of["apart"], key=part.place)
    if not found:
        return [paragraph(phrase(f"{WORD}.subjects.none"))]
    clear = [line for line in found if line["side"] != "same"]
    blocks: list[Block | None] = []
    for side in ("above", "below"):
        named = [part.paper(line) for line in clear if line["side"] == side]
        if named:
            blocks.append(paragraph(phrase(f"{WORD}.subjects.{side}", papers=named)))
    if len(clear) < len(found):
        blocks.append(paragraph(phrase(f"{WORD}.subjects.{'rest' if clear else 'same'}")))
    columns = [
        subject_column(),
        column("difference", phrase(f"{WORD}.head.difference"), "gap"),
        part.interval_column("gap"),
        column("judged", phrase(f"{WORD}.head.beside_own"), "judged"),
    ]
    rows = [row([part.paper(x), x["difference"], [x["lower"], x["upper"]], x["side"]]) for x in found]
    return [*blocks, part.table("subjects", columns, rows, [phrase(f"{WORD}.note.subjects", level=part.level)])]
