"""What ``eduq compare`` prints and writes: a line per unit in order, then sentences and what may be read into them."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
from rich.console import Console
from rich.table import Table
from rich.text import Text

from eduq.cli.table_output import give_frame
from eduq.locale import Lang, has_text, text

if TYPE_CHECKING:
    from eduq.estimates.comparison import ComparisonResult, Reference

__all__ = ["FAMILY_HEADS", "Compared", "give_compared", "word_value"]

_MAX_ROWS = 100
_WIDTH = 132
FAMILY_HEADS = {"subject": "cli.trend.subject", "year_group": "cli.trend.year_group", "comparison_group": "cli.compare.group"}
"""Wording of the heads of family columns."""


@dataclass(frozen=True)
class Compared:
    """A comparison with what the command knows of it.

    Attributes
    ----------
    result
        Of the estimator.
    frame
        Its table as far as it may be shown.
    what
        Where it comes from, in words.
    names
        Names of units by id.
    references
        Outside references of the families, from a file; None: it has none, and the family is not compared.
    """

    result: ComparisonResult
    frame: pl.DataFrame
    what: str
    names: Mapping[str, str]
    references: Mapping[tuple[Any, ...], Reference | None] = field(default_factory=dict)


def _family(found: Compared) -> list[str]:
    """Return the family columns that tell comparisons apart; one that others already do is left out."""
    columns = list(found.result.columns.family)
    for name in reversed(columns):
        rest = [other for other in columns if other != name]
        if found.frame[name].n_unique() == 1 or (rest and _tells(found.frame, rest) == _tells(found.frame, [*rest, name])):
            columns = rest
    return columns


def _tells(frame: pl.DataFrame, names: list[str]) -> int:
    return frame.select(names).n_unique()


def word_value(column: str, value: Any, lang: Lang) -> str:
    """Return a value of a family column in words; a comparison group without its exam, which the title names."""
    if column == "comparison_group":
        return str(value).partition(".")[2] or str(value)
    key = f"bulletin.{column}.{value}"
    return text(key, lang) if column in ("subject", "year_group") and has_text(key) else str(value)


def _peers(label: str | None, lang: Lang) -> str:
    """Return a peer group in words; a size class keeps the name of its column."""
    if label is None:
        return "—"
    shown = []
    for part in label.split(";"):
        name, _, value = part.partition("=")
        key = f"bulletin.unit_name.{value}"
        shown.append(text(key, lang) if has_text(key) else part if value[:1] in "<>[" else value or name)
    return " · ".join(shown)


def _unit(found: Compared, unit: Any) -> str:
    school, _, rest = str(unit).partition("/")
    name = found.names.get(school)
    return str(unit) if name is None else f"{unit} {name}" + (f" {rest}" if rest else "")


def _ordered(found: Compared) -> list[dict[str, Any]]:
    """Return the rows by comparison and peer group, then by rank; what is not ranked last."""
    columns = found.result.columns

    def place(line: dict[str, Any]) -> tuple[Any, ...]:
        rank = math.inf if line["rank"] is None else line["rank"]
        return (*(str(line[name]) for name in columns.family), str(line["peer_group"]), rank, str(line[columns.unit]))

    return sorted(found.frame.iter_rows(named=True), key=place)


def _number(found: Compared, value: float | None, *, signed: bool = False) -> str:
    if value is None:
        return "—"
    rate = found.result.settings["rate"]
    shown = f"{100 * value if rate else value:{'+' if signed else ''}.{1 if rate else 2}f}"
    shown = shown if any(digit in shown for digit in "123456789") else shown.lstrip("+-")
    return shown.replace("-", "−")


def _chance(value: float | None) -> str:
    return "—" if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"


def _table(found: Compared, rows: list[dict[str, Any]], lang: Lang) -> Table:
    settings = found.result.settings
    level = f"{100 * settings['level']:g}%"
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column(text("cli.trend.unit", lang), no_wrap=True)
    family = _family(found)
    grouped = found.result.columns.peers.grouped
    for name in family:
        key = FAMILY_HEADS.get(name)
        table.add_column(name if key is None else text(key, lang), no_wrap=True)
    if grouped:
        table.add_column(text("cli.compare.peer_group", lang), no_wrap=True)
    columns = ("n", "estimate", "contrast", "q", "shrunken", "rank", "last", "funnel")
    against = text(f"compare.whom.{found.result.standard}", lang)
    for name in columns:
        table.add_column(
            text(f"cli.compare.{name}", lang, level=level, whom=against), justify="right", no_wrap=name != "contrast"
        )
    for line in rows:
        contrast = "—"
        if line["contrast"] is not None:
            low, high = (_number(found, line[f"contrast_{side}"], signed=True) for side in ("lower", "upper"))
            contrast = f"{_number(found, line['contrast'], signed=True)} ({low} — {high})"
        ranks = "—" if line["rank"] is None else f"{line['rank_lower']}–{line['rank_upper']}"
        last = (
            "—"
            if line["could_be_last"] is None
            else text(f"bulletin.history.is_{'yes' if line['could_be_last'] else 'no'}", lang)
        )
        if line["could_be_last"] and line["p_last"] is not None:
            last += f" ({line['p_last']:.2f})"
        outer = line["funnel_998"] not in (None, "in")
        side = line["funnel"]
        table.add_row(
            _unit(found, line[found.result.columns.unit]),
            *(word_value(name, line[name], lang) for name in family),
            *([_peers(line["peer_group"], lang)] if grouped else []),
            "—" if line["n"] is None else str(line["n"]) + ("*" if line["method"] == "pooled" else ""),
            _number(found, line["estimate"]),
            contrast,
            _chance(line["q_value"]),
            _number(found, line["shrunken"]),
            ranks,
            last,
            "—" if side is None else text(f"cli.compare.side_{side}{'_outer' if outer else ''}", lang),
        )
    return table


def _sentences(found: Compared, rows: list[dict[str, Any]], lang: Lang) -> list[str]:
    """Return the fixed sentence of each row, units by name."""
    if not rows:
        return []
    columns = found.result.columns
    labels = [
        " · ".join([_unit(found, line[columns.unit]), *(word_value(name, line[name], lang) for name in _family(found))])
        for line in rows
    ]
    frame = pl.DataFrame(rows, schema=found.frame.schema).with_columns(pl.Series(columns.unit, labels, dtype=pl.String))
    return dataclasses.replace(found.result, frame=frame).sentences(lang)["sentence"].to_list()


def _lines_after(found: Compared, rows: list[dict[str, Any]], lang: Lang) -> list[str]:
    settings, alpha = found.result.settings, 1 - found.result.settings["level"]
    differ = [line for line in rows if line["q_value"] is not None and line["q_value"] <= alpha]
    last = sum(bool(line["could_be_last"]) for line in rows)
    lines = [text("cli.compare.tally", lang, n=len(rows), differ=len(differ), last=last, alpha=f"{alpha:g}")]
    reasons = Counter(line["reason"] for line in rows if line["reason"] is not None)
    lines += [
        text("cli.compare.reason", lang, n=n, reason=text(f"compare.reason.{code}", lang)) for code, n in sorted(reasons.items())
    ]
    lines += ["", *(f"- {said}" for said in _sentences(found, differ[:_MAX_ROWS], lang))] if differ else []
    lines += ["", text("cli.compare.reading", lang, level=f"{100 * settings['level']:g}%")]
    if found.result.columns.peers.grouped:
        lines.append(text("cli.compare.peers", lang))
    if settings["period"] is not None:
        pooled = sum(line["method"] == "pooled" for line in rows)
        lines.append(text("cli.compare.pooled", lang, n=pooled, last=settings["last"]))
    without = []
    for key, reference in found.references.items():
        of_family = {name: word_value(name, value, lang) for name, value in zip(found.result.columns.family, key, strict=True)}
        shown = [of_family[name] for name in _family(found)] or list(of_family.values())
        if reference is None:
            without.append(" · ".join(of_family.values()))
            continue
        label = " · ".join(shown) or reference.words()
        lines.append(text("cli.compare.source_of", lang, family=label, value=reference.value, source=reference.source))
    if without:
        joined = text("bulletin.list_joiner", lang).join(without[:_MAX_ROWS])
        lines.append(text("cli.compare.not_referred", lang, n=len(without), families=joined))
    if settings["reference"] is not None and not found.references:
        lines.append(text("cli.compare.source", lang, value=settings["reference"], source=settings["reference_source"]))
    if settings["rate"]:
        lines.append(text("cli.compare.rates", lang))
    return lines


def _print_table(found: Compared, console: Console, lang: Lang) -> None:
    rows = _ordered(found)
    console.print(Text(text("cli.compare.title", lang, what=found.what), style="bold"))
    console.print(_table(found, rows[:_MAX_ROWS], lang))
    if len(rows) > _MAX_ROWS:
        console.print(text("cli.trend.more", lang, n=len(rows) - _MAX_ROWS))
    console.print()
    for line in _lines_after(found, rows, lang):
        console.print(line, soft_wrap=True, markup=False)


def _with_sentences(found: Compared, lang: Lang) -> pl.DataFrame:
    rows = _ordered(found)
    frame = pl.DataFrame(rows, schema=found.frame.schema)
    return frame.with_columns(pl.Series("sentence", _sentences(found, rows, lang), dtype=pl.String))


def give_compared(found: Compared, form: str, out: Path | None, lang: Lang) -> Path | None:
    """Print a comparison, or write it and return the path."""
    result, rows = found.result, _with_sentences(found, lang)

    def document() -> dict[str, Any]:
        models = [
            {"family": dict(zip(result.columns.family, key, strict=True)), **dataclasses.asdict(model)}
            for key, model in result.models.items()
        ]
        facts = {"schema": "eduq.compare/1", "what": found.what, "settings": result.settings}
        return facts | {"models": models, "units": rows.to_dicts()}

    return give_frame(rows, document, lambda console: _print_table(found, console, lang), form=form, out=out, width=_WIDTH)
