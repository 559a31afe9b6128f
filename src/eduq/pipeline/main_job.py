"""The main job: one exam from its files, or from an archive, to everything that may be shown of it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from threading import Thread

import eduq
from eduq.archive import Archive
from eduq.disclosure import ExamResults, History, protect
from eduq.disclosure.editions import EXAM_EDITIONS, check_edition
from eduq.errors import NotAssessableError, SettingsError, UsageError
from eduq.estimates.exam_equity import add_school_cells
from eduq.estimates.level_results import LevelResult
from eduq.estimates.levels import estimate_levels, pass_cuts, unit_columns
from eduq.estimates.measures import Measure, load_measures
from eduq.estimates.teaching import measure_teaching
from eduq.groups import add_legal_checks
from eduq.intake import ScoreTable, read_scores
from eduq.intake.exam_file import ExamFile
from eduq.intake.layouts import Layout
from eduq.manifest import content_hash
from eduq.pipeline.analysis import Analysis
from eduq.pipeline.clock import Clock, Progress
from eduq.pipeline.comparisons import collect_comparisons
from eduq.pipeline.equities import collect_equity
from eduq.pipeline.feedback import growth_of_classes
from eduq.pipeline.growths import PriorLike, collect_growth
from eduq.pipeline.histories import collect_history
from eduq.pipeline.stored_exams import archived_exam_id, open_named, read_archived, without_register_checks
from eduq.pipeline.target_reviews import collect_targets
from eduq.registers import Registers, apply_registers, read_registers
from eduq.settings import RunSettings, default_units
from eduq.summaries import summarise

__all__ = ["analyze"]

PathLike = str | os.PathLike[str]


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
        Audience: ``bureau``, ``government``, ``student`` or ``public`` (`eduq.protect`). With an archive it is protected beside
        the editions issued of the exam.
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
    check_edition(edition, EXAM_EDITIONS)
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
        publishable = protect(results, edition=edition, issued=() if store is None else store.issued()["content"])
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
