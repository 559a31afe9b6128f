"""Feedback sheets: own figures and an anonymous reference, nothing of anybody else."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from typing import Any

import polars as pl
import pytest
from tests.builders import build_scores

from eduq.bulletins.feedback import render_feedback
from eduq.disclosure.feedback import PublishableFeedback, merge_bands, protect_feedback
from eduq.errors import UsageError
from eduq.estimates.teaching import TeachingTable, measure_teaching
from eduq.locale import Lang
from eduq.tables import GROWTH

EXAM = {"exam": {"id": "test-exam", "name": "期末检测", "school_year": "2025-2026", "term": 2, "date": "2026-06-03"}}
PAPERS = {"math": 100.0, "english": 100.0}
SIZES = (24, 30, 8, 26, 28, 25, 31, 22, 27)
LANGS: tuple[Lang, ...] = ("zh", "en")


def build(sizes: Sequence[int] = SIZES, growth: pl.DataFrame | None = None) -> TeachingTable:
    """Teacher K0 has math in classes 0 to 2 (class 2 is small); every other class has a teacher of its own."""
    rows = [
        {
            "school_id": f"SCH{number // 3}", "class_id": f"CLS{number}",
            "math": float(min(99, 30 + 5 * number + (11 * pupil) % 40)), "english": float(45 + (13 * pupil + number) % 50),
        }
        for number, size in enumerate(sizes)
        for pupil in range(size)
    ]  # fmt: skip
    teachers = pl.DataFrame(
        [
            {"teacher_id": "K0" if number < 3 and subject == "math" else f"K{number}{subject[0]}",
             "name": f"甲师{number}{subject[0]}", "school_id": f"SCH{number // 3}", "class_id": f"CLS{number}",
             "subject": subject}
            for number in range(len(sizes))
            for subject in PAPERS
        ]
    )  # fmt: skip
    return measure_teaching(build_scores(rows, full=PAPERS, exam=EXAM), teachers, growth=growth)


def all_sheets(teaching: TeachingTable) -> list[tuple[PublishableFeedback, str]]:
    found = [protect_feedback(teaching, teacher_id=name) for name in teaching.of_teacher]
    found += [protect_feedback(teaching, class_id=name) for name in teaching.of_class]
    return [
        (sheet, render_feedback(sheet, format=form, lang=lang))
        for sheet in found
        for form in ("html", "markdown")
        for lang in LANGS
    ]


def test_no_sheet_names_another_teacher_or_class_and_none_puts_anything_in_order() -> None:
    teaching = build()
    teachers = set(teaching.of_teacher) | set(teaching.teacher_names.values())
    classes = {line["class_id"] for lines in teaching.of_class.values() for line in lines}
    for sheet, shown in all_sheets(teaching):
        fields = json.dumps(sheet.fields, ensure_ascii=False)
        person = sheet.fields["addressee"]
        own_classes = {line["class_id"] for line in sheet.fields["lines"]}
        for said in (shown, fields):
            named = set(re.findall(r"K\d+[me]?|甲师\d+[me]", said))
            assert named & teachers <= {person["id"], person["name"]}
            assert set(re.findall(r"CLS\d+", said)) <= own_classes
        assert own_classes < classes
        assert not re.search("排名|名次|第[一二三四五六七八九十0-9]+名|最高|最低|ranking|ranked|\brank\b|best|worst", shown)


def test_lines_are_in_the_order_of_papers_and_class_names() -> None:
    sheet = protect_feedback(build(), teacher_id="K0")
    assert [line["class_id"] for line in sheet.fields["lines"]] == ["CLS0", "CLS1", "CLS2"]
    of_class = protect_feedback(build(), class_id="SCH1/CLS4")
    assert [line["paper"] for line in of_class.fields["lines"]] == ["math", "english"]


def test_a_class_of_fewer_than_ten_shows_only_who_took_part() -> None:
    teaching = build()
    small = next(line for line in protect_feedback(teaching, teacher_id="K0").fields["lines"] if line["class_id"] == "CLS2")
    assert (small["n_expected"], small["n_present"], small["reason"], small["gap_reason"]) == (8, 8, "below_min_n", "below_min_n")
    withheld = {
        "mean",
        "mean_lower",
        "mean_upper",
        "gap",
        "gap_lower",
        "gap_upper",
        "n_like",
        "reference",
        "reference_q1",
        "reference_q3",
    }
    assert {small[name] for name in withheld} == {None}
    assert small["bands"] is None
    (pooled,) = protect_feedback(teaching, teacher_id="K0").fields["pooled"]
    assert (pooled["n_classes"], pooled["n"]) == (2, SIZES[0] + SIZES[1])  # so the small class cannot be found by subtraction
    shown = render_feedback(protect_feedback(teaching, class_id="SCH0/CLS2"), format="markdown")
    table = next(line for line in shown.splitlines() if line.startswith("| 数学"))
    assert re.findall(r"\d+(?:\.\d+)?", table) == ["8", "8"]


def test_the_reference_holds_no_class_of_the_own_circle() -> None:
    teaching = build()
    sheet = protect_feedback(teaching, teacher_id="K0")
    others = teaching.classes.filter(pl.col("paper") == "math", ~pl.col("class_id").is_in(["CLS0", "CLS1", "CLS2"]))
    expected = others["total"].sum() / others["n"].sum()
    assert [line["reference"] for line in sheet.fields["lines"]] == [pytest.approx(expected), pytest.approx(expected), None]
    assert {line["n_like"] for line in sheet.fields["lines"]} == {6, None}


def test_with_few_like_classes_there_is_no_reference_and_the_sheet_says_why() -> None:
    sheet = protect_feedback(build(SIZES[3:8]), class_id="SCH0/CLS1")
    assert {line["gap_reason"] for line in sheet.fields["lines"]} == {"few_like_classes"}
    assert {line["reference"] for line in sheet.fields["lines"]} == {None}
    teacher = protect_feedback(build(SIZES[3:8]), teacher_id="K4m")
    assert "不足 5 个" in render_feedback(teacher)


def test_sentences_call_nothing_different_that_cannot_be_told_apart() -> None:
    teaching = build()
    for name in teaching.of_teacher:
        sheet = protect_feedback(teaching, teacher_id=name)
        (line,) = sheet.fields["pooled"] or sheet.fields["lines"]
        shown = render_feedback(sheet, format="markdown")
        if line["gap"] is None:
            continue
        touches = line["gap_lower"] <= 0 <= line["gap_upper"]
        assert ("与同类班**无法区分**" in shown) == touches
        assert ("平均分高于同类班" in shown) == (line["gap_lower"] > 0)
        assert ("平均分低于同类班" in shown) == (line["gap_upper"] < 0)


def test_bands_are_joined_until_each_holds_enough() -> None:
    cuts = [40.0, 60.0, 85.0]
    assert merge_bands([12, 15, 20, 11], cuts, 10) == [
        {"low": None, "high": 40.0, "count": 12},
        {"low": 40.0, "high": 60.0, "count": 15},
        {"low": 60.0, "high": 85.0, "count": 20},
        {"low": 85.0, "high": None, "count": 11},
    ]
    assert merge_bands([0, 0, 30, 9], cuts, 10) is None
    assert merge_bands([3, 4, 5, 40], cuts, 10) == [
        {"low": None, "high": 85.0, "count": 12},
        {"low": 85.0, "high": None, "count": 40},
    ]
    assert merge_bands([30, 0, 0, 9], cuts, 10) is None
    assert merge_bands(None, None, 10) is None


def test_growth_stands_in_the_sheet_only_beside_enough_other_classes() -> None:
    def growth(count: int, papers: Sequence[str] = ("math",)) -> pl.DataFrame:
        lines: list[dict[str, Any]] = [
            {"unit_type": "class", "unit": f"SCH{number // 3}/CLS{number}", "subject": paper, "paper": paper,
             "growth": "multilevel", "comparison_group": f"test-exam.{paper}", "n_listed": SIZES[number],
             "n": SIZES[number] - 2, "estimate": 0.1, "ci_lower": -0.1, "ci_upper": 0.3}
            for number in range(count)
            for paper in papers
        ]  # fmt: skip
        return pl.DataFrame(lines, schema=GROWTH)

    few, enough = build(growth=growth(7)), build(growth=growth(8))
    assert protect_feedback(few, teacher_id="K0").fields["growth"] == []
    (first, second) = protect_feedback(enough, teacher_id="K0").fields["growth"]
    assert (first["class_id"], second["class_id"], first["estimate"]) == ("CLS0", "CLS1", 0.1)
    both = build(growth=growth(9, ("english", "math")))
    assert [line["paper"] for line in protect_feedback(both, class_id="SCH1/CLS4").fields["growth"]] == ["math", "english"]
    assert "增值" in render_feedback(protect_feedback(enough, teacher_id="K0"))


def test_addressees_must_be_known_and_one() -> None:
    teaching = build()
    for arguments, code in (
        ({}, "feedback_addressee"),
        ({"teacher_id": "K0", "class_id": "SCH0/CLS0"}, "feedback_addressee"),
        ({"teacher_id": "nobody"}, "feedback_unknown"),
        ({"class_id": "SCH9/CLS0"}, "feedback_unknown"),
    ):
        with pytest.raises(UsageError) as caught:
            protect_feedback(teaching, **arguments)
        assert caught.value.code == code
    with pytest.raises(UsageError):
        render_feedback(protect_feedback(teaching, teacher_id="K0"), format="pdf")


class _Checker(HTMLParser):
    VOID = frozenset({"meta", "link", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href") and value is not None]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An empty element of a drawing opens nothing."""

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_pages_are_whole_the_same_each_time_and_escape_what_data_say() -> None:
    teaching = build()
    names = pl.DataFrame({"teacher_id": ["K0"], "name": ["<b>甲*师*</b>"]})
    teaching = TeachingTable(
        teaching.classes, teaching.links, teaching.exam, teaching.names | {"teachers": names}, teaching.settings
    )
    for lang in LANGS:
        shown = render_feedback(protect_feedback(teaching, teacher_id="K0"), lang=lang)
        assert shown == render_feedback(protect_feedback(teaching, teacher_id="K0"), lang=lang)
        checker = _Checker()
        checker.feed(shown)
        assert checker.open == []
        assert checker.addresses == ["#main"]
        assert "<script" not in shown
        assert "<b>甲" not in shown
        assert "&lt;b&gt;甲*师*&lt;/b&gt;" in shown
        assert shown.count("<svg") == 2
