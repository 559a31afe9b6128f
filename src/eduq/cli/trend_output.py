"""What ``eduq trend`` prints and writes: a line with its course per unit, then sentences and the conditions of the grades."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import polars as pl
from rich.console import Console
from rich.table import Table
from rich.text import Text

from eduq.cli.table_output import give_frame
from eduq.locale import Lang, has_text, text

if TYPE_CHECKING:
    from eduq.estimates.declines import DeclineModel, DeclineResult
    from eduq.registers import Registers

__all__ = ["Trend", "give_trend", "named_units", "sparkline"]

_BARS = "▁▂▃▄▅▆▇█"
_GAP = "·"
_MAX_ROWS = 100
_WIDTH = 120
_LETTERS = "ABCD"
_SMALLEST = 0.001


@dataclass(frozen=True)
class Trend:
    """Declines with what the command knows of them.

    Attributes
    ----------
    result
        Of the estimator.
    frame, series
        Its tables as far as they may be shown.
    what
        Where they come from, in words.
    names
        Names of units by id.
    withheld_below
        Units with fewer candidates in some year show no numbers; None where nothing was withheld.
    """

    result: DeclineResult
    frame: pl.DataFrame
    series: pl.DataFrame
    what: str
    names: Mapping[str, str]
    withheld_below: int | None


def named_units(registers: Registers | None, unit_type: str) -> dict[str, str]:
    """Return names of schools or teachers by id, as far as registers have them."""
    if registers is None:
        return {}
    if unit_type == "teacher" and registers.teachers is not None:
        named = registers.teachers.select("teacher_id", "name")
    else:
        named = registers.schools.select("school_id", "name")
    return dict(named.drop_nulls().unique(maintain_order=True).iter_rows())


def sparkline(values: list[float | None], low: float, high: float) -> str:
    """Return a line of bars from ``low`` to ``high``; nothing known is a dot.

    Examples
    --------
    >>> sparkline([0.0, 0.5, None, 1.0], 0.0, 1.0)
    '▁▅·█'
    """
    top = len(_BARS) - 1

    def bar(value: float) -> str:
        share = (value - low) / (high - low) if high > low else 0.5
        return _BARS[min(top, max(0, math.floor(share * top + 0.5)))]

    return "".join(_GAP if value is None else bar(value) for value in values)


def _key(trend: Trend, line: Mapping[str, Any]) -> tuple[Any, ...]:
    columns = trend.result.columns
    return tuple(line[name] for name in (columns.unit, *columns.family))


def _courses(trend: Trend) -> dict[tuple[Any, ...], str]:
    """Return the sparkline of every series: each year less the series' own mean, one scale for all."""
    columns = trend.result.columns
    periods = sorted({period for model in trend.result.models.values() for period in model.periods}, key=str)
    found: dict[tuple[Any, ...], dict[Any, float]] = {}
    for line in trend.series.filter(pl.col("used") & pl.col("relative").is_not_null()).iter_rows(named=True):
        found.setdefault(_key(trend, line), {})[line[columns.period]] = line["relative"]
    centred = {}
    for key, values in found.items():
        middle = sum(values.values()) / len(values)
        centred[key] = {period: value - middle for period, value in values.items()}
    reach = max((abs(value) for values in centred.values() for value in values.values()), default=0.0)
    return {key: sparkline([values.get(period) for period in periods], -reach, reach) for key, values in centred.items()}


def _ordered(trend: Trend) -> list[dict[str, Any]]:
    """Return the series by strength of evidence, then steepest fall; without a grade last."""

    def place(line: dict[str, Any]) -> tuple[Any, ...]:
        letter, slope = line["evidence_grade"], line["slope"]
        key = tuple(str(part) for part in _key(trend, line))
        return (_LETTERS.index(letter) if letter else len(_LETTERS), math.inf if slope is None else slope, key)

    return sorted(trend.frame.iter_rows(named=True), key=place)


def _signed(value: float) -> str:
    shown = f"{value:+.2f}".replace("-", "−")
    return shown if any(digit in shown for digit in "123456789") else shown[1:]


def _chance(value: float | None) -> str:
    return "—" if value is None else f"< {_SMALLEST}" if value < _SMALLEST else f"{value:.3f}"


def _worded(column: str, value: Any, lang: Lang) -> str:
    """Return a value of a family column in words: subjects and year groups have names."""
    key = f"bulletin.{column}.{value}"
    return text(key, lang) if column in ("subject", "year_group") and has_text(key) else str(value)


def _unit(trend: Trend, unit: Any) -> str:
    school, _, rest = str(unit).partition("/")
    name = trend.names.get(school)
    return str(unit) if name is None else f"{unit} {name}" + (f" {rest}" if rest else "")


def _family(trend: Trend) -> list[str]:
    """Return the family columns that tell series apart."""
    return [name for name in trend.result.columns.family if trend.frame[name].n_unique() > 1]


def _table(trend: Trend, rows: list[dict[str, Any]], lang: Lang) -> Table:
    say = _sayer(lang)
    level = f"{100 * trend.result.settings['level']:g}%"
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column(say("unit"), no_wrap=True)
    family = _family(trend)
    for name in family:
        table.add_column(say(name) if name in ("subject", "year_group") else name, no_wrap=True)
    table.add_column(say("course"), no_wrap=True)
    table.add_column(say("slope", level=level), justify="right", no_wrap=True)
    for name in ("q", "grade", "detectable", "falls", "could_be_last", "n"):
        justify: Literal["left", "right"] = "left" if name in ("grade", "could_be_last") else "right"
        table.add_column(say(name), justify=justify, no_wrap=name != "detectable")
    courses = _courses(trend)
    for line in rows:
        parts = [_worded(name, line[name], lang) for name in family]
        slope = "—"
        if line["slope"] is not None:
            slope = f"{_signed(line['slope'])} ({_signed(line['ci_lower'])} — {_signed(line['ci_upper'])})"
        could, detectable = line["could_be_last"], line["min_detectable"]
        table.add_row(
            _unit(trend, line[trend.result.columns.unit]),
            *parts,
            courses.get(_key(trend, line), ""),
            slope,
            _chance(line["q_value"]),
            line["evidence_grade"] or "—",
            "—" if detectable is None else f"{detectable:.2f}",
            "—" if line["run_declines"] is None else str(line["run_declines"]),
            "—" if could is None else text(f"bulletin.history.is_{'yes' if could else 'no'}", lang),
            "—" if line["n_min"] is None else str(line["n_min"]),
        )
    return table


def _sayer(lang: Lang) -> Any:
    def say(key: str, **params: object) -> str:
        return text(f"cli.trend.{key}", lang, **params)

    return say


def _sentences(trend: Trend, rows: list[dict[str, Any]], lang: Lang) -> list[str]:
    """Return the fixed sentence of each series, units by name."""
    columns = trend.result.columns
    labels = []
    for line in rows:
        parts = [_worded(name, line[name], lang) for name in _family(trend)]
        labels.append(" · ".join([_unit(trend, line[columns.unit]), *parts]))
    if not rows:
        return []
    frame = pl.DataFrame(rows, schema=trend.frame.schema).with_columns(pl.Series(columns.unit, labels, dtype=pl.String))
    return dataclasses.replace(trend.result, frame=frame).sentences(lang)["sentence"].to_list()


def _model_line(model: DeclineModel, level: float, lang: Lang) -> str:
    say = _sayer(lang)
    common = {"shock": f"{math.sqrt(model.var_shock):.2f}", "units": model.n_units, "periods": model.n_periods}
    if model.shock_source != "reml" or model.var_shock_lower is None or model.var_shock_upper is None:
        return str(say("shock_declared", **common))
    low, high = (f"{math.sqrt(bound):.2f}" for bound in (model.var_shock_lower, model.var_shock_upper))
    how = text(f"bulletin.history.how_{model.correlation_source}", lang)
    return str(say("shock", **common, level=f"{100 * level:g}%", low=low, high=high, rho=f"{model.shock_correlation:g}", how=how))


def _lines_after(trend: Trend, rows: list[dict[str, Any]], lang: Lang) -> list[str]:
    """Return what stands below the table: counts, sentences, what was estimated, conditions, exams."""
    say, result = _sayer(lang), trend.result
    grades = Counter(line["evidence_grade"] for line in rows)
    lines = [say("tally", n=len(rows), rest=grades[None], **{letter.lower(): grades[letter] for letter in _LETTERS})]
    lacking = Counter(line["evidence_reason"] for line in rows if line["evidence_grade"] is None)
    for code, n in sorted(lacking.items(), key=str):
        known = code in ("withheld", None)
        lines += [] if known else [say("reason", n=n, reason=text(f"declines.reason.{code}", lang))]
    held = Counter(line["evidence_reason"] for line in rows if line["evidence_grade"] and line["evidence_reason"])
    lines += [say("held", n=n, reason=text(f"declines.reason.{code}", lang)) for code, n in sorted(held.items())]
    strong = [line for line in rows if line["evidence_grade"] in ("A", "B")]
    lines += ["", *(f"- {said}" for said in _sentences(trend, strong, lang))] if strong else []
    lines += ["", say("relative")]
    for key, model in result.models.items():
        several = len(result.models) > 1
        named = [(name, part) for name, part in zip(result.columns.family, key, strict=True) if name in _family(trend)]
        label = " · ".join(_worded(name, part, lang) for name, part in named)
        lines.append((f"{label}: " if several and label else "") + _model_line(model, result.settings["level"], lang))
    lines.append(say("promise", q=f"{result.settings['bounds']['q']:g}"))
    if trend.withheld_below is not None and "withheld" in lacking:
        lines.append(say("small", n=trend.withheld_below))
    if result.left_out is not None:
        used = result.left_out.filter("used")["exam_id"].to_list()
        lines.append(say("used", exams=text("bulletin.list_joiner", lang).join(used)))
        reasons = Counter(result.left_out.filter(~pl.col("used"))["reason"])
        if reasons:
            parts = [
                say("left_out_reason", reason=text(f"series_reasons.{code}", lang), n=n) for code, n in sorted(reasons.items())
            ]
            lines.append(say("left_out", reasons=text("bulletin.clause_joiner", lang).join(parts)))
    return lines


def _print_table(trend: Trend, console: Console, lang: Lang) -> None:
    say = _sayer(lang)
    rows = _ordered(trend)
    console.print(Text(say("title", what=trend.what), style="bold"))
    console.print(_table(trend, rows[:_MAX_ROWS], lang))
    if len(rows) > _MAX_ROWS:
        console.print(say("more", n=len(rows) - _MAX_ROWS))
    console.print()
    for line in _lines_after(trend, rows, lang):
        console.print(line, soft_wrap=True, markup=False)


def _with_sentences(trend: Trend, lang: Lang) -> pl.DataFrame:
    rows = _ordered(trend)
    frame = pl.DataFrame(rows, schema=trend.frame.schema)
    return frame.with_columns(pl.Series("sentence", _sentences(trend, rows, lang), dtype=pl.String))


def give_trend(trend: Trend, form: str, out: Path | None, lang: Lang) -> Path | None:
    """Print declines, or write them and return the path."""
    result, rows = trend.result, _with_sentences(trend, lang)

    def document() -> dict[str, Any]:
        return {
            "schema": "eduq.trend/1",
            "what": trend.what,
            "settings": result.settings,
            "models": [
                {"family": dict(zip(result.columns.family, key, strict=True)), **dataclasses.asdict(model)}
                for key, model in result.models.items()
            ],
            "units": rows.to_dicts(),
            "series": trend.series.to_dicts(),
            "exams": None if result.left_out is None else result.left_out.to_dicts(),
        }

    return give_frame(rows, document, lambda console: _print_table(trend, console, lang), form=form, out=out, width=_WIDTH)
