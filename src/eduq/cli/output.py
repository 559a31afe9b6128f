"""What a command prints: progress on stderr, the summary on stdout in the order of the bulletin."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import polars as pl
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from eduq.locale import Lang, has_text, text

if TYPE_CHECKING:
    from eduq.pipeline import Analysis

__all__ = ["Display"]

_AREA_COLUMNS = ("participation_rate", "mean_score", "sd", "excellent_rate", "pass_rate", "low_score_rate")
_RATES = {"participation_rate", "excellent_rate", "pass_rate", "low_score_rate"}
_BAR_CELLS = 31
_MAX_SCHOOLS = 40
_MAX_NOTICES = 20
_MAIN_SHARE = 0.1


class Display:
    """Shows a command's progress while it runs and its summary after."""

    def __init__(self, lang: Lang) -> None:
        self.lang = lang
        self._stderr = Console(stderr=True)
        self._bars = Progress(
            TextColumn("{task.description}"), BarColumn(bar_width=24), TimeElapsedColumn(), console=self._stderr, transient=True
        )
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> Display:
        if self._stderr.is_terminal:
            self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._stderr.is_terminal:
            self._bars.stop()

    def progress(self, stage: str, done: int, total: int) -> None:
        """Draw how far a stage has come; nothing without a terminal."""
        if not self._stderr.is_terminal:
            return
        key = f"cli.stage.{stage}"
        label = text(key, self.lang) if has_text(key) else stage
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(label, total=total)
        self._bars.update(self._tasks[stage], completed=done, total=total)

    def show(self, found: Analysis, written: Sequence[Path], *, as_json: bool = False) -> None:
        """Print the summary of an analysis and end with the paths written, one plain line each (in JSON: as ``written``)."""
        if as_json:
            print(json.dumps(_as_json(found) | {"written": [str(path) for path in written]}, ensure_ascii=False, indent=2))
            return
        console = Console(soft_wrap=False, highlight=False)
        if not console.is_terminal:
            console = Console(file=sys.stdout, width=110, highlight=False, color_system=None)
        self._show_head(console, found)
        console.print(self._area_table(found))
        self._show_schools(console, found)
        self._show_growth(console, found)
        self._show_history(console, found)
        self._show_checks(console, found)
        for path in written:
            print(path)

    def _say(self, key: str, **params: object) -> str:
        return text(f"cli.summary.{key}", self.lang, **params)

    def _show_head(self, console: Console, found: Analysis) -> None:
        exam = found.publishable.exam.exam
        console.print(Text(self._say("title", name=exam.name or exam.id), style="bold"))
        inputs = found.publishable.inputs
        console.print(
            self._say(
                "rows",
                files=inputs.height,
                rows=int(inputs["rows"].sum()),
                used=int(inputs["used"].sum()),
                rejected=int(inputs["rejected"].sum()),
            )
        )
        for line in found.publishable.rejected_counts.group_by("code").agg(pl.col("n").sum()).sort("code").iter_rows(named=True):
            console.print(self._say("rejected", reason=text(f"reject.{line['code']}", self.lang), n=line["n"]), markup=False)

    def _paper_name(self, paper: str) -> str:
        key = f"bulletin.subject.{paper}"
        return text(key, self.lang) if has_text(key) else paper

    def _area_table(self, found: Analysis) -> Table:
        measures = found.publishable.measures
        table = Table(title=self._say("area"), box=None, header_style="bold", title_justify="left", pad_edge=False)
        table.add_column(self._say("paper"))
        table.add_column(self._say("present"), justify="right")
        shown = [name for name in _AREA_COLUMNS if name in measures]
        for name in shown:
            table.add_column(measures[name]["name"][self.lang], justify="right")
        frame = found.comparability.frame.filter(pl.col("deviation").is_null())
        biggest = pl.col("n_expected") == pl.col("n_expected").max().over("paper", "year_group", "track")
        lines = {row["comparison_group"]: row for row in frame.filter(biggest).iter_rows(named=True)}
        estimates = found.publishable.estimates
        area = estimates.filter((pl.col("unit_type") == "area") & pl.col("comparison_group").is_in(list(lines)))
        for (group,), rows in area.filter(pl.col("measure").is_in(shown)).group_by(["comparison_group"], maintain_order=True):
            values = {row["measure"]: row for row in rows.iter_rows(named=True)}
            first = rows.row(0, named=True)
            several = area.filter(pl.col("paper") == first["paper"])["comparison_group"].n_unique() > 1
            line = lines[str(group)]
            several = area.filter(pl.col("paper") == first["paper"])["comparison_group"].n_unique() > 1
            apart = self._track_name(line["track"]) if several else None
            name = self._paper_name(first["paper"]) + (f" ({apart})" if apart else "")
            cells = [_format(values.get(measure), measure) for measure in shown]
            if first["paper"] not in ("composite", "all_subjects"):
                table.add_row(name, f"{first['n_present']}/{first['n_expected']}", *cells)
        return table

    def _show_schools(self, console: Console, found: Analysis) -> None:
        groups = found.comparability.frame.filter((pl.col("paper") == "composite") & pl.col("comparable"))
        main = groups.filter(pl.col("n_expected") >= _MAIN_SHARE * pl.col("n_expected").sum())
        gaps = found.publishable.estimates.filter(
            (pl.col("unit_type") == "school") & (pl.col("measure") == "composite_z") & pl.col("ci_lower").is_not_null()
        )
        names = dict(found.publishable.units.filter(pl.col("unit_type") == "school").select("unit", "name").iter_rows())
        for group in main.iter_rows(named=True):
            here = gaps.filter(pl.col("comparison_group") == group["comparison_group"])
            if here.height < 2:
                continue
            above, below = int((here["ci_lower"] > 0).sum()), int((here["ci_upper"] < 0).sum())
            console.print()
            if main.height > 1:
                console.print(Text(self._group_name(group), style="bold"))
            console.print(self._say("schools", n=here.height, above=above, below=below, rest=here.height - above - below))
            if here.height <= _MAX_SCHOOLS:
                console.print(_gap_table(here, names))

    def _show_growth(self, console: Console, found: Analysis) -> None:
        if found.publishable.growth is None:
            return
        from eduq.bulletins.formats import say
        from eduq.bulletins.growth_section import growth_lines
        from eduq.bulletins.view import View

        console.print()
        console.print(Text(text("bulletin.heading.growth", self.lang), style="bold"))
        for line in growth_lines(View(found.publishable, self.lang)):
            console.print(say(line, self.lang), soft_wrap=True, markup=False)

    def _show_history(self, console: Console, found: Analysis) -> None:
        if found.publishable.history is None:
            return
        from eduq.bulletins.formats import say
        from eduq.bulletins.history import history_lines
        from eduq.bulletins.view import View

        console.print()
        console.print(Text(text("bulletin.heading.history", self.lang), style="bold"))
        for line in history_lines(View(found.publishable, self.lang)):
            console.print(say(line, self.lang), soft_wrap=True, markup=False)

    def _group_name(self, group: dict[str, Any]) -> str:
        parts = [self._track_name(group["track"])]
        parts += [" + ".join(self._paper_name(paper) for paper in (group["papers"] or "").split("+"))]
        return " · ".join(part for part in parts if part)

    def _track_name(self, track: str | None) -> str | None:
        return text(f"bulletin.track.{track}", self.lang) if track and has_text(f"bulletin.track.{track}") else track

    def _show_checks(self, console: Console, found: Analysis) -> None:
        notices = found.publishable.checks.filter(pl.col("level") != "info")
        if notices.height == 0:
            return
        from eduq.bulletins.checks import check_sentences
        from eduq.bulletins.formats import say
        from eduq.bulletins.view import View

        sentences = check_sentences(View(found.publishable, self.lang), notices, body=False)
        console.print()
        console.print(Text(self._say("checks"), style="bold"))
        for sentence in sentences[:_MAX_NOTICES]:
            console.print(f"  - {say(sentence, self.lang)}", soft_wrap=True, markup=False)
        if len(sentences) > _MAX_NOTICES:
            console.print(f"  … {len(sentences) - _MAX_NOTICES}")


def _gap_table(gaps: pl.DataFrame, names: dict[str, str]) -> Table:
    """Return schools in the order of their gaps, each with its interval as a bar."""
    low, high = min(*gaps["ci_lower"], 0.0), max(*gaps["ci_upper"], 0.0)
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    for _ in range(3):
        table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    for row in gaps.sort("estimate", descending=True).iter_rows(named=True):
        style = "cyan" if row["ci_lower"] > 0 else "yellow" if row["ci_upper"] < 0 else "dim"
        sign = "▲" if row["ci_lower"] > 0 else "▼" if row["ci_upper"] < 0 else "·"
        interval = f"{_signed(row['ci_lower'])} — {_signed(row['ci_upper'])}"
        bar = Text(_bar(row, low, high), style=style)
        table.add_row(names.get(row["unit"], row["unit"]), str(row["n"]), f"{sign} {_signed(row['estimate'])}", interval, bar)
    return table


def describe_check(row: dict[str, Any], lang: Lang) -> str:
    """Return the sentence of one line of the checks."""
    known = {name: "" if row[name] is None else row[name] for name in ("file", "sheet", "row", "column", "found", "n")}
    return text(f"checks.{row['code']}", lang, **known)


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")


def _format(row: dict[str, Any] | None, measure: str) -> str:
    if row is None or row["estimate"] is None:
        return "—"
    return f"{100 * row['estimate']:.1f}%" if measure in _RATES else f"{row['estimate']:.1f}"


def _bar(row: dict[str, Any], low: float, high: float) -> str:
    """Draw an interval and its estimate on a line of fixed width, with the county at zero."""

    def place(value: float) -> int:
        return round((value - low) / (high - low) * (_BAR_CELLS - 1)) if high > low else 0

    cells = [" "] * _BAR_CELLS
    cells[place(0.0)] = "│"
    for cell in range(place(row["ci_lower"]), place(row["ci_upper"]) + 1):
        cells[cell] = "─"
    cells[place(row["estimate"])] = "●"
    return "".join(cells)


def _history_as_json(found: Analysis) -> dict[str, Any] | None:
    history = found.publishable.history
    if history is None:
        return None
    facts = {"archive_version": history.archive_version, "origin": history.origin, "reason": history.reason}
    tables = {"declines": history.declines, "exams": history.left_out}
    return facts | {name: table.to_dicts() for name, table in tables.items()} | {"model": history.model}


def _as_json(found: Analysis) -> dict[str, Any]:
    area = found.publishable.estimates.filter(pl.col("unit_type") == "area")
    return {
        "exam": found.publishable.exam.model_dump(mode="json", by_alias=True),
        "inputs": found.publishable.inputs.to_dicts(),
        "rejected": found.publishable.rejected_counts.to_dicts(),
        "checks": found.publishable.checks.to_dicts(),
        "area": area.to_dicts(),
        "history": _history_as_json(found),
        "provenance": found.publishable.provenance,
    }
