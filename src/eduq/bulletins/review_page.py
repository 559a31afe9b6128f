"""The review page as one HTML file: plain tables without a script, tables to explore with it; no other file, no address."""

from __future__ import annotations

import html
import json
from typing import Any

from eduq.bulletins.formats import format_date, say
from eduq.bulletins.render import capitalise, css_string
from eduq.bulletins.review_columns import Column, shown_number
from eduq.locale import Lang, text
from eduq.resources import package_path

__all__ = ["render_review"]

_LANG_TAGS = {"zh": "zh-CN", "en": "en"}
_DASH = "\u00a0\u2014\u00a0"
_WORDS = (
    *("all", "all_of", "colon", "drawn", "interval", "measure", "open_why", "place_of", "searched", "semicolon"),
    *("sorted_down", "sorted_up", "status", "value", "what"),
)
"""Words of the page's script; their placeholders are filled there."""
_HEADS = ("drawn", "interval", "measure", "value", "what")
_PLAIN_MEASURES = 6
"""So many measures stand in the tables without a script; the others are in the workbook."""
_OPEN = {name: f"{{{name}}}" for name in ("n", "whole", "first", "last", "page", "pages", "what")}


def render_review(context: dict[str, Any]) -> str:
    """Return the review page.

    Parameters
    ----------
    context
        What `eduq.bulletins.review.build_review` gives.
    """
    from jinja2 import FileSystemLoader, StrictUndefined
    from jinja2.sandbox import SandboxedEnvironment
    from markupsafe import Markup

    lang: Lang = context["meta"]["lang"]
    folder = package_path("bulletins", "templates")
    environment = SandboxedEnvironment(
        loader=FileSystemLoader(folder), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    style = environment.get_template("bulletin.css").render(
        audience=Markup(css_string(say(context["meta"]["audience"], lang))),
        draft=Markup(css_string(text("bulletin.draft", lang))),
    )
    words = {name: text(f"review.{name}", lang, **_OPEN) for name in _WORDS} | {"nothing": text("bulletin.cell.nothing", lang)}
    words |= {name: capitalise(words[name]) for name in _HEADS}
    return environment.get_template("review.html").render(
        meta=context["meta"],
        intro=context["intro"],
        lang_tag=_LANG_TAGS[lang],
        style=Markup(style),
        review_style=Markup((folder / "review.css").read_text(encoding="utf-8")),
        script=Markup((folder / "review.js").read_text(encoding="utf-8")),
        data=Markup(_embedded(context["data"] | {"words": words})),
        plain=[_plain_table(table, context["data"], lang, Markup) for table in context["data"]["tables"]],
        said=lambda value: say(value, lang).replace("**", ""),
        word=lambda key, **params: text(key, lang, **params),
        date=lambda value: format_date(value, lang),
    )


def _embedded(data: dict[str, Any]) -> str:
    """Return data as JSON that cannot end the element it stands in."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def _plain_table(table: dict[str, Any], data: dict[str, Any], lang: Lang, markup: Any) -> dict[str, Any]:
    """Return a table as it stands without the script: all columns, the first measure with its interval, then some others.

    A table of years has a column per year instead: the first measure alone.
    """
    if "across" in table:
        return _across(table, data, lang, markup)
    heads = [column["label"] for column in table["columns"]]
    measures = table["measures"][:_PLAIN_MEASURES]
    for place, measure in enumerate(measures):
        heads += [measure["label"], text("review.interval", lang)] if place == 0 else [measure["label"]]
    nothing = text("bulletin.cell.nothing", lang)
    parts = [_cells(column, data, lang) for column in table["columns"]]
    for place, measure in enumerate(measures):
        parts.append(_values(measure, data, nothing))
        if place == 0:
            parts.append(_intervals(measure, nothing))
    rows = "\n".join(f"<tr>{''.join(cells)}</tr>" for cells in zip(*parts, strict=True))
    return {"label": table["label"], "note": table["note"], "heads": heads, "rows": markup(rows)}


def _across(table: dict[str, Any], data: dict[str, Any], lang: Lang, markup: Any) -> dict[str, Any]:
    """Return a table with one row per school and subject and a column for each value of what lies across."""
    across = next(column for column in table["columns"] if column["id"] == table["across"])
    kept = [column for column in table["columns"] if column is not across and column["kind"] != "count"]
    measure = table["measures"][0]
    nothing = text("bulletin.cell.nothing", lang)
    shown = _values(measure, data, nothing)
    rows: dict[tuple[str, ...], dict[int, str]] = {}
    labels = zip(*(_cells(column, data, lang) for column in kept), strict=True)
    for row, label in enumerate(labels):
        rows.setdefault(label, {})[across["at"][row]] = shown[row]
    order = sorted(range(len(across["values"])), key=lambda place: str(across["values"][place]))
    empty = f'<td class="right">{nothing}</td>'
    lines = [f"<tr>{''.join(label)}{''.join(cells.get(at, empty) for at in order)}</tr>" for label, cells in rows.items()]
    heads = [column["label"] for column in kept] + [across["values"][place] for place in order]
    label = table["label"] + text("review.colon", lang) + measure["label"]
    return {"label": label, "note": table["note"], "heads": heads, "rows": markup("\n".join(lines))}


def _cells(column: Column, data: dict[str, Any], lang: Lang) -> list[str]:
    nothing = text("bulletin.cell.nothing", lang)
    if column["kind"] == "unit":
        names = [html.escape(name) for _, name, _ in data["units"]]
        return [f'<th scope="row">{names[at]}</th>' for at in column["at"]]
    if column["kind"] == "link":
        said = text("review.open_why", lang)
        return [f'<td><a href="{html.escape(at)}">{said}</a></td>' for at in column["at"]]
    if column["kind"] == "count":
        return [f'<td class="right">{nothing if at is None else shown_number(at, "count")}</td>' for at in column["at"]]
    values = [html.escape(value) for value in column["values"]]
    return [f"<td>{nothing if at is None else values[at]}</td>" for at in column["at"]]


def _values(measure: Column, data: dict[str, Any], nothing: str) -> list[str]:
    cells = []
    for row, value in enumerate(measure["value"]):
        shown = shown_number(value, measure["kind"])
        if shown is None:
            reason = measure["reason"].get(row)
            shown = nothing if reason is None else html.escape(data["reasons"][reason][0])
        cells.append(f'<td class="right">{shown}</td>')
    return cells


def _intervals(measure: Column, nothing: str) -> list[str]:
    cells = []
    for pair in zip(measure["lower"], measure["upper"], strict=True):
        ends = [shown_number(end, measure["kind"]) for end in pair]
        known = [end for end in ends if end is not None]
        cells.append(f'<td class="soft right">{_DASH.join(known) if len(known) == 2 else nothing}</td>')
    return cells
