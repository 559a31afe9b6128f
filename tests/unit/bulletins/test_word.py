"""bulletin.docx: an official document's page, nothing lost, no row split, the same bytes again."""

from __future__ import annotations

import copy
import re
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import docx
import pytest
from docx.oxml.ns import qn

from eduq.bulletins import blocks, build_context, word_figures
from eduq.bulletins.formats import phrase, say
from eduq.bulletins.word import write_word
from eduq.bulletins.word_fit import ACROSS, UPRIGHT, fit_table
from eduq.bulletins.word_parts import arrange_parts, plain_text
from eduq.disclosure import Publishable

LIBREOFFICE = shutil.which("soffice")
READERS = all(shutil.which(name) for name in ("pdftotext", "pdfinfo", "pdffonts"))


@pytest.fixture(scope="module", params=["zh", "en"])
def written(
    request: pytest.FixtureRequest, county: Publishable, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], Path]:
    context = build_context(county, request.param)
    path = tmp_path_factory.mktemp("word") / "bulletin.docx"
    write_word(context, path)
    return context, path


def _squeezed(shown: str) -> str:
    return re.sub(r"\s+", "", shown)


def made_of_long_rows(context: dict[str, Any]) -> dict[str, Any]:
    """Return a bulletin whose one table has rows of many lines, each line of words that name their row."""
    rows = [blocks.row([f"甲{number}号", " ".join(f"R{number:02}W{word:02}" for word in range(60))]) for number in range(30)]
    columns = [blocks.column("name", "学校"), blocks.column("words", "说明")]
    long = blocks.table("long", "行很高的表", columns, rows) | {"number": 1}
    only = blocks.section("results", 1, "结果", [blocks.paragraph("如下。"), long]) | {"number": [1]}
    return context | {"sections": [only], "annexes": [], "attachments": []}


def made_of_running_text(context: dict[str, Any]) -> dict[str, Any]:
    """Return a bulletin of nothing but one long paragraph."""
    only = blocks.section("results", 1, "结果", [blocks.paragraph("教育质量监测" * 400)]) | {"number": [1]}
    return context | {"sections": [only], "annexes": [], "attachments": []}


def lines_of(page: str) -> list[str]:
    """Return the lines of running text on a page."""
    return [_squeezed(line) for line in page.splitlines() if "质量监测" in line]


def rows_on(pages: list[str]) -> list[set[str]]:
    """Return for each row the words found on each page that holds any of it."""
    found = [set(re.findall(r"R\d\dW\d\d", page)) for page in pages]
    return [{word for word in words if word.startswith(f"R{number:02}")} for number in range(30) for words in found if words]


def _part(path: Path, name: str) -> str:
    with zipfile.ZipFile(path) as packed:
        return packed.read(name).decode()


def test_page_of_the_standard(written: tuple[dict[str, Any], Path]) -> None:
    document = docx.Document(str(written[1]))
    first = document.sections[0]
    assert (round(first.page_width.mm), round(first.page_height.mm)) == (210, 297)
    margins = (first.top_margin, first.bottom_margin, first.left_margin, first.right_margin)
    assert [round(side.mm) for side in margins if side is not None] == [37, 35, 28, 26]
    for section in document.sections:
        turned = section.page_width > section.page_height
        text_width = section.page_width.pt - section.left_margin.pt - section.right_margin.pt
        assert text_width == pytest.approx(ACROSS if turned else UPRIGHT, abs=1.5)


def test_body_lines_and_fonts(county: Publishable, tmp_path: Path) -> None:
    path = tmp_path / "bulletin.docx"
    write_word(build_context(county, "zh"), path)
    styles = docx.Document(str(path)).styles
    body = styles["eduq text"]
    assert body.font.size.pt == 16
    assert body.paragraph_format.line_spacing.pt == pytest.approx(28.95)
    named = {name: styles[name].element.rPr.rFonts.get(qn("w:eastAsia")) for name in ("eduq text", "eduq title")}
    assert named == {"eduq text": "仿宋_GB2312", "eduq title": "方正小标宋简体"}
    heads = [styles[f"eduq heading {level}"].element.rPr.rFonts.get(qn("w:eastAsia")) for level in (1, 2)]
    assert heads == ["黑体", "楷体_GB2312"]
    assert styles["eduq title"].font.size.pt == 22
    assert 'w:name="仿宋_GB2312"><w:altName w:val="仿宋,' in _part(path, "word/fontTable.xml")


def test_nothing_is_lost_and_the_order_is_kept(written: tuple[dict[str, Any], Path]) -> None:
    context, path = written
    lang = context["meta"]["lang"]
    body = docx.Document(str(path)).element.body
    shown = _squeezed("".join(node.text or "" for node in body.iter(qn("w:t"))))
    place = -1
    for section in [*context["sections"], *context["annexes"]]:
        heading = _squeezed(say(section["heading"], lang))
        place = shown.lower().find(heading.lower(), place + 1)
        assert place >= 0, heading
    for part in arrange_parts(context)["parts"]:
        if "runs" in part:
            assert _squeezed(plain_text(part["runs"])) in shown
        for row in part.get("rows", []):
            assert _squeezed("".join(row)) in shown


def test_tables_repeat_their_head_and_split_no_row(written: tuple[dict[str, Any], Path]) -> None:
    document = docx.Document(str(written[1]))
    tables = [part for part in arrange_parts(written[0])["parts"] if part["kind"] in ("figures", "table")]
    assert len(document.tables) == len(tables)
    for table, part in zip(document.tables, tables, strict=True):
        rows = list(table._tbl.iterchildren(qn("w:tr")))
        assert all(row.trPr is not None and row.trPr.find(qn("w:cantSplit")) is not None for row in rows)
        assert (rows[0].trPr.find(qn("w:tblHeader")) is not None) == (part["kind"] == "table")
        if part["kind"] == "table":
            right = [column["align"] == "right" for column in part["columns"]]
            last = [cell.find(qn("w:p")).pPr.find(qn("w:jc")) is not None for cell in rows[-1].iterchildren(qn("w:tc"))]
            assert last == right


def test_figures_are_black_and_one_grey_with_words_for_speech(written: tuple[dict[str, Any], Path]) -> None:
    context, path = written
    figures = [part for part in arrange_parts(context)["parts"] if part["kind"] == "figure"]
    assert figures
    xml = _part(path, "word/document.xml")
    described = re.findall(r'<wp:docPr [^>]*descr="([^"]+)"', xml)
    if word_figures.find_chinese_fonts():
        assert len(described) == len(figures)
    for figure in figures:
        assert set(re.findall(r"#[0-9a-f]{6}", word_figures.paper_svg(figure["svg"]))) <= {"#000000", "#808080", "#ffffff"}


def test_without_a_font_the_words_stand_for_the_figure(
    context: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(word_figures, "find_chinese_fonts", tuple)
    path = tmp_path / "bulletin.docx"
    missing = write_word(context, path)
    figures = [part for part in arrange_parts(context)["parts"] if part["kind"] == "figure"]
    assert list(missing) == [figure["label"] for figure in figures]
    xml = _part(path, "word/document.xml")
    assert "<w:drawing>" not in xml
    assert "本机没有中文字体" in xml


def test_marks_stand_on_every_page_and_an_issued_document_is_no_draft(context: dict[str, Any], tmp_path: Path) -> None:
    issued = copy.deepcopy(context)
    issued["meta"] |= {"draft": False, "document_no": "示教〔2026〕3号", "issuer": "示例县教育局", "cc": ["县政府办公室"]}
    for name, made, draft in (("draft", context, True), ("issued", issued, False)):
        path = tmp_path / f"{name}.docx"
        write_word(made, path)
        with zipfile.ZipFile(path) as packed:
            heads = [packed.read(part).decode() for part in packed.namelist() if re.search(r"word/header\d*\.xml", part)]
        assert len(heads) == 2
        assert all("内部资料" in head and ("草稿" in head) is draft for head in heads)
    xml = _part(tmp_path / "issued.docx", "word/document.xml")
    assert "示教〔2026〕3号" in xml
    assert "抄送：县政府办公室" in xml


def test_the_sentences_of_a_certificate_are_printed(context: dict[str, Any]) -> None:
    told = {"heading": phrase("certificate.heading"), "lines": [phrase("bulletin.contents"), "无须隐去"], "foot": None}
    plain, shown = (arrange_parts(made)["parts"] for made in (context | {"certificate": None}, context | {"certificate": told}))
    assert len(shown) == len(plain) + 3
    assert any(plain_text(part["runs"]) == "无须隐去" for part in shown if part["kind"] == "note")


def test_text_from_data_cannot_break_the_file(context: dict[str, Any], tmp_path: Path) -> None:
    odd = copy.deepcopy(context)
    odd["meta"]["recipients"] = ['<w:p/>&amp; "甲" **乙** \x0b{{ 丙 }}']
    path = tmp_path / "bulletin.docx"
    write_word(odd, path)
    shown = "".join(paragraph.text for paragraph in docx.Document(str(path)).paragraphs)
    assert '<w:p/>&amp; "甲" **乙** {{ 丙 }}：' in shown


def test_the_same_bytes_again(context: dict[str, Any], tmp_path: Path) -> None:
    write_word(context, tmp_path / "one.docx")
    write_word(context, tmp_path / "two.docx")
    assert (tmp_path / "one.docx").read_bytes() == (tmp_path / "two.docx").read_bytes()


def test_a_wide_table_turns_and_a_wider_one_is_set_in_pieces() -> None:
    def fitted(columns: int, shown: str) -> list[Any]:
        heads = [{"label": f"列{place}", "align": "right" if place else "left"} for place in range(columns)]
        return fit_table(heads, [["城关第一中学", *[shown] * (columns - 1)]])

    assert [(piece.turned, len(piece.places)) for piece in fitted(5, "12.3")] == [(False, 5)]
    assert [(piece.turned, len(piece.places)) for piece in fitted(8, "−0.54\u00a0—\u00a0−0.41")] == [(True, 8)]
    pieces = fitted(21, "−0.54\u00a0—\u00a0−0.41")
    assert [place for piece in pieces for place in piece.places[1:]] == list(range(1, 21))
    assert all(piece.turned and piece.places[0] == 0 for piece in pieces)
    assert all(sum(piece.widths) <= ACROSS + 0.5 for piece in pieces)
    counts = [len(piece.places) for piece in pieces]
    assert max(counts) - min(counts) <= 1


def _print(path: Path) -> list[str]:
    """Return the pages LibreOffice makes of a Word file."""
    profile = f"-env:UserInstallation={(path.parent / 'profile').as_uri()}"
    command = [str(LIBREOFFICE), profile, "--headless", "--convert-to", "pdf", "--outdir", str(path.parent), str(path)]
    subprocess.run(command, capture_output=True, timeout=180, check=True)
    read = ["pdftotext", "-layout", str(path.with_suffix(".pdf")), "-"]
    return subprocess.run(read, capture_output=True, text=True, check=True).stdout.split("\f")[:-1]


@pytest.mark.libreoffice
@pytest.mark.skipif(LIBREOFFICE is None or not READERS, reason="no LibreOffice Writer or no poppler-utils on this machine")
def test_libreoffice_opens_it_with_every_page_numbered(county: Publishable, tmp_path: Path) -> None:
    context = build_context(county, "zh")
    path = tmp_path / "bulletin.docx"
    write_word(context, path)
    pages = _print(path)
    assert 15 <= len(pages) <= 80
    for number, page in enumerate(pages, start=1):
        assert f"—{number}—" in _squeezed(page)
        assert "内部资料" in page
        assert page.strip().count("\n") >= 2, f"page {number} is empty"
    foots = [
        next(line for line in page.splitlines() if f"—{number}—" in _squeezed(line))
        for number, page in enumerate(pages[:2], start=1)
    ]
    assert len(foots[0]) - len(foots[0].lstrip()) > len(foots[1]) - len(foots[1].lstrip()) + 20, "odd right, even left"
    shown = _squeezed("".join(pages))
    for section in [*context["sections"], *context["annexes"]]:
        assert _squeezed(say(section["heading"], "zh")) in shown
    fonts = subprocess.run(
        ["pdffonts", str(path.with_suffix(".pdf"))], capture_output=True, text=True, check=True
    ).stdout.splitlines()[2:]
    assert fonts
    assert all(line.split()[-5] == "yes" for line in fonts), "every font is embedded"


@pytest.mark.libreoffice
@pytest.mark.skipif(LIBREOFFICE is None or not READERS, reason="no LibreOffice Writer or no poppler-utils on this machine")
def test_libreoffice_splits_no_row(context: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "rows.docx"
    write_word(made_of_long_rows(context), path)
    pages = _print(path)
    assert len(pages) > 3
    assert {len(words) for words in rows_on(pages)} == {0, 60}
    assert all("说明" in page for page in pages if "R" in page), "the head comes again on every page"


@pytest.mark.libreoffice
@pytest.mark.skipif(LIBREOFFICE is None or not READERS, reason="no LibreOffice Writer or no poppler-utils on this machine")
@pytest.mark.skipif(not word_figures.find_chinese_fonts(), reason="no Chinese font on this machine")
def test_a_page_has_22_lines_of_28_characters(context: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "text.docx"
    write_word(made_of_running_text(context), path)
    assert [len(line) for line in lines_of(_print(path)[1])] == [28] * 22
