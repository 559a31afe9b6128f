"""Targets set beside their newest values: reached, not reached, or undecided while the interval holds the target."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl

from eduq.estimates.targets.values import MEASURED_UNITS, ExamValues, lines_of
from eduq.registers import OUTSIDE_MEASURES, PROMOTION_MEASURES
from eduq.summaries.sweeps import AREA_UNIT
from eduq.tables import TARGET_REVIEWS

__all__ = ["judge_target", "review_rows", "share_done"]

_NUMBERS = ("n", "estimate", "std_error", "ci_lower", "ci_upper", "conf_level", "method")
_CENSUS = ("participation_rate",)
"""Counts of all who were expected: the value is what it is, and needs no interval."""


def judge_target(target: float, direction: str, estimate: float, lower: float | None, upper: float | None) -> str:
    """Return the state of a target: the whole interval on one side of it, else undecided; without bounds the value decides.

    Examples
    --------
    >>> judge_target(0.70, "up", 0.74, 0.71, 0.77), judge_target(0.70, "up", 0.72, 0.68, 0.76)
    ('reached', 'undecided')
    >>> judge_target(0.20, "down", 0.25, 0.22, 0.28)
    'not_reached'
    """
    low, high = (estimate if lower is None else lower), (estimate if upper is None else upper)
    if direction == "down":
        target, low, high = -target, -high, -low
    return "reached" if low >= target else "not_reached" if high < target else "undecided"


def share_done(value: float, baseline: float | None, target: float, *, margin: float = 0.0) -> float | None:
    """Return (value − baseline)/(target − baseline): 1 at the target, below 0 behind the baseline; null without a distance.

    ``margin`` is the half width of the value's interval. A way from baseline to target that is shorter than it cannot be told
    from chance, and a share of it swings by hundreds of per cent with a few pupils: null too.

    Examples
    --------
    >>> round(share_done(0.66, 0.60, 0.70), 3), round(share_done(0.25, 0.30, 0.20), 3), share_done(0.5, 0.7, 0.7)
    (0.6, 0.5, None)
    >>> share_done(0.061, 0.023, 0.020, margin=0.072)
    """
    if baseline is None or baseline == target or abs(target - baseline) < margin:
        return None
    return (value - baseline) / (target - baseline)


def review_rows(
    targets: pl.DataFrame,
    values: Callable[[Mapping[str, Any]], Sequence[ExamValues] | str],
    *,
    refused: Mapping[str, str],
    as_of: dt.date,
    min_n: int,
) -> pl.DataFrame:
    """Review the targets of a register.

    Parameters
    ----------
    targets
        `eduq.registers.TARGET_COLUMNS`.
    values
        Gives the exams whose values count for a target, or the reason why there are none.
    refused
        Target id to the rule that bars it: such a target is listed and no value is looked up.
    as_of
        A target is overdue after its due day.
    min_n
        Units with fewer candidates are not assessed.

    Returns
    -------
    pl.DataFrame
        `eduq.tables.TARGET_REVIEWS`.
    """
    found: list[dict[str, Any]] = []
    for row in targets.sort("target_id").iter_rows(named=True):
        facts = {name: row[name] for name in ("target_id", "unit_type", "measure", "subject", "direction", "due", "signer")}
        facts |= {"unit": row["unit_id"] or AREA_UNIT, "overdue": row["due"] < as_of}
        barred = refused.get(row["target_id"])
        if barred is not None:
            found.append(facts | {"state": "refused", "reason": barred, "overdue": None})
            continue
        facts |= {"baseline": row["baseline"], "target": row["target"]}
        lines = _assess(row, facts, values, min_n)
        found += lines
    frame = pl.DataFrame(found, schema=TARGET_REVIEWS, orient="row") if found else pl.DataFrame(schema=TARGET_REVIEWS)
    return frame.sort("target_id", "year_group", "comparison_group", nulls_last=True, maintain_order=True)


def _assess(
    row: Mapping[str, Any],
    facts: dict[str, Any],
    values: Callable[[Mapping[str, Any]], Sequence[ExamValues] | str],
    min_n: int,
) -> list[dict[str, Any]]:
    """Return the lines of one target, one saying why where there is no value."""
    if row["measure"] in OUTSIDE_MEASURES or row["measure"] in PROMOTION_MEASURES:
        return [facts | {"state": "not_assessable", "reason": "outside_measure"}]
    if row["unit_type"] not in MEASURED_UNITS:
        return [facts | {"state": "not_assessable", "reason": "unit_not_measured"}]
    exams = values(row)
    if isinstance(exams, str):
        return [facts | {"state": "not_assessable", "reason": exams}]
    lines = [_line(row, facts, exam, item, min_n) for exam in exams for item in lines_of(exam, row, facts["unit"])]
    numbers = [line for line in lines if line["state"] != "not_assessable"]
    if not lines:
        return [facts | {"state": "not_assessable", "reason": "no_value"}]
    return numbers or lines[:1]


def _line(row: Mapping[str, Any], facts: dict[str, Any], exam: ExamValues, item: dict[str, Any], min_n: int) -> dict[str, Any]:
    """Return a target beside one value of it."""
    group = item["comparison_group"]
    line = facts | {
        "year_group": exam.year_groups.get(group),
        "comparison_group": group,
        "exam_id": item["exam_id"],
        "date": exam.date,
        "n": item["n"],
    }
    census = row["measure"] in _CENSUS
    if item["estimate"] is None:
        return line | {"state": "not_assessable", "reason": item["reason"]}
    if item["n"] < min_n and not census:
        return line | {"state": "not_assessable", "reason": "below_min_n"}
    if item["ci_lower"] is None and not census:
        return line | {"state": "not_assessable", "reason": "no_interval"}
    line |= {name: item[name] for name in _NUMBERS}
    half = 0.0 if item["ci_lower"] is None else (item["ci_upper"] - item["ci_lower"]) / 2
    line["completion"] = share_done(item["estimate"], row["baseline"], row["target"], margin=half)
    if line["completion"] is None:
        line["reason"] = "no_baseline" if row["baseline"] is None else "target_near_baseline"
    line["state"] = judge_target(row["target"], row["direction"], item["estimate"], item["ci_lower"], item["ci_upper"])
    return line
