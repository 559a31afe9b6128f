"""Growth of an exam's schools or classes: which earlier exams it is measured from, how their pupils are found, the call."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl

from eduq.archive import Archive
from eduq.errors import ArchiveError, UsageError
from eduq.estimates.exam_growth import ExamGrowth, describe_priors, measure_exam_growth
from eduq.estimates.exam_growth_fits import WAYS, Way
from eduq.intake import ScoreTable, read_scores
from eduq.intake.exam_file import ExamFacts
from eduq.registers import Registers, apply_registers
from eduq.settings import RunSettings
from eduq.summaries.links import link_exams
from eduq.tables import GROWTH, status_column

__all__ = ["PriorExams", "PriorLike", "choose_prior", "collect_growth", "read_priors"]

PathLike = str | os.PathLike[str]
PriorLike = PathLike | ScoreTable
_YEARS = {**{f"G{year}": year for year in range(1, 10)}, **{f"S{year}": 9 + year for year in range(1, 4)}}
"""Years of schooling: pupils of one cohort are in year group y in the school year that began y years after they did."""
_SHARED = ("county", "city", "province", None)


@dataclass(frozen=True)
class PriorExams:
    """Earlier exams to link with.

    Attributes
    ----------
    tables
        Their scores.
    stored
        Whether each came from the archive, where ids are hashes.
    chosen
        Whether each was ``given`` or ``automatic``, and the code of the reason for an automatic choice.
    reason
        Why there are none.
    """

    tables: tuple[ScoreTable, ...] = ()
    stored: tuple[bool, ...] = ()
    chosen: tuple[tuple[str, str | None], ...] = ()
    reason: str | None = None


def _started(school_year: str | None, year_group: str | None) -> int | None:
    """Return the year in which a cohort began school, as far as school year and year group say it."""
    years = _YEARS.get(year_group or "")
    return None if school_year is None or years is None else int(school_year[:4]) - years


def choose_prior(exams: pl.DataFrame, exam: ExamFacts) -> tuple[str | None, str]:
    """Return the earlier exam of the same cohort to measure growth from, and why; or None and why there is none.

    The newest exam of the cohort in the school year before (``year_before``: the final exam of G8 for any exam of G9), else its
    newest earlier exam (``newest_of_cohort``).

    Parameters
    ----------
    exams
        exam_id, school_year, date, year_group, scope of the exams there are.
    exam
        The exam.

    Returns
    -------
    tuple
        Exam id or None; ``year_before``, ``newest_of_cohort``, ``exam_unplaced`` (exam.toml does not say school year, year group
        or date) or ``no_prior_exam``.

    Examples
    --------
    >>> import datetime as dt
    >>> exams = pl.DataFrame({
    ...     "exam_id": ["g7-end", "g8-end"], "school_year": ["2023-2024", "2024-2025"],
    ...     "date": [dt.date(2024, 6, 20), dt.date(2025, 6, 20)], "year_group": ["G7", "G8"], "scope": ["county", "county"],
    ... })
    >>> here = ExamFacts(id="g9-end", school_year="2025-2026", date=dt.date(2026, 6, 3), year_group="G9")
    >>> choose_prior(exams, here)
    ('g8-end', 'year_before')
    """
    cohort = _started(exam.school_year, exam.year_group)
    if cohort is None or exam.date is None or exam.school_year is None:
        return None, "exam_unplaced"
    earlier = [
        line
        for line in exams.iter_rows(named=True)
        if line["date"] is not None
        and line["date"] < exam.date
        and line["exam_id"] != exam.id
        and line["scope"] in _SHARED
        and _started(line["school_year"], line["year_group"]) == cohort
    ]
    if not earlier:
        return None, "no_prior_exam"
    before = [line for line in earlier if int(line["school_year"][:4]) == int(exam.school_year[:4]) - 1]
    newest = max(before or earlier, key=lambda line: (line["date"], line["exam_id"]))
    return str(newest["exam_id"]), "year_before" if before else "newest_of_cohort"


def _read_stored(store: Archive, exam_id: str) -> ScoreTable:
    """Return a stored exam with what linking needs of it."""
    names = store.scan(exam_id).collect_schema().names()
    papers = [name for name in names if status_column(name) in names]
    needed = {"school_id", "person_id", "year_group", "track", *papers, *(status_column(paper) for paper in papers)}
    return store.scores(exam_id, columns=[name for name in names if name in needed], items=False)


def read_priors(
    prior: PriorLike | Iterable[PriorLike] | None, store: Archive | None, scores: ScoreTable, registers: Registers | None
) -> PriorExams:
    """Return the earlier exams that are meant, or those the archive offers.

    Parameters
    ----------
    prior
        Exam ids of the archive, folders or files read like an exam, or score tables; None to let the archive offer one.
    store
        The archive, if there is one.
    scores
        The exam.
    registers
        Registers that name the schools of prior exams read from files.

    Raises
    ------
    UsageError
        ``prior_unknown``, ``prior_is_exam``, ``prior_not_earlier``, ``prior_twice``.
    EduqError
        What reading a file or the archive raises.
    """
    if prior is None:
        if store is None:
            return PriorExams(reason="no_prior_exam")
        exam_id, why = choose_prior(store.exams(), scores.exam.exam)
        if exam_id is None:
            return PriorExams(reason=why)
        return PriorExams((_read_stored(store, exam_id),), (True,), (("automatic", why),))
    given = [prior] if isinstance(prior, (str, os.PathLike, ScoreTable)) else list(prior)
    known = set() if store is None else set(store.exams()["exam_id"])
    tables, stored = [], []
    for one in given:
        if not isinstance(one, ScoreTable) and store is not None and os.fspath(one) in known and not Path(one).exists():
            tables.append(_read_stored(store, os.fspath(one)))
            stored.append(True)
            continue
        if not isinstance(one, ScoreTable) and store is not None and not Path(one).exists():
            raise UsageError("prior_unknown", prior=os.fspath(one), known=", ".join(sorted(known)) or "-")
        table = one if isinstance(one, ScoreTable) else read_scores(one)
        tables.append(table if registers is None or isinstance(one, ScoreTable) else apply_registers(table, registers))
        stored.append(False)
    _refuse_order(scores.exam.exam, [table.exam.exam for table in tables])
    return PriorExams(tuple(tables), tuple(stored), (("given", None),) * len(tables))


def _refuse_order(exam: ExamFacts, priors: Sequence[ExamFacts]) -> None:
    """Stop at a prior exam that is the exam itself, stands twice or is not earlier."""
    for place, prior in enumerate(priors):
        if prior.id is not None and prior.id == exam.id:
            raise UsageError("prior_is_exam", exam=prior.id)
        if prior.id is not None and prior.id in [other.id for other in priors[:place]]:
            raise UsageError("prior_twice", exam=prior.id)
        if prior.date is not None and exam.date is not None and prior.date >= exam.date:
            raise UsageError("prior_not_earlier", exam=prior.id or "-", date=prior.date, own=exam.date)


def _with_persons(store: Archive | None, scores: ScoreTable, *, stored: bool, hashed: bool) -> ScoreTable:
    """Return scores with ids as plain text, or as the archive hashes them."""
    if stored and store is not None and "person_id" not in scores.frame.columns:
        exam_id = str(scores.exam.exam.id)
        wanted = [name for name in ("person_id", "class_id") if name not in scores.frame.columns]
        return dataclasses.replace(
            scores, frame=scores.frame.hstack(store.scores(exam_id, columns=wanted, items=False).frame.select(wanted))
        )
    if hashed and not stored and store is not None:
        return dataclasses.replace(scores, frame=scores.frame.with_columns(store.hash_persons(scores)))
    return scores


def collect_growth(
    prior: PriorLike | Iterable[PriorLike] | None,
    store: Archive | None,
    scores: ScoreTable,
    *,
    archived: bool,
    registers: Registers | None,
    settings: RunSettings,
    by: Literal["school", "class"] | None = None,
    ways: Sequence[Way] = WAYS,
    papers: Sequence[str] | None = None,
) -> ExamGrowth | None:
    """Link an exam with earlier ones and measure the growth of its units.

    Parameters
    ----------
    prior
        As in `read_priors`.
    store
        The archive, if there is one.
    scores
        The exam.
    archived
        Whether it was read from the archive, where ids are hashes.
    registers
        Registers of the run.
    settings
        Of the run.
    by
        Unit: classes in a school's own exam, else schools.
    ways, papers
        As in `eduq.estimates.exam_growth.measure_exam_growth`.

    Returns
    -------
    ExamGrowth or None
        None without a prior exam and without an archive. ``reason`` says why there is no growth: ``exam_unplaced``,
        ``no_prior_exam``, ``prior_key`` (the archive's key is not here, so ids cannot be compared) or ``nobody_linked``.

    Raises
    ------
    ArchiveError
        The errors of a key, where a prior exam is given.
    """
    if prior is None and store is None:
        return None
    unit: Literal["school", "class"] = by or ("class" if scores.exam.exam.scope == "school" else "school")
    nothing = ExamGrowth(
        frame=pl.DataFrame(schema=GROWTH),
        settings={"exam_id": scores.exam.exam.id, "priors": [], "unit_type": unit},
        unit_type=unit,
    )
    found = read_priors(prior, store, scores, registers)
    if found.reason is not None:
        return dataclasses.replace(nothing, reason=found.reason)
    hashed = archived or any(found.stored)
    try:
        own = _with_persons(store, scores, stored=archived, hashed=hashed)
        tables = [
            _with_persons(store, table, stored=stored, hashed=hashed)
            for table, stored in zip(found.tables, found.stored, strict=True)
        ]
    except ArchiveError as error:
        if prior is not None or not error.code.startswith("archive_key"):
            raise
        return dataclasses.replace(nothing, reason="prior_key")
    linked = link_exams(own, tables, settings=settings)
    priors = describe_priors(linked, found.chosen)
    if not any(one.n_linked for one in linked.priors):
        return dataclasses.replace(nothing, reason="nobody_linked", priors=priors)
    growth = measure_exam_growth(linked, exam_id=str(scores.exam.exam.id), by=unit, ways=ways, papers=papers, settings=settings)
    return dataclasses.replace(growth, priors=priors)
