"""bulletin.pdf: every heading and row, numbered pages, the same bytes again; a missing library is said."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.unit.bulletins.test_word import lines_of, made_of_long_rows, made_of_running_text, rows_on

from eduq.bulletins import build_context, pdf, word_figures
from eduq.bulletins.formats import say
from eduq.bulletins.pdf import write_pdf
from eduq.disclosure import Publishable
from eduq.errors import UsageError

pytestmark = pytest.mark.skipif(not word_figures.find_chinese_fonts(), reason="no Chinese font on this machine")
needs_poppler = pytest.mark.skipif(shutil.which("pdftotext") is None, reason="no poppler-utils on this machine")


def _squeezed(shown: str) -> str:
    return re.sub(r"\s+", "", shown)


def _pages(path: Path) -> list[str]:
    command = ["pdftotext", "-layout", str(path), "-"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\f")[:-1]


@needs_poppler
@pytest.mark.parametrize("lang", ["zh", "en"])
def test_every_heading_is_there_and_every_page_is_marked_and_numbered(county: Publishable, lang: Any, tmp_path: Path) -> None:
    context = build_context(county, lang)
    path = tmp_path / "bulletin.pdf"
    write_pdf(context, path)
    pages = _pages(path)
    audience = _squeezed(say(context["meta"]["audience"], lang))
    for number, page in enumerate(pages, start=1):
        assert f"—{number}—" in _squeezed(page)
        assert audience in _squeezed(page)
    shown = _squeezed("".join(pages)).lower()
    for section in [*context["sections"], *context["annexes"]]:
        assert _squeezed(say(section["heading"], lang)).lower() in shown


@needs_poppler
def test_no_row_is_split_between_pages(context: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "rows.pdf"
    write_pdf(made_of_long_rows(context), path)
    pages = _pages(path)
    assert len(pages) > 3
    assert {len(words) for words in rows_on(pages)} == {0, 60}
    assert all("说明" in page for page in pages if "R" in page), "the head comes again on every page"


@needs_poppler
def test_a_page_has_22_lines_of_28_characters(context: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "text.pdf"
    write_pdf(made_of_running_text(context), path)
    assert [len(line) for line in lines_of(_pages(path)[1])] == [28] * 22


def test_the_same_bytes_again(context: dict[str, Any], tmp_path: Path) -> None:
    for name in ("one.pdf", "two.pdf"):
        write_pdf(context, tmp_path / name)
    assert (tmp_path / "one.pdf").read_bytes() == (tmp_path / "two.pdf").read_bytes()


@needs_poppler
def test_text_from_data_is_text(context: dict[str, Any], tmp_path: Path) -> None:
    odd = context | {"meta": context["meta"] | {"recipients": ["#panic() $x$ *甲* @乙 \\"]}}
    path = tmp_path / "bulletin.pdf"
    write_pdf(odd, path)
    assert _squeezed("#panic() $x$ *甲* @乙 \\") in _squeezed(_pages(path)[0])


def test_a_missing_library_is_said(context: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf, "find_spec", lambda name: None)
    with pytest.raises(UsageError) as caught:
        write_pdf(context, tmp_path / "bulletin.pdf")
    assert caught.value.code == "paper_library_missing"
    assert "eduq[pdf]" in caught.value.hint


def test_without_a_font_nothing_is_written(context: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf, "find_chinese_fonts", tuple)
    with pytest.raises(UsageError) as caught:
        write_pdf(context, tmp_path / "bulletin.pdf")
    assert caught.value.code == "paper_font_missing"
    assert not any(tmp_path.iterdir())
