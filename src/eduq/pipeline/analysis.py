"""The main job: one exam from its files, or from an archive, to everything that may be shown of it."""

from __future__ import annotations

import datetime as dt
import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import Any, Literal

import eduq
from eduq.archive import Archive
from eduq.disclosure import ExamResults, History, Publishable, protect
from eduq.disclosure.editions import check_edition
from eduq.errors import NotAssessableError, SettingsError, UsageError
from eduq.estimates.exam_comparisons import ExamComparisons
from eduq.estimates.exam_equity import ExamEquity, add_school_cells
from eduq.estimates.exam_growth import ExamGrowth
from eduq.estimates.level_results import LevelResult
from eduq.estimates.levels import estimate_levels, pass_cuts, unit_columns
from eduq.estimates.measures import Measure, load_measures
from eduq.estimates.teaching import TeachingTable, measure_teaching
from eduq.groups import Comparability, add_legal_checks
from eduq.intake import ScoreTable, read_scores
from eduq.intake.exam_file import ExamFile
from eduq.intake.layouts import Layout
from eduq.locale import Lang
from eduq.manifest import content_hash
from eduq.pipeline.clock import Clock, Progress
from eduq.pipeline.comparisons import collect_comparisons
from eduq.pipeline.documents import RUN_RECORD, write_documents
from eduq.pipeline.equities import collect_equity
from eduq.pipeline.feedback import growth_of_classes, write_feedback
from eduq.pipeline.growths import PriorLike, collect_growth
from eduq.pipeline.histories import collect_history
from eduq.pipeline.papers import USUAL_FORMATS, check_formats
from eduq.pipeline.reviews import write_review
from eduq.pipeline.stored_exams import archived_exam_id, open_named, read_archived, without_register_checks
from eduq.pipeline.target_reviews import collect_targets
from eduq.registers import Registers, apply_registers, read_registers
from eduq.settings import RunSettings, default_units
from eduq.summaries import summarise

__all__ = ["Analysis", "analyze"]

PathLike = str | os.PathLike[str]


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
    comparisons
        Units beside their group and each other; None where no two can be compared.
    equity
        How equal the schools are; None where there is one only.
    growth
        Growth of schools (classes in a school's own exam) since earlier exams, with the linked rows of candidates; None without a
        prior exam and without an archive.
    teaching
        Teachers, classes and subjects; None unless feedback was asked for.
    results
        Everything the edition was made from; not to be shown as it is.
    archive
        The archive it was analysed with; None without one.
    """

    scores: ScoreTable
    comparability: Comparability
    estimates: LevelResult
    publishable: Publishable
    timings: dict[str, float]
    comparisons: ExamComparisons | None = None
    equity: ExamEquity | None = None
    growth: ExamGrowth | None = None
    teaching: TeachingTable | None = None
    results: ExamResults | None = None
    archive: Archive | None = None

    def summary(self) -> str:
        """Return one line: rows used, rows not used, estimates."""
        used, rejected = self.scores.frame.height, self.scores.rejected.height
        return f"{self.publishable.exam.exam.id}: {used} rows used, {rejected} not used; {self.estimates.summary()}"

    def _repr_html_(self) -> str:
        compared = "" if self.comparisons is None else self.comparisons._repr_html_()
        return f"<p>{escape(self.summary())}</p>{compared}{self.estimates._repr_html_()}"

    def plot(self, kind: Literal["caterpillar", "funnel"] = "caterpillar") -> Any:
        """Return a picture (lets-plot) of the units in the primary comparison, the largest comparison group of it.

        Units below ``min_n_reporting`` are not in it.

        Raises
        ------
        NotAssessableError
            ``compare_nothing_comparable``: no two units can be compared.
        UsageError
            ``compare_option``: another kind.
        """
        if self.comparisons is None:
            raise NotAssessableError("compare_nothing_comparable")
        names = self.publishable.units.filter(unit_type=self.comparisons.unit_type)
        return self.comparisons.plot(kind, names=dict(names.select("unit", "name").iter_rows()))

    def write(
        self,
        folder: PathLike,
        *,
        lang: Lang = "zh",
        now: dt.datetime | None = None,
        formats: Sequence[str] = USUAL_FORMATS,
        templates: PathLike | None = None,
        progress: Progress | None = None,
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
        formats
            Which documents: any of md, html, xlsx, docx, pdf, review. results/ and run.json are always written. ``review`` is the
            page to explore, review.html, and where the exam is one of the archive a page of reasons, why/*.html, for each
            proposal of the rule packs in force on its day (some seconds each).
        templates
            Folder of local templates (`eduq.bulletins.template_folder.open_templates`), or None for the shipped ones.
        progress
            Called with stage, done, total.

        Returns
        -------
        list of Path
            What was written: bulletin.md, bulletin.html, tables.xlsx (bulletin.docx, bulletin.pdf), results/*.parquet (declines
            and series with an archive), run.json.

        Raises
        ------
        UsageError
            ``output_not_ours``: the folder holds files of others. ``output_unwritable``: it cannot be made. ``format_unknown``.
            ``paper_library_missing``: pdf without its extra.
        """
        from eduq.bulletins.template_folder import open_templates

        opened = None if templates is None else open_templates(templates)
        formats = check_formats(formats)
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
            written = write_documents(self, part, lang, now, progress, opened, formats=formats)
            if "review" in formats:
                written += self._write_review(part, lang, progress)
            if target.exists():
                target.replace(Path(scratch) / "old")
            part.replace(target)
        return [target / path.relative_to(part) for path in written]

    def _write_review(self, folder: Path, lang: Lang, progress: Progress | None) -> list[Path]:
        history = self.publishable.history
        stored = history is not None and history.origin == "archived"
        clock = Clock()
        with clock.stage("review", progress):
            return write_review(
                [self.publishable],
                folder,
                lang=lang,
                archive=self.archive if stored else None,
                as_of=self.publishable.exam.exam.date,
                progress=progress,
            )

    def feedback(
        self, folder: PathLike, *, lang: Lang = "zh", templates: PathLike | None = None, progress: Progress | None = None
    ) -> Path:
        """Write a feedback sheet per teacher and class, for their own eyes alone, and return the list of files for the office.

        Raises
        ------
        UsageError
            ``feedback_not_made``: analysed without ``feedback=True``; see also `eduq.pipeline.feedback.write_feedback`.
        """
        if self.teaching is None:
            raise UsageError("feedback_not_made")
        return write_feedback(self.teaching, folder, lang=lang, templates=templates, progress=progress)


def _load_libraries() -> None:
    """Load what later stages need while the files are read."""
    for name in (
        "scipy.special",
        "scipy.optimize",
        "eduq.rulepacks.reading",
        "eduq.bulletins.context",
        "eduq.bulletins.render",
        "eduq.bulletins.workbook",
        "lets_plot",
        "xlsxwriter",
    ):
        import_module(name)


def _read_exam(
    paths: PathLike | Iterable[PathLike],
    *,
    exam: PathLike | ExamFile | None,
    layout: PathLike | Layout | None,
    run: RunSettings,
    archive: Archive | None,
    classes: bool,
    progress: Progress | None,
) -> tuple[ScoreTable, bool]:
    """Return the exam, and whether it came from the archive."""
    exam_id = None if archive is None else archived_exam_id(paths, archive)
    if archive is None or exam_id is None:
        return read_scores(paths, exam=exam, layout=layout, progress=progress), False
    if exam is not None or layout is not None:
        raise UsageError("archived_exam_option", exam=exam_id)
    return read_archived(archive, exam_id, run, classes=classes), True


def _refuse_empty(scores: ScoreTable, run: RunSettings) -> None:
    """Stop where there is nothing to describe, or a core paper that the exam has not."""
    if not scores.papers:
        raise NotAssessableError("only_aggregates", n=scores.aggregates.height)
    if scores.frame.height == 0:
        raise NotAssessableError("no_rows_used", scores=scores, n=scores.rejected.height)
    papers = {paper.code for paper in scores.papers}
    if unknown := [code for code in run.core_papers if code not in papers]:
        raise SettingsError("core_paper_unknown", paper=unknown[0], known=", ".join(sorted(papers)))


def _describe_provenance(
    scores: ScoreTable, run: RunSettings, definitions: dict[str, Measure], history: History | None
) -> dict[str, str]:
    described = {name: measure.model_dump(mode="json") for name, measure in definitions.items()}
    found = {
        "version": eduq.__version__,
        "inputs": content_hash(scores.inputs.select("file", "sha256").to_dicts()),
        "settings": content_hash(
            {"run": run.model_dump(mode="json"), "exam": scores.exam.model_dump(mode="json", by_alias=True)}
        ),
        "measures": content_hash(described),
    }
    return found if history is None else found | {"archive_version": str(history.archive_version)}


def analyze(
    paths: PathLike | Iterable[PathLike],
    *,
    exam: PathLike | ExamFile | None = None,
    layout: PathLike | Layout | None = None,
    registers: PathLike | None = None,
    settings: RunSettings | None = None,
    measures: PathLike | None = None,
    archive: PathLike | Archive | None = None,
    archive_version: int | None = None,
    prior: PriorLike | Iterable[PriorLike] | None = None,
    references: PathLike | None = None,
    feedback: bool = False,
    edition: str = "bureau",
    progress: Progress | None = None,
) -> Analysis:
    """Read an exam and give every level measure of every unit, with an archive its schools' course over the years: the main job.

    Parameters
    ----------
    paths
        Score files, or a folder of them; with an archive also the id of an exam in it.
    exam
        exam.toml, or what it says; found beside the files when left out.
    layout
        Id of a shipped layout, or a layout file; recognised when left out.
    registers
        Folder of registers; by default those of the archive, and without one the schools are those of the files.
    settings
        Run settings; defaults when left out.
    measures
        TOML file of local measures.
    archive
        Folder of an archive, or an opened one: ``.publishable.history`` holds the yearly series of the exam's year group and
        term up to its date, from the archive and, where it is not in there as it was read, this exam.
    archive_version
        Version of the archive to read; the newest by default.
    prior
        Earlier exams of the same pupils to measure growth from: ids of exams in the archive, or files read like an exam, or score
        tables. By default with an archive the newest exam of the same cohort in the school year before, else its newest earlier
        one; without an archive none.
    references
        TOML or CSV file of declared values from outside (province means), each with its source, to set the area and its units
        beside.
    feedback
        Also measure teachers and classes (``.teaching``), for ``.feedback(folder)``; needs a register of teachers.
    edition
        Audience; ``bureau``.
    progress
        Called with stage, done, total.

    Returns
    -------
    Analysis
        ``.estimates.frame`` holds the numbers, ``.write(folder)`` writes bulletin, workbook and results. ``.comparisons``,
        ``.equity`` and ``.growth`` (None without a prior exam) each have ``.frame``, ``.summary()`` and ``.plot()``.

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
    clock = Clock()
    Thread(target=_load_libraries, daemon=True).start()
    run = settings or RunSettings()
    definitions = load_measures(None if measures is None else Path(measures), run.measures)
    with clock.stage("intake", progress):
        store = None if archive is None else open_named(archive, archive_version)
        scores, archived = _read_exam(
            paths, exam=exam, layout=layout, run=run, archive=store, classes=feedback, progress=progress
        )
    _refuse_empty(scores, run)
    scores = add_legal_checks(scores)
    known: Registers | None = None
    with clock.stage("registers", progress):
        if registers is not None:
            known = read_registers(Path(registers))
        elif store is not None:
            known = store.registers()
        if known is not None and (registers is not None or not archived):  # an archived exam has been named by its registers
            scores = apply_registers(without_register_checks(scores), known)
    teachers = None if known is None else known.teachers_of(scores.exam.exam.school_year, scores.exam.exam.term)
    wanted = run.by or default_units(scores.exam.exam.scope)
    by = add_school_cells(unit_columns(wanted, scores.frame.columns), scores.frame)
    if (feedback or "teacher" in wanted) and teachers is None:
        raise UsageError("teachers_missing")
    with clock.stage("summaries", progress):
        summary = summarise(scores, by=by, settings=run, pass_cuts=pass_cuts(scores.exam, definitions))
    if not summary.area.n_present.any():
        raise NotAssessableError("no_scores", scores=scores, n=scores.frame.height)
    with clock.stage("estimates", progress):
        frame = estimate_levels(summary, scores, by=wanted, settings=run, measures=definitions, teachers=teachers)
    history = None
    if store is not None:
        with clock.stage("history", progress):
            history = collect_history(store, scores, archived=archived, registers=known, settings=run)
    with clock.stage("equity", progress):
        equity = collect_equity(summary, scores, settings=run, registers=known, history=history)
    with clock.stage("comparisons", progress):
        comparisons = collect_comparisons(
            summary, scores, by=wanted, settings=run, measures=definitions, registers=known, history=history, estimates=frame,
            references=None if references is None else Path(references),
        )  # fmt: skip
    growth = None
    if store is not None or prior is not None:
        with clock.stage("growth", progress):
            growth = collect_growth(prior, store, scores, archived=archived, registers=known, settings=run)
    with clock.stage("targets", progress):
        targets = collect_targets(
            frame, summary, scores, archive=store, registers=known, settings=run, measures=definitions
        )  # fmt: skip
    teaching = None
    if feedback:
        with clock.stage("feedback", progress):
            of_classes = growth_of_classes(growth, run)
            teaching = measure_teaching(scores, teachers, settings=run, measures=definitions, growth=of_classes)
    provenance = _describe_provenance(scores, run, definitions, history)
    if growth is not None and growth.settings["priors"]:
        provenance["prior_exams"] = ";".join(growth.settings["priors"])
    with clock.stage("disclosure", progress):
        results = ExamResults(
            frame, scores, summary, run, definitions, provenance, teachers, history,
            comparisons=comparisons,
            equity=equity,
            growth=growth,
            targets=targets,
        )  # fmt: skip
        check_edition(edition)  # a run's folder holds more than the bulletin: outward editions are made by protect alone
        publishable = protect(results, edition=edition)
    return Analysis(
        scores=scores,
        comparability=summary.comparability,
        estimates=LevelResult(frame=frame, settings=provenance),
        publishable=publishable,
        timings=clock.seconds,
        comparisons=comparisons,
        equity=equity,
        growth=growth,
        teaching=teaching,
        results=results,
        archive=store,
    )
