"""Parts of a rule: when it is in force, who is compared with whom, what gaps do, where its numbers come from."""

from __future__ import annotations

import datetime as dt
from typing import Any, Literal

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from eduq.settings import StrictModel

__all__ = [
    "Addressed",
    "DatedValue",
    "Effect",
    "EvidenceBounds",
    "Exit",
    "Gaps",
    "Ladder",
    "Parameter",
    "PeerGroup",
    "Readings",
    "plain_number",
]


def plain_number(raw: Any) -> Any:
    """Refuse a truth value or a quoted number where a number belongs; for validators that run before the others."""
    if isinstance(raw, bool | str):
        raise PydanticCustomError("float_parsing", "not a number")
    return raw


class Effect(StrictModel):
    """Days from which and through which a text is in force; null where the text does not say."""

    from_: dt.date | None = Field(None, alias="from")
    to: dt.date | None = None

    def covers(self, day: dt.date) -> bool:
        """Return whether the text is in force on a day; never when its beginning is unknown."""
        return self.from_ is not None and self.from_ <= day and (self.to is None or day <= self.to)


class PeerGroup(StrictModel):
    """Who is compared with whom: units equal in everything under ``within`` (``region``: the 片区 of the register)."""

    within: tuple[Literal["region", "stage", "kind", "area_type", "subject", "year_group", "track"], ...]
    min_units: int = Field(5, ge=2)
    min_pupils: int = Field(30, ge=1)
    small_schools: Literal["exempt", "include"] = "exempt"
    source: Literal["text", "local"] = "local"

    _plain = field_validator("min_units", "min_pupils", mode="before")(plain_number)


class Readings(StrictModel):
    """How the listed conditions combine under the narrow and the wide reading, and which of the two proposes."""

    narrow: Literal["all", "any"] = "all"
    wide: Literal["all", "any"] = "any"
    proposes: Literal["narrow", "wide"] = "narrow"


class Gaps(StrictModel):
    """What a missing year, a new paper, a merger and a change of the person do to the counted years."""

    missing_year: Literal["breaks"] = "breaks"
    new_paper: Literal["standardise", "breaks"] = "standardise"
    merger: Literal["breaks"] = "breaks"
    tenure: Literal["every_year", "last_year", "none"] = "none"


class Exit(StrictModel):
    """When the step is lifted: after so many years in a row in which the rule gives ``of``."""

    after_years: int = Field(ge=1)
    of: Literal["not_met"] = "not_met"
    source: Literal["text", "local"] = "local"

    _plain = field_validator("after_years", mode="before")(plain_number)


class Addressed(StrictModel):
    """Who gets the proposal, who decides, and in how many days it may be appealed (null: nobody has said)."""

    to: Literal["bureau", "government", "school", "teacher", "public"] = "bureau"
    decides: str = Field(min_length=1)
    appeal_days: int | None = Field(None, ge=1)

    _plain = field_validator("appeal_days", mode="before")(plain_number)


class Ladder(StrictModel):
    """A rule's place among the steps of one ladder; step 1 is the mildest."""

    name: str
    step: int = Field(ge=1)


class DatedValue(StrictModel):
    """A value in force from a day on (null: from the beginning of the text)."""

    from_: dt.date | None = Field(None, alias="from")
    value: float | int | str | None


class Parameter(StrictModel):
    """Where a number of a rule comes from, and its dated values.

    ``at`` names the places that take the value, such as ``conditions.1.share``. A value with ``source: text`` is a word of the
    clause; ``local`` is for the bureau to set (``registers/packs.toml``), and stays null until it does unless a default is given.
    """

    source: Literal["text", "local", "method"]
    at: tuple[str, ...] = Field(min_length=1)
    values: tuple[DatedValue, ...] = ()
    unit: str | None = None
    cite: str | None = None

    @field_validator("at", mode="before")
    @classmethod
    def _one_place(cls, raw: Any) -> Any:
        return (raw,) if isinstance(raw, str) else raw


class EvidenceBounds(StrictModel):
    """Bounds of the evidence grades in force from a day on; names and meaning as in the bounds of declines."""

    from_: dt.date | None = Field(None, alias="from")
    alpha_holm: float = Field(0.05, gt=0, lt=1)
    q: float = Field(0.10, gt=0, lt=1)
    p_possible: float = Field(0.10, gt=0, lt=1)
    materiality: float = Field(0.05, ge=0)
    second_rho: float = Field(0.3, ge=0, lt=1)
    min_periods_confirmed: int = Field(4, ge=3)
    min_periods_probable: int = Field(3, ge=3)
    min_p_last: float = Field(0.5, gt=0, lt=1)
    could_be_last: float = Field(0.05, gt=0, lt=1)
    window: int = Field(6, ge=2)
    min_units: int = Field(5, ge=3)

    def values(self) -> dict[str, Any]:
        """Return the bounds without their date."""
        return self.model_dump(exclude={"from_"})
