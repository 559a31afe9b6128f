"""A draft of a layout file from what was made of a file's columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl

from eduq.intake.drafts import toml_value
from eduq.intake.layouts import shipped_layouts
from eduq.intake.questions import Asked
from eduq.intake.synonyms import normalise_header, vocabulary
from eduq.locale import Lang, text

__all__ = ["draft_layout", "generalise"]

_TOTAL = "total"
_MOST_FIELDS = 6
_DRAFT_ID = "my-layout"


def generalise(written: str, became: str) -> str:
    """Return a header with ``{subject}`` where it names the paper it became.

    Examples
    --------
    >>> generalise("语文/得分", "chinese"), generalise("物理赋分", "physics_scaled"), generalise("姓名", "name")
    ('{subject}/得分', '{subject}赋分', '姓名')
    """
    words = vocabulary()
    code = became.removesuffix("_scaled").removesuffix("_class")
    parts = [_without_full_mark(part) for part in written.split("/")]
    if code not in words.subjects or code == _TOTAL:
        return "/".join(parts)
    whole = [place for place, part in enumerate(parts) if words.subject(part) == code]
    if whole:
        parts[whole[0]] = "{subject}"
        return "/".join(parts)
    entry = words.raw["subjects"][code]
    variants = sorted((one for one in [*entry.get("seen", []), *entry.get("extra", [])] if len(one) > 1), key=len, reverse=True)
    for place, part in enumerate(parts):
        for variant in variants:
            if variant in part:
                parts[place] = part.replace(variant, "{subject}", 1)
                return "/".join(parts)
    return "/".join(parts)


def _without_full_mark(part: str) -> str:
    plain, mark = normalise_header(part)
    return part if mark is None else plain


def _value(became: str, pattern: str) -> str:
    if "{subject}" not in pattern:
        return became
    suffix = next((end for end in ("_scaled", "_class") if became.endswith(end)), "")
    return "{subject}" + suffix


def draft_layout(columns: pl.DataFrame, sheets: pl.DataFrame, asked: Sequence[Asked] = (), *, lang: Lang = "zh") -> str | None:
    """Return a layout file that fits the first of some sheets, None when there is none.

    Parameters
    ----------
    columns
        file, sheet, column, became of the columns that are used.
    sheets
        file, sheet, layout, header_from, header_to of the sheets that were read; the first is drafted from.
    asked
        Columns that nobody has explained yet; they stand in the draft as remarks.
    lang
        Language of the remarks.
    """
    read = sheets.filter(pl.col("header_from").is_not_null())
    return "\n".join([*_lines(columns, read.row(0, named=True), asked, lang), ""]) if read.height else None


def _lines(columns: pl.DataFrame, sheet: dict[str, object], asked: Sequence[Asked], lang: Lang) -> Iterator[str]:
    def say(key: str) -> str:
        return "# " + text(f"draft.layout.{key}", lang)

    here = (pl.col("file") == sheet["file"]) & pl.col("sheet").eq_missing(pl.lit(sheet["sheet"], pl.String))
    used: dict[str, str] = {}
    for written, became in (
        columns.filter(here & (pl.col("column") != "")).select("column", "became").unique(maintain_order=True).rows()
    ):
        pattern = generalise(written, became)
        used.setdefault(pattern, _value(became, pattern))
    depth = int(str(sheet["header_to"])) - int(str(sheet["header_from"])) + 1
    named = str(sheet["file"]).rsplit("/", 1)[-1].rsplit(".", 1)[0]
    yield say("lead")
    yield "schema = 1"
    yield f'id = "{_DRAFT_ID}"  {say("id")}'
    yield "version = 1"
    known = {layout.id: layout.shape for layout in shipped_layouts()}
    yield f"shape = {toml_value(known.get(str(sheet['layout']), 'wide'))}"
    yield f"source = {toml_value(named)}  {say('source')}"
    yield f"name = {{ zh = {toml_value(named)}, en = {toml_value(_DRAFT_ID)} }}"
    yield ""
    yield "[signature]"
    yield say("signature")
    fields = [header for header in used if "{subject}" not in header][:_MOST_FIELDS]
    subjects = [header for header in used if "{subject}" in header]
    yield f"must = [{', '.join(toml_value(header) for header in (*fields, *subjects))}]"
    yield f"depth = {depth}" if depth <= 3 else say("depth")
    yield ""
    yield "[columns]"
    yield say("columns")
    for pattern, value in used.items():
        yield f"{toml_value(pattern)} = {toml_value(value)}"
    for one in asked:
        if one.section == "columns":
            yield f"# {toml_value(one.key)} = {toml_value(one.near or 'ignore')}  {say('unknown')}"
