"""What ``eduq check`` prints: files, columns, what is dropped, what must be answered, drafts, the verdict."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Console
from rich.table import Table
from rich.text import Text

from eduq.cli.output import describe_check
from eduq.dry_run import CheckReport
from eduq.errors import EduqError
from eduq.intake.layouts import shipped_layouts
from eduq.locale import Lang, text

__all__ = ["report_as_json", "show_report"]

_WIDTH = 110
_MOST_ROWS = 30
_SPOKEN = ("dropped_", "assumed_", "layout_")
"""Checks that the tables above have said already, by how their codes begin."""


def show_report(report: CheckReport, written: Sequence[Path], lang: Lang, *, command: str, as_json: bool = False) -> None:
    """Print a report and end with the paths written, one plain line each (in JSON: as ``written``).

    Parameters
    ----------
    report, written
        What was found, and the drafts written.
    lang
        Language of the page.
    command
        The analysis it prepares, shown when that would run.
    as_json
        Print the report for scripts.
    """
    if as_json:
        print(
            json.dumps(report_as_json(report, lang) | {"written": [str(path) for path in written]}, ensure_ascii=False, indent=2)
        )
        return
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(file=sys.stdout, width=_WIDTH, highlight=False, color_system=None)
    _Page(console, report, command, lang).show(bool(written))
    for path in written:
        print(path)


def report_as_json(report: CheckReport, lang: Lang) -> dict[str, Any]:
    """Return a report as plain values for scripts."""
    return {
        "ready": report.ready,
        "exit_status": report.exit_status,
        "provisional": report.provisional,
        "settings": dict(report.settings),
        "files": report.inputs.to_dicts(),
        "sheets": report.sheets.to_dicts(),
        "columns": report.columns.to_dicts(),
        "rejected": report.rejected.to_dicts(),
        "checks": report.frame.to_dicts(),
        "questions": report.questions.to_dicts(),
        "errors": [_error(error, lang) for error in report.errors],
        "drafts": dict(report.drafts),
    }


def _error(error: EduqError, lang: Lang) -> dict[str, Any]:
    return {
        "code": error.code,
        "exit_status": error.exit_status,
        "place": vars(error.place),
        "message": error.message(lang),
        "hint": error.advice(lang),
    }


class _Page:
    """Prints a report from top to bottom."""

    def __init__(self, console: Console, report: CheckReport, command: str, lang: Lang) -> None:
        self.console = console
        self.report = report
        self.command = command
        self.lang = lang

    def say(self, key: str, **params: object) -> str:
        return text(f"cli.check.{key}", self.lang, **params)

    def show(self, written: bool) -> None:
        names = self.say_list(self.report.settings["paths"])
        self.console.print(Text(self.say("title", name=names), style="bold"))
        for part in (self._files, self._columns, self._dropped, self._rejected, self._notices, self._errors, self._questions):
            part()
        if not written:
            self._drafts()
        self._verdict()

    def say_list(self, words: Sequence[str]) -> str:
        return text("check.list", self.lang).join(words)

    def head(self, key: str, style: str = "bold", **params: object) -> None:
        self.console.print()
        self.console.print(Text(self.say(key, **params), style=style))

    def line(self, words: str, style: str = "") -> None:
        self.console.print(Text(f"  {words}", style=style), soft_wrap=True)

    def _files(self) -> None:
        sheets = self.report.sheets
        if sheets.height == 0:
            return
        self.head("files")
        table = self._table("file", "sheet", "layout", "header", "rows", "used", "unused", right=("rows", "used", "unused"))
        counts = {row["file"]: row for row in self.report.inputs.iter_rows(named=True)}
        last = dict(zip(sheets["file"], range(sheets.height), strict=True))
        for place, row in enumerate(sheets.head(_MOST_ROWS).iter_rows(named=True)):
            first, final = row["header_from"], row["header_to"]
            header = self.say("header_row", first=first) if first == final else self.say("header_rows", first=first, last=final)
            header = "" if first is None else header
            total = counts.get(row["file"]) if last[row["file"]] == place else None
            ends = (str(total["used"]), str(total["rejected"])) if total else ("", "")
            layout = self._layout(row["layout"])
            table.add_row(row["file"], row["sheet"] or "", layout, header, "" if first is None else str(row["rows"]), *ends)
        self.console.print(table)
        self._more(sheets.height)
        if self.report.provisional:
            self.line(self.say("provisional"), "yellow")

    def _layout(self, layout: str | None) -> str:
        """Return a layout's name with its id; one's own has the id only."""
        if layout is None:
            return self.say("plain")
        names = {one.id: one.name.zh if self.lang == "zh" else one.name.en for one in shipped_layouts()}
        return f"{names[layout]} ({layout})" if layout in names else layout

    def _table(self, *names: str, right: Sequence[str] = ()) -> Table:
        table = Table(box=None, header_style="dim", pad_edge=True)
        for name in names:
            table.add_column(self.say(name), justify="right" if name in right else "left", overflow="fold")
        return table

    def _more(self, n: int) -> None:
        if n > _MOST_ROWS:
            self.line(self.say("more", n=n - _MOST_ROWS))

    def _columns(self) -> None:
        used = self.report.columns.filter(pl.col("became").is_not_null())
        if used.height == 0:
            return
        self.head("columns")
        table = self._table("became", "column", "where", right=("where",))
        met = used.group_by("became", "description", maintain_order=True).agg(
            pl.col("column").unique(maintain_order=True), pl.len()
        )
        for _, description, headers, n in met.head(_MOST_ROWS).iter_rows():
            table.add_row(Text(description), Text(self.say_list(headers)), str(n))
        self.console.print(table)
        self._more(met.height)

    def _dropped(self) -> None:
        dropped = self.report.columns.filter(pl.col("became").is_null())
        if dropped.height == 0:
            return
        self.head("dropped")
        for (description,), rows in dropped.group_by(["description"], maintain_order=True):
            names = [name for name in rows["column"].unique(maintain_order=True) if name]
            shown = self.say_list(names[:8]) + (f" … ({len(names)})" if len(names) > 8 else "")
            self.line(text("check.of", self.lang, what=description, names=shown) if shown else str(description))

    def _rejected(self) -> None:
        if self.report.rejected.height == 0:
            return
        self.head("rejected")
        for code, n in self.report.rejected.group_by("code", maintain_order=True).agg(pl.col("n").sum()).iter_rows():
            self.line(f"{text(f'reject.{code}', self.lang)} × {n}")

    def _notices(self) -> None:
        notices = self.report.frame.filter(pl.col("level") != "info")
        rows = [row for row in notices.iter_rows(named=True) if not row["code"].startswith(_SPOKEN)]
        asked = set(self.report.questions["code"])
        rows = [row for row in rows if row["code"] not in asked and row["code"] != "max_score_unknown"]
        if not rows:
            return
        self.head("notices")
        for row in rows[:_MOST_ROWS]:
            self.line(f"- {describe_check(row, self.lang)}")
        self._more(len(rows))

    def _errors(self) -> None:
        asked = set(self.report.questions.filter("must")["code"]) | {"unknown_column"}
        errors = [error for error in self.report.errors if error.code not in asked]
        if not errors:
            return
        self.head("errors", "bold red")
        for error in errors:
            self.line(f"✗ {error.message(self.lang)}")
            self.line("  " + self.say("hint", hint=error.advice(self.lang)).replace("\n", "\n    "))

    def _questions(self) -> None:
        for must, key, style in ((True, "must", "bold yellow"), (False, "may", "bold")):
            rows = self.report.questions.filter(pl.col("must") == must)
            if rows.height == 0:
                continue
            self.head(key, style, n=rows.height)
            for number, row in enumerate(rows.head(_MOST_ROWS).iter_rows(named=True), 1):
                self.line(f"{number}. {row['question']}")
                self.line(f"   → {row['answer']}", "cyan" if must else "dim")
            self._more(rows.height)

    def _drafts(self) -> None:
        keys = {"exam.toml": "draft_exam", "schools.csv": "draft_schools", "layout.toml": "draft_layout"}
        if not self.report.questions.height:
            del keys["exam.toml"]
        if self.report.ready or self.report.sheets["layout"].null_count() == 0:
            del keys["layout.toml"]
        if self.report.settings["registers"]:
            del keys["schools.csv"]
        said = [self.say(key) for name, key in keys.items() if name in self.report.drafts]
        if said:
            self.head("drafts")
        for words in said:
            self.line(words)

    def _verdict(self) -> None:
        self.console.print()
        if self.report.ready:
            self.console.print(Text(f"✓ {self.say('ready', command=self.command)}", style="bold green"), soft_wrap=True)
        else:
            must = int(self.report.questions["must"].sum())
            asked = {"unknown_symbols", "unknown_column", *self.report.questions.filter("must")["code"]}
            n = must + sum(error.code not in asked for error in self.report.errors)
            self.console.print(Text(f"✗ {self.say('not_ready', n=n)}", style="bold red"), soft_wrap=True)
