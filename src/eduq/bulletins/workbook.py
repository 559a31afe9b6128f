"""tables.xlsx: every table whole, numbers as numbers."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from eduq.bulletins.annexes import band_counts, definition_list
from eduq.bulletins.basics import data_line, premises, reject_words
from eduq.bulletins.checks import check_sentences
from eduq.bulletins.comparison_sheets import add_comparison_sheets
from eduq.bulletins.equity_sheets import add_equity_sheets
from eduq.bulletins.formats import format_value, measure_kind, phrase, say
from eduq.bulletins.growth_sheets import add_growth_sheets
from eduq.bulletins.history_sheets import add_history_sheets
from eduq.bulletins.target_sheet import add_target_sheet
from eduq.bulletins.view import View
from eduq.disclosure import Publishable
from eduq.groups import DERIVED
from eduq.locale import Lang, has_text, text
from eduq.tables import STATUSES

if TYPE_CHECKING:
    from xlsxwriter import Workbook
    from xlsxwriter.format import Format

    from eduq.bulletins.sheets import SheetColumn

__all__ = ["SheetWriter", "write_workbook"]

_ORDER = ("area", "township", "cluster", "area_type", "school", "sex", "class", "teacher")
_WITH_INTERVAL = (
    "mean_score",
    "z_mean",
    "composite_z",
    "composite_penalised",
    "excellent_rate",
    "pass_rate",
    "low_score_rate",
    "all_pass_rate",
    "bottom30_share",
)
_BASED = {name: place for place, name in enumerate(("mean_score", "composite_z", "all_pass_rate", "z_mean", "score_rate"))}
"""Measures whose n is the base of a row, the first there is."""
_BESIDE_AREA = frozenset({"z_mean", "t_mean", "composite_z", "above_mean_ratio", "mean_ratio", "percentile_rank"})
"""Measures that set a unit beside its area."""
_FORMATS = {
    "count": "#,##0",
    "score": "0.00",
    "rate": "0.0%",
    "change": '+0.0%;"\u2212"0.0%;0.0%',
    "gap": '+0.00;"\u2212"0.00;0.00',
    "number1": "0.0",
    "number2": "0.00",
    "number3": "0.000",
    "number4": "0.0000",
}
_CREATED = dt.datetime(2000, 1, 1)
_MOST_ROWS = 1_000_000
_SHEET_NAME = 31


class SheetWriter:
    """The open workbook with what every sheet needs."""

    def __init__(self, view: View, book: Workbook) -> None:
        self.view = view
        self.book = book
        self.head = book.add_format({"bold": True, "bottom": 1, "text_wrap": True, "valign": "bottom"})
        self.formats: dict[str, Format] = {kind: book.add_format({"num_format": shown}) for kind, shown in _FORMATS.items()}
        self.names: set[str] = set()

    def word(self, key: str, **params: object) -> str:
        """Return a word of the bulletin."""
        return text(f"bulletin.{key}", self.view.lang, **params)

    def add(self, name: str, frame: pl.DataFrame, columns: list[SheetColumn], *, fixed: int = 1) -> None:
        """Add a frame as a sheet, or as several where a sheet cannot hold it."""
        from eduq.bulletins.sheets import FrameSheet

        for number, start in enumerate(range(0, max(len(frame), 1), _MOST_ROWS), start=1):
            sheet = self.book.add_worksheet(self._sheet_name(name, number), FrameSheet)
            sheet.set_frame(frame.slice(start, _MOST_ROWS), columns, self.head, fixed=fixed)

    def _sheet_name(self, name: str, number: int) -> str:
        plain = "".join("_" if sign in "[]:*?/\\'" else sign for sign in name)
        ending = f" {number}" if number > 1 else ""
        short, n = plain[: _SHEET_NAME - len(ending)] + ending, 1
        while short.casefold() in self.names:
            n += 1
            short = plain[: _SHEET_NAME - 3] + f" {n}"
        self.names.add(short.casefold())
        return short

    def number(self, name: str, head: str, kind: str, width: float = 10) -> SheetColumn:
        """Return a column of numbers."""
        from eduq.bulletins.sheets import SheetColumn

        return SheetColumn(name, head, self.formats[kind], width)

    def words(self, name: str, head: str, width: float = 14) -> SheetColumn:
        """Return a column of text."""
        from eduq.bulletins.sheets import SheetColumn

        return SheetColumn(name, head, None, width)


def write_workbook(publishable: Publishable, lang: Lang, path: Path) -> None:
    """Write tables.xlsx: one sheet per unit type, score bands, data quality and definitions.

    Parameters
    ----------
    publishable
        The results an edition may show.
    lang
        Language of heads and sheet names.
    path
        The file; it appears when it is complete. The same results give the same bytes.
    """
    import xlsxwriter

    path = Path(path)
    view = View(publishable, lang)
    unfinished = path.with_name(f".{path.name}.part")
    options = {"strings_to_urls": False, "strings_to_formulas": False, "strings_to_numbers": False, "in_memory": True}
    book = xlsxwriter.Workbook(str(unfinished), options)
    try:
        audience = say(phrase(f"bulletin.audience.{publishable.edition}"), lang)
        title = say(publishable.exam.exam.name or phrase("bulletin.workbook.title"), lang)
        book.set_properties({"title": title, "subject": audience, "author": publishable.settings.issuer, "created": _CREATED})
        writer = SheetWriter(view, book)
        for unit_type in [*_ORDER, *(name for name in view.unit_types if name not in _ORDER)]:
            if unit_type in view.unit_types:
                _add_units(writer, unit_type)
        add_growth_sheets(writer)
        add_target_sheet(writer)
        add_comparison_sheets(writer)
        add_equity_sheets(writer)
        add_history_sheets(writer)
        _add_bands(writer)
        _add_quality(writer)
        _add_definitions(writer)
        for sheet in book.worksheets():
            sheet.set_landscape()
            sheet.set_paper(9)
            sheet.repeat_rows(0)
            sheet.fit_to_pages(1, 0)
            sheet.set_header(f"&L{audience.replace('&', '&&')}&R&A")
        book.close()
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


# ---- units ------------------------------------------------------------------------------------------------------------


def _wide(view: View, unit_type: str, measures: list[str]) -> pl.DataFrame:
    """Return one row per unit, comparison group and paper: counts, a column per measure, bounds, reasons for missing numbers.

    ``n`` is the base of the row's mean: of the mean score, of the composite, or of passing every paper.
    """
    frame = view.of(unit_type)
    keys = ["unit", "comparison_group", "paper"]
    index = pl.col("measure").replace_strict({name: i for i, name in enumerate(measures)}, default=None, return_dtype=pl.Int64)
    known = frame.with_columns(index.alias("_m")).filter(pl.col("_m").is_not_null())
    based = pl.col("measure").replace_strict(_BASED, default=len(_BASED), return_dtype=pl.Int64)
    of_results = pl.col("measure") != "participation_rate"
    own = pl.col("n").filter(of_results).sort_by(based.filter(of_results)).first()
    wide = known.group_by(keys).agg(pl.col("n_expected", "n_present").max(), own)
    for number, measure in enumerate(measures):
        wanted = ["estimate", *(["ci_lower", "ci_upper"] if measure in _WITH_INTERVAL else [])]
        part = known.filter(pl.col("_m") == number).select(*keys, *(pl.col(name).alias(f"{measure}:{name}") for name in wanted))
        if unit_type == "area" and measure in _BESIDE_AREA:  # the area beside itself says nothing
            part = part.with_columns(pl.lit(None, pl.Float64).alias(f"{measure}:{name}") for name in wanted)
        wide = wide.join(part, on=keys, how="left")
    reasons = (
        known.filter(pl.col("estimate").is_null() & pl.col("reason").is_not_null())
        .group_by(keys)
        .agg(pl.col("reason").unique().sort())
    )
    return wide.join(reasons, on=keys, how="left")


def _add_units(writer: SheetWriter, unit_type: str) -> None:
    view = writer.view
    present = set(view.of(unit_type)["measure"].unique())
    measures = [name for name in view.pub.measures if name in present] + sorted(present - set(view.pub.measures))
    wide = _wide(view, unit_type, measures)
    if unit_type == "area":
        measures = [name for name in measures if name not in _BESIDE_AREA]
    frame = _named(view, unit_type, wide)
    columns = [writer.words("unit_name", writer.word("workbook.unit"), 20)]
    if unit_type not in ("area", "sex", "area_type") and not unit_type.startswith("sub_"):
        columns.insert(0, writer.words("unit", writer.word("workbook.unit_code"), 12))
    if frame["parent"].null_count() < len(frame):
        head = "class_parent" if unit_type == "class" else "parent"
        columns.append(writer.words("parent", writer.word(f"workbook.{head}"), 12))
    columns.append(writer.words("paper_name", writer.word("workbook.paper"), 12))
    if frame["group_name"].str.len_chars().sum():
        columns.append(writer.words("group_name", writer.word("workbook.group"), 18))
    fixed = len(columns)
    columns += [writer.number(name, writer.word(f"workbook.{name}"), "count", 8) for name in ("n_expected", "n_present", "n")]
    if unit_type == "area":
        frame, extra = _with_statuses(writer, frame)
        columns += extra
    kinds = {measure: measure_kind(measure, view.pub.measures.get(measure)) for measure in measures}
    columns += [writer.number(f"{measure}:estimate", view.measure_name(measure), kinds[measure]) for measure in measures]
    for measure in measures:
        if measure in _WITH_INTERVAL:
            for side in ("lower", "upper"):
                head = writer.word(f"workbook.{side}", name=view.measure_name(measure))
                columns.append(writer.number(f"{measure}:ci_{side}", head, kinds[measure]))
    columns.append(writer.words("reason", writer.word("workbook.reason"), 24))
    key = f"sheet.{unit_type}"
    sub = writer.word("sheet.sub", name=view.subgroup_name(unit_type))
    writer.add(writer.word(key) if has_text(f"bulletin.{key}") else sub, frame, columns, fixed=fixed)


def _named(view: View, unit_type: str, wide: pl.DataFrame) -> pl.DataFrame:
    """Add names, order and worded reasons."""
    lang = view.lang
    units = wide["unit"].unique()
    known = view.pub.units.filter(pl.col("unit_type") == unit_type).select("unit", "parent").unique("unit", keep="first")
    order = {unit: i for i, unit in enumerate(sorted(units, key=lambda unit: view.position(unit_type, unit)))}
    names = {unit: say(view.unit_name(unit_type, unit), lang) for unit in units}
    papers = {code: i for i, code in enumerate(view.area_groups)}
    paper_names = {code: say(view.paper_name(code), lang) for code in wide["paper"].unique()}
    reasons = {code: say(view.reason_said(code), lang) for code in wide["reason"].explode().drop_nulls().unique()}
    groups = {group: say(view.group_parts(group, whole=True), lang) for group in wide["comparison_group"].unique()}
    parents = {school: say(view.unit_name("school", school), lang) for school in known["parent"].drop_nulls().unique()}
    if unit_type == "class":
        known = known.with_columns(pl.col("parent").replace(parents))
    worded = pl.col("reason").list.eval(pl.element().replace(reasons)).list.join(text("bulletin.clause_joiner", lang))
    return (
        wide.join(known, on="unit", how="left")
        .with_columns(
            pl.col("unit").replace(names).alias("unit_name"),
            pl.col("paper").replace(paper_names).alias("paper_name"),
            pl.col("comparison_group").replace_strict(groups, return_dtype=pl.String).alias("group_name"),
            pl.col("paper").replace_strict(papers, default=len(papers), return_dtype=pl.Int64).alias("_paper"),
            worded.alias("reason"),
            pl.col("unit").replace_strict(order, return_dtype=pl.Int64).alias("_unit"),
        )
        .sort("_unit", "_paper", "comparison_group", nulls_last=True)
    )


def _with_statuses(writer: SheetWriter, frame: pl.DataFrame) -> tuple[pl.DataFrame, list[SheetColumn]]:
    columns = []
    for status in STATUSES:
        counts = writer.view.pub.statuses.filter((pl.col("status").cast(pl.String) == status) & (pl.col("count") > 0))
        if status == "present" or counts.is_empty():
            continue
        part = counts.select("comparison_group", "paper", pl.col("count").alias(f"status:{status}"))
        frame = frame.join(part, on=["comparison_group", "paper"], how="left", maintain_order="left")
        real = ~pl.col("paper").is_in([name for name in DERIVED if name not in writer.view.real_papers])
        frame = frame.with_columns(pl.when(real).then(pl.col(f"status:{status}").fill_null(0)))
        columns.append(writer.number(f"status:{status}", text(f"status.{status}", writer.view.lang), "count", 8))
    return frame, columns


# ---- bands, quality, definitions --------------------------------------------------------------------------------------


def _add_bands(writer: SheetWriter) -> None:
    view = writer.view
    width = view.settings.band_width
    rows = []
    counts = band_counts(view)
    for paper in view.area_groups:
        for group in view.area_groups[paper]:
            counted = counts.get((group, paper))
            if counted is None or (paper in DERIVED and paper not in view.real_papers) or sum(counted) < view.min_n:
                continue
            label, total = say(view.paper_label(group, paper), view.lang), sum(counted)
            rows += [
                (label, i * width, (i + 1) * width, n, n / total if total else None)
                for i, n in reversed(list(enumerate(counted)))
            ]
    schema = {"paper": pl.String, "low": pl.Int64, "high": pl.Int64, "count": pl.Int64, "share": pl.Float64}
    columns = [
        writer.words("paper", writer.word("workbook.paper")),
        writer.number("low", writer.word("workbook.band_lower"), "count", 8),
        writer.number("high", writer.word("workbook.band_upper"), "count", 8),
        writer.number("count", writer.word("workbook.count"), "count"),
        writer.number("share", writer.word("workbook.share"), "rate"),
    ]
    writer.add(writer.word("sheet.bands"), pl.DataFrame(rows, schema=schema, orient="row"), columns)


def _add_quality(writer: SheetWriter) -> None:
    view, lang = writer.view, writer.view.lang
    rows: list[tuple[str, str, str, int | None]] = [(writer.word("workbook.input"), "", say(data_line(view), lang), None)]
    rows += [(writer.word("premises_title"), "", say(said, lang), None) for said in premises(view)]
    for item in view.pub.inputs.iter_rows(named=True):
        for name, head in (("rows", "file_rows"), ("used", "used"), ("rejected", "rejected")):
            rows.append((writer.word("workbook.input"), item["file"], writer.word(f"head.{head}"), item[name]))
        rows.append((writer.word("workbook.input"), item["file"], f"SHA-256 {item['sha256']}", None))
    for item in view.pub.rejected_counts.sort("file", "code").iter_rows(named=True):
        rows.append((writer.word("workbook.reject"), item["file"], say(reject_words(item["code"]), lang), item["n"]))
    for level in ("warning", "notice", "info"):
        chosen = view.pub.checks.filter(pl.col("level").cast(pl.String) == level)
        rows += [
            (writer.word(f"workbook.level_{level}"), "", say(said, lang), None)
            for said in check_sentences(view, chosen, body=False)
        ]
    frame = pl.DataFrame(rows, schema={"kind": pl.String, "place": pl.String, "said": pl.String, "n": pl.Int64}, orient="row")
    columns = [
        writer.words("kind", writer.word("workbook.kind"), 12),
        writer.words("place", writer.word("workbook.place"), 24),
        writer.words("said", writer.word("workbook.said"), 70),
        writer.number("n", writer.word("workbook.full_rows"), "count"),
    ]
    writer.add(writer.word("sheet.quality"), frame, columns)


def _add_definitions(writer: SheetWriter) -> None:
    view, lang = writer.view, writer.view.lang
    rows = []
    for entry in definition_list(view):
        cut = entry["cut"]
        low, high = cut.get("band", (cut.get("cut"), cut.get("below")))
        shown = "—".join(format_value(value, "level", lang) for value in (low, high) if value is not None)
        rows.append(
            (
                entry["name"],
                entry["id"],
                entry["version"],
                entry["formula"],
                shown,
                text(f"measures_text.denominator_{entry['denominator']}", lang),
                ", ".join(entry["absence"]),
                entry["homonyms"],
            )
        )
    names = ["name", "code", "version", "formula", "cut", "denominator", "policy", "homonyms"]
    schema = {name: pl.Int64 if name == "version" else pl.String for name in names}
    columns = [
        writer.words("name", writer.word("workbook.name"), 20),
        writer.words("code", writer.word("workbook.code"), 20),
        writer.number("version", writer.word("workbook.version"), "count", 6),
        writer.words("formula", writer.word("head.formula"), 60),
        writer.words("cut", writer.word("head.cut"), 12),
        writer.words("denominator", writer.word("head.denominator"), 12),
        writer.words("policy", writer.word("workbook.policy"), 24),
        writer.words("homonyms", writer.word("head.warning"), 40),
    ]
    writer.add(writer.word("sheet.definitions"), pl.DataFrame(rows, schema=schema, orient="row"), columns)
