"""`check_files`: read as an analysis would, write nothing, ask everything at once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from eduq.dry_run.reading import DryRun, Progress
from eduq.dry_run.report import QUESTIONS, CheckReport
from eduq.dry_run.wording import Question, list_columns, list_sheets
from eduq.errors import Place
from eduq.intake import ScoreTable
from eduq.intake.drafts import complete_exam, draft_aliases, draft_exam, draft_schools
from eduq.intake.exam_file import ExamFile
from eduq.intake.files import find_files
from eduq.intake.identity import ONE_SCHOOL
from eduq.intake.layout_drafts import draft_layout
from eduq.intake.questions import Asked
from eduq.intake.scores import stated_exam
from eduq.locale import Lang, current_language, text
from eduq.tables import INPUTS

__all__ = ["check_files"]

PathLike = str | os.PathLike[str]
_FACTS = ("school_year", "term", "date", "year_group", "scope", "purpose", "stable_id")


def check_files(
    paths: PathLike | Iterable[PathLike],
    exam: PathLike | ExamFile | None = None,
    layout: PathLike | None = None,
    registers: PathLike | None = None,
    *,
    lang: Lang | None = None,
    progress: Progress | None = None,
) -> CheckReport:
    """Read files as `analyze` would, write nothing, and gather everything a person has to know or answer.

    A question does not end the check: it is noted, answered for the time being, and reading goes on.

    Parameters
    ----------
    paths
        Score files, or a folder or zip of them.
    exam
        exam.toml, or what it says; found beside the files when left out.
    layout
        Id of a shipped layout, or the path of one's own.
    registers
        Folder of registers.
    lang
        Language of questions, descriptions and remarks in the drafts; the current one when left out.
    progress
        Called with stage, done, total.

    Returns
    -------
    CheckReport
        ``.questions``, ``.columns``, ``.frame`` (checks), ``.drafts``, ``.ready``.

    Raises
    ------
    UsageError, DataFileError
        There are no such files.
    SettingsError
        exam.toml, the layout or a register is not understood.

    Examples
    --------
    >>> from eduq.resources import sample_data_path
    >>> found = check_files(sample_data_path() / "2025-2-g9-final", lang="en")
    >>> found.ready, sorted(found.drafts)
    (True, ['exam.toml', 'layout.toml', 'schools.csv'])
    """
    said = lang or current_language()
    found = find_files(paths)
    run = DryRun(found, stated_exam(exam, found), layout, progress)
    table = run.read()
    variants: list[tuple[str, str]] = []
    if table is not None:
        variants = _school_variants(table)
        variants += run.finish(table, registers)
    given = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    settings = {
        "paths": [Path(path).name for path in given],
        "exam": Path(exam).name if isinstance(exam, (str, os.PathLike)) else None,
        "layout": None if layout is None else Path(layout).name,
        "registers": None if registers is None else Path(registers).name,
    }
    return make_report(run, table, variants, settings, said)


def _school_variants(table: ScoreTable) -> list[tuple[str, str]]:
    found = table.checks.filter(pl.col("code") == "school_variants")["found"].drop_nulls()
    pairs = []
    for line in found:
        first, *others = line.split(" = ")
        pairs += [(other, first) for other in others]
    return pairs


def make_report(
    run: DryRun, table: ScoreTable | None, variants: list[tuple[str, str]], settings: Mapping[str, Any], lang: Lang
) -> CheckReport:
    checks = run.checks.frame() if table is None else table.checks
    questions = [*run.questions, *_further_questions(run, table, checks)]
    rows = sorted((one.row(lang) for one in questions), key=lambda row: not row["must"])
    rejected = pl.DataFrame(schema={"file": pl.String, "code": pl.String, "n": pl.Int64})
    if table is not None:
        counted = table.rejected.group_by("file", "code", maintain_order=True).agg(pl.len().cast(pl.Int64).alias("n"))
        rejected = counted.sort("file", "code")
    return CheckReport(
        frame=checks,
        columns=list_columns(run.checks, checks, set(run.stand_ins.values()), lang),
        questions=pl.DataFrame(rows, schema=QUESTIONS),
        sheets=list_sheets(run.checks, checks),
        inputs=pl.DataFrame(schema=INPUTS) if table is None else table.inputs,
        rejected=rejected,
        errors=tuple(run.errors),
        drafts=_drafts(run, table, variants, lang),
        settings=settings,
        provisional=run.provisional,
    )


def _further_questions(run: DryRun, table: ScoreTable | None, checks: pl.DataFrame) -> list[Question]:
    """Return what may be answered: the analysis runs without it, but says less or assumes something."""
    asked: list[Question] = []
    if table is not None:
        shown = set(run.stand_ins.values())
        open_ones = tuple(paper.code for paper in table.papers if paper.max_score is None and paper.code not in shown)
        if open_ones:
            asked.append(Question(False, "max_score", "papers", "max_score", n=len(open_ones), about=open_ones))
    for row in checks.filter(pl.col("code").is_in(["zero_heap", "zero_rows"])).iter_rows(named=True):
        place = Place(column=row["column"])
        asked.append(Question(False, row["code"], "symbols", "0", place, row["n"], row["found"]))
    for row in checks.filter(pl.col("code") == "school_variants").iter_rows(named=True):
        asked.append(Question(False, "school_variants", "registers", "aliases", n=row["n"], near=row["found"]))
    exam = run.stated if table is None else complete_exam(table.exam, _year_groups(table))
    facts = [name for name in _FACTS if getattr(exam.exam, name) is None and not (name == "scope" and run.one_school)]
    if facts:
        asked.append(Question(False, "facts", "exam", ", ".join(facts), n=len(facts)))
    sames = [name for name, answer in exam.attest.model_dump().items() if answer == "?"]
    if sames:
        asked.append(Question(False, "attest", "attest", ", ".join(sames), n=len(sames)))
    return asked


def _year_groups(table: ScoreTable) -> list[str]:
    return table.frame["year_group"].drop_nulls().unique().sort().to_list()


def _drafts(run: DryRun, table: ScoreTable | None, variants: list[tuple[str, str]], lang: Lang) -> dict[str, str]:
    exam = run.stated
    assumed: list[str] = []
    drafts: dict[str, str] = {}
    stand_ins = set(run.stand_ins.values())
    if table is not None:
        asked = {(one.section, one.key) for one in run.asked} | {(one.section, one.key) for one in run.questions}
        facts = table.exam.exam.model_copy(update={"scope": run.stated.exam.scope})
        exam = table.exam.model_copy(
            update={
                "exam": facts,
                "papers": tuple(paper for paper in table.exam.papers if paper.code not in stand_ins),
                "symbols": {key: said for key, said in table.exam.symbols.items() if ("symbols", key) not in asked},
                "columns": {key: said for key, said in table.exam.columns.items() if ("columns", key) not in asked},
            }
        )
        exam = complete_exam(exam, _year_groups(table))
        assumed = [name for name in ("id", "name") if getattr(run.stated.exam, name) is None]
        if not table.schools["school_id"].eq(ONE_SCHOOL).all():
            drafts["schools.csv"] = draft_schools(table.schools)
        if variants:
            drafts["aliases.csv"] = draft_aliases(sorted(set(variants)))
    flags = [Asked("columns", one.key, one.place, 1) for one in run.questions if one.code == "flag_column"]
    used = run.checks.columns().filter(~pl.col("became").is_in(stand_ins))
    sheets = list_sheets(run.checks, run.checks.frame())
    layout = draft_layout(used, sheets.sort(pl.col("layout").is_not_null(), maintain_order=True), run.asked, lang=lang)
    drafts |= {"layout.toml": layout} if layout else {}
    draft = draft_exam(exam, [*run.asked, *flags], assumed=assumed, lang=lang)
    if any(one.code == "paper_unclear" for one in run.questions):
        draft += "\n".join(["", "# " + text("draft.paper.code", lang), "# [[papers]]", '# code = "math"', ""])
    return {"exam.toml": draft, **drafts}
