"""A local Word template: letterhead of an office around the text; broken and unsafe ones are refused with their place."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import docx
import pytest
from docx.oxml.ns import qn
from docx.shared import Mm

from eduq.bulletins import build_context
from eduq.bulletins.formats import say
from eduq.bulletins.template_folder import TemplateFolder, open_templates
from eduq.bulletins.word import write_word
from eduq.disclosure import Publishable
from eduq.errors import SettingsError


def _template(*paragraphs: str, change: Callable[[Any], None] = lambda _: None) -> bytes:
    document = docx.Document()
    section = document.sections[0]
    section.page_width, section.page_height = Mm(210), Mm(297)
    section.left_margin, section.right_margin = Mm(28), Mm(26)
    for words in paragraphs:
        document.add_paragraph(words)
    change(document)
    held = io.BytesIO()
    document.save(held)
    return held.getvalue()


def _folder(path: Path, content: bytes) -> TemplateFolder:
    (path / "local").mkdir()
    (path / "local" / "bulletin.docx").write_bytes(content)
    return open_templates(path / "local")


def _repacked(content: bytes, name: str, change: Callable[[bytes], bytes]) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(held, "w") as new:
        for entry in old.namelist():
            new.writestr(entry, change(old.read(entry)) if entry == name else old.read(entry))
        if name not in old.namelist():
            new.writestr(name, change(b""))
    return held.getvalue()


def _words(path: Path) -> list[str]:
    return [paragraph.text for paragraph in docx.Document(str(path)).paragraphs]


RED_HEAD = ("{# context 1 #}{{ meta.issuer }}文件", "第 {{ meta.period }} 期", "{{p title }}", "{{p body }}", "（共印    份）")


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_the_text_stands_between_the_offices_own_paragraphs(county: Publishable, lang: Any, tmp_path: Path) -> None:
    context = build_context(county, lang)
    context["meta"]["issuer"] = "示例县教育局 <a> & \x0b"
    write_word(context, tmp_path / "own.docx")
    write_word(context, tmp_path / "local.docx", templates=_folder(tmp_path, _template(*RED_HEAD)))
    own, local = (docx.Document(str(tmp_path / name)) for name in ("own.docx", "local.docx"))
    words = _words(tmp_path / "local.docx")
    assert words[0] == "示例县教育局 <a> & 文件"
    assert words[1] == f"第 {context['meta']['period']} 期"
    assert words[-1] == "（共印    份）"
    said = [shown for shown in _words(tmp_path / "own.docx") if shown]
    assert [shown for shown in words[2:-1] if shown] == said, "nothing of the text is lost"
    assert len(local.tables) == len(own.tables) > 5
    assert len(local.inline_shapes) == len(own.inline_shapes) > 0
    first = local.sections[0]
    assert (round(first.page_width.mm), round(first.left_margin.mm)) == (210, 28)


def test_head_of_the_page_says_whom_it_is_for_even_where_the_template_does_not(context: dict[str, Any], tmp_path: Path) -> None:
    def odd_and_even(document: Any) -> None:
        document.settings.odd_and_even_pages_header_footer = True
        document.sections[0].different_first_page_header_footer = True
        document.sections[0].header.paragraphs[0].text = "示例县"
        document.sections[0].even_page_header.paragraphs[0].text = "{{ said(meta.audience) }}（{{ word('draft') }}）"
        old = document.sections[0].first_page_header.paragraphs[0]
        old.text, old.style = "公开", document.styles.add_style("EduqMark", 1)

    content = _template("{{p body }}", change=odd_and_even)
    write_word(context, tmp_path / "made.docx", templates=_folder(tmp_path, content))
    section = docx.Document(str(tmp_path / "made.docx")).sections[0]
    audience = say(context["meta"]["audience"], "zh")
    heads = [section.header, section.even_page_header, section.first_page_header]
    assert [sum(audience in one.text for one in head.paragraphs) for head in heads] == [1, 1, 1]
    assert all(one.text != "公开" for one in section.first_page_header.paragraphs), "a mark of another edition is taken out"
    assert [len(head.paragraphs) for head in heads] == [2, 1, 1]


def test_the_same_bulletin_is_the_same_bytes(context: dict[str, Any], tmp_path: Path) -> None:
    templates = _folder(tmp_path, _template(*RED_HEAD))
    for name in ("one.docx", "two.docx"):
        write_word(context, tmp_path / name, templates=templates)
    assert (tmp_path / "one.docx").read_bytes() == (tmp_path / "two.docx").read_bytes()


def test_wide_tables_turn_the_page_and_what_follows_stands_upright(province: Publishable, tmp_path: Path) -> None:
    def first_page(document: Any) -> None:
        section = document.sections[0]
        section.different_first_page_header_footer = True
        section.left_margin = section.right_margin = Mm(50)
        section.top_margin, section.bottom_margin = Mm(37), Mm(35)

    context = build_context(province, "zh")
    for name, paragraphs in (("behind", RED_HEAD), ("last", RED_HEAD[:-1])):
        (tmp_path / name).mkdir()
        path = tmp_path / f"{name}.docx"
        write_word(context, path, templates=_folder(tmp_path / name, _template(*paragraphs, change=first_page)))
        sections = docx.Document(str(path)).sections
        turned = [section.page_width > section.page_height for section in sections]
        assert any(turned)
        assert not turned[0]
        if name == "behind":
            assert not turned[-1]
        assert [section.different_first_page_header_footer for section in sections] == [True] + [False] * (len(sections) - 1)
        sides = [section for section, across in zip(sections, turned, strict=True) if across]
        assert all((round(one.top_margin.mm), round(one.bottom_margin.mm)) == (50, 50) for one in sides)
        assert all((round(one.left_margin.mm), round(one.right_margin.mm)) == (35, 37) for one in sides)


def test_tables_fit_the_width_of_the_templates_page(context: dict[str, Any], tmp_path: Path) -> None:
    def narrow(document: Any) -> None:
        document.sections[0].left_margin = document.sections[0].right_margin = Mm(45)

    write_word(context, tmp_path / "made.docx", templates=_folder(tmp_path, _template("{{p body }}", change=narrow)))
    document = docx.Document(str(tmp_path / "made.docx"))
    upright, across = (210 - 90) * 1440 / 25.4, (297 - 25.4 * 2) * 1440 / 25.4
    widths = [int(table._tbl.tblPr.find(qn("w:tblW")).get(qn("w:w"))) for table in document.tables]
    assert min(widths) <= upright + 20
    assert max(widths) <= across + 20
    assert sum(width > upright + 20 for width in widths) <= sum(
        section.page_width > section.page_height for section in document.sections
    ) * len(widths)


@pytest.mark.parametrize(
    ("paragraphs", "code", "paragraph", "named"),
    [
        (("a", "{{ nothing_there }}", "{{p body }}"), "template_broken", 2, "nothing_there"),
        (("{{p body }}", "b", "{{ meta.titel }}"), "template_broken", 3, "titel"),
        (("{{p title }}", "{{p body }}", "{{ meta.titel }}"), "template_broken", 3, "titel"),
        (("a", "{% if %}", "{{p body }}"), "template_syntax", 2, ""),
        (("{{ word('no.such') }}", "{{p body }}"), "template_syntax", 1, "KeyError"),
        (("{{ ''.__class__.__mro__ }}", "{{p body }}"), "template_unsafe", 1, "__class__"),
        (("{{ said.__globals__ }}", "{{p body }}"), "template_unsafe", 1, "__globals__"),
        (("{{ body.__init__.__globals__ }}", "{{p body }}"), "template_unsafe", 1, "__init__"),
        (("{{ meta.update({'title': 1}) }}", "{{p body }}"), "template_unsafe", 1, ""),
        (("{{ 'a' * 100000000 }}", "{{p body }}"), "template_unsafe", 1, ""),
        (("{{ lipsum.__globals__ }}", "{{p body }}"), "template_broken", 1, "lipsum"),
        (("{% include '/etc/passwd' %}", "{{p body }}"), "template_missing", 1, "/etc/passwd"),
        (("{# context 2 #}", "{{p body }}"), "template_version", None, "2"),
        (("no place",), "template_body", None, "0"),
        (("{{p body }}", "{{p body }}"), "template_body", None, "2"),
        (("before {{ body }}",), "template_body", None, "1"),
        (("{{p title }}", "{{p title }}", "{{p body }}"), "template_body", None, "2"),
    ],
)
def test_a_broken_or_unsafe_template_names_paragraph_and_what(
    context: dict[str, Any], tmp_path: Path, paragraphs: tuple[str, ...], code: str, paragraph: int | None, named: str
) -> None:
    with pytest.raises(SettingsError) as raised:
        write_word(context, tmp_path / "made.docx", templates=_folder(tmp_path, _template(*paragraphs)))
    error = raised.value
    assert (error.code, error.place.file, error.place.paragraph) == (code, "bulletin.docx", paragraph)
    assert named in error.message("en")
    assert not (tmp_path / "made.docx").exists()


def test_a_broken_header_is_named(context: dict[str, Any], tmp_path: Path) -> None:
    def head(document: Any) -> None:
        document.sections[0].header.paragraphs[0].text = "{{ nope }}"

    with pytest.raises(SettingsError) as raised:
        write_word(context, tmp_path / "made.docx", templates=_folder(tmp_path, _template("{{p body }}", change=head)))
    assert (raised.value.code, raised.value.place.paragraph) == ("template_broken", 1)
    assert re.fullmatch(r"bulletin\.docx/header\d?\.xml", raised.value.place.file or "")


def test_the_text_in_a_table_is_refused(context: dict[str, Any], tmp_path: Path) -> None:
    def in_table(document: Any) -> None:
        document.add_table(1, 1).cell(0, 0).paragraphs[0].text = "{{ body }}"

    with pytest.raises(SettingsError, match="template_body"):
        write_word(context, tmp_path / "made.docx", templates=_folder(tmp_path, _template("a", change=in_table)))


def _field(instruction: str) -> Callable[[Any], None]:
    def change(document: Any) -> None:
        run = document.add_paragraph().add_run()
        for piece in (instruction[:4], instruction[4:]):
            element = run._element.makeelement(qn("w:instrText"))
            element.text = piece
            run._element.append(element)

    return change


_EXTERNAL = (
    b'<Relationship Id="rX" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/image" '
    b'Target="http://example.org/x.png" TargetMode="External"/></Relationships>'
)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"no zip", "template_syntax"),
        (_template("x")[:900], "template_syntax"),
        (_template("{{p body }}", change=_field('INCLUDETEXT "C:\\\\x"')), "template_outside"),
        (_template("{{p body }}", change=_field("DDEAUTO cmd")), "template_outside"),
        (_repacked(_template("{{p body }}"), "word/vbaProject.bin", lambda _: b"x"), "template_unsafe"),
        (_repacked(_template("{{p body }}"), "word/embeddings/a.docx", lambda _: b"x"), "template_unsafe"),
        (
            _repacked(
                _template("{{p body }}"), "word/_rels/document.xml.rels", lambda old: old.replace(b"</Relationships>", _EXTERNAL)
            ),
            "template_outside",
        ),
        (
            _repacked(
                _template("{{p body }}"),
                "word/document.xml",
                lambda old: old.replace(b"<w:document", b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><w:document', 1),
            ),
            "template_unsafe",
        ),
    ],
)
def test_a_file_that_runs_or_fetches_anything_is_refused_when_opened(tmp_path: Path, content: bytes, code: str) -> None:
    with pytest.raises(SettingsError) as raised:
        _folder(tmp_path, content)
    assert (raised.value.code, raised.value.place.file) == (code, "bulletin.docx")


def test_a_field_made_while_filling_is_refused(context: dict[str, Any], tmp_path: Path) -> None:
    made = "{{ ('</w:t></w:r><w:r><w:instrText>INCLUDE' ~ 'TEXT x</w:instrText></w:r><w:r><w:t>')|safe }}"
    with pytest.raises(SettingsError, match="template_outside"):
        write_word(context, tmp_path / "made.docx", templates=_folder(tmp_path, _template(made, "{{p body }}")))
    assert not (tmp_path / "made.docx").exists()


@pytest.mark.skipif(shutil.which("soffice") is None, reason="no LibreOffice on this machine")
def test_libreoffice_opens_it_with_letterhead_and_every_heading(context: dict[str, Any], tmp_path: Path) -> None:
    write_word(context, tmp_path / "made.docx", templates=_folder(tmp_path, _template(*RED_HEAD)))
    profile = f"-env:UserInstallation=file://{tmp_path}/profile"
    command = ["soffice", profile, "--headless", "--convert-to", "pdf", "--outdir", str(tmp_path), str(tmp_path / "made.docx")]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    text = subprocess.run(["pdftotext", str(tmp_path / "made.pdf"), "-"], capture_output=True, text=True, check=True).stdout
    shown = re.sub(r"\s+", "", text)
    assert "（共印份）" in shown
    assert re.sub(r"\s+", "", say(context["meta"]["title"], "zh")) in shown
    assert shown.count(re.sub(r"\s+", "", say(context["meta"]["audience"], "zh"))) >= text.count("\f")
