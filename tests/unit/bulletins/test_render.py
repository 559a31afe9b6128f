"""The printed documents: complete, safe, the same every time."""

from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser
from typing import Any

import polars as pl
import pytest
from tests.unit.bulletins.fixture import make_publishable

from eduq.bulletins import build_context, render_html, render_markdown
from eduq.bulletins.render import chinese_numeral, section_number
from eduq.disclosure import Publishable

VOID = {"meta", "br", "hr", "img", "input", "link"}


class _Page(HTMLParser):
    """Open and closed elements, ids, links and text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append((tag, found))
        if found.get("id"):
            self.ids.append(str(found["id"]))
        if tag == "a":
            self.links.append(str(found["href"]))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.words.append(data)


@pytest.fixture(scope="module", params=["zh", "en"])
def page(request: pytest.FixtureRequest, county: Publishable) -> str:
    return render_html(build_context(county, request.param))


def test_page_is_well_formed_with_landmarks_and_unique_ids(page: str) -> None:
    parsed = _Page(page)
    assert parsed.open == []
    assert len(parsed.ids) == len(set(parsed.ids))
    assert {link.removeprefix("#") for link in parsed.links} <= set(parsed.ids)
    names = [tag for tag, _ in parsed.tags]
    for landmark in ("header", "main", "nav", "footer", "h1"):
        assert names.count(landmark) == 1
    assert page.startswith("<!DOCTYPE html>")
    assert re.search(r'<html lang="(zh-CN|en)">', page)


def test_page_needs_no_script_and_no_other_file(page: str) -> None:
    assert "<script" not in page
    assert not re.findall(r"(?:src|href)=[\"'](?!#)", page)
    addresses = set(re.findall(r"https?://[^\"' )]+", page))
    assert addresses <= {"http://www.w3.org/2000/svg"}
    assert "@import" not in page
    assert "url(http" not in page


def test_audience_mark_is_first_and_on_every_printed_page(county: Publishable) -> None:
    page = render_html(build_context(county, "zh"))
    body = _Page(page[page.index("<header>") :].replace("</body>", "").replace("</html>", "").rpartition("</div>")[0])
    assert next(word.strip() for word in body.words if word.strip()) == "内部资料 · 教育局"
    assert '@top-left { content: "内部资料 · 教育局"' in page
    assert render_markdown(build_context(county, "zh")).startswith("**内部资料 · 教育局**")


def test_every_table_has_caption_scopes_and_a_scrolling_box(page: str) -> None:
    parsed = _Page(page)
    tables = [found for tag, found in parsed.tags if tag == "table"]
    captions = [found for tag, found in parsed.tags if tag == "caption"]
    boxes = [found for tag, found in parsed.tags if tag == "div" and "scroll" in str(found.get("class"))]
    assert len(tables) == len(captions) == len(boxes) > 10
    assert all(found.get("scope") in ("col", "row") for tag, found in parsed.tags if tag == "th")
    assert all(found.get("tabindex") == "0" for found in boxes)


def test_every_figure_is_drawn_twice_with_words_in_its_place(page: str) -> None:
    parsed = _Page(page)
    figures = [tag for tag, _ in parsed.tags if tag == "figure"]
    drawings = [found for tag, found in parsed.tags if tag == "svg"]
    assert [found["class"] for found in drawings] == ["wide", "narrow"] * len(figures)
    assert all(found["role"] == "img" and found["aria-label"] for found in drawings)
    assert len(figures) == 2


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_documents_are_the_same_bytes_again(lang: Any) -> None:
    first, second = (build_context(make_publishable(schools=8), lang) for _ in range(2))
    assert render_html(first) == render_html(second)
    assert render_markdown(first) == render_markdown(second)


def test_row_order_of_estimates_changes_nothing(county: Publishable) -> None:
    shuffled = dataclasses.replace(county, estimates=county.estimates.sample(fraction=1.0, shuffle=True, seed=1))
    assert render_html(build_context(shuffled, "zh")) == render_html(build_context(county, "zh"))


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_names_from_files_cannot_break_the_documents(county: Publishable, lang: Any) -> None:
    hostile = '<img src=x onerror="a()">|**中**学*_`&'
    units = county.units.with_columns(
        pl.when(pl.col("unit") == "S001").then(pl.lit(hostile)).otherwise(pl.col("name")).alias("name")
    )
    facts = county.exam.exam.model_copy(update={"name": "</title><b>考试</b>"})
    context = build_context(dataclasses.replace(county, units=units, exam=county.exam.model_copy(update={"exam": facts})), lang)
    page = render_html(context)
    assert "<img" not in page
    assert "<b>考试" not in page
    assert "&lt;img src=x onerror=&quot;a()&quot;&gt;|**中**学*_`&amp;" in page
    assert _Page(page).open == []
    text = render_markdown(context)
    lines = [line for line in text.splitlines() if "onerror" in line and line.startswith("|")]
    assert lines
    assert all("<img" not in line.replace("\\<img", "") for line in lines)
    widths = {len(re.findall(r"(?<!\\)\|", line)) for line in lines if line.count("中学") <= 1}
    assert max(widths) < 20


def test_markdown_tables_are_rectangular(context: dict[str, Any]) -> None:
    block: list[int] = []
    for line in [*render_markdown(context).splitlines(), ""]:
        if line.startswith("|"):
            block.append(len(re.findall(r"(?<!\\)\|", line)))
        elif block:
            assert len(set(block)) == 1
            assert len(block) >= 3
            block = []


@pytest.mark.parametrize("stated", [True, False])
@pytest.mark.parametrize("lang", ["zh", "en"])
def test_no_placeholder_key_or_python_value_is_left(lang: Any, stated: bool) -> None:
    context = build_context(make_publishable(schools=12, stated=stated), lang)
    words = "".join(_Page(render_html(context)).words)
    for trace in ("{", "}", "None", "nan", "bulletin.", "reasons.", "methods.", "True", "<"):
        assert trace not in words.replace("n < ", "").replace("得分 < ", ""), trace
    assert "{" not in render_markdown(context)


def test_both_languages_have_the_same_parts(county: Publishable) -> None:
    zh, en = (build_context(county, lang) for lang in ("zh", "en"))  # type: ignore[arg-type]
    shape = [[(block["type"], block.get("id")) for block in part["blocks"]] for part in [*zh["sections"], *zh["annexes"]]]
    assert shape == [[(block["type"], block.get("id")) for block in part["blocks"]] for part in [*en["sections"], *en["annexes"]]]


def test_english_pages_have_chinese_only_where_data_are_chinese(county: Publishable) -> None:
    units = county.units.with_columns(pl.col("unit").alias("name"), pl.lit(None, pl.String).alias("parent"))
    units = units.filter(pl.col("unit_type") != "township")
    exam = county.exam.model_copy(
        update={"exam": county.exam.exam.model_copy(update={"name": "Exam", "legal_basis": "Plan"}), "deviations": ()}
    )
    settings = county.settings.model_copy(update={"issuer": "Bureau", "recipients": ("Schools",)})
    estimates = county.estimates.filter(pl.col("unit_type") != "township")
    inputs = county.inputs.with_columns(pl.lit("a.csv").alias("file"))
    rejected = county.rejected_counts.with_columns(pl.lit("a.csv").alias("file"))
    plain = dataclasses.replace(
        county, units=units, exam=exam, settings=settings, estimates=estimates, inputs=inputs, rejected_counts=rejected
    )
    words = "".join(_Page(render_html(build_context(plain, "en"))).words)
    quoted = str([entry["homonyms"] for entry in county.measures.values()]) + str(
        [entry["formula"] for entry in county.measures.values()]
    )
    assert [word for word in re.findall(r"[\u4e00-\u9fff]+", words) if word not in quoted] == []


def test_chinese_numerals_and_numbers_of_headings() -> None:
    assert [chinese_numeral(number) for number in (1, 10, 11, 20, 25)] == ["一", "十", "十一", "二十", "二十五"]
    assert section_number([2], "zh") == "二、"
    assert section_number([2, 3], "zh") == "（三）"
    assert section_number([2, 3], "en") == "2.3 "
