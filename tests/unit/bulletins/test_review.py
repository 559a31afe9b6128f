"""The review page: the numbers an edition shows, no others, and a page that asks for nothing."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.bulletins.fixture import make_publishable

from eduq.bulletins.formats import format_value, say
from eduq.bulletins.review import build_review, dossier_name
from eduq.bulletins.review_columns import choice, measured, shown_number, whole_units
from eduq.bulletins.review_page import render_review
from eduq.disclosure import History, Publishable, PublishableDossier
from eduq.disclosure.histories import protect_history
from eduq.errors import DisclosureError
from eduq.estimates.declines import detect_declines
from eduq.locale import Lang, text

KINDS = ("gap", "rate", "score", "change", "number3")


def with_courses(publishable: Publishable, *, small: str | None = None, min_n: int = 10) -> Publishable:
    """Return a county whose schools have a course over four years; one school may be too small in one of them."""
    rows = [
        (school, measure, subject, "G9", f"{year}-{year + 1}", 0.02 * number - 0.05 * place * (number < 3), 0.9, n)
        for number, school in enumerate(publishable.units.filter(unit_type="school")["unit"])
        for place, year in enumerate(range(2022, 2026))
        for n in [6 if school == small and place == 1 else 120 + number]
        for measure, subject in (("composite_z", "composite"), ("z_mean", "chinese"), ("z_mean", "math"))
    ]
    names = ["unit", "measure", "subject", "year_group", "period", "estimate", "sd", "n"]
    frame, family = pl.DataFrame(rows, schema=names, orient="row"), ("measure", "subject", "year_group")
    found, of_subjects = (detect_declines(frame.filter(measure=measure), family=family) for measure in ("composite_z", "z_mean"))
    history = History(archive_version=3, origin="archived", declines=found, subjects=of_subjects)
    return dataclasses.replace(publishable, history=protect_history(history, min_n))


def dossier(unit: str = "S003") -> PublishableDossier:
    """Return as much of a dossier as the page reads."""
    line = {"clause_result": "met", "proposal": None, "only_wide": False}
    fields: dict[str, Any] = {
        "asked": {"unit": unit, "year_group": "G9", "subject": None, "target_id": None},
        "clause": {"rule": "ezhou.head.talk", "texts": {"zh": {"name": "履职谈话"}, "en": {"name": "talk"}}},
        "unit": {"unit_type": "head"},
        "verdict": {"readings": [{"reading": "narrow", **line, "proposal": "talk"}, {"reading": "wide", **line}]},
        "evidence": {"evidence_grade": "A"},
    }
    return PublishableDossier(edition="bureau", fields=fields, min_n=10)


def embedded(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="review-data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return dict(json.loads(found[1]))


def tables(context: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {table["id"]: table for table in context["data"]["tables"]}


@given(st.sampled_from(KINDS), st.one_of(st.floats(-50, 50), st.decimals(-9, 9, places=4).map(float)))
def test_numbers_are_printed_as_in_every_other_document(kind: str, value: float) -> None:
    assert shown_number(whole_units(pl.Series([value]), kind)[0], kind) == format_value(value, kind, "zh")


@given(st.sampled_from(KINDS), st.lists(st.floats(-2, 2), min_size=2, max_size=2).map(sorted))
def test_intervals_are_printed_as_in_every_other_document(kind: str, ends: list[float]) -> None:
    frame = pl.DataFrame(
        {"estimate": [0.0], "ci_lower": ends[:1], "ci_upper": ends[1:], "reason": pl.Series([None], dtype=pl.String)}
    )
    found = measured("m", "m", kind, frame, {}, "zh")
    shown = "\u00a0—\u00a0".join(str(shown_number(found[side][0], kind)) for side in ("lower", "upper"))
    assert shown == format_value(ends, f"interval_{kind}", "zh")


def test_what_is_not_finite_is_no_number() -> None:
    assert whole_units(pl.Series([float("nan"), float("inf"), None]), "gap") == [None, None, None]


def test_texts_sort_by_the_order_that_is_known() -> None:
    found = choice("c", "c", ["b", None, "x", "a"], known=["a", "b", "unused"])
    assert found["values"] == ["a", "b", "x"]
    assert found["at"] == [1, None, 2, 0]


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_every_school_and_paper_has_its_row_with_its_numbers(county: Publishable, lang: Lang) -> None:
    context = build_review([county], lang)
    levels = tables(context)["levels"]
    of_schools = county.estimates.filter(unit_type="school")
    assert len(levels["columns"][0]["at"]) == of_schools.select("unit", "paper", "comparison_group").n_unique()
    subject = next(column for column in levels["columns"] if column["id"] == "subject")
    math = {"zh": "数学", "en": "Mathematics"}[lang]
    place = next(i for i, value in enumerate(subject["values"]) if value.casefold() == math.casefold())
    row = next(
        r
        for r, at in enumerate(subject["at"])
        if at == place and context["data"]["units"][levels["columns"][0]["at"][r]][0] == "S002"
    )
    for name in ("z_mean", "pass_rate", "mean_score"):
        known = of_schools.row(
            by_predicate=(pl.col("unit") == "S002") & (pl.col("paper") == "math") & (pl.col("measure") == name), named=True
        )
        measure = next(one for one in levels["measures"] if one["id"] == name)
        assert shown_number(measure["value"][row], measure["kind"]) == format_value(known["estimate"], measure["kind"], lang)


def test_a_withheld_number_is_not_in_the_page() -> None:
    whole = make_publishable()
    own = (pl.col("unit_type") == "school") & (pl.col("unit") == "S007")
    hidden = whole.estimates.with_columns(
        *(pl.when(~own).then(pl.col(name)).alias(name) for name in ("estimate", "std_error", "ci_lower", "ci_upper")),
        pl.when(own).then(pl.lit("below_min_n")).otherwise("reason").alias("reason"),
    )
    context = build_review([dataclasses.replace(whole, estimates=hidden)], "zh")
    levels = tables(context)["levels"]
    unit = [one[0] for one in context["data"]["units"]].index("S007")
    rows = [row for row, at in enumerate(levels["columns"][0]["at"]) if at == unit]
    assert rows
    for measure in levels["measures"]:
        assert {measure[side][row] for side in ("value", "lower", "upper") for row in rows} == {None}
    gap = levels["measures"][0]
    said = {context["data"]["reasons"][gap["reason"][row]][1] for row in rows if row in gap["reason"]}
    assert said == {text("reasons.below_min_n", "zh", n=10)}
    side = next(column for column in levels["columns"] if column["id"] == "side")
    assert {side["at"][row] for row in rows} == {None}


def test_a_course_with_a_small_year_is_withheld() -> None:
    context = build_review([with_courses(make_publishable(), small="S005")], "zh")
    unit = [one[0] for one in context["data"]["units"]].index("S005")
    for name, rows_with_numbers in (("years", 9), ("courses", 0)):
        table = tables(context)[name]
        rows = [row for row, at in enumerate(table["columns"][0]["at"]) if at == unit]
        assert rows
        assert sum(table["measures"][0]["value"][row] is not None for row in rows) == rows_with_numbers


def test_years_are_there_by_subject_the_composite_first() -> None:
    county = with_courses(make_publishable())
    context = build_review([county], "en", dossiers=[dossier()])
    years, courses = (tables(context)[name] for name in ("years", "courses"))
    subject = next(column for column in years["columns"] if column["id"] == "subject")
    assert subject["values"][years["preset"]["subject"]] == "Composite"
    assert county.history is not None
    shown = county.history.subject_series.filter(unit="S004", subject="math").sort("period")["estimate"].to_list()
    of_math = subject["values"].index("Mathematics")
    unit = [one[0] for one in context["data"]["units"]].index("S004")
    rows = [row for row, at in enumerate(years["columns"][0]["at"]) if at == unit and subject["at"][row] == of_math]
    assert [years["measures"][0]["value"][row] for row in rows] == whole_units(pl.Series(shown), "gap")
    (row,) = courses["why"]
    assert courses["why"][row] == "why/S003-ezhou.head.talk.html"
    assert context["data"]["units"][courses["columns"][0]["at"][row]][0] == "S003"


def test_without_the_script_a_course_is_one_row_with_its_years_side_by_side() -> None:
    page = render_review(build_review([with_courses(make_publishable())], "zh"))
    plain = page[page.index("<noscript>") : page.index("</noscript>")]
    years = plain[plain.index("历年水平") : plain.index("历年变化")]
    assert years.count("<tr>") == 1 + 3 * 24
    assert [years.count(f'<th scope="col">{year}-{year + 1}</th>') for year in range(2022, 2026)] == [1, 1, 1, 1]


def test_no_head_names_its_unit_twice() -> None:
    for lang in ("zh", "en"):
        for table in tables(build_review([make_publishable()], lang)).values():
            assert not [
                one["label"]
                for one in table["measures"]
                if one["label"].count("%") + one["label"].count("％") > 1 + (lang == "zh")
            ]


def test_a_verdict_leads_to_its_page_and_others_have_no_row() -> None:
    context = build_review([make_publishable()], "zh", dossiers=[dossier(), dossier("S999")])
    verdicts = tables(context)["verdicts"]
    assert verdicts["columns"][-1]["at"] == ["why/S003-ezhou.head.talk.html"]
    assert 'href="why/S003-ezhou.head.talk.html"' in render_review(context)


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", "a\\b", "..", "C:x"])
def test_a_page_of_reasons_stays_in_its_folder(name: str) -> None:
    found = dossier_name(name, name)
    assert re.fullmatch(r"why/[^/\\:]+\.html", found)
    assert ".." not in found


def test_another_audience_is_refused(county: Publishable) -> None:
    for arguments in (
        {"publishables": [dataclasses.replace(county, edition="public")]},
        {"publishables": [county], "dossiers": [dataclasses.replace(dossier(), edition="school")]},
    ):
        with pytest.raises(DisclosureError) as caught:
            build_review(lang="zh", **arguments)
        assert caught.value.code == "edition_not_available"


def test_several_exams_have_a_column_to_choose_by(county: Publishable) -> None:
    exam = county.exam.model_copy(update={"exam": county.exam.exam.model_copy(update={"name": "另一次考试"})})
    context = build_review([county, dataclasses.replace(county, exam=exam)], "zh")
    levels = tables(context)["levels"]
    column = next(one for one in levels["columns"] if one["id"] == "exam")
    assert column["values"] == [county.exam.exam.name, "另一次考试"]
    assert column["filter"]
    assert levels["label"] == "各次考试"
    assert say(context["meta"]["title"], "zh") == f"{county.exam.exam.name}等 2 次考试：局内查阅页"


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_the_page_repeats_byte_for_byte_and_loads_nothing(county: Publishable, lang: Lang) -> None:
    page = render_review(build_review([with_courses(county)], lang, dossiers=[dossier()]))
    assert page == render_review(build_review([with_courses(county)], lang, dossiers=[dossier()]))
    assert "default-src 'none'" in page
    assert not re.search(r"(?:src|href)=\"(?!#|why/)", page)
    assert not re.search(r"\b(?:eval|innerHTML|Function)\b|https?://(?!www\.w3\.org/2000/svg)", page)
    assert page.count("<noscript>") == 1
    plain = page[page.index("<noscript>") : page.index("</noscript>")]
    data = embedded(page)
    years = {table["id"]: 4 if table["id"] == "years" else 1 for table in data["tables"]}  # there four years are one row
    assert plain.count("<tr>") == sum(1 + len(table["columns"][0]["at"]) // years[table["id"]] for table in data["tables"])


def test_a_name_cannot_leave_its_place(county: Publishable) -> None:
    name = '</script><img src=x onerror=alert(1)>"'
    units = county.units.with_columns(pl.when(pl.col("unit") == "S001").then(pl.lit(name)).otherwise("name").alias("name"))
    page = render_review(build_review([dataclasses.replace(county, units=units)], "zh"))
    assert "<img" not in page
    assert embedded(page)["units"][0][1] == name
