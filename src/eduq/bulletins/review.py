"""The review page: the bureau's own numbers to filter, sort, search and follow to their reasons, without a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from eduq.bulletins.basics import data_line
from eduq.bulletins.dossier_words import Words
from eduq.bulletins.formats import measure_kind, phrase, say, typed
from eduq.bulletins.history import school_name, series_reason
from eduq.bulletins.reading import judge, reason_cell, reason_words
from eduq.bulletins.render import capitalise
from eduq.bulletins.review_columns import Column, choice, counts, measured
from eduq.bulletins.view import COMPOSITE, View
from eduq.disclosure import Publishable, PublishableDossier
from eduq.errors import DisclosureError
from eduq.estimates.measures import load_measures
from eduq.groups import DERIVED
from eduq.locale import Lang, has_text, text

__all__ = ["REVIEW_VERSION", "build_review", "dossier_name"]

REVIEW_VERSION = 1
_GAP = "z_mean"
_USUAL = (
    *(_GAP, "mean_score", "score_rate", "excellent_rate", "good_rate", "pass_rate", "low_score_rate", "full_score_rate"),
    *("all_pass_rate", "participation_rate", "above_mean_ratio", "bottom30_share", "median", "sd"),
)
"""Measures the page offers, in this order; measures of a local file follow."""
_KEYS = ("exam", "comparison_group", "paper", "unit")


def dossier_name(unit: str, rule: str) -> str:
    """Return the place of a why-page beside the review page; whatever an id holds, it stays in the folder.

    Examples
    --------
    >>> dossier_name("S003", "ezhou.head.yellow"), dossier_name("../a b", "r")
    ('why/S003-ezhou.head.yellow.html', 'why/%2E%2E%2Fa%20b-r.html')
    """
    return f"why/{_plain(unit)}-{_plain(rule)}.html"


def _plain(name: str) -> str:
    kept = "".join(sign if sign.isalnum() or sign in "-_." else f"%{ord(sign):02X}" for sign in name)
    return kept.replace("..", "%2E%2E")


class _Page:
    """What the tables of one page share: schools in register order, reasons, language."""

    def __init__(self, views: Sequence[View], lang: Lang) -> None:
        self.views, self.lang = views, lang
        self.reasons: dict[str, int] = {}
        self.reason_words: dict[str, tuple[str, str]] = {}
        found = {unit: (view, unit) for view in reversed(views) for unit in view.of("school")["unit"].unique(maintain_order=True)}
        for view in views:
            if view.pub.history is not None and not view.pub.history.series.is_empty():
                found |= {unit: (view, unit) for unit in view.pub.history.series["unit"].unique() if unit not in found}
        self.units = sorted(found, key=lambda unit: found[unit][0].position("school", unit))
        self.names = {unit: self.said(school_name(found[unit][0], unit)) for unit in self.units}
        self.places = {unit: found[unit][0].parent_name("school", unit) for unit in self.units}
        self.at = {unit: place for place, unit in enumerate(self.units)}

    def said(self, value: Any) -> str:
        return say(value, self.lang).replace("**", "")

    def word(self, key: str, **params: Any) -> str:
        return text(f"review.{key}", self.lang, **params)

    def schools(self, units: Sequence[str]) -> list[Column]:
        """Return the columns that say which school a row is of."""
        known = [self.places[unit] or "" for unit in self.units]
        column = {
            "id": "unit", "label": self.word("school"), "kind": "unit", "filter": True, "at": [self.at[unit] for unit in units]
        }  # fmt: skip
        return [column, choice("place", self.word("place"), [self.places[unit] for unit in units], known=sorted(known))]

    def measure(self, name: str, label: str, kind: str, frame: pl.DataFrame, *, series: View | None = None) -> Column:
        found = measured(name, label, kind, frame, self.reasons, self.lang)
        for code in self.reasons:
            if code not in self.reason_words:
                self.reason_words[code] = self._reason(code, series)
        return found

    def _reason(self, code: str, series: View | None) -> tuple[str, str]:
        cell = self.said(reason_cell(code))
        if code in ("below_min_n", "withheld"):
            return self.said(reason_cell("below_min_n")), self.said(self.views[0].reason_said("below_min_n"))
        if series is not None and has_text(f"declines.reason.{code}"):
            return cell, self.said(series_reason(series, code))
        return cell, self.said(reason_words(code))


def build_review(
    publishables: Sequence[Publishable], lang: Lang, *, dossiers: Sequence[PublishableDossier] = ()
) -> dict[str, Any]:
    """Arrange what the bureau edition may show as tables to explore.

    Parameters
    ----------
    publishables
        Exams, the newest first; the page is titled by the first.
    lang
        ``zh`` or ``en``.
    dossiers
        Verdicts that have a why-page beside the page (`dossier_name`).

    Returns
    -------
    dict
        ``version``, ``meta`` as in a bulletin's context, and ``data``: units, reasons, ``tables`` of columns, and words of the
        page's script. Every number is one the edition shows, in units of its last printed decimal; what is withheld is None
        and has a reason.

    Raises
    ------
    DisclosureError
        ``edition_not_available``: an edition of another audience; the page names schools and sorts by value.
    """
    editions = [published.edition for published in publishables] + [dossier.edition for dossier in dossiers]
    if other := [edition for edition in editions if edition != "bureau"]:
        raise DisclosureError("edition_not_available", edition=other[0], known="bureau")
    views = [View(published, lang) for published in publishables]
    page = _Page(views, lang)
    tables = [_levels(page), _years(page), _courses(page, dossiers), _verdicts(page, dossiers)]
    first = views[0]
    reasons = [page.reason_words[code] for code in page.reasons]
    named: dict[str, Any] = {"exam": first.exam.exam.name or phrase("bulletin.exam_unnamed")}
    return {
        "version": REVIEW_VERSION,
        "meta": {
            "product": "review",
            "edition": "bureau",
            "lang": lang,
            "audience": phrase("bulletin.audience.bureau"),
            "title": phrase("review.title", **named)
            if len(views) == 1
            else phrase("review.title_several", n=len(views), **named),
            "issuer": first.settings.issuer or None,
            "date": first.exam.exam.date.isoformat() if first.exam.exam.date else None,
            "data_line": data_line(first) if len(views) == 1 else None,
        },
        "intro": [phrase("review.intro", level=typed(first.settings.conf_level, "level"), n=first.min_n)],
        "data": {
            "lang": lang,
            "units": [[unit, page.names[unit], page.places[unit]] for unit in page.units],
            "reasons": reasons,
            "tables": [table for table in tables if table is not None],
        },
    }


def _levels(page: _Page) -> dict[str, Any]:
    """Return one row per school, paper and comparison group of every exam."""
    measures: dict[str, View] = {}
    parts = []
    for place, view in enumerate(page.views):
        frame = view.of("school").with_columns(pl.col("measure").replace("composite_z", _GAP), pl.lit(place).alias("exam"))
        parts.append(frame)
        measures |= {name: view for name in frame["measure"].unique() if name not in measures}
    shipped = load_measures()
    offered = [name for name in (*_USUAL, *sorted(name for name in measures if name not in shipped)) if name in measures]
    shown = pl.concat(parts).filter(pl.col("measure").is_in(offered))
    rows = _level_rows(page, shown)
    columns = [*page.schools(rows["unit"].to_list()), *_level_labels(page, rows)]
    columns += [counts(name, page.word(name), rows[name].to_list()) for name in ("n_expected", "n_present")]
    found = []
    for name in offered:
        own = rows.select(_KEYS).join(shown.filter(measure=name), on=_KEYS, how="left", maintain_order="left")
        if name == _GAP:
            sides = [judge(row) for row in own.iter_rows(named=True)]
            said = [None if side is None else text(f"bulletin.judged.{side}", page.lang) for side in sides]
            known = [text(f"bulletin.judged.{side}", page.lang) for side in ("above", "same", "below")]
            columns.append(choice("side", page.word("side"), said, known=known))
        found.append(page.measure(name, *_called(page, measures[name], name), own))
    table = _table(page, "levels", columns, found)
    return table if len(page.views) == 1 else table | {"label": page.word("table.levels_several")}


def _called(page: _Page, view: View, measure: str) -> tuple[str, str]:
    """Return what a measure is called in a head, with its unit, and how its values are printed."""
    if measure == _GAP:
        return page.word("gap"), "gap"
    kind = measure_kind(measure, view.pub.measures.get(measure))
    label = view.measure_name(measure).partition("（")[0].partition(" (")[0]
    return page.said(phrase("bulletin.head.in_percent", name=label)) if kind in ("rate", "change") else label, kind


def _level_rows(page: _Page, shown: pl.DataFrame) -> pl.DataFrame:
    """Return exam, comparison group, paper and unit of every row with its base: exams, then schools, then papers in order."""
    rows = shown.group_by(_KEYS).agg(pl.col("n_expected", "n_present").max())
    papers = [{paper: i for i, paper in enumerate(view.area_groups)} for view in page.views]
    order = sorted(
        rows.rows(named=True),
        key=lambda row: (row["exam"], page.at[row["unit"]], papers[row["exam"]].get(row["paper"], 99), row["comparison_group"]),
    )
    return pl.DataFrame(order, schema=rows.schema)


def _level_labels(page: _Page, rows: pl.DataFrame) -> list[Column]:
    """Return the columns that say which exam, where there are several, and which paper a row is of."""
    keys = rows.select("exam", "comparison_group", "paper").rows()
    labels = {key: page.said(page.views[key[0]].paper_label(key[1], key[2])) for key in set(keys)}
    known = [
        labels[place, group, paper]
        for place, view in enumerate(page.views)
        for paper in view.area_groups
        for group in view.area_groups[paper]
        if (place, group, paper) in labels
    ]
    names = [page.said(view.exam.exam.name or view.exam.exam.id) for view in page.views]
    exams = [choice("exam", page.word("exam"), [names[key[0]] for key in keys], known=names)] if len(names) > 1 else []
    return [*exams, choice("subject", page.word("subject"), [labels[key] for key in keys], known=known)]


def _table(page: _Page, name: str, columns: list[Column], measures: list[Column]) -> dict[str, Any]:
    for column in (*columns, *measures):
        column["label"] = capitalise(column["label"])
    label, note = page.word(f"table.{name}"), page.word(f"note.{name}")
    return {"id": name, "label": label, "note": note, "columns": columns, "measures": measures}


def _with_history(page: _Page) -> list[View]:
    """Return one view per year group with a history: the newest exam's."""
    found: dict[Any, View] = {}
    for view in page.views:
        history = view.pub.history
        if history is not None and not history.declines.is_empty():
            found.setdefault(view.exam.exam.year_group, view)
    return list(found.values())


def _year_groups(page: _Page, codes: Sequence[str | None]) -> list[Column]:
    """Return the column of year groups where there are several."""
    if len(set(codes)) < 2:
        return []
    return [
        choice("year_group", page.word("year_group"), [code and text(f"bulletin.year_group.{code}", page.lang) for code in codes])
    ]


def _subjects(page: _Page, views: Sequence[View], codes: Sequence[str]) -> Column:
    """Return the column of subjects, the composite first."""
    order = _subject_order(views)
    known = [page.said(views[0].subject_name(code)) for code in order]
    return choice("subject", page.word("subject"), [page.said(views[0].subject_name(code)) for code in codes], known=known)


def _subject_order(views: Sequence[View]) -> list[str]:
    return [COMPOSITE, *dict.fromkeys(paper for view in views for paper in view.area_groups if paper not in DERIVED)]


def _in_order(page: _Page, views: Sequence[View], parts: Sequence[pl.DataFrame], by: str) -> pl.DataFrame:
    """Return lines on the page's schools: in order of school, year group, subject and a column."""
    whole = pl.concat([part for part in parts if not part.is_empty()], how="diagonal_relaxed")
    places = {code: place for place, code in enumerate(_subject_order(views))}
    place = pl.col("subject").replace_strict(places, default=len(places), return_dtype=pl.Int64)
    whole = whole.filter(pl.col("unit").is_in(page.units)).with_columns(
        pl.col("unit").replace_strict(page.at, return_dtype=pl.Int64).alias("place"), pl.col("year_group").fill_null("")
    )
    return whole.sort("place", "year_group", place, "subject", by)


def _years(page: _Page) -> dict[str, Any] | None:
    """Return one row per school, subject and year; the page opens with the composite."""
    views = _with_history(page)
    if not views:
        return None
    parts = [part for view in views if view.pub.history for part in (view.pub.history.series, view.pub.history.subject_series)]
    rows = _in_order(page, views, parts, "period").with_columns(
        pl.when(pl.col("estimate").is_null()).then(pl.col("reason").fill_null("no_estimate")).alias("reason")
    )
    periods = [str(period) for period in rows["period"]]
    subjects = _subjects(page, views, rows["subject"].to_list())
    columns = [
        *page.schools(rows["unit"].to_list()),
        *_year_groups(page, rows["year_group"].to_list()),
        *([subjects] if len(subjects["values"]) > 1 else []),
        choice("year", page.word("year"), periods, known=sorted(set(periods))),
        counts("n", page.word("n"), rows["n"].to_list()),
    ]
    table = _table(page, "years", columns, [page.measure("composite_z", page.word("gap"), "gap", rows, series=views[0])])
    return table | {"across": "year", "preset": {"subject": 0} if len(subjects["values"]) > 1 else {}}


def _courses(page: _Page, dossiers: Sequence[PublishableDossier]) -> dict[str, Any] | None:
    """Return one row per school and subject: the yearly change, and how sure one can be of a fall."""
    views = _with_history(page)
    if not views:
        return None
    parts = [part for view in views if view.pub.history for part in (view.pub.history.declines, view.pub.history.subjects)]
    rows = _in_order(page, views, parts, "first").with_columns(
        pl.col("slope").alias("estimate"),
        pl.when(pl.col("slope").is_null()).then(pl.col("evidence_reason").fill_null("no_estimate")).alias("reason"),
    )
    columns = [
        *page.schools(rows["unit"].to_list()),
        *_year_groups(page, rows["year_group"].to_list()),
        _subjects(page, views, rows["subject"].to_list()),
        choice("span", page.word("span"), [_span(*ends) for ends in rows.select("first", "last").rows()], filtered=False),
        counts("n_periods", page.word("n_periods"), rows["n_periods"].to_list()),
        choice("grade", page.word("grade"), rows["evidence_grade"].to_list(), known=["A", "B", "C", "D"]),
    ]
    table = _table(page, "courses", columns, [page.measure("slope", page.word("slope"), "gap", rows, series=views[0])])
    legend = [[letter, text(f"why.grade_meaning.{letter}", page.lang)] for letter in "ABCD"]
    return table | {"legend": legend, "why": _reasons_of(rows, dossiers)}


def _reasons_of(rows: pl.DataFrame, dossiers: Sequence[PublishableDossier]) -> dict[int, str]:
    """Return the why-page of each row that has one; of several the first."""
    found: dict[tuple[Any, ...], str] = {}
    for dossier in dossiers:
        asked = dossier.fields["asked"]
        place = dossier_name(asked["unit"], dossier.fields["clause"]["rule"])
        found.setdefault((asked["unit"], asked["year_group"], asked["subject"] or COMPOSITE), place)
    keys = rows.select("unit", "year_group", "subject").rows()
    return {row: found[key] for row, key in enumerate(keys) if key in found}


def _span(first: Any, last: Any) -> str | None:
    return None if first is None else f"{first} — {last}"


def _verdicts(page: _Page, dossiers: Sequence[PublishableDossier]) -> dict[str, Any] | None:
    """Return one row per verdict that has a why-page, on schools of the page."""
    lines = []
    for dossier in dossiers:
        fields = dossier.fields
        words, asked = Words(fields, page.lang), fields["asked"]
        if asked["unit"] not in page.at or not fields["verdict"]["readings"]:
            continue
        readings = {line["reading"]: line for line in fields["verdict"]["readings"]}
        proposal = next((line["proposal"] for line in readings.values() if line["proposal"]), None)
        evidence = fields["evidence"] or {}
        lines.append(
            {
                "unit": asked["unit"],
                "rule": page.said(words.rule(fields["clause"]["rule"])),
                "about": "·".join(page.said(part) for part in words.series()) or None,
                "narrow": page.said(words.result(readings["narrow"]["clause_result"])),
                "wide": page.said(words.result(readings["wide"]["clause_result"])),
                "grade": evidence.get("evidence_grade"),
                "proposal": proposal and text(f"proposals.{proposal}", page.lang),
                "why": dossier_name(asked["unit"], fields["clause"]["rule"]),
            }
        )
    if not lines:
        return None
    lines.sort(key=lambda line: (page.at[line["unit"]], line["why"]))
    columns = page.schools([line["unit"] for line in lines])
    for name in ("rule", "about", "narrow", "wide", "grade", "proposal"):
        column = choice(name, page.word(name), [line[name] for line in lines], filtered=name != "about")
        columns.append(column)
    columns.append({"id": "why", "label": page.word("why"), "kind": "link", "at": [line["why"] for line in lines]})
    return _table(page, "verdicts", columns, [])
