"""A Word file as a package of parts: nothing in it may run, or fetch anything when it is opened."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from typing import Any

from eduq.bulletins.template_folder import WORD_TEMPLATE
from eduq.errors import Place, SettingsError

__all__ = ["refuse_unsafe_package"]

_MAX_PARTS, _MAX_BYTES = 2000, 100_000_000
_RUNNING = re.compile(
    r"vba|macros?/|activex|embeddings/|afchunk|attachedtoolbars|customui|webextensions|\.(bin|exe|js|html?|mht)$", re.I
)
_FETCHING = re.compile(
    r"\b(INCLUDE(TEXT|PICTURE)?|DDE(AUTO)?|LINK|IMPORT|DATABASE|RD|MACROBUTTON|AUTOTEXT(LIST)?|MERGEFIELD|NEXT(IF)?|ASK|FILLIN)\b",
    re.I,
)
_INSTRUCTION = re.compile(rb"instrText|fldSimple")
_OUTSIDE = "hyperlink"
_DISALLOWED = ("altChunk", "subDoc", "object", "control", "OLEObject", "mailMerge")


def refuse_unsafe_package(content: bytes, name: str = WORD_TEMPLATE) -> None:
    """Stop at a Word file that holds a program, another file, or asks for anything outside it; links to click are let be.

    Parameters
    ----------
    content
        The file.
    name
        What it is called.

    Raises
    ------
    SettingsError
        ``template_syntax`` (no Word file), ``template_unsafe`` (too large, programs), ``template_outside``.
    """
    place = Place(file=name)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            entries = packed.infolist()
            if len(entries) > _MAX_PARTS or sum(entry.file_size for entry in entries) > _MAX_BYTES:
                raise SettingsError("template_unsafe", place, said=f"> {_MAX_BYTES} bytes")
            if "word/document.xml" not in packed.namelist():
                raise SettingsError("template_syntax", place, said="word/document.xml")
            for entry in entries:
                if running := _RUNNING.search(entry.filename):
                    raise SettingsError("template_unsafe", place, said=running[0])
                if entry.filename.endswith((".xml", ".rels")):
                    _refuse_part(packed.read(entry), entry.filename, place)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:  # damaged, unknown packing, encrypted
        raise SettingsError("template_syntax", place, said=type(error).__name__) from None


def _refuse_part(content: bytes, name: str, place: Place) -> None:
    from docx.oxml import parse_xml

    try:
        tree: Any = parse_xml(content)
    except SyntaxError as error:
        raise SettingsError("template_syntax", place, said=f"{name}:{error.lineno}") from None
    if tree.getroottree().docinfo.doctype:
        raise SettingsError("template_unsafe", place, said="DOCTYPE")
    if name.endswith(".rels"):
        for relation in tree:
            if not isinstance(relation.tag, str) or relation.get("TargetMode") != "External":
                continue
            if (kind := (relation.get("Type") or "").rpartition("/")[2]) != _OUTSIDE:
                raise SettingsError("template_outside", place, said=kind)
        return
    for element in tree.iter():
        if isinstance(element.tag, str) and _local(element) in _DISALLOWED and "wordprocessingml" in element.tag:
            raise SettingsError("template_unsafe", place, said=_local(element))
    if _INSTRUCTION.search(content) and (fetching := _FETCHING.search("".join(_instructions(tree)))):
        raise SettingsError("template_outside", place, said=fetching[0])


def _local(element: Any) -> str:
    """Return the name of an element without its namespace."""
    return str(element.tag).rpartition("}")[2]


def _instructions(tree: Any) -> Iterator[str]:
    """Yield what the fields of a part say, a space between fields."""
    for element in tree.iter():
        if not isinstance(element.tag, str):
            continue
        local = _local(element)
        if local == "instrText":
            yield element.text or ""
        elif local == "fldChar":
            yield " "
        elif local == "fldSimple":
            yield f" {next((value for key, value in element.attrib.items() if key.endswith('instr')), '')} "
