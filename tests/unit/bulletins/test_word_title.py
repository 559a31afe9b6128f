"""The title of a Word document: two even lines of whole words where one is not enough."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import docx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.bulletins.products.fixture import make_product

from eduq.bulletins.drawing import text_width
from eduq.bulletins.products import build_product_context
from eduq.bulletins.word import write_word
from eduq.bulletins.word_fit import UPRIGHT, break_title

WORDS = st.sampled_from(
    ["关于", "2025—2026学年", "第二学期", "全县", "教学质量", "监测情况", "的通报", "（初中）", "九年级", " 11 月"]
)


@given(st.lists(WORDS, max_size=9).map("".join))
def test_a_title_keeps_its_words_and_its_lines_fit_and_are_even(shown: str) -> None:
    lines = break_title(shown, 22, UPRIGHT)
    assert "".join(lines).replace(" ", "") == shown.replace(" ", "")
    if len(lines) > 1:
        widths = [text_width(line, 22) for line in lines]
        assert max(widths) <= UPRIGHT < text_width(shown, 22)
        assert all(one.count("（") == one.count("）") for one, _ in pairwise(lines))


@pytest.mark.parametrize(
    ("shown", "lines"),
    [
        ("数学学科教学质量分析（2025—2026 学年第二学期）", ["数学学科教学质量分析", "（2025—2026 学年第二学期）"]),
        ("关于 2025 年 11 月至 12 月教学质量工作调度情况的通报", ["关于 2025 年 11 月至 12 月", "教学质量工作调度情况的通报"]),
        ("Bulletin on teaching quality in the second quarter of 2026, whole county", None),
    ],
)
def test_titles_are_broken_where_a_reader_would(shown: str, lines: list[str] | None) -> None:
    assert break_title(shown, 22, UPRIGHT) == (lines or [shown])


def test_the_title_stands_in_the_document_on_two_lines(tmp_path: Path) -> None:
    path = tmp_path / "bulletin.docx"
    write_word(build_product_context(make_product("annual", with_exams=False), "zh"), path)
    title = next(one for one in docx.Document(str(path)).paragraphs if one.style is not None and one.style.name == "eduq title")
    assert title.text.split("\n") == ["关于2025—2026学年", "教学质量考评情况的通报"]
