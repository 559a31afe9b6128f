"""The last look at what leaves the bureau: settings, exam.toml, the document, and every file as it was written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import ZipFile

from eduq.archive import Archive
from eduq.disclosure.exams import Publishable
from eduq.disclosure.outward import check_outward, find_barred
from eduq.errors import Place
from eduq.intake.exam_file import ExamFile
from eduq.locale import LANGUAGES, Lang, text
from eduq.rulepacks.outward_words import OUTWARD_EDITIONS
from eduq.settings import RunSettings

if TYPE_CHECKING:
    from eduq.bulletins.template_folder import TemplateFolder

__all__ = ["check_files", "check_page", "check_stated", "known_names"]

_PAGES = (".html", ".md")
_OFFICE = (".docx", ".xlsx")
_RUNS = re.compile(r"</?(?:w:r|w:t|w:rPr|w:b|w:i|w:sz|w:szCs|w:rFonts|w:proofErr|w:noBreakHyphen|t|r|rPr|a:r|a:t)\b[^>]*>")
_ANY_TAG = re.compile(r"<[^>]+>")
_NAMED = re.compile(r'\b(?:descr|title|name)="([^"]*)"')
_CELL = re.compile(r"<(?:t|oddHeader|oddFooter)\b[^>]*>([^<]*)<")
_MODEL = re.compile(r"<w:(?:rPr|pPr|tcPr|tblPr|sectPr)\b.*?</w:(?:rPr|pPr|tcPr|tblPr|sectPr)>", re.DOTALL)


def _where(key: str, **params: Any) -> Mapping[Lang, str]:
    return {lang: text(f"outward.where.{key}", lang, **params) for lang in LANGUAGES}


def known_names(exams: Iterable[Publishable] = (), archive: Archive | None = None, *, more: Iterable[str] = ()) -> list[str]:
    """Return names of schools and places: of an archive's register, with other names of schools, and of the units of exams."""
    found = {str(name) for name in more if name}
    registers = None if archive is None else archive.registers()
    if registers is not None:
        for column in ("name", "aliases", "township", "cluster"):
            for named in registers.schools[column].drop_nulls():
                found |= {part.strip() for part in str(named).replace("；", ";").split(";") if part.strip()}
    for exam in exams:
        found |= {str(name) for name in exam.units["name"].drop_nulls()}
    return sorted(found)


def check_stated(edition: str, *, settings: RunSettings, exams: Iterable[ExamFile] = (), names: Iterable[str] = ()) -> None:
    """Stop where settings or an exam.toml state what may not leave in an edition.

    Raises
    ------
    DisclosureError
        ``outward_word``: names the setting.
    """
    known = list(names)
    for name in ("issuer", "recipients", "document_no"):
        said = getattr(settings, name)
        for one in (said,) if isinstance(said, str) else said:
            check_outward(one, edition=edition, where=_where("setting", name=name), names=known)
    for exam in exams:
        for name in ("name", "legal_basis"):
            said = getattr(exam.exam, name)
            if said:
                where = _where("exam", exam=exam.exam.id or "", name=f"exam.{name}")
                check_outward(said, edition=edition, where=where, names=known)


def check_page(page: str, *, edition: str, name: str, names: Iterable[str] = (), templates: TemplateFolder | None = None) -> None:
    """Stop at a page, Markdown or HTML, that says what may not leave; a local template that says it is named with its line.

    Raises
    ------
    DisclosureError
        ``outward_word``.
    """
    known = list(names)
    if templates is not None and find_barred(page, edition=edition, names=known):
        for file, source in templates.sources:
            lines = source.splitlines()
            for row, line in enumerate(lines, start=1):
                check_outward(
                    line, edition=edition, place=Place(file=file, row=row), where=_where("template", name=file), names=known
                )
            check_outward(source, edition=edition, place=Place(file=file), where=_where("template", name=file), names=known)
    check_outward(page, edition=edition, place=Place(file=name), where=_where("file", name=name), names=known)


def check_files(folder: Path, *, edition: str, names: Iterable[str] = (), templates: TemplateFolder | None = None) -> None:
    """Stop at a file of a folder that says what may not leave: Markdown, HTML, Word and Excel, as they were written.

    Raises
    ------
    DisclosureError
        ``outward_word``: names the file.
    """
    if edition not in OUTWARD_EDITIONS:
        return
    known = list(names)
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.suffix in _PAGES:
            check_page(path.read_text(encoding="utf-8"), edition=edition, name=name, names=known, templates=templates)
        elif path.suffix in _OFFICE:
            where = _where("sheet" if path.suffix == ".xlsx" else "file", name=name)
            check_outward(_office_words(path), edition=edition, place=Place(file=name), where=where, names=known)


def _office_words(path: Path) -> str:
    """Return the words of a Word or Excel file: text, names of sheets, heads and feet, words that replace pictures."""
    found: list[str] = []
    with ZipFile(path) as packed:
        for name in sorted(packed.namelist()):
            if not name.endswith(".xml") or "/theme/" in name or name.endswith(("styles.xml", "fontTable.xml")):
                continue
            content = packed.read(name).decode("utf-8")
            if name.startswith("xl/worksheets/"):
                found += _CELL.findall(content)
                continue
            if name.startswith("word/") or name == "xl/workbook.xml" or "/drawings/" in name:
                found += _NAMED.findall(content)
            found.append(_ANY_TAG.sub("\n\n", _RUNS.sub("", _MODEL.sub("", content))))
    return unescape("\n\n".join(part for part in found if part.strip()))
