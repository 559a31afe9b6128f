"""What a rule pack may say: the forms of its files, strict, with nothing guessed."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any, Literal

import polars as pl
from pydantic import Field, field_validator

from eduq.locale import Lang, current_language
from eduq.rulepacks.forms import (
    AllOf,
    AnyOf,
    Ban,
    BelowCut,
    BottomShare,
    Condition,
    Decline,
    Flag,
    LastPlace,
    SevereDrop,
    Stagnation,
    TargetMissed,
    Tree,
    missing_numbers,
    walk_conditions,
)
from eduq.rulepacks.parts import Addressed, Effect, EvidenceBounds, Exit, Gaps, Ladder, Parameter, PeerGroup, Readings
from eduq.settings import StrictModel
from eduq.tables import write_frame

__all__ = [
    "RULE_COLUMNS",
    "Addressed",
    "AllOf",
    "AnyOf",
    "Ban",
    "BelowCut",
    "BottomShare",
    "Citation",
    "Condition",
    "Decline",
    "Document",
    "Effect",
    "EvidenceBounds",
    "Flag",
    "Ladder",
    "LastPlace",
    "Named",
    "PackFile",
    "PackTexts",
    "Parameter",
    "PeerGroup",
    "Proposal",
    "Rule",
    "RulePack",
    "RuleText",
    "SevereDrop",
    "Source",
    "Stagnation",
    "TargetMissed",
    "Tree",
    "walk_conditions",
]

Proposal = Literal[
    "talk",
    "yellow_card",
    "red_card",
    "delay_promotion",
    "recall",
    "change_post",
    "accountability",
    "award",
    "warn",
    "refuse",
]


class Source(StrictModel):
    """A source outside ``clauses.toml``: what it asks (``point``), where; the quotation stays null, it is never invented."""

    document: str
    article: str
    point: str
    quote: None = None


class Citation(StrictModel):
    """One quotation of a loaded rule with everything needed to find it."""

    clause: str | None
    document: str
    title: str
    number: str | None = None
    date: dt.date | None = None
    place: str | None = None
    quote: str | None = None
    article: str | None = None
    point: str | None = None


YearGroup = Literal["G1", "G2", "G3", "G4", "G5", "G6", "G7", "G8", "G9", "S1", "S2", "S3"]
Decides = Literal["impose", "causes", "circumstances", "parameter", "basis", "publication", "size"]


class Rule(StrictModel):
    """One rule, as its YAML file says it.

    Attributes
    ----------
    clause
        Keys in ``clauses.toml``; the quotations are those of the pack's own document.
    source
        Used instead of ``clause`` for texts whose words nobody here has read.
    subject
        Whom or what the rule is about. For a head the unit is the school; exam and document are guards and duties.
    subjects
        ``composite``, ``each`` school subject, or codes.
    year_groups
        ``each`` side by side in one family, the ``highest`` of the school, or codes.
    conditions
        Combined by the readings; an item may itself be ``{all: [...]}`` or ``{any: [...]}``.
    proposal
        What is proposed when the proposing reading is met. Nothing is ever decided here.
    person_decides
        What is left to a person: whether to impose it, causes outside the school, circumstances, an open parameter,
        the basis of an exam, publication, the size of an award.
    parameters
        Sources and dated values of the numbers above.
    bounds
        Dated bounds of the evidence grades; empty for those of the pack.
    citations
        Filled when a pack is loaded, never in the file.
    """

    id: str = Field(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$")
    clause: tuple[str, ...] = ()
    source: tuple[Source, ...] = ()
    subject: Literal["head", "teacher", "school", "area", "exam", "document"]
    effect: Effect = Effect()
    measure: str | None = None
    subjects: Literal["composite", "each"] | tuple[str, ...] = "composite"
    year_groups: Literal["each", "highest"] | tuple[YearGroup, ...] = "each"
    term: Literal["newest", 1, 2] = "newest"
    peer_group: PeerGroup | None = None
    conditions: tuple[Tree, ...] = Field(min_length=1)
    readings: Readings = Readings()
    gaps: Gaps = Gaps()
    exit: Exit | None = None
    proposal: Proposal
    addressed: Addressed
    person_decides: tuple[Decides, ...] = ()
    ladder: Ladder | None = None
    parameters: dict[str, Parameter] = Field(default_factory=dict)
    bounds: tuple[EvidenceBounds, ...] = ()
    citations: tuple[Citation, ...] = ()

    @field_validator("clause", mode="before")
    @classmethod
    def _one_clause(cls, raw: Any) -> Any:
        return (raw,) if isinstance(raw, str) else raw

    @field_validator("source", mode="before")
    @classmethod
    def _one_source(cls, raw: Any) -> Any:
        return (raw,) if isinstance(raw, dict) else raw

    def walk(self) -> Iterator[Condition]:
        """Give every condition of the rule."""
        return walk_conditions(self.conditions)

    @property
    def judges_last_place(self) -> bool:
        """Whether the rule asks for 末位, so that the evidence must look at the place too."""
        return any(isinstance(condition, LastPlace | BottomShare) for condition in self.walk())

    def measures(self) -> tuple[str, ...]:
        """Return every measure the rule uses, the rule's own first."""
        named = [self.measure, *(condition.measure for condition in self.walk())]
        return tuple(dict.fromkeys(name for name in named if name))

    def missing_parameters(self) -> tuple[str, ...]:
        """Return the places of conditions that still have no number; such a condition is not assessable."""
        return tuple(sorted(missing_numbers(self.conditions)))


class Named(StrictModel):
    """A name in both languages."""

    zh: str = Field(min_length=1)
    en: str = Field(min_length=1)


class Document(StrictModel):
    """A policy text that a pack cites beside ``clauses.toml``."""

    title: str
    number: str | None = None
    date: dt.date | None = None


class PackFile(StrictModel):
    """``pack.yaml``: which text the pack puts into rules.

    Attributes
    ----------
    document
        Key under ``[documents]`` of ``clauses.toml``, null for a pack that cites by ``sources``.
    documents
        Other texts its rules cite, by key.
    measures
        Figures that come from outside the exams, by id, with their names.
    effect
        When the text is in force. Null where its year is hidden: the bureau states it once in ``registers/packs.toml``.
    bounds
        Dated bounds of the evidence grades for all rules of the pack.
    """

    schema_: Literal[1] = Field(alias="schema")
    id: str = Field(pattern=r"^[a-z][a-z0-9_-]*$")
    document: str | None = None
    documents: dict[str, Document] = Field(default_factory=dict)
    measures: dict[str, Named] = Field(default_factory=dict)
    effect: Effect = Effect()
    bounds: tuple[EvidenceBounds, ...] = ()


class RuleText(StrictModel):
    """What a rule is called, what it asks for, and what a person must decide, in one language."""

    name: str = Field(min_length=1)
    asks: str = Field(min_length=1)
    decide: str = Field(min_length=1)


class PackTexts(StrictModel):
    """A pack's words in one language; rules by their id."""

    title: str = Field(min_length=1)
    summary: str = Field(min_length=1)
    rules: dict[str, RuleText]


RULE_COLUMNS: dict[str, pl.DataType] = {
    **dict.fromkeys(("rule_id", "name", "clause", "subject", "measure", "proposal"), pl.String()),
    "effect_from": pl.Date(),
    "effect_to": pl.Date(),
    "n_open": pl.Int64(),
}
"""Columns of `RulePack.frame`."""


@dataclass(frozen=True)
class RulePack:
    """A loaded pack.

    Attributes
    ----------
    id
        Such as ``ezhou``.
    version
        First 16 hex digits of the SHA-256 of its files, the quotations it uses and the values the bureau stated.
    rules
        Sorted by id, with quotations and with the values in force on ``as_of``.
    texts
        Words by language.
    effective
        Days between which the text is in force; its beginning is null only when loaded without a date.
    as_of
        The day it was loaded for, null when only looked at.
    stated
        What the bureau stated: ``from``, ``to`` and parameters, empty without a statement.
    file_hashes
        SHA-256 of each file by its path inside the pack.
    measures
        Names of figures from outside the exams that the pack itself declares.
    folder
        Where it was read.
    """

    id: str
    version: str
    rules: tuple[Rule, ...]
    texts: dict[Lang, PackTexts]
    effective: Effect
    as_of: dt.date | None
    stated: dict[str, Any]
    file_hashes: dict[str, str]
    measures: dict[str, Named] = field(default_factory=dict)
    folder: Path | None = field(default=None, repr=False, compare=False)

    @property
    def frame(self) -> pl.DataFrame:
        """One line per rule: rule_id, name, clause, subject, measure, proposal, effect_from, effect_to, n_open (numbers open)."""
        lines = [
            {
                "rule_id": rule.id,
                "name": self.name_of(rule, current_language()),
                "clause": "+".join(rule.clause) or None,
                "subject": rule.subject,
                "measure": "+".join(rule.measures()) or None,
                "proposal": rule.proposal,
                "effect_from": self.effect_of(rule).from_,
                "effect_to": self.effect_of(rule).to,
                "n_open": len(rule.missing_parameters()),
            }
            for rule in self.rules
        ]
        return pl.DataFrame(lines, schema=RULE_COLUMNS)

    @property
    def settings(self) -> dict[str, Any]:
        """What it depends on: version, day, and what the bureau stated."""
        return {"pack": self.id, "pack_version": self.version, "as_of": self.as_of, "stated": self.stated}

    def summary(self) -> str:
        """Return one line: how many rules, how many in force, how many wait for a number."""
        n_open = sum(bool(rule.missing_parameters()) for rule in self.rules)
        when = f"{len(self.in_force())} in force on {self.as_of}" if self.as_of else "not read for a day"
        return f"{self.id} {self.version}: {len(self.rules)} rules, {when}, {n_open} wait for a number"

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.summary())}</p>{self.frame._repr_html_()}"

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Write the catalogue of rules as ``.parquet`` or ``.csv``, whole or not at all, and return the path.

        Raises
        ------
        UsageError
            ``format_unknown``: another suffix.
        """
        return write_frame(self.frame, path)

    def rule(self, rule_id: str) -> Rule | None:
        """Return the rule with an id, or None."""
        return next((rule for rule in self.rules if rule.id == rule_id), None)

    def in_force(self, day: dt.date | None = None) -> tuple[Rule, ...]:
        """Return the rules in force on a day (default ``as_of``); none when it is not known from when."""
        when = day or self.as_of
        if when is None:
            return ()
        return tuple(rule for rule in self.rules if self.effect_of(rule).covers(when))

    def effect_of(self, rule: Rule) -> Effect:
        """Return the days a rule is in force: its own where it says so, else those of the text."""
        first = rule.effect.from_ or self.effective.from_
        last = rule.effect.to or self.effective.to
        return Effect.model_validate({"from": first, "to": last})

    def ladder(self, name: str) -> tuple[Rule, ...]:
        """Return the rules of a ladder from the mildest step up."""
        steps = [rule for rule in self.rules if rule.ladder is not None and rule.ladder.name == name]
        return tuple(sorted(steps, key=lambda rule: rule.ladder.step if rule.ladder else 0))

    def bounds_of(self, rule: Rule) -> EvidenceBounds:
        """Return the bounds of the evidence grades in force on ``as_of``."""
        dated = [line for line in rule.bounds if self.as_of is None or line.from_ is None or line.from_ <= self.as_of]
        return max(dated, key=lambda line: line.from_ or dt.date.min) if dated else EvidenceBounds()

    def name_of(self, rule: Rule, lang: Lang) -> str:
        """Return what a rule is called."""
        return self.texts[lang].rules[rule.id].name
