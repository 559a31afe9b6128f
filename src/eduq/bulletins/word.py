"""The bulletin as a Word file in the form of an official document (GB/T 9704-2012)."""

from __future__ import annotations

import datetime as dt
import io
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eduq.bulletins.template_folder import WORD_TEMPLATE, TemplateFolder
from eduq.bulletins.word_parts import Part, arrange_parts
from eduq.bulletins.word_styles import W, page_properties, parse_fragment, set_page, set_styles
from eduq.bulletins.word_writer import PartWriter

if TYPE_CHECKING:
    from docx.document import Document

__all__ = ["write_word"]

_CREATED = dt.datetime(2000, 1, 1)
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)


def write_word(context: dict[str, Any], path: Path, *, templates: TemplateFolder | None = None) -> tuple[str, ...]:
    """Write the bulletin as a Word file.

    Parameters
    ----------
    context
        What `eduq.bulletins.build_context` gives.
    path
        File to write. The same context gives the same bytes on a machine with the same fonts.
    templates
        Local templates; one with a bulletin.docx gives page, letterhead and styles.

    Returns
    -------
    tuple of str
        Numbers of the figures that could not be drawn because this machine has no Chinese font; their words stand instead.

    Raises
    ------
    SettingsError
        ``template_broken``, ``template_syntax``, ``template_unsafe``, ``template_outside``, ``template_body``: bulletin.docx of
        the folder, with the paragraph.
    """
    if templates is not None and templates.content(WORD_TEMPLATE) is not None:
        document, paper, writer = _fill_local(context, templates)
    else:
        document, paper, writer = _fill_own(context)
    _set_properties(document, paper)
    held = io.BytesIO()
    document.save(held)
    content = _same_bytes(held.getvalue())
    if templates is not None:
        from eduq.bulletins.word_package import refuse_unsafe_package

        refuse_unsafe_package(content)
    path.write_bytes(content)
    return tuple(writer.missing)


def _fill_own(context: dict[str, Any]) -> tuple[Document, dict[str, Any], PartWriter]:
    """Return the document on the shipped page."""
    import docx

    paper = arrange_parts(context)
    document = docx.Document()
    body = document.element.body
    for element in list(body)[:-1]:
        body.remove(element)
    set_styles(document, paper["lang"])
    references = set_page(document, paper["audience"], paper["draft"])
    writer = PartWriter(document, paper["lang"])
    last = body[-1]
    groups = _sections([*_title_parts(paper), *paper["parts"]])
    for number, (turned, parts) in enumerate(groups, start=1):
        for part in parts:
            for xml in writer.write(part):
                last.addprevious(parse_fragment(xml))
        properties = page_properties(references, turned=turned)
        if number < len(groups):
            last.addprevious(_break(f"<w:sectPr {W}>{properties}</w:sectPr>"))
        else:
            body.replace(last, parse_fragment(f"<w:sectPr {W}>{properties}</w:sectPr>"))
    return document, paper, writer


def _fill_local(context: dict[str, Any], templates: TemplateFolder) -> tuple[Document, dict[str, Any], PartWriter]:
    """Return the document on the page of the local template, its text in the place of ``{{p body }}``."""
    from eduq.bulletins.word_template import fill_template

    page = fill_template(context, templates)
    paper = arrange_parts(context, upright=page.widths[0], across=page.widths[1])
    writer = PartWriter(page.document, paper["lang"], page.widths)
    if page.title is not None:
        for part in _title_parts(paper):
            for xml in writer.write(part):
                page.title.addprevious(parse_fragment(xml))
        page.title.getparent().remove(page.title)
    groups = _sections(paper["parts"])
    for number, (turned, parts) in enumerate(groups, start=1):
        for part in parts:
            for xml in writer.write(part):
                page.body.addprevious(parse_fragment(xml))
        if number < len(groups):
            page.body.addprevious(_break(page.section(turned=turned)))
    page.close(turned=groups[-1][0], broken=len(groups) > 1)
    return page.document, paper, writer


def _break(section: Any) -> Any:
    """Return the paragraph that ends a section with these properties."""
    paragraph = parse_fragment(f'<w:p {W}><w:pPr><w:pStyle w:val="EduqTurn"/></w:pPr></w:p>')
    paragraph[0].append(parse_fragment(section) if isinstance(section, str) else section)
    return paragraph


def _title_parts(paper: dict[str, Any]) -> list[Part]:
    parts: list[Part] = []
    if paper["document_no"]:
        parts.append({"kind": "document_no", "runs": [(paper["document_no"], False)]})
    return [*parts, {"kind": "title", "runs": [(paper["title"], False)]}]


def _sections(parts: list[Part]) -> list[tuple[bool, list[Part]]]:
    """Return the parts in runs that share the direction of their page; the first run stands upright."""
    groups: list[tuple[bool, list[Part]]] = [(False, [])]
    for part in parts:
        turned = bool(part.get("turned"))
        if turned != groups[-1][0]:
            groups.append((turned, []))
            part = part | {"first": True}
        groups[-1][1].append(part)
    return groups


def _set_properties(document: Document, paper: dict[str, Any]) -> None:
    facts = document.core_properties
    facts.title, facts.author, facts.comments = paper["title"], paper["issuer"] or "eduq", ""
    facts.last_modified_by, facts.revision, facts.keywords = "eduq", 1, paper["audience"]
    facts.language = "zh-CN" if paper["lang"] == "zh" else "en"
    facts.created = facts.modified = _CREATED
    relations = document.part.package.rels
    for name in [name for name, relation in relations.items() if relation.reltype.endswith("/thumbnail")]:
        relations.pop(name)


def _same_bytes(written: bytes) -> bytes:
    """Return the file packed with one fixed time, so that the same bulletin is the same bytes."""
    held = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(written)) as old, zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            entry = zipfile.ZipInfo(name, _ZIP_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3
            entry.external_attr = 0o644 << 16
            new.writestr(entry, old.read(name))
    return held.getvalue()
