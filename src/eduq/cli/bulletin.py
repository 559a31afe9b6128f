"""``eduq bulletin``: a product of the cadence from the archive, as a person or a timer asks for it."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from eduq.cli.options import ArchiveOption, ArchiveVersionOption, LangOption, OutputLang, as_date, named_archive
from eduq.cli.pages import open_review
from eduq.errors import UsageError
from eduq.locale import text

if TYPE_CHECKING:
    from eduq.pipeline.product_runs import IssueOrder

__all__ = ["bulletin_command"]

_OUT = Path("eduq_output") / "bulletins"


def bulletin_command(
    product: Annotated[str, typer.Option("--product", help=text("cli.help.bulletin_product"))],
    archive: ArchiveOption = None,
    period: Annotated[str | None, typer.Option("--period", help=text("cli.help.bulletin_period"), show_default=False)] = None,
    edition: Annotated[str, typer.Option("--edition", help=text("cli.help.edition"))] = "bureau",
    unit: Annotated[str | None, typer.Option("--unit", help=text("cli.help.bulletin_unit"), show_default=False)] = None,
    formats: Annotated[str, typer.Option("--formats", help=text("cli.help.bulletin_formats"))] = "md,html,docx,xlsx",
    templates: Annotated[Path | None, typer.Option("--templates", help=text("cli.help.bulletin_templates"))] = None,
    pack: Annotated[list[str] | None, typer.Option("--pack", help=text("cli.help.bulletin_pack"), show_default=False)] = None,
    settings: Annotated[Path | None, typer.Option("--settings", help=text("cli.help.settings"))] = None,
    out: Annotated[Path, typer.Option("--out", help=text("cli.help.bulletin_out"))] = _OUT,
    if_new: Annotated[bool, typer.Option("--if-new", help=text("cli.help.bulletin_if_new"))] = False,
    today: Annotated[
        dt.datetime | None, typer.Option("--today", formats=["%Y-%m-%d"], help=text("cli.help.bulletin_today"))
    ] = None,
    archive_version: ArchiveVersionOption = None,
    issue: Annotated[bool, typer.Option("--issue", help=text("cli.help.bulletin_issue"))] = False,
    issued_by: Annotated[
        str | None, typer.Option("--issued-by", help=text("cli.help.bulletin_issued_by"), show_default=False)
    ] = None,
    document_no: Annotated[
        str | None, typer.Option("--document-no", help=text("cli.help.bulletin_document_no"), show_default=False)
    ] = None,
    show_review: Annotated[bool, typer.Option("--open", help=text("cli.help.open"))] = False,
    log: Annotated[Path | None, typer.Option("--log", help=text("cli.help.bulletin_log"), show_default=False)] = None,
    lang: LangOption = OutputLang.zh,
) -> None:
    """Make, and if asked issue, one product."""
    from eduq.cli.output import Display
    from eduq.disclosure.products import Product
    from eduq.pipeline.product_runs import RunLog, run_product
    from eduq.pipeline.products import request_product
    from eduq.settings import read_settings

    now = dt.datetime.now(dt.UTC)
    day = as_date(today) or now.astimezone().date()
    facts = {"product": product, "period": period, "edition": edition, "lang": lang.value}
    with RunLog(log, started=now, facts=facts) as told, Display(lang.value) as display:
        order = _order(issue, issued_by, document_no, day)
        if issue and archive_version is not None:
            raise UsageError("archive_pinned", version=archive_version)
        request = request_product(
            named_archive(archive),
            product=cast(Product, product),
            period=period,
            edition=edition,
            lang=lang.value,
            today=day,
            settings=read_settings(settings),
            unit=unit,
            templates=templates,
            packs=pack or (),
            archive_version=archive_version,
        )
        told.facts |= {"period": request.period.text, "archive_version": request.archive.version}
        wanted = [name.strip() for name in formats.split(",") if name.strip()] + ["review"] * show_review
        done = run_product(request, out, formats=wanted, if_new=if_new, order=order, progress=display.progress)
        told.facts |= {"result": done.result, "files": dict(done.files)}
    for path in done.paths:
        typer.echo(str(path))
    if show_review:
        open_review(done.paths)


def _order(issue: bool, issued_by: str | None, document_no: str | None, day: dt.date) -> IssueOrder | None:
    """Return who issues under which number; None for a draft."""
    from eduq.pipeline.product_runs import IssueOrder

    named = (issued_by or "").strip(), (document_no or "").strip()
    if not issue:
        if any(named):
            raise UsageError("issue_not_asked")
        return None
    if not all(named):
        raise UsageError("issue_unsigned")
    return IssueOrder(*named, issued_on=day)
