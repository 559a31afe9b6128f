"""``eduq rules``: rule packs listed, shown, tested and linted."""

from __future__ import annotations

import datetime as dt
import difflib
import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eduq.cli.options import AsOfOption, LangOption, OutputLang, as_date
from eduq.cli.words_output import show_words
from eduq.errors import SettingsError
from eduq.locale import Lang, text

if TYPE_CHECKING:
    from rich.console import Console

    from eduq.rulepacks.model import Rule, RulePack

__all__ = ["rules_app"]

rules_app = typer.Typer(no_args_is_help=True, help=text("cli.help.rules"))


class ShownAs(StrEnum):
    """How it is printed."""

    table = "table"
    json = "json"


FormatOption = Annotated[ShownAs, typer.Option("--format", help=text("cli.help.rules_format"))]
PackArgument = Annotated[str, typer.Argument(help=text("cli.help.rules_pack"), show_default=False)]
PacksArgument = Annotated[list[str] | None, typer.Argument(help=text("cli.help.rules_packs"), show_default=False)]


def _say(key: str, lang: Lang, **params: object) -> str:
    return text(f"cli.rules.{key}", lang, **params)


def _console() -> Console:
    from rich.console import Console

    console = Console(highlight=False)
    return console if console.is_terminal else Console(file=sys.stdout, width=140, highlight=False, color_system=None)


def _print_json(content: Any) -> None:
    print(json.dumps({"schema": 1, **content}, ensure_ascii=False, indent=2, default=str))


def _print_table(title: str, columns: list[str], rows: list[list[str]], lang: Lang) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title), box=None, header_style="bold", title_justify="left", pad_edge=False)
    for name in columns:
        table.add_column(_say(f"column.{name}", lang), overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    _console().print(table)


def _days(first: dt.date | None, last: dt.date | None, lang: Lang) -> str:
    """Say from when to when; a hidden year is said."""
    if first is None:
        return _say("unstated", lang)
    return f"{first} – {last or ''}".rstrip()


def _effect(pack: RulePack, lang: Lang) -> str:
    """Say from when to when a pack is in force; its rules may each have their own days."""
    if pack.effective.from_ is None and all(rule.effect.from_ is not None for rule in pack.rules):
        return _say("each", lang)
    return _days(pack.effective.from_, pack.effective.to, lang)


@rules_app.command("list", help=text("cli.help.rules_list"))
def list_packs_command(form: FormatOption = ShownAs.table, lang: LangOption = OutputLang.zh) -> None:
    """List the packs."""
    from eduq.rulepacks.catalogue import list_packs
    from eduq.rulepacks.reading import load_rulepack

    packs = [load_rulepack(path, as_of=None) for path in list_packs().values()]
    if form is ShownAs.json:
        lines = [
            {
                "pack": pack.id,
                "title": {name: words.title for name, words in pack.texts.items()},
                "pack_version": pack.version,
                "effect": pack.effective.model_dump(mode="json", by_alias=True),
                "rules": [rule.id for rule in pack.rules],
            }
            for pack in packs
        ]
        _print_json({"packs": lines})
        return
    said: Lang = lang.value
    rows = [[pack.id, pack.texts[said].title, str(len(pack.rules)), _effect(pack, said), pack.version] for pack in packs]
    _print_table(_say("packs", said, n=len(packs)), ["pack", "title", "n_rules", "effect", "version"], rows, said)


@rules_app.command("show", help=text("cli.help.rules_show"))
def show_rules_command(
    name: Annotated[str, typer.Argument(metavar="PACK[/RULE]", help=text("cli.help.rules_name"), show_default=False)],
    as_of: AsOfOption = None,
    registers: Annotated[
        Path | None, typer.Option("--registers", help=text("cli.help.rules_registers"), show_default=False)
    ] = None,
    words: Annotated[bool, typer.Option("--words", help=text("cli.help.rules_words"))] = False,
    form: FormatOption = ShownAs.table,
    lang: LangOption = OutputLang.zh,
) -> None:
    """Show a pack, one of its rules in full, or the words that may not go out."""
    if words:
        show_words(_split(name)[0], as_json=form is ShownAs.json, lang=lang.value)
        return
    from eduq.registers.statements import read_statements
    from eduq.rulepacks.description import describe_rule
    from eduq.rulepacks.reading import load_rulepack

    where, wanted = _split(name)
    stated = read_statements(registers / "packs.toml") if registers is not None else None
    pack = load_rulepack(where, as_of=as_date(as_of), statements=stated)
    rules = [_find(pack, wanted)] if wanted else list(pack.rules)
    if form is ShownAs.json:
        _print_json({"pack": pack.id, "pack_version": pack.version, "rules": [describe_rule(pack, rule) for rule in rules]})
    elif wanted:
        _show_rule(pack, rules[0], lang.value)
    else:
        _show_pack(pack, lang.value)


def _split(name: str) -> tuple[str, str | None]:
    """Tell a pack and a rule apart; a folder is a path, even with slashes in it."""
    head, slash, rule = name.rpartition("/")
    if not slash or (Path(name) / "pack.yaml").is_file():
        return name, None
    return head, rule


def _find(pack: RulePack, wanted: str) -> Rule:
    """Return a rule by its id, with or without the pack's name before it."""
    found = pack.rule(wanted) or pack.rule(f"{pack.id}.{wanted}")
    if found is not None:
        return found
    known = [rule.id for rule in pack.rules]
    close = difflib.get_close_matches(wanted, known, n=1, cutoff=0.3)
    raise SettingsError("rule_unknown", pack=pack.id, rule=wanted, known=", ".join(known), close=close[0] if close else known[0])


def _show_pack(pack: RulePack, lang: Lang) -> None:
    console = _console()
    words = pack.texts[lang]
    console.print(f"{pack.id}  {words.title}", markup=False, style="bold")
    console.print(words.summary, markup=False, soft_wrap=True)
    console.print(_say("in_force", lang, effect=_effect(pack, lang), version=pack.version), markup=False)
    rows = [
        [
            rule.id,
            pack.name_of(rule, lang),
            ", ".join(rule.clause) or "-",
            text(f"proposals.{rule.proposal}", lang),
            _open(rule, lang),
        ]
        for rule in pack.rules
    ]
    _print_table("", ["rule", "name", "clause", "proposal", "open"], rows, lang)


def _open(rule: Rule, lang: Lang) -> str:
    return _say("open", lang, n=len(rule.missing_parameters())) if rule.missing_parameters() else ""


def _show_rule(pack: RulePack, rule: Rule, lang: Lang) -> None:
    from eduq.rulepacks.description import cite, describe_tree

    console = _console()

    def line(key: str, said: str) -> None:
        console.print(f"{_say(f'field.{key}', lang)}: {said}" if said else "", markup=False, soft_wrap=True)

    words = pack.texts[lang].rules[rule.id]
    console.print(f"{rule.id}  {words.name}", markup=False, style="bold")
    for citation in rule.citations:
        line("clause", cite(citation, lang))
    line("asks", words.asks)
    effect = pack.effect_of(rule)
    line("effect", _days(effect.from_, effect.to, lang))
    line("subject", text(f"verdict_units.{rule.subject}", lang))
    for reading in ("narrow", "wide"):
        line(reading, describe_tree(rule.conditions, rule, getattr(rule.readings, reading), lang, measures=pack.measures))
    if rule.peer_group is not None:
        group = rule.peer_group
        values = {
            "within": ", ".join(_say(f"within.{key}", lang) for key in group.within),
            "min_units": group.min_units,
            "min_pupils": group.min_pupils,
        }
        line("peers", _say("peers", lang, small=_say(f"small.{group.small_schools}", lang), **values))
    line("proposal", text(f"proposals.{rule.proposal}", lang))
    line("decides", words.decide)
    if rule.exit is not None:
        line("exit", _say("exit", lang, n=rule.exit.after_years))
    for name, parameter in sorted(rule.parameters.items()):
        line("parameter", f"{name} · {_say(f'source.{parameter.source}', lang)} · {', '.join(parameter.at)}")
    if rule.missing_parameters():
        line("missing", ", ".join(rule.missing_parameters()))


@rules_app.command("test", help=text("cli.help.rules_test"))
def run_cases_command(packs: PacksArgument = None, form: FormatOption = ShownAs.table, lang: LangOption = OutputLang.zh) -> None:
    """Run the cases of packs; one that fails is an error of the pack."""
    from eduq.rulepacks.cases import run_cases
    from eduq.rulepacks.catalogue import list_packs

    said: Lang = lang.value
    names = packs or list(list_packs())
    found = {name: run_cases(name) for name in names}
    if form is ShownAs.json:
        _print_json({"packs": {name: one.frame.to_dicts() for name, one in found.items()}})
    else:
        rows = []
        for name, one in found.items():
            n = one.frame.unique(["rule_id", "case"]).height
            n_failed = one.failed.unique(["rule_id", "case"]).height
            rows.append([name, str(one.frame["rule_id"].n_unique()), str(n), str(n - n_failed), str(n_failed)])
        _print_table(_say("cases", said), ["pack", "n_rules", "n_cases", "passed", "failed"], rows, said)
        failed = [row for one in found.values() for row in one.failed.iter_rows(named=True)]
        if failed:
            columns = ["rule_id", "case", "reading", "expected", "found"]
            _print_table(_say("failed", said), ["rule", *columns[1:]], [[row[name] for name in columns] for row in failed], said)
    n_failed = sum(one.failed.unique(["rule_id", "case"]).height for one in found.values())
    if n_failed:
        raise SettingsError(
            "rule_cases_failed", n=sum(one.frame.unique(["rule_id", "case"]).height for one in found.values()), failed=n_failed
        )


@rules_app.command("lint", help=text("cli.help.rules_lint"))
def lint_pack_command(pack: PackArgument, form: FormatOption = ShownAs.table, lang: LangOption = OutputLang.zh) -> None:
    """Ask a pack what it leaves open and what it may not say."""
    from eduq.rulepacks.linting import lint_rulepack

    said: Lang = lang.value
    found = lint_rulepack(pack)
    if form is ShownAs.json:
        _print_json(
            {"pack": found.pack, "errors": found.errors, "questions": found.questions, "findings": found.frame.to_dicts()}
        )
    elif found.findings:
        rows = [[_say(f"level.{one.level}", said), one.rule_id or "", one.key, one.sentence(said)] for one in found.findings]
        _print_table(_say("lint", said, pack=found.pack), ["level", "rule", "key", "sentence"], rows, said)
    else:
        print(_say("clean", said, pack=found.pack))
    if found.findings:
        raise SettingsError("pack_lint", pack=found.pack, errors=found.errors, questions=found.questions)
