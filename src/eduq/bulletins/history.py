"""Change over the years (历年变化): what the archive's exams say of the schools' course, and how sure one can be of it."""

from __future__ import annotations

import math
from collections import Counter
from statistics import median
from typing import Any

import polars as pl

from eduq.bulletins.blocks import Block, Phrase, chart, column, items, note, paragraph, row, section, table
from eduq.bulletins.cells import cut_note, interval_column
from eduq.bulletins.courses import COURSES_LIMIT, Course, draw_courses
from eduq.bulletins.formats import clauses, joined, phrase, typed
from eduq.bulletins.reading import Row
from eduq.bulletins.view import View
from eduq.disclosure import PublishableHistory

__all__ = ["evidence_order", "falling_schools", "history_lines", "history_section", "school_name", "series_reason"]

_LETTERS = ("A", "B", "C", "D")
_SMALLEST = 0.001
_NAMED = 12
"""How many subjects of schools a sentence names before it says that there are more."""


def school_name(view: View, school: str) -> Any:
    """Return the name of a school, as the exam or the archive's registers have it."""
    name = view.unit_name("school", school)
    history = view.pub.history
    return history.names.get(school, school) if name == school and history is not None else name


def evidence_order(item: Row) -> tuple[Any, ...]:
    """Sort key: strong evidence first, then steep falls; what has no grade comes last."""
    letter = item["evidence_grade"]
    return (_LETTERS.index(letter) if letter else len(_LETTERS), item["slope"] if item["slope"] is not None else math.inf)


def series_reason(view: View, code: str) -> Phrase | str:
    """Return why a series has no grade, or no better one, in words."""
    return view.reason_said("below_min_n") if code == "withheld" else phrase(f"declines.reason.{code}")


def _chance(value: float | None) -> Any:
    """Return a small probability as it is printed: below .001 it says so."""
    if value is None:
        return None
    return phrase("bulletin.history.very_small") if value < _SMALLEST else typed(value, "number3")


def _year_group(view: View) -> Phrase:
    return phrase(f"bulletin.year_group.{view.exam.exam.year_group}")


def _sentence(view: View, item: Row) -> Phrase:
    """Return the fixed sentence of a school with a grade."""
    numbers = {
        "slope": typed(item["slope"], "gap"),
        "low": typed(item["ci_lower"], "gap"),
        "high": typed(item["ci_upper"], "gap"),
        "q": _chance(item["q_value"]),
        "detectable": typed(item["min_detectable"], "number2"),
    }
    facts = {name: item[name] for name in ("first", "last", "n_periods")}
    name = school_name(view, item["unit"])
    said = phrase(f"declines.sentence.{item['evidence_grade']}", unit=name, **facts, **numbers)
    if item["evidence_reason"] is None:
        return said
    return joined([said, phrase("declines.sentence.because", reason=series_reason(view, item["evidence_reason"]))], "")


def _scope(view: View, history: PublishableHistory) -> Phrase:
    periods = history.model["periods"]
    return phrase(
        "bulletin.history.scope",
        year_group=_year_group(view),
        first=periods[0],
        last=periods[-1],
        term=phrase(f"bulletin.history.term_{view.exam.exam.term}"),
        n=len(periods),
        version=history.archive_version,
        origin=phrase(f"bulletin.history.origin_{history.origin}"),
    )


def _tally(history: PublishableHistory) -> list[Block]:
    grades = Counter(history.declines["evidence_grade"])
    counts = {letter.lower(): grades[letter] for letter in _LETTERS}
    said = phrase("bulletin.history.tally", n=len(history.declines), rest=grades[None], **counts)
    of_d = history.declines.filter(evidence_grade="D")["min_detectable"].drop_nulls().to_list()
    blocks = [paragraph(said)]
    if of_d:
        blocks.append(note(phrase("bulletin.history.not_stable", detectable=typed(median(of_d), "number2"))))
    return blocks


def falling_schools(view: View, letters: tuple[str, ...]) -> list[Row]:
    """Return the schools of certain evidence grades, strong evidence first; none without a history."""
    history = view.pub.history
    if history is None or history.declines.is_empty():
        return []
    chosen = history.declines.filter(pl.col("evidence_grade").is_in(letters))
    return sorted(chosen.iter_rows(named=True), key=lambda item: (*evidence_order(item), view.position("school", item["unit"])))


def _listed(view: View) -> list[Block]:
    rows = falling_schools(view, ("A", "B", "C"))
    if not rows:
        return []
    return [paragraph(phrase("bulletin.history.listed")), items([_sentence(view, item) for item in rows])]


def _figure(view: View, history: PublishableHistory) -> Block | None:
    rows = falling_schools(view, ("A", "B", "C"))
    if not rows:
        return None
    shown, periods = rows[:COURSES_LIMIT], [str(period) for period in history.model["periods"]]
    courses: list[Course] = []
    for item in shown:
        own = history.series.filter((pl.col("unit") == item["unit"]) & pl.col("used") & pl.col("estimate").is_not_null())
        dots = [
            (periods.index(str(line["period"])), line["estimate"], line["ci_lower"], line["ci_upper"])
            for line in own.sort("period").iter_rows(named=True)
        ]
        label = phrase("bulletin.paper_in_group", paper=school_name(view, item["unit"]), group=item["evidence_grade"])
        courses.append((label, "same" if item["evidence_grade"] == "C" else "below", dots))
    cut = "figure_cut" if len(rows) > len(shown) else "figure_whole"
    said: dict[str, Any] = {
        "n": len(rows),
        "first": periods[0],
        "last": periods[-1],
        "level": typed(view.settings.conf_level, "level"),
        "area": view.area_word,
        "cut": phrase(f"bulletin.history.{cut}", shown=len(shown)),
    }
    return chart(
        "school_courses",
        phrase("bulletin.history.figure_title", **said),
        phrase("bulletin.history.figure_caption", **said),
        phrase("bulletin.history.figure_alt", **said),
        draw_courses(courses, [period[:4] for period in periods], view.lang),
        "school_history",
    )


def _table(view: View, history: PublishableHistory) -> Block:
    rows = view.sorted_units("school", history.declines)
    listed, whole = view.shown(rows)
    word = "bulletin.history"
    columns = [
        column("unit", phrase("bulletin.unit_type.school"), "words"),
        column("years", phrase(f"{word}.years"), "count"),
        column("n_min", phrase(f"{word}.n_min"), "count"),
        column("slope", phrase(f"{word}.slope"), "gap"),
        interval_column(view),
        column("q", phrase(f"{word}.q"), "number3"),
        column("detectable", phrase(f"{word}.detectable"), "number2"),
        column("falls", phrase(f"{word}.falls"), "count"),
        column("could_be_last", phrase(f"{word}.could_be_last"), "words"),
        column("grade", phrase(f"{word}.grade"), "words"),
    ]
    cells = []
    for item in listed:
        could, letter = item["could_be_last"], item["evidence_grade"]
        interval = [item["ci_lower"], item["ci_upper"]] if item["ci_lower"] is not None else None
        cells.append(
            row(
                [
                    school_name(view, item["unit"]),
                    item["n_periods"],
                    item["n_min"],
                    item["slope"],
                    interval,
                    _chance(item["q_value"]),
                    item["min_detectable"],
                    item["run_declines"],
                    None if could is None else phrase(f"{word}.is_{'yes' if could else 'no'}"),
                    None if letter is None else phrase(f"{word}.grade_{letter}"),
                ]
            )
        )
    notes = [*cut_note(whole, len(listed), "history"), phrase(f"{word}.grades_note"), phrase(f"{word}.could_note")]
    lacking = Counter(item["evidence_reason"] for item in rows if item["evidence_grade"] is None)
    held = Counter(item["evidence_reason"] for item in rows if item["evidence_grade"] is not None)
    for key, reasons in (("reason_note", lacking), ("held_note", held)):
        for code, n in sorted((code, n) for code, n in reasons.items() if code):
            notes.append(phrase(f"{word}.{key}", n=n, reason=series_reason(view, code)))
    return table("school_history", phrase(f"{word}.caption"), columns, cells, notes, whole=whole)


def _conditions(view: View, history: PublishableHistory) -> list[Block]:
    """Return what the grades promise, and under which conditions."""
    model = history.model
    said = [phrase("bulletin.history.promise", q=typed(history.bounds["q"], "level"))]
    shock = math.sqrt(model["var_shock"])
    if model["shock_source"] == "reml" and model["var_shock_lower"] is not None:
        bounds = [math.sqrt(model["var_shock_lower"]), math.sqrt(model["var_shock_upper"])]
        said.append(
            phrase(
                "bulletin.history.model_reml",
                shock=typed(shock, "number2"),
                level=typed(view.settings.conf_level, "level"),
                interval=typed(bounds, "interval_number2"),
                rho=typed(model["shock_correlation"], "number1"),
                how=phrase(f"bulletin.history.how_{model['correlation_source']}"),
            )
        )
    else:
        said.append(phrase("bulletin.history.model_declared", shock=typed(shock, "number2")))
    return [note(part) for part in said]


def _subjects(view: View, history: PublishableHistory) -> Block | None:
    if history.subjects.is_empty():
        return None
    strong = history.subjects.filter(pl.col("evidence_grade").is_in(["A", "B"]))
    if strong.is_empty():
        return paragraph(phrase("bulletin.history.subjects_none"))
    rows = sorted(strong.iter_rows(named=True), key=lambda item: (*evidence_order(item), item["unit"], item["subject"]))
    found = [
        phrase(
            "bulletin.history.subject_item",
            unit=school_name(view, item["unit"]),
            subject=view.subject_name(item["subject"]),
            letter=item["evidence_grade"],
            slope=typed(item["slope"], "gap"),
        )
        for item in rows[:_NAMED]
    ]
    rest = len(rows) - len(found)
    more = phrase("bulletin.history.more", n=rest) if rest else phrase("bulletin.finding.no_more")
    return paragraph(phrase("bulletin.history.subjects", n=len(rows), found=found, more=more))


def _exams(view: View, history: PublishableHistory) -> list[Block]:
    """Return which exams the section rests on, which it leaves out and why, and where papers changed."""
    used = history.left_out.filter("used")
    exams = [
        phrase("bulletin.history.exam_used", period=item["school_year"], exam=item["exam_id"])
        for item in used.iter_rows(named=True)
    ]
    said = [phrase("bulletin.history.used", exams=exams)] if exams else []
    reasons = Counter(history.left_out.filter(~pl.col("used"))["reason"])
    if reasons:
        listed = [
            phrase("bulletin.history.left_out_reason", reason=phrase(f"series_reasons.{code}"), n=n)
            for code, n in sorted(reasons.items())
        ]
        said.append(phrase("bulletin.history.left_out", reasons=listed))
    changes = [
        phrase(
            f"bulletin.history.{item['code']}",
            period=item["period"],
            subject=view.subject_name(item["subject"]),
            before=item["before"],
            after=item["after"],
        )
        for item in history.notes.iter_rows(named=True)
    ]
    if changes:
        said.append(phrase("bulletin.history.design", changes=clauses(changes)))
    return [note(part) for part in said]


def _why_none(history: PublishableHistory) -> Phrase:
    return phrase(f"bulletin.history.none_{history.reason}", version=history.archive_version)


def history_lines(view: View) -> list[Phrase]:
    """Return the section in short, for the terminal; empty without an archive."""
    history = view.pub.history
    if history is None:
        return []
    if history.declines.is_empty():
        return [_why_none(history)]
    sentences = [_sentence(view, item) for item in falling_schools(view, ("A", "B"))]
    return [_scope(view, history), *(block["text"] for block in _tally(history)), *sentences]


def history_section(view: View) -> Block | None:
    """Return the section, None without an archive."""
    history = view.pub.history
    if history is None:
        return None
    heading = phrase("bulletin.heading.history")
    if history.declines.is_empty():
        return section("history", 2, heading, [paragraph(_why_none(history)), *_exams(view, history)])
    sheet = phrase("bulletin.sheet.history")
    return section(
        "history",
        2,
        heading,
        [
            paragraph(_scope(view, history)),
            *_tally(history),
            *_listed(view),
            _figure(view, history),
            _table(view, history),
            *_conditions(view, history),
            _subjects(view, history),
            *_exams(view, history),
            note(phrase("bulletin.history.key", sheet=sheet)),
        ],
    )
