"""``eduq analyze``: from score exports to a bulletin."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from eduq.cli.doctor import warn_of_fonts
from eduq.cli.options import ArchiveOption, ArchiveVersionOption, LangOption, OutOption, OutputLang, PriorOption, TemplatesOption
from eduq.cli.pages import open_review
from eduq.errors import NotAssessableError
from eduq.locale import text

__all__ = ["SummaryFormat", "analyze_command"]


class SummaryFormat(StrEnum):
    """How the summary is printed."""

    table = "table"
    json = "json"


@contextmanager
def _rejects_all_the_same(path: Path | None, with_values: bool) -> Iterator[None]:
    """List the rejected rows also when nothing could be assessed: they are the reason."""
    from eduq.intake import write_rejects

    try:
        yield
    except NotAssessableError as error:
        if path is not None and error.scores is not None:
            write_rejects(error.scores, path, with_values=with_values)
            typer.echo(str(path))
        raise


def analyze_command(
    paths: Annotated[list[Path], typer.Argument(help=text("cli.help.analyze_paths"), show_default=False)],
    exam: Annotated[Path | None, typer.Option("--exam", help=text("cli.help.exam"))] = None,
    layout: Annotated[str | None, typer.Option("--layout", help=text("cli.help.layout"))] = None,
    registers: Annotated[Path | None, typer.Option("--registers", help=text("cli.help.registers"))] = None,
    archive: ArchiveOption = None,
    archive_version: ArchiveVersionOption = None,
    prior: PriorOption = None,
    references: Annotated[Path | None, typer.Option("--references", help=text("cli.help.analyze_references"))] = None,
    out: OutOption = None,
    settings: Annotated[Path | None, typer.Option("--settings", help=text("cli.help.settings"))] = None,
    measures: Annotated[Path | None, typer.Option("--measures", help=text("cli.help.measures"))] = None,
    by: Annotated[str | None, typer.Option("--by", help=text("cli.help.by"))] = None,
    edition: Annotated[str, typer.Option("--edition", help=text("cli.help.edition"))] = "bureau",
    feedback: Annotated[Path | None, typer.Option("--feedback", help=text("cli.help.feedback"))] = None,
    formats: Annotated[str, typer.Option("--formats", help=text("cli.help.formats"))] = "md,html,xlsx",
    show_review: Annotated[bool, typer.Option("--open", help=text("cli.help.open"))] = False,
    school_packs: Annotated[Path | None, typer.Option("--school-packs", help=text("cli.help.school_packs"))] = None,
    templates: TemplatesOption = None,
    rejects: Annotated[Path | None, typer.Option("--rejects", help=text("cli.help.rejects"))] = None,
    with_values: Annotated[bool, typer.Option("--with-values", help=text("cli.help.with_values"))] = False,
    summary: Annotated[SummaryFormat, typer.Option("--format", help=text("cli.help.format"))] = SummaryFormat.table,
    lang: LangOption = OutputLang.zh,
) -> None:
    """Read, describe and write one exam."""
    from eduq.bulletins.template_folder import open_templates
    from eduq.cli.output import Display
    from eduq.disclosure.editions import check_edition
    from eduq.intake import write_rejects
    from eduq.pipeline import analyze
    from eduq.pipeline.papers import check_formats
    from eduq.pipeline.school_packs import PACK_FORMATS, write_school_packs
    from eduq.settings import read_settings

    run = read_settings(settings)
    if templates is not None:
        open_templates(templates)  # what is wrong with them is said before the exam is read
    if by is not None:
        run = run.model_copy(update={"by": tuple(name.strip() for name in by.split(",") if name.strip())})
    wanted = check_formats([name.strip() for name in formats.split(",") if name.strip()] + ["review"] * show_review)
    if "review" in wanted or school_packs is not None:
        check_edition(edition)  # both are made from what the bureau may see
    warn_of_fonts(wanted, lang.value)
    with Display(lang.value) as display, _rejects_all_the_same(rejects, with_values):
        found = analyze(
            paths,
            exam=exam,
            layout=layout,
            registers=registers,
            settings=run,
            measures=measures,
            archive=archive,
            archive_version=archive_version,
            prior=prior or None,
            feedback=feedback is not None,
            references=references,
            edition=edition,
            progress=display.progress,
        )
        folder = out or Path("eduq_output") / str(found.publishable.exam.exam.id)
        written = found.write(
            folder,
            lang=lang.value,
            now=dt.datetime.now(dt.UTC),
            formats=wanted,
            templates=templates,
            progress=display.progress,
        )
        if feedback is not None:
            written.append(found.feedback(feedback, lang=lang.value, templates=templates, progress=display.progress))
        if school_packs is not None:
            packs = write_school_packs(
                found.publishable,
                school_packs,
                lang=lang.value,
                formats=[name for name in PACK_FORMATS if name in wanted],
                templates=templates,
                progress=display.progress,
            )
            written.append(packs)
        if rejects is not None:
            written.append(write_rejects(found.scores, rejects, with_values=with_values))
    display.show(found, written, as_json=summary is SummaryFormat.json)
    if show_review:
        open_review(written)
