"""The registers as they are kept: schools with their lineage, heads, teachers, targets and what the bureau states of a text."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from html import escape

import polars as pl
from pydantic import ConfigDict, Field, model_validator

from eduq.settings import StrictModel

__all__ = [
    "AREA_TYPES",
    "EVENTS",
    "EVENT_COLUMNS",
    "HEAD_COLUMNS",
    "SCHOOL_COLUMNS",
    "TARGET_COLUMNS",
    "TEACHER_COLUMNS",
    "PackStatement",
    "ParameterValue",
    "Registers",
]

EVENTS = ("merge", "split", "rename", "new", "close")
AREA_TYPES = ("urban", "town", "rural")
ParameterValue = bool | int | float | str | tuple[int | float | str, ...]

SCHOOL_COLUMNS: dict[str, pl.DataType] = {
    **dict.fromkeys(("school_id", "name", "aliases", "township", "cluster", "area_type", "stage", "kind"), pl.String()),
    "enrolment": pl.Int64(),
    "small_school": pl.Boolean(),
    "pair_id": pl.String(),
    "valid_from": pl.Date(),
    "valid_to": pl.Date(),
}
"""schools.csv. ``aliases``: other names, ``;`` between them. ``area_type``: urban, town, rural. ``valid_from`` and ``valid_to``
(last day) belong to the entry; what ends or begins a school for a series is an event."""

TEACHER_COLUMNS: dict[str, pl.DataType] = {
    **dict.fromkeys(("teacher_id", "name", "school_id", "class_id", "subject", "school_year"), pl.String()),
    "term": pl.Int64(),
    "share": pl.Float64(),
}
"""teachers.csv. ``subject`` is a subject code; a blank school_year or term means every one; ``share`` of the teaching, 0-1."""

EVENT_COLUMNS: dict[str, pl.DataType] = {
    "date": pl.Date(),
    "event": pl.String(),
    "from_ids": pl.List(pl.String()),
    "to_ids": pl.List(pl.String()),
}
"""school_events.csv. ``event`` is one of `EVENTS`; ``date`` is the first day on which it holds; an empty list means none."""

HEAD_COLUMNS: dict[str, pl.DataType] = {
    **dict.fromkeys(("head_id", "name", "school_id"), pl.String()),
    "from": pl.Date(),
    "to": pl.Date(),
}
"""heads.csv. ``from`` and ``to`` are the first and the last day in the post; a null ``to``: still in it."""

TARGET_COLUMNS: dict[str, pl.DataType] = {
    **dict.fromkeys(("target_id", "unit_type", "unit_id", "measure", "subject"), pl.String()),
    "baseline": pl.Float64(),
    "target": pl.Float64(),
    "direction": pl.String(),
    "due": pl.Date(),
    "signer": pl.String(),
}
"""targets.csv. Rates are 0-1; ``direction`` up: at least the target, down: at most; ``subject`` a subject code, total,
composite, all_subjects or null; ``unit_id`` is null for the area."""


class PackStatement(StrictModel):
    """What a bureau states of one policy text in ``registers/packs.toml``.

    Attributes
    ----------
    effective_from, effective_to
        First and last day the text is in force here (keys ``from`` and ``to``); None: not stated.
    stated_by
        Who states it.
    parameters
        Local values of what the text leaves without a number: rule id to parameter to value.
    """

    model_config = ConfigDict(populate_by_name=True)

    effective_from: dt.date | None = Field(None, alias="from")
    effective_to: dt.date | None = Field(None, alias="to")
    stated_by: str | None = None
    parameters: dict[str, dict[str, ParameterValue]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _in_order(self) -> PackStatement:
        if self.effective_from and self.effective_to and self.effective_to < self.effective_from:
            raise ValueError("to before from")
        return self


@dataclass(frozen=True)
class Registers:
    """What a registers folder holds; every frame but schools is None when there is no such file.

    Attributes
    ----------
    schools
        `SCHOOL_COLUMNS`, one line per school.
    teachers
        `TEACHER_COLUMNS`.
    events
        `EVENT_COLUMNS`, in the order of their dates.
    heads
        `HEAD_COLUMNS`.
    targets
        `TARGET_COLUMNS`.
    packs
        Pack id to `PackStatement`; empty without packs.toml.
    """

    schools: pl.DataFrame
    teachers: pl.DataFrame | None = None
    events: pl.DataFrame | None = None
    heads: pl.DataFrame | None = None
    targets: pl.DataFrame | None = None
    packs: dict[str, PackStatement] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Say what there is without a row of it."""
        return f"Registers({self.summary()})"

    def summary(self) -> str:
        """Return one line of counts."""
        others = {"teachers": self.teachers, "events": self.events, "heads": self.heads, "targets": self.targets}
        counts = [f"{self.schools.height} schools"]
        counts += [f"{frame.height} {name}" for name, frame in others.items() if frame is not None]
        return ", ".join([*counts, f"{len(self.packs)} packs"])

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.summary())}</p>"

    def teachers_of(self, school_year: str | None, term: int | None) -> pl.DataFrame | None:
        """Return who taught in a school year and term; entries without one hold for every year and term."""
        if self.teachers is None:
            return None
        in_year = pl.col("school_year").is_null() | (pl.lit(school_year is None) | (pl.col("school_year") == school_year))
        in_term = pl.col("term").is_null() | (pl.lit(term is None) | (pl.col("term") == term))
        return self.teachers.filter(in_year & in_term)
