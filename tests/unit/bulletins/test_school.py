"""The document of one school: what stands in it, in both languages, and what it says it cannot say."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import Any

import pytest
from tests.unit.bulletins.fixture import make_publishable

from eduq.bulletins.products.school import build_school_context
from eduq.bulletins.render import render_html, render_markdown
from eduq.bulletins.table_book import write_table_book
from eduq.disclosure.schools import protect_school


@pytest.fixture(scope="module")
def context() -> dict[str, Any]:
    return build_school_context(protect_school(make_publishable(schools=24), school_id="S003"), "zh")


def tables_of(context: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {block["id"]: block for part in context["sections"] for block in part["blocks"] if block["type"] == "table"}


def test_own_levels_stand_beside_median_and_middle_half(context: dict[str, Any]) -> None:
    exam = make_publishable(schools=24)
    table = tables_of(context)["levels"]
    math = next(line["cells"] for line in table["rows"] if line["cells"][0].get("key") == "bulletin.subject.math")
    own = exam.estimates.filter(unit="S003", paper="math", measure="mean_score").row(0, named=True)
    assert math[2:5] == [[own["n_present"], own["n_expected"]], own["estimate"], [own["ci_lower"], own["ci_upper"]]]
    assert math[6][0] <= math[5] <= math[6][1]


def test_sections_are_numbered_and_end_with_what_cannot_be_said(context: dict[str, Any]) -> None:
    assert [part["number"] for part in context["sections"]] == [[n] for n in range(1, len(context["sections"]) + 1)]
    assert [part["id"] for part in context["sections"]][-2:] == ["open", "limits"]
    written = render_markdown(context)
    assert "关联不等于因果" in written
    assert "没有教学质量数据库，或库中没有较早的考试" in written
    assert "不是评比" in written


def test_a_school_that_was_marked_otherwise_is_told_so() -> None:
    context = build_school_context(protect_school(make_publishable(schools=24), school_id="S024"), "zh")
    assert "那些试卷只在条件相同的学校之间比较" in render_markdown(context)


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_several_exams_stand_one_after_the_other(lang: Any) -> None:
    exam = make_publishable(schools=12, papers=2)
    context = build_school_context(protect_school([exam, exam], school_id="S001"), lang)
    levels = [part["level"] for part in context["sections"]]
    assert levels[0] == 1
    assert levels.count(2) >= 8
    names = list(tables_of(context))
    assert len(names) == len(set(names))
    page = render_html(context)
    assert page.count('id="table-levels_1"') == page.count('id="table-levels_2"') == 1


def test_the_workbook_holds_numbers_as_numbers_and_no_formula(context: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "tables.xlsx"
    name = dict(context["meta"]) | {"issuer": "=1+1"}
    write_table_book(context | {"meta": name}, path)
    first = path.read_bytes()
    write_table_book(context | {"meta": name}, path)
    assert path.read_bytes() == first
    with zipfile.ZipFile(path) as book:
        sheets = [book.read(name).decode() for name in sorted(book.namelist()) if "worksheets/sheet" in name]
        words = book.read("xl/sharedStrings.xml").decode()
    assert len(sheets) == len(tables_of(context))
    assert "实考 / 应考：应考" in words
    assert not [sheet for sheet in sheets if "<f>" in sheet]
    assert all('state="frozen"' in sheet for sheet in sheets)
    levels = next(sheet for sheet in sheets if 'r="I3"' in sheet)
    cells = dict(re.findall(r'<c r="([A-Z]+3)"([^>]*)>', levels))
    assert 't="s"' in cells["A3"]
    assert all('t="s"' not in cells[f"{letter}3"] for letter in "BCDEFGHI")


def test_text_that_looks_like_a_formula_stays_text(context: dict[str, Any], tmp_path: Path) -> None:
    table = dict(tables_of(context)["levels"])
    table["rows"] = [{"cells": ["=HYPERLINK(1)", *[None] * (len(table["columns"]) - 1)], "role": "unit"}]
    part = {"id": "x", "level": 1, "number": [1], "heading": "x", "blocks": [table]}
    write_table_book(context | {"sections": [part]}, tmp_path / "t.xlsx")
    with zipfile.ZipFile(tmp_path / "t.xlsx") as book:
        sheet, words = (book.read(name).decode() for name in ("xl/worksheets/sheet1.xml", "xl/sharedStrings.xml"))
    assert "<f>" not in sheet
    assert "=HYPERLINK(1)" in words
