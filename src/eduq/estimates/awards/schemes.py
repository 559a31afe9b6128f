"""An award scheme as a bureau writes it down: measures, weights, least evidence, places."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from eduq.errors import Place, SettingsError
from eduq.settings import StrictModel, validate_toml

__all__ = ["AwardMeasure", "AwardScheme", "read_scheme", "require_both"]


_LOWER_IS_BETTER = ("low_score_rate", "bottom30_share", "sd", "cv", "school_cv")
"""Not for awards: the index adds up what is better when higher."""


class AwardMeasure(StrictModel):
    """One measure of a scheme.

    Attributes
    ----------
    measure
        Id of a measure that is better when higher.
    kind
        ``level`` (where a unit stands) or ``progress`` (its change, or its growth).
    weight
        In the index; the weights need not sum to 1.
    years
        Of a yearly series: ``all`` (mean of the window; slope over it) or ``last`` (the newest year alone; its change from the
        year before).
    evidence
        ``none``; ``lower_bound``: the lower bound lies more than ``minimum`` above the mean of the peers; ``posterior``: the
        true value does with the probability ``probability``.
    minimum, probability
        Of the evidence.
    """

    measure: str = Field(min_length=1)
    kind: Literal["level", "progress"]
    weight: float = Field(1.0, ge=0, allow_inf_nan=False)
    years: Literal["all", "last"] = "all"
    evidence: Literal["none", "lower_bound", "posterior"] = "none"
    minimum: float = Field(0.0, allow_inf_nan=False)
    probability: float = Field(0.8, gt=0.5, lt=1)

    @property
    def name(self) -> str:
        """Measure and kind: what tells the measures of a scheme apart."""
        return f"{self.measure}.{self.kind}"


class AwardScheme(StrictModel):
    """Who becomes a candidate for an award (教学质量奖).

    Attributes
    ----------
    schema_, id, name
        Of the file.
    measures
        At least one of level and one of progress.
    share, places
        Share of the units of a peer group, or number of places in it; one of the two.
    peer_group
        Columns of the register of schools that part the units; all together when empty.
    values
        The index is formed from ``shrunken`` or from ``raw`` values.
    min_n
        Units with fewer candidates are not considered.
    level
        Of the intervals.
    """

    schema_: Literal[1] = Field(1, alias="schema")
    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{1,40}$")
    name: dict[Literal["zh", "en"], str]
    measures: tuple[AwardMeasure, ...] = Field(min_length=1)
    share: float | None = Field(None, gt=0, lt=1)
    places: int | None = Field(None, ge=1)
    peer_group: tuple[str, ...] = ()
    values: Literal["shrunken", "raw"] = "shrunken"
    min_n: int = Field(30, ge=1)
    level: float = Field(0.95, gt=0.5, lt=1)

    @model_validator(mode="after")
    def _complete(self) -> AwardScheme:
        if (self.share is None) == (self.places is None):
            raise ValueError("share / places: 1")
        if sum(item.weight for item in self.measures) <= 0:
            raise ValueError("weight = 0")
        names = [item.name for item in self.measures]
        if len(set(names)) < len(names):
            raise ValueError("measure + kind: 2 ×")
        if lower := [item.measure for item in self.measures if item.measure in _LOWER_IS_BETTER]:
            raise ValueError(f"measure = {lower[0]}")
        return self

    def of(self, kind: str) -> tuple[AwardMeasure, ...]:
        """Return the measures of one kind."""
        return tuple(item for item in self.measures if item.kind == kind)

    def places_in(self, size: int) -> int:
        """Return how many places a peer group of a size has, at least one."""
        return self.places if self.places is not None else max(1, int((self.share or 0) * size + 0.5))


def read_scheme(path: str | Path) -> AwardScheme:
    """Read a scheme from its TOML file.

    Raises
    ------
    SettingsError
        ``settings_missing``, ``settings_encoding``, ``settings_syntax``, ``settings_invalid``.

    Examples
    --------
    >>> from eduq.resources import package_path
    >>> read_scheme(package_path("estimates", "awards", "balanced.toml")).id
    'balanced'
    """
    return validate_toml(Path(path), AwardScheme)


def require_both(scheme: AwardScheme, place: Place | None = None) -> None:
    """Stop at a scheme without a level or without progress: they are looked at side by side, or not at all.

    Raises
    ------
    SettingsError
        ``award_needs_both``.
    """
    for kind in ("level", "progress"):
        if not scheme.of(kind):
            raise SettingsError("award_needs_both", place, scheme=scheme.id, missing=kind)
