"""What the national texts refuse outright: 升学 targets for schools and people, awards on one measure or on examinations."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import polars as pl

from eduq.errors import Place, SettingsError
from eduq.registers import PROMOTION_MEASURES
from eduq.resources import rules_path
from eduq.rulepacks.bans import breaks_ban
from eduq.rulepacks.model import Ban, Citation, Rule, RulePack
from eduq.rulepacks.reading import load_rulepack

__all__ = ["cite_rule", "refuse_award", "refused_targets", "said_of"]


@cache
def _national() -> RulePack:
    """The shipped bans of the State; a pack of the same name elsewhere does not soften them."""
    return load_rulepack(rules_path() / "national", as_of=None)


def _banning(name: str, as_of: dt.date | None) -> list[tuple[Rule, Ban]]:
    """Return the rules in force that hold a ban."""
    rules = _national().rules if as_of is None else _national().in_force(as_of)
    return [(rule, ban) for rule in rules for ban in rule.walk() if isinstance(ban, Ban) and ban.of == name]


def cite_rule(rule_id: str) -> Citation | None:
    """Return the document and article of a national rule, None where it is not one of them.

    Examples
    --------
    >>> cite_rule("national.document.promotion_target").title
    '深化新时代教育评价改革总体方案'
    """
    rule = _national().rule(rule_id)
    return rule.citations[0] if rule is not None and rule.citations else None


def said_of(rule_id: str) -> dict[str, str]:
    """Return title, article and point of a national rule as values of a sentence."""
    cited = cite_rule(rule_id)
    if cited is None:
        return {"title": rule_id, "article": "", "point": ""}
    return {"title": cited.title, "article": cited.article or cited.place or "", "point": cited.point or cited.quote or ""}


def refused_targets(targets: pl.DataFrame, *, as_of: dt.date | None) -> dict[str, str]:
    """Return the targets that may not be set, each with the rule that bars it; the texts are read only where one could be.

    Parameters
    ----------
    targets
        target_id, unit_type, measure.
    as_of
        Rules in force on this day; all of them when None.
    """
    suspect = targets.filter(pl.col("measure").is_in(list(PROMOTION_MEASURES)) & (pl.col("unit_type") != "area"))
    found: dict[str, str] = {}
    for row in suspect.iter_rows(named=True):
        for rule, ban in _banning("promotion_target", as_of):
            if breaks_ban(ban, row):
                found.setdefault(str(row["target_id"]), rule.id)
    return found


def refuse_award(measures: Sequence[Mapping[str, Any]], *, as_of: dt.date | None, place: Place | None = None) -> None:
    """Stop at an award that the national texts bar.

    Parameters
    ----------
    measures
        What it rests on: ``measure`` and ``kind`` (level, progress) each.
    as_of
        Rules in force on this day; all of them when None.
    place
        Of the scheme.

    Raises
    ------
    SettingsError
        ``award_barred``: on one measure only, on scores of public examinations only, or with a 升学 figure; names document and
        article.
    """
    names = [str(item["measure"]) for item in measures]
    both = sorted({f"{item['measure']}.{item['kind']}" for item in measures})
    facts = {
        "single_measure_award": {"proposal": "award", "measures": both},
        "exam_score_only_award": {"proposal": "award", "measures": names},
        "promotion_only": {"proposal": "award", "measures": [name for name in names if name in PROMOTION_MEASURES]},
    }
    for ban_name, fact in facts.items():
        for rule, ban in _banning(ban_name, as_of):
            if breaks_ban(ban, fact):
                said = said_of(rule.id)
                raise SettingsError("award_barred", place, rule=rule.id, measures=", ".join(both), **said)
