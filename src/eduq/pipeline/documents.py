"""From publishable results to documents: the files of a run's folder, or one text."""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

from eduq.disclosure import Publishable
from eduq.errors import UsageError
from eduq.locale import Lang
from eduq.manifest import versions
from eduq.pipeline.clock import Clock, Progress
from eduq.pipeline.comparisons import comparison_tables
from eduq.pipeline.equities import equity_tables
from eduq.pipeline.outgoing import check_files, check_page, check_stated, known_names
from eduq.pipeline.papers import USUAL_FORMATS, write_papers

if TYPE_CHECKING:
    from eduq.bulletins.template_folder import TemplateFolder
    from eduq.pipeline.analysis import Analysis

__all__ = ["RUN_RECORD", "render_bulletin", "write_documents"]

RUN_RECORD = "run.json"


def write_documents(
    analysis: Analysis,
    folder: Path,
    lang: Lang,
    now: dt.datetime | None,
    progress: Progress | None,
    templates: TemplateFolder | None = None,
    formats: Sequence[str] = USUAL_FORMATS,
    extra: Callable[[Path], list[Path]] | None = None,
) -> list[Path]:
    from eduq.bulletins.context import build_context
    from eduq.bulletins.outward_texts import check_document
    from eduq.bulletins.render import render_html, render_markdown
    from eduq.bulletins.workbook import write_workbook

    edition = analysis.publishable.edition
    clock = Clock(dict(analysis.timings))
    names = {"html": "bulletin.html", "md": "bulletin.md", "xlsx": "tables.xlsx"}
    paths = [folder / name for form, name in names.items() if form in formats]
    with ThreadPoolExecutor(1) as beside:  # the workbook's compression leaves the interpreter free for the bulletin
        workbook = (
            beside.submit(write_workbook, analysis.publishable, lang, folder / names["xlsx"]) if "xlsx" in formats else None
        )
        with clock.stage("bulletin", progress):
            context = build_context(analysis.publishable, lang)
            named = known_names([analysis.publishable], more=analysis.scores.schools["name"].drop_nulls())
            check_stated(edition, settings=analysis.publishable.settings, exams=[analysis.publishable.exam], names=named)
            check_document(context, edition=edition, names=named)
            if "html" in formats:
                (folder / names["html"]).write_text(render_html(context, templates=templates), encoding="utf-8")
            if "md" in formats:
                (folder / names["md"]).write_text(render_markdown(context, templates=templates), encoding="utf-8")
            paths += write_papers(context, folder, formats, templates=templates)
        with clock.stage("workbook", progress):
            if workbook is not None:
                workbook.result()
            check_files(folder, edition=edition, names=named, templates=templates)
    with clock.stage("results", progress):
        results = folder / "results"
        results.mkdir()
        for name, frame in _result_tables(analysis).items():
            frame.write_parquet(results / f"{name}.parquet")
            paths.append(results / f"{name}.parquet")
    if extra is not None:
        paths += extra(folder)
    record = folder / RUN_RECORD
    told = _run_record(analysis, lang, now, clock.seconds)
    told["files"] = sorted([*(path.relative_to(folder).as_posix() for path in paths), RUN_RECORD])
    record.write_text(json.dumps(told, ensure_ascii=False, indent=2, default=str) + "\n", encoding="utf-8")
    return [*paths, record]


def _result_tables(analysis: Analysis) -> dict[str, pl.DataFrame]:
    """Return the tables of results/ by name: what the edition shows and no more."""
    shown = analysis.publishable
    if shown.edition != "bureau":
        return {"estimates": shown.estimates, "comparability": shown.comparability.drop("n_schools")}
    tables = {
        "estimates": shown.estimates,
        "comparability": analysis.comparability.frame,
        "data_quality": analysis.scores.checks,
    }
    history = shown.history
    if history is not None and not history.declines.is_empty():
        tables["declines"] = pl.concat([history.declines, history.subjects], how="diagonal_relaxed")
        tables["series"] = history.series
    if shown.comparisons is not None:
        tables |= comparison_tables(shown.comparisons)
    if shown.equity is not None:
        tables |= equity_tables(shown.equity)
    if shown.growth is not None and shown.growth.reason is None:
        tables["growth"] = shown.growth.frame
        tables["flows"] = pl.concat([shown.growth.flows, shown.growth.low_groups])
    if shown.targets is not None:
        tables["targets"] = shown.targets.frame
    return tables


def _run_record(analysis: Analysis, lang: Lang, now: dt.datetime | None, seconds: dict[str, float]) -> dict[str, Any]:
    published = analysis.publishable
    return {
        "schema": 1,
        "product": "analysis",
        "edition": published.edition,
        "lang": lang,
        "finished": None if now is None else now.isoformat(timespec="seconds"),
        "inputs": published.inputs.to_dicts(),
        "rejected": published.rejected_counts.to_dicts(),
        "exam": published.exam.model_dump(mode="json", by_alias=True),
        "settings": published.settings.model_dump(mode="json"),
        "measures": {name: definition["version"] for name, definition in published.measures.items()},
        "provenance": published.provenance,
        "versions": versions(),
        "counts": _counts(analysis),
        "seconds": seconds,
    }


def _counts(analysis: Analysis) -> dict[str, int]:
    shown = analysis.publishable
    if shown.edition != "bureau":
        return {"comparison_groups": shown.comparability.height, "estimates": shown.estimates.height}
    return {
        "candidates": analysis.scores.frame.height,
        "schools": analysis.scores.schools.height,
        "comparison_groups": analysis.comparability.frame.height,
        "estimates": shown.estimates.height,
    }


def render_bulletin(
    publishable: Publishable,
    *,
    format: Literal["html", "markdown"] = "html",
    lang: Lang = "zh",
    templates: str | os.PathLike[str] | None = None,
) -> str:
    """Return the bulletin of publishable results as one text.

    Parameters
    ----------
    publishable
        From `eduq.protect` or ``Analysis.publishable``.
    format
        ``html`` (self-contained) or ``markdown``.
    lang
        ``zh`` or ``en``.
    templates
        Folder of local templates, or None for the shipped ones.

    Raises
    ------
    UsageError
        ``format_unknown``.
    SettingsError
        ``template_…``: a local template, with file, line and what is missing.
    DisclosureError
        ``outward_word``: settings, exam.toml, the bulletin or a local template say what may not leave in its edition.
    """
    from eduq.bulletins.context import build_context
    from eduq.bulletins.render import render_html, render_markdown
    from eduq.bulletins.template_folder import open_templates

    renderers = {"html": render_html, "markdown": render_markdown}
    if format not in renderers:
        raise UsageError("format_unknown", format=format, known=", ".join(renderers))
    opened = None if templates is None else open_templates(templates)
    names = known_names([publishable])
    check_stated(publishable.edition, settings=publishable.settings, exams=[publishable.exam], names=names)
    page = renderers[format](build_context(publishable, lang), templates=opened)
    check_page(page, edition=publishable.edition, name=format, names=names, templates=opened)
    return page
