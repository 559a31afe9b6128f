"""What ``eduq compare --pairs`` and ``--clusters`` print and write: a line per gap with its course, then sentences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
from rich.console import Console
from rich.table import Table
from rich.text import Text

from eduq.cli.compare_output import FAMILY_HEADS, word_value
from eduq.cli.table_output import give_frame
from eduq.locale import Lang, text

if TYPE_CHECKING:
    from eduq.estimates.comparison import PairsResult

__all__ = ["Paired", "give_paired"]

_WIDTH = 132
_MAX_ROWS = 100
_MAX_SENTENCES = 40


@dataclass(frozen=True)
class Paired:
    """Pairs or clusters with what the command knows of them.

    Attributes
    ----------
    result
        Of the estimator.
    what
        Where it comes from, in words.
    names
        Names of units by id.
    """

    result: PairsResult
    what: str
    names: Mapping[str, str]


def _newest(found: Paired) -> pl.DataFrame:
    """Return the gaps of the newest period with their courses beside them."""
    result = found.result
    gaps = result.newest
    keys = [*result.settings["family"], result.group, result.settings["unit"], "partner"]
    course = result.course.select(*keys, pl.all().exclude(keys).name.prefix("course_"))
    return gaps.join(course, on=keys, how="left", nulls_equal=True, maintain_order="left")


def _family(found: Paired) -> list[str]:
    """Return the family columns that tell lines apart."""
    return [name for name in found.result.settings["family"] if found.result.frame[name].n_unique() > 1]


def _unit(found: Paired, unit: Any, lang: Lang) -> str:
    if unit is None:
        return text("pairs.cluster_mean", lang)
    name = found.names.get(str(unit))
    return str(unit) if name is None else f"{unit} {name}"


def _interval(found: Paired, line: dict[str, Any], name: str, prefix: str = "") -> str:
    if line[name] is None:
        return "—"
    rate = found.result.settings["rate"]
    shown = [
        f"{100 * line[key] if rate else line[key]:+.{1 if rate else 2}f}"
        for key in (name, f"{prefix}ci_lower", f"{prefix}ci_upper")
    ]
    value, low, high = (part.replace("-", "−") for part in shown)
    return f"{value} ({low} — {high})"


def _q(value: float | None) -> str:
    return "—" if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"


def _table(found: Paired, rows: list[dict[str, Any]], lang: Lang) -> Table:
    result = found.result
    table = Table(box=None, header_style="bold", pad_edge=False)
    family = _family(found)
    heads = [*family, result.group, "unit", "partner", "n", "gap", "q", "change", "q_change"]
    for name in heads:
        right = name in ("n", "gap", "q", "change", "q_change")
        head = (
            text(FAMILY_HEADS[name], lang)
            if name in FAMILY_HEADS
            else name
            if name in family
            else text(f"cli.pairs.{name}", lang)
        )
        table.add_column(head, justify="right" if right else "left", no_wrap=name in ("gap", "change", "unit", "partner"))
    for line in rows:
        counts = "—" if line["n"] is None else f"{line['n']}" + ("" if line["n_partner"] is None else f" / {line['n_partner']}")
        table.add_row(
            *(word_value(name, line[name], lang) for name in family),
            str(line[result.group]),
            _unit(found, line[result.settings["unit"]], lang),
            "—" if result.settings["pair"] and line["partner"] is None else _unit(found, line["partner"], lang),
            counts,
            _interval(found, line, "gap"),
            _q(line["q_value"]),
            _interval(found, line, "course_estimate", "course_"),
            _q(line["course_q_value"]),
        )
    return table


def _spreads(found: Paired, lang: Lang) -> list[str]:
    """Return a line per cluster of the newest period: how far its members are apart."""
    if found.result.spread is None:
        return []
    newest = found.result.take_newest(found.result.spread)
    factor, digits = (100, 1) if found.result.settings["rate"] else (1, 2)
    lines = []
    for line in newest.iter_rows(named=True):
        label = " · ".join(word_value(name, line[name], lang) for name in (*_family(found), found.result.group))
        if line["reason"] is not None:
            reason = text(f"pairs.reason.{line['reason']}", lang)
            lines.append(text("cli.pairs.no_spread", lang, group=label, reason=reason))
            continue
        numbers = {
            name: f"{factor * line[name]:.{digits}f}"
            for name in ("sd", "sd_lower", "sd_upper", "range", "range_lower", "range_upper")
        }
        lines.append(text("cli.pairs.spread", lang, group=label, n=line["n_units"], **numbers))
    return lines


def _sentences(found: Paired, lang: Lang) -> list[str]:
    """Return the fixed sentence of each gap of the newest period, units by name."""
    result, unit = found.result, found.result.settings["unit"]

    def named(frame: pl.DataFrame) -> pl.DataFrame:
        columns = [
            pl.Series(name, [None if value is None else _unit(found, value, lang) for value in frame[name]], dtype=pl.String)
            for name in (unit, "partner")
        ]
        return frame.with_columns(columns)

    import dataclasses

    shown = dataclasses.replace(result, frame=named(result.frame), course=named(result.course))
    return shown.sentences(lang)["sentence"].to_list()


def _print_table(found: Paired, console: Console, lang: Lang) -> None:
    result = found.result
    rows = _newest(found).to_dicts()
    kind = "pairs" if result.settings["pair"] else "clusters"
    console.print(Text(text(f"cli.pairs.title_{kind}", lang, what=found.what), style="bold"))
    console.print(_table(found, rows[:_MAX_ROWS], lang))
    if len(rows) > _MAX_ROWS:
        console.print(text("cli.trend.more", lang, n=len(rows) - _MAX_ROWS))
    alpha = 1 - result.settings["level"]
    shown = [
        " · ".join([*(word_value(name, line[name], lang) for name in _family(found)), said])
        for line, said in zip(rows, _sentences(found, lang), strict=True)
        if any(line[name] is not None and line[name] <= alpha for name in ("q_value", "course_q_value"))
    ]
    apart, changed = (
        sum(line[name] is not None and line[name] <= alpha for line in rows) for name in ("q_value", "course_q_value")
    )
    said = [text("cli.pairs.tally", lang, n=len(rows), apart=apart, changed=changed, alpha=f"{alpha:g}")]
    for line in [
        "",
        *said,
        *(f"- {one}" for one in shown[:_MAX_SENTENCES]),
        *_spreads(found, lang),
        "",
        text(f"cli.pairs.reading_{kind}", lang),
    ]:
        console.print(line, soft_wrap=True, markup=False)


def give_paired(found: Paired, form: str, out: Path | None, lang: Lang) -> Path | None:
    """Print pairs or clusters, or write them and return the path; tables hold the newest period."""
    result = found.result
    rows = _newest(found).with_columns(pl.Series("sentence", _sentences(found, lang), dtype=pl.String))

    def document() -> dict[str, Any]:
        return {
            "schema": "eduq.pairs/1",
            "what": found.what,
            "settings": result.settings,
            "newest": rows.to_dicts(),
            "gaps": result.frame.to_dicts(),
            "course": result.course.to_dicts(),
            "spread": None if result.spread is None else result.spread.to_dicts(),
        }

    return give_frame(rows, document, lambda console: _print_table(found, console, lang), form=form, out=out, width=_WIDTH)
