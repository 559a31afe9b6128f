"""A small county for judging: six schools, three school years, one exam each, falls and places set by hand."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
from tests.builders import build_scores

from eduq.intake.score_table import ScoreTable
from eduq.registers import PackStatement, Registers
from eduq.registers.model import EVENT_COLUMNS, HEAD_COLUMNS, SCHOOL_COLUMNS, TARGET_COLUMNS, TEACHER_COLUMNS

YEARS = ("2022-2023", "2023-2024", "2024-2025")
AS_OF = dt.date(2025, 8, 31)
LEVELS: dict[str, Sequence[float | None]] = {
    "S1": (50, 44, 38),  # falls twice, last in the last two years
    "S2": (60, 58, 55),  # falls twice, never last
    "S3": (62, 63, 64),
    "S4": (66, 65, 67),
    "S5": (68, 68, 69),
    "S6": (70, 71, 72),
}
"""Mean scores by school and year; None: the school has no candidates in that year."""
SPREAD = (-12, -8, -5, -3, -1, 0, 1, 3, 5, 8, 12, 0)


def make_exams(levels: Mapping[str, Sequence[float | None]] | None = None, *, pupils: int = 36) -> list[ScoreTable]:
    """Return one exam a year, `pupils` candidates in each school."""
    exams = []
    for year, period in enumerate(YEARS):
        rows: list[dict[str, Any]] = []
        for school, means in (levels or LEVELS).items():
            mean = means[year]
            if mean is not None:
                rows += [
                    {
                        "school_id": school,
                        "class_id": f"九（{pupil % 2 + 1}）班",
                        "year_group": "G9",
                        "candidate_id": f"{school}-{period}-{pupil}",
                        "math": mean + SPREAD[pupil % len(SPREAD)],
                        "chinese": mean + SPREAD[(pupil + 1) % len(SPREAD)],
                    }
                    for pupil in range(pupils)
                ]
        facts = {
            "id": f"{period[:4]}-2-g9",
            "name": period,
            "school_year": period,
            "term": 2,
            "date": dt.date(2023 + year, 6, 20),
        }
        more = {"year_group": "G9", "scope": "county", "purpose": "graduation", "stable_id": "student_uid"}
        said = {"exam": facts | more, "attest": {"pace": "yes"}}
        exams.append(build_scores(rows, full={"chinese": 100, "math": 100}, exam=said))
    return [
        scores.__class__(**{**vars(scores), "frame": scores.frame.with_columns(exam_id=pl.lit(scores.exam.exam.id))})
        for scores in exams
    ]


def make_registers(
    *,
    heads: Sequence[tuple[str, str, dt.date, dt.date | None]] | None = None,
    events: Sequence[tuple[dt.date, str, list[str], list[str]]] = (),
    targets: Sequence[Mapping[str, Any]] = (),
    teachers: Sequence[Mapping[str, Any]] = (),
    small: Sequence[str] = (),
    **school_facts: Mapping[str, Any],
) -> Registers:
    """Return registers of the six schools; by default every head has been there since 2015."""
    schools = [
        dict.fromkeys(SCHOOL_COLUMNS)
        | {"school_id": school, "name": f"第{school[1:]}中学", "stage": "junior", "kind": "public", "cluster": "城区片区"}
        | {"small_school": school in small, "area_type": "urban"}
        | dict(school_facts.get(school, {}))
        for school in LEVELS
    ]
    since = dt.date(2015, 9, 1)
    posts = heads if heads is not None else [(f"H{school[1:]}", school, since, None) for school in LEVELS]
    people = [
        {"head_id": head, "name": head, "school_id": school, "from": first, "to": last} for head, school, first, last in posts
    ]
    happened = [dict(zip(EVENT_COLUMNS, event, strict=True)) for event in events]
    return Registers(
        schools=pl.DataFrame(schools, schema=SCHOOL_COLUMNS),
        heads=pl.DataFrame(people, schema=HEAD_COLUMNS),
        events=pl.DataFrame(happened, schema=EVENT_COLUMNS),
        targets=pl.DataFrame([dict.fromkeys(TARGET_COLUMNS) | dict(row) for row in targets], schema=TARGET_COLUMNS),
        teachers=pl.DataFrame([dict.fromkeys(TEACHER_COLUMNS) | dict(row) for row in teachers], schema=TEACHER_COLUMNS),
        packs={"ezhou": PackStatement.model_validate({"from": dt.date(2021, 9, 1)})},
    )
