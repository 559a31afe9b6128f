"""``eduq stress``: false sanctions of a rule pack on the county's own sizes, before it is used."""

from __future__ import annotations

import datetime as dt
import os
import sys
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eduq.cli.options import (
    ArchiveOption,
    ArchiveVersionOption,
    AsOfOption,
    LangOption,
    OutputLang,
    as_date,
    named_archive,
)
from eduq.locale import Lang, text

if TYPE_CHECKING:
    from rich.console import Console

    from eduq.rulepacks.simulation import StressResult

__all__ = ["StressFormat", "stress_command"]

_TOP_UNITS = 10
_READINGS = ("narrow", "wide")


class StressFormat(StrEnum):
    """How the result is given."""

    table = "table"
    json = "json"
    csv = "csv"


def stress_command(
    pack: Annotated[str, typer.Option("--pack", help=text("cli.help.judge_pack"))],
    archive: ArchiveOption = None,
    as_of: AsOfOption = None,
    archive_version: ArchiveVersionOption = None,
    rule: Annotated[list[str] | None, typer.Option("--rule", help=text("cli.help.judge_rule"), show_default=False)] = None,
    worlds: Annotated[int, typer.Option("--worlds", min=2, help=text("cli.help.stress_worlds"))] = 10_000,
    evidence_worlds: Annotated[
        int, typer.Option("--evidence-worlds", min=0, help=text("cli.help.stress_evidence_worlds"))
    ] = 2_000,
    seed: Annotated[int, typer.Option("--seed", min=0, help=text("cli.help.stress_seed"))] = 20240901,
    decline: Annotated[
        list[float] | None, typer.Option("--decline", help=text("cli.help.stress_decline"), show_default="-0.1 -0.2 -0.3")
    ] = None,
    years_ahead: Annotated[int, typer.Option("--years-ahead", min=0, help=text("cli.help.stress_years"))] = 4,
    workers: Annotated[int | None, typer.Option("--workers", min=1, help=text("cli.help.stress_workers"))] = None,
    out: Annotated[Path | None, typer.Option("--out", help=text("cli.help.stress_out"), show_default=False)] = None,
    form: Annotated[StressFormat, typer.Option("--format", help=text("cli.help.stress_format"))] = StressFormat.table,
    lang: LangOption = OutputLang.zh,
) -> None:
    """Simulate a pack on the archive and print what it would do where nothing changes."""
    from eduq.archive import open_archive
    from eduq.cli.output import Display
    from eduq.rulepacks.simulation import stress
    from eduq.rulepacks.simulation.stressing import DECLINES

    source = open_archive(named_archive(archive), version=archive_version)
    day = as_date(as_of) or dt.datetime.now().astimezone().date()
    with Display(lang.value) as display:
        found = stress(
            pack,
            source,
            as_of=day,
            rules=rule or None,
            worlds=worlds,
            evidence_worlds=evidence_worlds,
            seed=seed,
            declines=tuple(decline or DECLINES),
            years_ahead=years_ahead,
            workers=workers or os.cpu_count() or 1,
            progress=display.progress,
        )
    written = [] if out is None else [found.write(out)]
    match form:
        case StressFormat.json:
            print(found.to_json())
        case StressFormat.csv:
            sys.stdout.write(found.frame.write_csv())
        case StressFormat.table:
            _Page(found, lang.value).show()
    for path in written:
        print(path)


class _Page:
    """Prints a result for people."""

    def __init__(self, found: StressResult, lang: Lang) -> None:
        from rich.console import Console

        self.found, self.lang = found, lang
        console = Console(highlight=False)
        self.console: Console = (
            console if console.is_terminal else Console(file=sys.stdout, width=140, highlight=False, color_system=None)
        )

    def show(self) -> None:
        """Print head, tables and sentences."""
        from rich.text import Text

        found, settings = self.found, self.found.settings
        title = found.pack.texts[self.lang].title
        self.console.print(Text(self.say("title", pack=title, as_of=settings["as_of"]), style="bold"))
        version, stored = settings["pack_version"], settings["archive_version"]
        known = self.say("no_version", pack_version=version)
        if stored is not None:
            known = self.say("version", pack_version=version, archive_version=stored)
        drawn = text(
            "stress.worlds", self.lang, worlds=settings["worlds"], graded=settings["evidence_worlds"], seed=settings["seed"]
        )
        self.console.print(f"{known}{'' if self.lang == 'zh' else ' '}{drawn}", soft_wrap=True, markup=False)
        for part in (self.show_county, self.show_rates, self.show_power, self.show_edits, self.show_ladder, self.show_schools):
            self.console.print()
            part()
        self.console.print()
        self.console.print(Text(self.say("sentences"), style="bold"))
        for line in found.sentences(self.lang):
            self.console.print(line, soft_wrap=True, markup=False)
        if found.not_simulated.height:
            self.console.print()
            self.console.print(Text(self.say("not_simulated"), style="bold"))
            for rule_id, reason in found.not_simulated.iter_rows():
                said = text(f"stress.reason.{reason}", self.lang)
                self.console.print(f"  {rule_id}  {self.rule_name(rule_id)}: {said}", soft_wrap=True, markup=False)
        self.console.print()
        self.console.print(self.say("notes"), soft_wrap=True, markup=False)

    def say(self, key: str, **params: object) -> str:
        """Return a text of this command."""
        return text(f"cli.stress.{key}", self.lang, **params)

    def rule_name(self, rule_id: str) -> str:
        """Return what a rule is called."""
        rule = self.found.pack.rule(rule_id)
        return rule_id if rule is None else self.found.pack.name_of(rule, self.lang)

    def reading(self, reading: str) -> str:
        """Return a reading in words."""
        return text(f"readings.{reading}", self.lang)

    def table(self, title: str, columns: Sequence[tuple[str, bool]], rows: Sequence[Sequence[str]]) -> None:
        """Print a table; a column is its heading and whether it holds numbers."""
        from rich.table import Table

        table = Table(title=title, box=None, header_style="bold", title_justify="left", pad_edge=False)
        for heading, numbers in columns:
            table.add_column(heading, justify="right" if numbers else "left", overflow="fold")
        for row in rows:
            table.add_row(*row)
        self.console.print(table)

    def columns(self, *names: str) -> list[tuple[str, bool]]:
        """Return headings of this command; the first two hold words."""
        words = ("rule", "reading", "placed", "unit", "edit")
        return [(self.say(f"column.{name}"), name not in words) for name in names]

    def show_county(self) -> None:
        """Print what the worlds were drawn from."""
        from rich.text import Text

        self.console.print(Text(self.say("county"), style="bold"))
        for row in self.found.county.iter_rows(named=True):
            line = self.say(
                "county_line",
                family=row["family"] or "-",
                n=row["n_series"],
                groups=" ".join(part for part in (row["year_groups"], row["subjects"]) if part),
                first=row["period_first"],
                last=row["period_last"],
                years=row["n_years"],
                holes=row["holes"],
                level=_fixed(row["level_sd"]),
                shock=_fixed(row["shock_sd"]),
                lower=_fixed(row["shock_sd_lower"]),
                upper=_fixed(row["shock_sd_upper"]),
                rho=_fixed(row["shock_correlation"]),
                source=self.say(row["shock_source"]),
            )
            self.console.print(f"  {line}", soft_wrap=True, markup=False)

    def show_rates(self) -> None:
        """Print the false proposals a year."""
        rows = []
        for rule_id in self.found.rule_ids():
            for reading in _READINGS:
                gates = {
                    row["gate"]: row for row in self.found.rates.filter(rule_id=rule_id, reading=reading).iter_rows(named=True)
                }
                if gates:
                    cells = [_pair(gates.get(gate), "cards_per_year", "mc_se") for gate in ("literal", "B", "A")]
                    literal = gates["literal"]
                    chance = _pair(literal, "p_any", "p_any_mc_se")
                    names = (self.rule_name(rule_id), self.reading(reading))
                    rows.append([*names, str(literal["n_units"]), cells[0], chance, cells[1], cells[2]])
        self.table(self.say("rates"), self.columns("rule", "reading", "units", "literal", "any", "b", "a"), rows)

    def show_power(self) -> None:
        """Print the power against the stated declines: literal | B | A in one cell."""
        if self.found.power.is_empty():
            return
        declines = self.found.power["decline"].unique().sort(descending=True).to_list()
        rows: list[list[str]] = []
        for rule_id in self.found.rule_ids():
            mine = self.found.power.filter(rule_id=rule_id)
            for reading in _READINGS:
                keys = mine.select("placed", "family", "unit", "n").unique(maintain_order=True)
                for placed, family, unit, n in keys.iter_rows():
                    lines = {
                        (row["decline"], row["gate"]): row["power"]
                        for row in mine.filter(placed=placed, unit=unit, reading=reading).iter_rows(named=True)
                        if row["family"] == family
                    }
                    cells = [_gates(lines, decline) for decline in declines]
                    where = text(f"stress.placed.{placed}", self.lang)
                    rows.append([self.rule_name(rule_id), self.reading(reading), where, unit, str(n), *cells])
        gates = " | ".join(text(f"stress.gate.{gate}", self.lang) for gate in ("literal", "B", "A"))
        headings = [*self.columns("rule", "reading", "placed", "unit", "n"), *((f"{decline:g}", True) for decline in declines)]
        self.table(f"{self.say('power')}: {gates}", headings, rows)

    def show_edits(self) -> None:
        """Print the edits of each rule under each reading."""
        from eduq.rulepacks.simulation.results import describe_edit

        reference = self.found.settings["reference"]
        if self.found.edits.is_empty() or reference is None:
            return
        rows = []
        for rule_id in self.found.rule_ids():
            for reading in _READINGS:
                for row in self.found.edits.filter(rule_id=rule_id, reading=reading).iter_rows(named=True):
                    mark = self.say("halves") if row["halves"] else ""
                    first = row["edit"] == "none"
                    rows.append(
                        [
                            self.rule_name(rule_id) if first else "",
                            self.reading(reading) if first else "",
                            f"{describe_edit(row, self.lang)} {mark}".strip(),
                            _pair(row, "false_cards", "false_mc_se"),
                            "" if first else _pair(row, "false_difference", "false_difference_se", sign=True),
                            _pair(row, "power", "power_mc_se", worlds="power_worlds"),
                            "" if first else _pair(row, "power_difference", "power_difference_se", sign=True),
                        ]
                    )
        placed = text(f"stress.placed.{reference['placed']}", self.lang)
        headings = self.columns("rule", "reading", "edit", "cards", "change", "power", "change")
        self.table(self.say("edits", placed=placed, decline=f"{reference['decline']:g}"), headings, rows)

    def show_ladder(self) -> None:
        """Print new proposals year by year."""
        if self.found.ladder.is_empty():
            return
        periods = self.found.ladder["period"].unique().sort().to_list()
        rows = []
        for rule_id in self.found.rule_ids():
            for reading in _READINGS:
                lines = self.found.ladder.filter(rule_id=rule_id, reading=reading).sort("ahead").to_dicts()
                if lines:
                    cells = [_pair(row, "new_cards", "mc_se") for row in lines]
                    rows.append([self.rule_name(rule_id), self.reading(reading), *cells])
        self.table(self.say("ladder"), [*self.columns("rule", "reading"), *((period, True) for period in periods)], rows)

    def show_schools(self) -> None:
        """Print the units most often hit by chance, under each reading, by the clause as it stands."""
        rows = []
        for rule_id in self.found.rule_ids():
            for reading in _READINGS:
                mine = self.found.per_school.filter(rule_id=rule_id, reading=reading, gate="literal").drop_nulls("p")
                top = mine.sort("p", "unit", descending=[True, False]).head(_TOP_UNITS)
                said = ", ".join(f"{row['unit']} {_fixed(row['p'], 3)}" for row in top.iter_rows(named=True) if row["p"] > 0)
                rows.append([self.rule_name(rule_id), self.reading(reading), said])
        headings = [*self.columns("rule", "reading"), (self.say("column.p"), False)]
        self.table(self.say("schools", n=_TOP_UNITS), headings, rows)


def _fixed(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _pair(row: dict[str, Any] | None, value: str, error: str, *, sign: bool = False, worlds: str = "worlds") -> str:
    """Return a figure ± its Monte-Carlo error, with as many digits as the error bears."""
    if row is None or row[value] is None:
        return "-"
    if row[value] == 0 and row[error] == 0 and not sign:
        return f"< {3 / row[worlds]:.2g}"  # the rule of three: none in so many worlds
    digits = 2 if row[error] >= 0.02 else 3
    shown: Callable[[float], str] = (lambda number: f"{number:+.{digits}f}") if sign else (lambda number: f"{number:.{digits}f}")
    return f"{shown(row[value])} ± {row[error]:.{digits}f}".replace("-", "−")


def _gates(lines: dict[tuple[float, str], float], decline: float) -> str:
    found = [lines.get((decline, gate)) for gate in ("literal", "B", "A")]
    return " | ".join("-" if value is None else f"{value:.2f}" for value in found)
