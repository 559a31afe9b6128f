"""The bulletin as PDF in the form of an official document, set by typst (extra ``pdf``)."""

from __future__ import annotations

import json
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from eduq.bulletins.formats import format_date
from eduq.bulletins.template_folder import PDF_TEMPLATE, TemplateFolder
from eduq.bulletins.word_figures import find_chinese_fonts, paper_svg
from eduq.bulletins.word_fit import ACROSS, UPRIGHT
from eduq.bulletins.word_parts import Part, arrange_parts, say_plainly
from eduq.errors import UsageError
from eduq.resources import package_path

__all__ = ["check_pdf", "write_pdf"]

_TALLEST = {False: 500.0, True: 330.0}
_VIEW = re.compile(r'viewBox="0 0 ([\d.]+) ([\d.]+)"')
_FONT = 'font-family="sans-serif"'
_FONTS = 'font-family="Noto Sans CJK SC, Source Han Sans SC, Microsoft YaHei, SimHei, PingFang SC, sans-serif"'


def check_pdf() -> None:
    """Stop where the library that sets the PDF is not installed.

    Raises
    ------
    UsageError
        ``paper_library_missing``.
    """
    if find_spec("typst") is None:
        raise UsageError("paper_library_missing", library="typst", format="pdf")


def write_pdf(context: dict[str, Any], path: Path, *, templates: TemplateFolder | None = None) -> None:
    """Write the bulletin as PDF.

    Parameters
    ----------
    context
        What `eduq.bulletins.build_context` gives.
    path
        File to write. The same context gives the same bytes on a machine with the same fonts.
    templates
        Local templates; one with a bulletin.typ sets the PDF.

    Raises
    ------
    SettingsError
        ``template_broken``, ``template_syntax``, ``template_missing``, ``template_unsafe``, ``template_outside``: a local
        template, with its line.
    UsageError
        ``paper_library_missing``: install the extra ``pdf``. ``paper_font_missing``: no font here draws Chinese.
        ``paper_unwritable``: typst could not set the page.
    """
    check_pdf()
    import typst

    if not find_chinese_fonts():
        raise UsageError("paper_font_missing", format="pdf")
    paper = arrange_parts(context)
    groups: list[dict[str, Any]] = [{"turned": False, "parts": []}]
    for part in paper.pop("parts"):
        turned = bool(part.get("turned"))
        first = turned != groups[-1]["turned"]
        if first:
            groups.append({"turned": turned, "parts": []})
        groups[-1]["parts"].append(_prepared(part, first))
    paper["groups"] = groups
    if templates is not None and templates.content(PDF_TEMPLATE) is not None:
        from eduq.bulletins.typst_folder import set_local

        given = {"paper": paper | {"meta": _plain_meta(context)}, "context": _without_pictures(context)}
        set_local(templates, {name: json.dumps(value, ensure_ascii=False) for name, value in given.items()}, path)
        return
    try:
        typst.compile(
            str(package_path("bulletins", "templates", "bulletin.typ")),
            output=str(path),
            sys_inputs={"paper": json.dumps(paper, ensure_ascii=False)},
            timestamp=0,
        )
    except typst.TypstError as problem:
        raise UsageError("paper_unwritable", format="pdf", problem=str(problem)) from problem


def _plain_meta(context: dict[str, Any]) -> dict[str, Any]:
    """Return what the context says of the document as words; lists stay lists, what is not there is None."""
    meta = context["meta"]
    lang = meta["lang"]

    def plain(value: Any) -> Any:
        if value is None or isinstance(value, bool):
            return value
        return [plain(one) for one in value] if isinstance(value, list) else say_plainly(value, lang)

    found = {name: plain(value) for name, value in meta.items()}
    return found | {"date": format_date(meta["date"], lang) if meta.get("date") else None}


def _without_pictures(value: Any) -> Any:
    """Return the context without its drawings, which the parts hold already."""
    if isinstance(value, dict):
        return {name: _without_pictures(one) for name, one in value.items() if not name.startswith("svg_")}
    return [_without_pictures(one) for one in value] if isinstance(value, list | tuple) else value


def _prepared(part: Part, first: bool) -> Part:
    """Return a part as the template takes it: a figure in black and grey, told whether its height bounds it."""
    if part["kind"] == "annex":
        return part | {"first": first}
    if part["kind"] != "figure":
        return part
    svg = paper_svg(part["svg"]).replace(_FONT, _FONTS)
    view = _VIEW.search(svg)
    turned = bool(part.get("turned"))
    tall = view is not None and float(view[2]) / float(view[1]) * (ACROSS if turned else UPRIGHT) > _TALLEST[turned]
    return part | {"svg": svg, "tall": tall}
