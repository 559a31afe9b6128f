"""``eduq targets``: where the targets of the register stand, or targets proposed from schools' own years and intake."""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eduq.cli.aggregates import TableFormat, choose_form
from eduq.cli.options import (
    ArchiveOption,
    ArchiveVersionOption,
    AsOfOption,
    LangOption,
    OutputLang,
    as_date,
    named_archive,
)
from eduq.cli.table_output import give_frame, interval_words, number_words
from eduq.errors import UsageError
from eduq.locale import Lang, has_text, text

if TYPE_CHECKING:
    from rich.console import Console

    from eduq.archive import Archive
    from eduq.estimates.targets import TargetProposals, TargetReview

__all__ = ["targets_command"]

_STATES = ("reached", "not_reached", "undecided", "not_assessable", "refused")
_SIGNS = {"reached": "●", "not_reached": "○", "undecided": "◐"}


def _column(name: str, key: str) -> Any:
    return typer.Option(f"--{name}", help=text(f"cli.help.targets_{key}"), show_default=False)


def targets_command(
    archive: ArchiveOption = None,
    as_of: AsOfOption = None,
    archive_version: ArchiveVersionOption = None,
    strict: Annotated[bool, typer.Option("--strict", help=text("cli.help.targets_strict"))] = False,
    propose: Annotated[bool, typer.Option("--propose", help=text("cli.help.targets_propose"))] = False,
    measure: Annotated[str | None, _column("measure", "measure")] = None,
    subject: Annotated[str | None, _column("subject", "subject")] = None,
    year_group: Annotated[str | None, _column("year-group", "year_group")] = None,
    horizon: Annotated[int | None, typer.Option("--horizon", min=1, max=3, help=text("cli.help.targets_horizon"))] = None,
    chance: Annotated[float | None, _column("chance", "chance")] = None,
    own_years: Annotated[bool, typer.Option("--own-years", help=text("cli.help.targets_own_years"))] = False,
    form: Annotated[TableFormat | None, _column("format", "format")] = None,
    out: Annotated[Path | None, _column("out", "out")] = None,
    lang: LangOption = OutputLang.zh,
) -> None:
    """Review targets, or propose them."""
    from eduq.archive import open_archive

    chosen = choose_form(form, out).value
    of_proposals = {
        "--measure": measure,
        "--subject": subject,
        "--year-group": year_group,
        "--horizon": horizon,
        "--chance": chance,
    }
    if not propose:
        for name, value in (of_proposals | {"--own-years": own_years or None}).items():
            if value is not None:
                raise UsageError("option_needs", option=name, needs="--propose")
    elif strict:
        raise UsageError("option_needs", option="--strict", needs=text("cli.help.targets", lang.value).partition("；")[0])
    store = open_archive(named_archive(archive), version=archive_version)
    day = as_date(as_of) or dt.datetime.now().astimezone().date()
    written = (
        _propose(store, of_proposals, day, chosen, out, lang.value, intake=not own_years)
        if propose
        else _review(store, day, chosen, out, lang.value, strict=strict)
    )
    if written is not None:
        print(written)


def _word(key: str, code: str | None, lang: Lang) -> str:
    return "—" if code is None else text(f"{key}.{code}", lang) if has_text(f"{key}.{code}") else str(code)


def _names(store: Archive) -> dict[str, str]:
    from eduq.cli.trend_output import named_units

    return named_units(store.registers(), "school")


def _unit(unit: str, names: dict[str, str], lang: Lang) -> str:
    if unit == "all":
        return text("bulletin.area.county", lang)
    return f"{unit} {names[unit]}" if unit in names else unit


def _measure(item: dict[str, Any], lang: Lang) -> str:
    from eduq.estimates.measures import load_measures
    from eduq.registers import measure_word

    known = load_measures(names=[item["measure"]]).get(item["measure"]) if item["measure"] in load_measures() else None
    outside = measure_word(item["measure"]) if lang == "zh" else item["measure"].replace("_", " ")
    name = outside if known is None else getattr(known.name, lang)
    subject = "" if item["subject"] is None else _word("bulletin.subject", item["subject"], lang)
    return " ".join(part for part in (subject, name) if part)


def _review(store: Archive, day: dt.date, form: str, out: Path | None, lang: Lang, *, strict: bool) -> Path | None:
    from eduq.rulepacks.target_reviews import refuse_targets, review_targets

    registers = store.registers()
    if strict and registers is not None and registers.targets is not None:
        refuse_targets(registers.targets, as_of=day)
    found = review_targets(store, as_of=day, registers=registers)
    facts = {"schema": "eduq.targets/1", **found.settings}
    return give_frame(
        found.frame,
        lambda: {**facts, "lines": found.frame.to_dicts()},
        lambda console: _show_review(console, found, _names(store), lang),
        form=form,
        out=out,
    )


def _show_review(console: Console, found: TargetReview, names: dict[str, str], lang: Lang) -> None:
    from rich.table import Table
    from rich.text import Text

    from eduq.registers.measures import is_rate
    from eduq.rulepacks.refusals import said_of

    def say(key: str, **params: object) -> str:
        return text(f"cli.targets.{key}", lang, **params)

    rows = found.frame.to_dicts()
    counts = Counter(item["state"] for item in rows)
    version = found.settings["archive_version"]
    console.print(Text(say("title", as_of=found.settings["as_of"], version="—" if version is None else version), style="bold"))
    console.print(
        say("lead", n=found.frame["target_id"].n_unique(), lines=len(rows), **{state: counts[state] for state in _STATES}),
        soft_wrap=True,
    )
    table = Table(box=None, header_style="bold", pad_edge=False)
    for key in ("target_id", "unit", "measure"):
        table.add_column(text(f"bulletin.targets.{key}", lang))
    table.add_column(say("group"))
    for key in ("baseline", "target", "value"):
        table.add_column(text(f"bulletin.targets.{key}", lang), justify="right", no_wrap=True)
    table.add_column(text("bulletin.head.interval", lang, level="95%"), justify="right", no_wrap=True)
    table.add_column(text("bulletin.targets.due", lang), no_wrap=True)
    table.add_column(text("bulletin.targets.state_head", lang))
    several = Counter((item["target_id"], item["year_group"]) for item in rows)
    for item in rows:
        rate = is_rate(item["measure"])
        shape: dict[str, Any] = {"decimals": 1 if rate else 2, "percent": rate}
        state = f"{_SIGNS.get(item['state'], '')} {text('bulletin.targets.state.' + item['state'], lang)}".strip()
        if item["state"] == "not_assessable":
            state += f" ({_reason(item['reason'], found.settings['min_n'], lang)})"
        sign = "" if item["target"] is None else {"up": "≥ ", "down": "≤ "}[item["direction"]]
        table.add_row(
            item["target_id"],
            _unit(item["unit"], names, lang),
            _measure(item, lang),
            _group(item, several[item["target_id"], item["year_group"]] > 1, lang),
            number_words(item["baseline"], **shape),
            sign + number_words(item["target"], **shape),
            number_words(item["estimate"], **shape),
            interval_words(item["ci_lower"], item["ci_upper"], **shape),
            str(item["due"]),
            state,
        )
    console.print(table)
    for item in rows:
        if item["state"] == "refused":
            console.print(say("refused", target=item["target_id"], **said_of(item["reason"])), soft_wrap=True, markup=False)
    console.print()
    console.print(text("bulletin.targets.reading", lang), soft_wrap=True)


def _group(item: dict[str, Any], several: bool, lang: Lang) -> str:
    """Return the year group, and beside a second line of the same target what sets its comparison group apart."""
    said = _word("bulletin.year_group", item["year_group"], lang)
    apart = (item["comparison_group"] or "").removeprefix(f"{item['exam_id']}.{item['subject']}").strip(".")
    if not several or not apart:
        return said
    return f"{said} ({text('bulletin.group_deviation', lang) if re.fullmatch(r'd[0-9+]+', apart) else apart})"


def _reason(code: str, min_n: int, lang: Lang) -> str:
    key = f"targets.reason.{code}"
    return text(key, lang) if has_text(key) else text(f"reasons.{code}", lang, n=min_n)


def _propose(
    store: Archive, asked: dict[str, Any], day: dt.date, form: str, out: Path | None, lang: Lang, *, intake: bool
) -> Path | None:
    from eduq.registers.measures import measure_id
    from eduq.rulepacks.target_reviews import propose_targets

    subject = asked["--subject"]
    named = str(asked["--measure"] or ("composite_z" if subject is None else "z_mean"))
    found = propose_targets(
        store,
        measure=measure_id(named) or named,
        subject=subject,
        year_group=asked["--year-group"],
        as_of=day,
        horizon=asked["--horizon"] or 1,
        chance=0.25 if asked["--chance"] is None else asked["--chance"],
        intake=intake,
    )
    facts = {"schema": "eduq.target-proposals/1", "settings": found.settings, "model": vars(found.model)}
    return give_frame(
        found.frame,
        lambda: {**facts, "lines": found.frame.to_dicts()},
        lambda console: _show_proposals(console, found, _names(store), lang),
        form=form,
        out=out,
    )


def _show_proposals(console: Console, found: TargetProposals, names: dict[str, str], lang: Lang) -> None:
    from rich.table import Table
    from rich.text import Text

    from eduq.registers.measures import is_rate

    def say(key: str, **params: object) -> str:
        return text(f"cli.targets.{key}", lang, **params)

    facts, model = found.settings, found.model
    rate = is_rate(facts["measure"])
    shape: dict[str, Any] = {"decimals": 1 if rate else 2, "percent": rate}
    words = {
        "measure": _measure({"measure": facts["measure"], "subject": None}, lang),
        "subject": _word("bulletin.subject", facts["subject"], lang),
        "year_group": _word("bulletin.year_group", facts["year_group"], lang),
    }
    console.print(
        Text(say("proposed_title", **words, **{name: facts[name] for name in ("first", "last", "horizon")}), style="bold")
    )
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column(say("school"))
    for key in ("n", "newest", "intake", "expected", "interval", "proposed", "registered"):
        table.add_column(say(key, level=f"{100 * facts['level']:.0f}%"), justify="right")
    for item in found.frame.iter_rows(named=True):
        if item["reason"] is not None:
            table.add_row(_unit(item["unit"], names, lang), _count(item["n"]), _reason(item["reason"], 10, lang))
            continue
        registered = "—"
        if item["target"] is not None:
            reach = number_words(item["target_chance"], 0, percent=True)
            registered = say(
                "seldom" if item["target_seldom"] else "usual", target=number_words(item["target"], **shape), chance=reach
            )
        table.add_row(
            _unit(item["unit"], names, lang),
            _count(item["n"]),
            number_words(item["newest"], **shape),
            number_words(item["intake"], signed=True),
            number_words(item["expected"], **shape),
            interval_words(item["ci_lower"], item["ci_upper"], **shape),
            number_words(item["proposed"], **shape),
            registered,
        )
    console.print(table)
    console.print()
    slope = say("no_intake") if model.intake is None else number_words(model.intake)
    levels = {"level": number_words(model.var_level**0.5, 3), "shock": number_words(model.var_shock**0.5, 3)}
    console.print(say("model", intake=slope, **levels), soft_wrap=True)
    level = f"{100 * facts['level']:.0f}%"
    within = model.backtest_within
    console.print(
        say("backtest_none")
        if within is None
        else say("backtest", n=model.backtest_n, within=f"{100 * within:.0f}%", level=level),
        soft_wrap=True,
    )
    console.print(say("reading", chance=f"{100 * facts['chance']:.0f}%"), soft_wrap=True)


def _count(n: int | None) -> str:
    return "—" if n is None else str(n)
