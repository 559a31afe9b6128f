"""The pack of one subject: what is left of an exam, what it asks on a visit, a period without the subject."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any

import polars as pl
import pytest
from tests.unit.bulletins.products.fixture import SCHOOL_NAMES, make_product

from eduq.bulletins.formats import say
from eduq.bulletins.products import build_product_context
from eduq.bulletins.render import render_html, render_markdown
from eduq.disclosure.growths import PublishableGrowth
from eduq.disclosure.products import PublishableProduct
from eduq.disclosure.subjects import AMONG_OWN, keep_subject, narrow_product
from eduq.estimates.exam_growth import PRIORS
from eduq.estimates.exam_growth_fits import AGREEMENT, CHECKS_OF_GROWTH, COEFFICIENTS, MODELS
from eduq.locale import LANGUAGES, Lang
from eduq.tables import FLOWS, GROWTH


def tables(context: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {block["id"]: block for part in context["sections"] for block in part["blocks"] if block["type"] == "table"}


def whole_product() -> PublishableProduct:
    """Return the product as it is before it is narrowed to a subject."""
    return make_product("term")


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("with_exams", [True, False])
def test_it_is_printed_in_both_languages_with_and_without_an_exam(lang: Lang, with_exams: bool) -> None:
    context = build_product_context(make_product("subject", with_exams=with_exams), lang)
    json.dumps(context, allow_nan=False)
    for document in (render_html(context), render_markdown(context)):
        assert not re.search(r"\b(?:product|bulletin)\.[a-z_]+\b", document)
        assert "None" not in document


def test_only_the_subject_is_left() -> None:
    product = make_product("subject")
    for exam in product.exams:
        assert exam.estimates["paper"].unique().to_list() == ["math"]
        assert exam.comparability["paper"].unique().to_list() == ["math"]
        assert exam.distribution["paper"].unique().to_list() == ["math"]
        assert [paper.code for paper in exam.exam.papers] == ["math"]
        assert exam.states is None
    document = render_markdown(build_product_context(product, "zh"))
    results = document[document.index("二、主要结果") : document.index("三、存在的问题")]
    assert not re.findall("语文|英语|物理|化学|综合标准分", results)
    assert "数学学科教学质量分析" in document


def test_there_is_no_proposal_no_decision_and_no_item_of_others() -> None:
    context = build_product_context(make_product("subject"), "zh")
    said = json.dumps(context, ensure_ascii=False)
    for planted in ("ezhou", "黄牌", "张局长", "情况属实", "proposals."):
        assert planted not in said
    assert {"targets", "open_items"} <= set(tables(context))
    other = narrow_product(dataclasses.replace(whole_product(), unit="chinese", product="subject"), "chinese")
    assert other.targets.is_empty()
    assert other.open_items.filter(pl.col("kind") == "target").is_empty()


def test_a_period_without_the_subject_is_a_whole_document_that_says_so() -> None:
    made = narrow_product(dataclasses.replace(whole_product(), product="subject", unit="music"), "music")
    assert made.exams == ()
    assert made.news.is_empty()
    document = render_markdown(build_product_context(made, "zh"))
    assert "本学期，全县的考试中没有音乐学科" in document
    assert "本学期没有音乐学科的成绩" in document
    assert "小题得分和知识点" in document


def test_a_school_is_set_beside_its_own_other_subjects() -> None:
    product = make_product("subject")
    place = product.places[str(product.exams[0].exam.exam.id)]
    assert place.among_own.schema == pl.Schema(AMONG_OWN)
    assert place.among_own["n_subjects"].unique().to_list() == [7]
    one = place.among_own.row(0, named=True)
    gaps = (
        whole_product()
        .exams[0]
        .estimates.filter(
            pl.col("unit") == one["unit"], pl.col("measure") == "z_mean", ~pl.col("paper").is_in(["total", "composite"])
        )
        .filter(pl.col("estimate").is_not_null())
    )
    own = gaps.filter(paper="math")["estimate"].item()
    others = gaps.filter(pl.col("paper") != "math")["estimate"].mean()
    assert one["difference"] == pytest.approx(own - others)
    assert one["lower"] < one["difference"] < one["upper"]
    table = next(found for name, found in tables(build_product_context(product, "zh")).items() if name.endswith("own_subjects"))
    assert all(line["cells"][-1] in ("above", "below") for line in table["rows"])


def test_questions_are_tied_to_findings_and_name_no_cause() -> None:
    context = build_product_context(make_product("subject"), "zh")
    visit = next(part for part in context["sections"] if part["id"] == "visit")
    asked = [say(one, "zh") for block in visit["blocks"] if block["type"] == "list" for one in block["items"]]
    assert any("本学科低于区域" in one for one in asked)
    falling = next(one for one in asked if "逐年下滑有较强证据的 2 所" in one)
    assert SCHOOL_NAMES["S001"] in falling
    assert SCHOOL_NAMES["S003"] not in falling  # evidence C is not strong
    for one in asked:
        assert not re.search("因为|由于|原因是|导致", one)
    quiet = dataclasses.replace(make_product("subject", with_exams=False), histories={})
    calm = next(part for part in build_product_context(quiet, "zh")["sections"] if part["id"] == "visit")
    assert "没有引出需要专门询问的问题" in say(calm["blocks"][0]["text"], "zh")


def _growth() -> PublishableGrowth:
    exam = whole_product().exams[0]
    facts = {"unit_type": "school", "exam_id": exam.exam.exam.id, "comparison_group": "2025-1-g9-final/math", "subject": "math"}
    lines = [
        dict.fromkeys(GROWTH)
        | facts
        | {
            "paper": paper,
            "unit": unit,
            "growth": "multilevel",
            "n": 50,
            "estimate": low + 0.1,
            "ci_lower": low,
            "ci_upper": low + 0.2,
        }
        for unit, low in (("S001", 0.1), ("S002", -0.5), ("S003", -0.1))
        for paper in ("math", "composite")
    ]
    moves = [
        dict.fromkeys(FLOWS)
        | facts
        | {"paper": "math", "unit": "S002", "prior_exam": "before", "flow": flow, "count": 12, "n": 40, "estimate": 0.3}
        | {"ci_lower": 0.2, "ci_upper": 0.4, "side": "above"}
        for flow in ("entering", "staying", "leaving")
    ]
    return PublishableGrowth(
        frame=pl.DataFrame(lines, schema=GROWTH),
        missing=pl.DataFrame(schema={"school_id": pl.String, "prior_exam": pl.String}),
        priors=pl.DataFrame(schema=PRIORS),
        models=pl.DataFrame(schema=MODELS),
        coefficients=pl.DataFrame(schema=COEFFICIENTS),
        checks=pl.DataFrame(schema=CHECKS_OF_GROWTH),
        agreement=pl.DataFrame(schema=AGREEMENT),
        notes=pl.DataFrame({"code": ["a", "b", "c"], "found": ["physics", "before", None], "n": [1, 1, 1]}),
        low_groups=pl.DataFrame(moves, schema=FLOWS),
    )


def test_growth_and_the_low_group_are_those_of_the_subject() -> None:
    exam = dataclasses.replace(whole_product().exams[0], growth=_growth())
    own = keep_subject(exam, "math")
    assert own is not None
    assert own.growth is not None
    assert own.growth.frame["paper"].unique().to_list() == ["math"]
    assert own.growth.notes["code"].to_list() == ["b", "c"]  # what is said of physics stays with physics
    made = dataclasses.replace(make_product("subject"), exams=(own,))
    context = build_product_context(made, "zh")
    low = next(found for name, found in tables(context).items() if name.endswith("low_group"))
    assert low["rows"][0]["cells"][1:5] == [40, 12, 12, 12]
    visit = next(part for part in context["sections"] if part["id"] == "visit")
    asked = " ".join(say(one, "zh") for block in visit["blocks"] if block["type"] == "list" for one in block["items"])
    assert "进入待提升群体的学生多于同样起点学生的 1 所" in asked


def test_classes_are_counted_and_not_listed() -> None:
    exam = whole_product().exams[0]
    schools = exam.estimates.filter(pl.col("unit_type") == "school")
    classes = schools.with_columns(pl.lit("class").alias("unit_type"), (pl.col("unit") + "/班级甲").alias("unit"))
    named = exam.units.filter(pl.col("unit_type") == "school").with_columns(
        pl.lit("class").alias("unit_type"), (pl.col("unit") + "/班级甲").alias("unit"), pl.lit("班级甲").alias("name")
    )
    own = keep_subject(
        dataclasses.replace(exam, estimates=pl.concat([exam.estimates, classes]), units=pl.concat([exam.units, named])), "math"
    )
    assert own is not None
    context = build_product_context(dataclasses.replace(make_product("subject"), exams=(own,)), "zh")
    document = render_markdown(context)
    assert "班级只计数，不列名单" in document
    assert "班级甲" not in json.dumps(context, ensure_ascii=False)


def test_courses_carry_an_icon_with_its_word_and_one_legend() -> None:
    for product in ("subject", "quarterly", "annual"):
        context = build_product_context(make_product(product), "zh")
        page, words = render_html(context), render_markdown(context)
        assert page.count("变化图标：") == 1
        for name, sign, word in (("rising", "↑", "上升"), ("falling", "↓", "下滑"), ("unclear", "◇", "分不清")):
            assert f'class="icon-{name}"' in page
            assert f"</svg>{word}" in page
            assert f"| {sign} {word} |" in words
        assert "| □ 数据不足 |" in words


@pytest.mark.parametrize("lang", LANGUAGES)
def test_two_papers_of_one_subject_stay_together(lang: Lang) -> None:
    exam = whole_product().exams[0]
    papers = tuple(
        paper.model_copy(update={"subject": "math"}) if paper.code == "english" else paper for paper in exam.exam.papers
    )
    made = dataclasses.replace(exam, exam=exam.exam.model_copy(update={"papers": papers}))
    own = keep_subject(made, "math")
    assert own is not None
    assert set(own.estimates["paper"]) == {"math", "english"}
    context = build_product_context(dataclasses.replace(make_product("subject"), exams=(own,)), lang)
    said = render_markdown(context)
    assert ("不止一份试卷" if lang == "zh" else "more than one paper") in said
    assert not re.search(r"\b(?:product|bulletin)\.[a-z_]+\b", said)
