"""What ``eduq growth`` prints and writes: who was linked, a line per unit, who is missing, what may be read into it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Console
from rich.table import Table
from rich.text import Text

from eduq.cli.table_output import give_frame
from eduq.locale import Lang, has_text, text

__all__ = ["Grown", "give_grown"]

_MAX_ROWS = 100
_WIDTH = 160
_LINES = ("upper", "middle", "lower", "none", "all")


@dataclass(frozen=True)
class Grown:
    """Growth with what the command knows of it.

    Attributes
    ----------
    frame
        A line per unit, paper and method, as far as it may be shown.
    what
        Where it comes from, in words.
    settings
        What it depends on.
    priors, missing, models, coefficients, checks, notes
        See `eduq.disclosure.growths.PublishableGrowth`; empty where a table says nothing of them.
    names
        Names of schools by id.
    """

    frame: pl.DataFrame
    what: str
    settings: Mapping[str, Any]
    missing: pl.DataFrame
    models: pl.DataFrame
    checks: pl.DataFrame
    priors: pl.DataFrame = field(default_factory=pl.DataFrame)
    coefficients: pl.DataFrame = field(default_factory=pl.DataFrame)
    notes: pl.DataFrame = field(default_factory=pl.DataFrame)
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def ways(self) -> list[str]:
        """The methods in the order they were asked for."""
        return self.frame["growth"].unique(maintain_order=True).to_list()


def _unit(found: Grown, unit: str) -> str:
    school, _, rest = unit.partition("/")
    name = found.names.get(school)
    return unit if name is None else f"{unit} {name}" + (f" {rest}" if rest else "")


def _paper(paper: str, lang: Lang) -> str:
    key = f"bulletin.subject.{paper}"
    return text(key, lang) if has_text(key) else paper


def _rate(value: float | None) -> str:
    return "—" if value is None else f"{100 * value:.1f}%"


def _number(value: float | None, way: str) -> str:
    if value is None:
        return "—"
    shown = f"{value:.0f}" if way == "percentile" else f"{value:+.2f}"
    shown = shown if any(digit in shown for digit in "123456789") else shown.lstrip("+-")
    return shown.replace("-", "−")


def _order(found: Grown, paper: str) -> list[tuple[str, dict[str, dict[str, Any]]]]:
    """Return the units of a paper with a line per method, by the first method's estimate, those without one last."""
    units: dict[str, dict[str, dict[str, Any]]] = {}
    for line in found.frame.filter(paper=paper).iter_rows(named=True):
        units.setdefault(line["unit"], {})[line["growth"]] = line
    first = "multilevel" if "multilevel" in found.ways else found.ways[0]

    def place(item: tuple[str, dict[str, dict[str, Any]]]) -> tuple[Any, ...]:
        value = item[1].get(first, {}).get("estimate")
        return (value is None, 0.0 if value is None else -value, item[0])

    return sorted(units.items(), key=place)


def _table(found: Grown, paper: str, lang: Lang) -> tuple[Table, int]:
    ways = [
        way
        for way in ("multilevel", "multilevel_uncorrected", "percentile", "z_gain", "gain", "rank_change", "bands")
        if way in found.ways
    ]
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column(text("cli.growth.unit", lang), no_wrap=True)
    for name in ("n", "matched", "intake"):
        table.add_column(text(f"cli.growth.{name}", lang), justify="right", no_wrap=True)
    for way in ways:
        table.add_column(text(f"growth.method.{way}", lang), justify="right")
    table.add_column(text("cli.growth.letter", lang), justify="center", no_wrap=True)
    rows = _order(found, paper)
    for unit, lines in rows[:_MAX_ROWS]:
        first = lines[ways[0]]
        cells = []
        for way in ways:
            line = lines.get(way, {})
            value, low, high = (line.get(name) for name in ("estimate", "ci_lower", "ci_upper"))
            said = _number(value, way)
            cells.append(said if low is None else f"{said} ({_number(low, way)} — {_number(high, way)})")
        table.add_row(
            _unit(found, unit),
            "—" if first["n"] is None else str(first["n"]),
            _rate(first["match_rate"]),
            _number(first["prior_mean"], "intake"),
            *cells,
            first["agreement"] or "",
        )
    return table, len(rows)


def _how(line: Mapping[str, Any], lang: Lang) -> str:
    return text("cli.growth.given", lang) if line["chosen"] == "given" else text(f"growth.why.{line['why']}", lang)


def _lines_before(found: Grown, lang: Lang) -> list[str]:
    return [
        text(
            "cli.growth.prior",
            lang,
            exam=line["exam_id"] or "–",
            name=line["name"] or "",
            how=_how(line, lang),
            listed=line["n_listed"],
            linked=line["n_linked"],
            rate=_rate(line["match_rate"]),
        )
        for line in found.priors.iter_rows(named=True)
    ]


def _missing_lines(found: Grown, lang: Lang) -> list[str]:
    area = found.missing.filter(school_id="all")
    lines = [text("cli.growth.missing_title", lang)] if area.height else []
    for (prior,), rows in area.group_by(["prior_exam"], maintain_order=True):
        by_band = {line["prior_band"]: line for line in rows.iter_rows(named=True)}
        shown = [by_band[band] for band in _LINES if band in by_band and by_band[band]["n_listed"] is not None]
        said = [
            text(
                "cli.growth.missing_line",
                lang,
                band=text(f"growth.band.{line['prior_band']}", lang),
                listed=line["n_listed"],
                missing=line["n_listed"] - line["n_linked"],
                rate=_rate((line["n_listed"] - line["n_linked"]) / line["n_listed"] if line["n_listed"] else None),
            )
            for line in shown
        ]
        lines.append(f"  {prior}: " + text("bulletin.list_joiner", lang).join(said))
    return lines


def _lines_after(found: Grown, paper: str, lang: Lang) -> list[str]:
    lines = []
    models = found.models.filter(paper=paper) if found.models.height else found.models
    unit = text(f"cli.growth.units_{found.settings.get('unit_type', 'school')}", lang)
    for model in models.head(1).iter_rows(named=True):
        if model.get("sd_unit_upper") is not None:
            lines.append(text("cli.growth.no_difference", lang, paper=_paper(paper, lang), upper=f"{model['sd_unit_upper']:.2f}"))
        elif model.get("unit_share") is not None:
            lines.append(text("cli.growth.share", lang, paper=_paper(paper, lang), share=_rate(model["unit_share"]), unit=unit))
        if model.get("corrected"):
            lines.append(text("cli.growth.corrected", lang))
    said = [
        text(
            "cli.growth.check",
            lang,
            way=text(f"growth.method.{line['growth']}", lang),
            value=_number(line["corr_intake"], "checks"),
        )
        for line in found.checks.filter(paper=paper).iter_rows(named=True)
        if line["corr_intake"] is not None
    ]
    if said:
        lines.append(text("cli.growth.checks", lang, each=text("bulletin.list_joiner", lang).join(said)))
    reasons = (
        found.frame.filter(paper=paper).drop_nulls("reason").unique(["unit", "reason"]).group_by("reason").len().sort("reason")
    )
    for code, n in reasons.iter_rows():
        key = f"growth.reasons.{code}"
        lines.append(text("cli.compare.reason", lang, n=n, reason=text(key, lang) if has_text(key) else code))
    return lines


def _print(found: Grown, console: Console, lang: Lang) -> None:
    console.print(Text(text("cli.growth.title", lang, what=found.what), style="bold"))
    for line in _lines_before(found, lang):
        console.print(line, soft_wrap=True, markup=False)
    papers = found.frame["paper"].unique(maintain_order=True).to_list()
    for paper in papers:
        console.print()
        console.print(Text(_paper(paper, lang), style="bold"))
        table, n = _table(found, paper, lang)
        console.print(table)
        if n > _MAX_ROWS:
            console.print(text("cli.trend.more", lang, n=n - _MAX_ROWS))
        for line in _lines_after(found, paper, lang):
            console.print(line, soft_wrap=True, markup=False)
    console.print()
    notes = [
        text(f"growth.notes.{line['code']}", lang, found=_worded(line, lang), n=line["n"])
        for line in found.notes.iter_rows(named=True)
    ]
    for line in (*_missing_lines(found, lang), *notes, text("cli.growth.reading", lang)):
        console.print(line, soft_wrap=True, markup=False)


def _worded(line: Mapping[str, Any], lang: Lang) -> str:
    if line["code"] != "no_own_prior":
        return str(line["found"])
    return text("bulletin.list_joiner", lang).join(_paper(code, lang) for code in str(line["found"]).split(","))


def give_grown(found: Grown, form: str, out: Path | None, lang: Lang) -> Path | None:
    """Print growth, or write it and return the path."""

    def document() -> dict[str, Any]:
        names = ("priors", "missing", "models", "coefficients", "checks", "notes")
        facts = {"schema": "eduq.growth/1", "what": found.what, "settings": found.settings}
        return facts | {name: getattr(found, name).to_dicts() for name in names} | {"units": found.frame.to_dicts()}

    return give_frame(found.frame, document, lambda console: _print(found, console, lang), form=form, out=out, width=_WIDTH)
