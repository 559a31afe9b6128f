"""An invented county's products, made by hand: two exams, what waits, what was decided, courses, targets."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

import polars as pl
from tests.unit.bulletins.fixture import EXAM, make_publishable

from eduq.disclosure import Publishable, PublishableHistory
from eduq.disclosure.products import NEWS, OPEN_ITEMS, PublishableProduct
from eduq.disclosure.states import count_states
from eduq.disclosure.subjects import narrow_product
from eduq.tables import DECISIONS, LEFT_OUT, TARGET_REVIEWS, VERDICTS

PERIODS = {
    "check": ("2026-01", dt.date(2026, 1, 1), dt.date(2026, 1, 31)),
    "dispatch": ("2026-01", dt.date(2025, 12, 1), dt.date(2026, 1, 31)),
    "quarterly": ("2026Q1", dt.date(2026, 1, 1), dt.date(2026, 3, 31)),
    "term": ("2025-2026-1", dt.date(2025, 9, 1), dt.date(2026, 1, 31)),
    "annual": ("2025-2026", dt.date(2025, 9, 1), dt.date(2026, 8, 31)),
    "government": ("2025-2026", dt.date(2025, 9, 1), dt.date(2026, 8, 31)),
    "research": ("2025-2026", dt.date(2025, 9, 1), dt.date(2026, 8, 31)),
}
SUBJECT_PERIOD = ("2025-2026-1", dt.date(2025, 9, 1), dt.date(2026, 1, 31))
DIRECTIONS = ("falling", "falling", "unclear", "rising", "unclear", None)
RULE_NAMES = {
    "rule_zh": {"ezhou.head.yellow": "校长黄牌警告", "x.award": "进步奖"},
    "rule_en": {"ezhou.head.yellow": "yellow card for a head", "x.award": "prize for progress"},
    "clause": {"ezhou.head.yellow": "A02"},
}
SCHOOL_NAMES = {f"S{i:03d}": f"示例第{i}中学" for i in range(1, 25)}
OWNER = "基础教育科"


def lines(schema: dict[str, pl.DataType], *rows: dict[str, Any]) -> pl.DataFrame:
    """Return rows under a schema; what a row does not say is null."""
    return pl.DataFrame([dict.fromkeys(schema) | row for row in rows], schema=schema)


def _history() -> PublishableHistory:
    course: dict[str, Any] = {"unit": [], "evidence_grade": [], "slope": []}
    for number, (letter, slope) in enumerate([("A", -0.2), ("B", -0.15), ("C", -0.1), ("D", 0.21), ("D", 0.02), (None, None)], 1):
        course["unit"].append(f"S{number:03d}")
        course["evidence_grade"].append(letter)
        course["slope"].append(slope)
    frame = pl.DataFrame(course, schema={"unit": pl.String, "evidence_grade": pl.String, "slope": pl.Float64}).with_columns(
        ci_lower=pl.col("slope") - 0.05,
        ci_upper=pl.col("slope") + 0.05,
        q_value=pl.lit(0.03),
        min_detectable=pl.lit(0.12),
        first=pl.lit("2021-2022"),
        last=pl.lit("2025-2026"),
        n_periods=pl.lit(5),
        direction=pl.Series(DIRECTIONS),
    )
    empty = pl.DataFrame()
    return PublishableHistory(
        archive_version=7,
        origin="archived",
        left_out=pl.DataFrame(schema=LEFT_OUT),
        notes=empty,
        declines=frame,
        series=empty,
        changes=empty,
        subjects=empty,
        model={},
        bounds={},
        names=SCHOOL_NAMES,
    )


def _second_exam(first: Publishable) -> Publishable:
    """Return the same county's exam of another year group."""
    facts = first.exam.exam.model_copy(update={"id": "2025-1-g8-final", "name": "八年级期末质量监测", "year_group": "G8"})
    return dataclasses.replace(first, exam=first.exam.model_copy(update={"exam": facts}))


def make_product(product: str, *, edition: Any = "bureau", with_exams: bool = True, **settings: Any) -> PublishableProduct:
    """Return one product of the invented county.

    The numbers of an edition for others than the bureau are those of the bureau here: nothing may come out all the same.
    """
    period, first, last = SUBJECT_PERIOD if product == "subject" else PERIODS[product]
    exam = dataclasses.replace(make_publishable(**settings), edition=edition)
    if edition in ("bureau", "government"):
        exam = dataclasses.replace(exam, states=count_states(dataclasses.replace(exam, history=_history())))
    exams = (exam, _second_exam(exam)) if with_exams else ()
    news = [
        {
            "exam_id": found.exam.exam.id,
            "name": found.exam.exam.name,
            "date": dt.date(2026, 1, 15),
            "year_group": found.exam.exam.year_group,
            "purpose": "monitoring",
            "n_candidates": 4_000,
            "n_schools": 24,
            "news": state,
        }
        for found, state in zip(exams, ("corrected", "new"), strict=False)
    ]
    items = [
        {"kind": "proposal", "item": "ezhou.head.yellow", "unit_type": "head", "unit": "S001", "status": "open", "n": 1},
        {
            "kind": "target",
            "item": "T01",
            "unit_type": "school",
            "unit": "S002",
            "owner": OWNER,
            "due": dt.date(2025, 12, 31),
            "status": "overdue",
            "n": 1,
        },
        {
            "kind": "participation",
            "item": "math",
            "unit_type": "area",
            "unit": "all",
            "owner": "教研室",
            "status": "open",
            "exam_id": EXAM,
            "n": 30,
        },
    ]
    verdict = {
        "unit_type": "head",
        "year_group": "G9",
        "rule_id": "ezhou.head.yellow",
        "pack": "ezhou",
        "period_first": "2023-2024",
        "period_last": "2025-2026",
        "reading": "narrow",
        "clause_result": "met",
    }
    verdicts = [
        verdict | {"unit": "S001", "evidence_grade": "B", "proposal": "yellow_card", "only_wide": False, "needs_decision": True},
        verdict | {"unit": "S003", "reading": "wide", "only_wide": True, "needs_decision": False},
        verdict
        | {"unit": "S020", "rule_id": "x.award", "unit_type": "school", "proposal": "award", "only_wide": False}
        | {"needs_decision": True},
    ]
    decision = {"rule_id": "ezhou.head.talk", "unit_type": "head", "unit": "S004", "proposal": "talk", "decision": "adopted"}
    decision |= {"decided_by": "张局长", "decided_on": dt.date(2026, 1, 20), "reason": "情况属实"}
    target = {"measure": "pass_rate", "subject": "math", "direction": "up", "due": dt.date(2026, 7, 1), "target": 0.6}
    targets = [
        target
        | {"target_id": "T00", "unit_type": "area", "unit": "all", "estimate": 0.65, "ci_lower": 0.63, "ci_upper": 0.67}
        | {"state": "reached"},
        target
        | {"target_id": "T01", "unit_type": "school", "unit": "S002", "estimate": 0.5, "ci_lower": 0.45, "ci_upper": 0.55}
        | {"state": "not_reached"},
        target | {"target_id": "T02", "unit_type": "school", "unit": "S003", "state": "not_assessable", "reason": "below_min_n"},
    ]
    made = PublishableProduct(
        edition=edition,
        product=product,  # type: ignore[arg-type]
        period=period,
        first=first,
        last=last,
        today=dt.date(2026, 9, 1),
        archive_version=7,
        exams=exams,
        news=lines(NEWS, *news),
        open_items=lines(OPEN_ITEMS, *items),
        histories={"G9": _history()},
        verdicts=lines(VERDICTS, *verdicts),
        decisions=lines(DECISIONS, decision),
        targets=lines(TARGET_REVIEWS, *targets),
        names={"school": SCHOOL_NAMES, **RULE_NAMES},
        settings=exam.settings,
        last_issue=dt.date(2025, 10, 8),
        unit="math" if product == "subject" else None,
    )
    if product != "subject":
        return made
    return dataclasses.replace(narrow_product(made, "math"), histories={"G9": _history()} if with_exams else {})
