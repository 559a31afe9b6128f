"""Run settings and their defaults, and how a TOML file becomes checked settings.

Everything here can be set in a TOML file given to ``--settings``; an unknown key stops the run.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from eduq.errors import Place, SettingsError
from eduq.locale import Lang, has_text, text

__all__ = [
    "EDITIONS",
    "UNIT_TYPES",
    "AbsencePolicy",
    "Edition",
    "RunSettings",
    "StrictModel",
    "default_units",
    "explain_validation",
    "parse_toml",
    "read_settings",
    "validate_toml",
]

AbsencePolicy = Literal["exclude", "zero", "rate-only", "penalty"]
Edition = Literal["bureau", "government", "school", "teacher", "student", "public"]
PeerColumn = Literal["stage", "kind", "area_type", "township", "cluster", "small_school"]
EDITIONS: tuple[Edition, ...] = ("bureau", "government", "school", "teacher", "student", "public")
UNIT_TYPES = ("area", "township", "cluster", "area_type", "school", "class", "teacher", "sex")
"""Units that results can be given for; beside them every subgroup column ``sub_<name>``."""


class StrictModel(BaseModel):
    """A settings model that refuses unknown keys and cannot be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class RunSettings(StrictModel):
    """Settings of one run.

    Attributes
    ----------
    conf_level
        Level of every interval.
    sd_divisor
        ``population`` (N) or ``sample`` (N - 1) for the printed SD and CV; standardised gaps always use N.
    pooled_mean_below
        Below this n a mean takes the pooled SD of its comparison group.
    pooled_gap_below
        The same for standardised gaps.
    participation_warning
        Participation below this is marked.
    uncertain_scale_below
        A comparison group of fewer candidates gets the remark that its SD is uncertain.
    min_n_reporting
        Numbers of units with fewer candidates are withheld, participation excepted.
    min_n_ranking
        Units with fewer candidates have no place in an order by one exam alone; with an archive they are pooled over the years.
    peers
        Columns of the register of schools by which similar schools are found (stage, kind, area_type, township, cluster,
        small_school); one that no school, or every school alike, has a value in is passed over.
    core_papers
        Papers a candidate must have to get a composite.
    composite_min_weight
        Share of the papers' weight a candidate must have to get a composite.
    band_width
        Width of score bands, in marks; bands are [a, b), the last one closed.
    by
        Unit types to describe; empty for those of `default_units`.
    measures
        Ids of the measures to compute; empty for all that are not regional variants.
    prior_reliability
        Reliability (above 0, at most 1) of the scores of prior exams, by paper code or ``composite``: growth is then corrected
        for measurement error. Nothing is corrected where none is declared.
    growth_covariates
        Columns of the score table (``sex``, ``sub_<name>``) that enter the multilevel growth model.
    flow_shares
        Shares of all linked candidates below the two cuts of the lower, middle and upper band (补差、提中、培优).
    low_group_share
        Share of all linked candidates in the low group of a subject (学科待提升群体).
    bulletin_rows
        Tables with more rows are cut in the bulletin (never in results/ or tables.xlsx).
    issuer, recipients, document_no
        Printed on the bulletin.
    """

    conf_level: float = Field(0.95, gt=0.5, lt=1)
    sd_divisor: Literal["population", "sample"] = "population"
    pooled_mean_below: int = Field(10, ge=2)
    pooled_gap_below: int = Field(30, ge=2)
    participation_warning: float = Field(0.95, ge=0, le=1)
    uncertain_scale_below: int = Field(200, ge=0)
    min_n_reporting: int = Field(10, ge=1)
    min_n_ranking: int = Field(30, ge=1)
    peers: tuple[PeerColumn, ...] = ("stage", "kind", "area_type")
    core_papers: tuple[str, ...] = ()
    composite_min_weight: float = Field(0.5, gt=0, le=1)
    band_width: int = Field(10, ge=1)
    by: tuple[str, ...] = ()
    measures: tuple[str, ...] = ()
    prior_reliability: dict[str, Annotated[float, Field(gt=0, le=1)]] = Field(default_factory=dict)
    growth_covariates: tuple[str, ...] = ()
    flow_shares: tuple[Annotated[float, Field(gt=0, lt=1)], Annotated[float, Field(gt=0, lt=1)]] = (0.30, 0.70)
    low_group_share: float = Field(0.30, gt=0, lt=1)
    bulletin_rows: int = Field(60, ge=5)
    issuer: str = ""
    recipients: tuple[str, ...] = ()
    document_no: str = ""


def default_units(scope: str | None) -> tuple[str, ...]:
    """Return the unit types described when nobody says: classes in a school's own exam, else schools and their places."""
    return ("area", "class", "sex") if scope == "school" else ("area", "township", "cluster", "area_type", "school", "sex")


Model = TypeVar("Model", bound=StrictModel)


def list_complaints(error: ValidationError) -> list[Any]:
    """Return the complaints of a settings model; a list is not also too short when what is wrong are its lines."""
    found: list[Any] = list(error.errors())

    def has_wrong_lines(item: Any) -> bool:
        inside = len(item["loc"])
        return any(len(other["loc"]) > inside and other["loc"][:inside] == item["loc"] for other in found)

    return [item for item in found if item["type"] != "too_short" or not has_wrong_lines(item)]


def explain_validation(error: ValidationError, lang: Lang) -> str:
    """Return every complaint of a settings model as one line with its path."""
    lines = []
    for item in list_complaints(error):
        where = ".".join(str(part) for part in item["loc"])
        key = f"settings_errors.{item['type']}"
        context = dict(item.get("ctx", {}))
        said = text(key, lang, **context) if has_text(key) else text("settings_errors.other", lang)
        lines.append(text("settings_errors.line", lang, key=where, said=said))
    return "\n".join(lines)


def validate_toml(path: Path, model: type[Model]) -> Model:
    """Read a TOML file and check it against a settings model.

    Parameters
    ----------
    path
        The file, UTF-8 with or without a byte order mark.
    model
        The model it must satisfy.

    Raises
    ------
    SettingsError
        ``settings_missing`` (no such file), ``settings_syntax`` (not TOML; names the line),
        ``settings_invalid`` (lists every key that is unknown or has a wrong value).
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise SettingsError("settings_missing", Place(file=path.name), path=path.name) from None
    return parse_toml(content, path.name, model)


def parse_toml(content: bytes, name: str, model: type[Model]) -> Model:
    """Check the content of a TOML file against a settings model.

    Parameters
    ----------
    content
        The file's bytes, UTF-8 with or without a byte order mark.
    name
        The file's name, for the place of an error.
    model
        The model it must satisfy.

    Raises
    ------
    SettingsError
        ``settings_encoding``, and ``settings_syntax`` and ``settings_invalid`` as in `validate_toml`.
    """
    place = Place(file=name)
    try:
        raw = tomllib.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise SettingsError("settings_encoding", place) from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError("settings_syntax", place, said=str(error)) from None
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise SettingsError(
            "settings_invalid",
            place,
            n=len(list_complaints(error)),
            zh=explain_validation(error, "zh"),
            en=explain_validation(error, "en"),
        ) from None


def read_settings(path: Path | None) -> RunSettings:
    """Return the run settings of a file, or the defaults when there is none.

    Raises
    ------
    SettingsError
        See `validate_toml`.
    """
    return RunSettings() if path is None else validate_toml(Path(path), RunSettings)
