"""What leaves says nothing that may not leave, in every product, edition and language; and what does is found, part by part."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.unit.bulletins.fixture import make_publishable
from tests.unit.bulletins.products.fixture import PERIODS, make_product

from eduq.bulletins.outward_texts import check_document, document_texts, drawn_words
from eduq.bulletins.products import build_product_context
from eduq.bulletins.products.school import build_school_context
from eduq.bulletins.render import render_html, render_markdown
from eduq.bulletins.table_book import write_table_book
from eduq.bulletins.template_folder import TemplateFolder
from eduq.bulletins.word import write_word
from eduq.disclosure.schools import protect_school
from eduq.errors import DisclosureError
from eduq.locale import Lang
from eduq.pipeline.outgoing import check_files, check_page, check_stated, known_names
from eduq.settings import RunSettings

OUTWARD = [(product, edition) for product in PERIODS for edition in ("government", "public", "student")]


@pytest.mark.parametrize("lang", ["zh", "en"])
@pytest.mark.parametrize(("product", "edition"), OUTWARD)
def test_our_own_words_may_leave(product: str, edition: str, lang: Lang) -> None:
    made = make_product(product, edition=edition)
    context = build_product_context(made, lang)
    names = known_names(made.exams)
    check_document(context, edition=edition, names=names)
    check_page(render_markdown(context), edition=edition, name="bulletin.md", names=names)
    check_page(render_html(context), edition=edition, name="bulletin.html", names=names)


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_our_own_words_may_go_to_a_school(lang: Lang) -> None:
    context = build_school_context(protect_school(make_publishable(schools=24), school_id="S003"), lang)
    check_document(context, edition="school")
    check_page(render_html(context), edition="school", name="feedback.html")


@pytest.fixture(scope="module")
def public() -> dict[str, Any]:
    return build_product_context(make_product("annual", edition="public"), "zh")


def _spoil_table(context: dict[str, Any]) -> None:
    tables = [block for part in context["sections"] for block in part["blocks"] if block["type"] == "table"]
    tables[0]["rows"][0]["cells"][0] = "状元班"


def _spoil_head(context: dict[str, Any]) -> None:
    tables = [block for part in context["sections"] for block in part["blocks"] if block["type"] == "table"]
    tables[0]["columns"][0]["label"] = "升学率"


def _spoil_figure(context: dict[str, Any]) -> None:
    svg = '<svg viewBox="0 0 9 9"><text x="1">全区第<tspan>一</tspan>名</text></svg>'
    drawn = {"type": "figure", "id": "f", "number": 9, "title": "图", "caption": "图", "alt": "图", "table": None}
    context["sections"][0]["blocks"].append(drawn | {"svg_wide": svg, "svg_narrow": svg})


@pytest.mark.parametrize(
    ("spoil", "word", "where"),
    [
        (lambda context: context["meta"].update(title="中考喜报"), "喜报", "title"),
        (lambda context: context["meta"].update(recipients=["各升学率领先学校"]), "升学率", "recipients"),
        (lambda context: context["meta"].update(document_no="状元〔2026〕1号"), "状元", "setting document_no"),
        (lambda context: context["intro"].append("排名靠前"), "排名", "introduction"),
        (lambda context: context["sections"][0].update(heading="末位学校"), "末位", "heading '一、末位学校'"),
        (lambda context: context["closing"].append("捷报"), "捷报", "closing"),
        (lambda context: context["certificate"]["lines"].append("名次"), "名次", "disclosure certificate"),
        (_spoil_table, "状元", "table 1"),
        (_spoil_head, "升学率", "table 1"),
        (_spoil_figure, "第一名", "figure 9"),
    ],
)
def test_a_word_is_found_where_it_stands(
    public: dict[str, Any], spoil: Callable[[dict[str, Any]], None], word: str, where: str
) -> None:
    context = copy.deepcopy(public)
    context["certificate"] = {"heading": "证明", "lines": ["一行"], "foot": None}
    check_document(context, edition="public")
    spoil(context)
    check_document(context, edition="bureau")
    with pytest.raises(DisclosureError) as caught:
        check_document(context, edition="public")
    assert caught.value.params["word"] == word
    assert f"Where: {where}." in str(caught.value.params["en"])


def test_every_part_of_a_document_is_read(public: dict[str, Any]) -> None:
    said = " ".join(" ".join(part for _, part in document_texts(public)).split())
    ours = ("表 ", "图 ", "附件", "初稿", " · ")  # words of the frame, the same in every document
    for line in render_markdown(public).splitlines():
        for cell in line.strip("#|- *>").split("|"):
            plain = " ".join(cell.replace("\\", "").replace("*", "").split())
            sentence = plain.split("。")[0]
            if len(sentence) > 12 and not sentence[0].isdigit() and not any(mark in sentence for mark in ours):
                assert sentence in said or sentence.split("、", 1)[-1].split("）", 1)[-1] in said, sentence


def test_words_of_a_drawing_are_read_as_they_are_seen() -> None:
    assert drawn_words("<svg><g><text>状<tspan>元</tspan></text></g><title>a</title></svg>").split() == ["状元", "a"]


# ---- settings, templates and files ------------------------------------------------------------------------------------


def test_settings_and_exam_toml_are_named() -> None:
    exam = make_publishable().exam
    check_stated("public", settings=RunSettings(issuer="某县教育局"), exams=[exam])
    with pytest.raises(DisclosureError) as caught:
        check_stated("public", settings=RunSettings(recipients=("各学校", "高考状元母校")))
    assert "setting recipients" in str(caught.value.params["en"])
    facts = exam.exam.model_copy(update={"name": "2026年状元杯联考"})
    with pytest.raises(DisclosureError) as caught:
        check_stated("school", settings=RunSettings(), exams=[exam.model_copy(update={"exam": facts})])
    assert "exam.toml" in str(caught.value.params["en"])
    assert "exam.name" in str(caught.value.params["en"])
    check_stated("bureau", settings=RunSettings(issuer="状元办"))


def test_a_local_template_is_named_with_its_line(public: dict[str, Any]) -> None:
    source = '{% extends "shipped/bulletin.md" %}\n'
    templates = TemplateFolder(Path("own"), (("bulletin.md", source + "热烈祝贺\n我区状\u200b元\n"),))
    with pytest.raises(DisclosureError) as caught:
        check_page("热烈祝贺我区状元", edition="public", name="bulletin.md", templates=templates)
    assert (caught.value.place.file, caught.value.place.row) == ("bulletin.md", 3)
    with pytest.raises(DisclosureError) as caught:
        check_page("状元", edition="public", name="bulletin.md", templates=TemplateFolder(Path("own"), (("a.css", "b{}"),)))
    assert caught.value.place.row is None


@pytest.mark.parametrize("form", ["docx", "xlsx", "html", "md"])
def test_files_are_read_as_they_were_written(public: dict[str, Any], tmp_path: Path, form: str) -> None:
    def write(context: dict[str, Any]) -> None:
        path = tmp_path / f"bulletin.{form}"
        if form == "docx":
            write_word(context, path)
        elif form == "xlsx":
            write_table_book(context, path)
        else:
            page = (render_html if form == "html" else render_markdown)(context)
            path.write_text(page, encoding="utf-8")

    write(public)
    check_files(tmp_path, edition="public")
    context = copy.deepcopy(public)
    table = next(block for part in context["sections"] for block in part["blocks"] if block["type"] == "table")
    table["columns"][0]["label"] = "一本率"
    write(context)
    check_files(tmp_path, edition="bureau")
    with pytest.raises(DisclosureError) as caught:
        check_files(tmp_path, edition="public")
    assert caught.value.params["word"] == "一本率"
    assert caught.value.place.file == f"bulletin.{form}"
