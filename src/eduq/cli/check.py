"""``eduq check``: a dry run that says what is recognised and asks everything at once."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from eduq.cli.analyze import SummaryFormat
from eduq.cli.options import LangOption, OutputLang
from eduq.locale import text

__all__ = ["check_command"]


def check_command(
    paths: Annotated[list[Path], typer.Argument(help=text("cli.help.paths"), show_default=False)],
    exam: Annotated[Path | None, typer.Option("--exam", help=text("cli.help.exam"))] = None,
    registers: Annotated[Path | None, typer.Option("--registers", help=text("cli.help.registers"))] = None,
    layout: Annotated[str | None, typer.Option("--layout", help=text("cli.help.layout"))] = None,
    write_exam: Annotated[Path | None, typer.Option("--write-exam", help=text("cli.help.write_exam"))] = None,
    write_layout: Annotated[Path | None, typer.Option("--write-layout", help=text("cli.help.write_layout"))] = None,
    write_registers: Annotated[Path | None, typer.Option("--write-registers", help=text("cli.help.write_registers"))] = None,
    summary: Annotated[SummaryFormat, typer.Option("--format", help=text("cli.help.format"))] = SummaryFormat.table,
    lang: LangOption = OutputLang.zh,
) -> None:
    """Read without writing results, say what was recognised, and draft what a person must finish."""
    from eduq.cli.check_output import show_report
    from eduq.cli.output import Display
    from eduq.dry_run import check_files

    with Display(lang.value) as display:
        report = check_files(paths, exam=exam, layout=layout, registers=registers, lang=lang.value, progress=display.progress)
    wanted = {"exam.toml": write_exam, "layout.toml": write_layout}
    if write_registers is not None:
        wanted |= {name: write_registers / name for name in ("schools.csv", "aliases.csv") if name in report.drafts}
        wanted.setdefault("schools.csv", write_registers / "schools.csv")
    written = report.write_drafts({name: path for name, path in wanted.items() if path is not None})
    given = {"--exam": write_exam or exam, "--registers": write_registers or registers, "--layout": write_layout or layout}
    options = [part for name, value in given.items() if value is not None for part in (name, str(value))]
    command = shlex.join(["eduq", "analyze", *map(str, paths), *options])
    show_report(report, written, lang.value, command=command, as_json=summary is SummaryFormat.json)
    if report.exit_status:
        raise typer.Exit(report.exit_status)
