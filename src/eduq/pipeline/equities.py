"""The equity of an exam: its indices, the limits of the national pack, and the course from the archive."""

from __future__ import annotations

import datetime as dt
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

from eduq.disclosure import History, PublishableEquity
from eduq.errors import UsageError
from eduq.estimates.equity import EquityLimit
from eduq.estimates.exam_equity import ExamEquity, follow_exams, measure_exam_equity
from eduq.intake import ScoreTable
from eduq.registers import Registers
from eduq.settings import RunSettings
from eduq.summaries import Summary
from eduq.tables import EQUITY, EQUITY_COURSE

if TYPE_CHECKING:
    from eduq.rulepacks.model import Rule, RulePack

__all__ = ["collect_equity", "equity_tables", "national_limits"]

_PACK = "national"
_SCORES = {"between_school_share": "between_school_share"}
_RESOURCES = {"primary": "resource_cv_primary", "junior": "resource_cv_junior"}
_STAGES = {**{f"G{year}": "primary" for year in range(1, 7)}, **{f"G{year}": "junior" for year in range(7, 10)}}
"""Compulsory education, which the texts are about; in a county with five primary years G6 is junior, which no exam says."""


@lru_cache(maxsize=4)
def _load(day: dt.date) -> RulePack:
    from eduq.rulepacks.reading import load_rulepack

    return load_rulepack(_PACK, as_of=day)


def _cut(rule: Rule) -> tuple[float, str] | None:
    """Return the one cut of a rule and its side; None where it has none or several."""
    from eduq.rulepacks.forms import BelowCut

    cuts = [condition for condition in rule.walk() if isinstance(condition, BelowCut)]
    return (cuts[0].cut, cuts[0].side) if len(cuts) == 1 and cuts[0].cut is not None else None


def _limit(pack: RulePack, rule: Rule, index: str) -> EquityLimit | None:
    """Return what a rule sets as limit of an index; None where it sets none."""
    cut = _cut(rule)
    if cut is None or cut[1] not in ("above", "at_or_above"):
        return None
    effect = pack.effect_of(rule)
    reaching: Literal["below", "above"] = "above" if cut[1] == "at_or_above" else "below"
    return EquityLimit(
        index=index,
        value=cut[0],
        reaching=reaching,
        valid_from=effect.from_,
        valid_to=effect.to,
        source=_cite(rule),
    )


def _cite(rule: Rule) -> str:
    """Return document, number and article of a rule."""
    return "；".join(
        f"《{said.title}》" + (f"（{said.number}）" if said.number else "") + (said.article or "") for said in rule.citations
    )


def national_limits(as_of: dt.date, *, resources: Literal["primary", "junior"] | None = None) -> tuple[EquityLimit, ...]:
    """Return the limits of the national rule pack in force on a day, for ``limits=`` of `eduq.measure_equity`.

    Parameters
    ----------
    as_of
        The day.
    resources
        Left out: the limits of scores (``between_school_share``). ``primary`` or ``junior``: those of resources between schools
        of the stage, set on ``weighted_cv`` of a frame of units without `sd`. They are not limits of scores.

    Returns
    -------
    tuple of EquityLimit
        With value, which side an index at the limit falls on, dates of effect and source; empty where nothing is in force.

    Raises
    ------
    UsageError
        ``equity_resources``: no such stage.

    Examples
    --------
    >>> [(limit.index, limit.value) for limit in national_limits(dt.date(2026, 6, 30))]
    [('between_school_share', 0.15)]
    >>> [(limit.value, limit.reaching) for limit in national_limits(dt.date(2026, 6, 30), resources="junior")]
    [(0.45, 'below')]
    """
    if resources is not None and resources not in _RESOURCES:
        raise UsageError("equity_resources", found=resources, known=", ".join(_RESOURCES))
    wanted = _SCORES if resources is None else {_RESOURCES[resources]: "weighted_cv"}
    pack = _load(as_of)
    found = [_limit(pack, rule, wanted[rule.measure]) for rule in pack.in_force(as_of) if rule.measure in wanted]
    return tuple(limit for limit in found if limit is not None)


def _elsewhere(day: dt.date, stage: str) -> tuple[dict[str, Any], ...]:
    """Return what the same texts ask for that scores cannot answer: resources between schools, retention of junior schools."""
    wanted = {_RESOURCES[stage], *(["retention_rate"] if stage == "junior" else [])}
    found = []
    for rule in _load(day).in_force(day):
        cut = _cut(rule) if rule.measure in wanted else None
        if cut is not None:
            found.append({"measure": rule.measure, "limit": cut[0], "source": _cite(rule)})
    return tuple(found)


def _stage(summary: Summary, scores: ScoreTable) -> str | None:
    """Return primary, junior or senior; None where the exam does not say its year group, or has several stages."""
    said = scores.exam.exam.year_group
    groups = {said} if said else set(summary.comparability.frame["year_group"].drop_nulls())
    stages = {_STAGES.get(str(group), "senior") for group in groups}
    return stages.pop() if len(stages) == 1 else None


def collect_equity(
    summary: Summary, scores: ScoreTable, *, settings: RunSettings, registers: Registers | None, history: History | None
) -> ExamEquity | None:
    """Measure the equity of an exam, set it against the national limits of its day, and follow it over the years.

    Parameters
    ----------
    summary
        Counted by school, groups of pupils within schools (`eduq.estimates.exam_equity.add_school_cells`).
    scores
        The exam; its date says which limits are in force.
    settings
        Of the run.
    registers
        Of the run; say which earlier schools are in town.
    history
        Course of the schools; None without an archive: no course.

    Returns
    -------
    ExamEquity or None
        None where there is one school only.
    """
    day, stage = scores.exam.exam.date, _stage(summary, scores)
    limits: tuple[EquityLimit, ...] = ()
    elsewhere: tuple[dict[str, Any], ...] = ()
    unlimited = "date_unknown" if day is None else "year_group_unknown" if stage is None else None
    if day is not None and stage == "senior":
        unlimited = "senior"
    elif day is not None and stage is not None:
        limits, elsewhere = national_limits(day), _elsewhere(day, stage)
        unlimited = None if limits else "none_in_force"
    measured = measure_exam_equity(summary, scores, settings=settings, limits=limits)
    if measured is None:
        return None
    years, course = pl.DataFrame(schema=EQUITY), pl.DataFrame(schema=EQUITY_COURSE)
    if history is not None and history.series is not None:
        known = [frame.select("school_id", "area_type") for frame in _school_lists(scores, registers)]
        schools = pl.concat(known).unique("school_id", keep="first", maintain_order=True)
        years, course = follow_exams(history.series, schools, settings=settings)
    return ExamEquity(measured[0], years, course, limits, unlimited, elsewhere, measured[1])


def _school_lists(scores: ScoreTable, registers: Registers | None) -> list[pl.DataFrame]:
    """Return the schools of the registers and of the exam, with their kind where it is known."""
    lists = [scores.schools] if registers is None else [registers.schools, scores.schools]
    return [frame for frame in lists if "area_type" in frame.columns] or [
        scores.schools.select("school_id", pl.lit(None, dtype=pl.String).alias("area_type"))
    ]


def equity_tables(found: PublishableEquity) -> dict[str, pl.DataFrame]:
    """Return the files of results/: every index of the exam and of earlier school years, and with an archive their course."""
    earlier = found.years.filter(~pl.col("exam_id").is_in(found.frame["exam_id"].drop_nulls().unique().to_list()))
    tables = {"equity": pl.concat([found.frame, earlier]).select(EQUITY.keys())}
    return tables if found.course.is_empty() else tables | {"equity_course": found.course}
