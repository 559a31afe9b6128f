"""The bulletin context as printed parts in the order of an official document; Word and PDF are both made of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from eduq.bulletins.formats import format_date, format_value, say
from eduq.bulletins.render import capitalise, section_number
from eduq.bulletins.word_fit import ACROSS, UPRIGHT, fit_table
from eduq.locale import Lang, text

__all__ = ["Part", "Run", "arrange_parts", "plain_text", "say_plainly"]

Part = dict[str, Any]
Run = tuple[str, bool]
"""Text and whether it is emphasised."""
_EMPHASIS = re.compile(r"\*\*(.+?)\*\*")
_STAR = "\ue000"
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def plain_text(runs: Iterable[Run]) -> str:
    """Return the words of runs."""
    return "".join(shown for shown, _ in runs)


def say_plainly(value: Any, lang: Lang) -> str:
    """Return a phrase, or text of the data, as plain words that fit into XML."""
    shown = value if isinstance(value, str) else say(value, lang, lambda part: part.replace("*", _STAR))
    return _NOT_XML.sub("", (shown if isinstance(value, str) else _EMPHASIS.sub(r"\1", shown)).replace(_STAR, "*"))


class _Speaker:
    """Says phrases in the language of the document; knows how wide its page is."""

    def __init__(self, lang: Lang, widths: tuple[float, float] = (UPRIGHT, ACROSS)) -> None:
        self.lang = lang
        self.widths = widths

    def runs(self, said: Any, *, lead: str = "") -> list[Run]:
        plain = said if isinstance(said, str) else say(said, self.lang, lambda shown: shown.replace("*", _STAR))
        plain = _NOT_XML.sub("", lead + capitalise(plain))
        pieces = [plain] if isinstance(said, str) else _EMPHASIS.split(plain)
        return [(piece.replace(_STAR, "*"), bool(place % 2)) for place, piece in enumerate(pieces) if piece]

    def plain(self, said: Any) -> str:
        return plain_text(self.runs(said))

    def word(self, key: str, **params: Any) -> str:
        return text(f"bulletin.{key}", self.lang, **params)

    def cell(self, value: Any, kind: str) -> str:
        if isinstance(value, Mapping) and "key" in value:
            shown = say(value, self.lang, lambda shown: shown.replace("*", _STAR))
            return _NOT_XML.sub("", _EMPHASIS.sub(r"\1", shown).replace(_STAR, "*"))
        return _NOT_XML.sub("", format_value(value, kind, self.lang))


def arrange_parts(context: dict[str, Any], *, upright: float = UPRIGHT, across: float = ACROSS) -> dict[str, Any]:
    """Return the bulletin as printed words in the order of an official document.

    Parameters
    ----------
    context
        What `eduq.bulletins.build_context` gives.
    upright, across
        Width of the text in points, on a page as it stands and turned.

    Returns
    -------
    dict
        ``lang``, ``audience``, ``draft`` (the mark, or None), ``title``, ``document_no``, ``issuer`` and ``parts``:
        dictionaries of ``kind`` (heading, text, note, fill, item, figures, table, figure, attachments, closing, annex) and
        what the kind needs; ``turned`` says that a part stands on a page turned. Strings, numbers and lists only.
    """
    speak = _Speaker(context["meta"]["lang"], (upright, across))
    meta = context["meta"]
    parts = _opening(context, speak)
    for section in context["sections"]:
        heading = speak.runs(section["heading"], lead=section_number(section["number"], speak.lang))
        parts.append({"kind": "heading", "level": section["level"], "runs": heading})
        parts.extend(_blocks(section["blocks"], speak))
    parts.extend(_ending(context, speak))
    body = _turn_headings(parts)
    for annex in context.get("annexes") or []:
        body.extend(_annex(annex, speak))
    body.extend(_certificate(context, speak, _turned(body)))
    if meta.get("draft"):
        body.append(_said("note", [(speak.word("provenance.foot"), False)], tone="plain", turned=_turned(body)))
    return {
        "lang": speak.lang,
        "audience": speak.plain(meta["audience"]),
        "draft": speak.word("draft") if meta.get("draft") else None,
        "title": speak.plain(meta["title"]),
        "document_no": _NOT_XML.sub("", meta.get("document_no") or "") or None,
        "issuer": _NOT_XML.sub("", meta.get("issuer") or "") or None,
        "parts": body,
    }


def _said(kind: str, runs: list[Run], **more: Any) -> Part:
    return {"kind": kind, "runs": runs, **more}


def _turned(parts: list[Part]) -> bool:
    return bool(parts) and bool(parts[-1].get("turned"))


def _opening(context: dict[str, Any], speak: _Speaker) -> list[Part]:
    """Return what stands before the first section: addressees, introduction, the main figures and what is assumed."""
    meta = context["meta"]
    colon = "：" if speak.lang == "zh" else ":"
    named = meta.get("recipients") or speak.word("fill.recipients")
    parts = [_said("recipients", [*speak.runs(named), (colon, False)])]
    parts.extend(_said("text", speak.runs(said)) for said in context.get("intro") or [])
    dated = speak.word("byline.date", date=format_date(meta["date"], speak.lang)) if meta.get("date") else None
    lines = [meta.get("byline") or dated or speak.word("byline.no_date"), meta.get("data_line")]
    parts.extend(_said("note", speak.runs(line), tone="plain") for line in lines if line)
    if context.get("headline"):
        shown = [[speak.plain(figure["value"]), speak.plain(figure["label"])] for figure in context["headline"]]
        parts.append({"kind": "figures", "title": speak.word("headline_title"), "rows": shown})
    if context.get("premises"):
        parts.append(_said("note", [(speak.word("premises_title"), True)], tone="plain"))
        parts.extend(_said("note", speak.runs(said), tone="plain") for said in context["premises"])
    return parts


def _ending(context: dict[str, Any], speak: _Speaker) -> list[Part]:
    parts: list[Part] = []
    if context.get("attachments"):
        named = [f"{number}. {speak.plain(said)}" for number, said in enumerate(context["attachments"], start=1)]
        parts.append({"kind": "attachments", "title": speak.word("attachments"), "names": named})
    parts.extend(_said("closing", speak.runs(said)) for said in context.get("closing") or [])
    if context["meta"].get("cc"):
        parts.append(_said("note", [(speak.word("paper.cc", names=say(context["meta"]["cc"], speak.lang)), False)], tone="plain"))
    return parts


def _annex(annex: dict[str, Any], speak: _Speaker) -> list[Part]:
    """Return an annex on a page of its own; one wide table turns the whole annex."""
    blocks = _blocks(annex["blocks"], speak)
    turned = any(part.get("turned") for part in blocks)
    label = speak.word("annex_label", n=annex["number"])
    return [
        part | {"turned": turned} for part in ({"kind": "annex", "label": label, "runs": speak.runs(annex["heading"])}, *blocks)
    ]


def _certificate(context: dict[str, Any], speak: _Speaker, turned: bool) -> list[Part]:
    """Return the certificate of disclosure control, as far as the document carries one."""
    found = context.get("certificate")
    if not found:
        return []
    told = [*found["lines"], *([found["foot"]] if found["foot"] else [])]
    notes = [_said("note", speak.runs(said), tone="plain", turned=turned) for said in told]
    return [_said("heading", speak.runs(found["heading"]), level=2, turned=turned), *notes]


def _turn_headings(parts: list[Part]) -> list[Part]:
    """Return the parts with a heading turned where it leads straight to a turned table, so that it does not stay behind."""
    for place in range(len(parts) - 2, -1, -1):
        if parts[place]["kind"] == "heading" and parts[place + 1].get("turned"):
            parts[place]["turned"] = True
    return parts


def _blocks(blocks: Iterable[dict[str, Any]], speak: _Speaker) -> list[Part]:
    parts: list[Part] = []
    for block in blocks:
        kind = block["type"]
        if kind == "table":
            parts.extend(_table(block, speak))
        elif kind == "figure":
            parts.append(_figure(block, speak))
        elif kind == "list":
            for number, said in enumerate(block["items"], start=1):
                lead = f"{number}. " if block["ordered"] else ""
                parts.append(_said("item", speak.runs(said, lead=lead), bullet=not block["ordered"]))
        elif kind == "note":
            parts.append(_said("note", speak.runs(block["text"]), tone=block["tone"]))
        elif kind == "to_fill":
            parts.append(_said("fill", speak.runs(block["text"])))
        else:
            parts.append(_said("text", speak.runs(block["text"])))
    return parts


def _table(block: dict[str, Any], speak: _Speaker) -> list[Part]:
    """Return a table as one part, or as several where its columns do not fit a turned page."""
    columns = [
        {"label": speak.plain(column["label"]), "align": column["align"], "soft": column["soft"]} for column in block["columns"]
    ]
    kinds = [column["kind"] for column in block["columns"]]
    rows = [[speak.cell(value, kind) for value, kind in zip(row["cells"], kinds, strict=True)] for row in block["rows"]]
    roles = [row["role"] for row in block["rows"]]
    pieces = fit_table(columns, rows, upright=speak.widths[0], across=speak.widths[1])
    parts = []
    for number, piece in enumerate(pieces, start=1):
        caption = speak.plain(block["caption"])
        if len(pieces) > 1:
            caption += speak.word("paper.piece", n=number, of=len(pieces))
        parts.append(
            {
                "kind": "table",
                "label": speak.word("table_label", n=block["number"]),
                "caption": caption,
                "columns": [columns[place] for place in piece.places],
                "rows": [[row[place] for place in piece.places] for row in rows],
                "roles": roles,
                "widths": [round(width, 1) for width in piece.widths],
                "size": piece.size,
                "turned": piece.turned,
                "notes": [speak.plain(said) for said in block["notes"]] if number == len(pieces) else [],
            }
        )
    return parts


def _figure(block: dict[str, Any], speak: _Speaker) -> Part:
    stated = ""
    if block.get("table_number"):
        gap = "" if speak.lang == "zh" else " "
        stated = gap + speak.word("data_in", table=speak.word("table_label", n=block["table_number"]))
    return {
        "kind": "figure",
        "label": speak.word("figure_label", n=block["number"]),
        "title": speak.plain(block["title"]),
        "caption": speak.plain(block["caption"]) + stated,
        "alt": speak.plain(block["alt"]),
        "svg": block["svg_wide"],
    }
