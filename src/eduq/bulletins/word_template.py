"""A local Word template: an office's own page, letterhead and styles, with a place for the text of the bulletin.

The template is a Word file with marks of Jinja, filled by docxtpl in the sandbox of `eduq.bulletins.template_folder`.
``{{p body }}`` and ``{{p title }}`` stand for paragraphs of their own; everything else of the bulletin context can be printed.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from eduq.bulletins.formats import format_date
from eduq.bulletins.render import capitalise, section_number
from eduq.bulletins.template_folder import WORD_TEMPLATE, TemplateFolder, template_environment
from eduq.bulletins.word_fit import ACROSS, UPRIGHT
from eduq.bulletins.word_package import refuse_unsafe_package
from eduq.bulletins.word_parts import say_plainly
from eduq.bulletins.word_styles import W, add_styles, mark_paragraph, parse_fragment
from eduq.errors import Place, SettingsError
from eduq.locale import Lang, text

if TYPE_CHECKING:
    from docx.document import Document
    from jinja2 import Environment

__all__ = ["LocalPage", "check_word_template", "fill_template"]

_PLACES = ("title", "body")
_PARAGRAPH = re.compile(r"<w:p(?=[ >])")
_VERSION = re.compile(r"\{#-?\s*context\s+(\d+)\s*-?#\}")
_QUOTED = re.compile(r"'([^']+)'")
_LEAST = 120.0
"""The text of a page is never taken to be narrower, in points."""


@dataclass(frozen=True)
class LocalPage:
    """A filled template.

    Attributes
    ----------
    document
        The Word document, without the bulletin's text.
    title, body
        The paragraphs in whose place the title (None: the template prints its own) and the text stand.
    widths
        Width of the text in points: on a page as it stands, and turned.
    """

    document: Document
    title: Any
    body: Any
    widths: tuple[float, float]

    def section(self, *, turned: bool) -> Any:
        """Return properties for a section that ends inside the text: those of the template, its page turned if asked for."""
        held = _section_of(self.body)
        made = parse_fragment(f"<w:sectPr {W}/>") if held is None else deepcopy(held)
        earlier = self.body.getprevious()
        while earlier is not None and earlier.find(f".//{_w('sectPr')}") is None:
            earlier = earlier.getprevious()
        first = earlier is None or earlier.find(f".//{_w('pStyle')}[@{_w('val')}='EduqTurn']") is None
        if not first:
            _carry_on(made)
        if turned:
            _turn(made)
        return made

    def close(self, *, turned: bool, broken: bool) -> None:
        """Take the place away; the section it stands in goes on behind the text, or ends with it."""
        held = _section_of(self.body)
        if held is not None and broken:
            rest = self.body.getnext()
            if turned and rest is not held:  # something follows the text: it stands upright again
                paragraph = parse_fragment(f'<w:p {W}><w:pPr><w:pStyle w:val="EduqTurn"/></w:pPr></w:p>')
                paragraph[0].append(self.section(turned=True))
                self.body.addprevious(paragraph)
            _carry_on(held)
            if turned and rest is held:
                _turn(held)
        self.body.getparent().remove(self.body)


def _w(name: str) -> str:
    return f"{{http://schemas.openxmlformats.org/wordprocessingml/2006/main}}{name}"


def _section_of(paragraph: Any) -> Any:
    """Return the properties of the section a paragraph stands in; None where the template states none."""
    step = paragraph
    while step is not None:
        found = step if step.tag == _w("sectPr") else step.find(f"{_w('pPr')}/{_w('sectPr')}")
        if found is not None:
            return found
        step = step.getnext()
    return None


def _carry_on(section: Any) -> None:
    """Make a section the continuation of one before: no first page of its own, its pages counted on."""
    for name in ("titlePg", "pgNumType"):
        for found in section.findall(_w(name)):
            if name == "titlePg":
                section.remove(found)
            else:
                found.attrib.pop(_w("start"), None)
    kind = section.find(_w("type"))
    if kind is not None:
        kind.set(_w("val"), "nextPage")


def _turn(section: Any) -> None:
    size, margins = section.find(_w("pgSz")), section.find(_w("pgMar"))
    if size is None or int(size.get(_w("w"), 0)) >= int(size.get(_w("h"), 0)):
        return
    wide, high = size.get(_w("w")), size.get(_w("h"))
    size.set(_w("w"), high)
    size.set(_w("h"), wide)
    size.set(_w("orient"), "landscape")
    if margins is not None:
        sides = ("top", "right", "bottom", "left")
        old = [margins.get(_w(side), "0") for side in sides]
        for side, value in zip(sides, (old[3], old[0], old[1], old[2]), strict=True):
            margins.set(_w(side), value)


def _widths(section: Any) -> tuple[float, float]:
    """Return the width of the text in points, on a page as it stands and turned."""
    size = None if section is None else section.find(_w("pgSz"))
    margins = None if section is None else section.find(_w("pgMar"))
    if size is None or margins is None:
        return UPRIGHT, ACROSS
    wide, high = (int(size.get(_w(name), 0)) / 20 for name in ("w", "h"))
    top, right, bottom, left = (abs(int(margins.get(_w(side), 0))) / 20 for side in ("top", "right", "bottom", "left"))
    gutter = int(margins.get(_w("gutter"), 0)) / 20
    upright = max(_LEAST, wide - left - right - gutter)
    return round(upright, 1), round(upright if wide >= high else max(_LEAST, high - top - bottom), 1)


# ---- filling ----------------------------------------------------------------------------------------------------------


class _Paragraphs:
    """Stands for paragraphs that are put in later: a paragraph known by its revision mark."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __html__(self) -> str:
        return f'<w:p w:rsidRPr="{_mark(self.name)}"/>'

    __str__ = __html__


def _mark(name: str) -> str:
    return f"eduq-{name}"


@cache
def _environment(templates: TemplateFolder) -> Environment:
    """Return the sandbox for Word: nothing to include, what does not fit into XML left out, nothing printed for None."""
    from jinja2 import DictLoader
    from markupsafe import Markup

    def fit(value: Any) -> Any:
        if value is None:
            return ""
        return value if isinstance(value, (Markup, _Paragraphs)) or not isinstance(value, str) else say_plainly(value, "zh")

    made = template_environment(templates, autoescape=True)
    return made.overlay(loader=DictLoader({}), finalize=fit, trim_blocks=False, lstrip_blocks=False)


def _reader(content: bytes, environment: Environment) -> Any:
    """Return docxtpl on a template, told to say which paragraph breaks."""
    from docxtpl import DocxTemplate

    class Reader(DocxTemplate):  # type: ignore[misc]  # the library has no types
        def patch_xml(self, src_xml: str) -> str:
            """Give each paragraph a line of its own, so that a line of Jinja is a paragraph."""
            return str(super().patch_xml(_PARAGRAPH.sub("\n<w:p", src_xml)))

        def render_xml_part(self, src_xml: str, part: Any, context: Mapping[str, Any], jinja_env: Any = None) -> str:
            with _Broken(part.partname):
                shown = environment.from_string(src_xml).render(context)
            return str(self.resolve_listing(re.sub(r"\n(?=<w:p[ >])", "", shown)))

        def render_properties(self, context: Mapping[str, Any], jinja_env: Any = None) -> None:
            """Leave the properties: they are written anew."""

    return Reader(io.BytesIO(content))


class _Broken:
    """Turns what goes wrong in a part of the template into an error that names its paragraph and what is missing."""

    def __init__(self, part: str) -> None:
        name = str(part).rpartition("/")[2]
        self.file = WORD_TEMPLATE if name == "document.xml" else f"{WORD_TEMPLATE}/{name}"

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        if error is None or not isinstance(error, Exception):
            return
        from jinja2 import TemplateError, TemplateNotFound, TemplateSyntaxError, UndefinedError
        from jinja2.exceptions import SecurityError

        row = error.lineno if isinstance(error, TemplateSyntaxError) else _row(trace)
        place = Place(file=self.file, paragraph=max(1, row - 1) if row else None)
        if isinstance(error, SecurityError):
            raise SettingsError("template_unsafe", place, said=error.message or "") from None
        if isinstance(error, UndefinedError):
            names = _QUOTED.findall(error.message or "")
            raise SettingsError("template_broken", place, name=names[-1] if names else error.message) from None
        if isinstance(error, TemplateNotFound):
            raise SettingsError("template_missing", place, name=error.name) from None
        said = (error.message or "") if isinstance(error, TemplateError) else type(error).__name__
        raise SettingsError("template_syntax", place, said=said) from None


def _row(trace: Any) -> int | None:
    row = None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<template>":
            row = trace.tb_lineno
        trace = trace.tb_next
    return row


def check_word_template(templates: TemplateFolder, *, version: int) -> None:
    """Check the local Word template as far as that goes without a bulletin.

    Raises
    ------
    SettingsError
        ``template_syntax``, ``template_unsafe``, ``template_outside``, ``template_version``, ``template_body``.
    """
    content = templates.content(WORD_TEMPLATE)
    if content is None:
        return
    refuse_unsafe_package(content)
    environment = _environment(templates)
    reader = _opened(content, environment)
    parts = [(reader.docx.part, reader.get_xml())]
    parts += [
        (relation.target_part, relation.target_part.blob.decode("utf-8"))
        for relation in reader.docx.part.rels.values()
        if relation.reltype.rpartition("/")[2] in ("header", "footer", "footnotes")
    ]
    for part, xml in parts:
        source = reader.patch_xml(xml)
        with _Broken(part.partname):
            environment.parse(source)
        for stated in _VERSION.finditer(re.sub(r"<[^>]+>", "", source)):
            if int(stated[1]) != version:
                raise SettingsError("template_version", Place(file=WORD_TEMPLATE), stated=stated[1], version=version)


def _opened(content: bytes, environment: Environment) -> Any:
    reader = _reader(content, environment)
    try:
        reader.init_docx()
    except Exception as error:  # python-docx does not say what it may raise at a file that is none
        raise SettingsError("template_syntax", Place(file=WORD_TEMPLATE), said=type(error).__name__) from None
    return reader


def fill_template(context: dict[str, Any], templates: TemplateFolder) -> LocalPage:
    """Fill the local Word template with a bulletin context, but for the text.

    Parameters
    ----------
    context
        The bulletin context, version 1.
    templates
        A folder with bulletin.docx.

    Returns
    -------
    LocalPage

    Raises
    ------
    SettingsError
        ``template_broken``, ``template_syntax``, ``template_unsafe``, ``template_body``, with the paragraph.
    """
    content = templates.content(WORD_TEMPLATE)
    if content is None:
        raise SettingsError("template_folder", folder=str(templates.path))
    refuse_unsafe_package(content)
    lang: Lang = context["meta"]["lang"]
    reader = _opened(content, _environment(templates))
    known = {
        "said": lambda value: say_plainly(value, lang),
        "head": lambda value: capitalise(say_plainly(value, lang)),
        "date": lambda value: format_date(value, lang),
        "word": lambda key, **params: text(f"bulletin.{key}", lang, **params),
        "number": lambda part: section_number(part, lang),
    }
    try:
        reader.render({**context, **known, **{name: _Paragraphs(name) for name in _PLACES}}, _environment(templates))
    except SettingsError:
        raise
    except Exception as error:  # the parser's errors on what is not well-formed after filling; they might hold a value
        raise SettingsError("template_syntax", Place(file=WORD_TEMPLATE), said=type(error).__name__) from None
    document: Document = reader.docx
    title, body = (_find_place(document, name) for name in _PLACES)
    add_styles(document, lang)
    audience = say_plainly(context["meta"]["audience"], lang)
    _mark_pages(document, audience, text("bulletin.draft", lang) if context["meta"].get("draft") else None)
    return LocalPage(document, title, body, _widths(_section_of(body)))


def _find_place(document: Document, name: str) -> Any:
    """Return the paragraph, standing in the text itself, that a name of `_PLACES` stands for."""
    body = document.element.body
    found = [mark for mark in body.iter(_w("p")) if mark.get(_w("rsidRPr")) == _mark(name)]
    elsewhere = sum(_mark(name).encode() in part.blob for part in document.part.package.iter_parts() if part is not document.part)
    if name == "title" and not found and not elsewhere:
        return None
    spots = []
    for mark in found:
        spot = mark
        while spot is not None and spot.getparent() is not body:
            spot = spot.getparent()
        words = "".join(part.text or "" for part in spot.iter(_w("t"))).strip() if spot is not None else "?"
        spots.append(spot if spot is not None and spot.tag == _w("p") and not words else None)
    if len(spots) != 1 or spots[0] is None or elsewhere:
        raise SettingsError("template_body", Place(file=WORD_TEMPLATE), times=len(found) + elsewhere)
    return spots[0]


def _mark_pages(document: Document, audience: str, draft: str | None) -> None:
    """See to it that the head of every page says whom it is for and whether it is a draft, as the shipped page does."""
    even = document.settings.odd_and_even_pages_header_footer
    for number, section in enumerate(document.sections):
        heads = [section.header]
        if even:
            heads.append(section.even_page_header)
        if section.different_first_page_header_footer:
            heads.append(section.first_page_header)
        for head in heads:
            if head.is_linked_to_previous and not number:
                head.is_linked_to_previous = False
        for reference in section._sectPr.iterchildren(_w("headerReference")):
            name = next(value for key, value in reference.attrib.items() if key.endswith("}id"))
            _mark_head(document.part.rels[name].target_part.element, audience, draft)


def _mark_head(head: Any, audience: str, draft: str | None) -> None:
    """Put the mark into the head of a page that does not show it; one that another edition left there goes."""
    for old in [one for one in head.iter(_w("p")) if _style_of(one) == "EduqMark"]:
        old.getparent().remove(old)
    shown = "".join(part.text or "" for part in head.iter(_w("t")))
    if audience not in shown or (draft is not None and draft not in shown):
        head.insert(0, parse_fragment(mark_paragraph(audience, draft)))
    elif head.find(f".//{_w('p')}") is None:
        head.append(parse_fragment(f"<w:p {W}/>"))


def _style_of(paragraph: Any) -> str | None:
    style = paragraph.find(f"{_w('pPr')}/{_w('pStyle')}")
    return None if style is None else style.get(_w("val"))
