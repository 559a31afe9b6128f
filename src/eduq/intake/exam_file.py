"""exam.toml: what a person states about an exam (design: every key may be left out; ``?`` means nobody has said yet)."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from eduq.settings import AbsencePolicy, StrictModel

__all__ = ["EXAM_ID_PATTERN", "Absence", "Attest", "Change", "Deviation", "ExamFacts", "ExamFile", "PaperFacts"]

EXAM_ID_PATTERN = r"^[a-z0-9][a-z0-9-]{2,40}$"
Answer = Literal["yes", "no", "?"]
CellStatus = Literal["absent", "deferred", "exempt", "not_chosen", "voided", "not_scanned"]
PaperCode = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,30}$")]


class Attest(StrictModel):
    """The five sames as attested; analysis is attested by the manifest."""

    pace: Answer = "?"
    paper: Answer = "?"
    sitting: Answer = "?"
    marking: Answer = "?"


class Absence(StrictModel):
    """How absences enter the measures."""

    policy: AbsencePolicy = "exclude"
    penalty_bound: float = Field(0.02, ge=0, le=1, description="absence rate from which the deduction starts")
    penalty_per_point: float = Field(0.0, ge=0, description="SD taken off the composite per percentage point beyond the bound")


class ExamFacts(StrictModel):
    """The exam itself."""

    id: str | None = Field(None, pattern=EXAM_ID_PATTERN)
    name: str | None = None
    school_year: str | None = Field(None, pattern=r"^\d{4}-\d{4}$")
    term: Literal[1, 2] | None = None
    date: dt.date | None = None
    year_group: Literal["G1", "G2", "G3", "G4", "G5", "G6", "G7", "G8", "G9", "S1", "S2", "S3"] | None = None
    scope: Literal["school", "cluster", "county", "city", "province"] | None = None
    purpose: Literal["monitoring", "mock", "graduation", "other"] | None = None
    legal_basis: str | None = None
    stable_id: Literal["student_uid", "exam_no", "student_no"] | None = None

    @field_validator("*", mode="before")
    @classmethod
    def _unsaid(cls, value: object) -> object:
        return None if value == "?" else value


class PaperFacts(StrictModel):
    """One paper: what its column is worth and under which conditions it was sat."""

    code: PaperCode
    subject: str | None = None
    max_score: float | None = Field(None, gt=0, le=10_000)
    score_step: float | None = Field(None, gt=0)
    sitting: str | None = None
    marking: Literal["central", "pooled", "school"] | None = None
    weight: float = Field(1.0, ge=0)

    @field_validator("subject", "max_score", "score_step", "sitting", "marking", mode="before")
    @classmethod
    def _unsaid(cls, value: object) -> object:
        return None if value == "?" else value

    @property
    def subject_code(self) -> str:
        """The subject the paper belongs to; its own code when nothing else is said."""
        return self.subject or self.code

    @property
    def max_hundredths(self) -> int | None:
        """The full mark in hundredths."""
        return None if self.max_score is None else round(self.max_score * 100)

    @property
    def step_hundredths(self) -> int | None:
        """The score step in hundredths."""
        return None if self.score_step is None else round(self.score_step * 100)


class Change(StrictModel):
    """What was different for the schools of a deviation."""

    papers: tuple[str, ...] = Field(min_length=1)
    pace: Literal["no"] | None = None
    sitting: str | None = None
    marking: Literal["central", "pooled", "school"] | None = None
    reason: str


class Deviation(StrictModel):
    """Schools that sat, were paced or were marked otherwise: a comparison group of their own."""

    schools: tuple[str, ...] = Field(min_length=1)
    change: Change


class ExamFile(StrictModel):
    """The whole of exam.toml."""

    schema_version: Literal[1] = Field(1, alias="schema")
    attest: Attest = Attest()
    absence: Absence = Absence()
    symbols: dict[str, CellStatus] = Field(default_factory=dict)
    columns: dict[str, str] = Field(default_factory=dict)
    exam: ExamFacts = ExamFacts()
    papers: tuple[PaperFacts, ...] = ()
    deviations: tuple[Deviation, ...] = ()

    @field_validator("symbols", "columns", mode="before")
    @classmethod
    def _unsaid(cls, value: object) -> object:
        return {key: said for key, said in value.items() if said != "?"} if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _distinct_papers(self) -> ExamFile:
        codes = [paper.code for paper in self.papers]
        if len(codes) != len(set(codes)):
            raise ValueError("duplicate paper code")
        return self
