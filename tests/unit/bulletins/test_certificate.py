"""The disclosure certificate in words: in both languages, in every form, of every exam."""

from __future__ import annotations

import dataclasses
import zipfile
from pathlib import Path
from typing import Any

import pytest
from tests.unit.bulletins.fixture import make_publishable
from tests.unit.bulletins.products.fixture import make_product

from eduq.bulletins.certificate import build_certificate
from eduq.bulletins.context import build_context
from eduq.bulletins.formats import say
from eduq.bulletins.products import build_product_context
from eduq.bulletins.render import render_html, render_markdown
from eduq.bulletins.word import write_word
from eduq.bulletins.word_parts import arrange_parts
from eduq.disclosure.suppression import Certificate
from eduq.locale import Lang

FOUND = Certificate(
    edition="public",
    n_cells=1240,
    n_primary=6,
    n_secondary=9,
    n_blocks=4,
    n_proved=15,
    narrowest=1.25,
    min_n=10,
    least_count=5,
    least_share=0.05,
    earlier=("public", "public", "government"),
    solver="scipy 1.17 HiGHS",
    settings_hash="0123456789abcdef" * 4,
    n_joint=3,
)
NOTHING = dataclasses.replace(FOUND, n_primary=0, n_secondary=0, n_blocks=0, n_proved=0, narrowest=None, n_joint=0, earlier=())


def lines(found: list[tuple[Any, Certificate | None]], lang: Lang) -> list[str]:
    made = build_certificate(found)
    assert made is not None
    return [say(line, lang) for line in made["lines"]]


def test_it_tells_what_was_withheld_and_how_that_was_proved() -> None:
    zh = "\n".join(lines([("期末质量监测", FOUND)], "zh"))
    en = "\n".join(lines([("the final exam", FOUND)], "en"))
    for number in ("6", "9", "15", "1.25", "5%", "scipy 1.17 HiGHS", "0123456789ab"):
        assert number in zh
        assert number in en
    assert "1,240" in zh
    assert "不足 10 人" in zh
    assert "此前已印发或同批先行起草的同一考试的 3 份文件（公开版、政府版）" in zh
    assert (
        "3 document(s) on the same exam issued before or drafted before it in the same run (public edition, government edition)"
        in en
    )
    assert "0123456789abc" not in zh
    assert "%%" not in zh + en


def test_without_an_earlier_edition_it_says_so() -> None:
    found = dataclasses.replace(FOUND, earlier=(), n_joint=0)
    zh = "\n".join(lines([("期末", found)], "zh"))
    assert "此前没有印发过" in zh
    assert "合并验算" not in zh


def test_where_nothing_is_withheld_one_sentence_says_so() -> None:
    (said,) = lines([("甲", NOTHING), ("乙", NOTHING)], "zh")
    assert said == (
        "本件所载各次考试（甲、乙）共 2,480 个数据，每个数据所涉人数均不少于 10 人，没有需要保密处理而不列的数据；"
        "增值、分段移动和历年变化不计在内，另按各自的人数决定列与不列。"
    )
    mixed = lines([("甲", NOTHING), ("乙", FOUND)], "zh")
    assert mixed[0] == "“甲”：共 1,240 个数据，每个数据所涉人数均不少于 10 人，没有不列的数据。"
    assert mixed[1].startswith("“乙”：")


def test_without_a_certificate_there_is_no_section() -> None:
    assert build_certificate([]) is None
    assert build_certificate([("甲", None)]) is None
    context = build_context(dataclasses.replace(make_publishable(), certificate=None), "zh")
    assert context["certificate"] is None
    assert "保密处理证明" not in render_markdown(context) + render_html(context)


@pytest.mark.parametrize(("lang", "heading"), [("zh", "保密处理证明"), ("en", "Disclosure certificate")])
def test_every_form_prints_it_at_the_end(tmp_path: Path, lang: Lang, heading: str) -> None:
    context = build_context(dataclasses.replace(make_publishable(), certificate=FOUND), lang)
    markdown, page = render_markdown(context), render_html(context)
    assert f"\n## {heading}\n" in markdown
    assert markdown.index(heading) > markdown.rindex("\n## " + ("附件" if lang == "zh" else "Annex"))
    assert page.index('id="certificate"') > page.rindex('class="annex"')
    parts = arrange_parts(context)["parts"]
    place = next(number for number, part in enumerate(parts) if part["kind"] == "heading" and part["runs"][0][0] == heading)
    told = ["".join(shown for shown, _ in part["runs"]) for part in parts[place + 1 :] if part["kind"] == "note"]
    assert len(told) >= len(context["certificate"]["lines"]) + 1
    write_word(context, tmp_path / "bulletin.docx")
    with zipfile.ZipFile(tmp_path / "bulletin.docx") as packed:
        document = packed.read("word/document.xml").decode("utf-8")
    assert heading in document
    assert "scipy 1.17 HiGHS" in document


@pytest.mark.parametrize("edition", ["bureau", "government", "public", "student"])
def test_a_product_has_that_of_each_exam(edition: str) -> None:
    made = make_product("term", edition=edition)
    exams = tuple(dataclasses.replace(exam, certificate=FOUND) for exam in made.exams)
    context = build_product_context(dataclasses.replace(made, exams=exams), "zh")
    said = render_markdown(context)
    assert said.count("1,240 个数据") == len(exams) == 2
    for exam in exams:
        assert f"“{exam.exam.exam.name}”：" in said
