"""Section one of the bulletin: who sat, under which conditions, what was used, by which definitions."""

from __future__ import annotations

from typing import Any

import polars as pl

from eduq.bulletins.blocks import Block, Phrase, column, items, note, paragraph, row, section, table
from eduq.bulletins.checks import check_sentences
from eduq.bulletins.formats import clauses, counted, phrase, typed
from eduq.bulletins.view import View
from eduq.groups import DERIVED
from eduq.locale import has_text
from eduq.tables import NOT_EXPECTED, STATUSES

__all__ = ["basic_sections", "data_line", "premises"]

_ATTESTED = ("pace", "paper", "sitting", "marking")
_SHOWN_CHECKS = 12


def _registered(view: View) -> list[Block | None]:
    """Return what the exam register says of the exam, as far as it says anything."""
    facts = view.exam.exam
    known: dict[str, Any] = {
        "year_group": phrase(f"bulletin.year_group.{facts.year_group}") if facts.year_group else None,
        "purpose": phrase(f"bulletin.purpose.{facts.purpose}") if facts.purpose else None,
        "date": typed(facts.date.isoformat(), "date") if facts.date else None,
        "legal_basis": facts.legal_basis,
    }
    said = [
        phrase("bulletin.basics.fact", name=phrase(f"bulletin.fact.{name}"), value=value)
        for name, value in known.items()
        if value
    ]
    return [paragraph(phrase("bulletin.basics.registered", facts=clauses(said)))] if said else []


def data_line(view: View) -> Phrase:
    """Return the line that says where every row went."""
    inputs = view.pub.inputs
    rows, used, rejected = (int(inputs[name].sum()) for name in ("rows", "used", "rejected"))
    return phrase(
        "bulletin.data_line", files=counted("file", len(inputs)), rows=counted("row", rows), used=used, rejected=rejected
    )


def premises(view: View) -> list[Phrase]:
    """Return what nobody has said about the exam and is therefore assumed; empty when everything is stated."""
    facts = view.exam.exam
    unsaid = [
        name
        for name in ("date", "year_group", "scope", "purpose", "legal_basis", "school_year", "term")
        if getattr(facts, name) is None
    ]
    said: list[Phrase] = []
    if unsaid:
        said.append(phrase("bulletin.premise.exam", what=[phrase(f"bulletin.fact.{name}") for name in unsaid]))
    open_same = [name for name in _ATTESTED if getattr(view.exam.attest, name) == "?"]
    if open_same:
        said.append(phrase("bulletin.premise.attest", what=[phrase(f"bulletin.same.{name}") for name in open_same]))
    for fact in ("max_score", "marking"):
        lacking = [view.paper_name(code) for code, paper in view.papers.items() if getattr(paper, fact) is None]
        if lacking:
            said.append(phrase(f"bulletin.premise.{fact}", papers=lacking))
    assumed = view.pub.checks.filter(pl.col("code").str.starts_with("assumed_"))
    return said + check_sentences(view, assumed)


def _participation(view: View) -> list[Block | None]:
    used = int(view.pub.inputs["used"].sum())
    counts = {(group, paper, status): n for group, paper, status, n in view.pub.statuses.iter_rows()}
    seen = {status for (_, paper, status), n in counts.items() if n and paper not in DERIVED}
    listed = [status for status in STATUSES if status != "present" and status in seen]
    pairs = [(paper, group) for paper in view.real_papers for group in view.main_groups(paper)]
    pairs += [
        (paper, group) for paper in view.real_papers for group in view.area_groups[paper] if group not in view.main_groups(paper)
    ]
    rows = []
    for paper, group in pairs:
        expected, present = view.area_counts.get((group, paper), (0, 0))
        if expected == 0:
            continue
        full = view.papers[paper].max_score if paper in view.papers else None
        cells: list[Any] = [view.paper_label(group, paper), full, expected, present, present / expected]
        rows.append(row(cells + [counts.get((group, paper, status), 0) for status in listed]))
    columns = [
        column("paper", phrase("bulletin.head.subject"), "words"),
        column("max_score", phrase("bulletin.head.max_score"), "full"),
        column("n_expected", phrase("bulletin.head.n_expected"), "count"),
        column("n_present", phrase("bulletin.head.n_present"), "count"),
        column("participation", phrase("bulletin.head.participation"), "rate"),
        *(column(status, phrase(f"status.{status}"), "count", soft=True) for status in listed),
    ]
    notes = [phrase("bulletin.note.expected")] if seen & set(NOT_EXPECTED) else []
    schools = view.n_schools
    lead = "bulletin.basics.took_part" if schools else "bulletin.basics.took_part_plain"
    subjects = counted("subject", len(view.subjects))
    said = phrase("bulletin.intro.total_only") if view.only_total else phrase("bulletin.basics.sat", papers=subjects)
    return [
        *_registered(view),
        paragraph(phrase(lead, schools=counted("school", schools), candidates=counted("candidate", used), subjects=said)),
        table("participation", phrase("bulletin.caption.participation"), columns, rows, notes) if rows else None,
    ]


def _comparability(view: View) -> list[Block | None]:
    attest = view.exam.attest
    rows = []
    for name in _ATTESTED:
        said = _answer(getattr(attest, name))
        answer = phrase(f"bulletin.answer.{said}")
        but = _exceptions(view, name) if said != "no" else []
        if but:
            answer = phrase("bulletin.answer.except", answer=answer, what=but)
        consequence = "except" if but and said == "yes" else said
        rows.append(row([phrase(f"bulletin.same.{name}"), answer, phrase(f"bulletin.same_note.{consequence}")]))
    rows.append(row([phrase("bulletin.same.analysis"), phrase("bulletin.answer.yes"), phrase("bulletin.same_note.analysis")]))
    columns = [
        column("condition", phrase("bulletin.head.condition"), "words"),
        column("answer", phrase("bulletin.head.answer"), "words"),
        column("consequence", phrase("bulletin.head.consequence"), "words", soft=True),
    ]
    blocks: list[Block | None] = [table("five_sames", phrase("bulletin.caption.five_sames"), columns, rows)]
    exceptions = [_deviation(view, number) for number in range(len(view.exam.deviations))]
    frame = view.pub.comparability
    barred = frame.filter(~pl.col("comparable") & pl.col("deviation").is_null() & ~pl.col("paper").is_in(DERIVED))
    for item in barred.iter_rows(named=True):
        label = view.paper_label(item["comparison_group"], item["paper"])
        exceptions.append(
            phrase("bulletin.basics.barred", paper=label, reason=view.reason_said(item["reason"]), n=item["n_present"])
        )
    if exceptions:
        blocks += [paragraph(phrase("bulletin.basics.exceptions")), items(exceptions)]
    return blocks


def _exceptions(view: View, name: str) -> list[Any]:
    """Return what one of the five sames does not hold for: papers, and schools that deviate."""
    frame = view.pub.comparability.filter(
        (pl.col("reason") == f"{name}_not_shared") & pl.col("deviation").is_null() & ~pl.col("paper").is_in(DERIVED)
    )
    papers: list[Any] = [view.paper_name(paper) for paper in frame["paper"].unique(maintain_order=True)]
    if any(getattr(deviation.change, name, None) is not None for deviation in view.exam.deviations):
        papers.append(phrase("bulletin.answer.some_schools"))
    return papers


def _answer(said: str) -> str:
    return "open" if said == "?" else said


def _deviation(view: View, number: int) -> Phrase:
    deviation = view.exam.deviations[number]
    schools = [view.unit_name("school", school) for school in deviation.schools]
    papers = [view.paper_name(code) for code in deviation.change.papers]
    return phrase("bulletin.basics.deviation", schools=schools, papers=papers, reason=deviation.change.reason)


def _data(view: View) -> list[Block | None]:
    rejected = view.pub.rejected_counts.group_by("code").agg(pl.col("n").sum()).sort("n", "code", descending=[True, False])
    blocks: list[Block | None] = [paragraph(data_line(view))]
    if len(rejected):
        columns = [
            column("reason", phrase("bulletin.head.reject_reason"), "words"),
            column("n", phrase("bulletin.head.rows"), "count"),
        ]
        rows = [row([reject_words(code), n]) for code, n in rejected.iter_rows()]
        total = row([phrase("bulletin.total"), int(rejected["n"].sum())], "total")
        blocks.append(
            table("rejected", phrase("bulletin.caption.rejected"), columns, [*rows, total], [phrase("bulletin.note.rejected")])
        )
    wanted = pl.col("level").cast(pl.String).is_in(["notice", "warning"]) & ~pl.col("code").str.starts_with("assumed_")
    said = check_sentences(view, view.pub.checks.filter(wanted))
    if said:
        blocks += [paragraph(phrase("bulletin.basics.checks")), items(said[:_SHOWN_CHECKS])]
        if len(said) > _SHOWN_CHECKS:
            blocks.append(note(phrase("bulletin.basics.more_checks", n=len(said) - _SHOWN_CHECKS)))
    return blocks


def reject_words(code: str) -> Phrase | str:
    """Return the reason for which rows were not used, in words."""
    return phrase(f"reject.{code}") if has_text(f"reject.{code}") else code


def _definitions(view: View) -> list[Block | None]:
    settings = view.settings
    used = set(view.pub.estimates["measure"].unique())
    said = [
        phrase("bulletin.basics.policy", policy=_policy(view)),
        phrase("bulletin.basics.cuts", cuts=_cuts(view, used)) if _cuts(view, used) else None,
        phrase("bulletin.basics.interval", level=typed(settings.conf_level, "level")),
        phrase("bulletin.basics.withheld", n=view.min_n),
        phrase("bulletin.basics.gap") if used & {"z_mean", "composite_z"} else None,
        phrase("bulletin.basics.sd", divisor=phrase(f"bulletin.sd_divisor.{settings.sd_divisor}")) if "sd" in used else None,
    ]
    return [items([sentence for sentence in said if sentence is not None]), note(phrase("bulletin.basics.see_method"))]


def _policy(view: View) -> Phrase:
    """Return how absences count, with the numbers declared for it."""
    absence = view.exam.absence
    return phrase(
        f"bulletin.policy.{absence.policy}",
        bound=typed(absence.penalty_bound, "percent"),
        deduction=format(absence.penalty_per_point, ".12g"),
    )


def _cuts(view: View, used: set[str]) -> list[Phrase]:
    cuts = []
    for measure, entry in view.pub.measures.items():
        if measure not in used or measure == "all_pass_rate" or entry.get("cut") == 1:
            continue
        for side in ("cut", "below"):
            if entry.get(side) is not None:
                cuts.append(phrase(f"bulletin.cut.{side}", name=entry["name"][view.lang], share=typed(entry[side], "level")))
        if entry.get("band") is not None:
            low, high = entry["band"]
            side = "band_top" if high == 1 else "band"  # the band that ends at the full mark holds it
            cuts.append(
                phrase(f"bulletin.cut.{side}", name=entry["name"][view.lang], low=typed(low, "level"), high=typed(high, "level"))
            )
    return cuts


def basic_sections(view: View) -> list[Block]:
    """Return 基本情况 with its parts."""
    return [
        section("basics", 1, phrase("bulletin.heading.basics"), []),
        section("participation", 2, phrase("bulletin.heading.participation"), _participation(view)),
        section("comparability", 2, phrase("bulletin.heading.comparability"), _comparability(view)),
        section("data", 2, phrase("bulletin.heading.data"), _data(view)),
        section("definitions", 2, phrase("bulletin.heading.definitions"), _definitions(view)),
    ]
