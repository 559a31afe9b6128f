"""A county of six small schools over four years, for tests of what stands behind a verdict."""

from __future__ import annotations

import datetime as dt
from functools import cache
from typing import Any

import numpy as np
import polars as pl
from tests.builders import build_scores

from eduq.estimates.series import ExamSource, sources_from_scores
from eduq.intake.score_table import ScoreTable
from eduq.registers import Registers
from eduq.registers.model import HEAD_COLUMNS, SCHOOL_COLUMNS
from eduq.rulepacks.model import Effect, PackTexts, Rule, RulePack, RuleText

SCHOOLS = ("A", "B", "C", "D", "E", "F")
YEARS = ("2022-2023", "2023-2024", "2024-2025", "2025-2026")
AS_OF = dt.date(2026, 8, 31)
FULL = {"math": 100.0, "chinese": 120.0}
PUPILS = 12
COURSES = {"A": (0.0, -4.0, -9.0, -14.0), "B": (-8.0,) * 4, "C": (2.0,) * 4, "D": (0.0, 3.0, -1.0, 2.0), "E": (5.0,) * 4,
           "F": (1.0, 2.0, 3.0, 4.0)}  # fmt: skip
"""Marks that a school lies from the county, by year: A falls every year and is last at the end."""


def build_exam(place: int, *, absent: int = 1, weights: dict[str, float] | None = None) -> ScoreTable:
    """Return the exam of one year; the first pupils of each school are absent from chinese."""
    rng = np.random.default_rng(100 + place)
    rows: list[dict[str, Any]] = []
    for school in SCHOOLS:
        for number in range(PUPILS):
            math = float(np.clip(np.round(60 + COURSES[school][place] + 9 * rng.normal()), 0, 95))
            chinese = float(np.clip(np.round(72 + COURSES[school][place] + 9 * rng.normal()), 0, 115))
            row: dict[str, Any] = {"candidate_id": f"pupil-{place}-{school}-{number}", "school_id": school, "year_group": "G9"}
            rows.append(row | {"math": math, "chinese": "absent" if number < absent else chinese})
    year = YEARS[place]
    facts = {
        "id": f"{year[:4]}-2-g9", "name": f"{year} G9", "school_year": year, "term": 2, "date": dt.date(int(year[5:]), 6, 10),
        "year_group": "G9", "scope": "county", "purpose": "monitoring",
    }  # fmt: skip
    papers = [{"code": code, "max_score": full, "weight": (weights or {}).get(code, 1.0)} for code, full in FULL.items()]
    same = {"pace": "yes", "paper": "yes", "sitting": "yes", "marking": "yes"}
    return build_scores(rows, full=FULL, exam={"exam": facts, "papers": papers, "attest": same})


@cache
def county_exams() -> tuple[ScoreTable, ...]:
    """Return the exams of all years."""
    return tuple(build_exam(place) for place in range(len(YEARS)))


def county_registers() -> Registers:
    """Return schools of one stage and kind, and one head in each since long ago."""
    schools = [
        dict.fromkeys(SCHOOL_COLUMNS) | {"school_id": school, "name": f"School {school}", "stage": "junior", "kind": "public"}
        for school in SCHOOLS
    ]
    heads = [
        {"head_id": f"H-{school}", "name": "N", "school_id": school, "from": dt.date(2015, 9, 1), "to": None}
        for school in SCHOOLS
    ]
    return Registers(schools=pl.DataFrame(schools, schema=SCHOOL_COLUMNS), heads=pl.DataFrame(heads, schema=HEAD_COLUMNS))


def county_source(last: ScoreTable | None = None) -> ExamSource:
    """Return the county, if wanted with another exam in the last year."""
    exams = county_exams()
    return sources_from_scores([*exams[:-1], last or exams[-1]], county_registers())


def build_rule(*conditions: dict[str, Any], **more: Any) -> Rule:
    """Return a rule about heads with the given conditions."""
    raw: dict[str, Any] = {
        "id": "small.head.talk",
        "subject": "head",
        "measure": "composite_z",
        "peer_group": {"within": ["stage", "kind"], "min_units": 5, "min_pupils": 5},
        "conditions": conditions
        or ({"kind": "decline", "years": 2, "noise_band": 0.0}, {"kind": "last_place", "years": 1, "last": 1}),
        "gaps": {"tenure": "every_year"},
        "proposal": "talk",
        "addressed": {"decides": "the bureau"},
    }
    return Rule.model_validate(raw | more)


def build_pack(*rules: Rule) -> RulePack:
    """Return a pack of rules in force since long ago."""
    words = {rule.id: RuleText(name=f"name of {rule.id}", asks="asks", decide="decide") for rule in rules}
    texts = PackTexts(title="small pack", summary="summary", rules=words)
    return RulePack(
        id="small",
        version="0" * 16,
        rules=rules,
        texts={"zh": texts, "en": texts},
        effective=Effect.model_validate({"from": dt.date(2010, 1, 1)}),
        as_of=AS_OF,
        stated={},
        file_hashes={},
    )
