"""Local templates: what they stand in for, what they may not do, and where a broken one says that it is broken."""

from __future__ import annotations

from pathlib import Path

import pytest

from eduq.bulletins import build_context, render_html, render_markdown
from eduq.bulletins.template_folder import TemplateFolder, open_templates, shipped_templates
from eduq.disclosure import Publishable
from eduq.errors import SettingsError

EXTENDS = '{# context 1 #}\n{% extends "shipped/bulletin.html" %}\n'


def _folder(path: Path, **files: str) -> TemplateFolder:
    for name, source in files.items():
        (path / name.replace("__", ".")).write_text(source, encoding="utf-8")
    return open_templates(path)


def test_a_folder_of_the_shipped_templates_changes_no_byte(county: Publishable, tmp_path: Path) -> None:
    for name, source in shipped_templates().items():
        (tmp_path / name).write_text(source, encoding="utf-8")
    templates, context = open_templates(tmp_path), build_context(county, "zh")
    assert render_html(context, templates=templates) == render_html(context)
    assert render_markdown(context, templates=templates) == render_markdown(context)


def test_a_block_is_replaced_and_the_rest_stays(county: Publishable, tmp_path: Path) -> None:
    letter = EXTENDS + '{% block letterhead %}<p class="letter">{{ said(meta.title) }} <1></p>{% endblock %}\n'
    templates = _folder(
        tmp_path, bulletin__html=letter, bulletin__css='{% include "shipped/bulletin.css" %}\n:root { --accent: #333; }\n'
    )
    context = build_context(county, "zh")
    ours, theirs = render_html(context, templates=templates), render_html(context)
    assert '<p class="letter">' in ours
    assert "--accent: #333" in ours
    assert len(ours) > len(theirs)
    assert ours.count("<table") == theirs.count("<table") > 0
    assert render_markdown(context, templates=templates) == render_markdown(context)


def test_text_of_the_data_is_escaped_in_a_local_template(county: Publishable, tmp_path: Path) -> None:
    templates = _folder(tmp_path, bulletin__html=EXTENDS + "{% block letterhead %}{{ meta.issuer }}{% endblock %}")
    context = build_context(county, "en")
    context["meta"]["issuer"] = "<script>x</script>"
    assert "<script" not in render_html(context, templates=templates)


@pytest.mark.parametrize(
    ("source", "code", "row", "named"),
    [
        (EXTENDS + "{% block letterhead %}\n{{ nothing_there }}\n{% endblock %}", "template_broken", 4, "nothing_there"),
        (EXTENDS + "{% block letterhead %}{{ meta.titel }}{% endblock %}", "template_broken", 3, "titel"),
        (EXTENDS + "{% block letterhead %}\n{{ word('no.such.words') }}{% endblock %}", "template_syntax", 4, ""),
        (EXTENDS + "{% block letterhead %}{{ ''.__class__.__mro__ }}{% endblock %}", "template_unsafe", 3, "__class__"),
        (EXTENDS + "{% block letterhead %}{{ said.__globals__ }}{% endblock %}", "template_unsafe", 3, "__globals__"),
        (EXTENDS + "{% block letterhead %}{{ meta.update({'title': 1}) }}{% endblock %}", "template_unsafe", 3, ""),
        (EXTENDS + "{% block letterhead %}{{ 'a' * 100000000 }}{% endblock %}", "template_unsafe", 3, ""),
        (EXTENDS + "{% block letterhead %}{{ 9 ** 99999999 }}{% endblock %}", "template_unsafe", 3, ""),
        (EXTENDS + "{% block letterhead %}{% include meta.lang ~ '/../x' %}{% endblock %}", "template_missing", 3, "/../x"),
        (EXTENDS + "{% block letterhead %}<script>1</script>{% endblock %}", "template_outside", None, "<script>"),
        (
            EXTENDS + '{% block letterhead %}<img src="https://a.b/{{ meta.lang }}">{% endblock %}',
            "template_outside",
            None,
            "<img src>",
        ),
        (EXTENDS + '{% block style %}@import "a.css";{% endblock %}', "template_outside", None, "@import"),
        (EXTENDS + "{% block style %}p { background: url( 'x.png' ) }{% endblock %}", "template_outside", None, "url("),
        (EXTENDS + '{% block letterhead %}<p onclick="a()">{% endblock %}', "template_outside", None, "onclick"),
        (EXTENDS + '{% block letterhead %}<a href="java\tscript:a()">x</a>{% endblock %}', "template_outside", None, "<a href>"),
    ],
)
def test_a_broken_or_unsafe_template_names_file_line_and_what(
    county: Publishable, tmp_path: Path, source: str, code: str, row: int | None, named: str
) -> None:
    templates = _folder(tmp_path, bulletin__html=source)
    with pytest.raises(SettingsError) as raised:
        render_html(build_context(county, "zh"), templates=templates)
    error = raised.value
    assert (error.code, error.place.file, error.place.row) == (code, "bulletin.html", row)
    assert named in error.message("en")
    assert "".join((error.message("zh"), error.advice("zh"), error.advice("en"))).isprintable()


@pytest.mark.parametrize(
    ("files", "code", "row"),
    [
        ({}, "template_folder", None),
        ({"bulletin__html": "{# context 2 #}\n"}, "template_version", 1),
        ({"bulletin__html": "\n\n{% if %}"}, "template_syntax", 3),
        ({"buletin__html": "x"}, "template_unused", None),
        ({"bulletin__html": "\n{% include '../secret.html' %}"}, "template_missing", 2),
        ({"bulletin__html": "{% include '/etc/passwd' %}"}, "template_missing", 1),
    ],
)
def test_a_folder_is_checked_when_it_is_opened(tmp_path: Path, files: dict[str, str], code: str, row: int | None) -> None:
    with pytest.raises(SettingsError) as raised:
        _folder(tmp_path, **files)
    assert (raised.value.code, raised.value.place.row) == (code, row)


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret", encoding="utf-8")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "bulletin.html").symlink_to(tmp_path / "secret")
    with pytest.raises(SettingsError, match="template_unsafe"):
        open_templates(tmp_path / "in")


def test_a_part_of_its_own_is_included(county: Publishable, tmp_path: Path) -> None:
    letter = EXTENDS + '{% block letterhead %}{% include "letter.html" %}{% endblock %}'
    templates = _folder(tmp_path, bulletin__html=letter, letter__html="<p>示例县教育局文件</p>")
    assert "<p>示例县教育局文件</p>" in render_html(build_context(county, "zh"), templates=templates)


def test_a_picture_inside_the_page_and_a_link_are_allowed(county: Publishable, tmp_path: Path) -> None:
    own = '{% block letterhead %}<img alt="" src="data:image/png;base64,AAAA"><a href="https://example.org">x</a>{% endblock %}'
    assert "data:image/png" in render_html(build_context(county, "zh"), templates=_folder(tmp_path, bulletin__html=EXTENDS + own))


@pytest.mark.parametrize(
    "name", ["review.html", "review.css", "review.js", "letterhead.docx", "Bulletin.docx", "bulletin.doc", "a.png"]
)
def test_a_file_that_the_folder_does_not_know_is_refused_with_those_it_knows(tmp_path: Path, name: str) -> None:
    (tmp_path / "bulletin.md").write_text("x", encoding="utf-8")
    (tmp_path / name).write_text("x", encoding="utf-8")
    with pytest.raises(SettingsError) as raised:
        open_templates(tmp_path)
    assert (raised.value.code, raised.value.place.file) == ("template_unused", name)
    assert all(known in raised.value.message("zh") for known in ("bulletin.html", "bulletin.docx", "bulletin.typ", "feedback.md"))
    assert "review" not in raised.value.message("zh").replace(name, "")


def test_hidden_files_and_a_word_for_the_reader_are_left_alone(tmp_path: Path) -> None:
    for name in ("bulletin.md", ".DS_Store", "~$bulletin.docx", "README.txt", "Thumbs.db"):
        (tmp_path / name).write_text("x", encoding="utf-8")
    assert open_templates(tmp_path).names() == ("bulletin.md",)
