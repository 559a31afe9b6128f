"""``eduq why``: everything behind one verdict, and what would turn it."""

from __future__ import annotations

import contextlib
import datetime as dt
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from eduq.cli.options import (
    ArchiveOption,
    ArchiveVersionOption,
    AsOfOption,
    LangOption,
    OutputLang,
    TemplatesOption,
    as_date,
    named_archive,
)
from eduq.errors import UsageError
from eduq.locale import text

__all__ = ["WhyFormat", "why_command"]


class WhyFormat(StrEnum):
    """How a verdict is explained."""

    text = "text"
    json = "json"
    html = "html"


def why_command(
    unit: Annotated[str, typer.Argument(help=text("cli.help.why_unit"), show_default=False)],
    rule: Annotated[str, typer.Option("--rule", help=text("cli.help.why_rule"))],
    archive: ArchiveOption = None,
    as_of: AsOfOption = None,
    archive_version: ArchiveVersionOption = None,
    pack: Annotated[str | None, typer.Option("--pack", help=text("cli.help.why_pack"), show_default=False)] = None,
    year_group: Annotated[
        str | None, typer.Option("--year-group", help=text("cli.help.why_year_group"), show_default=False)
    ] = None,
    subject: Annotated[str | None, typer.Option("--subject", help=text("cli.help.why_subject"), show_default=False)] = None,
    form: Annotated[WhyFormat, typer.Option("--format", help=text("cli.help.why_format"))] = WhyFormat.text,
    out: Annotated[Path | None, typer.Option("--out", help=text("cli.help.why_out"), show_default=False)] = None,
    templates: TemplatesOption = None,
    lang: LangOption = OutputLang.zh,
) -> None:
    """Explain one verdict."""
    from eduq.archive import open_archive
    from eduq.bulletins.dossier import render_dossier
    from eduq.bulletins.template_folder import open_templates
    from eduq.disclosure import protect_dossier
    from eduq.rulepacks.trace import explain

    opened = None if templates is None else open_templates(templates)
    source = open_archive(named_archive(archive), version=archive_version)
    day = as_date(as_of) or dt.datetime.now().astimezone().date()
    found = explain(source, unit=unit, rule=rule, as_of=day, pack=pack, year_group=year_group, subject=subject)
    said = render_dossier(protect_dossier(found, edition="bureau"), format=form.value, lang=lang.value, templates=opened)
    if out is None:
        typer.echo(said, nl=False)
        return
    part = out.with_name(f".{out.name}.part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(said, encoding="utf-8")
        part.replace(out)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise UsageError("output_unwritable", folder=str(out.parent), said=error.strerror or "") from None
    typer.echo(str(out))
