"""The bulletin context to Markdown and HTML, through the templates of this package."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping
from typing import Any

from eduq.bulletins.drawing import PALETTE
from eduq.bulletins.formats import STATE_WORDS, format_date, format_value, say
from eduq.bulletins.icons import draw_direction, draw_target
from eduq.bulletins.template_folder import TemplateFolder, broken_templates, refuse_outside, template_environment
from eduq.locale import Lang, text

__all__ = ["render_html", "render_markdown"]

_ICONS: dict[str, Callable[[object], str]] = {"target": draw_target, "direction": draw_direction}
_NUMERALS = "零一二三四五六七八九十"
_EMPHASIS = re.compile(r"\*\*(.+?)\*\*")
_STAR = "\ue000"
_MARKDOWN_SIGNS = re.compile(r"([\\`*_\[\]<>|#~$])")
_LANG_TAGS = {"zh": "zh-CN", "en": "en"}


def chinese_numeral(number: int) -> str:
    """Return a whole number from 1 to 99 in Chinese.

    Examples
    --------
    >>> chinese_numeral(12), chinese_numeral(20)
    ('十二', '二十')
    """
    tens, ones = divmod(number, 10)
    if tens == 0:
        return _NUMERALS[ones]
    return ("" if tens == 1 else _NUMERALS[tens]) + "十" + (_NUMERALS[ones] if ones else "")


def section_number(number: list[int], lang: Lang) -> str:
    """Return the number before a heading: 一、 and （一）, or 1 and 1.1."""
    if lang == "en":
        return ".".join(str(part) for part in number) + (". " if len(number) == 1 else " ")
    return f"{chinese_numeral(number[0])}、" if len(number) == 1 else f"（{chinese_numeral(number[-1])}）"


def escape_markdown(shown: str) -> str:
    """Return text from data so that Markdown shows it as it is."""
    return _MARKDOWN_SIGNS.sub(r"\\\1", " ".join(shown.split()))


def _html_text(said: Any, lang: Lang) -> str:
    if isinstance(said, str):
        return html.escape(said)
    plain = say(said, lang, lambda shown: shown.replace("*", _STAR))
    return _EMPHASIS.sub(r"<strong>\1</strong>", html.escape(plain)).replace(_STAR, "*")


def themed_svg(svg: str, name: str, alt: str) -> str:
    """Return a figure for an HTML page: colours follow the page's, ids are its own, words replace it for a reader of speech."""
    for role, colour in PALETTE.items():
        svg = svg.replace(colour, f"var(--{role})")
    svg = svg.replace("@", f"{name}-c")
    return svg.replace("<svg ", f'<svg class="{name.rpartition("-")[2]}" role="img" aria-label="{html.escape(alt)}" ', 1)


def capitalise(shown: str) -> str:
    """Return a table head with a capital first letter, the rest as it is."""
    return shown[:1].upper() + shown[1:]


def css_string(shown: str) -> str:
    """Return text as a CSS string."""
    return '"' + re.sub(r'[\\"<\n]', lambda found: f"\\{ord(found[0]):x} ", shown) + '"'


def _printed(value: Any, kind: str, lang: Lang, said: Callable[[Any], str], escape: Callable[[str], str]) -> str:
    """Print a cell: phrases may hold emphasis, anything else is text."""
    if isinstance(value, Mapping) and "key" in value:
        return said(value)
    return escape(format_value(value, kind, lang))


def _shape(value: Any, kind: str) -> str:
    """Return the class that follows from a cell's value."""
    if kind == "judged" and isinstance(value, str) and value:
        return f" judged-{value}"
    if kind in _ICONS:
        return " target"
    return " reason" if isinstance(value, Mapping) and "reason" in value else ""


def _html_rows(table: dict[str, Any], lang: Lang, said: Callable[[Any], str]) -> str:
    """Return the rows of a table's body."""
    columns = [(column["kind"], column["align"] + (" soft" if column["soft"] else "")) for column in table["columns"]]
    lines = []
    for line in table["rows"]:
        cells = []
        for number, (value, (kind, style)) in enumerate(zip(line["cells"], columns, strict=True)):
            if kind in _ICONS and isinstance(value, str):
                shown = _ICONS[kind](value) + html.escape(text(f"{STATE_WORDS[kind]}.{value}", lang))
            else:
                shown = _printed(value, kind, lang, said, html.escape)
            if number:
                cells.append(f'<td class="{style}{_shape(value, kind)}">{shown}</td>')
            else:
                cells.append(f'<th scope="row" class="{style}">{shown}</th>')
        opening = '<tr class="total">' if line["role"] == "total" else "<tr>"
        lines.append(f"{opening}{''.join(cells)}</tr>")
    return "\n".join(lines)


def _markdown_rows(table: dict[str, Any], lang: Lang, said: Callable[[Any], str]) -> str:
    """Return the rows of a table's body."""
    kinds = [column["kind"] for column in table["columns"]]
    lines = []
    for line in table["rows"]:
        cells = [_printed(value, kind, lang, said, escape_markdown) for value, kind in zip(line["cells"], kinds, strict=True)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def render_html(context: dict[str, Any], *, template: str = "bulletin.html", templates: TemplateFolder | None = None) -> str:
    """Return a document as one HTML page that needs no script and no other file.

    Parameters
    ----------
    context
        What `eduq.bulletins.build_context` gives, or for another page `eduq.bulletins.dossier.build_dossier` or
        `eduq.bulletins.feedback.build_feedback`.
    template
        The page: ``bulletin.html``, ``dossier.html`` or ``feedback.html``.
    templates
        Local templates (`eduq.bulletins.template_folder.open_templates`) that stand in for the shipped ones of the same name.

    Raises
    ------
    SettingsError
        ``template_broken``, ``template_syntax``, ``template_missing``, ``template_unsafe``, ``template_outside``: a local
        template, with its line.
    """
    from markupsafe import Markup

    lang: Lang = context["meta"]["lang"]

    def said(value: Any) -> Markup:
        return Markup(_html_text(value, lang))

    def drawing(figure: dict[str, Any], variant: str) -> Markup:
        return Markup(themed_svg(figure[f"svg_{variant}"], f"{figure['id']}-{variant}", say(figure["alt"], lang)))

    environment = template_environment(templates, autoescape=True)
    with broken_templates(templates):
        style = environment.get_template("bulletin.css").render(
            audience=Markup(css_string(say(context["meta"]["audience"], lang))),
            draft=Markup(css_string(text("bulletin.draft", lang))),
        )
        page = environment.get_template(template).render(
            context,
            lang_tag=_LANG_TAGS[lang],
            style=Markup(style),
            said=said,
            head=lambda label: Markup(capitalise(said(label))),
            drawing=drawing,
            date=lambda value: format_date(value, lang),
            rows_of=lambda table: Markup(_html_rows(table, lang, lambda value: _html_text(value, lang))),
            word=lambda key, **params: text(f"bulletin.{key}", lang, **params),
            number=lambda part: section_number(part, lang),
        )
    if templates is not None:
        refuse_outside(page, template)
    return page


def render_markdown(context: dict[str, Any], *, template: str = "bulletin.md", templates: TemplateFolder | None = None) -> str:
    """Return a document as Markdown; figures are given by their words and the table with their numbers.

    Parameters
    ----------
    context
        What `eduq.bulletins.build_context` gives, or for another page `eduq.bulletins.dossier.build_dossier` or
        `eduq.bulletins.feedback.build_feedback`.
    template
        The page: ``bulletin.md`` or ``feedback.md``.
    templates
        Local templates (`eduq.bulletins.template_folder.open_templates`) that stand in for the shipped ones of the same name.

    Raises
    ------
    SettingsError
        ``template_broken``, ``template_syntax``, ``template_missing``, ``template_unsafe``, ``template_outside``: a local
        template, with its line.
    """
    lang: Lang = context["meta"]["lang"]

    def said(value: Any) -> str:
        return say(value, lang, escape_markdown)

    environment = template_environment(templates, autoescape=False)
    with broken_templates(templates):
        return environment.get_template(template).render(
            context,
            said=said,
            head=lambda label: capitalise(said(label)),
            date=lambda value: format_date(value, lang),
            rows_of=lambda table: _markdown_rows(table, lang, said),
            word=lambda key, **params: text(f"bulletin.{key}", lang, **params),
            number=lambda part: section_number(part, lang),
        )
