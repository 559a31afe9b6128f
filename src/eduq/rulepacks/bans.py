"""What a ban stops: one fact (a target, an exam, a rule, a recorded act) against one ban."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eduq.rulepacks.forms import PROMOTION_MEASURES, PUBLIC_EXAM_MEASURES, Ban

__all__ = ["ATTESTED", "RECORDED_BANS", "breaks_ban"]

RECORDED_BANS = (
    "pupil_rank",
    "top_scorer_publicity",
    "promotion_publicity",
    "selection",
    "score_publication",
    "unprotected_minor_data",
    "changed_hours",
)
"""Bans that no exam, target or rule can show: somebody records the fact, or an output asks for it."""
ATTESTED = ("pace", "paper", "sitting", "marking")
"""Of the five sames those that exam.toml attests; the fifth, analysis, is attested by the manifest of the run."""


def breaks_ban(ban: Ban, fact: Mapping[str, Any]) -> bool | None:
    """Return whether a fact is what a ban forbids; None when the fact does not say enough.

    Parameters
    ----------
    ban
        The condition.
    fact
        Of a target: ``unit_type``, ``measure``. Of an exam: ``year_group``, ``scope``, ``purpose``; for ``too_many_mocks``
        ``year_group`` and ``mocks`` (how many in the school year); for ``unattested_exam`` the answers to `ATTESTED`, where
        whatever is not ``yes`` is not attested. Of a rule: ``proposal`` and ``measures`` (those it rests on).
        Of the bans in `RECORDED_BANS`: the ban's name with true or false.

    Examples
    --------
    >>> ban = Ban(kind="ban", of="promotion_target", unit_types=("school", "teacher"))
    >>> breaks_ban(ban, {"unit_type": "school", "measure": "promotion_rate"})
    True
    >>> breaks_ban(ban, {"unit_type": "area", "measure": "promotion_rate"})
    False
    """
    if ban.of in RECORDED_BANS:
        recorded = fact.get(ban.of)
        return None if recorded is None else bool(recorded)
    if ban.of == "unattested_exam":
        return any(fact.get(same) != "yes" for same in ATTESTED)
    if ban.of in ("low_grade_paper_exam", "cross_school_exam"):
        return _exam_barred(ban, fact)
    if ban.of == "too_many_mocks":
        if fact.get("year_group") is None or fact.get("mocks") is None or ban.limit is None:
            return None
        return fact["year_group"] in ban.year_groups and int(fact["mocks"]) > ban.limit
    if ban.of == "promotion_target":
        if fact.get("measure") is None or fact.get("unit_type") is None:
            return None
        return fact["unit_type"] in ban.unit_types and fact["measure"] in (ban.measures or PROMOTION_MEASURES)
    return _rule_barred(ban, fact)


def _exam_barred(ban: Ban, fact: Mapping[str, Any]) -> bool | None:
    """An exam of the named year groups, scopes and purposes; what the ban does not name does not matter."""
    unknown = False
    for key, named in (("year_group", ban.year_groups), ("scope", ban.scopes), ("purpose", ban.purposes)):
        if named and fact.get(key) is None:
            unknown = True
        elif named and fact[key] not in named:
            return False
    return None if unknown else True


def _rule_barred(ban: Ban, fact: Mapping[str, Any]) -> bool | None:
    """A rule by the measures it rests on: a rule that rests on no measure breaks nothing."""
    if fact.get("measures") is None or fact.get("proposal") is None:
        return None
    measures = set(fact["measures"])
    if ban.of == "promotion_only":
        return bool(measures) and measures <= set(ban.measures or PROMOTION_MEASURES)
    if fact["proposal"] != "award":
        return False
    if ban.of == "exam_score_only_award":
        return bool(measures) and measures <= set(ban.measures or (*PUBLIC_EXAM_MEASURES, *PROMOTION_MEASURES))
    return len(measures) < 2
