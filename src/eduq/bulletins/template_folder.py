"""Local templates: a folder whose files stand in for the shipped ones of the same name, run in Jinja's sandbox.

A template is code from a folder that someone may have been handed: it sees the bulletin context and nothing else, reads no file
but those of its folder and the shipped ones, and may make no page that asks for anything from outside. Word templates are looked
at in `eduq.bulletins.word_template`, those of typst in `eduq.bulletins.typst_folder`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eduq.errors import Place, SettingsError
from eduq.resources import package_path

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = [
    "PDF_TEMPLATE",
    "SHIPPED",
    "WORD_TEMPLATE",
    "TemplateFolder",
    "broken_templates",
    "open_templates",
    "refuse_outside",
    "shipped_templates",
    "template_environment",
]

SHIPPED = "shipped/"
"""Leads the name of a shipped template that a local one extends or includes: ``{% extends "shipped/bulletin.html" %}``."""

WORD_TEMPLATE, PDF_TEMPLATE = "bulletin.docx", "bulletin.typ"
"""Local templates of the Word file and of the PDF."""
_SUFFIXES = (".html", ".md", ".css")
_ASSETS = (".png", ".jpg", ".jpeg", ".gif", ".svg", ".ttf", ".otf", ".ttc")
"""Files that a typst template may use: pictures and fonts."""
_FONTS = (".ttf", ".otf", ".ttc")
_LEFT_ALONE = re.compile(r"\.|~\$|thumbs\.db$|desktop\.ini$|readme(\.|$)", re.IGNORECASE)
"""Files that are no templates and never meant to be: hidden ones, the lock of an open Word file, a word for the reader."""
_VERSION = re.compile(r"\{#-?\s*context\s+(\d+)\s*-?#\}")
_TYPST_VERSION = re.compile(r"^//\s*context\s+(\d+)\s*$", re.MULTILINE)
_PACKAGE = re.compile(r"[\"'](@[\w-]+/[^\"']*)[\"']")
_QUOTED = re.compile(r"'([^']+)'")
_MAX_BYTES = 1_000_000
_MAX_FILE = 30_000_000
_MAX_REPEAT = 100_000
_LOADING = ("script", "iframe", "frame", "object", "embed", "link", "base", "form", "portal", "applet")
_SOURCES = ("src", "srcset", "poster", "background", "data", "action", "formaction", "ping", "manifest")
_STYLE_LOADS = re.compile(r"@import|image-set\s*\(|url\s*\(\s*[\"']?\s*(?!data:|#|[\"']?\s*\))", re.IGNORECASE)


@dataclass(frozen=True)
class TemplateFolder:
    """The local templates of a folder, read once.

    Attributes
    ----------
    path
        The folder.
    sources
        File name and text of each template of Jinja (.html, .md, .css), sorted by name.
    files
        Name and content of the Word template, those of typst and what these use, sorted by name.
    """

    path: Path
    sources: tuple[tuple[str, str], ...]
    files: tuple[tuple[str, bytes], ...] = ()

    def names(self) -> tuple[str, ...]:
        """Return the file names of the templates of Jinja."""
        return tuple(name for name, _ in self.sources)

    def content(self, name: str) -> bytes | None:
        """Return the content of a file that is no template of Jinja; None where there is none of this name."""
        return dict(self.files).get(name)


@cache
def shipped_templates() -> Mapping[str, str]:
    """Return name and text of the shipped templates of Jinja that local ones may stand in for.

    The page to explore (review.html) is none of them: it runs a script.
    """
    folder = package_path("bulletins", "templates")
    found = [path for path in sorted(folder.iterdir()) if path.suffix in _SUFFIXES and path.stem != "review"]
    return {path.name: path.read_text(encoding="utf-8") for path in found}


def open_templates(path: str | os.PathLike[str], *, version: int = 1) -> TemplateFolder:
    """Read a folder of local templates and check it as far as that goes without a bulletin.

    Parameters
    ----------
    path
        Folder with .html, .md and .css files, ``bulletin.docx``, ``bulletin.typ`` and what this one uses, none deeper. Hidden
        files and a README are left alone.
    version
        Version of the bulletin context. A template may state the one it was written for, ``{# context 1 #}`` (in typst
        ``// context 1``).

    Returns
    -------
    TemplateFolder

    Raises
    ------
    SettingsError
        ``template_folder`` (not a folder, or nothing in it), ``template_version``, ``template_syntax``, ``template_missing``
        (extends or includes what is neither in the folder nor shipped), ``template_unused`` (neither stands in for a shipped
        template nor is used by one that does: a name misspelt), ``template_unsafe`` and ``template_outside`` (a Word or typst
        template that reaches out of the folder), ``template_body`` (a Word template without a place for the text).
    """
    folder = Path(path)
    if not folder.is_dir():
        raise SettingsError("template_folder", folder=str(folder))
    sources: dict[str, str] = {}
    files: dict[str, bytes] = {}
    for file in sorted(folder.iterdir()):
        if _LEFT_ALONE.match(file.name):
            continue
        if file.suffix in _SUFFIXES:
            sources[file.name] = _read(file, folder).decode("utf-8")
        elif file.name == WORD_TEMPLATE or file.suffix == ".typ" or file.suffix in _ASSETS:
            files[file.name] = _read(file, folder)
        else:
            _refuse(file.name)
    if not sources and not files:
        raise SettingsError("template_folder", folder=str(folder))
    for name, source in sources.items():
        _check_version(name, _VERSION, source, version)
    for name in files:
        if name.endswith(".typ"):
            _check_version(name, _TYPST_VERSION, files[name].decode("utf-8"), version)
    found = TemplateFolder(folder, tuple(sources.items()), tuple(files.items()))
    _refuse_unused(found)
    _refuse_unused_files(found)
    if WORD_TEMPLATE in files:
        from eduq.bulletins.word_template import check_word_template

        check_word_template(found, version=version)
    return found


def _refuse(name: str) -> None:
    """Stop at a file that neither stands in for a shipped template nor is used."""
    raise SettingsError(
        "template_unused", Place(file=name), known=", ".join(sorted([*shipped_templates(), WORD_TEMPLATE, PDF_TEMPLATE]))
    )


def _check_version(name: str, pattern: re.Pattern[str], source: str, version: int) -> None:
    for stated in pattern.finditer(source):
        if int(stated[1]) != version:
            row = source.count("\n", 0, stated.start()) + 1
            raise SettingsError("template_version", Place(file=name, row=row), stated=stated[1], version=version)


def _read(file: Path, folder: Path) -> bytes:
    """Return the content of a file that lies in the folder itself (a link out of it does not); text without its mark."""
    place = Place(file=file.name)
    if file.resolve().parent != folder.resolve() or not file.is_file():
        raise SettingsError("template_unsafe", place, said=file.name)
    is_text = file.suffix in (*_SUFFIXES, ".typ")
    most = _MAX_BYTES if is_text else _MAX_FILE
    try:
        if file.stat().st_size > most:
            raise SettingsError("template_syntax", place, said=f"> {most} bytes")
        content = file.read_bytes()
        return content.decode("utf-8-sig").replace("\r\n", "\n").encode() if is_text else content
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError("template_syntax", place, said=type(error).__name__) from None


def _refuse_unused_files(templates: TemplateFolder) -> None:
    """Stop at a typst file, a picture or a font that nothing can use, and at a package from outside."""
    texts = {name: content.decode("utf-8") for name, content in templates.files if name.endswith(".typ")}
    for name, source in texts.items():
        if package := _PACKAGE.search(source):
            row = source.count("\n", 0, package.start()) + 1
            raise SettingsError("template_outside", Place(file=name, row=row), said=package[1])
    for name, _ in templates.files:
        if name in (WORD_TEMPLATE, PDF_TEMPLATE) or (Path(name).suffix in _FONTS and PDF_TEMPLATE in texts):
            continue
        if PDF_TEMPLATE not in texts or not any(name in source for other, source in texts.items() if other != name):
            _refuse(name)


def _refuse_unused(templates: TemplateFolder) -> None:
    from jinja2 import TemplateSyntaxError
    from jinja2.meta import find_referenced_templates

    shipped = shipped_templates()
    environment = template_environment(templates, autoescape=True)
    used: set[str] = set()
    for name, source in templates.sources:
        try:
            referred = list(find_referenced_templates(environment.parse(source)))
        except TemplateSyntaxError as error:
            raise SettingsError("template_syntax", Place(file=name, row=error.lineno), said=error.message or "") from None
        if None in referred:  # a computed name: known only when it is run
            return
        used.update(other for other in referred if other is not None)
        for other in referred:
            if other is not None and other not in templates.names() and other.removeprefix(SHIPPED) not in shipped:
                row = next((n for n, line in enumerate(source.splitlines(), start=1) if str(other) in line), None)
                raise SettingsError("template_missing", Place(file=name, row=row), name=other)
    for name in templates.names():
        if name not in shipped and name not in used:
            _refuse(name)


def _repeated(value: Any) -> float:
    return len(value) if isinstance(value, (str, list, tuple)) else abs(value)


@cache
def template_environment(templates: TemplateFolder | None, *, autoescape: bool) -> Environment:
    """Return a Jinja environment: shipped templates, local ones before them and in the sandbox."""
    from jinja2 import BaseLoader, Environment, StrictUndefined, TemplateNotFound
    from jinja2.exceptions import SecurityError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    local = dict(templates.sources) if templates is not None else {}
    shipped = shipped_templates()

    class Loader(BaseLoader):
        def get_source(self, environment: Environment, template: str) -> tuple[str, str, None]:
            if template in local:
                return local[template], template, None
            if (name := template.removeprefix(SHIPPED)) in shipped:
                return shipped[name], SHIPPED + name, None
            raise TemplateNotFound(template)

    class Sandbox(ImmutableSandboxedEnvironment):
        intercepted_binops = frozenset(["*", "**", "%"])

        def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
            numbers = isinstance(left, (int, float)) and isinstance(right, (int, float))
            if operator == "**" or (not numbers and (operator == "%" or _repeated(left) * _repeated(right) > _MAX_REPEAT)):
                raise SecurityError(operator)
            return super().call_binop(context, operator, left, right)

    made = (Environment if templates is None else Sandbox)(
        loader=Loader(),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    if templates is not None:
        for name in ("lipsum", "cycler", "joiner"):
            made.globals.pop(name, None)
        for name in ("format", "center", "indent", "pprint", "attr", "xmlattr"):
            made.filters.pop(name, None)
    return made


@contextmanager
def broken_templates(templates: TemplateFolder | None) -> Iterator[None]:
    """Turn what goes wrong in a local template into an error that names file, line and what is missing."""
    if templates is None:
        yield
        return
    from jinja2 import TemplateError, TemplateNotFound, TemplateSyntaxError, UndefinedError
    from jinja2.exceptions import SecurityError

    try:
        yield
    except SettingsError:
        raise
    except SecurityError as error:
        raise SettingsError("template_unsafe", _place(error, templates), said=error.message or "") from None
    except UndefinedError as error:
        names = _QUOTED.findall(error.message or "")
        raise SettingsError("template_broken", _place(error, templates), name=names[-1] if names else error.message) from None
    except TemplateNotFound as error:
        raise SettingsError("template_missing", _place(error, templates), name=error.name) from None
    except TemplateSyntaxError as error:
        raise SettingsError("template_syntax", Place(file=error.name, row=error.lineno), said=error.message or "") from None
    except TemplateError as error:
        raise SettingsError("template_syntax", _place(error, templates), said=error.message or "") from None
    except Exception as error:  # what a template can do to a value is not bounded; its message might hold that value
        raise SettingsError("template_syntax", _place(error, templates), said=type(error).__name__) from None


def _place(error: BaseException, templates: TemplateFolder) -> Place:
    """Return the innermost line of a local template on the way to an error, or of a shipped one where none is."""
    local, shipped = None, None
    step = error.__traceback__
    while step is not None:
        name = step.tb_frame.f_code.co_filename
        if name in templates.names():
            local = Place(file=name, row=step.tb_lineno)
        elif name.startswith(SHIPPED):
            shipped = Place(file=name, row=step.tb_lineno)
        step = step.tb_next
    return local or shipped or Place(file=templates.path.name)


class _Outside(HTMLParser):
    """Finds what makes a browser ask for something, or run something."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: tuple[str, int] | None = None
        self.in_style = False

    def _note(self, said: str) -> None:
        self.found = self.found or (said, self.getpos()[0])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.in_style = tag == "style"
        if tag in _LOADING:
            self._note(f"<{tag}>")
        for name, value in attrs:
            given = "".join((value or "").split()).lower()
            runs = name.startswith("on") or given.startswith(("javascript:", "vbscript:"))
            loads = name in _SOURCES and given and not given.startswith("data:image/")
            refers = name in ("href", "xlink:href") and tag != "a" and not given.startswith("#")
            moves = name == "http-equiv" and given == "refresh"
            styles = name not in ("href", "alt", "title", "aria-label") and _STYLE_LOADS.search(value or "")
            if runs or loads or refers or moves or styles:
                self._note(f"<{tag} {name}>")

    def handle_endtag(self, tag: str) -> None:
        self.in_style = False

    def handle_data(self, data: str) -> None:
        if self.in_style and (loads := _STYLE_LOADS.search(data)):
            self._note(loads[0])


def refuse_outside(page: str, name: str) -> None:
    """Refuse a page from a local template that would ask for anything from outside, or run a script.

    Raises
    ------
    SettingsError
        ``template_outside`` names what was found.
    """
    parser = _Outside()
    parser.feed(page)
    parser.close()
    if parser.found is not None:
        raise SettingsError("template_outside", Place(file=name), said=parser.found[0])
