"""Equity (均衡情况): how much of the differences lies between schools, gaps, the lowest part, and their course over the years."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from eduq.bulletins.blocks import Block, Phrase, chart, column, note, paragraph, row, section, table
from eduq.bulletins.cells import cut_note, interval_column, interval_of
from eduq.bulletins.equity_charts import PANELS, draw_years
from eduq.bulletins.formats import phrase, typed
from eduq.bulletins.reading import Row, has_interval, judge
from eduq.bulletins.view import COMPOSITE, TOTAL, View
from eduq.disclosure import PublishableEquity
from eduq.locale import has_text

__all__ = ["equity_reason", "equity_section", "side_name"]

_SHARE, _CV, _GAP, _WITHIN = "between_school_share", "weighted_cv", "gap", "gap_within_units"
_AREA_TYPE = "area_type"
_WORD = "bulletin.equity"
_MOST_PAIRS = 2
"""With more pairs of sides the table holds one paper only."""
_STATES = ("below", "above", "undecided")


def side_name(view: View, attribute: str, level: str) -> Any:
    """Return the name of one side of a gap: wording for kinds of place and sexes, else as it is written."""
    return view.unit_name(attribute, level) if attribute in (_AREA_TYPE, "sex") else level


def equity_reason(view: View, code: str) -> Phrase | str:
    """Return why an index or its interval is missing."""
    if code == "below_min_n":
        return view.reason_said(code)
    return phrase(f"equity.reason.{code}") if has_text(f"equity.reason.{code}") else view.reason_said(code)


def _value(item: Row | None) -> Any:
    """Return the value of an index, or why there is none."""
    if item is None:
        return None
    return {"reason": item["reason"]} if item["value"] is None and item["reason"] else item["value"]


def _lines(view: View, found: PublishableEquity, index: str, attribute: str | None = None) -> list[Row]:
    """Return the lines of an index in the comparison groups that the text shows, papers in the order of the exam."""
    chosen = found.frame.filter(pl.col("index") == index, pl.col("attribute").eq_missing(pl.lit(attribute, dtype=pl.String)))
    by_group: dict[tuple[str, str], list[Row]] = {}
    for item in chosen.iter_rows(named=True):
        by_group.setdefault((item["paper"], item["comparison_group"]), []).append(item)
    papers = [*view.real_papers, *(name for name in (TOTAL, COMPOSITE) if name in view.area_groups and name not in view.papers)]
    return [item for paper in papers for group in view.main_groups(paper) for item in by_group.get((paper, group), [])]


def _lead(view: View, found: PublishableEquity) -> list[Block]:
    """Return what the composite (or what stands in for it) says, and how many subjects lie where against the limit."""
    shares = [item for item in _lines(view, found, _SHARE) if item["value"] is not None]
    if not shares:
        return []
    wanted = COMPOSITE if any(item["paper"] == COMPOSITE for item in shares) else shares[-1]["paper"]
    blocks = []
    for item in (item for item in shares if item["paper"] == wanted and has_interval(item)):
        said = {
            "paper": view.paper_label(item["comparison_group"], item["paper"]),
            "n": item["n_units"],
            "value": typed(item["value"], "number3"),
            "level": typed(item["conf_level"], "level"),
            "interval": typed(interval_of(item), "interval_number3"),
        }
        blocks.append(paragraph(phrase(f"{_WORD}.lead", **said)))
    judged = [item for item in shares if item["limit_state"] is not None and item["paper"] in view.real_papers]
    if judged:
        counts = Counter(item["limit_state"] for item in judged)
        states = {state: counts[state] for state in _STATES}
        limit = typed(judged[0]["limit"], "number2")
        blocks.append(paragraph(phrase(f"{_WORD}.against", n=len(judged), limit=limit, **states)))
    return blocks


def _subjects(view: View, found: PublishableEquity) -> Block | None:
    """Return the table by subject: share of variance against the limit, coefficient of variation."""
    shares = _lines(view, found, _SHARE)
    if not any(item["value"] is not None for item in shares):
        return None
    spread = {(item["paper"], item["comparison_group"]): item for item in _lines(view, found, _CV)}
    columns = [
        column("paper", phrase("bulletin.head.subject"), "words"),
        column("schools", phrase(f"{_WORD}.schools"), "count"),
        column("n", phrase("bulletin.workbook.n"), "count"),
        column("share", phrase(f"equity.index.{_SHARE}"), "number3"),
        interval_column(view, "number3"),
    ]
    limited = any(item["limit_state"] is not None for item in shares)
    if limited:
        limit = next(item["limit"] for item in shares if item["limit"] is not None)
        columns.append(column("state", phrase(f"{_WORD}.against_head", limit=typed(limit, "number2")), "words"))
    columns += [column("cv", phrase(f"equity.index.{_CV}"), "number3"), interval_column(view, "number3")]
    rows = []
    for item in shares:
        own = spread.get((item["paper"], item["comparison_group"]))
        state = [phrase(f"{_WORD}.state_{item['limit_state']}") if item["limit_state"] else None] if limited else []
        name = view.paper_label(item["comparison_group"], item["paper"])
        cells = [name, item["n_units"], item["n"], _value(item), interval_of(item), *state, _value(own), interval_of(own)]
        rows.append(row(cells, "total" if item["paper"] == COMPOSITE else "unit"))
    notes = [phrase(f"{_WORD}.defined"), *_reasons(view, [*shares, *spread.values()])]
    if found.n_small:
        notes.append(phrase(f"{_WORD}.small", n=found.n_small, least=view.min_n))
    return table("equity_subjects", phrase(f"{_WORD}.caption"), columns, rows, notes)


def _reasons(view: View, rows: Iterable[Row]) -> list[Phrase]:
    codes = sorted({item["reason"] for item in rows if item["value"] is None and item["reason"]} - {"not_ratio_scale"})
    return [phrase(f"{_WORD}.reason", reason=equity_reason(view, code)) for code in codes]


def _limit_notes(found: PublishableEquity) -> list[Block]:
    """Return where the limit comes from and what it is not, or why there is none; and what scores cannot answer."""
    said = [
        note(
            phrase(
                f"{_WORD}.limit", limit=typed(limit.value, "number2"), source=limit.source, since=typed(since.isoformat(), "date")
            )
        )
        for limit in found.limits
        if (since := limit.valid_from) is not None
    ]
    if found.unlimited is not None:
        said.append(note(phrase(f"{_WORD}.unlimited_{found.unlimited}")))
    other = [
        phrase(f"{_WORD}.elsewhere_{item['measure']}", limit=typed(item["limit"], "level" if item["limit"] > 0.9 else "number2"))
        for item in found.elsewhere
        if has_text(f"{_WORD}.elsewhere_{item['measure']}")
    ]
    said.append(note(phrase(f"{_WORD}.resources")))
    return [*said, note(phrase(f"{_WORD}.elsewhere", what=other))] if other else said


def _gaps(view: View, found: PublishableEquity) -> list[Block]:
    """Return one table per attribute: the gap of every pair of sides by subject, of pupils also within the same school."""
    blocks = []
    for attribute in found.frame.filter(pl.col("index") == _GAP)["attribute"].drop_nulls().unique(maintain_order=True):
        lines = _lines(view, found, _GAP, attribute)
        pairs = list(dict.fromkeys((item["level"], item["reference"]) for item in lines))
        over_papers = [item for item in lines if item["paper"] in (TOTAL, COMPOSITE)]
        left = len(lines) - len(over_papers) if over_papers else 0
        if over_papers:
            lines = over_papers
        elif len(pairs) > _MOST_PAIRS and attribute != _AREA_TYPE:
            last = lines[-1]["paper"]
            lines = [item for item in lines if item["paper"] == last]
        within = {_place(item): item for item in _lines(view, found, _WITHIN, attribute)}
        columns = [
            column("paper", phrase("bulletin.head.subject"), "words"),
            column("sides", phrase(f"{_WORD}.sides"), "words"),
            column("n", phrase("bulletin.workbook.n"), "count"),
            column("gap", phrase(f"{_WORD}.gap"), "gap"),
            interval_column(view),
        ]
        if within:
            columns += [column("within", phrase(f"{_WORD}.within"), "gap"), interval_column(view)]
        rows = [row(_gap_cells(view, item, within), "total" if item["paper"] == COMPOSITE else "unit") for item in lines]
        kind = attribute if attribute in (_AREA_TYPE, "sex") else "sub"
        name = view.subgroup_name(attribute)
        notes = [phrase(f"{_WORD}.gap_note_{'schools' if attribute == _AREA_TYPE else 'pupils'}"), *_reasons(view, lines)]
        if left:
            notes.append(phrase(f"{_WORD}.gap_subjects"))
        if kind == "sub":
            notes.append(phrase(f"{_WORD}.sensitive", least=view.min_n))
        blocks.append(table(f"equity_gap_{attribute}", phrase(f"{_WORD}.gap_{kind}", name=name), columns, rows, notes))
    return blocks


def _place(item: Row) -> tuple[Any, ...]:
    return tuple(item[name] for name in ("paper", "comparison_group", "level", "reference"))


def _gap_cells(view: View, item: Row, within: dict[tuple[Any, ...], Row]) -> list[Any]:
    first, second = (side_name(view, item["attribute"], item[name]) for name in ("level", "reference"))
    sides = phrase(f"{_WORD}.pair", first=first, second=second)
    name = view.paper_label(item["comparison_group"], item["paper"])
    cells = [name, sides, item["n"], _value(item), interval_of(item)]
    if within:
        own = within.get(_place(item))
        cells += [_value(own), interval_of(own)]
    return cells


def _bottom(view: View) -> list[Block]:
    """Return the share of each school's pupils in the lowest 30 per cent of the area, on the total."""
    measure = "bottom30_share"
    papers = [name for name in (TOTAL, *view.real_papers) if view.area_groups.get(name)]
    frame = view.of("school").filter(pl.col("measure") == measure)
    for paper in papers:
        groups = [group for group in view.main_groups(paper) if view.area.get((group, paper, measure))]
        if groups:
            break
    else:
        return []
    blocks = []
    for group in groups:
        own = frame.filter((pl.col("paper") == paper) & (pl.col("comparison_group") == group))
        area = view.area[group, paper, measure]
        if own["estimate"].count() < 2 or area["estimate"] is None:
            continue
        lines = view.sorted_units("school", own)
        listed, whole = view.shown(lines)
        columns = [
            column("unit", phrase("bulletin.unit_type.school"), "words"),
            column("n", phrase("bulletin.workbook.n"), "count"),
            column("share", phrase("bulletin.head.in_percent", name=phrase(f"{_WORD}.bottom")), "rate"),
            interval_column(view, "rate"),
            column("judged", phrase("bulletin.head.judged", area=view.area_word), "judged"),
        ]
        rows = [row(_bottom_cells(view, item, area["estimate"])) for item in listed]
        said = {"paper": view.paper_label(group, paper), "area": view.area_word, "share": typed(area["estimate"], "percent")}
        notes = [*cut_note(whole, len(listed), "school"), phrase(f"{_WORD}.bottom_note", **said), *view.reason_notes(lines)]
        blocks.append(table("equity_bottom", phrase(f"{_WORD}.bottom_caption", **said), columns, rows, notes, whole=whole))
    return blocks


def _bottom_cells(view: View, item: Row, area: float) -> list[Any]:
    shifted = {name: None if item[name] is None else item[name] - area for name in ("estimate", "ci_lower", "ci_upper")}
    value = item["estimate"] if item["estimate"] is not None else {"reason": item["reason"]} if item["reason"] else None
    return [view.unit_name("school", item["unit"]), item["n"], value, interval_of(item), judge(item | shifted)]


def _courses(view: View, found: PublishableEquity) -> list[Block | None]:
    """Return the course over the years: a sentence for each kind of result, the figure, the table."""
    if found.years.is_empty() or found.years["school_year"].n_unique() < 2:
        return []
    years = found.years["school_year"].unique().sort().to_list()
    subjects = [paper.subject_code for paper in view.papers.values() if paper.code in view.real_papers]
    order = [*dict.fromkeys(subjects), COMPOSITE]
    shares = found.years.filter((pl.col("index") == _SHARE) & pl.col("value").is_not_null())
    with_years = [subject for subject in order if (shares["subject"] == subject).sum() > 1]
    blocks: list[Block | None] = [paragraph(phrase(f"{_WORD}.years", first=years[0], last=years[-1], n=len(years)))]
    slopes = {item["subject"]: item for item in found.course.filter(pl.col("index") == _SHARE).iter_rows(named=True)}
    told = [slopes[subject] for subject in with_years if subject in slopes and slopes[subject]["slope"] is not None]
    if told:
        counts = Counter("rising" if item["ci_lower"] > 0 else "falling" if item["ci_upper"] < 0 else "unclear" for item in told)
        kinds = {name: counts[name] for name in ("rising", "falling", "unclear")}
        blocks.append(paragraph(phrase(f"{_WORD}.slopes", n=len(told), **kinds)))
    else:
        kinds = {}
        blocks.append(paragraph(phrase(f"{_WORD}.too_few_years")))
    blocks.append(_figure(view, found, shares, with_years[-PANELS:], years, kinds))
    blocks.append(_years_table(view, found, with_years, years))
    return blocks


def _figure(
    view: View,
    found: PublishableEquity,
    shares: pl.DataFrame,
    subjects: Sequence[str],
    years: Sequence[str],
    kinds: Mapping[str, int],
) -> Block | None:
    if not subjects:
        return None
    panels = []
    for subject in subjects:
        own = shares.filter(pl.col("subject") == subject).sort("school_year")
        dots = [
            (years.index(item["school_year"]), item["value"], item["ci_lower"], item["ci_upper"])
            for item in own.iter_rows(named=True)
        ]
        panels.append((view.subject_name(subject), dots))
    limit = next((limit.value for limit in found.limits if limit.index == _SHARE), None)
    said = {"first": years[0], "last": years[-1], "level": typed(view.settings.conf_level, "level")}
    caption = "figure_caption" if limit is None else "figure_caption_limit"
    return chart(
        "equity_years",
        phrase(f"{_WORD}.figure_title{'' if kinds else '_values'}", **said, **kinds),
        phrase(f"{_WORD}.{caption}", limit=typed(limit or 0.0, "number2"), **said),
        phrase(f"{_WORD}.figure_alt", subjects=[name for name, _ in panels], **said),
        draw_years(panels, [year[:4] for year in years], limit, view.lang),
        "equity_course",
    )


def _years_table(view: View, found: PublishableEquity, subjects: Sequence[str], years: Sequence[str]) -> Block | None:
    pairs = found.years.filter((pl.col("index") == _GAP) & (pl.col("subject") == COMPOSITE))
    sides = list(pairs.select("level", "reference").unique(maintain_order=True).iter_rows())
    wanted: list[tuple[str, str, str | None, str | None]] = [(_SHARE, subject, None, None) for subject in subjects]
    wanted += [(_GAP, COMPOSITE, level, reference) for level, reference in sides]
    columns = [
        column("index", phrase(f"{_WORD}.index"), "words"),
        column("subject", phrase("bulletin.head.subject"), "words"),
        *(column(year, year, "number3") for year in years),
        column("slope", phrase(f"{_WORD}.slope"), "gap3"),
        interval_column(view, "gap3"),
    ]
    rows = []
    for index, subject, level, reference in wanted:
        parts = {"index": index, "subject": subject, "level": level, "reference": reference}
        chosen = [pl.col(name).eq_missing(pl.lit(value, dtype=pl.String)) for name, value in parts.items()]
        values = {item["school_year"]: item for item in found.years.filter(*chosen).iter_rows(named=True)}
        slope = next(found.course.filter(*chosen).iter_rows(named=True), None)
        name = phrase(f"equity.index.{index}")
        if level is not None and reference is not None:
            first, second = side_name(view, _AREA_TYPE, level), side_name(view, _AREA_TYPE, reference)
            name = phrase(f"{_WORD}.pair", first=first, second=second)
        course: list[Any] = [None, None]
        if slope is not None and slope["slope"] is not None:
            course = [slope["slope"], [slope["ci_lower"], slope["ci_upper"]]]
        rows.append(row([name, view.subject_name(subject), *(_value(values.get(year)) for year in years), *course]))
    if not rows:
        return None
    notes = [phrase(f"{_WORD}.years_note"), phrase(f"{_WORD}.key", sheet=phrase("bulletin.sheet.equity_years"))]
    return table("equity_course", phrase(f"{_WORD}.years_caption"), columns, rows, notes)


def equity_section(view: View) -> Block | None:
    """Return the section; None where the exam is of one school."""
    found = view.pub.equity
    if found is None:
        return None
    blocks: list[Block | None] = [*_lead(view, found), _subjects(view, found)]
    if not any(blocks):
        return None
    blocks += [*_limit_notes(found), *_gaps(view, found), *_bottom(view), *_courses(view, found)]
    return section("equity", 2, phrase("bulletin.heading.equity"), blocks)
