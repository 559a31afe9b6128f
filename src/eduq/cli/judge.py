"""``eduq judge``: a rule pack applied to the archive, and what a person decided."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Iterator, Sequence
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
from eduq.errors import UsageError
from eduq.locale import Lang, has_text, text

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from eduq.archive import Archive
    from eduq.rulepacks.judgement import JudgeResult
    from eduq.rulepacks.model import Rule

__all__ = ["VerdictFormat", "judge_command"]

_MAX_LINES_OF_RULE = 20


class VerdictFormat(StrEnum):
    """How verdicts are given."""

    table = "table"
    json = "json"
    csv = "csv"
    parquet = "parquet"


def judge_command(
    pack: Annotated[str, typer.Option("--pack", help=text("cli.help.judge_pack"))],
    archive: ArchiveOption = None,
    as_of: AsOfOption = None,
    archive_version: ArchiveVersionOption = None,
    rule: Annotated[list[str] | None, typer.Option("--rule", help=text("cli.help.judge_rule"), show_default=False)] = None,
    out: Annotated[Path | None, typer.Option("--out", help=text("cli.help.judge_out"), show_default=False)] = None,
    form: Annotated[VerdictFormat, typer.Option("--format", help=text("cli.help.judge_format"))] = VerdictFormat.table,
    decide: Annotated[list[str] | None, typer.Option("--decide", help=text("cli.help.judge_decide"), show_default=False)] = None,
    operator: Annotated[
        str | None, typer.Option("--operator", help=text("cli.help.archive_operator"), show_default=False)
    ] = None,
    lang: LangOption = OutputLang.zh,
) -> None:
    """Judge, or record decisions on what was judged."""
    from eduq.archive import open_archive
    from eduq.rulepacks.judging import judge
    from eduq.rulepacks.linting import refuse_banned
    from eduq.rulepacks.reading import load_rulepack

    if form is VerdictFormat.parquet and out is None:
        raise UsageError("format_needs_out", format=form.value)
    source = open_archive(named_archive(archive), version=archive_version)
    day = as_date(as_of) or dt.datetime.now().astimezone().date()
    if decide:
        _record(source, decide, pack=pack, as_of=day, operator=operator)
        return
    registers = source.registers()
    loaded = load_rulepack(pack, as_of=day, statements=registers.packs if registers is not None else {})
    refuse_banned(loaded, rules=rule or ())
    found = judge(loaded, source, as_of=day, rules=rule or None)
    written = [_write(found, out, form)] if out is not None else []
    if form is VerdictFormat.table:
        _show(found, lang.value)
    elif not written:
        sys.stdout.write(found.to_json() + "\n" if form is VerdictFormat.json else found.as_printed().write_csv())
    for path in written:
        print(path)


def _write(found: JudgeResult, out: Path, form: VerdictFormat) -> Path:
    """Write the verdicts; a name without suffix takes that of the form."""
    suffixes = {VerdictFormat.json: ".json", VerdictFormat.csv: ".csv"}
    return found.write(out if out.suffix else out.with_suffix(suffixes.get(form, ".parquet")))


def _record(source: Archive, words: Sequence[str], *, pack: str, as_of: dt.date, operator: str | None) -> None:
    """Record the decisions of a file, or the one given as key=value words."""
    from eduq.rulepacks.deciding import parse_decision, read_decisions, record_decisions

    one_file = len(words) == 1 and "=" not in words[0]
    decisions = read_decisions(Path(words[0])) if one_file else (parse_decision(words),)
    versions = record_decisions(source, decisions, pack=pack, as_of=as_of, operator=operator, now=dt.datetime.now(dt.UTC))
    print(text("cli.judge.recorded", None, n=len(versions), version=versions[-1]))


def _show(found: JudgeResult, lang: Lang) -> None:
    """Print the verdicts for people: counts by rule, then what is proposed or met under the wide reading only."""
    from rich.console import Console
    from rich.text import Text

    def say(key: str, **params: object) -> str:
        return text(f"cli.judge.{key}", lang, **params)

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(file=sys.stdout, width=140, highlight=False, color_system=None)
    settings = found.settings
    console.print(Text(say("title", pack=found.pack.texts[lang].title, as_of=settings["as_of"]), style="bold"))
    known = "no_version" if settings["archive_version"] is None else "version"
    both = {"pack_version": settings["pack_version"]}
    console.print(say(known, **(both if known == "no_version" else both | {"archive_version": settings["archive_version"]})))
    verdicts = list(_paired(found))
    shown = [line for line in verdicts if _is_shown(line)]
    counts = {
        "n": len(verdicts),
        "proposals": sum(line["proposal"] is not None for line in verdicts),
        "only_wide": sum(line["only_wide"] for line in verdicts),
        "open": sum(line["narrow"] == "not_assessable" for line in verdicts),
    }
    console.print(say("counts", **counts))
    console.print()
    if verdicts:
        console.print(_rules_table(found, verdicts, lang))
        console.print()
    if not shown:
        console.print(say("none"))
    else:
        _show_verdicts(console, found, shown, lang)
    if found.not_judged.height:
        console.print()
        console.print(Text(say("not_judged"), style="bold"))
        for row in found.not_judged.iter_rows(named=True):
            name = _rule_name(found, row["rule_id"], lang)
            console.print(f"  {row['rule_id']}  {name}: {text('judge_reasons.' + row['reason'], lang)}", markup=False)
    console.print()
    console.print(say("notes"), soft_wrap=True)


def _show_verdicts(console: Console, found: JudgeResult, shown: Sequence[dict[str, Any]], lang: Lang) -> None:
    """Print the first lines of every rule, proposals first; how many more there are; and the bans they are barred by."""
    by_rule: dict[str, list[dict[str, Any]]] = {}
    for line in shown:
        by_rule.setdefault(line["rule_id"], []).append(line)
    for lines in by_rule.values():
        lines.sort(key=lambda line: line["proposal"] is None)
    first = [line for lines in by_rule.values() for line in lines[:_MAX_LINES_OF_RULE]]
    console.print(_verdict_table(found, first, lang))
    for rule_id, lines in by_rule.items():
        if (more := len(lines) - _MAX_LINES_OF_RULE) > 0:
            console.print(text("cli.judge.more", lang, rule=_rule_name(found, rule_id, lang), n=more), soft_wrap=True)
    for barred in sorted({line["barred_by"] for line in shown if line["barred_by"] is not None}):
        console.print(f"{barred}  {_ban(found, barred, lang)}", soft_wrap=True, markup=False)


def _paired(found: JudgeResult) -> Iterator[dict[str, Any]]:
    """Give one line per verdict, with both readings in it and the evidence of the reading that proposes."""
    rows = found.frame.to_dicts()  # narrow before wide
    places = {rule.id: place for place, rule in enumerate(_in_order(found))}
    order = sorted(range(0, len(rows), 2), key=lambda place: places[rows[place]["rule_id"]])
    rows = [rows[place + side] for place in order for side in (0, 1)]
    for narrow, wide in zip(rows[::2], rows[1::2], strict=True):
        rule = found.pack.rule(narrow["rule_id"])
        proposing = wide if rule is not None and rule.readings.proposes == "wide" else narrow
        yield proposing | {
            "narrow": narrow["clause_result"],
            "wide": wide["clause_result"],
            "only_wide": wide["only_wide"],
            "reason": narrow["reason"],
            "wide_reason": wide["reason"],
        }


def _in_order(found: JudgeResult) -> list[Rule]:
    """Return the rules as a ladder is climbed: the steps of one ladder together, the mildest first."""
    return sorted(found.pack.rules, key=lambda rule: (rule.ladder.name, rule.ladder.step) if rule.ladder else (rule.id, 0))


def _is_shown(line: dict[str, Any]) -> bool:
    return line["proposal"] is not None or line["only_wide"] or line["barred_by"] is not None


def _rule_name(found: JudgeResult, rule_id: str, lang: Lang) -> str:
    rule = found.pack.rule(rule_id)
    return "" if rule is None else found.pack.name_of(rule, lang)


def _table(title: str, columns: Sequence[str], right: Sequence[str], lang: Lang) -> Table:
    from rich.table import Table

    table = Table(title=title, box=None, header_style="bold", title_justify="left", pad_edge=False)
    for name in columns:
        label = text(f"cli.judge.column.{name}", lang)
        table.add_column(label, justify="right" if name in right else "left", overflow="fold")
    return table


def _rules_table(found: JudgeResult, verdicts: Sequence[dict[str, Any]], lang: Lang) -> Table:
    """Return how often each rule gave what, with the reasons why it could not be assessed."""
    columns = ("rule", "met_narrow", "met_wide", "not_met", "open", "reason")
    table = _table(text("cli.judge.by_rule", lang), columns, columns[1:5], lang)
    for rule_id in dict.fromkeys(line["rule_id"] for line in verdicts):
        lines = [line for line in verdicts if line["rule_id"] == rule_id]
        reasons: dict[str, int] = {}
        for line in lines:
            if line["narrow"] == "not_assessable":
                reasons[line["reason"]] = reasons.get(line["reason"], 0) + 1
        said = [f"{text('verdict_reasons.' + reason, lang)} {n}" for reason, n in sorted(reasons.items())]
        results = [line["narrow"] for line in lines]
        counts = (results.count("met"), [line["wide"] for line in lines].count("met"), results.count("not_met"))
        cells = (*counts, results.count("not_assessable"))
        table.add_row(_rule_name(found, rule_id, lang), *map(str, cells), "; ".join(said))
    return table


def _verdict_table(found: JudgeResult, lines: Sequence[dict[str, Any]], lang: Lang) -> Table:
    columns = ("rule", "unit", "person", "year_group", "subject", "narrow", "wide", "evidence", "proposal", "remark")
    table = _table(text("cli.judge.verdicts", lang), columns, (), lang)
    for line in lines:
        subject = line["subject"] or ""
        name = f"bulletin.subject.{subject}"
        table.add_row(
            _rule_name(found, line["rule_id"], lang),
            _unit(line, lang),
            line["head_id"] or line["teacher_id"] or "",
            line["year_group"] or "",
            text(name, lang) if has_text(name) else subject,
            *(text(f"clause_results.{line[reading]}", lang) for reading in ("narrow", "wide")),
            line["evidence_grade"] or "",
            "" if line["proposal"] is None else text(f"proposals.{line['proposal']}", lang),
            "; ".join(_remarks(found, line, lang)),
        )
    return table


def _unit(line: dict[str, Any], lang: Lang) -> str:
    """Name a unit: schools by id and name, the area by its word."""
    if line["unit_type"] == "area":
        return text("verdict_units.area", lang)
    school = line["unit"] if line["unit_type"] != "teacher" else line["school_id"] or ""
    return f"{school} {line['unit_name'] or ''}".strip()


def _remarks(found: JudgeResult, line: dict[str, Any], lang: Lang) -> Iterator[str]:
    """Give what stands beside a verdict: the reading, the ban with its source, earlier steps, the decision."""
    if line["only_wide"]:
        yield text("cli.judge.only_wide", lang)
    if line["barred_by"] not in (None, line["rule_id"]):
        yield line["barred_by"]
    if line["target_id"]:
        yield str(line["target_id"])
    if line["earlier_steps"]:
        yield text("cli.judge.earlier", lang, steps=line["earlier_steps"])
    if line["proposal"] is not None:
        if line["decision"] is None:
            yield text("cli.judge.undecided", lang)
        else:
            said = text(f"decided.{line['decision']}", lang)
            yield text("cli.judge.decided", lang, decision=said, by=line["decided_by"], on=line["decided_on"])


def _ban(found: JudgeResult, rule_id: str, lang: Lang) -> str:
    """Cite the document and article of a ban."""
    from eduq.rulepacks.reading import load_rulepack

    pack = found.pack if rule_id.startswith(f"{found.pack.id}.") else load_rulepack(rule_id.split(".")[0], as_of=None)
    rule = pack.rule(rule_id)
    cited = rule.citations[0] if rule is not None and rule.citations else None
    if cited is None:
        return rule_id
    return text("cli.judge.barred", lang, title=cited.title, place=cited.article or cited.place or "")
