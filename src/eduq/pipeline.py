"""Joins the stages: files → score table → groups → counts → estimates → publishable → documents. Computes nothing."""

from __future__ import annotations

import datetime as dt
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import Any, Literal

import eduq
from eduq.disclosure import ExamResults, Publishable, protect
from eduq.errors import NotAssessableError, SettingsError, UsageError
from eduq.estimates.levels import estimate_levels, pass_cuts, unit_columns
from eduq.estimates.measures import load_measures
from eduq.estimates.results import EstimateResult
from eduq.groups import Comparability, add_legal_checks
from eduq.intake import ScoreTable, read_scores
from eduq.intake.exam_file import ExamFile
from eduq.intake.layouts import Layout
from eduq.locale import Lang
from eduq.manifest import content_hash, versions
from eduq.registers import apply_registers, read_registers
from eduq.settings import RunSettings, default_units
from eduq.summaries import summarise

__all__ = ["Analysis", "analyze", "render_bulletin"]

PathLike = str | os.PathLike[str]
Progress = Callable[[str, int, int], None]
RUN_RECORD = "run.json"


@dataclass
class _Clock:
    """Seconds spent in each stage."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str, progress: Progress | None) -> Iterator[None]:
        if progress is not None:
            progress(name, 0, 1)
        start = time.perf_counter()
        yield
        self.seconds[name] = round(self.seconds.get(name, 0.0) + time.perf_counter() - start, 3)
        if progress is not None:
            progress(name, 1, 1)


@dataclass(frozen=True)
class Analysis:
    """All results of one exam.

    Attributes
    ----------
    scores
        What intake read, with rejected rows and checks.
    comparability
        Comparison groups and reasons.
    estimates
        Level measures of every unit (`eduq.tables.EstimateTable`).
    publishable
        What the edition may show.
    timings
        Seconds by stage.
    """

    scores: ScoreTable
    comparability: Comparability
    estimates: EstimateResult
    publishable: Publishable
    timings: dict[str, float]

    def summary(self) -> str:
        """Return one line: rows used, rows not used, estimates."""
        used, rejected = self.scores.frame.height, self.scores.rejected.height
        return f"{self.publishable.exam.exam.id}: {used} rows used, {rejected} not used; {self.estimates.summary()}"

    def _repr_html_(self) -> str:
        return self.estimates._repr_html_()

    def write(
        self, folder: PathLike, *, lang: Lang = "zh", now: dt.datetime | None = None, progress: Progress | None = None
    ) -> list[Path]:
        """Write the run's folder, whole or not at all.

        Parameters
        ----------
        folder
            Replaced when an earlier run wrote it; refused when it holds anything else.
        lang
            Language of the bulletin and workbook.
        now
            Time to put into run.json; left out when None.
        progress
            Called with stage, done, total.

        Returns
        -------
        list of Path
            What was written: bulletin.md, bulletin.html, tables.xlsx, results/*.parquet, run.json.

        Raises
        ------
        UsageError
            ``output_not_ours``: the folder holds files of others. ``output_unwritable``: it cannot be made.
        """
        target = Path(folder)
        if target.exists() and not (target.is_dir() and (not any(target.iterdir()) or (target / RUN_RECORD).is_file())):
            raise UsageError("output_not_ours", folder=str(target))
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            scratch_folder = tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent)
        except OSError as error:
            raise UsageError("output_unwritable", folder=str(target), said=error.strerror or "") from None
        with scratch_folder as scratch:
            part = Path(scratch) / "new"
            part.mkdir()
            written = _write_documents(self, part, lang, now, progress)
            if target.exists():
                target.replace(Path(scratch) / "old")
            part.replace(target)
        return [target / path.relative_to(part) for path in written]


def _write_documents(
    analysis: Analysis, folder: Path, lang: Lang, now: dt.datetime | None, progress: Progress | None
) -> list[Path]:
    from eduq.bulletins.context import build_context
    from eduq.bulletins.render import render_html, render_markdown
    from eduq.bulletins.workbook import write_workbook

    clock = _Clock(dict(analysis.timings))
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


def _load_libraries() -> None:
    """Load what later stages need while the files are read."""
    for name in (
        "scipy.special",
        "eduq.bulletins.context",
        "eduq.bulletins.render",
        "eduq.bulletins.workbook",
        "lets_plot",
        "xlsxwriter",
    ):
        import_module(name)


def analyze(
    paths: PathLike | Iterable[PathLike],
    *,
    exam: PathLike | ExamFile | None = None,
    layout: PathLike | Layout | None = None,
    registers: PathLike | None = None,
    settings: RunSettings | None = None,
    measures: PathLike | None = None,
    edition: str = "bureau",
    progress: Progress | None = None,
) -> Analysis:
    """Read an exam's files and give every level measure of every unit: the main job.

    Parameters
    ----------
    paths
        Score files, or a folder of them.
    exam
        exam.toml, or what it says; found beside the files when left out.
    layout
        Id of a shipped layout, or a layout file; recognised when left out.
    registers
        Folder of registers; without it the schools are those of the files.
    settings
        Run settings; defaults when left out.
    measures
        TOML file of local measures.
    edition
        Audience; ``bureau``.
    progress
        Called with stage, done, total.

    Returns
    -------
    Analysis
        ``.estimates.frame`` holds the numbers, ``.write(folder)`` writes bulletin, workbook and results.

    Raises
    ------
    EduqError
        A file, setting or register was not understood; ``.code``, ``.place`` and ``.hint`` say where and what to do.

    Examples
    --------
    >>> import eduq as eq
    >>> from eduq.resources import sample_data_path
    >>> sample = sample_data_path()
    >>> found = eq.analyze(sample / "2025-2-g9-final", registers=sample / "registers")
    >>> found.estimates.frame.filter(unit_type="area", paper="math", measure="pass_rate").height
    2
    """
    clock = _Clock()
    Thread(target=_load_libraries, daemon=True).start()
    run = settings or RunSettings()
    definitions = load_measures(None if measures is None else Path(measures), run.measures)
    with clock.stage("intake", progress):
        scores = read_scores(paths, exam=exam, layout=layout, progress=progress)
    if not scores.papers:
        raise NotAssessableError("only_aggregates", n=scores.aggregates.height)
    if scores.frame.height == 0:
        raise NotAssessableError("no_rows_used", scores=scores, n=scores.rejected.height)
    papers = {paper.code for paper in scores.papers}
    if unknown := [code for code in run.core_papers if code not in papers]:
        raise SettingsError("core_paper_unknown", paper=unknown[0], known=", ".join(sorted(papers)))
    scores = add_legal_checks(scores)
    teachers = None
    if registers is not None:
        with clock.stage("registers", progress):
            known = read_registers(Path(registers))
            scores = apply_registers(scores, known)
            teachers = known.teachers_of(scores.exam.exam.school_year, scores.exam.exam.term)
    wanted = run.by or default_units(scores.exam.exam.scope)
    by = unit_columns(wanted, scores.frame.columns)
    if "teacher" in wanted and teachers is None:
        raise UsageError("teachers_missing")
    with clock.stage("summaries", progress):
        summary = summarise(scores, by=by, settings=run, pass_cuts=pass_cuts(scores.exam, definitions))
    if not summary.area.n_present.any():
        raise NotAssessableError("no_scores", scores=scores, n=scores.frame.height)
    with clock.stage("estimates", progress):
        frame = estimate_levels(summary, scores, by=wanted, settings=run, measures=definitions, teachers=teachers)
    described = {name: measure.model_dump(mode="json") for name, measure in definitions.items()}
    provenance = {
        "version": eduq.__version__,
        "inputs": content_hash(scores.inputs.select("file", "sha256").to_dicts()),
        "settings": content_hash(
            {"run": run.model_dump(mode="json"), "exam": scores.exam.model_dump(mode="json", by_alias=True)}
        ),
        "measures": content_hash(described),
    }
    with clock.stage("disclosure", progress):
        results = ExamResults(frame, scores, summary, run, definitions, provenance, teachers)
        publishable = protect(results, edition=edition)
    return Analysis(
        scores=scores,
        comparability=summary.comparability,
        estimates=EstimateResult(frame=frame, settings=provenance),
        publishable=publishable,
        timings=clock.seconds,
    )
