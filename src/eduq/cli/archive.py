"""``eduq archive``: the teaching quality database."""

from __future__ import annotations

import datetime as dt
import getpass
import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eduq.cli.options import ArchiveOption, ArchiveVersionOption, KeyFileOption, LangOption, OutputLang, named_archive
from eduq.errors import ArchiveError, EduqError, UsageError
from eduq.locale import text

if TYPE_CHECKING:
    import polars as pl

    from eduq.archive import ImportReceipt

__all__ = ["TableFormat", "archive_app"]

archive_app = typer.Typer(no_args_is_help=True, help=text("cli.help.archive"))


_DATING = ("date", "school_year", "term", "year_group")
"""What places an exam in a yearly series."""


class TableFormat(StrEnum):
    """How a table is printed."""

    table = "table"
    json = "json"
    csv = "csv"


FormatOption = Annotated[TableFormat, typer.Option("--format", help=text("cli.help.table_format"))]
OperatorOption = Annotated[str | None, typer.Option("--operator", help=text("cli.help.archive_operator"), show_default=False)]
YesOption = Annotated[bool, typer.Option("--yes", help=text("cli.help.archive_yes"))]


def _operator(given: str | None) -> str | None:
    """Return who does it: the name given, else the login name."""
    if given:
        return given
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return None


def _say(key: str, **params: object) -> str:
    return text(f"cli.archive.{key}", None, **params)


def _print_table(frame: pl.DataFrame, columns: list[str], title: str, form: TableFormat) -> None:
    """Print a table for people, or all of it as JSON or CSV."""
    if form is TableFormat.json:
        print(json.dumps(frame.to_dicts(), ensure_ascii=False, indent=2, default=str))
        return
    if form is TableFormat.csv:
        nested = [name for name, kind in frame.schema.items() if kind.is_nested()]
        sys.stdout.write(frame.drop(nested).write_csv())
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, box=None, header_style="bold", title_justify="left", pad_edge=False)
    for name in columns:
        table.add_column(_say(f"column.{name}"), justify="right" if frame.schema[name].is_numeric() else "left", overflow="fold")
    for row in frame.iter_rows(named=True):
        table.add_row(*(_cell(name, row[name]) for name in columns))
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(file=sys.stdout, width=140, highlight=False, color_system=None)
    console.print(table)


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name in ("kind", "level"):
        return _say(f"{name}.{value}")
    if name == "code":
        return text(f"archive_findings.{value}")
    return f"{value:%Y-%m-%d %H:%M}" if isinstance(value, dt.datetime) else str(value)


@archive_app.command("init", help=text("cli.help.archive_init"))
def init_command(archive: ArchiveOption = None, key_file: KeyFileOption = None, lang: LangOption = OutputLang.zh) -> None:
    """Make an empty archive and its key."""
    from eduq.archive import create_archive

    made = create_archive(named_archive(archive), key_file=key_file)
    typer.echo(_say("made"))
    typer.echo(str(made.path))
    typer.echo(str(made.key_file))


@archive_app.command("add", help=text("cli.help.archive_add"))
def add_command(
    folders: Annotated[list[Path] | None, typer.Argument(help=text("cli.help.archive_folders"), show_default=False)] = None,
    archive: ArchiveOption = None,
    registers: Annotated[Path | None, typer.Option("--registers", help=text("cli.help.archive_registers"))] = None,
    key_file: KeyFileOption = None,
    operator: OperatorOption = None,
    form: FormatOption = TableFormat.table,
    lang: LangOption = OutputLang.zh,
) -> None:
    """Store exams one after the other; one that fails is said and does not undo the others."""
    from eduq.archive import open_archive
    from eduq.intake import read_scores
    from eduq.registers import read_registers

    if not folders and registers is None:
        raise UsageError("archive_nothing_to_add")
    store = open_archive(named_archive(archive), key_file=key_file)
    if folders:
        store.require_key()
    lines: list[dict[str, Any]] = []
    who, status = _operator(operator), 0
    if registers is not None:
        now = dt.datetime.now(dt.UTC)
        kept = store.add_registers(read_registers(registers), operator=who, now=now)
        _tell(_say("registers" if kept.changed else "registers_same", version=kept.version), form)
    for folder in folders or ():
        try:
            scores = read_scores(folder)
            receipt = store.add(scores, operator=who, now=dt.datetime.now(dt.UTC))
        except EduqError as error:
            status = status or error.exit_status
            lines.append({"folder": folder.name, "status": "failed", "code": error.code})
            typer.echo(text("cli.error", message=error.message(), hint=error.hint, code=error.code), err=True)
            _tell(_say("failed", folder=folder.name), form)
            continue
        unsaid = [name for name in _DATING if getattr(scores.exam.exam, name) is None]
        facts = {"n_candidates": scores.frame.height, "unsaid": " ".join(unsaid)}
        lines.append({"folder": folder.name, "status": receipt.status, **vars(receipt), **facts})
        _tell(_say(receipt.status, exam=receipt.exam_id, version=receipt.version, n=scores.frame.height), form)
        _warn(store.path, receipt, unsaid)
    if form is not TableFormat.table:
        import polars as pl

        _print_table(pl.DataFrame(lines, infer_schema_length=None), [], "", form)
    if status:
        raise typer.Exit(status)


def _warn(path: Path, receipt: ImportReceipt, unsaid: list[str]) -> None:
    """Say on stderr what keeps an exam out of yearly series, and when a correction looks like another exam under the same id."""
    from eduq.archive import open_archive

    if unsaid:
        typer.echo(_say("unsaid", exam=receipt.exam_id, keys=" ".join(unsaid)), err=True)
    if receipt.status != "replaced":
        return
    before, after = (
        open_archive(path, version=version).exams().filter(exam_id=receipt.exam_id).row(0, named=True)
        for version in (receipt.version - 1, receipt.version)
    )
    changed = [name for name in _DATING[1:] if before[name] is not None and before[name] != after[name]]
    if changed:
        said = [" ".join(f"{name}={line[name]}" for name in changed) for line in (before, after)]
        typer.echo(_say("other_exam", exam=receipt.exam_id, before=said[0], after=said[1]), err=True)


def _tell(sentence: str, form: TableFormat) -> None:
    """Print a sentence on stdout, or beside it where stdout is for a program."""
    typer.echo(sentence, err=form is not TableFormat.table)


@archive_app.command("list", help=text("cli.help.archive_list"))
def list_command(
    archive: ArchiveOption = None,
    archive_version: ArchiveVersionOption = None,
    versions: Annotated[bool, typer.Option("--versions", help=text("cli.help.archive_versions"))] = False,
    form: FormatOption = TableFormat.table,
    lang: LangOption = OutputLang.zh,
) -> None:
    """List exams or versions."""
    from eduq.archive import open_archive

    store = open_archive(named_archive(archive), version=archive_version)
    if versions:
        frame = store.versions()
        columns = ["version", "committed_at", "kind", "import_id", "n_rows", "operator", "code_version"]
        _print_table(frame, columns, _say("versions_title", path=store.path.name, n=frame.height), form)
        return
    frame = store.exams()
    columns = ["exam_id", "date", "year_group", "n_candidates", "n_schools", "n_rejected", "archive_version", "name"]
    title = _say("exams_title", path=store.path.name, version=store.version, n=frame.height)
    _print_table(frame, columns, title, form)


@archive_app.command("verify", help=text("cli.help.archive_verify"))
def verify_command(
    archive: ArchiveOption = None, form: FormatOption = TableFormat.table, lang: LangOption = OutputLang.zh
) -> None:
    """Check everything against what was recorded."""
    from eduq.archive import open_archive

    found = open_archive(named_archive(archive)).verify()
    if form is not TableFormat.table or found.frame.height:
        _print_table(found.frame, ["level", "code", "table", "import_id", "file", "n"], "", form)
    damaged = found.frame["level"].eq("damage").sum()
    said = _say("whole", version=found.version, imports=found.n_imports, rows=found.n_rows)
    _tell(said if found.ok else _say("damaged", n=damaged), form)
    if not found.ok:
        raise typer.Exit(ArchiveError.exit_status)


@archive_app.command("export", help=text("cli.help.archive_export"))
def export_command(
    out: Annotated[Path, typer.Option("--out", help=text("cli.help.archive_out"))],
    archive: ArchiveOption = None,
    archive_version: ArchiveVersionOption = None,
    lang: LangOption = OutputLang.zh,
) -> None:
    """Write a version as plain files."""
    from eduq.archive import open_archive

    store = open_archive(named_archive(archive), version=archive_version)
    written = store.export(out)
    typer.echo(_say("exported", version=store.version, n=len(written)))
    for path in written:
        typer.echo(str(path))


@archive_app.command("rekey", help=text("cli.help.archive_rekey"))
def rekey_command(
    archive: ArchiveOption = None,
    key_file: KeyFileOption = None,
    new_key_file: Annotated[Path | None, typer.Option("--new-key-file", help=text("cli.help.archive_new_key"))] = None,
    operator: OperatorOption = None,
    yes: YesOption = False,
    lang: LangOption = OutputLang.zh,
) -> None:
    """Give all ids a new key, having said what that does."""
    from eduq.archive import open_archive

    store = open_archive(named_archive(archive), key_file=key_file)
    store.require_key()
    if not yes:
        imports, rows = store.count_imports()
        raise UsageError("archive_confirm", what=_say("rekey_what", imports=imports, rows=rows))
    done = store.rekey(new_key_file, operator=_operator(operator), now=dt.datetime.now(dt.UTC))
    typer.echo(_say("rekeyed", version=done.version, imports=done.n_imports, rows=done.n_rows))
    typer.echo(str(done.key_file))


@archive_app.command("forget", help=text("cli.help.archive_forget"))
def forget_command(
    kind: Annotated[str, typer.Option("--kind", help=text("cli.help.archive_kind"))],
    exam: Annotated[str | None, typer.Option("--exam", help=text("cli.help.archive_exam"))] = None,
    id_file: Annotated[Path | None, typer.Option("--id-file", help=text("cli.help.archive_id_file"))] = None,
    archive: ArchiveOption = None,
    key_file: KeyFileOption = None,
    operator: OperatorOption = None,
    yes: YesOption = False,
    lang: LangOption = OutputLang.zh,
) -> None:
    """Remove one pupil, whose id never stands on the command line."""
    from eduq.archive import open_archive

    store = open_archive(named_archive(archive), key_file=key_file)
    store.require_key()
    if not yes:
        raise UsageError("archive_confirm", what=_say("forget_what"))
    try:
        given = sys.stdin.read() if id_file is None else id_file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        raise UsageError("archive_id_blank") from None
    lines = [line for line in given.splitlines() if line.strip()]
    if len(lines) != 1:
        raise UsageError("archive_id_blank")
    done = store.forget(kind, lines[0], exam_id=exam, operator=_operator(operator), now=dt.datetime.now(dt.UTC))
    typer.echo(_say("forgotten", version=done.version, imports=done.n_imports, rows=done.n_rows))
