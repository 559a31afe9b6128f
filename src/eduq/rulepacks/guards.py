"""Bans over what an archive holds: targets that may not be set, exams that may not be held."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from eduq.estimates.series import ExamSource
from eduq.registers import PROMOTION_MEASURES, Registers
from eduq.rulepacks.bans import ATTESTED, breaks_ban
from eduq.rulepacks.model import Ban, Rule

__all__ = ["ARCHIVE_BANS", "GuardFinding", "check_bans", "is_promotion", "rests_on_promotion"]

_PROMOTION = frozenset(PROMOTION_MEASURES)


@dataclass(frozen=True)
class GuardFinding:
    """Whether one thing in the archive (a target, an exam) does what a ban forbids.

    Attributes
    ----------
    unit_type, unit
        ``exam`` and its id, or the unit a target is set for.
    thing
        Id of the target or exam.
    year_group, subject, school_year
        Where known.
    met
        The ban is broken.
    """

    unit_type: str
    unit: str
    thing: str
    year_group: str | None
    subject: str | None
    school_year: str | None
    met: bool


def is_promotion(measure: str) -> bool:
    """Return whether a measure is 升学率 or made of it."""
    return measure in _PROMOTION


def rests_on_promotion(rule: Rule) -> bool:
    """Return whether a rule judges a school or a person by 升学率, which the national texts forbid."""
    return rule.subject in ("head", "teacher", "school") and not _PROMOTION.isdisjoint(rule.measures())


def _targets(ban: Ban, source: ExamSource, exams: pl.DataFrame, registers: Registers | None) -> Iterator[GuardFinding]:
    """Every target of the register."""
    if registers is None or registers.targets is None:
        return
    for row in registers.targets.sort("target_id").iter_rows(named=True):
        met = breaks_ban(ban, row) is True
        yield GuardFinding(row["unit_type"], row["unit_id"] or "", row["target_id"], None, row["subject"], None, met)


def _finding(ban: Ban, row: Mapping[str, Any], fact: Mapping[str, Any]) -> GuardFinding:
    name = str(row["exam_id"])
    year_group = None if row["year_group"] is None else str(row["year_group"])
    return GuardFinding("exam", name, name, year_group, None, str(row["school_year"]), breaks_ban(ban, fact) is True)


def _exams(ban: Ban, source: ExamSource, exams: pl.DataFrame, registers: Registers | None) -> Iterator[GuardFinding]:
    """Every exam, by year group, scope and purpose."""
    for row in exams.iter_rows(named=True):
        yield _finding(ban, row, row)


def _mocks(ban: Ban, source: ExamSource, exams: pl.DataFrame, registers: Registers | None) -> Iterator[GuardFinding]:
    """The mock exams of the year groups, each with how many its school year has had by then, in the order of their dates."""
    counts: dict[tuple[object, object], int] = {}
    for row in exams.filter(pl.col("purpose") == "mock").iter_rows(named=True):
        if ban.year_groups and row["year_group"] not in ban.year_groups:
            continue
        key = (row["year_group"], row["school_year"])
        counts[key] = counts.get(key, 0) + 1
        yield _finding(ban, row, {"year_group": row["year_group"], "mocks": counts[key]})


def _attested(ban: Ban, source: ExamSource, exams: pl.DataFrame, registers: Registers | None) -> Iterator[GuardFinding]:
    """Every exam, by what somebody has attested of its pace, papers, sitting and marking."""
    for row in exams.iter_rows(named=True):
        attest = source.scores(str(row["exam_id"]), columns=["school_id"]).exam.attest
        yield _finding(ban, row, {same: getattr(attest, same) for same in ATTESTED})


_Check = Callable[[Ban, ExamSource, pl.DataFrame, Registers | None], Iterator[GuardFinding]]
ARCHIVE_BANS: dict[str, _Check] = {
    "promotion_target": _targets,
    "low_grade_paper_exam": _exams,
    "cross_school_exam": _exams,
    "too_many_mocks": _mocks,
    "unattested_exam": _attested,
}
"""Bans that can be checked on what an archive holds; the others bind rule packs (``rules lint``) and bulletins."""


def check_bans(ban: Ban, source: ExamSource, exams: pl.DataFrame) -> list[GuardFinding]:
    """Check a ban on everything in the archive that it could be about.

    Parameters
    ----------
    ban
        One of `ARCHIVE_BANS`.
    source
        The archive.
    exams
        Its exams as of the day, sorted by date and id.
    """
    return list(ARCHIVE_BANS[ban.of](ban, source, exams, source.registers()))
