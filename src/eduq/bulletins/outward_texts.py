"""Every text of a document, part by part, held against the words that may not leave the bureau."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from eduq.bulletins.formats import say
from eduq.bulletins.render import section_number
from eduq.disclosure.outward import check_outward, find_barred
from eduq.locale import LANGUAGES, Lang, text

__all__ = ["check_document", "document_texts", "drawn_words"]

Where = dict[Lang, str]
_EMPHASIS = re.compile(r"\*\*(.+?)\*\*")
_SAID = ({"key", "params"}, {"joined", "by"}, {"clauses"}, {"value", "kind"})
_SPANS = re.compile(r"</?(?:tspan|a)\b[^>]*>")
_DRAWN = re.compile(r">([^<]*)<")
_META = {"title": "title", "byline": "byline", "data_line": "byline", "recipients": "recipients", "cc": "cc"}
_PARTS = ("headline", "premises", "intro", "said_lines", "attachments", "closing", "definitions")


def _where(key: str, **params: Any) -> Where:
    return {lang: text(f"outward.where.{key}", lang, **params) for lang in LANGUAGES}


def _words(value: Any, lang: Lang) -> Iterator[str]:
    """Return the words of phrases and texts, however they are nested; a bare number has none."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping) and any(names <= value.keys() for names in _SAID):
        yield _EMPHASIS.sub(r"\1", say(value, lang))
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _words(part, lang)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _words(part, lang)


def drawn_words(svg: str) -> str:
    """Return the words in a drawing, each on a line.

    Examples
    --------
    >>> drawn_words('<svg viewBox="0 0 9 9"><text x="1">over<tspan>all</tspan></text><text>mean</text></svg>')
    'overall\\n\\nmean'
    """
    return "\n\n".join(found for found in _DRAWN.findall(_SPANS.sub("", svg)) if found.strip())


def _block_texts(block: Mapping[str, Any], heading: str, lang: Lang) -> Iterator[tuple[Where, str]]:
    if block["type"] == "table":
        named = [block["caption"], [column["label"] for column in block["columns"]], block["notes"]]
        cells = [row["cells"] for row in block["rows"]]
        yield _where("table", n=block.get("number", "")), "\n\n".join(_words([named, cells], lang))
    elif block["type"] == "figure":
        said = _words([block["title"], block["caption"], block["alt"]], lang)
        drawn = [drawn_words(block[name]) for name in ("svg_wide", "svg_narrow") if block.get(name)]
        yield _where("figure", n=block.get("number", "")), "\n\n".join([*said, *drawn])
    else:
        yield _where("text", heading=heading), "\n\n".join(_words(block.get("items") or block.get("text"), lang))


def document_texts(context: Mapping[str, Any]) -> Iterator[tuple[Where, str]]:
    """Return what a document says, part by part, in its own language.

    Parameters
    ----------
    context
        A bulletin context (version 1), that of a school's or a teacher's sheet, or of a feedback sheet.

    Returns
    -------
    iterator of (dict, str)
        Which part, in both languages, and its words, paragraphs apart.
    """
    meta = context["meta"]
    lang: Lang = meta["lang"]
    for name, key in _META.items():
        if meta.get(name):
            yield _where(key), "\n\n".join(_words(meta[name], lang))
    for name in ("issuer", "document_no"):
        if meta.get(name):
            yield _where("setting", name=name), "\n\n".join(_words(meta[name], lang))
    for name in _PARTS:
        if context.get(name):
            key = "intro" if name == "said_lines" else name
            yield _where(key), "\n\n".join(_words(context[name], lang))
    for part in (*(context.get("sections") or ()), *(context.get("annexes") or ())):
        heading = "".join(_words(part["heading"], lang))
        number = section_number(part["number"], lang) if isinstance(part.get("number"), list) else ""
        yield _where("heading", heading=number + heading), heading
        for block in part["blocks"]:
            yield from _block_texts(block, heading, lang)
    if context.get("certificate"):
        yield _where("certificate"), "\n\n".join(_words(context["certificate"], lang))


def check_document(context: Mapping[str, Any], *, edition: str, names: Iterable[str] = ()) -> None:
    """Stop at a document that says what may not leave in its edition.

    Parameters
    ----------
    context
        As in `document_texts`.
    edition
        The audience.
    names
        Names of schools and places, which are facts.

    Raises
    ------
    DisclosureError
        ``outward_word``: names the word and the part of the document.
    """
    known = list(names)
    texts = list(document_texts(context))
    if not find_barred("\n\n".join(said for _, said in texts), edition=edition, names=known):
        return
    for where, said in texts:
        check_outward(said, edition=edition, where=where, names=known)
