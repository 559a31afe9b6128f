"""From publishable results to documents: the files of a run's folder, or one text."""

from __future__ import annotations

import datetime as dt
import json
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

if TYPE_CHECKING:
    from eduq.pipeline.analysis import Analysis

__all__ = ["RUN_RECORD", "render_bulletin", "write_documents"]

RUN_RECORD = "run.json"


def write_documents(
    analysis: Analysis, folder: Path, lang: Lang, now: dt.datetime | None, progress: Progress | None
) -> list[Path]:
    from eduq.bulletins.context import build_context
    from eduq.bulletins.render import render_html, render_markdown
    from eduq.bulletins.workbook import write_workbook

    clock = Clock(dict(analysis.timings))
    paths = [folder / name for name in ("bulletin.html", "bulletin.md", "tables.xlsx")]
    with ThreadPoolExecutor(1) as beside:  # the workbook's compression leaves the interpreter free for the bulletin
        workbook = beside.submit(write_workbook, analysis.publishable, lang, paths[2])
        with clock.stage("bulletin", progress):
            context = build_context(analysis.publishable, lang)
            paths[0].write_text(render_html(context), encoding="utf-8")
            paths[1].write_text(render_markdown(context), encoding="utf-8")
        with clock.stage("workbook", progress):
            workbook.result()
    with clock.stage("results", progress):
        results = folder / "results"
        results.mkdir()
        tables = {
            "estimates": analysis.publishable.estimates,
            "comparability": analysis.comparability.frame,
            "data_quality": analysis.scores.checks,
        }
        history = analysis.publishable.history
        if history is not None and not history.declines.is_empty():
            tables["declines"] = pl.concat([history.declines, history.subjects], how="diagonal_relaxed")
            tables["series"] = history.series
        if analysis.publishable.comparisons is not None:
            tables |= comparison_tables(analysis.publishable.comparisons)
        if analysis.publishable.equity is not None:
            tables |= equity_tables(analysis.publishable.equity)
        if analysis.publishable.growth is not None and analysis.publishable.growth.reason is None:
            tables["growth"] = analysis.publishable.growth.frame
            tables["flows"] = pl.concat([analysis.publishable.growth.flows, analysis.publishable.growth.low_groups])
        if analysis.publishable.targets is not None:
            tables["targets"] = analysis.publishable.targets.frame
        for name, frame in tables.items():
            frame.write_parquet(results / f"{name}.parquet")
            paths.append(results / f"{name}.parquet")
    record = folder / RUN_RECORD
    record.write_text(
        json.dumps(_run_record(analysis, lang, now, clock.seconds), ensure_ascii=False, indent=2, default=str) + "\n",
        encoding="utf-8",
    )
    return [*paths, record]


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
        "counts": {
            "candidates": analysis.scores.frame.height,
            "schools": analysis.scores.schools.height,
            "comparison_groups": analysis.comparability.frame.height,
            "estimates": analysis.publishable.estimates.height,
        },
        "seconds": seconds,
    }


def render_bulletin(publishable: Publishable, *, format: Literal["html", "markdown"] = "html", lang: Lang = "zh") -> str:
    """Return the bulletin of publishable results as one text.

    Parameters
    ----------
    publishable
        From `eduq.protect` or ``Analysis.publishable``.
    format
        ``html`` (self-contained) or ``markdown``.
    lang
        ``zh`` or ``en``.

    Raises
    ------
    UsageError
        ``format_unknown``.
    """
    from eduq.bulletins.context import build_context
    from eduq.bulletins.render import render_html, render_markdown

    renderers = {"html": render_html, "markdown": render_markdown}
    if format not in renderers:
        raise UsageError("format_unknown", format=format, known=", ".join(renderers))
    return renderers[format](build_context(publishable, lang))
