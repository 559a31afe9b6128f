"""Targets of the register as something a rule can be evaluated on: one row each, with the newest value by its due date."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import polars as pl

from eduq.rulepacks.conditions import PeerSeries
from eduq.rulepacks.guards import is_promotion
from eduq.rulepacks.model import Rule, TargetMissed
from eduq.rulepacks.peers import PeerCell, build_peer_series, year_group_order
from eduq.rulepacks.posts import Posts
from eduq.rulepacks.verdicts import RegisterTargets
from eduq.summaries.sweeps import AREA_UNIT

__all__ = ["TargetCell", "find_target_cells", "judges_register_targets", "target_unit_type"]

_UNIT_TYPES = {"head": "school", "school": "school", "teacher": "teacher", "area": "area"}


@dataclass(frozen=True)
class TargetCell:
    """One target and the series it is about.

    Attributes
    ----------
    row
        The line of the register.
    cell
        A peer group of one; ``lines`` are the whole series up to the due date.
    targets
        What `evaluate_rule` needs of it.
    barred
        A target of 升学 for a school or a person, which may not be set.
    posts
        Heads, seen from the year of the value; only for a rule about heads.
    """

    row: dict[str, Any]
    cell: PeerCell
    targets: RegisterTargets
    barred: bool
    posts: Posts | None


def judges_register_targets(rule: Rule) -> bool:
    """Return whether a rule asks for targets of the register."""
    return any(isinstance(item, TargetMissed) and item.source == "register" for item in rule.walk())


def target_unit_type(rule: Rule) -> str:
    """Return the unit type of the targets a rule is about."""
    return _UNIT_TYPES.get(rule.subject, "school")


def _groups_wanted(rule: Rule, lines: pl.DataFrame) -> Sequence[str]:
    found = sorted(lines["year_group"].drop_nulls().unique(), key=year_group_order)
    if rule.year_groups == "each":
        return found
    if rule.year_groups == "highest":
        return found[-1:]
    return [name for name in found if name in rule.year_groups]


def find_target_cells(
    rule: Rule,
    targets: pl.DataFrame,
    series: pl.DataFrame | None,
    *,
    as_of: dt.date,
    posts: Callable[[pl.DataFrame, str], Posts],
) -> list[TargetCell]:
    """Set every target of a rule beside its series.

    Parameters
    ----------
    rule
        A rule with a ``target_missed`` condition over the register; one with a measure is about targets of that measure only.
    targets
        The register of targets.
    series
        Series of the rule's unit type with the targets' measures; None when there is none.
    as_of
        A target is overdue after its due date.
    posts
        Gives the heads seen from a judged year.

    Returns
    -------
    list of TargetCell
        By target id and year group; the value is that of the newest exam by the due date. A target whose measure no exam gives
        has a cell without a series.
    """
    cells = []
    mine = targets.filter(pl.col("unit_type") == target_unit_type(rule)).sort("target_id")
    if rule.measure is not None:
        mine = mine.filter(pl.col("measure") == rule.measure)
    for row in mine.iter_rows(named=True):
        unit = row["unit_id"] or AREA_UNIT
        lines = _lines_of(row, unit, series)
        for year_group in _groups_wanted(rule, lines) or [""]:
            own = lines.filter(pl.col("year_group") == year_group)
            measures: dict[str | None, PeerSeries] = {}
            last = str(own["period"].max()) if own.height else ""
            blank = build_peer_series(pl.DataFrame(schema=lines.schema), units=[unit], periods=[last])
            holders = posts(own, last) if rule.subject == "head" and own.height else None
            if own.height:
                in_post = None if holders is None else partial(_held, holders, year_group)
                measures[rule.measure] = build_peer_series(own, units=[unit], periods=[last], held=in_post)
            cell = PeerCell("", year_group, row["subject"] or "", (unit,), (last,), measures or {"": blank}, own)
            asked = RegisterTargets(
                np.array([row["target"]]), np.array([row["direction"] == "up"]), np.array([row["due"] < as_of])
            )
            barred = row["unit_type"] != "area" and is_promotion(row["measure"])
            cells.append(TargetCell(row, cell, asked, barred, holders))
    return cells


def _held(posts: Posts, year_group: str, unit: str, period: str) -> bool:
    return posts.held(unit, year_group, period)


def _lines_of(row: dict[str, Any], unit: str, series: pl.DataFrame | None) -> pl.DataFrame:
    """Return a target's own series up to its due date."""
    if series is None:
        return pl.DataFrame(schema={"unit": pl.String, "period": pl.String, "year_group": pl.String, "estimate": pl.Float64})
    subject = row["subject"] or "composite"
    own = (pl.col("unit") == unit) & (pl.col("measure") == row["measure"]) & (pl.col("subject") == subject)
    return series.filter(own & (pl.col("date") <= row["due"]))
