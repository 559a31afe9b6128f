"""The tables of a bulletin context as a workbook: one sheet each, numbers as numbers, texts never formulas."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eduq.bulletins.formats import format_value, say
from eduq.locale import Lang, text

if TYPE_CHECKING:
    from xlsxwriter import Workbook
    from xlsxwriter.format import Format

__all__ = ["write_table_book"]

_FORMATS = {
    "count": "#,##0",
    "full": "0.#",
    "score": "0.0",
    "percent": "0.0%",
    "rate": "0.0%",
    "level": "0%",
    "change": '+0.0%;"\u2212"0.0%;0.0%',
    "gap": '+0.00;"\u2212"0.00;0.00',
    "gap3": '+0.000;"\u2212"0.000;0.000',
    "number1": "0.0",
    "number2": "0.00",
    "number3": "0.000",
    "number4": "0.0000",
}
_CREATED = dt.datetime(2000, 1, 1)
_SHEET_NAME, _WIDEST = 31, 44


def _parts(kind: str) -> int:
    """Return how many columns of the sheet a column of the table takes."""
    return 2 if kind == "base" or kind.startswith("interval_") else 1


def _width(shown: str) -> float:
    return sum(2 if ord(sign) > 0x2E7F else 1 for sign in shown)


class _Book:
    """The open workbook with its formats."""

    def __init__(self, book: Workbook, lang: Lang) -> None:
        self.book = book
        self.lang: Lang = lang
        self.head = book.add_format({"bold": True, "bottom": 1, "text_wrap": True, "valign": "bottom"})
        self.title = book.add_format({"bold": True})
        self.formats: dict[str, Format] = {kind: book.add_format({"num_format": shown}) for kind, shown in _FORMATS.items()}
        self.names: set[str] = set()

    def _sheet_name(self, shown: str) -> str:
        plain = "".join("_" if sign in "[]:*?/\\'" else sign for sign in shown)
        short, n = plain[:_SHEET_NAME], 1
        while short.casefold() in self.names:
            n += 1
            short = plain[: _SHEET_NAME - 3] + f" {n}"
        self.names.add(short.casefold())
        return short

    def add(self, table: Mapping[str, Any]) -> None:
        """Add a table with its caption, head and remarks; the head stays when the sheet is scrolled."""
        caption = say(table["caption"], self.lang).replace("**", "")
        sheet = self.book.add_worksheet(self._sheet_name(f"{table['number']} {caption}"))
        sheet.write_string(0, 0, caption, self.title)
        place, widths = 0, []
        for found in table["columns"]:
            label = say(found["label"], self.lang)
            heads = [label]
            if _parts(found["kind"]) == 2:
                base = found["kind"] == "base"
                names = ("n_present", "n_expected") if base else ("interval_lower", "interval_upper")
                heads = [text(f"bulletin.book.{name}", self.lang, name=label) for name in names]
            for label in heads:
                sheet.write_string(1, place, label, self.head)
                widths.append(_width(label))
                place += 1
        for number, line in enumerate(table["rows"], start=2):
            place = 0
            for value, found in zip(line["cells"], table["columns"], strict=True):
                self._cell(sheet, number, place, value, found["kind"])
                if not place and isinstance(value, (str, Mapping)):
                    widths[0] = max(widths[0], _width(format_value(value, "words", self.lang)))
                place += _parts(found["kind"])
        for place, width in enumerate(widths):
            sheet.set_column(place, place, min(_WIDEST, max(9, width + 2)))
        for number, remark in enumerate(table["notes"], start=len(table["rows"]) + 3):
            sheet.write_string(number, 0, say(remark, self.lang).replace("**", ""))
        sheet.freeze_panes(2, 1)
        sheet.set_landscape()
        sheet.set_paper(9)
        sheet.repeat_rows(0, 1)
        sheet.fit_to_pages(1, 0)

    def _cell(self, sheet: Any, number: int, place: int, value: Any, kind: str) -> None:
        if isinstance(value, Mapping) and "kind" in value and "value" in value:
            value, kind = value["value"], value["kind"]
        if value is None:
            return
        plain = kind.removeprefix("interval_")
        if isinstance(value, (list, tuple)) and len(value) == 2 and all(isinstance(part, (int, float)) for part in value):
            for step, part in enumerate(value):
                sheet.write_number(number, place + step, part, self.formats.get("count" if kind == "base" else plain))
        elif isinstance(value, (int, float)) and not isinstance(value, bool) and plain in self.formats:
            sheet.write_number(number, place, value, self.formats[plain])
        else:
            sheet.write_string(number, place, format_value(value, kind, self.lang).replace("**", ""))


def write_table_book(context: Mapping[str, Any], path: Path) -> None:
    """Write the tables of a bulletin as an Excel workbook.

    An interval stands in two columns, lower and upper bound; a base in two, present and expected. The same context gives the
    same bytes.

    Parameters
    ----------
    context
        Bulletin context, version 1; a document without a table gives a sheet with its title.
    path
        The file; it appears when it is complete.
    """
    import xlsxwriter

    lang: Lang = context["meta"]["lang"]
    unfinished = path.with_name(f".{path.name}.part")
    options = {"strings_to_urls": False, "strings_to_formulas": False, "strings_to_numbers": False, "in_memory": True}
    book = xlsxwriter.Workbook(str(unfinished), options)
    try:
        audience = say(context["meta"]["audience"], lang)
        title = say(context["meta"]["title"], lang)
        book.set_properties({"title": title, "subject": audience, "author": context["meta"]["issuer"] or "", "created": _CREATED})
        writer = _Book(book, lang)
        parts = [*context["sections"], *context["annexes"]]
        tables = [block for part in parts for block in part["blocks"] if block["type"] == "table"]
        for table in tables:
            writer.add(table)
        if not tables:
            book.add_worksheet().write_string(0, 0, title)
        for sheet in book.worksheets():
            sheet.set_header(f"&L{audience.replace('&', '&&')}&R&A")
        book.close()
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
