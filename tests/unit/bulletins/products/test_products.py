"""Contexts of the products of the yearly cadence: what each holds, what none may show, a period without an exam."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import re
from typing import Any

import polars as pl
import pytest
from tests.unit.bulletins.products.fixture import OWNER, PERIODS, SCHOOL_NAMES, make_product

from eduq.bulletins.formats import say
from eduq.bulletins.products import build_product_context
from eduq.bulletins.products.common import ProductView
from eduq.bulletins.products.student import share_levels
from eduq.bulletins.render import render_html, render_markdown
from eduq.disclosure.products import PublishableProduct
from eduq.locale import LANGUAGES, Lang

SKELETON = ("基本情况", "主要结果", "存在的问题", "原因分析", "下一步工作")
NAMES = [*SCHOOL_NAMES.values(), "城关第1中学", "清河第1中学", "S001", "S002", "S003"]


def printed(publishable: PublishableProduct, lang: Lang = "zh") -> str:
    return render_markdown(build_product_context(publishable, lang))


def named(document: str) -> list[str]:
    return [name for name in NAMES if name in document]


def headings(context: dict[str, Any], level: int = 1) -> list[str]:
    return [say(part["heading"], "zh") for part in context["sections"] if part["level"] == level]


def tables(context: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {block["id"]: block for part in context["sections"] for block in part["blocks"] if block["type"] == "table"}


@pytest.fixture(scope="module")
def contexts() -> dict[tuple[str, str], dict[str, Any]]:
    editions = ("bureau", "government", "public")
    return {
        (name, edition): build_product_context(make_product(name, edition=edition), "zh")
        for name in PERIODS
        for edition in editions
    }


@pytest.mark.parametrize("product", PERIODS)
@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("with_exams", [True, False])
def test_every_product_is_printed_in_both_languages_with_and_without_an_exam(product: str, lang: Lang, with_exams: bool) -> None:
    context = build_product_context(make_product(product, with_exams=with_exams), lang)
    json.dumps(context, allow_nan=False)  # plain values only
    page, words = render_html(context), render_markdown(context)
    for document in (page, words):
        assert "product." not in document
        assert not re.search(r"\bbulletin\.[a-z_]+\b", document)
        assert "None" not in document
    if lang == "en":
        data = [
            *SCHOOL_NAMES.values(),
            OWNER,
            "2025—2026学年第一学期九年级期末质量监测",
            "八年级期末质量监测",
            "各乡镇中心学校",
            "局直属各学校",
            "未参加统一阅卷",
        ]
        assert not re.search(r"[\u4e00-\u9fff]{7,}", re.sub("|".join(data), "", words))


@pytest.mark.parametrize("product", ["quarterly", "term", "annual"])
def test_a_bulletin_follows_the_skeleton_of_an_official_paper(contexts: Any, product: str) -> None:
    context = contexts[product, "bureau"]
    assert tuple(headings(context)) == SKELETON
    assert [part["number"] for part in context["sections"] if part["level"] == 1] == [[1], [2], [3], [4], [5]]
    assert context["attachments"]
    assert context["closing"]
    assert context["meta"]["draft"]
    assert context["meta"]["recipients"]


@pytest.mark.parametrize(
    ("product", "edition"), [(name, "government") for name in PERIODS] + [(name, "public") for name in PERIODS]
)
def test_no_school_is_named_outside_the_bureau(contexts: Any, product: str, edition: str) -> None:
    context = contexts[product, edition]
    whole = json.dumps(context, ensure_ascii=False) + render_html(context)
    assert named(whole) == []


@pytest.mark.parametrize("product", ["government", "research"])
def test_a_product_meant_for_outside_names_no_school_even_as_the_bureau_reads_it(contexts: Any, product: str) -> None:
    assert named(json.dumps(contexts[product, "bureau"], ensure_ascii=False)) == []


@pytest.mark.parametrize("product", PERIODS)
def test_outside_the_bureau_there_is_no_proposal_and_no_decision(contexts: Any, product: str) -> None:
    for edition in ("government", "public"):
        shown = json.dumps(contexts[product, edition], ensure_ascii=False)
        for planted in ("ezhou", "yellow_card", "张局长", "情况属实", "decided."):
            assert planted not in shown


@pytest.mark.parametrize("product", PERIODS)
def test_the_public_reads_of_no_matter_target_verdict_or_order(contexts: Any, product: str) -> None:
    document = render_markdown(contexts[product, "public"])
    for word in ("排名", "名次", "末位", "升学率", "状元", "下滑", "目标", "黄牌", "责任单位", OWNER, "优秀率", "高于、"):
        assert word not in document
    assert "关联不等于因果" in document
    assert {"exams", "participation"} <= set(tables(contexts[product, "public"]))


@pytest.mark.parametrize("product", PERIODS)
def test_pupils_and_parents_have_a_text_of_their_own(product: str) -> None:
    context = build_product_context(make_product(product, edition="student"), "zh")
    document = render_markdown(context)
    assert "写给同学和家长" in document
    assert "《未成年人学校保护规定》第十条" in document
    for word in ("中学", "小学", "学校A", "排名", "末位", "升学率", "状元", "下滑", "目标", "黄牌", "责任单位", OWNER, "标准差"):
        assert word not in document.replace("不排名次", "")
    if context["exams"]:
        assert "A（优秀）：85% 及以上" in document
        levels = [block for part in context["sections"] for block in part["blocks"] if block.get("id", "").startswith("levels_")]
        assert levels
        for line in (line for table in levels for line in table["rows"]):
            shares = [cell for cell in line["cells"][1:] if cell is not None]
            assert sum(shares) == pytest.approx(1) if shares else True
    assert render_markdown(build_product_context(make_product(product, edition="student"), "en"))


@pytest.mark.parametrize(
    ("rates", "shown"),
    [
        ([(100, 0.2), (100, 0.5), (100, 0.9)], [0.2, 0.3, 0.4, 0.1]),
        ([(100, 0.0), (100, 0.5), (100, 0.9)], [0.0, 0.5, 0.4, 0.1]),
        ([(100, 0.2), (100, 0.29), (100, 0.9)], None),  # nine in B
        ([(100, 0.2), (100, 0.5), (100, 0.91)], None),  # nine in D
        ([(100, 0.09), (100, 0.5), (100, 0.9)], None),  # nine in A
        ([None, (100, 0.5), (100, 0.9)], None),
        ([(100, 0.2), (99, 0.5), (100, 0.9)], None),
    ],
)
def test_a_level_of_few_takes_its_subject_with_it(rates: list[tuple[int, float] | None], shown: list[float] | None) -> None:
    assert share_levels(rates, 10) == shown


def test_schools_are_counted_for_the_government(contexts: Any) -> None:
    document = render_markdown(contexts["government", "government"])
    assert re.search(r"参加比较的 23 所学校中，综合成绩明显高于全县平均的 \d+ 所，明显低于的 \d+ 所", document)
    assert "6 所学校中，下滑得到确认（A 级）的 1 所" in document
    assert "特此报告。" in document
    assert contexts["government", "government"]["meta"]["cc"]
    assert "各乡镇中心学校" not in document  # those who get bulletins are not those who get the report


def test_a_quarter_without_an_exam_says_so_and_goes_on() -> None:
    context = build_product_context(make_product("quarterly", with_exams=False), "zh")
    document = render_markdown(context)
    assert "本季度，全县没有组织统一考试和质量监测" in document
    assert tuple(headings(context)) == SKELETON
    assert {"open_items", "proposals", "decisions", "targets", "courses_g9"} == set(tables(context))


def test_a_quarter_without_anything_is_still_a_whole_document() -> None:
    full = make_product("quarterly", with_exams=False)
    empty = {name: getattr(full, name).clear() for name in ("open_items", "verdicts", "decisions", "targets")}
    context = build_product_context(dataclasses.replace(full, histories={}, last_issue=None, **empty), "zh")
    document = render_markdown(context)
    assert tuple(headings(context)) == SKELETON
    for said in ("本季度没有可供比较的成绩", "没有未办结事项", "没有待决定的建议", "本季度没有作出决定"):
        assert said in document
    assert not tables(context)


def test_what_is_new_and_corrected_is_counted_against_the_last_issue(contexts: Any) -> None:
    document = render_markdown(contexts["quarterly", "bureau"])
    assert "上一期于2025年10月8日印发，与上一期相比，新增 1 次，更正 1 次，没有变动 0 次。" in document
    news = tables(contexts["quarterly", "bureau"])["exams"]
    assert [say(line["cells"][-1], "zh") for line in news["rows"]] == ["新增", "更正"]
    first = dataclasses.replace(make_product("quarterly"), last_issue=None)
    assert "此前没有印发过同类文件" in printed(first)


def test_open_items_have_owner_due_day_and_status_and_the_overdue_come_first(contexts: Any) -> None:
    lines = [[say(cell, "zh") for cell in line["cells"]] for line in tables(contexts["dispatch", "bureau"])["open_items"]["rows"]]
    assert lines[0] == ["示例第2中学：目标“数学及格率”", OWNER, "2025年12月31日", "逾期", "1"]
    assert [line[3] for line in lines] == ["逾期", "在办", "在办"]
    assert lines[2][1:3] == ["待明确", "待定"]
    owners = tables(contexts["dispatch", "bureau"])["owners"]["rows"]
    assert owners[0]["cells"] == [OWNER, 1, 0, 0]
    assert owners[-1]["cells"][1:] == [1, 2, 0]


def test_a_proposal_stands_with_its_evidence_and_an_only_wide_case_is_not_proposed(contexts: Any) -> None:
    context = contexts["quarterly", "bureau"]
    rows = tables(context)["proposals"]["rows"]
    assert [[say(cell, "zh") for cell in line["cells"]] for line in rows] == [
        [
            "示例第1中学（九年级）",
            "建议黄牌警告",
            "校长黄牌警告（条款 A02）",
            "2023-2024 至 2025-2026",
            "窄口径",
            "证据等级 B（很可能下滑）",
        ]
    ]
    assert "另有 1 项仅宽口径触发" in render_markdown(context)
    decided = make_product("quarterly")
    verdicts = decided.verdicts.with_columns(pl.lit("adopted").alias("decision"))
    assert "没有待决定的建议" in printed(dataclasses.replace(decided, verdicts=verdicts))


def test_a_proposal_on_an_exam_names_the_exam() -> None:
    made = make_product("quarterly")
    verdicts = made.verdicts.with_columns(pl.lit("exam").alias("unit_type"), pl.lit("2021-1-g9").alias("unit")).head(1)
    items = made.open_items.head(1).with_columns(pl.lit("exam").alias("unit_type"), pl.lit("2021-1-g9").alias("unit"))
    known = dataclasses.replace(
        made, verdicts=verdicts, open_items=items, names={**made.names, "exam": {"2021-1-g9": "2021年秋季九年级检测"}}
    )
    found = tables(build_product_context(known, "zh"))
    assert say(found["proposals"]["rows"][0]["cells"][0], "zh") == "2021年秋季九年级检测（九年级）"
    assert say(found["open_items"]["rows"][0]["cells"][0], "zh").startswith("2021年秋季九年级检测：")


def test_award_candidates_are_counted_in_the_yearly_assessment_only_and_not_named(contexts: Any) -> None:
    assert [line["cells"] for line in tables(contexts["annual", "bureau"])["award_candidates"]["rows"]] == [["进步奖", 1]]
    assert "示例第20中学" not in json.dumps(contexts["annual", "bureau"], ensure_ascii=False)
    assert "award_candidates" not in tables(contexts["quarterly", "bureau"])


def test_targets_carry_their_state_and_schools_targets_are_counted_outside(contexts: Any) -> None:
    inside = tables(contexts["quarterly", "bureau"])["targets"]
    assert [line["cells"][-1] for line in inside["rows"]] == ["reached", "not_reached"]
    assert inside["columns"][-1]["kind"] == "target"
    outside = tables(contexts["government", "government"])["targets"]
    assert [line["cells"][-1] for line in outside["rows"]] == ["reached"]
    assert "学校的目标只计入上述行数" in render_markdown(contexts["government", "government"])


def test_ids_of_tables_and_figures_are_unique_and_numbers_run_through(contexts: Any) -> None:
    for context in contexts.values():
        blocks = [block for part in [*context["sections"], *context["annexes"]] for block in part["blocks"]]
        for kind in ("table", "figure"):
            of_kind = [block for block in blocks if block["type"] == kind]
            assert len({block["id"] for block in of_kind}) == len(of_kind)
            assert [block["number"] for block in of_kind] == list(range(1, len(of_kind) + 1))
        ids = [part["id"] for part in context["sections"]]
        assert len(set(ids)) == len(ids)


def test_the_check_gives_no_score(contexts: Any) -> None:
    document = render_markdown(contexts["check", "bureau"])
    for word in ("平均分 |", "及格率 %", "得分率", "高于"):
        assert word not in document
    assert "每月抽查是过程检查，不是考试" in document
    assert "可比条件" in document


def test_each_exam_of_a_term_has_its_section_by_year_group(contexts: Any) -> None:
    second = headings(contexts["term", "bureau"], 2)
    assert second[:2] == ["八年级期末质量监测", "2025—2026学年第一学期九年级期末质量监测"]


@pytest.mark.parametrize(
    ("period", "first", "last", "zh", "en"),
    [
        ("2025-11", (2025, 11), (2025, 11), "2025年11月", "November 2025"),
        ("2025-11", (2025, 10), (2025, 11), "2025年10月至11月", "October and November 2025"),
        ("2026-01", (2025, 12), (2026, 1), "2025年12月至2026年1月", "December 2025 and January 2026"),
        ("2025Q4", (2025, 10), (2025, 12), "2025年第四季度", "the fourth quarter of 2025"),
        ("2025-2026-1", (2025, 9), (2026, 1), "2025—2026学年第一学期", "term 1 of 2025–2026"),
        ("2025-2026", (2025, 9), (2026, 8), "2025—2026学年", "the school year 2025–2026"),
    ],
)
def test_a_period_is_said_as_the_language_says_it(
    period: str, first: tuple[int, int], last: tuple[int, int], zh: str, en: str
) -> None:
    days = {"first": dt.date(*first, 1), "last": dt.date(*last, 28)}
    publishable = dataclasses.replace(make_product("quarterly", with_exams=False), period=period, **days)
    assert say(ProductView(publishable, "zh").period, "zh") == zh
    assert say(ProductView(publishable, "en").period, "en") == en


def test_the_same_input_gives_the_same_context() -> None:
    once, again = (json.dumps(build_product_context(make_product("annual"), "zh")) for _ in range(2))
    assert once == again


def test_what_is_withheld_from_an_audience_is_not_said_to_be_none() -> None:
    made = make_product("government", edition="government")
    kept = dataclasses.replace(made, open_items=made.open_items.clear(), targets=made.targets.clear(), histories={})
    context = build_product_context(kept, "zh")
    assert "open_items" not in [figure["id"] for figure in context["headline"]]
    said = render_markdown(context)
    assert "没有未办结事项" not in said
    assert "本版不列未办结事项，办理情况见局内版。" in said
    assert "本次数据没有需要列出的事项" not in said
    assert "不逐项列出各校的事项" in said
    dispatch = make_product("dispatch", edition="government")
    other = printed(dataclasses.replace(dispatch, open_items=dispatch.open_items.clear()))
    assert "没有未办结事项" not in other
    bureau = dataclasses.replace(make_product("dispatch"), open_items=made.open_items.clear())
    assert "没有未办结事项。" in render_markdown(build_product_context(bureau, "zh"))


def test_a_period_without_results_promises_none_to_the_public_and_to_pupils() -> None:
    for lang, promised in (
        ("zh", ("考了什么、等级怎样看", "平均分后的区间", "数据读法")),
        ("en", ("what was tested in", "reading of")),
    ):
        for edition in ("public", "student"):
            made = make_product("quarterly", with_exams=False, edition=edition)
            said = printed(made, lang)
            assert not [words for words in promised if words in said]
            assert "{" not in said
    held = make_product("quarterly", edition="student")
    unread = printed(dataclasses.replace(held, exams=()))
    assert "没有组织" not in unread
    assert "组织了考试，但还没有可以说明全体情况的成绩" in unread


def test_the_public_is_told_of_no_school_in_the_annex_and_of_causes_once() -> None:
    said = printed(make_product("quarterly", edition="public"))
    assert "不足 10 人的分组不列成绩" in said
    assert "学校、班级和分组" not in said
    assert said.count("关联不等于因果") == 1


@pytest.mark.parametrize("product", PERIODS)
@pytest.mark.parametrize("edition", ["bureau", "government", "public", "student"])
def test_no_article_is_said_twice(product: str, edition: str) -> None:
    for with_exams in (True, False):
        assert not re.findall(r"\bthe the\b", printed(make_product(product, with_exams=with_exams, edition=edition), "en"))
