"""Definitions of measures: ``measures.toml`` and local additions to it."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from eduq.errors import Place, SettingsError
from eduq.resources import read_toml
from eduq.settings import AbsencePolicy, StrictModel, explain_validation

__all__ = ["Measure", "Wording", "load_measures"]

Kind = Literal["mean", "proportion", "spread", "quantile", "ratio", "standardised", "composite"]


class Wording(StrictModel):
    """A text in both languages."""

    zh: str
    en: str


class Measure(StrictModel):
    """One named, versioned definition.

    Attributes
    ----------
    cut, below, band
        Share of the full mark: at or above, strictly below, or [lo, hi).
    probability
        Of a quantile.
    weights
        Of a composite: score_rate, excellent_rate and pass_rate to points.
    absence
        Absence policies that change the measure; under any other it is computed on those present.
    default
        Whether it is computed without being named.
    """

    version: int = Field(ge=1)
    name: Wording
    kind: Kind
    formula: Wording | None = None
    cut: float | None = Field(None, gt=0, le=1)
    below: float | None = Field(None, gt=0, le=1)
    band: tuple[float, float] | None = None
    probability: float | None = Field(None, gt=0, lt=1)
    weights: dict[Literal["score_rate", "excellent_rate", "pass_rate"], float] = Field(default_factory=dict)
    absence: tuple[AbsencePolicy, ...] = ("exclude",)
    homonyms: Wording | None = None
    default: bool = True

    @model_validator(mode="before")
    @classmethod
    def _one_language(cls, raw: Any) -> Any:
        """A local file may write a text once; it then serves both languages."""
        if not isinstance(raw, dict):
            return raw
        return {
            key: {"zh": value, "en": value} if key in ("name", "formula", "homonyms") and isinstance(value, str) else value
            for key, value in raw.items()
        }

    @model_validator(mode="after")
    def _one_cut(self) -> Measure:
        if sum(value is not None for value in (self.cut, self.below, self.band)) > 1:
            raise ValueError("only one of cut, below and band")
        if self.band is not None and not 0 <= self.band[0] < self.band[1] <= 1:
            raise ValueError("band must be [lo, hi) with 0 <= lo < hi <= 1")
        return self

    def score_range(self, max_hundredths: int) -> tuple[int, int] | None:
        """Return [lo, hi) in hundredths for a full mark, exactly; None when the measure has no cut.

        Examples
        --------
        >>> load_measures()["pass_rate"].score_range(12000)
        (7200, 12001)
        """

        def first_at_or_above(share: float) -> int:
            exact = Fraction(str(share)) * max_hundredths
            return -(-exact.numerator // exact.denominator)

        if self.cut is not None:
            return first_at_or_above(self.cut), max_hundredths + 1
        if self.below is not None:
            return 0, first_at_or_above(self.below)
        if self.band is not None:
            high = max_hundredths + 1 if self.band[1] == 1 else first_at_or_above(self.band[1])
            return first_at_or_above(self.band[0]), high
        return None


def _parse(raw: dict[str, Any], place: Place) -> dict[str, Measure]:
    parsed = {}
    for name, entry in raw.items():
        try:
            parsed[name] = Measure.model_validate(entry)
        except ValidationError as error:
            raise SettingsError(
                "measure_invalid", place, measure=name, zh=explain_validation(error, "zh"), en=explain_validation(error, "en")
            ) from None
    return parsed


def load_measures(local: Path | None = None, names: Sequence[str] = ()) -> dict[str, Measure]:
    """Return measure definitions by id.

    Parameters
    ----------
    local
        A TOML file of the same form that adds measures or replaces them by a higher version.
    names
        Ids to return; empty for all whose ``default`` is true.

    Raises
    ------
    SettingsError
        ``measure_invalid``, ``measure_unknown`` or ``measure_version`` (a local file changes a definition but not its version).
    """
    known = _parse(read_toml("estimates", "measures.toml"), Place(file="measures.toml"))
    if local is not None:
        place = Place(file=Path(local).name)
        try:
            raw = tomllib.loads(Path(local).read_bytes().decode("utf-8-sig"))
        except FileNotFoundError:
            raise SettingsError("settings_missing", place, path=Path(local).name) from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsError("settings_syntax", place, said=str(error)) from None
        for name, measure in _parse(raw, place).items():
            if name in known and measure != known[name] and measure.version <= known[name].version:
                raise SettingsError("measure_version", place, measure=name, version=known[name].version)
            _check_computable(name, measure, known, place)
            known[name] = measure
    for name in names:
        if name not in known:
            raise SettingsError("measure_unknown", measure=name, known=", ".join(sorted(known)))
    return {name: measure for name, measure in known.items() if (name in names if names else measure.default)}


def _check_computable(name: str, measure: Measure, known: dict[str, Measure], place: Place) -> None:
    """A local measure must say enough to be computed: a cut, a probability or weights, unless it redefines a shipped one."""
    says = measure.score_range(100) is not None or measure.probability is not None or bool(measure.weights)
    if name not in known and not says:
        raise SettingsError("measure_incomplete", place, measure=name)
