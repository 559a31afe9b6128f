"""Records what a named person decided on a proposal; nothing else changes the state of a verdict."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import polars as pl
from pydantic import Field, StringConstraints, ValidationError

from eduq.errors import Place, SettingsError, UsageError
from eduq.rulepacks.judging import judge
from eduq.rulepacks.model import RulePack
from eduq.settings import StrictModel, explain_validation, validate_toml

if TYPE_CHECKING:
    from eduq.archive import Archive

__all__ = ["Decision", "DecisionFile", "find_proposal", "parse_decision", "read_decisions", "record_decisions"]


_Said = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class Decision(StrictModel):
    """One decision, as a person states it.

    Attributes
    ----------
    rule_id, unit
        The proposal decided on; for a head the unit is the school.
    year_group, subject
        Needed where the rule proposes the same for several.
    decision
        adopted, rejected or deferred.
    decided_by, decided_on, reason
        Who, when and why, in the person's own words.
    """

    rule_id: str = Field(min_length=1)
    unit: str = Field(min_length=1)
    year_group: str | None = None
    subject: str | None = None
    decision: Literal["adopted", "rejected", "deferred"]
    decided_by: _Said
    decided_on: dt.date
    reason: _Said


class DecisionFile(StrictModel):
    """A file of decisions: ``[[decisions]]``, one table each."""

    decisions: tuple[Decision, ...] = Field(min_length=1)


def read_decisions(path: Path) -> tuple[Decision, ...]:
    """Return the decisions of a TOML file.

    Raises
    ------
    SettingsError
        See `eduq.settings.validate_toml`.
    """
    return validate_toml(path, DecisionFile).decisions


def parse_decision(pairs: Sequence[str]) -> Decision:
    """Return the decision given as ``key=value`` words.

    Raises
    ------
    UsageError
        ``decision_pair``: a word without ``=`` or a key given twice.
    SettingsError
        ``settings_invalid``: a key that is unknown, missing or has a wrong value.

    Examples
    --------
    >>> said = ["decision=rejected", "decided_by=局长", "decided_on=2026-09-10", "reason=撤并在即"]
    >>> parse_decision(["rule_id=ezhou.head.talk", "unit=S006", *said]).decided_on
    datetime.date(2026, 9, 10)
    """
    found: dict[str, str] = {}
    for word in pairs:
        key, sign, value = word.partition("=")
        if not sign or key.strip() in found:
            raise UsageError("decision_pair", word=key)
        found[key.strip()] = value.strip()
    try:
        return Decision.model_validate(found)
    except ValidationError as error:
        zh, en = explain_validation(error, "zh"), explain_validation(error, "en")
        raise SettingsError("settings_invalid", Place(file="--decide"), n=error.error_count(), zh=zh, en=en) from None


def record_decisions(
    archive: Archive,
    decisions: Sequence[Decision],
    *,
    pack: RulePack | str | os.PathLike[str],
    as_of: dt.date,
    operator: str | None = None,
    now: dt.datetime | None = None,
) -> list[int]:
    """Record decisions on proposals that this version of the archive really gives; all of them, or none.

    Parameters
    ----------
    archive
        Open for writing, at its newest version.
    decisions
        What was decided.
    pack, as_of
        As in `eduq.rulepacks.judging.judge`; the proposals are judged again before anything is written.
    operator, now
        Who records it, and when.

    Returns
    -------
    list of int
        The archive version of each record. A later decision on the same proposal stands beside the earlier one and counts.

    Raises
    ------
    UsageError
        ``decision_without_proposal``: no such proposal; ``decision_ambiguous``: several, so that the year group or subject must
        be named; ``decision_before_exam``: dated before the exam it is about.
    """
    found = judge(pack, archive, as_of=as_of, rules=sorted({decision.rule_id for decision in decisions}))
    records = [find_proposal(found.proposals, found.facts, decision) for decision in decisions]
    return [archive.add_decision(record, operator=operator, now=now) for record in records]


_COPIED = (
    "rule_id", "pack", "pack_version", "reading", "unit_type", "unit", "head_id", "teacher_id", "year_group", "subject", "as_of",
    "proposal",
)  # fmt: skip


def find_proposal(proposals: pl.DataFrame, facts: pl.DataFrame, decision: Decision) -> Mapping[str, Any]:
    """Return the line for the archive, or stop: there is no such proposal."""
    asked = {name: getattr(decision, name) for name in ("rule_id", "unit", "year_group", "subject")}
    named = {name: value for name, value in asked.items() if value is not None}
    matching = proposals.filter(*(pl.col(name) == value for name, value in named.items()))
    if matching.is_empty():
        raise UsageError("decision_without_proposal", rule=decision.rule_id, unit=decision.unit)
    if matching.height > 1:
        choices = ", ".join(f"{row['year_group'] or '-'}/{row['subject'] or '-'}" for row in matching.iter_rows(named=True))
        raise UsageError("decision_ambiguous", rule=decision.rule_id, unit=decision.unit, choices=choices)
    line = matching.row(0, named=True)
    same = [pl.col(name).eq_missing(pl.lit(line[name], dtype=pl.String)) for name in ("rule_id", "unit", "year_group", "subject")]
    held = facts.filter(*same, pl.col("period") == line["period_last"])["exam_date"].max()
    if isinstance(held, dt.date) and decision.decided_on < held:
        raise UsageError("decision_before_exam", decided_on=decision.decided_on, exam_date=held)
    said = {"decision": decision.decision, "decided_by": decision.decided_by, "decided_on": decision.decided_on}
    return {name: line[name] for name in _COPIED} | said | {"reason": decision.reason}
