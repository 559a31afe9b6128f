"""Where a series takes its exams from, and which of them it uses: one exam per year group, school year and term."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import polars as pl

from eduq.errors import NotAssessableError, SettingsError
from eduq.intake.score_table import ScoreTable
from eduq.registers import Registers
from eduq.tables import LEFT_OUT

__all__ = ["EXAM_FACTS", "ExamSource", "choose_exams", "sources_from_scores"]

EXAM_FACTS: dict[str, pl.DataType] = {
    "exam_id": pl.String(),
    "school_year": pl.String(),
    "term": pl.Int64(),
    "date": pl.Date(),
    "year_group": pl.String(),
    "scope": pl.String(),
    "purpose": pl.String(),
}
"""What a series needs to know of an exam before it reads it."""
_SHARED = ("county", "city", "province", None)
"""Scopes in which every school of the county sits the exam."""
_FIRST_CHOICE = ("graduation", "monitoring")


class ExamSource(Protocol):
    """Anything that holds exams: an archive, or score tables in memory (`sources_from_scores`)."""

    def exams(self) -> pl.DataFrame:
        """Return one line per exam with at least the columns of `EXAM_FACTS`."""
        ...

    def scores(self, exam_id: str, *, columns: Sequence[str] | None = None) -> ScoreTable:
        """Return one exam; with `columns` its frame need not hold others (``.exam`` still names every paper)."""
        ...

    def registers(self) -> Registers | None:
        """Return the registers, or None when there are none."""
        ...


@dataclass(frozen=True)
class _Tables:
    """Score tables in memory as an `ExamSource`."""

    tables: dict[str, ScoreTable]
    known: Registers | None

    def exams(self) -> pl.DataFrame:
        """Return what exam.toml says of each exam."""
        rows = []
        for exam_id, table in self.tables.items():
            facts = table.exam.exam
            rows.append((exam_id, facts.school_year, facts.term, facts.date, facts.year_group, facts.scope, facts.purpose))
        return pl.DataFrame(rows, schema=EXAM_FACTS, orient="row").sort("date", "exam_id", nulls_last=True)

    def scores(self, exam_id: str, *, columns: Sequence[str] | None = None) -> ScoreTable:
        """Return the table of an exam."""
        return self.tables[exam_id]

    def registers(self) -> Registers | None:
        """Return the registers given."""
        return self.known


def sources_from_scores(scores: Iterable[ScoreTable], registers: Registers | None = None) -> ExamSource:
    """Return score tables in memory as the source of a series.

    Parameters
    ----------
    scores
        One table per exam; the id of each is that of its exam.toml.
    registers
        Registers to go with them.

    Raises
    ------
    SettingsError
        ``exam_id_missing`` or ``exam_id_twice``.
    """
    tables: dict[str, ScoreTable] = {}
    for table in scores:
        exam_id = table.exam.exam.id
        if exam_id is None:
            raise SettingsError("exam_id_missing")
        if exam_id in tables:
            raise SettingsError("exam_id_twice", exam_id=exam_id)
        tables[exam_id] = table
    return _Tables(tables, registers)


def choose_exams(
    exams: pl.DataFrame,
    *,
    year_groups: Sequence[str] | None = None,
    term: int | None = None,
    as_of: dt.date | None = None,
) -> pl.DataFrame:
    """Say of every exam whether a yearly series uses it, and if not why.

    Parameters
    ----------
    exams
        `EXAM_FACTS`, one line per exam.
    year_groups
        Those wanted; when left out, all with exams in at least two school years of the term.
    term
        1 (autumn) or 2 (spring); that of the newest exam when left out.
    as_of
        Exams after this day are left out.

    Returns
    -------
    pl.DataFrame
        `eduq.tables.LEFT_OUT`, sorted by school year, term, year group and exam. Reasons: date_unknown, after_as_of,
        term_unknown, year_group_unknown, narrow_scope (a school's or cluster's own exam), other_year_group, other_term,
        second_in_term (graduation and monitoring exams come before mocks and others, then the later date, then the id),
        single_year.

    Raises
    ------
    NotAssessableError
        ``series_no_exams``: no exam can be used.
    """
    facts = exams.select(pl.col(name).cast(kind) for name, kind in EXAM_FACTS.items())
    reasons: dict[str, str | None] = {}
    for exam in facts.iter_rows(named=True):
        reasons[exam["exam_id"]] = _unusable(exam, year_groups, as_of)
    usable = facts.filter(pl.col("exam_id").is_in([exam_id for exam_id, reason in reasons.items() if reason is None]))
    if usable.is_empty():
        raise NotAssessableError("series_no_exams", n=facts.height)
    if term is None:
        term = int(usable.sort("date", "exam_id")["term"][-1])
    reasons |= dict.fromkeys(usable.filter(pl.col("term") != term)["exam_id"], "other_term")
    ranked = (
        usable.filter(pl.col("term") == term)
        .with_columns(pl.col("purpose").is_in(_FIRST_CHOICE).fill_null(False).alias("first_choice"))
        .sort("first_choice", "date", "exam_id", descending=True)
    )
    chosen = ranked.unique(["year_group", "school_year"], keep="first", maintain_order=True)
    reasons |= dict.fromkeys(ranked.join(chosen, on="exam_id", how="anti")["exam_id"], "second_in_term")
    if year_groups is None:
        years = chosen.group_by("year_group").agg(pl.col("school_year").n_unique().alias("years"))
        lone = chosen.join(years.filter(pl.col("years") < 2), on="year_group", how="semi")
        if lone.height < chosen.height:
            reasons |= dict.fromkeys(lone["exam_id"], "single_year")
    return (
        facts.with_columns(pl.col("exam_id").replace_strict(reasons, return_dtype=pl.String).alias("reason"))
        .with_columns(pl.col("reason").is_null().alias("used"))
        .select(LEFT_OUT.keys())
        .sort("school_year", "term", "year_group", "exam_id")
    )


def _unusable(exam: dict[str, object], year_groups: Sequence[str] | None, as_of: dt.date | None) -> str | None:
    """Return why an exam cannot be in any series asked for, judged by itself."""
    date = exam["date"]
    if not isinstance(date, dt.date):
        return "date_unknown"
    if as_of is not None and date > as_of:
        return "after_as_of"
    if exam["school_year"] is None or exam["term"] is None:
        return "term_unknown"
    if exam["year_group"] is None:
        return "year_group_unknown"
    if year_groups is not None and exam["year_group"] not in year_groups:
        return "other_year_group"
    return None if exam["scope"] in _SHARED else "narrow_scope"
