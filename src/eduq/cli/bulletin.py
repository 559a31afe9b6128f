"""``eduq bulletin``: a product of the cadence from the archive, as a person or a timer asks for it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
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
    edition: Annotated[str | None, typer.Option("--edition", help=text("cli.help.bulletin_edition"), show_default=False)] = None,
    unit: Annotated[str | None, typer.Option("--unit", help=text("cli.help.bulletin_unit"), show_default=False)] = None,
    formats: Annotated[str | None, typer.Option("--formats", help=text("cli.help.bulletin_formats"), show_default=False)] = None,
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
    """Make, and if asked issue, one product in one edition or several."""
    from eduq.cli.output import Display
    from eduq.disclosure.products import Product
    from eduq.pipeline.drafts import Draft
    from eduq.pipeline.product_editions import ISSUE_ORDER, read_editions
    from eduq.pipeline.product_runs import RunLog, run_editions
    from eduq.pipeline.products import request_product
    from eduq.settings import read_settings

    now = dt.datetime.now(dt.UTC)
    day = as_date(today) or now.astimezone().date()
    facts = {"product": product, "period": period, "edition": edition, "lang": lang.value}
    with RunLog(log, started=now, facts=facts) as told, Display(lang.value) as display:
        named = read_editions(edition, cast(Product, product))
        told.facts |= {"edition": ",".join(named)}
        orders = _orders(issue, issued_by, document_no, day, named)
        if issue and archive_version is not None:
            raise UsageError("archive_pinned", version=archive_version)
        store, run = named_archive(archive), read_settings(settings)
        made = sorted(named, key=ISSUE_ORDER.index)
        requests = [
            request_product(
                store,
                product=cast(Product, product),
                period=period,
                edition=one,
                lang=lang.value,
                today=day,
                settings=run,
                unit=unit,
                templates=templates,
                packs=pack or (),
                archive_version=archive_version,
                mates=made[:place],
            )
            for place, one in enumerate(made)
        ]
        told.facts |= {"period": requests[0].period.text, "archive_version": requests[0].archive.version}
        wanted = None if formats is None else [name.strip() for name in formats.split(",") if name.strip()]
        if show_review:
            wanted = [*(Draft.USUAL if wanted is None else wanted), "review"]
        done = run_editions(requests, out, formats=wanted, if_new=if_new, orders=orders, progress=display.progress)
        results = {name: outcome.result for name, outcome in done.items()}
        files = {path: sha256 for outcome in done.values() for path, sha256 in outcome.files.items()}
        told.facts |= {"result": _result_of(results.values()), "files": files} | (
            {"results": results} if len(results) > 1 else {}
        )
    paths = [path for outcome in done.values() for path in outcome.paths]
    for path in paths:
        typer.echo(str(path))
    if show_review:
        open_review(paths)


def _result_of(results: Iterable[str]) -> str:
    """Return what a run of several editions did: what was done to any of them, nothing_new where nothing was."""
    found = set(results)
    return next(name for name in ("issued", "written", "already_issued", "nothing_new") if name in found)


def _orders(
    issue: bool, issued_by: str | None, document_no: str | None, day: dt.date, editions: Sequence[str]
) -> dict[str, IssueOrder] | None:
    """Return who issues each edition under which number, in the order they are named; None for drafts."""
    from eduq.pipeline.product_runs import IssueOrder

    by, number = (issued_by or "").strip(), (document_no or "").strip()
    if not issue:
        if by or number:
            raise UsageError("issue_not_asked")
        return None
    if not by or not number:
        raise UsageError("issue_unsigned")
    numbers = [number] if len(editions) == 1 else [one.strip() for one in number.replace("，", ",").split(",")]
    if len(set(numbers) - {""}) != len(editions) or len(numbers) != len(editions):
        raise UsageError("issue_numbers_unfit", n=len(editions), editions=", ".join(editions), given=len(numbers))
    return {edition: IssueOrder(by, one, issued_on=day) for edition, one in zip(editions, numbers, strict=True)}
