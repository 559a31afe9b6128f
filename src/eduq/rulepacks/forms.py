"""The closed list of conditions, and how they combine."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator

from eduq.registers.measures import PROMOTION_MEASURES as _PROMOTION_WORDS
from eduq.rulepacks.parts import plain_number
from eduq.settings import StrictModel

__all__ = [
    "BAN_CODES",
    "CONDITION_KINDS",
    "PROMOTION_MEASURES",
    "PUBLIC_EXAM_MEASURES",
    "AllOf",
    "AnyOf",
    "Ban",
    "BelowCut",
    "BottomShare",
    "Condition",
    "Decline",
    "Flag",
    "LastPlace",
    "SevereDrop",
    "Stagnation",
    "TargetMissed",
    "Tree",
    "missing_numbers",
    "walk_conditions",
]

CONDITION_KINDS = (
    "decline",
    "last_place",
    "bottom_share",
    "below_cut",
    "severe_drop",
    "stagnation",
    "target_missed",
    "flag",
    "ban",
)
PROMOTION_MEASURES = tuple(_PROMOTION_WORDS)
"""Measures that are 升学率 or made of it: of an area only, never a target or the sole ground for one school or person."""
PUBLIC_EXAM_MEASURES = ("zhongkao_mean", "zhongkao_composite", "gaokao_mean", "gaokao_composite")
"""Scores of the public examinations (中考, 高考): no award rests on them alone."""

BanCode = Literal[
    "promotion_target",
    "promotion_only",
    "exam_score_only_award",
    "single_measure_award",
    "pupil_rank",
    "top_scorer_publicity",
    "promotion_publicity",
    "selection",
    "low_grade_paper_exam",
    "cross_school_exam",
    "too_many_mocks",
    "score_publication",
    "unattested_exam",
    "unprotected_minor_data",
    "changed_hours",
]
BAN_CODES: tuple[str, ...] = BanCode.__args__  # type: ignore[attr-defined]
Years = Annotated[int | None, Field(ge=1, le=20)]
Share = Annotated[float | None, Field(gt=0, lt=1)]


_NUMBERS = ("years", "noise_band", "last", "share", "cut", "drop", "band", "target", "limit")


class _Condition(StrictModel):
    """What every condition may have: a measure of its own; without one the rule's measure counts."""

    measure: str | None = None

    _plain = field_validator(*_NUMBERS, mode="before", check_fields=False)(plain_number)


class Decline(_Condition):
    """Falls in a row on a standardised measure: ``years`` falls need ``years`` + 1 consecutive comparable years.

    A fall counts when it is larger than ``noise_band`` (pupil SDs). ``direction: rise`` counts rises instead (awards).
    """

    kind: Literal["decline"]
    years: Years = None
    noise_band: float | None = Field(0.0, ge=0)
    direction: Literal["fall", "rise"] = "fall"


class LastPlace(_Condition):
    """Among the lowest ``last`` units of the peer group in each of the last ``years`` years; ties share the place."""

    kind: Literal["last_place"]
    years: Years = None
    last: int | None = Field(None, ge=1)
    ties: Literal["share", "exclude"] = "share"


class BottomShare(_Condition):
    """Among the lowest ``share`` of the peer group (rounded up to whole units) in each of the last ``years`` years."""

    kind: Literal["bottom_share"]
    years: Years = None
    share: Share = None
    ties: Literal["share", "exclude"] = "share"


class BelowCut(_Condition):
    """On the named side of a cut in each of the last ``years`` years; ``cut`` is in the measure's own unit."""

    kind: Literal["below_cut"]
    cut: float | None = None
    side: Literal["below", "at_or_below", "above", "at_or_above"] = "below"
    years: Years = 1


class SevereDrop(_Condition):
    """A fall larger than ``drop`` (pupil SDs): last year against the year before, or against the mean of the earlier years."""

    kind: Literal["severe_drop"]
    drop: float | None = Field(None, gt=0)
    against: Literal["previous", "earlier_mean"] = "previous"


class Stagnation(_Condition):
    """No rise beyond ``band`` (pupil SDs a year) over ``years`` years; the equivalence test stands beside as evidence."""

    kind: Literal["stagnation"]
    years: Years = None
    band: float | None = Field(None, gt=0)


class TargetMissed(_Condition):
    """A target not reached by its due date: of the target register, or (``source: text``) the number of the clause itself."""

    kind: Literal["target_missed"]
    source: Literal["register", "text"] = "register"
    target: float | None = None
    direction: Literal["up", "down"] | None = None
    due: dt.date | None = None


class Flag(_Condition):
    """A recorded fact, never inferred: met where the record equals ``expect``.

    With ``every`` the fact is a product that falls due once in each such period, and ``expect: false`` means that it is missing.
    """

    kind: Literal["flag"]
    flag: str
    expect: bool = True
    every: Literal["month", "two_months", "quarter", "term", "year"] | None = None


class Ban(_Condition):
    """What may not be done at all: met where it was tried. ``refuse`` stops it, ``warn`` says so and goes on."""

    kind: Literal["ban"]
    of: BanCode
    action: Literal["refuse", "warn"] = "refuse"
    unit_types: tuple[Literal["school", "class", "teacher", "head", "area", "candidate"], ...] = ()
    measures: tuple[str, ...] = ()
    year_groups: tuple[str, ...] = ()
    purposes: tuple[Literal["monitoring", "mock", "graduation", "other"], ...] = ()
    scopes: tuple[Literal["school", "cluster", "county", "city", "province"], ...] = ()
    limit: int | None = Field(None, ge=0)


Condition = Decline | LastPlace | BottomShare | BelowCut | SevereDrop | Stagnation | TargetMissed | Flag | Ban


def _tag(node: Any) -> str | None:
    """Tell by its keys what a node of a condition tree is."""
    if isinstance(node, dict):
        return next((name for name in ("all", "any") if name in node), node.get("kind"))
    return next((name for name in ("all", "any") if hasattr(node, name)), getattr(node, "kind", None))


Tree = Annotated[
    Annotated[Decline, Tag("decline")]
    | Annotated[LastPlace, Tag("last_place")]
    | Annotated[BottomShare, Tag("bottom_share")]
    | Annotated[BelowCut, Tag("below_cut")]
    | Annotated[SevereDrop, Tag("severe_drop")]
    | Annotated[Stagnation, Tag("stagnation")]
    | Annotated[TargetMissed, Tag("target_missed")]
    | Annotated[Flag, Tag("flag")]
    | Annotated[Ban, Tag("ban")]
    | Annotated["AllOf", Tag("all")]
    | Annotated["AnyOf", Tag("any")],
    Discriminator(_tag, custom_error_type="condition_kind", custom_error_message="unknown condition"),
]


class AllOf(StrictModel):
    """All of these, whatever the reading."""

    all: tuple[Tree, ...] = Field(min_length=1)


class AnyOf(StrictModel):
    """Any of these, whatever the reading."""

    any: tuple[Tree, ...] = Field(min_length=1)


AllOf.model_rebuild()
AnyOf.model_rebuild()


def walk_conditions(conditions: tuple[Tree, ...]) -> Iterator[Condition]:
    """Give every condition of a tree, left to right."""
    for node in conditions:
        if isinstance(node, AllOf):
            yield from walk_conditions(node.all)
        elif isinstance(node, AnyOf):
            yield from walk_conditions(node.any)
        else:
            yield node


_OPTIONAL = {"measure", "due", "limit", "every"}


def missing_numbers(conditions: tuple[Tree, ...], lead: str = "conditions") -> Iterator[str]:
    """Give the places of conditions that have no number yet, such as ``conditions.1.share``."""
    for place, node in enumerate(conditions):
        here = f"{lead}.{place}"
        if isinstance(node, AllOf):
            yield from missing_numbers(node.all, f"{here}.all")
        elif isinstance(node, AnyOf):
            yield from missing_numbers(node.any, f"{here}.any")
        elif isinstance(node, TargetMissed) and node.source == "register":
            continue
        else:
            for name in type(node).model_fields:
                if name not in _OPTIONAL and getattr(node, name) is None:
                    yield f"{here}.{name}"
